"""How every weights file and every ablation of the book was made: one table.

A new paper brings rows: what it draws into :data:`CORPORA`, a :class:`Recipe` for each part (and each variant
of it that has weights) into :data:`RECIPES`, and what it compares into :data:`ABLATIONS`. The scripts
``train.py``, ``ablate.py`` and ``retrain.py`` read nothing else. The records beside the shipped weights are
held against this table by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from corpora import AnyCorpus, Corpus, Filmed, Recordings, Revoiced

from talkface_lite.data.needs import DataSettings
from talkface_lite.errors import InputError
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.systems import part_class, system_class
from talkface_lite.systems.config import of_size
from talkface_lite.systems.part import Part
from talkface_lite.systems.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One run of the trainer.

    Parameters
    ----------
    config:
        Settings of the part other than its own defaults, as for :meth:`Part.of_size`.
    training, data:
        How it learns, and how windows are drawn.
    start_from:
        The stage whose weights it begins with.
    train:
        Names of :data:`CORPORA` that it learns from; none: the recipe's.
    shipped_otherwise:
        What the run whose weights are in the package had otherwise: settings of ``config`` by name.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingSettings
    data: DataSettings
    start_from: str = ""
    train: tuple[str, ...] = ()
    shipped_otherwise: Mapping[str, Any] = field(default_factory=dict)

    def config_of(self, kind: type[Part], size: str = "lite") -> Any:
        """The whole configuration of the part."""
        return of_size(kind.config_class, size, **self.config)

    def part(self, kind: type[Part], size: str = "lite") -> Part:
        """The part with fresh weights; seed before."""
        return kind(self.config_of(kind, size))

    def changed(self, data: Mapping[str, Any] | None = None, **config: Any) -> Self:
        """The same with some settings of the part, or of the data, changed."""
        return replace(self, config={**self.config, **config}, data=replace(self.data, **(data or {})))

    def seeded(self, seed: int) -> Self:
        """The same from another seed."""
        return replace(self, training=replace(self.training, seed=seed))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the weights of a part are made.

    Parameters
    ----------
    stages:
        Runs of the trainer by name, in order.
    train:
        Names of :data:`CORPORA` that stages learn from which have no others.
    held_out:
        Row of the record → the corpus that is measured on.
    ships:
        The stage whose weights go into the package.
    beside:
        Network → stage: networks of other stages that go into the same file.
    frame_step:
        How often SSIM and LMD look at a frame.
    """

    stages: Mapping[str, Stage]
    train: tuple[str, ...]
    held_out: Mapping[str, str]
    ships: str
    beside: Mapping[str, str] = field(default_factory=dict)
    frame_step: int = 1


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What an ablation compares; every variant learns from each seed.

    Parameters
    ----------
    name:
        Of its file in the package, see :meth:`talkface_lite.measuring.ablation.Ablation.shipped`.
    variants:
        By the name that its results carry. The first is the base: each other changes one thing of it.
    train:
        Corpora to learn from.
    learns:
        Variant → corpora, for those that learn from others.
    tests:
        Name in the results → corpus.
    recorded:
        Name in the results → recordings that are measured too, where they are there.
    example:
        Which frame is the photograph, see :func:`talkface_lite.measuring.evaluation.evaluate`.
    row:
        Of the evaluation, see :meth:`talkface_lite.systems.base.System.rows`.
    metrics:
        Figure → digits of the table that is printed.
    baselines:
        Name in the results → a baseline of the evaluation, measured beside the variants and not trained.
    seeds:
        One training each.
    sheet:
        Name of a function of ``scripts/sheets.py`` that draws some of the variants for the pages, and the
        variants that it draws.
    """

    name: str
    variants: Mapping[str, Stage]
    train: tuple[str, ...]
    learns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tests: Mapping[str, str]
    recorded: Mapping[str, Recordings] = field(default_factory=dict)
    example: int | str = 0
    row: str = "from_speech"
    metrics: Mapping[str, int]
    baselines: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    frame_step: int = 1
    sheet: tuple[str, tuple[str, ...]] | None = None

    def learned_from(self, variant: str) -> tuple[str, ...]:
        """Names of the corpora that a variant learns from."""
        return self.learns.get(variant, self.train)


# ---- what is drawn

S1 = {"recordings": "grid_s1", "licence": "GRID's speaker s1, CC BY 4.0"}
REAL = {
    "s1": Recordings(folder="grid_s1", held_back=True),
    "others": Recordings(folder="grid", without=("s1",)),
}
"""Who judges: sentences of one speaker that nothing learned from, and six people that nothing looked at."""

CORPORA: dict[str, AnyCorpus] = {
    # AT-net
    "said": Corpus(clips=2600, seed=1000, still_head=None, common_words=True, paint=False),
    "said-by-s1": Revoiced(**S1, clips=2400, seed=9000),
    "said-test-still": Corpus(clips=150, seed=2000, split="test", still_head=True, paint=False),
    "said-test-moving": Corpus(clips=150, seed=2000, split="test", paint=False),
    # its rungs: 1200 clips of each kind of voice, real voices and real lips beside them
    "espeak": Corpus(clips=1200, seed=1000, still_head=None, paint=False, varied=False),
    "varied": Corpus(clips=1200, seed=1000, still_head=None, paint=False),
    "connected": Corpus(clips=1200, seed=1000, still_head=None, common_words=True, paint=False),
    "lips-30-s": Filmed(**S1, clips=10, times=30),
    "lips-6-min": Filmed(**S1, clips=120, times=3),
    # VG-net
    "train-a": Corpus(clips=400, seed=4000, still_head=True),
    "train-b": Corpus(clips=400, seed=4001),
    "train-c": Corpus(clips=900, seed=4002, still_head=True),
    "train-d": Corpus(clips=900, seed=4003),
    "test-still": Corpus(clips=50, seed=5000, split="test", still_head=True),
    "test-moving": Corpus(clips=50, seed=5001, split="test"),
}

# ---- ATVGnet

AT_NET = Stage(
    config={"loss": "mouth", "centred": True},
    training=TrainingSettings(
        steps=1600,
        batch_size=8,
        learning_rate=1.5e-3,
        betas=(0.9, 0.999),
        schedule="cosine",
        precision="bf16",
        log_every=100,
        seed=1,
    ),
    data=DataSettings(window=64, mfcc_shift=0.4, rest_examples=1.0, detector=1.0),
)
"""Windows of 2.6 s: in shorter ones a memory does not learn to fall silent after speech. Of seeds 0, 1 and 2
the second rests best on the two public photographs."""
AT_NET_RECIPE = Recipe(
    stages={"only": AT_NET},
    train=("said", "said-by-s1"),
    held_out={"still": "said-test-still", "moving": "said-test-moving"},
    ships="only",
)

VG_NET_FIRST = Stage(
    config={"discriminator": None, "mouth_weight": 4.0, "warp": False},
    training=TrainingSettings(
        steps=2600,
        batch_size=8,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        schedule="cosine",
        precision="bf16",
        log_every=50,
        checkpoint_every=250,
    ),
    data=DataSettings(window=8, closed_examples=0.3, camera=1.0, mirrored=True),
)
"""Short windows of many people, the dynamic pixel loss alone."""
VG_NET_SECOND = replace(
    VG_NET_FIRST.changed(data={"window": 16}, discriminator=RegressionDiscriminatorConfig.lite()),
    training=replace(VG_NET_FIRST.training, steps=900, batch_size=4, learning_rate=3e-4),
    start_from="first",
    # the discriminator of the package learned from an earlier drawing, beside a VG-net from before the
    # ablation spoke on that weight; on mouths as they move now so few updates teach it the mean mouth alone
    shipped_otherwise={"colour_weight": 0.3},
)
"""The paper's 16 frames and the regression discriminator. The film is no better for it: the first ships."""

VG_NET_RECIPE = Recipe(
    stages={"first": VG_NET_FIRST, "second": VG_NET_SECOND},
    train=("train-a", "train-b", "train-c", "train-d"),
    held_out={"still": "test-still", "moving": "test-moving"},
    ships="first",
    beside={"discriminator": "second"},
    frame_step=5,
)
"""The paper's network."""
VG_NET_WARP = replace(
    VG_NET_FIRST.changed(warp=True),
    training=replace(VG_NET_FIRST.training, steps=2000),
    data=replace(VG_NET_FIRST.data, landmark_noise=0.3),
)
"""Ours: paints on the moved photograph. It has less to learn, and learns it sooner."""

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

# ---- the tables

RECIPES: dict[tuple[str, str, str], Recipe] = {
    ("atvg", "at-net", ""): AT_NET_RECIPE,
    ("atvg", "at-net", "no_lstm"): replace(AT_NET_RECIPE, stages={"only": AT_NET.changed(recurrent=False)}),
    ("atvg", "vg-net", ""): replace(
        VG_NET_RECIPE, stages={"only": VG_NET_WARP}, train=("train-a", "train-b"), ships="only", beside={}
    ),
    ("atvg", "vg-net", "paper"): VG_NET_RECIPE,
}
"""System, part and variant → recipe, in the order in which they are trained."""

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
}
"""System, part and what is asked → comparison; "" asks what the paper's own pieces are worth."""


def recipe_of(system: str, part: str, variant: str = "") -> Recipe:
    """The recipe of a part.

    Raises
    ------
    InputError
        When there is no such system, part or variant, or it has no recipe.
    """
    name = part_class(system, part).name
    known = system_class(system).variants
    if variant and variant not in known:
        raise InputError("variant", repr(variant), " or ".join(known) or "none")
    if (system, name, variant) not in RECIPES:
        raise InputError(f"recipe of {name} of {system} {variant}".rstrip(), "none", "a row in RECIPES")
    return RECIPES[system, name, variant]


def comparison_of(system: str, part: str, what: str = "") -> Comparison:
    """What an ablation of a part compares; raises as :func:`recipe_of`."""
    name = part_class(system, part).name
    if (system, name, what) not in ABLATIONS:
        told = f"ablation {what} of {name} of {system}".replace("  ", " ")
        raise InputError(told, "none", "a row in ABLATIONS")
    return ABLATIONS[system, name, what]


# ---- the same with tiny numbers, for a test of the whole chain


def tiny_corpus(corpus: AnyCorpus) -> Corpus:
    """Few clips of one word; in the place of recordings, drawn ones."""
    if not isinstance(corpus, Corpus):
        corpus = Corpus(clips=4, seed=9000, still_head=None, paint=False)
    return replace(corpus, clips=4 if corpus.mixed else 1, text="no")


def tiny_stage(stage: Stage) -> Stage:
    """Two updates from two windows of two frames."""
    training = replace(stage.training, steps=2, batch_size=2, checkpoint_every=1, log_every=1)
    return replace(stage, training=training, data=replace(stage.data, window=2))


def tiny_recipe(recipe: Recipe) -> Recipe:
    """The same stages, tiny."""
    stages = {name: tiny_stage(stage) for name, stage in recipe.stages.items()}
    return replace(recipe, stages=stages, frame_step=15)


def tiny_comparison(comparison: Comparison) -> Comparison:
    """The same variants, tiny, two seeds."""
    variants = {name: tiny_stage(stage) for name, stage in comparison.variants.items()}
    return replace(comparison, variants=variants, seeds=comparison.seeds[:2], frame_step=15)
