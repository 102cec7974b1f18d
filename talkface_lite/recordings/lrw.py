"""LRW, Lip Reading in the Wild: 500 words of BBC programmes, about 1,000 clips each of 29 frames.

Videos, 25 frames/s, lie at ``lipread_mp4/WORD/{train,val,test}/WORD_00001.mp4``, each with a ``.txt`` beside
it. Who speaks is not told.

Source: Chung and Zisserman, "Lip reading in the wild", ACCV 2016.

Terms: an agreement with the BBC, for non-commercial research; ask before you fetch it.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from talkface_lite.clip import FRAMES_PER_SECOND, Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.text import lines_of, number_in, parse_beside, parts_of, shortened, videos

CLIP_SECONDS = 29 / FRAMES_PER_SECOND
"""Every clip lasts 1.16 s, and its word lies in the middle."""

SPLITS = ("train", "val", "test")

_NAME = re.compile(r"(?P<word>.+)_[0-9]+", re.DOTALL)
_DURATION = re.compile(r"(\S+)(\s+(seconds|second|sec|s))?", re.ASCII)


class Metadata(NamedTuple):
    """The text beside a clip: ``duration`` of the word in seconds, all ``lines`` (key, value) in order."""

    duration: float
    lines: tuple[tuple[str, str], ...]


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    """Every video below ``root``, with its word, its split and what the text beside it says.

    ``root`` is ``lipread_mp4`` or a folder above. The word stands in ``about`` even where its time is unknown
    because the text is missing or broken; a broken text is rejected.
    """
    for entry in videos(root):
        if isinstance(entry, Rejection):
            yield entry
            continue
        name, path = entry
        beside = os.path.splitext(name)[0] + ".txt"
        metadata, rejections = parse_beside(root, name, [beside], parse_metadata, "the time of its word")
        yield from rejections
        *folders, stem = parts_of(root, name)
        match = _NAME.fullmatch(stem)
        word = match["word"] if match else ""
        about = [("word", word)] if word else []
        yield Recording(
            name=name,
            path=path,
            words=(in_the_middle(word, metadata.duration),) if word and metadata else (),
            split=next((folder for folder in reversed(folders[1:]) if folder in SPLITS), ""),
            about=(*about, *(metadata.lines if metadata else ())),
        )


def parse_metadata(text: str, where: str) -> Metadata:
    """The text beside a clip: lines ``key: value``, one of them ``Duration: 0.53 seconds``.

    Parameters
    ----------
    text:
        What the file holds.
    where:
        How to call it in an error.

    Raises
    ------
    InputError
        When a line is no ``key: value``, a key comes twice, or the duration is missing, no number or not
        within 0..1.16 s.
    """
    lines: dict[str, str] = {}
    duration = None
    for number, line in lines_of(text):
        place = f"{where}, line {number}"
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not key or not line.replace("\t", " ").isprintable():
            raise InputError(place, shortened(line), "'key: value'")
        if key in lines:
            raise InputError(place, f"{shortened(key)} a second time", "each key once")
        lines[key] = value
        if key.lower() == "duration":
            match = _DURATION.fullmatch(value)
            duration = number_in(match[1] if match else value, place, "seconds")
            if duration > CLIP_SECONDS:
                raise InputError(place, f"{duration:g} seconds", f"at most the clip's {CLIP_SECONDS:g} s")
    if duration is None:
        raise InputError(where, f"{len(lines)} lines without one", "a line 'Duration: 0.53 seconds'")
    return Metadata(duration, tuple(lines.items()))


def in_the_middle(word: str, duration: float) -> Interval:
    """The word's interval: as long as stated, around the middle of the clip."""
    middle = CLIP_SECONDS / 2
    return Interval(word, max(0.0, middle - duration / 2), min(CLIP_SECONDS, middle + duration / 2))
