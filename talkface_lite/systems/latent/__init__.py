"""Latent matching (Yadav et al., Interspeech 2020): one speech, many faces."""

from talkface_lite.systems.latent.config import LatentMatchingPartConfig
from talkface_lite.systems.latent.part import LatentMatchingPart
from talkface_lite.systems.latent.system import LatentMatchingSettings, LatentMatchingSystem

__all__ = [
    "LatentMatchingPart",
    "LatentMatchingPartConfig",
    "LatentMatchingSettings",
    "LatentMatchingSystem",
]
