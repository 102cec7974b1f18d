"""The conditional recurrent adversarial network (Song et al., IJCAI 2019)."""

from talkface_lite.systems.recurrent.config import GeneratorPartConfig
from talkface_lite.systems.recurrent.generator import GeneratorPart
from talkface_lite.systems.recurrent.lip_discriminator import LipDiscriminatorPart, LipDiscriminatorPartConfig
from talkface_lite.systems.recurrent.system import RecurrentSettings, RecurrentSystem

__all__ = [
    "GeneratorPart",
    "GeneratorPartConfig",
    "LipDiscriminatorPart",
    "LipDiscriminatorPartConfig",
    "RecurrentSettings",
    "RecurrentSystem",
]
