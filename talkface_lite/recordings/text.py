"""The small text files that come with a corpus: found inside its folder, read up to a limit, taken apart.

What is wrong with such a file costs what the file says, never the video it belongs to.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Rejection, walk

VIDEO_SUFFIX = re.compile(
    r"\.(mp4|mov|mkv|webm|avi|mpe?g|m4v|flv|wmv|3gp|m?ts|m2ts|mpe|m2v|ogv|qt|3g2|f4v|asf|vob|divx|mxf|dv)",
    re.IGNORECASE,
)
"""A file with one of these endings is taken for a video; the decoder finds out."""

SMALL = 1_000_000
"""Bytes a text about one video may have."""

LARGE = 50_000_000
"""Bytes a text about a whole corpus may have (TCD-TIMIT's volunteers need about 6 MB)."""

SILENCES = frozenset({"sil", "sp"})
"""Labels of GRID and HTK that are no words: silence and the short pause between words."""

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
_SHOWN = 60

T = TypeVar("T")


def videos(root: Path) -> Iterator[tuple[str, Path] | Rejection]:
    """What :func:`~talkface_lite.recordings.base.walk` finds, without files that do not end like a video."""
    for entry in walk(root):
        if isinstance(entry, Rejection) or is_video(entry[0]):
            yield entry


def is_video(name: str) -> bool:
    """Whether the name ends as :data:`VIDEO_SUFFIX` says."""
    return VIDEO_SUFFIX.fullmatch(os.path.splitext(name)[1]) is not None


def parts_of(root: Path, name: str) -> tuple[str, ...]:
    """The folders of a file and its name without ending, from the corpus' folder itself downwards.

    The corpus' folder counts, because people also hand in a part of a corpus: ``grid/s1``, ``vox2/dev``.
    """
    return (os.path.basename(os.path.realpath(root)), *os.path.splitext(name)[0].split("/"))


def read_text(root: Path, name: str, limit: int, *, errors: str = "replace") -> str:
    """Read a text file below ``root``, UTF-8, of at most ``limit`` bytes.

    Raises
    ------
    InputError
        When it cannot be read or is longer.
    """
    try:
        with open(root / name, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise InputError(printable(name), f"an unreadable file ({error.strerror})", "a text file") from error
    if len(content) > limit:
        raise InputError(printable(name), f"more than {limit:,} bytes", "a shorter text file")
    return content.decode("utf-8", errors)


def is_inside(root: Path, name: str) -> bool:
    """Whether ``name`` is a regular file that lies below ``root`` even after links are followed."""
    if not os.path.isfile(root / name):
        return False
    home = os.path.realpath(root)
    return os.path.commonpath([home, os.path.realpath(root / name)]) == home


def parse_beside(
    root: Path, video: str, candidates: Iterable[str], parse: Callable[[str, str], T], without: str
) -> tuple[T | None, list[Rejection]]:
    """Parse the text that belongs to a video: the first of the candidates that is there.

    Parameters
    ----------
    root:
        The corpus' folder.
    video:
        Name of the video, for the rejection.
    candidates:
        Names below ``root`` where the text may lie. One that leads out of ``root`` counts as absent:
        the walk through the folder reports the link.
    parse:
        From the text and its name to the result; raises only InputError.
    without:
        What the video has to do without when the text is broken.

    Returns
    -------
    tuple
        The result, or None where there is no text or a broken one; and in the second case the rejection. It
        bears the name of the text file, since that is what was left out: the video is still listed.
    """
    for name in candidates:
        if is_inside(root, name):
            try:
                return parse(read_text(root, name, SMALL), printable(name)), []
            except InputError as error:
                reason = f"{error}; {printable(video)} is listed without {without}"
                return None, [Rejection(file=name, stage="list", reason=reason)]
    return None, []


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number (from 1) and without space around it."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def number_in(text: str, where: str, what: str) -> float:
    """The finite number >= 0 that ``text`` spells in ASCII digits; InputError otherwise."""
    # float() alone would also take "nan", "1_000" and digits of other scripts
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise InputError(where, shortened(text), f"{what}: a number >= 0")
    return value


def intervals_in(rows: Iterable[tuple[str, str, str, str]], *, per_second: float) -> tuple[Interval, ...]:
    """Intervals in seconds from rows ``(where, label, start, end)`` of text.

    Intervals may overlap, as a :class:`~talkface_lite.clip.Clip` allows: aligners round, and speakers run
    words together. Their starts may not go back.

    Raises
    ------
    InputError
        When a time is no number >= 0, an end comes before its start, a start before the one above, or a
        label is not printable.
    """
    found: list[Interval] = []
    for where, label, start_text, end_text in rows:
        start = number_in(start_text, where, "start") / per_second
        end = number_in(end_text, where, "end") / per_second
        if end < start:
            raise InputError(
                where, f"{start_text} to {end_text}"[:_SHOWN], "an end that is not before its start"
            )
        if found and start < found[-1].start:
            raise InputError(
                where, f"a start of {start_text[:_SHOWN]}", "lines sorted by start, none before the one above"
            )
        if not label or not label.isprintable():
            raise InputError(where, shortened(label), "a label of printable characters")
        found.append(Interval(label, start, end))
    return tuple(found)


def shortened(value: str) -> str:
    """The value in quotes, escaped, cut to about 60 characters."""
    shown = repr(value[:_SHOWN])
    return shown if max(len(value), len(shown) - 2) <= _SHOWN else f"{shown[:_SHOWN]}..."


def printable(text: str) -> str:
    """The text with control characters and undecodable bytes spelled out, fit to be shown on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
