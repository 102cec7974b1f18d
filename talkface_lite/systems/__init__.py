"""A paper is a system: its networks, its losses, one training step, and generate."""

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.networks.vg_net import VGNetConfig
from talkface_lite.systems.atvg.at_net import ATVG, ATVGConfig
from talkface_lite.systems.atvg.vg_net import ATVGVideo, ATVGVideoConfig
from talkface_lite.systems.base import System, read_weights

SYSTEMS: tuple[type[System], ...] = (ATVG,)
"""The systems that are built so far."""

SIZES = ("lite", "full")

__all__ = [
    "ATVG",
    "SIZES",
    "SYSTEMS",
    "ATVGConfig",
    "ATVGVideo",
    "ATVGVideoConfig",
    "System",
    "build",
    "build_video",
    "describe",
    "load",
    "load_video",
    "read_weights",
    "shipped_video_weights",
    "shipped_weights",
    "system_class",
]


def system_class(name: str) -> type[System]:
    """The class of the system with this name.

    Raises
    ------
    InputError
        When there is none.
    """
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise InputError("system", repr(name), " or ".join(system.name for system in SYSTEMS))


def build(name: str, size: str = "lite", *, recurrent: bool = True, **options: object) -> System:
    """A system with fresh weights.

    Parameters
    ----------
    name, size:
        Which system; ``lite`` or ``full``.
    recurrent:
        False: AT-net without its LSTM.
    **options:
        Further settings of the system; for ``atvg`` ``loss``, ``mouth_weight`` and ``shape_pca``.
    """
    system_class(name)
    shape_pca = options.pop("shape_pca", None)
    at_net = ATNetConfig.of_size(size, recurrent=recurrent)
    return ATVG(ATVGConfig(at_net=at_net, **options), shape_pca)


def shipped_weights(name: str, size: str = "lite", *, recurrent: bool = True) -> Path:
    """Where the package keeps the weights of a system; the file need not exist."""
    system_class(name)
    variant = "" if recurrent else "_no_lstm"
    return Path(str(files("talkface_lite") / "weights" / f"{name}_at_net_{size}{variant}.safetensors"))


def load(
    name: str, size: str = "lite", *, weights: str | os.PathLike | None = None, recurrent: bool = True
) -> System:
    """A trained system, in evaluation mode, on the CPU.

    Parameters
    ----------
    name, size, recurrent:
        As for :func:`build`.
    weights:
        A file that training wrote; None takes the package's own.

    Raises
    ------
    InputError
        When there are no such weights.
    """
    path = Path(weights) if weights is not None else shipped_weights(name, size, recurrent=recurrent)
    if weights is None and not path.is_file():
        what = f"{name} {size}" + ("" if recurrent else " without LSTM")
        raise InputError(
            f"weights of {what}", "none in the package", "--weights FILE (talkface train makes one)"
        )
    return system_class(name).load(path)


def build_video(
    name: str = "atvg", size: str = "lite", *, discriminator: bool = True, **options: object
) -> ATVGVideo:
    """The half of a system that makes pictures, with fresh weights.

    Parameters
    ----------
    name, size:
        Which system; ``lite`` or ``full``.
    discriminator:
        False: VG-net alone.
    **options:
        Settings of :class:`~talkface_lite.systems.atvg.vg_net.ATVGVideoConfig`, and ``recurrence``,
        ``landmark_attention``, ``pixel_attention``, ``dropout`` of
        :class:`~talkface_lite.networks.vg_net.VGNetConfig`.
    """
    system_class(name)
    ours = {k: options.pop(k) for k in list(options) if k in VGNetConfig.__dataclass_fields__}
    judge = RegressionDiscriminatorConfig.of_size(size) if discriminator else None
    config = ATVGVideoConfig(vg_net=VGNetConfig.of_size(size, **ours), discriminator=judge, **options)
    return ATVGVideo(config)


def shipped_video_weights(name: str = "atvg", size: str = "lite") -> Path:
    """Where the package keeps the weights that make a system's pictures; the file need not exist."""
    system_class(name)
    return Path(str(files("talkface_lite") / "weights" / f"{name}_vg_net_{size}.safetensors"))


def load_video(
    name: str = "atvg", size: str = "lite", *, weights: str | os.PathLike | None = None
) -> ATVGVideo:
    """The trained half of a system that makes pictures, in evaluation mode, on the CPU.

    Raises
    ------
    InputError
        When there are no such weights.
    """
    path = Path(weights) if weights is not None else shipped_video_weights(name, size)
    if weights is None and not path.is_file():
        raise InputError(
            f"weights of VG-net {size}", "none in the package", "--weights FILES (talkface train makes them)"
        )
    return ATVGVideo.load(path)


def describe(names: Sequence[str], sizes: Sequence[str] = SIZES) -> dict[str, Any]:
    """Networks with their parameter counts, weights with their origin: ``{name: {size: ...}}``.

    Networks are built without memory behind them, so the large ones cost nothing.
    """
    about: dict[str, Any] = {}
    for name in names:
        about[name] = {}
        for size in sizes:
            networks, weights = {}, []
            for recurrent in (True, False):
                with torch.device("meta"):
                    counts = build(name, size, recurrent=recurrent).parameter_counts()
                networks |= {key + ("" if recurrent else "_no_lstm"): count for key, count in counts.items()}
                path = shipped_weights(name, size, recurrent=recurrent)
                if path.is_file():
                    record = read_weights(path)[0]["record"]
                    weights.append({"file": path.name, "bytes": path.stat().st_size, "record": record})
            with torch.device("meta"):
                networks |= build_video(name, size).parameter_counts()
            path = shipped_video_weights(name, size)
            if path.is_file():
                record = read_weights(path)[0]["record"]
                weights.append({"file": path.name, "bytes": path.stat().st_size, "record": record})
            about[name][size] = {"networks": networks, "weights": weights}
    return about
