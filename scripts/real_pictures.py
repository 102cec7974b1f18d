"""How far do nets that know only drawings carry? `python scripts/real_pictures.py GRID SPEECH --work DIR`.

GRID is a folder of GRID recordings, SPEECH one of recordings of speech. Prints, as JSON, the table of picture
measures over the GRID clips, and for the portraits of Grace Hopper and Eileen Collins what a detector sees in
the films: nobody knows how they looked while saying these words, but their lips should be where they were
asked to be. Leaves sheets of frames in DIR; commit none of the GRID ones.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import Parser, run, sounds_in

from talkface_lite.clip import SAMPLE_RATE
from talkface_lite.data.features import read_clips
from talkface_lite.figures import evenly
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.pictures import dlib_in_crop
from talkface_lite.media import read_speech, write_image
from talkface_lite.metrics import correlation, mouth_landmark_distance
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.systems import load
from talkface_lite.talking.talker import PHOTOGRAPHS, Portrait, Talker

SHOWN = 10
"""Frames of a row of a sheet."""
LONGEST_S = 6


def grid(work: Path, source: Path) -> dict[str, Any]:
    """The table over GRID clips, and a sheet: truth, film from true landmarks, film from the sound."""
    if not (work / "grid" / "summary.json").is_file():
        prepare("grid", source, work / "grid", detector="dlib", resume=True)
    system, rows = load("atvg"), []
    clips = list(read_clips(work / "grid", frames=True))
    for clip in clips:
        made = system.rows(clip, 0, np.random.default_rng(0), pictures=True)
        films = (clip.frames, made["with_truth"].frames, made["from_speech"].frames)
        shown = evenly(len(clip), SHOWN)
        rows += [np.concatenate([film[t] for t in shown], axis=1) for film in films]
    write_image(work / "grid-sheet.png", np.concatenate(rows))
    return evaluate(system, clips, pictures=True, find_points=dlib_in_crop(), frame_step=3)


def portrait(name: str, recordings: list[Path], work: Path) -> dict[str, Any]:
    """What dlib sees in films of a photograph: mouth points against those asked for, the lips' opening."""
    talker, find = Talker.load("atvg"), dlib_in_crop()
    face = Portrait.of(name, detector="dlib")
    seen_in_photo = find(face.crop())
    found: dict[str, Any] = {}
    rows = []
    for path in recordings:
        speech = read_speech(path, convert=True)[: LONGEST_S * SAMPLE_RATE]
        clip = talker.talk(face, speech)
        seen = [find(frame) for frame in clip.frames]
        there = np.array([points is not None for points in seen])
        points, asked = np.stack([p for p in seen if p is not None]), clip.landmarks[there]
        copied = np.broadcast_to(seen_in_photo, asked.shape)
        found[path.stem] = {
            "frames": len(clip),
            "missed": float(1 - there.mean()),
            "mouth_distance": float(mouth_landmark_distance(points, asked).mean()),
            "mouth_distance_of_copy": float(mouth_landmark_distance(copied, asked).mean()),
            "lip_opening_r": correlation(lip_opening(points), lip_opening(asked)),
        }
        rows.append(np.concatenate([clip.frames[t] for t in evenly(len(clip), SHOWN)], axis=1))
    sheet = np.concatenate(rows)
    write_image(work / f"{name}-sheet.png", cv2.resize(sheet, None, fx=1.5, fy=1.5))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = Parser(prog="real_pictures.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("grid", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args(argv)
    recordings = sounds_in(arguments.speech)
    report = {"grid": grid(arguments.work, arguments.grid)}
    report |= {name: portrait(name, recordings, arguments.work) for name in PHOTOGRAPHS}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    run(main)
