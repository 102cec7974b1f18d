"""What the chapter *from drawn to real* shows: `python scripts/drawn_and_real.py --work RUNS`.

RUNS holds `grid_s1` and `grid`, GRID's speaker s1 with its word times and clips of other speakers (Cooke,
Barker, Cunningham, Shao 2006; CC BY 4.0), prepared: `talkface prepare grid GRID --out RUNS/grid_s1 --detector
dlib`. Two things are measured and written to one file of the package, numbers alone: how far the shipped
systems come on sentences that nothing learned from and on people that nothing looked at; and how far mouths
move, drawn and real, seen by the same detector.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import PACKAGE, Parser, run
from corpora import divide
from recipes import REAL

from talkface_lite.clip import Interval, frame_times
from talkface_lite.corpus.alignment import place_phonemes
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.corpus.visemes import VISEMES, VOWELS, split_symbols
from talkface_lite.data.features import read_clips
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.evaluation import evaluate, shipped
from talkface_lite.measuring.lips import mouth_width
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.systems import SYSTEMS
from talkface_lite.training.record import commit, device_name

OUT = PACKAGE / "ablations" / "drawn_and_real.json"
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


def rows_of(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what it says of single speakers: ``[median, low, high]``, or a plain number."""

    def short(row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: [value[key] for key in ("median", "low", "high")] if isinstance(value, dict) else value
            for name, value in row.items()
        }

    told = {"clips": report["clips"], "frames": report["frames"], "real": short(report["real"])}
    told["baselines"] = {name: short(row) for name, row in report["baselines"].items()}
    told["systems"] = {
        name: {row: short(its) for row, its in rows.items()} for name, rows in report["systems"].items()
    }
    return told


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that the chapter shows."""
    for recordings in REAL.values():
        if not (folder := arguments.work / recordings.folder).is_dir():
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
            "real": distributions(real_mouths(arguments.work)),
            "drawn": distributions(drawn_mouths(find, arguments.drawn)),
        },
        "reports": {},
    }
    systems = shipped(list(SYSTEMS))
    for name, recordings in REAL.items():
        clips = recordings.read(arguments.work, frames=True)
        looks = {"pictures": True, "find_points": find, "frame_step": LOOK_AT, "example": "rest"}
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
