"""Make the weights of a part: `python scripts/train.py atvg at-net --work RUNS`.

Draws the clips, trains stage after stage, measures on people, voices and sentences held out, all as the table
in `scripts/recipes.py` says, and leaves weights and record in RUNS. What is there already is not made again,
and a run that was stopped goes on. With --ship both go into the package. Settings of the part can be tried by
its flags, such as `--loss paper`; what they make cannot be shipped.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import measures
import torch
from common import PACKAGE, Parser, fingerprints, run
from corpora import draw_all
from recipes import CORPORA, file_of, recipe_of, tiny_corpus, tiny_recipe
from stages import Recipe, Stage

from talkface_lite.clip import Clip
from talkface_lite.data.features import read_clips
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.flags import add_flags, chosen, flags_of
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.measuring.tables import table
from talkface_lite.networks.sizes import SIZES
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import load, part_class, system_class
from talkface_lite.systems.part import Part, shipped_weights
from talkface_lite.training import train

TOLD = ("step", "clips", "commit", "device", "settings")
"""Of the record, what the weights file itself says."""


class Job:
    """A part to be made, and where.

    Parameters
    ----------
    names:
        System, part, variant.
    recipe:
        How.
    work:
        Folder of all runs and corpora.
    into:
        Folder of weights that others are loaded from, and this one is shipped to.
    changes:
        Settings of the part other than the recipe's.
    size:
        Of the networks: ``"lite"``, which the package holds, or ``"full"``.
    readers:
        Processes that read ahead; what is learned does not depend on them.
    """

    def __init__(
        self,
        names: tuple[str, str, str],
        recipe: Recipe,
        work: Path,
        into: Path,
        *,
        changes: Mapping[str, Any] | None = None,
        tiny: bool = False,
        size: str = SIZES[0],
        readers: int = 0,
    ) -> None:
        self.system, self.part_name, self.variant = names
        self.kind, self.into, self.tiny = part_class(self.system, self.part_name), into, tiny
        self.size, self.readers = size, readers
        changes = changes or {}
        stages = {name: stage.changed(**changes) for name, stage in recipe.stages.items()}
        self.recipe, self.corpora_folder = replace(recipe, stages=stages), work / "corpora"
        what = [self.system, self.part_name, self.variant, "" if size == SIZES[0] else size]
        what += [f"{k}={v}" for k, v in changes.items()]
        self.run = work / "_".join(filter(None, what))
        self.seconds = Stopwatch(self.run / "seconds.json")

    def corpora(self, names: Sequence[str]) -> list[Path]:
        """Folders of clips, drawn where they are missing."""
        drawn = {name: CORPORA[name] for name in names}
        if self.tiny:
            drawn = {name: tiny_corpus(corpus) for name, corpus in drawn.items()}
        return draw_all(drawn, self.corpora_folder, self.kind.needs, 1 if self.tiny else None)

    def weights_of(self, stage: str) -> Path:
        """What a stage leaves."""
        return self.run / stage / "weights.safetensors"

    def train(self) -> None:
        """All stages, those that are not done."""
        for name, stage in self.recipe.stages.items():
            if not self.weights_of(name).is_file():
                with self.seconds.of(name):
                    self._train(name, stage)

    def _train(self, name: str, stage: Stage) -> None:
        torch.manual_seed(stage.training.seed)
        part, settings = stage.part(self.kind, self.size), replace(stage.data, workers=self.readers)
        data = open_dataset(self.corpora(stage.train or self.recipe.train), part.needs, settings)
        if stage.start_from:
            part.start_from(self.weights_of(stage.start_from))
        train(part, data, self.run / name, stage.training, resume=True, progress=not self.tiny)

    def assemble(self) -> Path:
        """One file of what ships: a stage's part, and networks of other stages beside it."""
        out, recipe = self.run / "weights.safetensors", self.recipe
        record, part = self._record(recipe.ships), self.kind.load(self.weights_of(recipe.ships))
        for network, stage in recipe.beside.items():
            part = with_network(part, self.kind.load(self.weights_of(stage)), network)
        if recipe.finish:
            part.finish(read_clips(self.corpora(recipe.finish), frames=self.kind.needs.pictures))
        return part.save(out, {name: record[name] for name in TOLD})

    def _record(self, stage: str) -> dict[str, Any]:
        return json.loads((self.run / stage / "record.json").read_text())

    def measure(self, weights: Path) -> dict[str, Any]:
        """The part together with those others that it makes a film with, on every held-out corpus. It is kept
        beside the weights, and measured again when any of them are others."""
        path, filmed = weights.parent / "metrics.json", self.kind.needs.pictures and not self.recipe.measure
        made_of = fingerprints((weights, *(self._others() if filmed else ())))
        if path.is_file() and (known := json.loads(path.read_text()))["weights"] == made_of:
            return known["metrics"]
        with self.seconds.of("measuring"):
            metrics = self._own_figures(weights) if self.recipe.measure else self._films(weights)
        write_json(path, {"weights": made_of, "metrics": metrics})
        return metrics

    def _films(self, weights: Path) -> dict[str, Any]:
        pictures, metrics = self.kind.needs.pictures, {}
        system = load(self.system, self.size, weights=[weights, *self._others()])
        looks: dict[str, Any] = {"pictures": pictures, "frame_step": self.recipe.frame_step}
        if pictures:
            looks |= {"find_points": dlib_in_crop(), "judge": LipJudge.pretrained()}
        for head, clips in self._held_out():
            settings = system.settings_class(**self.recipe.talks.get(head, {}))
            metrics[head] = evaluate(system.with_settings(settings), clips, **looks)
            print(f"{head}: {table(metrics[head])}")
        return metrics

    def _own_figures(self, weights: Path) -> dict[str, Any]:
        """Of a part that makes no film."""
        measure, part = getattr(measures, self.recipe.measure), self.kind.load(weights)
        return {head: measure(part, clips) for head, clips in self._held_out()}

    def _held_out(self) -> Iterator[tuple[str, Iterator[Clip]]]:
        for head, name in self.recipe.held_out.items():
            yield head, read_clips(self.corpora([name]), frames=self.kind.needs.pictures)

    def _before(self, stage: str) -> dict[str, Any]:
        """The record of the stage that this one began with, with that of its own beginning in it."""
        start = self.recipe.stages[stage].start_from
        if not start:
            return {}
        known = {"metrics": self.measure(self.weights_of(start))} if self.recipe.along else {}
        return {"started_from": self._record(start) | known | self._before(start)}

    def _others(self) -> list[Path]:
        others = [kind for kind in system_class(self.system).parts if kind is not self.kind]
        paths = [self.into / shipped_weights(self.system, kind.name, self.size).name for kind in others]
        return [path for path in paths if path.is_file()]

    def finish(self, command: str) -> tuple[Path, Path]:
        """Weights and record, as they ship."""
        recipe, weights = self.recipe, self.assemble()
        metrics = self.measure(weights)
        record = self._record(recipe.ships)
        record |= {network: self._record(stage) for network, stage in recipe.beside.items()}
        record |= self._before(recipe.ships)
        record["drawn"] = {
            "command": command,
            "train": {name: CORPORA[name].about() for name in recipe.train},
            **({"finish": {name: CORPORA[name].about() for name in recipe.finish}} if recipe.finish else {}),
            "test": {head: CORPORA[name].about() for head, name in recipe.held_out.items()},
            "shape_pca": dict(ShapePCA.pretrained().origin),
        }
        record["all_seconds"] = self.seconds.known
        record["metrics"] = metrics
        return weights, write_json(self.run / "record.json", record)

    def ship(self, files: Sequence[Path]) -> None:
        """Copy weights and record to where they are loaded from."""
        shipped = self.into / file_of(self.system, self.part_name, self.variant, self.size)
        shipped.parent.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, shipped.with_suffix(path.suffix))
            print(shipped.with_suffix(path.suffix))


class Stopwatch:
    """Seconds of each step, over all attempts, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Add what is done now to a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.known[step] = round(self.known.get(step, 0) + time.monotonic() - began, 1)
            write_json(self.path, self.known)


def with_network(part: Part, other: Part, network: str) -> Part:
    """A part that has one network of another."""
    config = replace(part.config, **{network: getattr(other.config, network)})
    both, taken = type(part)(config), other.state_dict()
    taken = {name: value for name, value in taken.items() if name.split(".")[0] == network}
    both.load_state_dict(part.state_dict() | taken)
    return both.eval()


def parser_of(kind: type[Part] | None, argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the words; with a part, its flags too."""
    parser = Parser(prog="train.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("system", metavar="SYSTEM")
    parser.add_argument("part", metavar="PART")
    parser.add_argument("--variant", default="", help="such as no_lstm")
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="clips and runs go here")
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help=f"default {SIZES[0]}")
    parser.add_argument("--readers", type=int, default=0, help="processes that read ahead (default 0)")
    parser.add_argument("--ship", action="store_true", help="write weights and record into the package")
    parser.add_argument(
        "--into", type=Path, default=PACKAGE / "weights", metavar="FOLDER", help="ship to this folder instead"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, to see that all of it runs")
    if kind is None:
        return parser.parse_known_args(argv)[0]
    flags = flags_of(kind.config_class)
    add_flags(parser, f"settings of {kind.name} other than the recipe's", flags)
    arguments = parser.parse_args(argv)
    arguments.changes = chosen(arguments, flags)
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, train, measure, ship."""
    first = parser_of(None, argv)
    recipe = recipe_of(first.system, first.part, first.variant)
    arguments = parser_of(part_class(first.system, first.part), argv)
    if arguments.tiny:
        recipe = tiny_recipe(recipe)
        if arguments.ship and arguments.into == PACKAGE / "weights":
            raise InputError("--tiny --ship", "into the package", "--into FOLDER")
    if arguments.ship and arguments.changes:
        raise InputError("--ship", f"{', '.join(arguments.changes)} other than the recipe's", "the recipe")
    if arguments.ship and arguments.size != SIZES[0]:
        raise InputError("--ship", f"--size {arguments.size}", f"{SIZES[0]}: the package stays small")
    names = (arguments.system, arguments.part, arguments.variant)
    job = Job(
        names,
        recipe,
        arguments.work,
        arguments.into,
        changes=arguments.changes,
        tiny=arguments.tiny,
        size=arguments.size,
        readers=arguments.readers,
    )
    job.train()
    words = ["scripts/train.py", *filter(None, names[:2]), *(["--variant", names[2]] if names[2] else [])]
    words += [] if arguments.size == SIZES[0] else ["--size", arguments.size]
    made = job.finish(f"python {' '.join(words)} --work RUNS")
    if arguments.ship:
        job.ship(made)
    else:
        print(*made, sep="\n")


if __name__ == "__main__":
    run(main)
