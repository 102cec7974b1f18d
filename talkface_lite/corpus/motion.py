"""What speech does not determine: the pose of the head, blinks, gaze and brows, smooth at 25 frames/s."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND
from talkface_lite.errors import InputError

YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT = np.deg2rad([25.0, 12.0, 10.0])
"""Largest turn, nod and tilt of a drawn head, radians."""
POSE_BAND_HZ = 2.4
"""No component of the pose moves faster than this."""

_CLOSING, _SHUT, _OPENING = 3.0, 1.0, 5.0
"""Phases of a blink in frames; an ordinary blink lasts 0.2 to 0.4 s."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """The movements of one clip that speech does not determine. All arrays are float32 with T rows.

    Attributes
    ----------
    pose:
        ``(T, 3)`` radians: yaw (positive turns the nose to the right of the picture), pitch (positive lowers
        it), roll (positive tilts the head clockwise in the picture); within ±25°, ±12°, ±10°.
    shift:
        ``(T, 2)`` sway of the head in the camera view, template pixels.
    blink:
        ``(T, 2)`` 0 (open) .. 1 (closed) for the eye at the left and at the right of the picture.
    gaze:
        ``(T, 2)`` -1..1, to the right and down.
    brows:
        ``(T, 2)`` -1 (lowered) .. 1 (raised), left and right of the picture.
    """

    pose: np.ndarray
    shift: np.ndarray
    blink: np.ndarray
    gaze: np.ndarray
    brows: np.ndarray

    def __post_init__(self) -> None:
        n_frames = len(self.pose)
        for name, width in (("pose", 3), ("shift", 2), ("blink", 2), ("gaze", 2), ("brows", 2)):
            got = getattr(self, name).shape
            if got != (n_frames, width):
                raise InputError(f"Motion.{name}", f"shape {got}", f"shape ({n_frames}, {width})")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pose)

    @classmethod
    def draw(cls, seed: int, n_frames: int, *, still: bool = False) -> Self:
        """Draw the movements of a clip.

        A longer clip with the same seed begins with the same frames.

        Parameters
        ----------
        seed:
            The same seed gives the same movements.
        n_frames:
            Length in frames, at least 1.
        still:
            True holds the neutral pose, open eyes and a centred gaze throughout.

        Raises
        ------
        InputError
            When ``n_frames`` is less than 1.
        """
        if n_frames < 1:
            raise InputError("n_frames", n_frames, "at least 1")
        if still:
            return cls.hold(n_frames)
        # each movement has its own stream, so that the length of the clip changes nothing in the others
        rng, gaze_rng, lid_rng, brow_rng = np.random.default_rng([seed, 0x307E]).spawn(4)
        time = np.arange(n_frames) / FRAMES_PER_SECOND
        limits = np.array([YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT])
        rest = rng.normal(0, np.deg2rad([6.5, 2.8, 2.2]))
        reach = np.deg2rad([4.5, 2.4, 2.0]) * rng.uniform(0.4, 1.7)
        wander = np.stack([_sway(rng, time, 0.08, 0.8) for _ in range(3)], axis=1)
        tremor = np.stack([_sway(rng, time, 0.8, POSE_BAND_HZ) for _ in range(3)], axis=1)
        pose = rest + reach * (wander + 0.16 * tremor)
        pose = limits * np.tanh(pose / limits)
        shift = np.stack([_sway(rng, time, 0.08, 0.9) for _ in range(2)], axis=1) * rng.uniform(0.8, 2.2)
        gaze = _fixations(gaze_rng, n_frames)
        lid = _blinks(lid_rng, n_frames)
        lift = np.clip(0.5 * _sway(brow_rng, time, 0.1, 1.2), -0.6, 1)
        brows = np.stack([lift, lift + 0.12 * _sway(brow_rng, time, 0.1, 1.2)], axis=1)
        blink = np.stack([lid, lid], axis=1)
        parts = {"pose": pose, "shift": shift, "blink": blink, "gaze": gaze, "brows": np.clip(brows, -1, 1)}
        return cls(**{name: part.astype(np.float32) for name, part in parts.items()})

    @classmethod
    def hold(
        cls,
        n_frames: int,
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        blink: float = 0.0,
        gaze: tuple[float, float] = (0.0, 0.0),
        brows: float = 0.0,
    ) -> Self:
        """A head held in one pose (radians) for ``n_frames`` frames."""

        def row(*values: float) -> np.ndarray:
            return np.tile(np.array(values, np.float32), (n_frames, 1))

        return cls(
            pose=row(yaw, pitch, roll),
            shift=row(0, 0),
            blink=row(blink, blink),
            gaze=row(*gaze),
            brows=row(brows, brows),
        )


def _sway(
    rng: np.random.Generator, time: np.ndarray, low: float, high: float, n_waves: int = 7
) -> np.ndarray:
    """Noise of unit variance whose waves lie between ``low`` and ``high`` Hz."""
    frequency = np.exp(rng.uniform(np.log(low), np.log(high), n_waves))
    phase = rng.uniform(0, 2 * np.pi, n_waves)
    weight = rng.uniform(0.4, 1, n_waves) / np.sqrt(frequency)
    waves = weight[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    return waves.sum(0) / np.sqrt((weight**2).sum() / 2)


def _blinks(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    frames = np.arange(n_frames, dtype=float)
    closed = np.zeros(n_frames)
    at = rng.exponential(2.2 * FRAMES_PER_SECOND)
    while at < n_frames + _OPENING:
        shape = np.where(
            frames < at, 1 - (at - frames) / _CLOSING, 1 - np.maximum(frames - at - _SHUT, 0) / _OPENING
        )
        shape = np.clip(shape, 0, 1)
        closed = np.maximum(closed, shape * shape * (3 - 2 * shape))
        at += (0.7 + rng.exponential(2.6)) * FRAMES_PER_SECOND
    return closed


def _fixations(rng: np.random.Generator, n_frames: int) -> np.ndarray:
    """Gaze that rests on a point, mostly the camera, and jumps within two frames to the next."""
    gaze = np.zeros((n_frames, 2))
    start = 0.0
    while start < n_frames:
        target = rng.normal(0, (0.28, 0.16)) * (rng.random() < 0.6)
        gaze[int(start) :] = np.clip(target, -0.8, 0.8)
        start += rng.uniform(0.5, 2.0) * FRAMES_PER_SECOND
    before = np.concatenate([gaze[:1], gaze[:-1]])
    return (before + gaze) / 2
