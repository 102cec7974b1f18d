"""The conditional recurrent adversarial network (Song et al., IJCAI 2019)."""

from talkface_lite.systems.recurrent.generator import GeneratorPart, GeneratorPartConfig
from talkface_lite.systems.recurrent.lip_reader import LipReaderPart, LipReaderPartConfig
