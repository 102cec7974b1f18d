"""What the chapter *from drawn to real* shows: `python scripts/drawn_and_real.py --work RUNS`.

RUNS holds `grid_s1` and `grid`, GRID's speaker s1 with its word times and clips of other speakers (Cooke,
Barker, Cunningham, Shao 2006; CC BY 4.0), prepared: `talkface prepare grid GRID --out RUNS/grid_s1 --detector
dlib`. Three things are measured and written to one file of the package, numbers alone: how far the shipped
systems come on sentences that nothing learned from, on people that nothing looked at, and on drawn people
held out, by one yardstick; how far mouths move, drawn and real, seen by the same detector; and how light it
is between their lips.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import PACKAGE, Parser, run
from corpora import divide, draw_all
from recipes import CORPORA, REAL, VG_NET_RECIPE

from talkface_lite.clip import ALIGNED, Clip, Interval, frame_times
from talkface_lite.corpus.alignment import place_phonemes
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.corpus.visemes import VISEMES, VOWELS, split_symbols
from talkface_lite.data.features import read_clips
from talkface_lite.data.needs import Needs
from talkface_lite.data.pictures import within
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.landmarks import GROUPS, lip_opening
from talkface_lite.measuring.evaluation import evaluate, shipped
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.lips import mouth_width
from talkface_lite.measuring.pairs import middle
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.systems import SYSTEMS
from talkface_lite.training.record import commit, device_name

OUT = PACKAGE / "ablations" / "drawn_and_real.json"
HELD_OUT = VG_NET_RECIPE.held_out
"""Drawn people that nothing learned from, by how they hold their heads."""
LOOK_AT = 5
"""SSIM and the detector look at every such frame of a film."""
DRAWN, DRAWN_SEED = 60, 70000
"""Clips that are drawn for the distributions, and their first seed."""
BINS = {
    "opening": np.arange(-4, 14.1, 0.5),
    "width": np.arange(-8, 8.1, 0.5),
    "jaw": np.arange(-6, 12.1, 0.5),
}
"""Edges, pixels of the 128×128 crop: what is counted lies between."""
OPENINGS = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0)
"""Edges, pixels of the 128×128 crop: light is measured for mouths that are open so far."""
FAIR = 0.4
"""Skin depth up to which drawn people are compared with GRID's speakers in the light of the mouth."""
EVERY = 5
"""The light is looked at in every such frame of these clips."""
KINDS = ("vowels", "closures", "silence")
QUIET = 0.12
"""Seconds around speech in which the mouth may still move."""


def measures(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Of faces ``(T, 68, 2)``: the lip opening, the mouth's width, and nose to chin, each ``(T,)``."""
    return {
        "opening": lip_opening(landmarks),
        "width": mouth_width(landmarks),
        "jaw": landmarks[:, 8, 1] - landmarks[:, 33, 1],
    }


def kinds_of(phonemes: Sequence[Interval], n_frames: int) -> dict[str, np.ndarray]:
    """In which frames a vowel is at its middle, lips close for /p b m/, nothing is said: bool ``(T,)``."""
    times, found = frame_times(n_frames), {kind: np.zeros(n_frames, bool) for kind in KINDS}
    silent = np.ones(n_frames, bool)
    for label, start, end in phonemes:
        symbols = split_symbols(label)
        silent &= (times < start - QUIET) | (times > end + QUIET)
        nearest = int(np.argmin(np.abs(times - (start + end) / 2)))
        sounds = {VISEMES[symbol].kind for symbol in symbols}
        if sounds and sounds <= set(VOWELS):
            found["vowels"][nearest] = True
        elif sounds == {"bilabial"}:
            found["closures"][nearest] = True
    return found | {"silence": silent}


def distributions(seen: Iterable[tuple[Sequence[Interval], np.ndarray]]) -> dict[str, Any]:
    """How often the mouth is how far from its rest, by kind of sound.

    Parameters
    ----------
    seen:
        Of each clip its phonemes and its faces ``(T, 68, 2)``, NaN where none was seen. The rest of a clip is
        the median of its silence.

    Returns
    -------
    dict
        Kind → measure → ``counts`` between :data:`BINS`, ``mean`` and ``spread`` in pixels.
    """
    values: dict[str, dict[str, list[np.ndarray]]] = {kind: {name: [] for name in BINS} for kind in KINDS}
    for phonemes, landmarks in seen:
        kinds, of = kinds_of(phonemes, len(landmarks)), measures(landmarks)
        there = np.isfinite(of["opening"])
        quiet = kinds["silence"] & there
        if quiet.sum() < 3:
            continue
        for name, value in of.items():
            away = value - np.median(value[quiet])
            for kind, frames in kinds.items():
                values[kind][name].append(away[frames & there])
    told: dict[str, Any] = {}
    for kind, its in values.items():
        told[kind] = {}
        for name, parts in its.items():
            all_of = np.concatenate(parts)
            counts, _ = np.histogram(np.clip(all_of, BINS[name][0], BINS[name][-1]), BINS[name])
            told[kind][name] = {
                "counts": counts.tolist(),
                "mean": round(float(all_of.mean()), 3),
                "spread": round(float(all_of.std()), 3),
            }
    return told


def real_mouths(work: Path) -> Iterable[tuple[Sequence[Interval], np.ndarray]]:
    """Those recordings that may be learned from, phonemes placed by their word times."""
    clips, _ = divide([clip for clip in read_clips(work / "grid_s1") if clip.words])
    for clip in clips:
        yield place_phonemes(clip.words), clip.landmarks


def drawn_mouths(
    find: Callable[[np.ndarray], np.ndarray | None], n_clips: int
) -> Iterable[tuple[Sequence[Interval], np.ndarray]]:
    """Drawn clips of GRID's sentences, their faces as the detector sees them."""
    for index in range(n_clips):
        clip = draw_clip(DRAWN_SEED + index, still_head=index % 2 == 0)
        faces = np.full((len(clip), 68, 2), np.nan, np.float32)
        for t in np.flatnonzero(np.any(list(kinds_of(clip.phonemes, len(clip)).values()), axis=0)):
            if (points := find(clip.frames[t])) is not None:
                faces[t] = points
        yield clip.phonemes, faces


def light_between(picture: np.ndarray, landmarks: np.ndarray) -> float | None:
    """How light it is between the lips: mean grey there over the median of the skin around the mouth.

    Parameters
    ----------
    picture, landmarks:
        uint8 ``(128, 128, 3)`` and ``(68, 2)``. None is returned where hardly anything lies between the lips.
    """
    grey, size = picture.mean(axis=-1), picture.shape[:2]
    inside = within(landmarks[GROUPS["inner_lips"]], size) > 0.9
    lips = within(landmarks[GROUPS["outer_lips"]], size) > 0.1
    face = within(np.concatenate([landmarks[2:15], landmarks[[35, 31]]]), size) > 0.9
    skin = face & ~cv2.dilate(lips.astype(np.uint8), np.ones((7, 7))).astype(bool)
    if inside.sum() < 6 or not skin.any():
        return None
    return float(grey[inside].mean() / np.median(grey[skin]))


def light_by_opening(clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """Between each two of :data:`OPENINGS`: number of frames, and median, 10th and 90th percentile of it."""
    found = [
        (float(lip_opening(clip.landmarks[t])), light)
        for clip in clips
        for t in range(0, len(clip), EVERY)
        if (light := light_between(clip.frames[t], clip.landmarks[t])) is not None
    ]
    told = []
    for low, high in pairwise(OPENINGS):
        light = [value for opening, value in found if low <= opening < high]
        shares = np.quantile(light, (0.5, 0.1, 0.9)).round(3).tolist() if light else [None] * 3
        told.append({"opening": [low, high], "frames": len(light), "light": shares})
    return told


def fair_people(n_clips: int) -> Iterator[Clip]:
    """Drawn clips of people as fair as GRID's speakers, without a beard."""
    for seed in count(DRAWN_SEED):
        clip = draw_clip(seed, still_head=True)
        person = Identity.draw(int(clip.identity.split("-")[-1]))
        if person.skin_depth < FAIR and person.beard in ("none", "stubble"):
            yield clip
            if not (n_clips := n_clips - 1):
                return


def rows_of(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what it says of single speakers: ``[median or share, low, high]``, or a plain
    number."""

    def short(row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: [middle(value), value["low"], value["high"]] if isinstance(value, dict) else value
            for name, value in row.items()
        }

    told = {"clips": report["clips"], "frames": report["frames"], "real": short(report["real"])}
    told["baselines"] = {name: short(row) for name, row in report["baselines"].items()}
    told["systems"] = {
        name: {row: short(its) for row, its in rows.items()} for name, rows in report["systems"].items()
    }
    return told


def judges(work: Path) -> Iterator[tuple[str, Iterable[Clip]]]:
    """Whose clips systems are measured on, with pictures: recordings, then drawn people, still and moving."""
    for name, recordings in REAL.items():
        yield name, recordings.read(work, frames=True)
    for head, name in HELD_OUT.items():
        folders = draw_all({name: CORPORA[name]}, work / "corpora", Needs(pictures=True))
        yield head, read_clips(folders, frames=True)


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that the chapter shows."""
    work = arguments.work
    for recordings in REAL.values():
        if not (folder := work / recordings.folder).is_dir():
            raise InputError(folder, "no recordings", "GRID's, prepared (talkface prepare)")
    find = dlib_in_crop()
    told: dict[str, Any] = {
        "command": "python scripts/drawn_and_real.py --work RUNS",
        "commit": commit(),
        "device": device_name(),
        "frame_step": LOOK_AT,
        "licence": "GRID, CC BY 4.0",
        "bins": {name: edges.tolist() for name, edges in BINS.items()},
        "mouths": {
            "real": distributions(real_mouths(work)),
            "drawn": distributions(drawn_mouths(find, arguments.drawn)),
        },
        "light": {
            "real": light_by_opening(clip for one in REAL.values() for clip in one.read(work, frames=True)),
            "drawn": light_by_opening(fair_people(arguments.drawn)),
        },
        "reports": {},
    }
    # the clips show the aligned face alone
    systems = {name: one for name, one in shipped(list(SYSTEMS)).items() if one.framing == ALIGNED}
    for name, clips in judges(work):
        looks = {"pictures": True, "find_points": find, "frame_step": LOOK_AT, "example": "rest"}
        looks["judge"] = LipJudge.pretrained()
        told["reports"][name] = rows_of(evaluate(systems, clips, **looks))
    return told


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = Parser(prog="drawn_and_real.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="holds grid_s1 and grid")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    parser.add_argument("--drawn", type=int, default=DRAWN, metavar="N", help=f"drawn clips ({DRAWN})")
    arguments = parser.parse_args(argv)
    print(write_json(arguments.out, measured(arguments)))


if __name__ == "__main__":
    run(main)
