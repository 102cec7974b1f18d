"""What the ablations of the book compare: one table.

A new paper brings rows into :data:`ABLATIONS`. What the package holds of them is held against this table by a
test.
"""

from dataclasses import replace

from corpora import Recordings
from corpus_table import THREE
from recipes import REAL, RECIPES, SETTLE, SETTLED, tiny_stage
from stages import Comparison, Stage
from variants import (
    ABLATED,
    BRANCHES,
    FILMED,
    FILMED_METRICS,
    HEARD,
    HEARD_IN_SCHEMES,
    IMAGE,
    IN_ONE_PERSON,
    JUDGE,
    KNOWS_ONE,
    LIPS,
    LOUD,
    MATCHED,
    MOVED,
    PAINTED,
    RECONSTRUCTED,
    RUNG,
    SAID,
    SCHEMES,
    VIDEO,
    VOICES,
    WINDOWS,
    films,
)

from talkface_lite.errors import InputError
from talkface_lite.measuring.clips import SEEN
from talkface_lite.systems import part_class

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

# ---- three people that a network knows, as in the recordings that the fourth paper made for itself

KNOWN, KNOWN_TESTS = (tuple(f"{of}-{person}" for person in THREE) for of in ("three", "test-three"))

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
    ("attentional", "stl-net", ""): Comparison(
        name="stl_net",
        variants={
            "wing": SAID,
            "no split": SAID.changed(split=False),
            "l1": SAID.changed(loss="l1"),
            "mse": SAID.changed(loss="mse"),
        },
        train=("said-head",),
        tests={"still": "said-head-test-still", "moving": "said-head-test-moving"},
        metrics={
            "lip_opening_correlation": 3,
            "mouth_landmark_distance": 3,
            "motion_distance_over_still": 3,
            "opening_spread_over_real": 2,
            "width_spread_over_real": 2,
        },
        curve=("mouth", "head"),
    ),
    ("attentional", "stl-net", "one-person"): Comparison(
        name="stl_net_one_person",
        begins={"begins": SAID},
        variants={"everybody": KNOWS_ONE, "early": KNOWS_ONE, "late": KNOWS_ONE},
        train=("said-head",),
        learns={"early": ("nods-early",), "late": ("nods-late",)},
        tests={"early": "test-nods-early", "late": "test-nods-late"},
        measure="head_motion",
        seeds=(0,),
        metrics={"pitch_over_real": 2, "y_over_real": 2, "lag": 3, "lip_opening_correlation": 2},
    ),
    ("attentional", "stl-net", "three-people"): Comparison(
        name="stl_net_three_people",
        variants={"three people": SAID},
        train=KNOWN,
        tests=dict(zip(KNOWN, KNOWN_TESTS, strict=True)) | {"strangers": "test-heads-moving"},
        metrics={"lip_opening_correlation": 3, "mouth_landmark_distance": 3},
        seeds=(0,),
    ),
    ("attentional", "ltv-net", ""): Comparison(
        name="ltv_net",
        variants={"attention": MOVED, "no attention": MOVED.changed(attention=False)},
        composed={
            "full": (f"{BRANCHES}/wing", "attention"),
            "without split": (f"{BRANCHES}/no split", "attention"),
            "without attention": (f"{BRANCHES}/wing", "no attention"),
            "baseline": (f"{BRANCHES}/no split", "no attention"),
        },
        train=("heads-still", "heads-moving"),
        tests={"still": "test-heads-still", "moving": "test-heads-moving"},
        row="with_truth",
        metrics=FILMED_METRICS,
        frame_step=10,
        detector=True,
    ),
    ("attentional", "ltv-net", "three-people"): Comparison(
        name="ltv_net_three_people",
        variants={"painter of three": MOVED},
        composed={
            "three people": ("attentional_stl-net_three-people_ablation/three people", "painter of three"),
            "everybody": (f"{BRANCHES}/wing", "attentional_ltv-net_ablation/attention"),
        },
        train=KNOWN,
        tests=dict(zip(KNOWN, KNOWN_TESTS, strict=True)) | {"strangers": "test-heads-moving"},
        seeds=(0,),
        row="with_truth",
        metrics=FILMED_METRICS,
        frame_step=10,
        detector=True,
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
