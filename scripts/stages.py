"""What a row of the tables is: a stage of training, the recipe of a part, a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from corpora import Recordings

from talkface_lite.data.needs import DataSettings
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
    train:
        Names of ``CORPORA`` that it learns from, where they are not all of the recipe's.
    start_from:
        The stage whose weights it begins with.
    shipped_otherwise:
        What the run whose weights are in the package had otherwise: settings of ``config`` by name.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingSettings
    data: DataSettings
    train: tuple[str, ...] = ()
    start_from: str = ""
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
        Names of ``CORPORA`` that the stages learn from.
    held_out:
        Row of the record → the corpus that is measured on.
    ships:
        The stage whose weights go into the package.
    beside:
        Network → stage: networks of other stages that go into the same file.
    finish:
        Names of ``CORPORA`` that it is measured on before it ships, where what is measured becomes a part of
        it, see :meth:`talkface_lite.systems.part.Part.finish`.
    talks:
        Row of the record → settings of the system that it is measured with, where they are not its own.
    measure:
        Name of a function of ``scripts/measures.py``, for a part that makes no film.
    along:
        Whether the stages that it began with are measured, too: what learning longer brought.
    ships_as:
        Name of the file in the package, where it is not that of the part.
    frame_step:
        How often SSIM and LMD look at a frame.
    """

    stages: Mapping[str, Stage]
    train: tuple[str, ...]
    held_out: Mapping[str, str]
    ships: str
    beside: Mapping[str, str] = field(default_factory=dict)
    finish: tuple[str, ...] = ()
    talks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measure: str = ""
    along: bool = False
    ships_as: str = ""
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
    begins:
        Stages that variants, or others of these, start from, by name and in order; each is trained once from
        each seed and not measured.
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
    beside:
        Another row whose figures are kept, too, each under that row's name: ``from_frames mouth_gain``.
    baselines:
        Name in the results → a baseline of the evaluation, measured beside the variants and not trained.
    measure:
        Name of a function of ``scripts/measures.py`` that takes the place of the evaluation.
    composed:
        Name in the results → runs whose parts make a film together, from speech; measured beside the variants
        and not trained. A run is a variant, or ``FOLDER/variant`` of another comparison in RUNS.
    curve:
        Figures of the log that the results keep, from update to update.
    seeds:
        One training each.
    detector:
        Whether dlib looks at films and clips, for figures that begin with ``seen_`` and for ``lmd``.
    sheet:
        Name of a function of ``scripts/sheets.py`` that draws some of the variants for the pages, and the
        variants that it draws.
    """

    name: str
    variants: Mapping[str, Stage]
    train: tuple[str, ...]
    begins: Mapping[str, Stage] = field(default_factory=dict)
    learns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tests: Mapping[str, str]
    recorded: Mapping[str, Recordings] = field(default_factory=dict)
    example: int | str = 0
    row: str = "from_speech"
    metrics: Mapping[str, int]
    beside: str = ""
    baselines: Mapping[str, str] = field(default_factory=dict)
    measure: str = ""
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    curve: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    frame_step: int = 1
    detector: bool = False
    sheet: tuple[str, tuple[str, ...]] | None = None

    def learned_from(self, variant: str) -> tuple[str, ...]:
        """Names of the corpora that a variant learns from."""
        return self.learns.get(variant, self.train)
