"""A system goes on with one real speaker: `python scripts/one_speaker.py latent latent-matching --work RUNS`.

RUNS holds `grid_s1`, GRID's speaker s1 with word times (Cooke, Barker, Cunningham, Shao 2006; CC BY 4.0),
prepared: `talkface prepare grid GRID --out RUNS/grid_s1 --detector dlib`. The part begins with the package's
weights, learns from all recordings but the forty that are held back, as `ONE_SPEAKER` in
`scripts/comparisons.py` says, and is measured on those forty, beside itself before, the photograph, the
clip's mean picture, the unlearned warp and ATVGnet; a lip reader by the words that it reads off them. Films
are read by the judge that went on with this speaker, where RUNS has it. With --ship the figures go into the
package. Weights and a sheet of frames stay in RUNS: they are a real person's.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import PACKAGE, Parser, run
from comparisons import ONE_SPEAKER
from corpora import divide
from drawn_and_real import LOOK_AT, rows_of
from measures import lip_reading
from recipes import REAL, file_of, recipe_of, tiny_stage
from stages import Stage

from talkface_lite.clip import Clip
from talkface_lite.data.features import files_of, read_clips
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.figures import evenly
from talkface_lite.files import write_json
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.lips import rest_frame
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.media import write_image
from talkface_lite.systems import load, part_class
from talkface_lite.systems.base import System
from talkface_lite.systems.part import Part
from talkface_lite.training import train

BEFORE, AFTER = "from drawings", "after one speaker"
JUDGE = ("recurrent", "lip-discriminator", "judge")
"""Its row reads the films of the others."""
SHOWN, CLIPS = 8, 4
"""Frames of a row of the sheet, and clips on it."""


def to_learn_from(folder: Path) -> list[Path]:
    """The files of those recordings that are not held back.

    Raises
    ------
    InputError
        When there are none, or too few.
    """
    if not folder.is_dir():
        raise InputError(folder, "no recordings", f"{REAL['s1'].folder}, prepared (talkface prepare)")
    files = {clip.source: path for path in files_of(folder) for clip in read_clips(path)}
    learned, _ = divide([clip for clip in read_clips(folder) if clip.words])
    return [files[clip.source] for clip in learned]


def folder(work: Path, names: tuple[str, str, str]) -> Path:
    """Where a run leaves its weights and its report."""
    return work / "_".join(filter(None, (*names, "one-speaker")))


def beginning(work: Path, names: tuple[str, str, str], stage: Stage) -> Path:
    """The weights that it goes on from.

    Raises
    ------
    InputError
        When they are a run's that is not there.
    """
    if stage.start_from:
        path = work / stage.start_from / "weights.safetensors"
        if not path.is_file():
            raise InputError(path, "no weights", "those of an ablation in RUNS (scripts/ablate.py)")
        return path
    return PACKAGE / "weights" / file_of(*names)


def trained(kind: type[Part], stage: Stage, begins: Path, files: Sequence[Path], out: Path) -> Path:
    """Weights that went on with these files; a run that is there already is not made again."""
    weights = out / "weights.safetensors"
    if not weights.is_file():
        torch.manual_seed(stage.training.seed)
        part = stage.part(kind)
        part.start_from(begins)
        train(part, open_dataset(files, part.needs, stage.data), out, stage.training, resume=True)
    return weights


def sheet(systems: Mapping[str, System], clips: Iterable[Clip], row: str) -> np.ndarray:
    """Of each clip the truth, and below it each system's film, from the same photograph."""
    rows = []
    for clip in clips:
        at, shown = rest_frame(clip.landmarks), evenly(len(clip), SHOWN)
        films = [clip.frames]
        for system in systems.values():
            made = system.rows(clip, at, np.random.default_rng(0), pictures=True)
            films.append(made[row if row in made else "from_speech"].frames)
        rows += [np.concatenate([film[t] for t in shown], axis=1) for film in films]
    return np.concatenate(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure, write."""
    parser = Parser(prog="one_speaker.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("system", metavar="SYSTEM")
    parser.add_argument("part", metavar="PART")
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="holds grid_s1")
    parser.add_argument("--row", default="from_mean", help="of each film on the sheet (default from_mean)")
    parser.add_argument("--ship", action="store_true", help="write the figures into the package")
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, to see that all of it runs")
    parser.add_argument("--of", default="", metavar="WHAT", help="another row of the part, such as judge")
    arguments: argparse.Namespace = parser.parse_args(argv)
    names = (arguments.system, part_class(arguments.system, arguments.part).name, arguments.of)
    if names not in ONE_SPEAKER:
        told = f"{arguments.of} {names[1]} of {names[0]}".strip()
        raise InputError(told, "not in the table", "a row in ONE_SPEAKER")
    if arguments.tiny and arguments.ship:
        raise InputError("--tiny --ship", "both", "one of them")
    kind = part_class(*names[:2])
    stage = tiny_stage(ONE_SPEAKER[names]) if arguments.tiny else ONE_SPEAKER[names]
    files, out = to_learn_from(arguments.work / REAL["s1"].folder), folder(arguments.work, names)
    begins = beginning(arguments.work, names, ONE_SPEAKER[names])
    weights = trained(kind, stage, begins, files, out)
    record = json.loads((out / "record.json").read_text())
    of = f" --of {names[2]}" if names[2] else ""
    told = {
        "command": f"python scripts/one_speaker.py {names[0]} {names[1]}{of} --work RUNS",
        **{key: record[key] for key in ("commit", "device", "torch")},
        "seed": stage.training.seed,
        "licence": "GRID, CC BY 4.0",
        "learned_from": len(files),
        "steps": stage.training.steps,
        "frames_a_step": stage.data.window_of(part_class(*names[:2]).needs) * stage.training.batch_size,
    }
    measure = read_lips if recipe_of(*names[:2]).measure else filmed
    told |= measure(arguments, {BEFORE: begins, AFTER: weights}, out)
    write_json(out / "report.json", told)
    if arguments.ship:
        print(write_json(shipped_ablation(shipped_as(names)), told))


def shipped_as(names: tuple[str, str, str]) -> str:
    """What the figures are called in the package."""
    system, _, what = names
    return "_".join(filter(None, (system, "one_speaker", what.replace("-", "_"))))


def judged_on(arguments: argparse.Namespace, most: int | None = None) -> Iterator[Clip]:
    """The recordings that are held back, one at a time; with tiny numbers two of them."""
    return islice(REAL["s1"].read(arguments.work, frames=True), 2 if arguments.tiny else most)


def read_lips(arguments: argparse.Namespace, weights: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Which words are read off the speaker's true lips."""
    kind = part_class(arguments.system, arguments.part)
    return {name: lip_reading(kind.load(path), judged_on(arguments)) for name, path in weights.items()}


def filmed(arguments: argparse.Namespace, weights: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """The report of films, and a sheet of them."""
    systems = {name: load(arguments.system, weights=path) for name, path in weights.items()}
    systems["atvg"] = load("atvg")
    find = None if arguments.tiny else dlib_in_crop()
    looks: dict[str, Any] = {"pictures": True, "find_points": find, "frame_step": LOOK_AT, "example": "rest"}
    own = folder(arguments.work, JUDGE) / "weights.safetensors"
    looks["judge"] = LipJudge.load(own) if own.is_file() else LipJudge.pretrained()
    report = rows_of(evaluate(systems, judged_on(arguments), **looks))
    write_image(out / "sheet.png", sheet(systems, judged_on(arguments, CLIPS), arguments.row))
    print(out / "sheet.png")
    return {"judge": AFTER if own.is_file() else BEFORE, "report": report}


if __name__ == "__main__":
    run(main)
