"""Self-check of the chapter "How to read and run this book", and a check of what is installed."""

import re
from collections.abc import Callable
from importlib import metadata

from talkface_lite.check import OneLine, Verdict, Wrong, verify, whole_number
from talkface_lite.clip import FRAMES_PER_SECOND, frame_times

INSTALL = '%pip install -e "path/to/the/repository[book]"'
"""What a reader types in a notebook to get all that the chapters import."""


class Missing(OneLine, ImportError):
    """Packages that the chapters need are not installed; the message names them and the command."""


def packages(extra: str = "book") -> dict[str, str]:
    """Find what this package and one of its extras ask for, by the package's own list.

    Parameters
    ----------
    extra:
        The extra whose packages count too; ``book`` holds what the chapters import.

    Returns
    -------
    dict
        Version of each package by its name, in alphabetical order.

    Raises
    ------
    Missing
        When some are not installed, in one line with the command that installs them.
    """
    try:
        listed = [_requirement(line) for line in metadata.requires("talkface_lite") or []]
    except metadata.PackageNotFoundError:
        raise Missing(f"talkface_lite is not installed: run {INSTALL} and restart the kernel.") from None
    extras, grown = {""}, {"", extra}
    while extras != grown:  # an extra may ask for another: talkface_lite[dlib]
        extras = grown
        of_ours = [own for name, own, part in listed if name == "talkface_lite" and part in extras]
        grown = extras.union(*of_ours)
    names = {name for name, _, part in listed if part in extras}
    found = {name: _version(name) for name in sorted(names, key=str.lower)}
    if missing := [name for name, version in found.items() if version is None]:
        raise Missing(f"Missing: {', '.join(missing)}. Run {INSTALL} and restart the kernel.")
    return found


def _requirement(line: str) -> tuple[str, list[str], str]:
    """``(name, its own extras, extra that it belongs to)`` of a line such as ``a[b]>=1; extra == "c"``."""
    name, own = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()
    part = re.search(r"""extra\s*==\s*["']([\w-]+)""", line)
    return name, own.split(",") if own else [], part[1] if part else ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def exercise_1(answer: Callable[[float], int] | None) -> Verdict:
    """Check ``answer(seconds)``: the number of the frame on the screen at that time, counted from 0."""

    def test(frame_at: Callable[[float], int]) -> None:
        centres = frame_times(75)
        got = [whole_number(frame_at(float(seconds)), "a frame's number") for seconds in centres]
        if got == list(range(1, 76)):
            raise Wrong("Frames are counted from 0.")
        for t, number in enumerate(got):
            if number != t:
                raise Wrong(f"At {centres[t]:.3f} s, the centre of frame {t}, your function gives {number}.")
        just_before_frame_1 = 1 / FRAMES_PER_SECOND - 0.001
        if whole_number(frame_at(just_before_frame_1), "a frame's number") != 0:
            raise Wrong(f"At {just_before_frame_1:.3f} s frame 0 is still on the screen: it lasts 40 ms.")

    return verify(1, answer, test)
