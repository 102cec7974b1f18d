"""What is compared: stages of training at half the widths of what ships; ``comparisons.py`` chooses."""

from dataclasses import replace
from typing import Any

from recipes import (
    AT_NET,
    CRITICISED,
    FILM,
    HEAR,
    MOVE,
    SAY,
    SPEAK,
    VG_NET_FIRST,
)
from stages import Stage

from talkface_lite.data.needs import DataSettings
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig

# ---- ATVGnet

ABLATED = Stage(
    config={
        "image": (16, 16, 32, 48, 64),
        "landmark": (32, 64),
        "attention": (32, 16),
        "fused": 48,
        "memory": 48,
        "decoder": (48, 32, 16, 16),
        "discriminator": None,
    },
    training=replace(VG_NET_FIRST.training, steps=1200, batch_size=4, checkpoint_every=500),
    data=DataSettings(window=8, closed_examples=0.3, mirrored=True),
)
"""VG-net at half of `lite`'s widths with the paper's pixel loss and nothing else."""
PAINTED = ABLATED.changed(data={"camera": 1.0, "landmark_noise": 0.3, "mouth_light": 0.4}, mouth_weight=4.0)
"""The same as VG-net is trained to ship, but for the light in the mouth, which it was trained with before."""
JUDGE = RegressionDiscriminatorConfig(
    image=(8, 16, 32, 32), features=32, landmark=(32, 32), hidden=32, layers=2, unused_decoder=False
)

RUNG = replace(AT_NET, training=replace(AT_NET.training, steps=600))
VOICES = {
    "espeak": ("espeak",),
    "varied": ("varied",),
    "connected": ("connected",),
    "real voices": ("connected", "said-by-s1"),
    "30 s of real lips": ("connected", "said-by-s1", "lips-30-s"),
    "6 min of real lips": ("connected", "said-by-s1", "lips-6-min"),
}
"""The rungs from one synthesiser's voice to real ones, each learned by as many updates. The last two also
learn from a real speaker's lips: they say what the rule costs, and never ship."""

# ---- latent matching

HALF = {
    "image": (8, 16, 32, 48, 64),
    "code": 64,
    "audio": (8, 16, 32, 32),
    "audio_hidden": 128,
    "hidden": 64,
}
"""Half of `lite`'s widths."""
MATCHED = replace(
    SPEAK.changed(data={"window": 12, "camera": 0.0}, landmark_ridge=1.0, **HALF),
    training=replace(SPEAK.training, steps=600, batch_size=12, learning_rate=3e-3, seed=0),
    train=(),
    start_from="",
)
"""Frames and sound together from the beginning, in windows in which a memory can remember something."""

# ---- the conditional recurrent network

HALVED = {
    "audio": (8, 16, 16, 32, 32),
    "image": (8, 16, 32, 48),
    "code": 64,
    "first": 32,
    "decoder": (48, 32, 16, 8),
    "last": 4,
}
"""Half of `lite`'s widths."""
NOBODY = {"image_weight": 0.0, "video_weight": 0.0, "lip_weight": 0.0}
HEARD = replace(HEAR.changed(**HALVED), training=replace(HEAR.training, steps=500), train=())
FILMED = replace(
    FILM.changed(**HALVED),
    training=replace(FILM.training, steps=700, batch_size=12),
    train=(),
    start_from="hear",
)
RECONSTRUCTED = replace(
    CRITICISED.changed(**HALVED, **NOBODY),
    training=replace(CRITICISED.training, steps=350),
    train=(),
    start_from="film",
)
"""Reconstruction alone goes on, as long as others learn from critics: the paper's L_r."""
FILMED_METRICS = {
    "psnr": 2,
    "ssim": 4,
    "lmd": 3,
    "mouth_gain": 2,
    "gain_over_mean_picture": 2,
    "lra_top1": 3,
    "lra_top5": 3,
    "mouth_sharpness_over_real": 2,
    "change_over_real": 2,
    "jitter_over_real": 2,
    "seen_lip_opening_correlation": 2,
}

SCHEMES = ("recurrent", "frame", "sequential", "fed back")


def films(name: str, **config: Any) -> Stage:
    """A variant of the generator that listened first, and paints every frame of a window."""
    stage = replace(FILM.changed(**HALVED, **config, painted=None), train=(), start_from=f"hear {name}")
    return replace(stage, training=replace(FILM.training, steps=700, batch_size=8, learning_rate=2e-3))


HEARD_IN_SCHEMES = {f"hear {scheme}": HEARD.changed(scheme=scheme) for scheme in SCHEMES}
WINDOWS = (35, 7, 14, 21, 28, 49)
"""Rows of 10 ms; the paper has 35."""
IN_ONE_PERSON = {
    scheme: replace(
        films(scheme, scheme=scheme).changed(data={"window": 24}),
        training=replace(FILM.training, steps=400, batch_size=6, learning_rate=1e-3),
        start_from=f"film {scheme}",
    )
    for scheme in ("recurrent", "fed back")
}
"""From many people with still heads to one whose head moves."""
IMAGE, VIDEO, LIPS = (
    {name: CRITICISED.config[name]} for name in ("image_weight", "video_weight", "lip_weight")
)
LOUD = {name: 10 * weight for name, weight in LIPS.items()}

# ---- attentional landmarks

SAID = replace(
    SAY.changed(loss="wing", head_rate=1.0, channels=(8, 16, 32, 32, 64), speech=96, template=32, hidden=96),
    training=replace(SAY.training, steps=600, batch_size=8, log_every=20, seed=0),
)
"""STL net at half of `lite`'s widths, with the wing loss."""
KNOWS_ONE = replace(
    SAID, training=replace(SAID.training, steps=300, learning_rate=1e-3, log_every=100), start_from="begins"
)
"""The same, which goes on for a while: with everybody, or with one person."""
MOVED = replace(
    MOVE.changed(widths=(8, 16, 32, 48, 64), warp=False),
    training=replace(MOVE.training, steps=1200, batch_size=8, checkpoint_every=500),
)
"""LTV net at half of `lite`'s widths, all painted, as the paper has it."""
BRANCHES = "attentional_stl-net_ablation"
