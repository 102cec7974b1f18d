"""Networks small enough to run in every test that does not ask what they have learnt."""

from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.networks.latent_matching import LatentMatchingConfig
from talkface_lite.networks.lip_reader import LipReaderConfig
from talkface_lite.networks.ltv_net import LTVNetConfig
from talkface_lite.networks.patch_discriminator import PatchDiscriminatorConfig
from talkface_lite.networks.recurrent_discriminators import DiscriminatorsConfig
from talkface_lite.networks.recurrent_generator import RecurrentGeneratorConfig
from talkface_lite.networks.stl_net import STLNetConfig
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

SMALL_LATENT_MATCHING = LatentMatchingConfig(
    image=(3, 3, 4, 4, 5), code=6, audio=(2, 2, 3, 3), audio_hidden=8, hidden=7, layers=2, z=4
)

SMALL_GENERATOR = RecurrentGeneratorConfig(
    audio=(3, 3, 3, 3, 3), image=(3, 4, 4, 5), code=6, first=4, decoder=(5, 4, 4, 3), last=3
)
SMALL_DISCRIMINATORS = DiscriminatorsConfig(frame=(3, 3, 4, 4), film=(3, 3, 4))
SMALL_LIP_READER = LipReaderConfig(mouth=(3, 3, 4), features=8, layers=1)

SMALL_STL_NET = STLNetConfig(channels=(2, 2, 3, 3, 4), speech=10, template=6, hidden=9, layers=2)
SMALL_LTV_NET = LTVNetConfig(widths=(3, 4, 5, 6), dropout=0.0)
SMALL_PATCHES = PatchDiscriminatorConfig(widths=(3, 4, 5))
