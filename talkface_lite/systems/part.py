"""A part of a system: one training run, one weights file."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from talkface_lite.clip import Clip
from talkface_lite.data.needs import Batch, Needs
from talkface_lite.errors import InputError
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.sizes import SIZES
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.config import from_json, of_size
from talkface_lite.systems.weights_file import (
    FORMAT,
    Packed,
    read_parts,
    read_weights,
    whose,
    write_parts,
    write_weights,
)

if TYPE_CHECKING:
    from talkface_lite.systems.training_settings import TrainingSettings

__all__ = [
    "FORMAT",
    "NoSettings",
    "Part",
    "Weights",
    "Workload",
    "adam",
    "plain_module",
    "read_parts",
    "read_weights",
    "save_parts",
    "shipped_weights",
    "weights_files",
    "whose",
]

Weights = str | os.PathLike | Sequence[str | os.PathLike] | None
"""A file, several, or the package's own."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """For a part or a system that has none."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Ways to do the same thing that are to be timed in turns.

    Parameters
    ----------
    frames:
        Of the film that each of them makes.
    operations:
        Multiplications and additions of the plain way.
    ways:
        By name; the first is the one in use.
    precision:
        Of each way, ``"32"`` or ``"bf16"``: what its share of the matrix product is of.
    about:
        What else is known about them: figures, the origin of the weights.
    """

    class Wanted(NamedTuple):
        """What is asked for: a size, a device, how often each way will be timed, training steps or films."""

        size: str
        device: str
        repeats: int
        training: bool

    frames: int
    operations: int
    ways: Mapping[str, Callable[[], object]]
    precision: Mapping[str, str]
    about: Mapping[str, Any] = field(default_factory=dict)


class Part(nn.Module, ABC):
    """One training run and one weights file: networks, losses, one training step, what a batch must hold.

    A subclass holds each network as an attribute named in :attr:`network_names`, so that the trainer can
    place and wrap them one by one. A network that is only asked, such as a frozen lip reader, is held under
    any other name.

    Parameters
    ----------
    config:
        An instance of :attr:`config_class`.
    """

    system: ClassVar[str]
    """The system that it is a part of."""
    name: ClassVar[str]
    """The word on the command line, in file names and in weights files."""
    config_class: ClassVar[type] = NoSettings
    """A frozen dataclass: its fields are flags of ``talkface train``, its docstring is their help. A field
    that is itself the dataclass of a network is built to the size that is asked for."""
    network_names: ClassVar[tuple[str, ...]]
    """Attributes that are trained networks."""
    kept: ClassVar[tuple[str, ...] | None] = None
    """Networks that the weights file holds; None: all."""
    needs: Needs = Needs()
    """What it wants to find in a batch."""
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Training settings that are other than those of
    :class:`~talkface_lite.systems.training_settings.TrainingSettings`."""
    figure: ClassVar[str] = "loss"
    """Which figure of :meth:`~talkface_lite.systems.part.Part.held_out` says how good it is; the lower the
    better."""
    adapting: ClassVar[Adapting | None] = Adapting()
    """How it learns from half a minute of one person; None: it does not."""
    formerly: ClassVar[str] = ""
    """The name of the system in weights files from before parts had names."""

    config: Any

    started: str = ""
    """Fingerprint of the file that :meth:`start_from` took weights from, and with them what :meth:`prepare`
    would fix anew."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def of_size(cls, size: str, **settings: Any) -> Self:
        """With fresh weights; settings as for :func:`talkface_lite.systems.config.of_size`."""
        if size not in SIZES:
            raise InputError("size", repr(size), " or ".join(SIZES))
        return cls(of_size(cls.config_class, size, **settings))

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Every loss term by name; ``"loss"`` is the one that is minimised."""

    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """Figures of a batch of held-out clips, the network in evaluation mode; :attr:`figure` is one."""
        return self.losses(batch)

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Take what must be fixed from the training set before the first step (means, deviations)."""

    def finish(self, clips: Iterable[Clip]) -> None:
        """Measure what can be measured once all is learned, on clips that its recipe names; most have nothing
        to."""

    def optimizers(self, settings: "TrainingSettings") -> dict[str, Optimizer]:
        """One Adam over all networks; a part with adversaries gives one for each side.

        Each has its own rate and betas: a schedule scales the rate that each began with.
        """
        networks = nn.ModuleList(self.networks().values())
        return {"adam": adam(networks, settings.learning_rate, settings.betas)}

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update from one batch; returns the losses, detached."""
        losses = self.losses(batch)
        for optimizer in optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        backward(losses["loss"])
        for optimizer in optimizers.values():
            optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """In evaluation mode inside, and afterwards in the mode it was in, whatever happened.

        Of gradients it says nothing: a generator that turned them off here would turn them off for whoever
        takes from it, too. ``torch.inference_mode()`` as a decorator does not.
        """
        was_training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(was_training)

    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained, by name, those that are there."""
        found = ((name, getattr(self, name)) for name in self.network_names)
        return {name: network for name, network in found if network is not None}

    def parameter_counts(self) -> dict[str, int]:
        """Trainable numbers of each network."""
        return {name: count_parameters(network) for name, network in self.networks().items()}

    def save(self, path: str | os.PathLike, record: Mapping[str, Any] | None = None) -> Path:
        """Write weights and configuration to one file, whole or not at all.

        Parameters are stored in half precision, buffers (running means, a shape basis) as they are.

        Parameters
        ----------
        path:
            A ``.safetensors`` file.
        record:
            How the weights were made: anything that JSON can hold.
        """
        return write_weights(path, self.packed(record))

    def packed(self, record: Mapping[str, Any] | None = None) -> Packed:
        """What :meth:`save` writes."""
        left_out = () if self.kept is None else tuple(set(self.networks()) - set(self.kept))
        parameters = {name for name, _ in self.named_parameters()}
        tensors = {
            name: value.half() if name in parameters else value
            for name, value in self.state_dict().items()
            if name.split(".")[0] not in left_out
        }
        about = {"system": self.system, "part": self.name, "config": asdict(self.config)}
        return Packed(about | {"record": record or {}}, tensors)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a part written by :meth:`save` or :func:`save_parts`, in evaluation mode, on the CPU.

        A network that the file was not given (:attr:`kept`) has fresh weights.

        Raises
        ------
        InputError
            When the file is missing, broken, or holds another part.
        """
        return cls.unpacked(cls.packed_in(path), path)

    @classmethod
    def unpacked(cls, packed: Packed, path: str | os.PathLike) -> Self:
        """As :meth:`load`, from what was read already; ``path`` is for the message of an error."""
        try:
            part = cls.from_config(packed.about["config"])
            missing, unexpected = part.load_state_dict(packed.tensors, strict=False)
            forgiven = () if cls.kept is None else tuple(set(part.networks()) - set(cls.kept))
            missing = [name for name in missing if name.split(".")[0] not in forgiven]
            if missing or unexpected:
                raise KeyError(f"no {missing[0]}" if missing else f"{unexpected[0]} unknown")
        except (RuntimeError, TypeError, KeyError, ValueError) as error:
            raise InputError(
                path, f"weights that do not fit ({error})", f"{cls.name} of {cls.system}"
            ) from error
        return part.eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """With fresh weights, from what ``asdict(part.config)`` gave."""
        return cls(from_json(cls.config_class, config))

    def changed(self, **settings: Any) -> Self:
        """A copy with other settings; what both have keeps its weights, the rest has fresh ones."""
        other = type(self).from_config(asdict(replace(self.config, **settings)))
        known = other.state_dict().keys()
        other.load_state_dict({k: v for k, v in self.state_dict().items() if k in known}, strict=False)
        return other

    @classmethod
    def packed_in(cls, path: str | os.PathLike) -> Packed:
        """This part as it lies in a file, alone or among others of its system.

        Raises
        ------
        InputError
            When the file is missing or broken, or this part is not in it.
        """
        there, _ = read_parts(path)
        for packed in there:
            if cls.is_in(packed.about):
                return packed
        got = " and ".join(whose(packed.about) for packed in there)
        raise InputError(path, f"weights of {got}", f"weights of {cls.name!r} of {cls.system!r}")

    @classmethod
    def is_in(cls, about: Mapping[str, Any]) -> bool:
        """Whether a weights file, by what it says about itself, is this part's."""
        if "part" in about:
            return (about.get("system"), about["part"]) == (cls.system, cls.name)
        return bool(cls.formerly) and about.get("system") == cls.formerly

    def start_from(self, path: str | os.PathLike) -> None:
        """Take the weights of a file for every network that both have; the others stay as they are.

        What the networks standardise their input by comes along, and training leaves it so.

        Raises
        ------
        InputError
            When the file is missing or broken, is of another part, or a network in it has other widths.
        """
        _, tensors = self.packed_in(path)
        for name, network in self.networks().items():
            found = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            if not found:
                continue
            try:
                network.load_state_dict(found)
            except RuntimeError as error:
                raise InputError(path, f"{name} of other widths", f"the {name} asked for") from error
        self.started = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload | None:
        """What ``talkface bench`` is to time of it; films of the whole system are timed anyway.

        Returns
        -------
        For training its own step on drawn clips, at its own settings; otherwise None, for nothing.
        """
        if not wanted.training:
            return None
        from talkface_lite.systems.timing import own_step

        return own_step(cls, wanted)


def save_parts(
    path: str | os.PathLike,
    parts: Sequence[tuple[Part, Mapping[str, Any]]],
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write several parts of a system, each with its record, to one file, whole or not at all.

    Parameters
    ----------
    path:
        A ``.safetensors`` file.
    parts:
        Each part at most once, with how it was made.
    record:
        How they were made together: anything that JSON can hold.
    """
    return write_parts(path, [part.packed(record) for part, record in parts], record or {})


def weights_files(weights: Weights) -> list[Path]:
    """The files that are meant, always a list."""
    if weights is None:
        return []
    return [Path(weights)] if isinstance(weights, str | os.PathLike) else [Path(path) for path in weights]


def shipped_weights(system: str, part: str, size: str = "lite", variant: str = "") -> Path:
    """Where the package keeps the weights of a part; the file need not exist."""
    name = "_".join(filter(None, (system, part.replace("-", "_"), size, variant)))
    return Path(str(files("talkface_lite") / "weights" / f"{name}.safetensors"))


def adam(network: nn.Module, learning_rate: float, betas: tuple[float, float]) -> Optimizer:
    """Adam over everything in a network, in one pass over memory: ``m``, ``v`` and the weights at once."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, fused=True)


def plain_module(module: nn.Module) -> nn.Module:
    """The network inside the wrappers that training on several devices puts around it."""
    while isinstance(getattr(module, "module", None), nn.Module):
        module = module.module
    return module
