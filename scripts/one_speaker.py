"""A system goes on with one real speaker: `python scripts/one_speaker.py latent latent-matching --work RUNS`.

RUNS holds `grid_s1`, GRID's speaker s1 with word times (Cooke, Barker, Cunningham, Shao 2006; CC BY 4.0),
prepared: `talkface prepare grid GRID --out RUNS/grid_s1 --detector dlib`. The part begins with the package's
weights, learns from all recordings but the forty that are held back, as `ONE_SPEAKER` in
`scripts/comparisons.py` says, and is measured on those forty, beside itself before, the photograph, the
clip's mean picture, the unlearned warp and ATVGnet. With --ship the figures go into the package. Weights and
a sheet of frames stay in RUNS: they are a real person's.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Parser, run
from comparisons import ONE_SPEAKER
from corpora import divide
from drawn_and_real import LOOK_AT, rows_of
from recipes import REAL, tiny_stage
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
from talkface_lite.systems.part import shipped_weights
from talkface_lite.training import train

BEFORE, AFTER = "from drawings", "after one speaker"
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


def trained(names: tuple[str, str], stage: Stage, files: Sequence[Path], out: Path) -> Path:
    """Weights that went on with these files; a run that is there already is not made again."""
    weights, kind = out / "weights.safetensors", part_class(*names)
    if not weights.is_file():
        torch.manual_seed(stage.training.seed)
        part = stage.part(kind)
        part.start_from(shipped_weights(*names))
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
    arguments: argparse.Namespace = parser.parse_args(argv)
    names = (arguments.system, part_class(arguments.system, arguments.part).name)
    if names not in ONE_SPEAKER:
        raise InputError(f"{names[1]} of {names[0]}", "not in the table", "a row in ONE_SPEAKER")
    if arguments.tiny and arguments.ship:
        raise InputError("--tiny --ship", "both", "one of them")
    stage = tiny_stage(ONE_SPEAKER[names]) if arguments.tiny else ONE_SPEAKER[names]
    files = to_learn_from(arguments.work / REAL["s1"].folder)
    out = arguments.work / f"{names[0]}_{names[1]}_one-speaker"
    weights = trained(names, stage, files, out)
    systems = {BEFORE: load(names[0]), AFTER: load(names[0], weights=weights), "atvg": load("atvg")}

    def judges(most: int | None = 2 if arguments.tiny else None) -> Iterator[Clip]:
        return islice(REAL["s1"].read(arguments.work, frames=True), most)

    record = json.loads((out / "record.json").read_text())
    find = None if arguments.tiny else dlib_in_crop()
    looks: dict[str, Any] = {"pictures": True, "find_points": find, "frame_step": LOOK_AT, "example": "rest"}
    looks["judge"] = LipJudge.pretrained()
    told = {
        "command": f"python scripts/one_speaker.py {names[0]} {names[1]} --work RUNS",
        **{key: record[key] for key in ("commit", "device", "torch")},
        "seed": stage.training.seed,
        "licence": "GRID, CC BY 4.0",
        "learned_from": len(files),
        "steps": stage.training.steps,
        "frames_a_step": stage.data.window_of(part_class(*names).needs) * stage.training.batch_size,
        "report": rows_of(evaluate(systems, judges(), **looks)),
    }
    write_json(out / "report.json", told)
    write_image(out / "sheet.png", sheet(systems, judges(CLIPS), arguments.row))
    print(out / "sheet.png")
    if arguments.ship:
        print(write_json(shipped_ablation(f"{names[0]}_one_speaker"), told))


if __name__ == "__main__":
    run(main)
