"""Files of weights: one part as training leaves it, or several parts of a system together."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_tensors

FORMAT = "talkface_lite system 1"
"""Of one part. Kept since the first weights: newer files say in addition which ``part`` they are."""

SEVERAL = "talkface_lite parts 1"
"""Of several parts: ``parts`` lists what each says about itself; its tensors are named ``part/tensor``."""

_KEY, _WHAT = "talkface_lite", "weights (.safetensors)"


class Packed(NamedTuple):
    """A part as it lies in a file.

    Parameters
    ----------
    about:
        ``system``, ``part``, ``config``, ``record``.
    tensors:
        By name.
    """

    about: dict[str, Any]
    tensors: dict[str, Tensor]


def write_weights(path: str | os.PathLike, packed: Packed) -> Path:
    """Write one part, whole or not at all."""
    return write_tensors(path, packed.tensors, packed.about, key=_KEY, text=FORMAT)


def write_parts(path: str | os.PathLike, parts: Sequence[Packed], record: Mapping[str, Any]) -> Path:
    """Write several parts of one system to one file, whole or not at all.

    Parameters
    ----------
    path:
        A ``.safetensors`` file.
    parts:
        Each part of the system at most once.
    record:
        How they were made together: anything that JSON can hold.
    """
    tensors = {f"{one.about['part']}/{name}": value for one in parts for name, value in one.tensors.items()}
    about = {"parts": [one.about for one in parts], "record": dict(record)}
    return write_tensors(path, tensors, about, key=_KEY, text=SEVERAL)


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file of one part says about itself (``system``, ``part``, ``config``, ``record``), its tensors.

    Raises
    ------
    InputError
        When the file is missing or is not such a file of this package.
    """
    return read_tensors(path, key=_KEY, text=FORMAT, what=_WHAT, framework="pt")


def read_parts(path: str | os.PathLike) -> tuple[list[Packed], dict[str, Any]]:
    """The parts in a file of one part or of several, and the record of several.

    Raises
    ------
    InputError
        When the file is missing, is neither, or holds other tensors than it lists parts.
    """
    try:
        about, tensors = read_weights(path)
        return [Packed(about, tensors)], {}
    except InputError as error:
        if error.got != "a file of another kind":
            raise
        try:
            about, tensors = read_tensors(path, key=_KEY, text=SEVERAL, what=_WHAT, framework="pt")
        except InputError:
            raise error from None
    listed, record = about.get("parts"), about.get("record", {})
    try:
        parts = [Packed(dict(one), {}) for one in listed]
        by_name = {one.about["part"]: one for one in parts}
        for name, value in tensors.items():
            part, _, tensor = name.partition("/")
            by_name[part].tensors[tensor] = value
        if not parts or len(by_name) < len(parts) or not isinstance(record, dict):
            raise ValueError(f"{len(listed)} parts of {len(by_name)} names")
    except (KeyError, TypeError, ValueError) as error:
        got = f"parts that do not fit together ({type(error).__name__}: {error})"
        raise InputError(path, got, "as talkface adapt wrote them") from error
    return parts, record


def whose(about: Mapping[str, Any]) -> str:
    """The part and the system that a weights file names, as it names them."""
    named = (about.get("part"), about.get("system"))
    return " of ".join(repr(name) for name in named if name) or "nothing that it names"
