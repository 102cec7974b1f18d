"""How far do nets that know only drawings carry? `python scripts/real_pictures.py GRID SPEECH --work DIR`.

GRID is a folder of GRID recordings, SPEECH one of recordings of speech. Prints, as JSON, the table of picture
measures over the GRID clips, and for the portraits of Grace Hopper and Eileen Collins what a detector sees in
the films: nobody knows how they looked while saying these words, but their lips should be where they were
asked to be. Leaves sheets of frames in DIR; commit none of the GRID ones.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkface_lite.data.dataset import read_clips
from talkface_lite.figures import evenly
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.pictures import dlib_in_crop, evaluate_pictures
from talkface_lite.media import read_speech, write_image
from talkface_lite.metrics import correlation, mouth_landmark_distance
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.systems import load, load_video
from talkface_lite.talking.talker import PHOTOGRAPHS, Portrait, Talker

SHOWN = 10
"""Frames of a row of a sheet."""
LONGEST_S = 6
KINDS = (".wav", ".flac", ".ogg", ".mp3")


def grid(work: Path, source: Path) -> dict[str, Any]:
    """The table over GRID clips, and a sheet: truth, film from true landmarks, film from the sound."""
    if not (work / "grid" / "summary.json").is_file():
        prepare("grid", source, work / "grid", detector="dlib", resume=True)
    system, video = load("atvg"), load_video("atvg")
    clips = list(read_clips(work / "grid", frames=True))
    rows = []
    for clip in clips:
        photo, points = clip.frames[0], clip.landmarks[0]
        said = system.generate(clip.speech, points)
        films = (
            clip.frames,
            video.generate(photo, points, clip.landmarks),
            video.generate(photo, points, said),
        )
        shown = evenly(len(clip), SHOWN)
        rows += [np.concatenate([film[t] for t in shown], axis=1) for film in films]
    write_image(work / "grid-sheet.png", np.concatenate(rows))
    return evaluate_pictures(video, clips, system=system, find_points=dlib_in_crop(), frame_step=3)


def portrait(name: str, recordings: list[Path], work: Path) -> dict[str, Any]:
    """What dlib sees in films of a photograph: mouth points against those asked for, the lips' opening."""
    talker, find = Talker.load("atvg"), dlib_in_crop()
    face = Portrait.of(name, detector="dlib")
    seen_in_photo = find(face.crop())
    found: dict[str, Any] = {}
    rows = []
    for path in recordings:
        speech = read_speech(path, convert=True)[: LONGEST_S * 16_000]
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


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    recordings = sorted(path for path in arguments.speech.iterdir() if path.suffix.lower() in KINDS)
    report = {"grid": grid(arguments.work, arguments.grid)}
    report |= {name: portrait(name, recordings, arguments.work) for name in PHOTOGRAPHS}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
