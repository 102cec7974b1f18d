"""Does an outsider see faces? dlib's detector and 68-point model, made for photographs, look at drawn ones.

Run ``python -m talkface_lite.corpus.outsider`` for the full count.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.clip import SAMPLES_PER_FRAME
from talkface_lite.corpus.face import FaceGeometry, Identity, Motion, face_points
from talkface_lite.corpus.painter.layers import paint
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, grid_sentence, speak
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


def spoken_face(seed: int) -> FaceGeometry:
    """The face of the identity of a seed while it says a sentence of GRID's grammar."""
    rng = np.random.default_rng([seed, 0x5A1D])
    identity = Identity.draw(seed)
    voices = list(VOICES.values())
    utterance = speak(grid_sentence(rng), voices[rng.integers(len(voices))])
    n_frames = len(utterance.speech) // SAMPLES_PER_FRAME
    return face_points(identity, articulation(utterance.phonemes, n_frames), Motion.draw(seed, n_frames))


def judge(
    n_identities: int = 50,
    n_frames: int = 200,
    *,
    seed: int = 0,
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
    clips, clip_step:
        How many clips are followed for the correlation of the lip opening (default: one of each person),
        looking at every ``clip_step``-th frame.
    """
    detector, predictor = load_dlib()
    rng = np.random.default_rng([seed, 0xD11B])
    faces = [spoken_face(seed + k) for k in range(n_identities)]
    choices = [
        (k, t)
        for k, geometry in enumerate(faces)
        for t in np.flatnonzero(np.abs(np.rad2deg(geometry.motion.pose[:, 0])) <= max_yaw)
    ]
    picked = sorted(choices[i] for i in rng.choice(len(choices), min(n_frames, len(choices)), replace=False))
    errors, offsets, found, found_upsampled, missed = [], [], 0, 0, []
    for k, t in picked:
        geometry = faces[k]
        identity = geometry.identity
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
    followed = faces[: clips if clips is not None else n_identities]
    correlations = [_follow(detector, predictor, geometry, clip_step, max_yaw) for geometry in followed]
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
            name: tuple(np.round(offsets[:, group].mean((0, 1)), 2).tolist())
            for name, group in GROUPS.items()
        },
        correlation_median=float(np.median(known)),
        correlation_lowest=float(np.min(known)),
        correlations=tuple(round(float(value), 3) for value in correlations),
        missed=tuple(missed),
    )


def _follow(detector, predictor, geometry: FaceGeometry, step: int, max_yaw: float) -> float:  # noqa: ANN001
    truth, seen = [], []
    for t in range(0, len(geometry), step):
        if abs(np.rad2deg(geometry.motion.pose[t, 0])) > max_yaw:
            continue
        picture = magnify(paint(geometry.identity, geometry, t))
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
