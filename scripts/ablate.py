"""Which pieces of a part help? `python scripts/ablate.py atvg vg-net --work RUNS`.

Trains each variant of the table in `scripts/comparisons.py` from each seed, all with the same clips, batches
and number of updates, measures each on held-out people, voices and sentences, and prints the differences. A
run that is there already is not made again, and one that was stopped goes on. One thread a run, two runs at a
time. With --ship the table that the book shows goes into the package, the sheet of pictures into the pages.
"""

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import measures
import numpy as np
import sheets
import torch
from common import ABLATIONS, STATIC, Parser, each, keep_tiny_out, run
from comparisons import comparison_of, tiny_comparison
from corpora import draw_all
from recipes import CORPORA, tiny_corpus
from stages import Comparison

from talkface_lite.clip import Clip
from talkface_lite.data.features import read_clips
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.measuring.ablation import Ablation, shipped_ablation
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.pairs import middle
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.systems import load, part_class
from talkface_lite.systems.base import FROM_SPEECH, System
from talkface_lite.training import TrainingResult, train

TOLD = ("clips", "seed", "split", "still_head", "varied", "common_words", "licence", "times")
"""What the table says of a corpus, where it has it."""


def comparison_for(arguments: argparse.Namespace) -> Comparison:
    """What is compared, with tiny numbers where these are asked for."""
    comparison = comparison_of(arguments.system, arguments.part, arguments.of)
    return tiny_comparison(comparison) if arguments.tiny else comparison


def corpora(arguments: argparse.Namespace, names: Sequence[str]) -> list[Path]:
    """Folders of clips, drawn where they are missing."""
    drawn = {name: CORPORA[name] for name in names}
    if arguments.tiny:
        drawn = {name: tiny_corpus(corpus) for name, corpus in drawn.items()}
    needs = part_class(arguments.system, arguments.part).needs
    return draw_all(drawn, arguments.work / "corpora", needs, 1 if arguments.tiny else None)


def folder(arguments: argparse.Namespace, variant: str, seed: int) -> Path:
    """Where a run leaves its weights and its result."""
    what = filter(None, (arguments.system, arguments.part, arguments.of, "ablation"))
    runs = arguments.work / "_".join(what)
    return runs / f"{variant}-{seed}".replace(" ", "_")


def make(job: tuple[argparse.Namespace, str, int]) -> dict[str, Any]:
    """Train and measure one variant under one seed."""
    arguments, variant, seed = job
    torch.set_num_threads(1)
    out = folder(arguments, variant, seed)
    result = out / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    comparison = comparison_for(arguments)
    values = {"variant": variant, "seed": seed}
    if variant in comparison.baselines:
        values |= measured(arguments, comparison, {}, comparison.baselines[variant])
        write_json(result, values)
        return values
    if variant in comparison.composed:
        runs = [weights_of(arguments, run, seed) for run in comparison.composed[variant]]
        system = load(arguments.system, weights=runs)
        values |= measured(arguments, comparison, {system.name: system}, FROM_SPEECH)
        write_json(result, values)
        return values
    trained = taught(arguments, comparison, variant, seed)
    values |= {name: value for name, value in trained.losses.items() if name == "alpha"}
    values |= {name: trained.record[name] for name in ("seconds", "device")}
    if comparison.curve:
        values["curve"] = curve_of(out / "log.csv", ("step", *comparison.curve))
    if comparison.measure:
        part = part_class(arguments.system, arguments.part).load(trained.weights)
        measure = getattr(measures, comparison.measure)
        values |= {test: measure(part, its) for test, its in sources(arguments, comparison, False).items()}
    else:
        system = load(arguments.system, weights=trained.weights)
        values |= measured(arguments, comparison, {system.name: system}, comparison.row)
    write_json(result, values)
    return values


def weights_of(arguments: argparse.Namespace, run: str, seed: int) -> Path:
    """What a run of this comparison left, or ``FOLDER/variant`` of another.

    Raises
    ------
    InputError
        When it is not there.
    """
    found = folder(arguments, run, seed)
    if "/" in run:
        found = arguments.work / f"{run}-{seed}".replace(" ", "_")
    path = found / "weights.safetensors"
    if not path.is_file():
        raise InputError(path, "no such weights", "the comparison that makes them, first")
    return path


def curve_of(log: Path, names: Sequence[str]) -> dict[str, list[float]]:
    """Columns of a training log, by name, of the rows that have a value in every one of them."""
    with log.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[name] for name in names)]
    return {name: [round(float(row[name]), 8) for row in rows] for name in names}


def begin(job: tuple[argparse.Namespace, str, int]) -> None:
    """Train what variants start from, under one seed."""
    arguments, name, seed = job
    torch.set_num_threads(1)
    if not (folder(arguments, name, seed) / "weights.safetensors").is_file():
        taught(arguments, comparison_for(arguments), name, seed)


def taught(arguments: argparse.Namespace, comparison: Comparison, name: str, seed: int) -> TrainingResult:
    """Train a variant, or what variants start from; weights that came from another machine are taken."""
    kind, out = part_class(arguments.system, arguments.part), folder(arguments, name, seed)
    weights, record = out / "weights.safetensors", out / "record.json"
    if weights.is_file() and record.is_file() and not (out / "checkpoints").is_dir():
        return TrainingResult(weights=weights, record=json.loads(record.read_text()), losses={})
    stage = {**comparison.begins, **comparison.variants}[name].seeded(seed)
    torch.manual_seed(seed)
    part = stage.part(kind)
    if stage.start_from:
        part.start_from(folder(arguments, stage.start_from, seed) / "weights.safetensors")
    learned = corpora(arguments, comparison.learned_from(name))
    data = open_dataset(learned, part.needs, stage.data)
    return train(part, data, out, stage.training, resume=True, progress=False)


def measured(
    arguments: argparse.Namespace, comparison: Comparison, systems: dict[str, System], row: str
) -> dict[str, Any]:
    """One row of the evaluation on each set of clips: of the system, or where there is none a baseline."""
    found, pictures = {}, part_class(arguments.system, arguments.part).needs.pictures
    looks = {"pictures": pictures, "frame_step": comparison.frame_step, "example": comparison.example}
    looks["judge"] = LipJudge.pretrained() if pictures else None
    looks["find_points"] = dlib_in_crop() if comparison.detector else None
    for test, clips in sources(arguments, comparison, pictures).items():
        report = evaluate(systems, clips, **looks, warp=not systems)
        (rows,) = report["systems"].values() if systems else (report["baselines"],)
        found[test] = {metric: middle(rows[row][metric]) for metric in comparison.metrics}
        if systems and (other := comparison.beside):
            found[test] |= {f"{other} {name}": middle(rows[other][name]) for name in comparison.metrics}
    return found


def sources(arguments: argparse.Namespace, comparison: Comparison, frames: bool) -> dict[str, Iterable[Clip]]:
    """What is measured on: drawn clips, and recordings where they are there."""
    found: dict[str, Iterable[Clip]] = {
        test: read_clips(corpora(arguments, [name]), frames=frames) for test, name in comparison.tests.items()
    }
    for test, recordings in comparison.recorded.items():
        if (arguments.work / recordings.folder).is_dir():
            found[test] = recordings.read(arguments.work, frames=frames)
    return found


def table_of(
    arguments: argparse.Namespace, comparison: Comparison, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that the package holds of an ablation."""
    base, stage = next(iter(comparison.variants.items()))
    record = json.loads((folder(arguments, base, comparison.seeds[0]) / "record.json").read_text())
    told, of = {}, f" --of {arguments.of}" if arguments.of else ""
    for key, names in (("train", comparison.train), ("test", comparison.tests.values())):
        drawn = {name: told_of(name) for name in names}
        told[key] = drawn if len(drawn) > 1 else next(iter(drawn.values()))
    if comparison.learns:
        told["learns"] = {
            one: {name: told_of(name) for name in its} for one, its in comparison.learns.items()
        }
    return {
        "command": f"python scripts/ablate.py {arguments.system} {arguments.part}{of} --work RUNS",
        **told,
        "steps": stage.training.steps,
        "frames_a_step": record["window"] * stage.training.batch_size,
        "frames_a_film": {test: frames_in(arguments, name) for test, name in comparison.tests.items()},
        **{key: record[key] for key in ("commit", "device", "torch")},
        "results": results,
    }


def told_of(name: str) -> dict[str, Any]:
    """What the table says of a corpus."""
    about = CORPORA[name].about()
    return {word: about[word] for word in TOLD if word in about}


def frames_in(arguments: argparse.Namespace, name: str) -> int:
    """How many frames the films of a corpus have, in the median."""
    return int(np.median([len(clip) for clip in read_clips(corpora(arguments, [name]), frames=False)]))


def draw_sheet(arguments: argparse.Namespace, comparison: Comparison) -> None:
    """The picture of some of the variants, all of the first seed."""
    name, variants = comparison.sheet
    kind, seed = part_class(arguments.system, arguments.part), comparison.seeds[0]
    parts = {one: kind.load(folder(arguments, one, seed) / "weights.safetensors") for one in variants}
    path = arguments.pictures / f"{arguments.part}-{name}.jpg"
    print(getattr(sheets, name)(parts, path, text="no" if arguments.tiny else None))


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, train, measure, write the table and the sheet."""
    parser = Parser(prog="ablate.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("system", metavar="SYSTEM")
    parser.add_argument("part", metavar="PART")
    parser.add_argument("--of", default="", metavar="WHAT", help="another comparison of it, such as warp")
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="clips and runs go here")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default 2)")
    parser.add_argument("--ship", action="store_true", help="write the table and the sheet of pictures")
    parser.add_argument("--into", type=Path, default=ABLATIONS, metavar="FOLDER", help="the table goes here")
    parser.add_argument("--pictures", type=Path, default=STATIC, metavar="FOLDER", help="the sheet goes here")
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, to see that all of it runs")
    arguments = parser.parse_args(argv)
    comparison = comparison_for(arguments)
    keep_tiny_out(arguments)
    if arguments.workers < 1:
        raise InputError("--workers", arguments.workers, "at least 1")
    corpora(arguments, sorted({name for one in comparison.variants for name in comparison.learned_from(one)}))
    corpora(arguments, list(comparison.tests.values()))
    compared = [*comparison.variants, *comparison.baselines]
    for name in comparison.begins:
        each(begin, [(arguments, name, seed) for seed in comparison.seeds], arguments.workers)
    jobs = [(arguments, variant, seed) for seed in comparison.seeds for variant in compared]
    results = each(make, jobs, arguments.workers)
    jobs = [(arguments, variant, seed) for seed in comparison.seeds for variant in comparison.composed]
    results += each(make, jobs, arguments.workers) if jobs else []
    compared += comparison.composed
    table = table_of(arguments, comparison, results)
    base = next(iter(comparison.variants))
    names = {name: name for name in compared}
    test = next(iter(comparison.tests))
    if len(comparison.seeds) > 1:
        print(Ablation(table, results).table(names, base, comparison.metrics, test=test))
    else:  # an interval needs two
        print(json.dumps({run["variant"]: run[test] for run in results}, indent=1))
    if arguments.ship:
        print(write_json(arguments.into / shipped_ablation(comparison.name).name, table))
        if comparison.sheet:
            draw_sheet(arguments, comparison)


if __name__ == "__main__":
    run(main)
