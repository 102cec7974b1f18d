"""The committed sheet of identities: ``python -m talkface_lite.corpus.sheet`` paints it again."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter.layers import paint

SHEET_PATH = Path("book/_static/identities.jpg")
MOUTHS = (
    (0, 0, 0, 0, 0, 0, 0),
    (0.26, 0.5, 0, 0.25, 0.1, 0.4, 0.7),
    (0, 0.35, 0, 0, 0, 0, 0),
    (0.45, 0.2, 0, 0.2, 0, 0.2, 0.5),
    (0.2, -0.4, 0.8, 0, 0, 0, 0),
)
"""Articulations that the sheet goes through: rest, open e, a faint smile, a, u."""


def paint_sheet(
    first_seed: int = 0, *, rows: int = 8, columns: int = 8, size: int = 200, margin: int = 4
) -> np.ndarray:
    """uint8 RGB: one portrait of each of ``rows * columns`` identities, in many poses and with many mouths.

    Each portrait is the middle of the camera view, ``size`` pixels wide.
    """
    pitch = size + margin
    sheet = np.full((rows * pitch + margin, columns * pitch + margin, 3), 255, np.uint8)
    for k in range(rows * columns):
        top, left = margin + (k // columns) * pitch, margin + (k % columns) * pitch
        sheet[top : top + size, left : left + size] = portrait(first_seed + k, size)
    return sheet


def portrait(seed: int, size: int) -> np.ndarray:
    """uint8 RGB ``(size, size, 3)``: head and shoulders of the identity of a seed, a moment of its motion."""
    identity = Identity.draw(seed)
    motion = Motion.draw(seed, 1)
    motion.blink[:] = 0
    articulation = np.array(MOUTHS[(seed + seed // 8) % len(MOUTHS)], float)[None]
    geometry = face_points(identity, articulation, motion)
    side = -(-round(size / 0.72) // 4) * 4
    picture = paint(identity, geometry, 0, "camera", side)
    left, top = (side - size) // 2, round(0.06 * side)
    return picture[top : top + size, left : left + size]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SHEET_PATH)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=8)
    chosen = parser.parse_args(argv)
    sheet = paint_sheet(chosen.seed, rows=chosen.rows)
    cv2.imwrite(
        str(chosen.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 91, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    )


if __name__ == "__main__":
    main()
