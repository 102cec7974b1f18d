"""Four papers side by side: `python scripts/side_by_side.py --work RUNS --ship`.

Every system that the package has weights of is measured on the same clips, beside what learned nothing: 100
drawn ones that were held out, of whole heads, and, where RUNS has them, GRID's speakers (Cooke, Barker,
Cunningham, Shao 2006; CC BY 4.0), prepared with `talkface prepare grid GRID --view head --size 256 --detector
dlib --out RUNS/grid_s1_head` and `--out RUNS/grid_head`. Each is timed on this machine. And a drawn person
says one sentence by all of them in one film.

What was measured lies in RUNS/side_by_side and is not measured again, unless by then the weights are others.
With --ship the numbers go into the package, the film into the book, and the table into README and the front
page; --film makes the film alone, --timed adds the times to numbers that are there.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import ABLATIONS, PACKAGE, STATIC, Parser, fingerprints, keep_tiny_out, over_clips, run
from corpora import Recordings, draw_all
from recipes import CORPORA, tiny_corpus
from side_by_side_table import table, write_pages

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, Clip
from talkface_lite.corpus.face import CAMERA_SIZE, Identity, Motion, face_points
from talkface_lite.corpus.painter import paint_clip
from talkface_lite.corpus.voice import speak
from talkface_lite.data.features import read_clips
from talkface_lite.data.needs import Needs
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.landmarks import compose, magnify
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.measuring.baselines import COPY, MEAN_PICTURE, WARP
from talkface_lite.measuring.bench import bench, bench_system, matmul_gflops
from talkface_lite.measuring.evaluation import REST, evaluate, shipped
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.media import write_image, write_video
from talkface_lite.networks.sizes import SIZES
from talkface_lite.systems import SYSTEMS, describe, system_class
from talkface_lite.systems.base import FROM_SPEECH
from talkface_lite.systems.part import shipped_weights
from talkface_lite.talking.mark import provenance
from talkface_lite.talking.side_by_side import side_by_side
from talkface_lite.talking.talker import Portrait, Talker
from talkface_lite.training.record import commit, device_name

NAME = "side_by_side"
DRAWN = {"still": "test-heads-still", "moving": "test-heads-moving"}
"""Drawn people that nothing learned from, by how they hold their heads; frame 0 is the photograph."""
REAL = {
    "s1": Recordings(folder="grid_s1_head", held_back=True),
    "others": Recordings(folder="grid_head", without=("s1",)),
}
"""Sentences of a speaker that nothing learned from, and people that nothing looked at, the whole head in
view; the photograph is the frame with the least lip opening within the first half second."""
GROUPS = {"drawn": tuple(DRAWN), "real": tuple(REAL)}
"""What is taken together."""
LOOK_AT, SEED = 5, 0
"""SSIM and the detector look at every such frame of a film; the seed of what is drawn at random."""
FIGURES = (
    "mouth_gain",
    "mouth_psnr",
    "psnr",
    "ssim",
    "gain_over_mean_picture",
    "gain_over_warp",
    "lmd",
    "missed",
    "seen_lip_opening_correlation",
    "seen_opening_spread_over_real",
    "seen_pose_spread_over_real",
    "lra_top1",
    "lra_top5",
)
"""What is kept of each row."""
UNLEARNED = (COPY, MEAN_PICTURE, WARP)
"""Rows beside the systems."""

PERSON, VOICE = 89, "harriet"
SENTENCE = "All of us say the same words, and none of us has ever lived."
PANEL, COLUMNS, QUALITY = 240, 3, 21
BEFORE, AFTER = 0.2, 0.4
"""Seconds of rest around the sentence."""


def made_from() -> dict[str, str]:
    """Every file of weights that is measured or measures."""
    names = [
        shipped_weights(name, part.name, SIZES[0], "")
        for name in SYSTEMS
        for part in system_class(name).parts
    ]
    return fingerprints((*names, PACKAGE / "weights" / "lip_judge.safetensors"))


def kept(path: Path, about: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """What was made and lies there, if it was made in this way; or it is made, and laid there."""
    if path.is_file() and (told := json.loads(path.read_text()))["about"] == about:
        return told["made"]
    print(f"measuring: {path.stem}", file=sys.stderr, flush=True)
    write_json(path, {"about": dict(about), "made": make()})
    return json.loads(path.read_text())["made"]


def sources(work: Path, tiny: bool) -> Iterator[tuple[str, Iterable[Clip], int | str]]:
    """Whose clips systems are measured on, and which frame is the photograph; recordings that are there."""
    for head, name in DRAWN.items():
        corpus = tiny_corpus(CORPORA[name]) if tiny else CORPORA[name]
        folders = draw_all({name: corpus}, work / "corpora", Needs(pictures=True))
        yield head, read_clips(folders, frames=True), 0
    for name, recordings in REAL.items():
        if (work / recordings.folder).is_dir() and not tiny:
            yield name, recordings.read(work, frames=True), REST
        else:
            print(f"without {name}: no recordings in {work / recordings.folder}", file=sys.stderr)


def values(clips: Iterable[Clip], example: int | str, tiny: bool) -> dict[str, Any]:
    """Of each clip, row and figure one value; and whose they are."""
    report = evaluate(
        shipped(list(SYSTEMS)),
        clips,
        pictures=True,
        find_points=None if tiny else dlib_in_crop(),
        judge=LipJudge.pretrained(),
        example=example,
        frame_step=LOOK_AT,
        seed=SEED,
        per_clip=True,
    )
    its = report["per_clip"]
    rows = {name: its["baselines"][name] for name in UNLEARNED}
    rows |= {name: of[FROM_SPEECH] for name, of in its["systems"].items()}
    return {
        **{key: report[key] for key in ("clips", "frames", "example", "how")},
        "rows": {name: {key: row[key] for key in FIGURES if key in row} for name, row in rows.items()},
    }


def together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of one or several groups of clips, as :func:`values` has them → figures over all of these clips.

    Returns
    -------
    dict
        ``clips``, ``frames``; ``rows``: of each its figures, ``[median or share, low, high]``.
    """
    told: dict[str, Any] = {key: sum(part[key] for part in parts) for key in ("clips", "frames")}
    told["rows"] = {}
    for name, row in parts[0]["rows"].items():
        told["rows"][name] = {}
        for figure in row:
            found = [value for part in parts for value in part["rows"][name][figure]]
            told["rows"][name][figure] = over_clips(found, figure, SEED)
    return told


def speeds(tiny: bool) -> dict[str, Any]:
    """What `talkface bench` says: frames/s from a face to frames, from a photograph to the finished film."""
    size = SIZES[0]
    if tiny:
        name = next(iter(SYSTEMS))
        found = {name: {size: bench_system(name, size, 1, {"32": matmul_gflops(1), "bf16": 1.0})}}
        report = {"machine": {"cores": os.cpu_count()}, "systems": found}
    else:
        report = bench(sizes=[size])
    told = {
        name: {"film": its[size]["film"]["frames_per_s"], "talk": its[size]["talk"].get("frames_per_s")}
        for name, its in report["systems"].items()
    }
    made = {"commit": commit(), "device": device_name(), "machine": report["machine"]}
    return {"command": f"python scripts/{NAME}.py --work RUNS --ship --timed", **made, "systems": told}


def measured(work: Path, tiny: bool) -> dict[str, Any]:
    """Everything that the table shows but for the times."""
    folder, about = work / NAME, {"weights": made_from(), "frame_step": LOOK_AT, "seed": SEED, "tiny": tiny}
    parts = {
        name: kept(folder / f"{name}.json", about, partial(values, clips, example, tiny))
        for name, clips, example in sources(work, tiny)
    }
    clips = {name: together([part]) | {"example": part["example"]} for name, part in parts.items()}
    for group, names in GROUPS.items():
        if there := [parts[name] for name in names if name in parts]:
            clips[group] = together(there)
    networks = describe(list(SYSTEMS), [SIZES[0]])
    return {
        "command": f"python scripts/{NAME}.py --work RUNS --ship",
        "commit": commit(),
        "device": device_name(),
        "frame_step": LOOK_AT,
        "seed": SEED,
        "licence": "GRID, CC BY 4.0",
        "weights": about["weights"],
        "how": next(iter(parts.values()))["how"],
        "parameters": {name: its[SIZES[0]]["networks"] for name, its in networks.items()},
        "clips": clips,
    }


def there(path: Path) -> dict[str, Any]:
    """What was measured before, of the weights that are in the package.

    Raises
    ------
    InputError
        When nothing was, or of other weights.
    """
    if not path.is_file():
        raise InputError(path, "no numbers", "those of a run without --timed, first")
    told = json.loads(path.read_text())
    if told["weights"] != made_from():
        raise InputError(path, "numbers of other weights", "those of a run without --timed, first")
    return told


# ---- the film


def drawn_portrait(side: int = 2 * CAMERA_SIZE) -> Portrait:
    """A drawn person at rest, whom no network has seen; where the face is, is known."""
    person = Identity.draw(PERSON)
    geometry = face_points(person, np.zeros((1, 7)), Motion.hold(1))
    return Portrait(
        image=paint_clip(person, geometry, "camera", side)[0],
        landmarks=geometry.landmarks[0],
        matrix=compose(geometry.matrix[0], magnify(CAMERA_SIZE / side)),
        name=f"drawn person {PERSON}",
    )


def spoken(text: str) -> np.ndarray:
    """float32 ``(640·T,)``: a sentence with a little silence around it."""
    said = speak(text, VOICE)
    first = max(0, round((said.phonemes[0].start - BEFORE) * FRAMES_PER_SECOND))
    last = round((said.phonemes[-1].end + AFTER) * FRAMES_PER_SECOND)
    n_samples = (last - first) * SAMPLES_PER_FRAME
    speech = said.speech[first * SAMPLES_PER_FRAME :][:n_samples]
    return np.pad(speech, (0, n_samples - len(speech)))


def film(out: Path, text: str = SENTENCE) -> list[Path]:
    """The front page's film, silent, and its still: the loudest moment."""
    talkers = {name: Talker(system) for name, system in shipped(list(SYSTEMS)).items()}
    portrait, speech = drawn_portrait(), spoken(text)
    frames = list(side_by_side(talkers, portrait, speech, SEED, panel=PANEL, columns=COLUMNS))
    first, *more = talkers
    about = provenance(first, portrait.name, *more)
    path = write_video(out / "four.mp4", frames, quality=QUALITY, metadata=about)
    loud = [np.abs(speech[a:b]).mean() for a, b in pairwise(range(0, len(speech) + 1, SAMPLES_PER_FRAME))]
    return [path, write_image(out / "four-film.jpg", frames[int(np.argmax(loud))])]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, film, write."""
    parser = Parser(prog="side_by_side.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="clips and figures go here")
    parser.add_argument("--ship", action="store_true", help="write numbers, film and tables")
    parser.add_argument("--into", type=Path, default=ABLATIONS, metavar="FOLDER", help="the numbers go here")
    parser.add_argument("--pictures", type=Path, default=STATIC, metavar="FOLDER", help="the film goes here")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--film", action="store_true", help="the film alone")
    alone.add_argument("--untimed", action="store_true", help="no frames/s, which want an idle machine")
    alone.add_argument(
        "--timed", action="store_true", help="frames/s alone, beside the numbers that are there"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, to see that all of it runs")
    arguments: argparse.Namespace = parser.parse_args(argv)
    keep_tiny_out(arguments)
    into, pictures = arguments.work / NAME, arguments.work / NAME
    if arguments.ship:
        into, pictures = arguments.into, arguments.pictures
    path = into / shipped_ablation(NAME).name
    if not arguments.film:
        told = there(path) if arguments.timed else measured(arguments.work, arguments.tiny)
        if not arguments.untimed:
            told["bench"] = speeds(arguments.tiny)
        print(write_json(path, told))
        print(table(told))
        if into == ABLATIONS:
            print(*write_pages(told), sep="\n")
    if not arguments.timed:
        print(*film(pictures, "Now." if arguments.tiny else SENTENCE), sep="\n")


if __name__ == "__main__":
    run(main)
