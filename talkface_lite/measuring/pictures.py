"""How good the pictures are: a system's film beside what the camera saw, and beside the copied photograph.

PSNR and SSIM are those of :mod:`talkface_lite.metrics`: float64, a stated range, no resizing. The mouth has a
row of its own, because most of a talking face does not move and a copy of the photograph has it right.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH, apply_transform, invert_transform, magnify
from talkface_lite.measuring.evaluation import summary
from talkface_lite.metrics import mouth_landmark_distance, psnr, ssim
from talkface_lite.systems import ATVG, ATVGVideo

PICTURE_METRICS: tuple[str, ...] = ("psnr", "ssim", "mouth_psnr", "lmd")
"""dB over the whole crop, index, dB in the mouth box, pixels of the crop."""

MOUTH_MARGIN = 6
"""The mouth box reaches so many pixels beyond the 20 true mouth points of its frame."""

FindPoints = Callable[[np.ndarray], np.ndarray | None]
"""uint8 ``(128, 128, 3)`` → the 68 points that a detector sees in it, or None."""


def evaluate_pictures(
    video: ATVGVideo,
    clips: Iterable[Clip],
    *,
    system: ATVG | None = None,
    find_points: FindPoints | None = None,
    example: int = 0,
    frame_step: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Let VG-net film what each clip shows, from one of its frames, and compare.

    Parameters
    ----------
    video:
        Trained.
    clips:
        With pictures and landmarks in the aligned crop.
    system:
        AT-net; with it, the row ``with_at_net`` is filmed from the sound and the photograph alone.
    find_points:
        A detector; with it, LMD is the distance of the mouth points it sees in the film from those that it
        sees in the clip, each mouth centred, and ``missed`` the share of frames where it sees no face in one
        of them.
    example:
        Which frame of each clip is the photograph.
    frame_step:
        SSIM and LMD look at every such frame.
    seed:
        Of the bootstrap.

    Returns
    -------
    dict
        ``clips``, ``frames``, and for ``with_truth`` (true landmarks), ``with_at_net`` and ``copy_photo``:
        for each of :data:`PICTURE_METRICS` the ``median`` over clips and its 95 % bootstrap interval.
        ``mouth_gain`` of the films: their mouth PSNR over the copy's, clip by clip, likewise. ``lmd`` is left
        out without ``find_points``. None where no clip has a finite value, as the PSNR of equal pictures.

    Raises
    ------
    InputError
        When there is no clip, or a clip has no pictures.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, dict[str, list[float]]] = {}
    n_clips = n_frames = 0
    for clip in clips:
        if clip.frames is None:
            raise InputError(f"clip {n_clips}", "no pictures", "clips with pictures")
        shown = min(example, len(clip) - 1)
        photo, points = clip.frames[shown], clip.landmarks[shown]
        films = {"with_truth": video.generate(photo, points, clip.landmarks)}
        if system is not None:
            films["with_at_net"] = video.generate(photo, points, system.generate(clip.speech, points))
        films["copy_photo"] = np.broadcast_to(photo, clip.frames.shape)
        seen = _points_in(clip.frames[::frame_step], find_points)
        for name, film in films.items():
            got = measure_pictures(film, clip.frames, clip.landmarks, frame_step=frame_step)
            if find_points is not None:
                got |= _lmd(_points_in(film[::frame_step], find_points), seen)
            for metric, value in got.items():
                values.setdefault(name, {}).setdefault(metric, []).append(value)
        n_clips, n_frames = n_clips + 1, n_frames + len(clip)
    if not n_clips:
        raise InputError("clips", "none", "at least one clip")
    copied = np.array(values["copy_photo"]["mouth_psnr"])
    for name in values.keys() - {"copy_photo"}:
        with np.errstate(invalid="ignore"):  # both infinite
            values[name]["mouth_gain"] = list(np.array(values[name]["mouth_psnr"]) - copied)
    report: dict[str, Any] = {"clips": n_clips, "frames": n_frames, "frame_step": frame_step}
    for name, metrics in values.items():
        report[name] = {metric: summary(np.array(got), rng) for metric, got in metrics.items()}
    return report


def measure_pictures(
    film: np.ndarray, truth: np.ndarray, landmarks: np.ndarray, *, frame_step: int = 1
) -> dict[str, float]:
    """PSNR, SSIM and mouth PSNR of one clip.

    Parameters
    ----------
    film, truth:
        uint8 RGB ``(T, 128, 128, 3)``.
    landmarks:
        True, ``(T, 68, 2)``: they say where the mouth is.
    frame_step:
        SSIM looks at every such frame.
    """
    boxes = [mouth_box(points) for points in landmarks]
    mouths = [
        np.concatenate([frames[t][box].reshape(-1) for t, box in enumerate(boxes)])
        for frames in (film, truth)
    ]
    similar = [ssim(film[t], truth[t], data_range=255) for t in range(0, len(truth), frame_step)]
    return {
        "psnr": psnr(film, truth, data_range=255),
        "ssim": float(np.mean(similar)),
        "mouth_psnr": psnr(*mouths, data_range=255),
    }


def mouth_box(points: np.ndarray, margin: int = MOUTH_MARGIN) -> tuple[slice, slice]:
    """Rows and columns of the crop around the 20 mouth points of one face ``(68, 2)``."""
    low = np.floor(points[MOUTH].min(axis=0)).astype(int) - margin
    high = np.ceil(points[MOUTH].max(axis=0)).astype(int) + margin + 1
    (left, top), (right, bottom) = low.clip(0, CROP_SIZE - 1), high.clip(1, CROP_SIZE)
    return slice(top, bottom), slice(left, right)


def dlib_in_crop() -> FindPoints:
    """dlib's detector and points, on the crop enlarged to 256×256.

    Raises
    ------
    InputError
        When dlib or its model is not installed.
    """
    import cv2

    from talkface_lite.faces.detection import FilmFaces

    faces, size = FilmFaces("dlib"), 2 * CROP_SIZE
    back = invert_transform(magnify(size / CROP_SIZE))

    def find(picture: np.ndarray) -> np.ndarray | None:
        large = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
        boxes = faces.find(large, small=False)
        return apply_transform(faces.points(large, boxes[0]), back) if len(boxes) else None

    return find


def _points_in(frames: np.ndarray, find_points: FindPoints | None) -> list[np.ndarray | None]:
    return [] if find_points is None else [find_points(frame) for frame in frames]


def _lmd(film: list[np.ndarray | None], truth: list[np.ndarray | None]) -> dict[str, float]:
    pairs = [(a, b) for a, b in zip(film, truth) if a is not None and b is not None]
    distance = float("nan")
    if pairs:
        distance = float(mouth_landmark_distance(*(np.stack(points) for points in zip(*pairs))).mean())
    return {"lmd": distance, "missed": 1 - len(pairs) / len(truth)}
