"""Sheets of drawn people: ``python -m talkface_lite.corpus.sheet`` paints the committed one again.

With ``--mouths`` the sheet shows mouths and no more: 64 people as the networks see them, magnified.
"""

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
SAID = {
    "shut": (0, 0, 0, 0, 0, 0, 0),
    "parted": (0.15, 0, 0, 0.1, 0.15, 0.1, 0.2),
    "smile": (0.1, 0.8, 0, 0.7, 0.2, 0.2, 0.9),
    "ah": (0.65, 0.05, 0, 0.15, 0.25, 0, 0.25),
    "ee": (0.25, 0.6, 0, 0.25, 0.25, 0.5, 0.5),
    "oo": (0.22, -0.3, 1, 0, 0.05, 0, 0),
    "f": (0.1, 0.1, 0, 0.25, -1, 0.1, 0.8),
    "th, l": ((0.2, 0.1, 0, 0.15, 0.2, 0.9, 0.6), (0.32, 0.1, 0, 0.1, 0.15, 1, 0.3)),
}
"""Articulations in the columns of the sheet of mouths; the last takes two in turn."""
MOUTH_WINDOW = (56, 44)
"""Width and height of what the sheet of mouths shows, pixels of the 128x128 crop."""


def paint_mouths(first_seed: int = 0, *, rows: int = 8, magnify: int = 4) -> np.ndarray:
    """uint8 RGB: the mouths of ``8 * rows`` people, a column for each articulation of :data:`SAID`.

    What is painted is the 128x128 crop, so the sheet shows what the networks see, ``magnify`` times as large.
    """
    lines = []
    for row in range(rows):
        said = [pose[row % 2] if len(pose) == 2 else pose for pose in SAID.values()]
        cells = [mouth(first_seed + row * len(SAID) + k, pose, magnify) for k, pose in enumerate(said)]
        lines.append(np.hstack(cells))
    return np.vstack(lines)


def mouth(seed: int, pose: Sequence[float], magnify: int) -> np.ndarray:
    """uint8 RGB: the mouth of the identity of a seed, articulating, at a moment of its motion."""
    person, motion = Identity.draw(seed), Motion.draw(seed, 1)
    geometry = face_points(person, np.array(pose, float)[None], motion)
    picture = paint(person, geometry, 0)
    window = np.array(MOUTH_WINDOW)
    corner = np.rint(geometry.landmarks[0, 48:].mean(0) - window / 2).astype(int)
    left, top = np.clip(corner, 0, 128 - window)
    part = picture[top : top + window[1], left : left + window[0]]
    return cv2.resize(part, None, fx=magnify, fy=magnify, interpolation=cv2.INTER_CUBIC)


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
    parser.add_argument("--out", type=Path, help="file to write; by default the sheet of the book")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--mouths", action="store_true", help="mouths alone, as the networks see them")
    chosen = parser.parse_args(argv)
    if chosen.mouths and chosen.out is None:
        parser.error("--mouths needs --out")
    sheet = (paint_mouths if chosen.mouths else paint_sheet)(chosen.seed, rows=chosen.rows)
    out = chosen.out or SHEET_PATH
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 91, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    cv2.imwrite(str(out), sheet[..., ::-1], jpeg if out.suffix == ".jpg" else [])


if __name__ == "__main__":
    main()
