"""Settings of latent matching's part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from talkface_lite.errors import InputError
from talkface_lite.networks.latent_matching import LatentMatchingConfig
from talkface_lite.systems.config import not_negative, one_of

KLMoves = Literal["both", "audio", "frames"]

SHIPPED: Mapping[str, Any] = MappingProxyType(
    {
        "sees": "first",
        "photo_prior": True,
        "first_logvar": -4.0,
        "gain": 3.0,
        "normalised": True,
        "around": True,
        "warp": True,
    }
)
"""How the networks of the package's weights are wired, other than in the paper."""


@dataclass(frozen=True, kw_only=True)
class LatentMatchingPartConfig:
    """Settings of latent matching.

    Parameters
    ----------
    latent_matching:
        Widths, and what is wired to what.
    reconstruction_weight:
        λ of Eq. 2: factor of the squared error, *averaged* over the numbers of a picture, colours 0 to 1. 0
        paints nothing: the audio posterior alone learns to say what the frames' says. With β at 0, too, it
        learns by ``landmark_weight`` alone, and no frame is looked at.
    beta:
        β of Eq. 2: factor of the KL divergence, *summed* over the numbers of z, in nats. Both terms are means
        over the frames. With the paper's 1e-6 and 49,152 numbers in a picture, a nat weighs as much as a
        squared error of 0.05 *summed* over the picture.
    beta_warmup:
        Ours: updates over which β grows from 0.
    kl_moves:
        Which posterior the divergence moves: "both", the paper's; "audio" takes the frames' for a fixed aim,
        "frames" the sound's.
    teacher_forcing:
        Where x_{t-1} is seen: the share of frames that see the true one while learning. The released code's
        is 1; the others see what was painted.
    teacher_forcing_until:
        Updates over which that share falls to 0; 0: it stays.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in the squared error; 0 is the paper's. Landmarks
        are asked for here and nowhere else.
    motion_weight:
        Ours: how much more the error counts that changes from frame to frame of a film. The squared error
        of some frames is that of their mean and that of what each differs from it by; the second is how the
        film moves, small beside the first where a decoder first learns to copy a face. It asks for no
        landmarks.
    spoken_weight:
        Ours: how much the squared error counts of the frames that the *means* of the audio posterior give,
        beside that of draws from the frames'. Eq. 2 never paints what the sound says, and a film is made of
        nothing else; both together are the hybrid objective of Sohn, Lee, Yan (NIPS 2015).
    landmark_weight:
        Ours: factor of the error of a
        :class:`~talkface_lite.networks.landmark_reader.LandmarkReader`, which reads off the code of a frame
        how far landmarks are from the photograph's. It learns with the others and no film needs it. It tells
        the encoder of small things, lids, brows, lips, long before the picture does, and of every frame of a
        window, painted or not.
    landmark_ridge:
        px²: how small a movement of landmarks may be and still count in that error, see there. At 1 lids
        count as lips do; far above, error is measured in pixels: lips and the turn of a head are all of it.
    painted:
        Ours: paint so many frames of each window in an update, drawn at random, and take them for all: the
        decoder is what takes time. None paints all.
    """

    latent_matching: LatentMatchingConfig = field(default_factory=LatentMatchingConfig)
    reconstruction_weight: float = 1.0
    beta: float = 1e-6
    beta_warmup: int = 0
    kl_moves: KLMoves = "both"
    teacher_forcing: float = 1.0
    teacher_forcing_until: int = 0
    mouth_weight: float = 0.0
    motion_weight: float = 0.0
    spoken_weight: float = 0.0
    landmark_weight: float = 0.0
    landmark_ridge: float = 1.0
    painted: int | None = None

    def __post_init__(self) -> None:
        not_negative(
            self,
            "reconstruction_weight",
            "beta",
            "beta_warmup",
            "teacher_forcing_until",
            "mouth_weight",
            "motion_weight",
            "spoken_weight",
            "landmark_weight",
        )
        if not self.landmark_ridge > 0:
            raise InputError("landmark_ridge", self.landmark_ridge, "above 0")
        one_of(self, "kl_moves", KLMoves)
        if not 0 <= self.teacher_forcing <= 1:
            raise InputError("teacher_forcing", self.teacher_forcing, "0 to 1")
        if self.painted is not None and self.painted < 1:
            raise InputError("painted", self.painted, "at least 1 frame")
        both = self.teacher_forcing == 1 and not self.teacher_forcing_until
        if self.latent_matching.sees == "first" and not both:
            raise InputError("teacher_forcing", "given, where the photograph is seen", "x_{t-1} to be seen")
        if self.spoken_weight and not both:
            raise InputError("spoken_weight", "given with less than full teaching", "teacher_forcing 1")
        if not (self.reconstruction_weight or self.beta or self.landmark_weight):
            raise InputError(
                "reconstruction_weight, beta and landmark_weight", "0", "something to learn from"
            )
        if self.spoken_weight and not self.reconstruction_weight:
            raise InputError("spoken_weight", "given, where nothing is painted", "a reconstruction_weight")
