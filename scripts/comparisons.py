"""What the ablations of the book compare: one table.

A new paper brings rows into :data:`ABLATIONS`. What the package holds of them is held against this table by a
test.
"""

from dataclasses import replace
from typing import Any

from corpora import Recordings
from recipes import (
    AT_NET,
    CRITICISED,
    FILM,
    HEAR,
    REAL,
    RECIPES,
    SETTLE,
    SETTLED,
    SPEAK,
    VG_NET_FIRST,
    tiny_stage,
)
from stages import Comparison, Stage

from talkface_lite.data.needs import DataSettings
from talkface_lite.errors import InputError
from talkface_lite.measuring.clips import SEEN
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.systems import part_class

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

# ---- one real speaker

READS_LIPS = RECIPES["recurrent", "lip-discriminator", "judge"].stages["only"]

ONE_SPEAKER: dict[tuple[str, str, str], Stage] = {
    ("latent", "latent-matching", ""): replace(
        SETTLE.changed(data={"window": 24}),
        training=replace(SETTLE.training, steps=500),
        train=(),
        start_from="",
    ),
    ("recurrent", "lip-discriminator", "judge"): replace(
        READS_LIPS, training=replace(READS_LIPS.training, steps=400, batch_size=32, learning_rate=1e-3)
    ),
    ("recurrent", "recurrent-generator", ""): replace(
        SETTLED.changed(data={"window": 24}),
        training=replace(SETTLED.training, steps=500, batch_size=6, learning_rate=1e-3),
        train=(),
        start_from="",
    ),
    ("recurrent", "recurrent-generator", "fed-back"): replace(
        IN_ONE_PERSON["fed back"],
        start_from="recurrent_recurrent-generator_schemes_ablation/fed_back-0",
    ),
}
"""System, part and what of it → how it goes on with recordings of one speaker, see
``scripts/one_speaker.py``: from the package's weights, of that variant where it has one, or from the run in
RUNS that ``start_from`` names. What comes of it never ships."""

# ---- the table

ABLATIONS: dict[tuple[str, str, str], Comparison] = {
    ("atvg", "vg-net", ""): Comparison(
        name="vg_net",
        variants={
            "dynamic": ABLATED,
            "l1": ABLATED.changed(loss="l1"),
            "discriminator": ABLATED.changed(discriminator=JUDGE),
            "no landmark attention": ABLATED.changed(landmark_attention=False),
            "no attention": ABLATED.changed(landmark_attention=False, pixel_attention=False),
            "recurrence off": ABLATED.changed(recurrence="off"),
            "colour weight": ABLATED.changed(colour_weight=0.3),
            "mouth weight": ABLATED.changed(mouth_weight=4.0),
            "camera": ABLATED.changed(data={"camera": 1.0}),
        },
        train=("train-a",),
        tests={"test-still": "test-still"},
        recorded={"grid": Recordings(folder="grid")},
        row="with_truth",
        metrics={"psnr": 2, "ssim": 4, "mouth_gain": 2},
        frame_step=5,
        sheet=("painters", ("dynamic", "mouth weight", "colour weight", "discriminator", "no attention")),
    ),
    ("atvg", "vg-net", "warp"): Comparison(
        name="vg_net_warp",
        variants={"paper": PAINTED, "warp, then paint": PAINTED.changed(warp=True)},
        train=("train-a",),
        tests={"test-still": "test-still"},
        recorded=REAL,
        example="rest",
        row="with_truth",
        metrics={"psnr": 2, "ssim": 4, "mouth_gain": 2},
        baselines={"warp alone": "warp_with_truth"},
        frame_step=5,
    ),
    ("atvg", "at-net", "voices"): Comparison(
        name="at_net_voices",
        variants=dict.fromkeys(VOICES, RUNG),
        train=("espeak",),
        learns=VOICES,
        tests={"said-test-still": "said-test-still"},
        recorded=REAL,
        example="rest",
        metrics={
            "lip_opening_correlation": 2,
            "mouth_landmark_distance_over_copy": 2,
            "motion_distance_over_still": 2,
            "opening_error_over_copy": 2,
        },
    ),
    ("latent", "latent-matching", ""): Comparison(
        name="latent_matching",
        variants={
            "base": MATCHED,
            "no memory": MATCHED.changed(memory=False),
            "no skips": MATCHED.changed(skips=False),
            "own frames": MATCHED.changed(sees="previous"),
            "no path round": MATCHED.changed(around=False),
        },
        train=("train-a",),
        tests={"a word": "test-word", "a sentence": "test-sentence", "a paragraph": "test-paragraph"},
        row="from_mean",
        beside="from_frames",
        metrics={"psnr": 2, "mouth_gain": 2, "gain_over_mean_picture": 2, "change_over_real": 2},
        frame_step=10,
    ),
    ("recurrent", "recurrent-generator", ""): Comparison(
        name="recurrent_critics",
        begins={"hear": HEARD, "film": FILMED},
        variants={
            "L_r": RECONSTRUCTED,
            "+I": RECONSTRUCTED.changed(**IMAGE),
            "+V": RECONSTRUCTED.changed(**VIDEO),
            "+I+V": RECONSTRUCTED.changed(**IMAGE, **VIDEO),
            "+I+V+lip": RECONSTRUCTED.changed(**IMAGE, **VIDEO, **LIPS),
            "+I+V+10 lip": RECONSTRUCTED.changed(**IMAGE, **VIDEO, **LOUD),
        },
        train=("train-a",),
        tests={"test-still": "test-still", "test-moving": "test-moving"},
        metrics=FILMED_METRICS,
        frame_step=5,
        detector=True,
    ),
    ("recurrent", "recurrent-generator", "schemes"): Comparison(
        name="recurrent_schemes",
        begins=HEARD_IN_SCHEMES,
        variants={scheme: films(scheme, scheme=scheme) for scheme in SCHEMES},
        train=("train-a",),
        tests={"ten seconds": "test-paragraph", "sentences": "test-still"},
        metrics=FILMED_METRICS | {"drift": 2, "seen_zoom_spread": 2},
        frame_step=5,
        detector=True,
        sheet=("schemes", ("frame", "sequential", "fed back", "recurrent")),
    ),
    ("recurrent", "recurrent-generator", "no-warp"): Comparison(
        name="recurrent_no_warp",
        begins={"hear sequential": HEARD.changed(scheme="sequential", warp=False)},
        variants={"sequential": films("sequential", scheme="sequential", warp=False)},
        train=("train-a",),
        tests={"ten seconds": "test-paragraph"},
        metrics={"drift": 2, "mouth_gain": 2, "mouth_sharpness_over_real": 2},
        seeds=(0,),
        frame_step=5,
    ),
    ("recurrent", "recurrent-generator", "window"): Comparison(
        name="recurrent_window",
        begins={f"hear {rows} rows": HEARD.changed(rows=rows) for rows in WINDOWS},
        variants={
            f"{rows} rows": replace(FILMED.changed(rows=rows), start_from=f"hear {rows} rows")
            for rows in WINDOWS
        },
        train=("train-a",),
        tests={"test-still": "test-still"},
        metrics={"mouth_gain": 2, "lra_top1": 3, "lra_top5": 3, "seen_lip_opening_correlation": 3},
        frame_step=5,
        detector=True,
    ),
    ("recurrent", "recurrent-generator", "one-person"): Comparison(
        name="recurrent_one_person",
        begins={
            **{f"hear {scheme}": HEARD.changed(scheme=scheme) for scheme in IN_ONE_PERSON},
            **{f"film {scheme}": films(scheme, scheme=scheme) for scheme in IN_ONE_PERSON},
        },
        variants=IN_ONE_PERSON,
        train=("train-a",),
        learns=dict.fromkeys(IN_ONE_PERSON, ("one-person",)),
        tests={"one-person": "test-one-person"},
        metrics=FILMED_METRICS | {"drift": 2, "seen_pose_spread_over_real": 2},
        seeds=(0,),
        frame_step=5,
        detector=True,
        sheet=("one_person", ("recurrent", "fed back")),
    ),
}
"""System, part and what is asked → comparison; "" asks what the paper's own pieces are worth."""


def comparison_of(system: str, part: str, what: str = "") -> Comparison:
    """What an ablation of a part compares; raises as ``recipes.recipe_of``."""
    name = part_class(system, part).name
    if (system, name, what) not in ABLATIONS:
        told = f"ablation {what} of {name} of {system}".replace("  ", " ")
        raise InputError(told, "none", "a row in ABLATIONS")
    return ABLATIONS[system, name, what]


def tiny_comparison(comparison: Comparison) -> Comparison:
    """The first two variants and those of the sheet, with what they start from, tiny, two seeds."""
    shown = comparison.sheet[1] if comparison.sheet else ()
    kept = {*list(comparison.variants)[:2], *shown}
    variants = {name: tiny_stage(stage) for name, stage in comparison.variants.items() if name in kept}
    begins: dict[str, Stage] = {}
    for name, stage in reversed(comparison.begins.items()):
        if name in {one.start_from for one in (*variants.values(), *begins.values())}:
            begins = {name: tiny_stage(stage), **begins}
    few = {"seeds": comparison.seeds[:2], "frame_step": 15, "detector": False}
    few["metrics"] = {
        name: n for name, n in comparison.metrics.items() if name != "lmd" and not name.startswith(SEEN)
    }
    learns = {name: its for name, its in comparison.learns.items() if name in kept}
    return replace(comparison, variants=variants, begins=begins, learns=learns, **few)
