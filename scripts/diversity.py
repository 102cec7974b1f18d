"""How far a system's films of one speech differ, beside how far true ones do: `python scripts/diversity.py`.

Draws people and sentences held out; of each, films that differ in nothing but what speech does not determine.
Lets the system say the same from the first frame, several times, and measures both with the same detector.
With --ship the figures go into the package, where the chapter reads them. With --trained RUNS the same is
asked of short trainings from three seeds instead: half widths, heads that move.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Parser, each, run
from comparisons import MATCHED
from corpora import draw_all
from recipes import CORPORA, recipe_of

from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip, motion_seed
from talkface_lite.data.features import read_clips
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.measuring.diversity import (
    best_of,
    jitter,
    noisy,
    points_of,
    shut_frames,
    spreads,
)
from talkface_lite.measuring.pictures import dlib_in_crop, remembering
from talkface_lite.measuring.retrieval import retrieval
from talkface_lite.runtime import device
from talkface_lite.systems import load, part_class
from talkface_lite.systems.base import Face, System
from talkface_lite.training import train

SYSTEM = "latent"
"""The one that draws, and whose settings :data:`WAYS` changes."""

CORPUS_SEED = 7000
TRAINING_SEEDS, MOVING = (0, 1, 2), "train-b"
"""Of the short trainings, and what they learn from."""
COUNTS = (1, 2, 4, 8, 16, 32)
"""How many films there are to choose the nearest from."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "replayed": {"draws": "replayed", "noise": 1.4},
    "nearer": {"draws": "replayed", "noise": 1.0},
    "slow": {"draws": "slow", "noise": 1.4},
    "independent": {"draws": "independent", "noise": 1.0},
    "no noise": {"noise": 0.0},
}
"""The first is how films are drawn where nothing is said; each frame by itself is the paper's."""


def trained(job: tuple[Path, int]) -> Path:
    """Weights of a short training, finished; what is there already is not made again."""
    (work, seed), kind = job, part_class(SYSTEM, "latent-matching")
    torch.set_num_threads(1)
    folder, stage = work / f"{SYSTEM}_diversity" / f"seed-{seed}", MATCHED.seeded(seed)
    out = folder / "finished.safetensors"
    if not out.is_file():
        torch.manual_seed(seed)
        data = open_dataset(corpora(work, [MOVING]), kind.needs, stage.data)
        done = train(stage.part(kind), data, folder, stage.training, resume=True, progress=False)
        part = kind.load(done.weights)
        part.finish(read_clips(corpora(work, recipe_of(SYSTEM, kind.name).finish), frames=True))
        part.save(out, done.record)
    return out


def corpora(work: Path, names: Sequence[str]) -> list[Path]:
    """Folders of clips, drawn where they are missing."""
    needs = part_class(SYSTEM, "latent-matching").needs
    return draw_all({name: CORPORA[name] for name in names}, work / "corpora", needs)


def films_of(system: System, clip: Clip, count: int, seed: int) -> np.ndarray:
    """uint8 ``(count, T, 128, 128, 3)``: what the clip says, from its first frame."""
    rngs = [np.random.default_rng([seed, number]) for number in range(count)]
    face = Face(clip.frames[0], clip.landmarks[0])
    rows = list(system.checked_films(face, clip.speech, rngs))
    return np.stack([np.concatenate([row[number].frames for row in rows]) for number in range(count)])


def one_question(job: tuple[argparse.Namespace, Path | None, int]) -> list[dict[str, Any]]:
    """Of each seed of draws: spread and jitter of one speech's films, true and made, and how near the nearest
    comes; and whether the posterior of the sound finds that of the frames."""
    arguments, weights, number = job
    films, most = arguments.films, arguments.most
    if arguments.workers > 1:
        torch.set_num_threads(1)
    system = load(SYSTEM, weights=weights).to(device()).for_inference()
    find_points = remembering(dlib_in_crop())
    drawn = {"seed": clip_seed(arguments.corpus_seed, number), "split": "test"}
    first = draw_clip(**drawn)
    others = [draw_clip(**drawn, motion=motion_seed(drawn["seed"], film)) for film in range(1, films)]
    shut = shut_frames(first)
    seen = points_of([clip.frames for clip in (first, *others)], find_points)
    truth = {"spread": spreads(seen, shut), "jitter": jitter(seen)}
    moments = {"chance": 1 / len(first), **retrieval(*system.posterior_means(first))}
    told = []
    for seed in arguments.seeds:
        found: dict[str, Any] = {"truth": truth}
        for name, changes in WAYS.items():
            way = system.with_settings(replace(system.settings, **changes))
            made = films_of(way, first, most if name != "no noise" else films, seed)
            seen = points_of(made[:films], find_points)
            found[name] = {"spread": spreads(seen, shut), "jitter": jitter(seen)}
            if name != "no noise":
                counts = [count for count in COUNTS if count <= most]
                found[name]["best"] = best_of(made, first.frames, counts)
                mean = made.astype(np.float32).mean(axis=0)
                noise = noisy(mean, made, np.random.default_rng([seed, number]))
                found[name]["best of noise"] = best_of(noise, first.frames, counts)
        told.append({"ways": found, "retrieval": moments})
    return told


def together(questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Root mean squares of spreads and jitters over questions, means of decibels and of what was found."""
    ways: dict[str, Any] = {}
    for name in questions[0]["ways"]:
        rows = [question["ways"][name] for question in questions]
        ways[name] = {
            kind: {
                measure: float(np.sqrt(np.nanmean([row[kind][measure] ** 2 for row in rows])))
                for measure in rows[0][kind]
            }
            for kind in ("spread", "jitter")
        }
        for kind in ("best", "best of noise"):
            if kind in rows[0]:
                ways[name][kind] = np.mean([row[kind] for row in rows], axis=0).tolist()
    told = [question["retrieval"] for question in questions]
    return {"ways": ways, "retrieval": {key: float(np.mean([one[key] for one in told])) for key in told[0]}}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, film, measure, print."""
    parser = Parser(prog="diversity.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--weights", type=Path, nargs="+", help="one run each (default: the package's)")
    which.add_argument("--trained", type=Path, metavar="RUNS", help="short trainings from three seeds")
    parser.add_argument(
        "--corpus-seed", type=int, default=CORPUS_SEED, help=f"other people, default {CORPUS_SEED}"
    )
    parser.add_argument("--questions", type=int, default=12, help="people and sentences (default 12)")
    parser.add_argument("--films", type=int, default=8, help="of each, for the spread (default 8)")
    parser.add_argument("--most", type=int, default=32, help="to choose the nearest from (default 32)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the draws")
    parser.add_argument("--ship", action="store_true", help="write the figures into the package")
    parser.add_argument("--workers", type=int, default=2, help="questions at a time (default 2)")
    arguments: argparse.Namespace = parser.parse_args(argv)
    if arguments.films < 2 or arguments.questions < 1 or arguments.most < arguments.films:
        raise InputError("--films", arguments.films, "at least 2, no more than --most, of 1 question or more")
    if arguments.ship and arguments.corpus_seed != CORPUS_SEED:
        got = f"--corpus-seed {arguments.corpus_seed}"
        raise InputError("--ship", got, f"that of the book, {CORPUS_SEED}")
    if arguments.workers < 1:
        raise InputError("--workers", arguments.workers, "at least 1")
    of = arguments.weights or [None]
    if work := arguments.trained:
        corpora(work, [MOVING, *recipe_of(SYSTEM, "latent-matching").finish])
        of = each(trained, [(work, seed) for seed in TRAINING_SEEDS], arguments.workers)
    jobs = [(arguments, *which) for which in product(of, range(arguments.questions))]
    told = each(one_question, jobs, arguments.workers)
    runs: dict[str, Any] = {}
    for weights, (k, seed) in product(of, enumerate(arguments.seeds)):
        its = [one[k] for one, (_, its_weights, _) in zip(told, jobs) if its_weights is weights]
        name = f"{weights.parent.name if work else weights or 'the package'}, seed {seed}"
        runs[name] = together(its)
        print(name)
        print(json.dumps(runs[name], indent=1), flush=True)
    about = {
        "command": f"python scripts/diversity.py{' --trained RUNS' if work else ''}",
        "questions": arguments.questions,
        "films": arguments.films,
        "counts": [count for count in COUNTS if count <= arguments.most],
        "corpus_seed": arguments.corpus_seed,
        "ways": {name: dict(changes) for name, changes in WAYS.items()},
        "device": device(),
        "torch": torch.__version__,
    }
    if arguments.ship:
        name = f"{SYSTEM}_diversity{'_trained' if work else ''}"
        print(write_json(shipped_ablation(name), about | {"runs": runs}))


if __name__ == "__main__":
    run(main)
