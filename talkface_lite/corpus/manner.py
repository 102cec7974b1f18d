"""How a person moves the mouth, and how the mouth stands when nothing is said."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from talkface_lite.corpus.identity import Identity

ORDINARY = 1.3
"""Median of how much people move the mouth. The visemes' numbers are those of one quiet speaker."""
SPREAD = 0.25
"""Standard deviation of its logarithm: from mumblers to actors."""
CHANNEL_MEDIAN = np.array([1, 1.5, 1.2, 1, 1, 1, 1])
"""The same for each channel: a fit by least squares makes the least of what it predicts least, the width."""
LEAST, MOST = 0.55, 2.0
CHANNEL_SPREAD = np.array([0.12, 0.25, 0.45, 0.2, 0.2, 0, 0])
"""The same for each channel beside it; some people round their lips far more than others."""
RESTS = ("closed", "parted", "smile", "open")
"""How mouths stand when nothing is said."""
REST_SHARES = (0.45, 0.25, 0.2, 0.1)
"""How many photographs show which mouth."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Manner:
    """The mouth of a person in a clip, beside what is said.

    Parameters
    ----------
    strength:
        ``(7,)`` factors on what each channel of :data:`talkface_lite.corpus.visemes.CHANNELS` does.
    rest:
        ``(7,)``: the channels when nothing is said.
    at_rest:
        One of :data:`RESTS`, which the rest was drawn as.
    """

    strength: np.ndarray
    rest: np.ndarray
    at_rest: str

    @classmethod
    def draw(cls, identity: Identity, seed: int) -> Self:
        """The strength is the person's, the rest the clip's: who smiles in one may not in another.

        Parameters
        ----------
        identity:
            Whose mouth.
        seed:
            Of the clip.
        """
        own = np.random.default_rng([identity.seed, 0x57E1])
        channels = CHANNEL_MEDIAN * np.exp(CHANNEL_SPREAD * own.standard_normal(7))
        rng = np.random.default_rng([seed, 0x4E57])
        kind = RESTS[int(rng.choice(len(RESTS), p=REST_SHARES))]
        return cls(
            strength=np.clip(style_of(identity) * channels, 0.3, 3), rest=_rest(kind, rng), at_rest=kind
        )


def style_of(identity: Identity) -> float:
    """How much a person moves the mouth, in all clips: 0.55 to 2, mostly about 1.3."""
    drawn = np.random.default_rng([identity.seed, 0x57E0]).normal(np.log(ORDINARY), SPREAD)
    return float(np.clip(np.exp(drawn), LEAST, MOST))


def _rest(kind: str, rng: np.random.Generator) -> np.ndarray:
    jaw = width = upper = lower = teeth = 0.0
    if kind == "parted":
        jaw, upper, lower = rng.uniform(0, (0.12, 0.3, 0.3))
        teeth = rng.uniform(0, 0.5)
    elif kind == "smile":
        width, upper = rng.uniform((0.3, 0.0), (1.0, 0.7))
        jaw, lower, teeth = rng.uniform((0, 0, 0.5), (0.16, 0.4, 1))
    elif kind == "open":
        jaw, width, upper = rng.uniform((0.1, -0.2, 0), (0.5, 0.4, 0.4))
        teeth = rng.uniform(0, 0.6)
    return np.array([jaw, width, 0, upper, lower, 0, teeth])
