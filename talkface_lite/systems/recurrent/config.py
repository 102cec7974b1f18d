"""Settings of the conditional recurrent network's generator and of those that teach it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from talkface_lite.errors import InputError
from talkface_lite.networks.lip_reader import LipReaderConfig
from talkface_lite.networks.recurrent_discriminators import DiscriminatorsConfig
from talkface_lite.networks.recurrent_generator import RecurrentGeneratorConfig
from talkface_lite.systems.config import above_zero, not_negative, one_of

SHIPPED: Mapping[str, Any] = MappingProxyType(
    {"batch_norm": True, "normalised": True, "around": True, "warp": True}
)
"""How the generator of the package's weights is wired, other than in the paper."""

CHUNK_FRAMES = 16
"""Frames that are painted at once when it talks: bounded memory for any speech, and maps that a processor's
cache can hold."""

LipLoss = Literal["uniform", "released", "paper", "fixed"]


@dataclass(frozen=True, kw_only=True)
class GeneratorPartConfig:
    """Settings of the generator and its discriminators.

    Parameters
    ----------
    generator:
        Widths and scheme.
    discriminators:
        Widths of the critics of pictures and films; None: neither.
    lip_discriminator:
        Widths of the lip-reading discriminator; None: no such. Where the package's own has these widths it
        begins with that one's weights.
    reconstruction_weight:
        Of Eq. 1, the L1 that the paper gives weight 1. 0 paints nothing: sound and photograph learn by
        ``landmark_weight`` alone, and no critic is asked.
    image_weight, video_weight, lip_weight:
        λ of Eq. 5. The paper has 1e-3, 1e-2 and 1e-3, the released code 2e-3 for the image. 0: no such
        critic.
    discriminators_from, lips_from:
        Updates of reconstruction alone before the critics join, and the lip reader. The paper trains so many
        epochs of each.
    discriminator_rate:
        Of all critics; None takes the generator's, as the paper does. The released code has 1e-3.
    lip_loss:
        How the lip reader learns meanwhile, see :func:`talkface_lite.losses.lip_reading_loss`.
    teacher_forcing:
        Where frames are fed back: the share that is seen as it truly is. The released code has a half.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in Eq. 1; 0 is the paper's.
    landmark_weight:
        Ours: factor of the error of a :class:`~talkface_lite.networks.landmark_reader.LandmarkReader`, which
        reads off what the memory holds how far landmarks are from the photograph's. It learns with the others
        and no film needs it. By pictures alone what is said arrives very late, or never.
    landmark_ridge:
        px²: how small a movement of landmarks may be and still count in that error, see there.
    painted:
        Ours: paint so many frames of each window in an update, and take them for all: the decoder is what
        takes time. Drawn at random, and once a critic has joined one after the other. None paints all.
    """

    generator: RecurrentGeneratorConfig = field(default_factory=RecurrentGeneratorConfig)
    discriminators: DiscriminatorsConfig | None = field(default_factory=DiscriminatorsConfig)
    lip_discriminator: LipReaderConfig | None = field(default_factory=LipReaderConfig)
    reconstruction_weight: float = 1.0
    image_weight: float = 1e-3
    video_weight: float = 1e-2
    lip_weight: float = 1e-3
    discriminators_from: int = 0
    lips_from: int = 0
    discriminator_rate: float | None = None
    lip_loss: LipLoss = "uniform"
    teacher_forcing: float = 0.5
    mouth_weight: float = 0.0
    landmark_weight: float = 0.0
    landmark_ridge: float = 1.0
    painted: int | None = None

    def __post_init__(self) -> None:
        not_negative(
            self,
            "reconstruction_weight",
            "image_weight",
            "video_weight",
            "lip_weight",
            "discriminators_from",
            "lips_from",
            "mouth_weight",
            "landmark_weight",
        )
        above_zero(self, "discriminator_rate", optional=True)
        if not self.landmark_ridge > 0:
            raise InputError("landmark_ridge", self.landmark_ridge, "above 0")
        one_of(self, "lip_loss", LipLoss)
        if not 0 <= self.teacher_forcing <= 1:
            raise InputError("teacher_forcing", self.teacher_forcing, "0 to 1")
        if self.painted is not None and self.painted < 1:
            raise InputError("painted", self.painted, "at least 1 frame")
        if self.painted is not None and self.generator.in_turn:
            raise InputError(
                "painted", f"given in the scheme {self.generator.scheme!r}", "None: each is seen"
            )
        if not (self.reconstruction_weight or self.landmark_weight):
            raise InputError("reconstruction_weight and landmark_weight", "0", "something to learn from")
