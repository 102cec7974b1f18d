"""GRID: 34 people, 1,000 sentences each, 3 s at 25 frames/s.

Videos lie at ``s1/NAME.mpg`` or ``s1/video/NAME.mpg``, also a folder deeper; alignments at
``align/s1/NAME.align``, ``s1/align/NAME.align`` or beside the video (the folder may also be called
``alignments``).

Source: Cooke, Barker, Cunningham, Shao, "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 2006.

Terms, as published: CC BY 4.0.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.text import (
    SILENCES,
    intervals_in,
    lines_of,
    parse_beside,
    parts_of,
    shortened,
    videos,
)

UNITS_PER_SECOND = 25_000
"""Alignments count the samples of GRID's 25 kHz sound: 1,000 are one frame of 40 ms."""

_SPEAKER = re.compile(r"s[0-9]{1,2}")
_ALIGN_FOLDERS = ("align", "alignments")


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    """Every video below ``root``, with its words where an alignment is there, and the speaker as identity.

    A video without alignment has no words. One with a broken alignment has none either, and the alignment is
    rejected. Identity is the folder ``sN``, or empty where there is none.
    """
    for entry in videos(root):
        if isinstance(entry, Rejection):
            yield entry
            continue
        name, path = entry
        words, rejections = parse_beside(root, name, _alignments(root, name), parse_align, "words")
        yield from rejections
        yield Recording(name=name, path=path, identity=_speaker(root, name), words=words or ())


def parse_align(text: str, where: str) -> tuple[Interval, ...]:
    """Words of an alignment: lines ``start end word`` in units of 1/25000 s.

    Parameters
    ----------
    text:
        What the file holds.
    where:
        How to call it in an error.

    Returns
    -------
    tuple of Interval
        Seconds, sorted by start; words may overlap. ``sil`` and ``sp`` are silences and left out.

    Raises
    ------
    InputError
        When there is no line at all, a line has not three fields, or a time is wrong; see
        :func:`~talkface_lite.recordings.text.intervals_in`.
    """
    rows = []
    for number, line in lines_of(text):
        fields = line.split()
        if len(fields) != 3:
            raise InputError(f"{where}, line {number}", shortened(line), "'start end word'")
        rows.append((f"{where}, line {number}", fields[2], fields[0], fields[1]))
    if not rows:
        raise InputError(where, "no line", "lines 'start end word'")
    return tuple(i for i in intervals_in(rows, per_second=UNITS_PER_SECOND) if i.label not in SILENCES)


def _speaker(root: Path, name: str) -> str:
    folders = parts_of(root, name)[:-1]
    return next((folder for folder in reversed(folders) if _SPEAKER.fullmatch(folder)), "")


def _alignments(root: Path, name: str) -> Iterator[str]:
    parts, speaker = parts_of(root, name), _speaker(root, name)
    folders, file = parts[1:-1], f"{parts[-1]}.align"
    yield "/".join((*folders, file))
    for depth in range(len(folders), -1, -1):
        for align in _ALIGN_FOLDERS:
            # sentences recur between speakers: align/NAME.align counts only in a speaker's own folder
            if parts[depth] == speaker or (not speaker and depth == len(folders)):
                yield "/".join((*folders[:depth], align, file))
            elif speaker:
                yield "/".join((*folders[:depth], align, speaker, file))
