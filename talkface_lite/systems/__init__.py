"""The papers, by name. A new one is a line in :data:`SYSTEMS`; nothing else names it."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from talkface_lite.errors import InputError
from talkface_lite.networks.sizes import SIZES

if TYPE_CHECKING:
    from talkface_lite.systems.base import System
    from talkface_lite.systems.part import Part, Weights

_REGISTRY = {
    "atvg": "talkface_lite.systems.atvg:ATVGnet",
    "latent": "talkface_lite.systems.latent:LatentMatchingSystem",
    "recurrent": "talkface_lite.systems.recurrent:RecurrentSystem",
    "attentional": "talkface_lite.systems.attentional:AttentionalSystem",
}

SYSTEMS: Mapping[str, str] = MappingProxyType(_REGISTRY)
"""Name → module and class. Names alone, so that a command line can be read without loading torch; the first
is the one that is meant when nobody names one."""

__all__ = [
    "SYSTEMS",
    "build_part",
    "default_system",
    "describe",
    "describe_file",
    "load",
    "load_part",
    "part_class",
    "system_class",
]


def default_system() -> str:
    """The system that is meant when nobody names one."""
    return next(iter(SYSTEMS))


def system_class(name: str) -> type["System"]:
    """The class of the system with this name.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in SYSTEMS:
        raise InputError("system", repr(name), " or ".join(SYSTEMS))
    module, found = SYSTEMS[name].split(":")
    return getattr(import_module(module), found)


def part_class(system: str, part: str | None = None) -> type["Part"]:
    """The class of a part of a system; None is its first.

    Raises
    ------
    InputError
        When there is no such system, or it has no such part.
    """
    parts = {one.name: one for one in system_class(system).parts}
    if part is None:
        return next(iter(parts.values()))
    if part not in parts:
        raise InputError("part", repr(part), f"{' or '.join(parts)}, the parts of {system}")
    return parts[part]


def load(
    name: str, size: str = "lite", *, weights: "Weights" = None, variant: str = "", settings: Any = None
) -> "System":
    """A trained system, see :meth:`talkface_lite.systems.base.System.load`."""
    return system_class(name).load(size, weights=weights, variant=variant, settings=settings)


def build_part(system: str, part: str | None = None, size: str = "lite", **settings: Any) -> "Part":
    """A part with fresh weights, see :meth:`talkface_lite.systems.part.Part.of_size`."""
    return part_class(system, part).of_size(size, **settings)


def load_part(
    system: str,
    part: str | None = None,
    size: str = "lite",
    *,
    weights: "Weights" = None,
    variant: str = "",
) -> "Part":
    """A trained part alone, in evaluation mode, on the CPU.

    Parameters
    ----------
    system, part, size, variant:
        Which; None is the first part.
    weights:
        A file; None takes the package's own.

    Raises
    ------
    InputError
        When there are no such weights.
    """
    from talkface_lite.systems.part import shipped_weights

    kind = part_class(system, part)
    path = weights or shipped_weights(system, kind.name, size, variant)
    if weights is None and not path.is_file():
        what = " ".join(filter(None, (kind.name, "of", system, size, variant)))
        raise InputError(f"weights of {what}", "none in the package", "a file that talkface train made")
    return kind.load(path)


def describe(names: Sequence[str], sizes: Sequence[str] = SIZES) -> dict[str, Any]:
    """Networks with their parameter counts, weights with their origin.

    Networks are built without memory behind them, so the large ones cost nothing.

    Returns
    -------
    ``{system: {size: {"networks": {name: count}, "weights": [{"part", "variant", "file", "bytes",
    "record"}]}}}``. A network of a variant is listed as ``name_variant``.
    """
    import torch

    from talkface_lite.systems.part import read_weights, shipped_weights

    about: dict[str, Any] = {}
    for name in names:
        system, about[name] = system_class(name), {}
        for size in sizes:
            networks, weights = {}, []
            for variant in ("", *system.variants):
                changes = system.variants[variant] if variant else system.shipped
                for part in system.parts:
                    if variant and part.name not in changes:
                        continue
                    with torch.device("meta"):
                        counts = part.of_size(size, **changes.get(part.name, {})).parameter_counts()
                    ending = f"_{variant}" if variant else ""
                    networks |= {key + ending: count for key, count in counts.items()}
                    path = shipped_weights(name, part.name, size, variant)
                    if path.is_file():
                        record = read_weights(path)[0]["record"]
                        told = {"part": part.name, "variant": variant, "file": path.name}
                        weights.append(told | {"bytes": path.stat().st_size, "record": record})
            about[name][size] = {"networks": networks, "weights": weights}
    return about


def describe_file(path: str | os.PathLike) -> dict[str, Any]:
    """What is in a file of weights.

    Returns
    -------
    ``file``, ``bytes``; ``parts``: of each ``system``, ``part``, ``config`` and ``record``; ``record``: how
    several were made together, empty for one.

    Raises
    ------
    InputError
        When it is missing or is no such file.
    """
    from talkface_lite.systems.weights_file import read_parts

    parts, record = read_parts(path)
    told = [
        {name: one.about.get(name, {}) for name in ("system", "part", "config", "record")} for one in parts
    ]
    return {"file": str(path), "bytes": os.stat(path).st_size, "parts": told, "record": record}
