"""The conditional recurrent network as it talks (Song et al., IJCAI 2019)."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch

from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.networks.fast_recurrent import for_inference
from talkface_lite.speech import mfcc_stretches
from talkface_lite.systems.base import Face, Stretch, System
from talkface_lite.systems.filmed import stretch_of
from talkface_lite.systems.part import Part
from talkface_lite.systems.recurrent.config import CHUNK_FRAMES, SHIPPED
from talkface_lite.systems.recurrent.generator import GeneratorPart
from talkface_lite.systems.recurrent.lip_discriminator import LipDiscriminatorPart


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings:
    """How the conditional recurrent network talks.

    Parameters
    ----------
    still_head:
        Refused: what a film does with the head comes out of the same memory as the lips.
    """

    still_head: bool = False

    def __post_init__(self) -> None:
        if self.still_head:
            raise InputError(
                "--still-head", "the recurrent network", "to be left out: head and lips are in one memory"
            )


class RecurrentSystem(System):
    """Speech and a photograph through one memory to pictures; no landmarks."""

    name: ClassVar[str] = "recurrent"
    parts: ClassVar[tuple[type[Part], ...]] = (GeneratorPart, LipDiscriminatorPart)
    settings_class: ClassVar[type] = RecurrentSettings
    shipped: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"recurrent-generator": SHIPPED})

    @property
    def generator(self) -> GeneratorPart:
        """The part that makes films."""
        return self.part("recurrent-generator")

    @torch.inference_mode()
    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """As for every system; nothing is drawn."""
        part, state = self.generator, None
        device = part.updates.device
        with part.evaluating():
            seen = part.generator.look(to_network(torch.tensor(face.picture)[None].to(device)))
            for windows in mfcc_stretches(speech, CHUNK_FRAMES, rows=part.needs.rows):
                mfcc = torch.from_numpy(windows)[None].to(device)
                made, _, state = part.generator(seen, mfcc, state)
                yield stretch_of(made)

    def for_inference(self, precision: str = "auto") -> Self:
        """With a copy of its generator that is faster, see
        :func:`talkface_lite.networks.fast_recurrent.for_inference`."""
        fast = copy.copy(self.generator)  # the configuration is shared, the networks are not
        fast._modules = {"generator": for_inference(self.generator.generator, precision)}
        return type(self)({fast.name: fast.eval()}, self.settings)

    @property
    def how(self) -> str:
        """Its scheme, and how much of the sound a frame hears."""
        config = self.generator.config.generator
        return f"{config.scheme}, {10 * config.rows} ms of sound to a frame"
