"""Tools of the painter: layers with soft edges, splines, noise and light."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

SHIFT = 4
"""Bits after the point in the coordinates that OpenCV draws with."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A rectangle of the head's (or the camera's) coordinates with a resolution.

    Attributes
    ----------
    x, y:
        Coordinates of the centre of the first pixel.
    width, height:
        In pixels.
    scale:
        Pixels to one unit.
    """

    x: float
    y: float
    width: int
    height: int
    scale: float

    @classmethod
    def over(cls, x0: float, y0: float, x1: float, y1: float, scale: float) -> "Canvas":
        """The canvas that spans ``[x0, x1] x [y0, y1]``."""
        return cls(x0, y0, round((x1 - x0) * scale) + 1, round((y1 - y0) * scale) + 1, scale)

    def cut(self, part: tuple[slice, slice]) -> "Canvas":
        """The canvas of a part ``(rows, columns)`` of this one."""
        rows, columns = part
        x, y = self.x + columns.start / self.scale, self.y + rows.start / self.scale
        return Canvas(x, y, columns.stop - columns.start, rows.stop - rows.start, self.scale)

    def part(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        """Rows and columns of the pixels in ``[x0, x1] x [y0, y1]``."""
        (left, top), (right, low) = self.pixels(np.array([[x0, y0], [x1, y1]]))
        rows = slice(max(int(top), 0), min(int(low) + 1, self.height))
        return rows, slice(max(int(left), 0), min(int(right) + 1, self.width))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Coordinates ``(..., 2)`` to pixels of this canvas."""
        return (np.asarray(points, float) - (self.x, self.y)) * self.scale

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 ``(height, width)`` x and y of every pixel."""
        x = self.x + np.arange(self.width, dtype=np.float32) / np.float32(self.scale)
        y = self.y + np.arange(self.height, dtype=np.float32) / np.float32(self.scale)
        return np.broadcast_to(x, (self.height, self.width)), np.broadcast_to(
            y[:, None], (self.height, self.width)
        )

    def fill(self, *polygons: np.ndarray, blur: float = 0.0) -> np.ndarray:
        """float32 mask 0..1 of closed polygons ``(N, 2)``; ``blur`` is the softness of the edge in units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(mask, [fixed(self.pixels(polygon)) for polygon in polygons], 255, cv2.LINE_AA, SHIFT)
        return self._soft(mask, polygons, 0, blur) * np.float32(1 / 255)

    def stroke(self, *lines: np.ndarray, width: float, blur: float = 0.0, closed: bool = False) -> np.ndarray:
        """float32 mask 0..1 of open lines ``(N, 2)`` of a width in units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        thick = max(1, round(width * self.scale))
        cv2.polylines(
            mask, [fixed(self.pixels(line)) for line in lines], closed, 255, thick, cv2.LINE_AA, SHIFT
        )
        return self._soft(mask, lines, width, blur) * np.float32(min(1.0, width * self.scale / thick) / 255)

    def _soft(self, mask: np.ndarray, shapes: tuple, width: float, blur: float) -> np.ndarray:
        """Blur a mask, where there is something to blur."""
        mask = mask.astype(np.float32)
        sigma = blur * self.scale
        if sigma < 0.2:
            return mask
        first = np.min([np.min(shape, axis=0) for shape in shapes], axis=0) - width
        last = np.max([np.max(shape, axis=0) for shape in shapes], axis=0) + width
        low = np.floor(self.pixels(first) - 3.5 * sigma)
        high = np.ceil(self.pixels(last) + 3.5 * sigma)
        (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.maximum(high, 0).astype(int) + 1
        part = mask[y0:y1, x0:x1]
        if part.size:
            part[:] = soften(part, sigma)
        return mask

    def spot(self, x: float, y: float, wide: float, high: float) -> np.ndarray:
        """float32 Gaussian spot with standard deviations ``wide`` and ``high`` in units."""
        u = np.float32(self.x - x) + np.arange(self.width, dtype=np.float32) / np.float32(self.scale)
        v = np.float32(self.y - y) + np.arange(self.height, dtype=np.float32) / np.float32(self.scale)
        down, across = np.exp(-0.5 * (v / high) ** 2), np.exp(-0.5 * (u / wide) ** 2)
        return np.outer(down, across)


def symmetric(path: list[tuple[float, float]], n_points: int = 70, middle: float = 64.0) -> np.ndarray:
    """float64 ``(2 * n_points, 2)``: a closed outline from control points of its right half.

    ``x`` in ``path`` is the distance from the ``middle``.
    """
    half = curve(path, n_points)
    right = np.stack([middle + half[:, 0], half[:, 1]], 1)
    left = np.stack([middle - half[:, 0], half[:, 1]], 1)
    return np.concatenate([right, left[::-1]])


def distance_inside(canvas: Canvas, polygon: np.ndarray) -> np.ndarray:
    """float32 signed distance to a polygon's edge in units, positive inside."""
    mask = (canvas.fill(polygon) > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    return (inside - outside) / np.float32(canvas.scale)


def fixed(points: np.ndarray) -> np.ndarray:
    """Points in pixels to the fixed-point integers that OpenCV draws with :data:`SHIFT`."""
    return np.rint(np.asarray(points) * (1 << SHIFT)).astype(np.int32)


def soften(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; ``sigma`` in pixels, 0 leaves the mask as it is."""
    if sigma < 0.2:
        return mask
    if sigma > 3 and min(mask.shape) > 8:  # a wide blur loses nothing at half the size
        small = cv2.resize(mask, (mask.shape[1] // 2, mask.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(soften(small, sigma / 2), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def touched(amount: np.ndarray) -> tuple[slice, slice]:
    """The rectangle outside of which a mask is all but zero: most strokes are small."""
    rows, columns = (np.flatnonzero(amount.max(axis) > 2e-3) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def blend(colour: np.ndarray, over: np.ndarray | tuple, amount: np.ndarray) -> np.ndarray:
    """Cover float32 ``(H, W, 3)`` in place by a colour or picture as ``amount`` ``(H, W)`` says."""
    part = touched(amount)
    over = np.asarray(over, np.float32)
    under = colour[part]
    under += ((over[part] if over.ndim == 3 else over) - under) * amount[part].astype(np.float32)[..., None]
    return colour


def darken(
    colour: np.ndarray, amount: np.ndarray, fade: tuple[float, float, float] = (1, 1, 1)
) -> np.ndarray:
    """Multiply ``colour`` in place by ``1 - amount * fade``: ``(H, W)``, and ``fade`` for each channel."""
    part = touched(amount)
    colour[part] *= 1 - amount[part].astype(np.float32)[..., None] * np.array(fade, np.float32)
    return colour


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between (also with ``low > high``)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> np.ndarray:
    """float32 smooth noise about -1..1 with features ``cell`` pixels wide."""
    rows, columns = max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def curve(points: np.ndarray | list, n_points: int = 40, *, closed: bool = False) -> np.ndarray:
    """float64 ``(n_points, 2)``: a Catmull-Rom curve through control points ``(N, 2)``."""
    points = np.asarray(points, float)
    basis = spline_basis(len(points), n_points, closed)
    return basis @ points


@lru_cache(maxsize=256)
def spline_basis(n_controls: int, n_points: int, closed: bool = False) -> np.ndarray:
    """float64 ``(n_points, n_controls)``: weights of the control points along a Catmull-Rom curve."""
    n_segments = n_controls if closed else n_controls - 1
    at = np.linspace(0, n_segments, n_points, endpoint=not closed)
    segment = np.minimum(at.astype(int), n_segments - 1)
    t = at - segment
    weights = (
        0.5 * (-(t**3) + 2 * t**2 - t),
        0.5 * (3 * t**3 - 5 * t**2 + 2),
        0.5 * (-3 * t**3 + 4 * t**2 + t),
        0.5 * (t**3 - t**2),
    )
    basis = np.zeros((n_points, n_controls))
    rows = np.arange(n_points)
    for offset, weight in zip((-1, 0, 1, 2), weights):
        column = segment + offset
        if closed:
            np.add.at(basis, (rows, column % n_controls), weight)
            continue
        # beyond the ends the curve goes on straight: p[-1] = 2 p[0] - p[1]
        inside = np.clip(column, 0, n_controls - 1)
        beyond = column != inside
        inner = np.where(column < 0, 1, n_controls - 2)
        np.add.at(basis, (rows, inside), np.where(beyond, 2 * weight, weight))
        np.add.at(basis, (rows[beyond], inner[beyond]), -weight[beyond])
    basis.flags.writeable = False
    return basis


def layer(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 ``(H, W, 4)`` with premultiplied colour, from float32 colour 0..255 and alpha 0..1."""
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    covered = np.empty((*alpha.shape, 4), np.float32)
    np.clip(colour, 0, 255, out=covered[..., :3])
    covered[..., 3] = 255
    covered *= alpha[..., None]
    covered += 0.5
    return covered.astype(np.uint8)


def lay_over(picture: np.ndarray, top: np.ndarray) -> None:
    """Cover a uint8 picture ``(H, W, 4)`` in place with a premultiplied layer of the same size."""
    through = cv2.bitwise_not(cv2.extractChannel(top, 3))
    through = cv2.merge((through, through, through, through))
    cv2.add(cv2.multiply(picture, through, scale=1 / 255), top, dst=picture)


def tint(colour: tuple, factor: float) -> tuple[float, float, float]:
    """A colour made darker (below 1) or lighter (above 1, towards white)."""
    base = np.asarray(colour, float)
    made = base * factor if factor <= 1 else base + (255 - base) * (1 - 1 / factor)
    return tuple(float(v) for v in np.clip(made, 0, 255))
