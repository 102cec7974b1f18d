"""Networks small enough to run in every test that does not ask what they have learnt."""

from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.networks.vg_net import VGNetConfig

SMALL_AT_NET = ATNetConfig(channels=(2, 2, 2, 2, 2), audio=(8, 8), landmark=(4, 4), hidden=8, layers=1)

SMALL_VG_NET = VGNetConfig(
    image=(4, 4, 8, 8, 8),
    landmark=(4, 8),
    attention=(4, 4),
    fused=8,
    memory=8,
    blocks=1,
    decoder=(8, 8, 8, 4),
)
