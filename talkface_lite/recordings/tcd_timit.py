"""TCD-TIMIT: 59 volunteers and 3 lip-speakers reading TIMIT sentences, filmed at 29.97 frames/s.

Videos lie at ``volunteers/01M/Clips/straightcam/sa1.mp4`` and
``lipspeakers/Lipspkr1/Clips/straightcam/sa1.mp4``; phonemes of all of them stand in HTK master label files
(``.mlf``), wherever below the folder those lie.

Source: Harte and Gillen, "TCD-TIMIT: An audio-visual corpus of continuous speech", IEEE TMM 2015; master
label files: The HTK Book, "Label files".

Terms: for research, after registration.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Recording, Rejection, walk
from talkface_lite.recordings.text import (
    LARGE,
    SILENCES,
    intervals_in,
    lines_of,
    parts_of,
    printable,
    read_text,
    shortened,
    videos,
)

UNITS_PER_SECOND = 10_000_000
"""HTK counts time in 100 ns."""

_SPEAKER = re.compile(r"[0-9]{2}[MF]|lipspk(ea)?r[0-9]", re.IGNORECASE)
_CAMERA = re.compile(r"straightcam|30degcam", re.IGNORECASE)

Key = tuple[str, str, str]
"""Speaker, camera and sentence, in small letters; a camera that is not told is empty."""


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    """Every video below ``root`` with the phonemes that a master label file gives for it.

    A recording is found in a label file by speaker, camera and sentence; an entry that names no camera is for
    both. Published label files hold phonemes, so words stay empty; a label file whose name contains ``word``
    is read as words, without the silences. A broken label file is rejected whole; entries that name no
    speaker, and ones that differ from what an earlier entry said of the same recording, are rejected
    together, one rejection a file. ``about`` names the camera.
    """
    words: dict[Key, tuple[Interval, ...]] = {}
    phonemes: dict[Key, tuple[Interval, ...]] = {}
    for name, _ in (entry for entry in walk(root) if not isinstance(entry, Rejection)):
        if name.lower().endswith(".mlf"):
            word_level = "word" in name.rpartition("/")[2].lower()
            yield from _gather(root, name, words if word_level else phonemes, word_level)
    for entry in videos(root):
        if isinstance(entry, Rejection):
            yield entry
            continue
        name, path = entry
        parts = parts_of(root, name)
        speaker, camera, sentence = _key(parts)
        keys = ((speaker, camera, sentence), (speaker, "", sentence)) if speaker else ()
        yield Recording(
            name=name,
            path=path,
            identity=next((part for part in reversed(parts[:-1]) if part.lower() == speaker), ""),
            words=next((words[key] for key in keys if key in words), ()),
            phonemes=next((phonemes[key] for key in keys if key in phonemes), ()),
            about=(("camera", camera),) if camera else (),
        )


def parse_mlf(text: str, where: str) -> dict[str, tuple[Interval, ...]]:
    r"""Entries of an HTK master label file, with their labels in seconds.

    The first line is ``#!MLF!#``. An entry is a path in quotes, lines ``start end label`` in 100 ns, and a
    full stop on a line of its own. What HTK may put behind a label (scores, names of words) is left out.

    Parameters
    ----------
    text:
        What the file holds.
    where:
        How to call it in an error.

    Returns
    -------
    dict
        From the path as written, with ``/`` for ``\``, to intervals sorted by start, which may overlap.

    Raises
    ------
    InputError
        When the first line is another, an entry is cut short or comes twice, or a time is wrong; see
        :func:`~talkface_lite.recordings.text.intervals_in`.
    """
    entries: dict[str, tuple[Interval, ...]] = {}
    path, rows = None, []
    lines = lines_of(text)
    first = next(lines, (1, ""))[1]
    if first != "#!MLF!#":
        raise InputError(f"{where}, line 1", shortened(first), "'#!MLF!#'")
    for number, line in lines:
        place = f"{where}, line {number}"
        if path is None:
            inner = line[1:-1].replace("\\", "/")
            if len(line) < 3 or line[0] != '"' or line[-1] != '"' or not inner.isprintable():
                raise InputError(place, shortened(line), "a path in quotes, which begins an entry")
            if inner in entries:
                raise InputError(place, f"{shortened(inner)} a second time", "each recording once")
            path, rows = inner, []
        elif line == ".":
            entries[path] = intervals_in(rows, per_second=UNITS_PER_SECOND)
            path = None
        else:
            fields = line.split()
            if len(fields) < 3:
                raise InputError(place, shortened(line), "'start end label', or '.' to end the entry")
            rows.append((place, fields[2], fields[0], fields[1]))
    if path is not None:
        raise InputError(where, f"an end within {shortened(path)}", "a '.' behind the last label")
    return entries


def _gather(
    root: Path, name: str, into: dict[Key, tuple[Interval, ...]], word_level: bool
) -> Iterator[Rejection]:
    try:
        entries = parse_mlf(read_text(root, name, LARGE), printable(name))
    except InputError as error:
        reason = f"{error}; videos are listed without its labels"
        yield Rejection(file=name, stage="list", reason=reason)
        return
    lost: list[str] = []
    differing: list[str] = []
    for path, intervals in entries.items():
        speaker, camera, sentence = _key(tuple(os.path.splitext(path)[0].split("/")))
        speaker = speaker or _key(parts_of(root, name))[0]
        labels = tuple(i for i in intervals if i.label not in SILENCES) if word_level else intervals
        if not speaker:
            lost.append(path)
        elif into.setdefault((speaker, camera, sentence), labels) != labels:
            differing.append(path)
    for paths, why in ((lost, "name no speaker"), (differing, "differ from an entry met before")):
        if paths:
            reason = f"{len(paths)} entries {why} and were left out, the first {shortened(paths[0])}"
            yield Rejection(file=name, stage="list", reason=reason)


def _key(parts: tuple[str, ...]) -> Key:
    def last(pattern: re.Pattern[str]) -> str:
        return next((part.lower() for part in reversed(parts[:-1]) if pattern.fullmatch(part)), "")

    return last(_SPEAKER), last(_CAMERA), parts[-1].lower()
