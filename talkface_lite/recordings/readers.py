"""All readers by the name of their corpus."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from talkface_lite.errors import InputError
from talkface_lite.recordings import crema_d, folder, grid, lrw, tcd_timit, voxceleb
from talkface_lite.recordings.base import Reader, Recording, Rejection
from talkface_lite.recordings.text import printable

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "grid": grid.list_recordings,
        "lrw": lrw.list_recordings,
        "tcd-timit": tcd_timit.list_recordings,
        "voxceleb": voxceleb.list_recordings,
        "crema-d": crema_d.list_recordings,
        "folder": folder.list_recordings,
    }
)
"""Kind of corpus → its reader."""


def read(kind: str, root: str | os.PathLike) -> Iterator[Recording | Rejection]:
    """List the videos of a corpus, in a fixed order, and what had to be left out.

    Parameters
    ----------
    kind:
        One of :data:`READERS`.
    root:
        The corpus' folder.

    Raises
    ------
    InputError
        At once, when the kind is unknown or the folder is missing or a file. What is wrong inside the folder
        is a :class:`~talkface_lite.recordings.base.Rejection`.
    """
    if kind not in READERS:
        raise InputError("kind", repr(kind), " or ".join(READERS))
    root, shown = Path(root), printable(str(root))
    if os.path.isfile(root):
        raise InputError(shown, "a file", "the folder of a corpus")
    if not os.path.isdir(root):
        raise InputError(shown, "no such folder", "the folder of a corpus")
    return READERS[kind](root)
