"""Does an outsider see faces? dlib's detector and its 68-point model, trained on photographs, look at drawn ones.

Run ``python -m talkface_lite.corpus.outsider`` for the full count.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter import paint
from talkface_lite.errors import InputError
from talkface_lite.landmarks import GROUPS, MOUTH, lip_opening

MAGNIFIED = 256
"""Side to which the 128x128 crop is enlarged before dlib looks, pixels; nothing is added around it."""
EYE_DISTANCE = 56.0
"""Outer eye distance in the aligned crop, pixels: the unit of the errors."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What dlib saw. Errors are medians over points and frames, in percent of the outer eye distance."""

    frames: int
    clips: int
    found: float
    found_upsampled: float
    error: float
    mouth_error: float
    error_by_group: dict[str, float]
    bias_by_group: dict[str, tuple[float, float]]
    correlation_median: float
    correlation_lowest: float
    correlations: tuple[float, ...]
    missed: tuple[str, ...]


def load_dlib():  # noqa: ANN201
    """dlib's frontal face detector and 68-point predictor.

    Raises
    ------
    InputError
        When dlib or the model file is not installed.
    """
    spec = find_spec("face_recognition_models")
    if find_spec("dlib") is None or spec is None:
        raise InputError("dlib", "not installed", "pip install talkface_lite[dlib]")
    import dlib

    folder = Path(spec.submodule_search_locations[0]) / "models"
    model = folder / "shape_predictor_68_face_landmarks.dat"
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))


def magnify(crop: np.ndarray) -> np.ndarray:
    """The crop enlarged to 256x256 by cubic interpolation."""
    return cv2.resize(crop, (MAGNIFIED, MAGNIFIED), interpolation=cv2.INTER_CUBIC)


def predict(predictor, picture: np.ndarray, box) -> np.ndarray:  # noqa: ANN001
    """float64 ``(68, 2)``: dlib's points in pixels of the 128x128 crop."""
    shape = predictor(picture, box)
    points = np.array([(point.x, point.y) for point in shape.parts()], float)
    factor = MAGNIFIED / 128
    return (points + 0.5) / factor - 0.5


def seen_clip(seed: int, n_frames: int, articulation: np.ndarray):  # noqa: ANN201
    """Identity and geometry of the clip of a seed."""
    identity = Identity.draw(seed)
    return identity, face_points(identity, articulation, Motion.draw(seed, n_frames))


def judge(
    n_identities: int = 50,
    n_frames: int = 200,
    *,
    seed: int = 0,
    clip_frames: int = 75,
    clips: int | None = None,
    clip_step: int = 1,
    max_yaw: float = 15.0,
) -> Verdict:
    """Let dlib look at random frames of drawn clips and at whole clips.

    Parameters
    ----------
    n_identities, n_frames:
        People, and frames drawn at random over all of them with ``|yaw| <= max_yaw`` degrees.
    seed:
        People are drawn from ``seed``, ``seed + 1``, ...
    clip_frames, clips, clip_step:
        Length of each clip; how many clips are followed frame by frame for the correlation of the lip opening
        (default: one of each person), looking at every ``clip_step``-th frame.
    """
    detector, predictor = load_dlib()
    rng = np.random.default_rng([seed, 0xD11B])
    people = [
        seen_clip(seed + k, clip_frames, speech_like(seed + k, clip_frames)) for k in range(n_identities)
    ]
    choices = [
        (k, t)
        for k, (_, geometry) in enumerate(people)
        for t in np.flatnonzero(np.abs(np.rad2deg(geometry.motion.pose[:, 0])) <= max_yaw)
    ]
    picked = sorted(choices[i] for i in rng.choice(len(choices), min(n_frames, len(choices)), replace=False))
    errors, offsets, found, found_upsampled, missed = [], [], 0, 0, []
    for k, t in picked:
        identity, geometry = people[k]
        picture = magnify(paint(identity, geometry, int(t)))
        boxes = detector(picture)
        found += bool(boxes)
        if not boxes:
            missed.append(f"{identity.name} frame {t} ({identity.hair})")
            boxes = detector(picture, 1)
            found_upsampled += bool(boxes)
            if not boxes:
                continue
        else:
            found_upsampled += 1
        points = predict(predictor, picture, max(boxes, key=lambda box: box.area()))
        offset = points - geometry.landmarks[t]
        offsets.append(offset)
        errors.append(np.linalg.norm(offset, axis=1) / EYE_DISTANCE * 100)
    errors, offsets = np.array(errors), np.array(offsets)
    followed = people[: clips if clips is not None else n_identities]
    correlations = [_follow(detector, predictor, *person, clip_step, max_yaw) for person in followed]
    known = [value for value in correlations if np.isfinite(value)]
    return Verdict(
        frames=len(picked),
        clips=len(followed),
        found=found / len(picked),
        found_upsampled=found_upsampled / len(picked),
        error=float(np.median(errors)),
        mouth_error=float(np.median(errors[:, MOUTH])),
        error_by_group={name: round(float(np.median(errors[:, group])), 2) for name, group in GROUPS.items()},
        bias_by_group={
            name: tuple(np.round(offsets[:, group].mean((0, 1)), 2).tolist()) for name, group in GROUPS.items()
        },
        correlation_median=float(np.median(known)),
        correlation_lowest=float(np.min(known)),
        correlations=tuple(round(float(value), 3) for value in correlations),
        missed=tuple(missed),
    )


def speech_like(seed: int, n_frames: int) -> np.ndarray:
    """``(T, 7)`` articulation of a spoken sentence where voice and visemes are at hand, else of babble."""
    rng = np.random.default_rng([seed, 0xBAB])
    articulation = np.zeros((n_frames, 7))
    syllable = rng.uniform(0, 2 * np.pi) + np.arange(n_frames) / 25 * 2 * np.pi * rng.uniform(2.0, 3.2)
    loud = np.clip(0.6 + 0.5 * np.sin(np.arange(n_frames) / 25 * 2 * np.pi * 0.5 + rng.uniform(0, 6)), 0, 1)
    articulation[:, 0] = np.clip(0.36 * loud * (1 + np.sin(syllable)), 0, 0.8)
    articulation[:, 1] = 0.5 * np.sin(0.37 * syllable)
    articulation[:, 2] = np.clip(0.8 * np.sin(0.29 * syllable + 1), 0, 1)
    articulation[:, 5] = np.clip(0.6 * np.sin(0.8 * syllable), 0, 1)
    articulation[:, 6] = np.clip(0.5 + 0.5 * np.sin(0.6 * syllable), 0, 1)
    return articulation


def _follow(detector, predictor, identity: Identity, geometry, step: int, max_yaw: float) -> float:  # noqa: ANN001
    truth, seen = [], []
    for t in range(0, len(geometry), step):
        if abs(np.rad2deg(geometry.motion.pose[t, 0])) > max_yaw:
            continue
        picture = magnify(paint(identity, geometry, t))
        boxes = detector(picture)
        if not boxes:
            continue
        points = predict(predictor, picture, max(boxes, key=lambda box: box.area()))
        truth.append(lip_opening(geometry.landmarks[t]))
        seen.append(lip_opening(points))
    if len(truth) < 8 or np.std(truth) < 1e-6 or np.std(seen) < 1e-6:
        return float("nan")
    return float(np.corrcoef(truth, seen)[0, 1])


def main() -> None:
    """Print the verdict as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identities", type=int, default=50)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--clips", type=int, default=None)
    parser.add_argument("--clip-step", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    verdict = judge(
        chosen.identities, chosen.frames, seed=chosen.seed, clips=chosen.clips, clip_step=chosen.clip_step
    )
    print(json.dumps(asdict(verdict), indent=1))


if __name__ == "__main__":
    main()
