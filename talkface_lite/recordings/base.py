"""What a reader hands over: recordings, and what it had to leave out and why.

A reader only lists. It opens no video; it looks at names, folders and the small text files that come with a
corpus.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError

STAGES = ("list", "decode", "faces", "align")
"""Where a recording, or a part of it, can be rejected."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One video file of a corpus, and what the corpus says about it.

    Parameters
    ----------
    name:
        The file's path below the corpus' folder, with ``/`` between folders; unique in the corpus.
    path:
        Where the file lies.
    identity:
        Who speaks; recordings of one person share it. Empty where the corpus does not say.
    words:
        Words with times in seconds from the beginning of the file; empty where the corpus has none.
    phonemes:
        Phonemes likewise, in the corpus' own symbols.
    split:
        The corpus' own split, such as ``"train"``; empty where it has none.
    about:
        Whatever else the corpus says, ``(key, value)`` pairs of text.
    """

    name: str
    path: Path
    identity: str = ""
    words: tuple[Interval, ...] = ()
    phonemes: tuple[Interval, ...] = ()
    split: str = ""
    about: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Something that did not become a clip.

    Parameters
    ----------
    file:
        Name of the recording, as in :class:`Recording`.
    stage:
        One of :data:`STAGES`.
    reason:
        Why, in one line.
    start, end:
        The part that was left out, seconds; None for all of it, or where it is not known.
    """

    file: str
    stage: str
    reason: str
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InputError("stage", repr(self.stage), " or ".join(STAGES))
        object.__setattr__(self, "reason", " ".join(self.reason.split()))


Reader = Callable[[Path], Iterator[Recording | Rejection]]
"""From the folder of a corpus to what is in it, in a fixed order."""


def walk(root: Path, name: str = "") -> Iterator[tuple[str, Path] | Rejection]:
    """Every file below ``root`` in a fixed order, as ``(name, path)``; links never lead out of the tree.

    A folder that cannot be read, a link that leads out of the tree and a link to a folder are rejections,
    not errors. Hidden files and folders (a name that begins with a dot) are passed over.
    """
    home = os.path.realpath(root)
    waiting = [_entries(root, name)]  # a stack, since folders may lie deeper than Python recurses
    while waiting:
        below, entry = next(waiting[-1], (None, None))
        if below is None:
            waiting.pop()
        elif isinstance(entry, OSError):
            reason = f"a folder that cannot be read: {entry.strerror}"
            yield Rejection(file=below, stage="list", reason=reason)
        elif entry.is_symlink() and (reason := _astray(home, entry.path)):
            yield Rejection(file=below, stage="list", reason=reason)
        elif entry.is_dir(follow_symlinks=False):
            waiting.append(_entries(root, below))
        elif entry.is_file():
            yield below, Path(entry.path)
        else:
            yield Rejection(file=below, stage="list", reason="neither a file nor a folder")


def _entries(root: Path, name: str) -> Iterator[tuple[str, os.DirEntry | OSError]]:
    """What is not hidden in one folder, sorted, each with its name in the tree; or why it cannot be read."""
    try:
        with os.scandir(root / name if name else root) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield name or ".", error
        return
    for entry in entries:
        if not entry.name.startswith("."):
            yield f"{name}/{entry.name}" if name else entry.name, entry


def _astray(home: str, path: str) -> str:
    """Why a link is not to be followed; empty for one to a file in the tree."""
    target = os.path.realpath(path)
    if os.path.commonpath([home, target]) != home:
        return "a link that leads out of the folder"
    return "" if os.path.isfile(target) else "a link that leads to no file"
