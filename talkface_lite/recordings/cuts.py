"""Where a film may have been cut: frames whose picture is not the one before, moved or lit otherwise.

Two pictures are compared block by block at 48 px: each block may have moved by 3 px and may be brighter or
of another contrast. What is left is what motion and light do not explain.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

THUMBNAIL = 48
"""Longest side of the pictures compared, pixels. A sixteenth of it, 3 px, is how far a block may move."""

BLOCK = 6
"""Side of a block, pixels: about the size of an eye where a face fills half the picture."""

NOISE = 9.0
"""Variance, grey levels squared, below which a block holds nothing to compare."""

STRONG = 0.08
"""A change that can be a cut to another scene. Cuts between two of seven speakers before the same backdrop:
0.10 or more; frames of one shot, with noise of 15 grey levels on them: at most 0.03."""

WEAK = 0.02
"""A change that can be a piece cut out of one scene, where the face jumped too."""

AHEAD = 2
"""Frames looked ahead: a cut stands alone, and after a flash the old picture is back."""


class Change(NamedTuple):
    """``cut``: "", "weak" or "strong", how likely the frame begins a new shot; ``odd``: an empty picture, or
    one unlike the frame before where the next two are like it again, such as a flash."""

    cut: str
    odd: bool


def changes(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Change]]:
    """Pass frames on with what changed since the one before; three frames are held.

    Parameters
    ----------
    frames:
        uint8 ``(H, W, 3)``.

    Yields
    ------
    Each frame once, in order, with its :class:`Change`.
    """
    # (frame, its thumbnail, its change from the frame before)
    waiting: deque[tuple[np.ndarray, np.ndarray, float]] = deque()
    past: deque[float] = deque([0.0, 0.0], maxlen=AHEAD)
    home: np.ndarray | None = None
    newest: np.ndarray | None = None

    def judge() -> tuple[np.ndarray, Change]:
        nonlocal home
        frame, thumbnail, step = waiting.popleft()
        after = [later for _, later, _ in waiting]
        neighbours = sorted([*past, *(later for _, _, later in waiting), 0.0, 0.0])
        past.append(step)
        if thumbnail.var() < NOISE:
            return frame, Change("", True)
        if home is None:
            home = thumbnail
            return frame, Change("", False)
        change = difference(home, thumbnail)
        if change >= STRONG and any(difference(home, later) < STRONG / 2 for later in after):
            return frame, Change("", True)
        home = thumbnail
        # of four neighbours one may be a cut itself
        around = neighbours[-2]
        if change >= max(STRONG, 2 * around):
            return frame, Change("strong", False)
        return frame, Change("weak" if change >= max(WEAK, 4 * around) else "", False)

    for frame in frames:
        thumbnail = _thumbnail(frame)
        waiting.append((frame, thumbnail, 0.0 if newest is None else difference(newest, thumbnail)))
        newest = thumbnail
        if len(waiting) > AHEAD:
            yield judge()
    while waiting:
        yield judge()


def difference(before: np.ndarray, after: np.ndarray) -> float:
    """How much of two thumbnails neither motion nor light explains, in [0, 2]; 0 for nearly equal ones.

    For each block the best correlation with the other picture, over all shifts, is taken from 1; the mean
    counts blocks by their contrast.
    """
    if before.shape != after.shape:
        return 2.0
    if ((_levelled(before) - _levelled(after)) ** 2).mean() / 2 < 0.005:
        return 0.0
    reach = THUMBNAIL // 16
    height, width = before.shape
    mean, variance = _moments(before)
    best = np.full(before.shape, -1, np.float32)
    padded = cv2.copyMakeBorder(after, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            moved = padded[down : down + height, right : right + width]
            its_mean, its_variance = _moments(moved)
            both = _blocks(before * moved) - mean * its_mean + NOISE
            np.maximum(best, both / np.sqrt((variance + NOISE) * (its_variance + NOISE)), out=best)
    contrast = np.sqrt(variance) + np.sqrt(_moments(after)[1])
    return float(((1 - best) * contrast).sum() / (contrast.sum() + NOISE * contrast.size / 4))


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    """float32 grey, its longest side 48 px."""
    height, width = frame.shape[:2]
    factor = THUMBNAIL / max(height, width)
    size = (max(BLOCK, round(width * factor)), max(BLOCK, round(height * factor)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _levelled(thumbnail: np.ndarray) -> np.ndarray:
    return (thumbnail - thumbnail.mean()) / np.sqrt(thumbnail.var() + NOISE)


def _blocks(values: np.ndarray) -> np.ndarray:
    return cv2.boxFilter(values, -1, (BLOCK, BLOCK))


def _moments(thumbnail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the block round each pixel."""
    mean = _blocks(thumbnail)
    return mean, np.maximum(_blocks(thumbnail * thumbnail) - mean * mean, 0)
