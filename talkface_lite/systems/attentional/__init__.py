"""Attentional landmarks (Wang et al., Interspeech 2020)."""

from talkface_lite.systems.attentional.ltv_net import LTVNetPart, LTVNetPartConfig
from talkface_lite.systems.attentional.stl_net import STLNetPart, STLNetPartConfig
from talkface_lite.systems.attentional.system import AttentionalSettings, AttentionalSystem

__all__ = [
    "AttentionalSettings",
    "AttentionalSystem",
    "LTVNetPart",
    "LTVNetPartConfig",
    "STLNetPart",
    "STLNetPartConfig",
]
