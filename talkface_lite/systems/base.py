"""What every system is: networks, losses, one training step, generate; saved to one file without pickle."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn
from torch.optim import Optimizer

from talkface_lite.data.dataset import Batch
from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.networks.layers import count_parameters

FORMAT = "talkface_lite system 1"


class Stretch(NamedTuple):
    """Some frames of a film that is being made.

    Parameters
    ----------
    landmarks:
        float32 ``(n, 68, 2)``, pixels of the aligned 128×128 crop.
    frames:
        uint8 RGB ``(n, 128, 128, 3)``: the face as the network gives it.
    colour:
        float32 ``(n, 128, 128, 3)`` in [-1, 1]: what it painted.
    alpha:
        float32 ``(n, 128, 128)`` in [0, 1]: where; elsewhere it copied the photograph.
    """

    landmarks: np.ndarray
    frames: np.ndarray
    colour: np.ndarray
    alpha: np.ndarray


class System(nn.Module, ABC):
    """One paper: its networks, its losses, one training step, and :meth:`generate`.

    A subclass holds each network as an attribute named in :attr:`network_names`, so that the trainer can
    place and wrap them one by one, and its configuration as a frozen dataclass in ``config``.
    """

    name: ClassVar[str]
    """The word that the command line knows it by."""
    network_names: ClassVar[tuple[str, ...]]
    """Attributes that are networks."""

    config: Any

    started = False
    """Whether :meth:`start_from` gave it weights, and with them what :meth:`prepare` would fix anew."""

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Every loss term by name; ``"loss"`` is the one that is minimised."""

    @abstractmethod
    def generate(self, *inputs: np.ndarray) -> np.ndarray:
        """What the networks are for: landmarks ``(T, 68, 2)``, or pictures uint8 ``(T, H, W, 3)``."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A system with fresh weights from what ``asdict(system.config)`` gave."""

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Take what must be fixed from the training set before the first step (means, deviations)."""

    def optimizers(self, learning_rate: float, betas: tuple[float, float]) -> dict[str, Optimizer]:
        """One Adam over everything; a system with adversaries gives one for each side."""
        return {"adam": adam(self, learning_rate, betas)}

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

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name, those that are there."""
        found = ((name, getattr(self, name)) for name in self.network_names)
        return {name: network for name, network in found if network is not None}

    def parameter_counts(self) -> dict[str, int]:
        """Trainable numbers of each network."""
        return {name: count_parameters(network) for name, network in self.networks().items()}

    def save(self, path: str | os.PathLike, record: Mapping[str, Any] | None = None) -> Path:
        """Write weights and configuration to one file, whole or not at all.

        Parameters are stored in half precision, buffers (running means, the shape basis) as they are.

        Parameters
        ----------
        path:
            A ``.safetensors`` file.
        record:
            How the weights were made: anything that JSON can hold.
        """
        parameters = {name for name, _ in self.named_parameters()}
        tensors = {
            name: (value.half() if name in parameters else value).detach().cpu().contiguous()
            for name, value in self.state_dict().items()
        }
        about = {"format": FORMAT, "system": self.name, "config": asdict(self.config), "record": record or {}}
        metadata = {"talkface_lite": json.dumps(about, sort_keys=True)}
        return write_atomically(path, to_safetensors(tensors, metadata))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a system written by :meth:`save`, in evaluation mode.

        Raises
        ------
        InputError
            When the file is missing, broken, or holds another system.
        """
        about, tensors = read_weights(path)
        if about["system"] != cls.name:
            raise InputError(path, f"weights of {about['system']!r}", f"weights of {cls.name!r}")
        try:
            system = cls.from_config(about["config"])
            system.load_state_dict(tensors)
        except (RuntimeError, TypeError, KeyError) as error:
            raise InputError(path, f"weights that do not fit ({error})", f"a {cls.name} system") from error
        return system.eval()

    def start_from(self, path: str | os.PathLike) -> None:
        """Take the weights of a file for every network that both have; the others stay as they are.

        What the networks standardise their input by comes along, and training leaves it so.

        Raises
        ------
        InputError
            When the file is missing or broken, is of another system, or a network in it has other widths.
        """
        about, tensors = read_weights(path)
        if about["system"] != self.name:
            raise InputError(path, f"weights of {about['system']!r}", f"weights of {self.name!r}")
        for name, network in self.networks().items():
            found = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            if not found:
                continue
            try:
                network.load_state_dict(found)
            except RuntimeError as error:
                raise InputError(path, f"{name} of other widths", f"the {name} asked for") from error
        self.started = True


def adam(network: nn.Module, learning_rate: float, betas: tuple[float, float]) -> Optimizer:
    """Adam over everything in a network, in one pass over memory: ``m``, ``v`` and the weights at once."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, fused=True)


def plain_module(module: nn.Module) -> nn.Module:
    """The network inside the wrappers that training on several devices puts around it."""
    while isinstance(getattr(module, "module", None), nn.Module):
        module = module.module
    return module


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a weights file says about itself (``system``, ``config``, ``record``), and its tensors.

    Raises
    ------
    InputError
        When the file is missing or is not a weights file of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "weights (.safetensors)")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("talkface_lite", "{}"))
            if about.get("format") != FORMAT:
                raise InputError(path, "a file of another kind", f"'{FORMAT}'")
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, json.JSONDecodeError, OSError, AttributeError) as error:
        raise InputError(path, f"an unreadable file ({error})", "weights (.safetensors)") from error
