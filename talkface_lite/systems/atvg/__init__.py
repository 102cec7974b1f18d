"""ATVGnet (Chen et al., CVPR 2019): speech to landmarks to video."""

from talkface_lite.systems.atvg.at_net import ATNetPart, ATNetPartConfig
from talkface_lite.systems.atvg.system import ATVGnet, ATVGnetSettings
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig

__all__ = ["ATNetPart", "ATNetPartConfig", "ATVGnet", "ATVGnetSettings", "VGNetPart", "VGNetPartConfig"]
