"""Where each painted layer lands in a frame: the head's skin by its depth, flat layers by their plane.

The head is painted once, facing the viewer. In every frame each output pixel asks where on that painting it
comes from. The question has no closed form, since the depth that shifts a point under a turn is known only
once the point is known; a few rounds of fixed-point iteration on a coarse grid answer it for all frames at
once.
"""

import cv2
import numpy as np

from talkface_lite.corpus.face import (
    CAMERA_CENTRE,
    CAMERA_DISTANCE,
    CAMERA_SCALE,
    FOCUS,
    PIVOT,
    FaceGeometry,
)
from talkface_lite.corpus.head import Head, skin_fields
from talkface_lite.corpus.painter.brush import Canvas
from talkface_lite.landmarks import apply_transform, invert_transform

CELL = 8
"""Spacing of the coarse grid, pixels of the supersampled picture."""
ROUNDS = 5
"""Of the iteration; at 25° of yaw 98 % of the grid is then within 0.4 pixels of the supersampled picture."""
_COARSE = Canvas.over(64 - 96, -72, 64 + 96, 150, 0.5)
_MOST_ROWS = 32_000
"""OpenCV addresses at most 32767 rows; frames beyond that are worked out in a second go."""


def relief(head: Head) -> np.ndarray:
    """float32 ``(7, h, w)``: depth and the skin's six fields as seen on the coarse canvas.

    The fields are cut to the components that matter: along y (and x for the mouth's width).
    """
    x, y = (part.astype(float) for part in _COARSE.grid())
    z = head.depth(x, y)
    fields = skin_fields(head, x, y, z)
    return np.concatenate([z[None], np.moveaxis(fields, (-2, -1), (0, 1)).reshape(-1, *z.shape)]).astype(
        np.float32
    )


def head_maps(
    geometry: FaceGeometry, maps: np.ndarray, view: np.ndarray, size: int, canvas: Canvas
) -> np.ndarray:
    """For each frame and coarse cell of the output, the pixel of the head's canvas that lands there.

    Parameters
    ----------
    geometry:
        T frames.
    maps:
        From :func:`relief`.
    view:
        ``(T, 2, 3)``: camera view to output pixels.
    size:
        Side of the output, a multiple of :data:`CELL`.
    canvas:
        On which the head is painted.

    Returns
    -------
    float32 ``(T, size / CELL + 2, size / CELL + 2, 2)``; one cell of margin on each side.
    """
    at_once = max(1, _MOST_ROWS // max(_COARSE.height, size // CELL + 2))
    parts = [
        _solve(geometry, maps, view, size, canvas, slice(start, start + at_once))
        for start in range(0, len(geometry), at_once)
    ]
    return np.concatenate(parts)


def _solve(
    geometry: FaceGeometry, maps: np.ndarray, view: np.ndarray, size: int, canvas: Canvas, frames: slice
) -> np.ndarray:
    cells = size // CELL + 2
    at = (np.arange(cells) - 0.5) * CELL - 0.5
    nodes = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    target = apply_transform(
        np.repeat(nodes[None], len(view[frames]), axis=0), invert_transform(view[frames])
    )
    flat = (target - CAMERA_CENTRE) / CAMERA_SCALE - geometry.motion.shift[frames, None]
    flat = flat.astype(np.float32)
    n_frames = len(flat)
    movement = geometry.movement[frames].astype(np.float32)
    fields = maps[1:].reshape(6, 3, *maps.shape[1:])
    surface = np.empty((n_frames, *maps.shape[1:], 4), np.float32)
    surface[..., :2] = np.tensordot(movement, np.moveaxis(fields[:, :2], 1, -1), axes=(1, 0))
    surface[..., 2] = maps[0] + movement[:, :1, None] * fields[0, 2]
    surface[..., 3] = np.gradient(maps[0], axis=1) * _COARSE.scale
    surface = surface.reshape(-1, maps.shape[2], 4)
    rotation = geometry.rotation[frames].astype(np.float32)
    r = [[rotation[:, i, j, None] for j in range(3)] for i in range(3)]
    det = r[0][0] * r[1][1] - r[0][1] * r[1][0]
    rows = maps.shape[1]
    top = (np.arange(n_frames, dtype=np.float32) * rows)[:, None]
    turn = r[0][2] / r[0][0]
    moved = np.broadcast_to(np.array([0, 0, 30, 0], np.float32), (*flat.shape[:2], 4))
    near = np.full(flat.shape[:2], 30, np.float32)
    x = y = np.float32(0)
    for _ in range(ROUNDS):
        shrink = (CAMERA_DISTANCE - near) / CAMERA_DISTANCE
        depth = moved[..., 2] - np.float32(PIVOT[2])
        right = flat[..., 0] * shrink + np.float32(FOCUS[0] - PIVOT[0]) - r[0][2] * depth
        low = flat[..., 1] * shrink + np.float32(FOCUS[1] - PIVOT[1]) - r[1][2] * depth
        px = (r[1][1] * right - r[0][1] * low) / det
        py = (r[0][0] * low - r[1][0] * right) / det
        near = r[2][0] * px + r[2][1] * py + r[2][2] * depth + np.float32(PIVOT[2])
        # a turn shifts x by the depth, so where the depth is steep a Newton step goes further or less far
        ahead = px + np.float32(PIVOT[0]) - moved[..., 0]
        x = x + (ahead - x) / np.clip(1 + turn * moved[..., 3], 0.3, 2.5)
        y = py + np.float32(PIVOT[1]) - moved[..., 1]
        column = np.clip((x - _COARSE.x) * _COARSE.scale, 0, maps.shape[2] - 1)
        row = np.clip((y - _COARSE.y) * _COARSE.scale, 0, rows - 1.001) + top
        shape = (n_frames * cells, cells)
        moved = cv2.remap(surface, column.reshape(shape), row.reshape(shape), cv2.INTER_LINEAR)
        moved = moved.reshape(*flat.shape[:2], 4)
    found = np.stack([(x - canvas.x) * canvas.scale, (y - canvas.y) * canvas.scale], axis=-1)
    return found.reshape(n_frames, cells, cells, 2).astype(np.float32)


def fine_map(coarse: np.ndarray, size: int) -> np.ndarray:
    """float32 ``(size, size, 2)``: the coarse map of one frame at every pixel, for ``cv2.remap``."""
    full = coarse.shape[0] * CELL
    return cv2.resize(coarse, (full, full), interpolation=cv2.INTER_LINEAR)[
        CELL : CELL + size, CELL : CELL + size
    ]


def plane_transforms(geometry: FaceGeometry, canvas: Canvas, depth: float, view: np.ndarray) -> np.ndarray:
    """float64 ``(T, 2, 3)``: pixels of a flat layer that stands at ``depth`` to output pixels."""
    corners = np.array([[64 - 40, 20], [64 + 40, 20], [64, 110]], float)
    there = geometry.project(np.column_stack([corners, np.full(3, depth)]))
    there = apply_transform(there, view)
    here = np.column_stack([canvas.pixels(corners), np.ones(3)])
    return np.swapaxes(np.linalg.inv(here) @ there, -1, -2)
