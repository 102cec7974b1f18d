"""The generated face, put back into the photograph it came from.

``frame = α·colour + (1 - α)·photo`` holds at any resolution. So nothing is enlarged but
what was painted: ``α·colour`` and ``α`` are laid over the photograph's own pixels, and what is copied keeps
all of the photograph's detail.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform, compose, invert_transform, magnify, warp_crop

FEATHER = 8.0
"""Width of the soft border, pixels of the crop. The chin under a closed mouth lies about this far above the
crop's lower edge, so the face itself is painted in full."""

_BAND_ROWS = 64
_FINEST = 4
_MOST_SAMPLES = 16


def crop_canvas(image: np.ndarray, matrix: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The face alone as a picture to paste into: the aligned crop with ``side`` pixels a side.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)``: the photograph.
    matrix:
        ``(2, 3)``, photograph to 128×128 crop.
    side:
        Pixels; 1 or more.

    Returns
    -------
    image, matrix:
        uint8 RGB ``(side, side, 3)``; float64 ``(2, 3)``, from it to the 128×128 crop.

    Raises
    ------
    InputError
        When the side is no size, or as :func:`talkface_lite.landmarks.warp_crop` does.
    """
    if side < 1:
        raise InputError("side", side, "1 pixel or more")
    return warp_crop(image, matrix, side), magnify(CROP_SIZE / side)


class Paster:
    """Puts painted faces into one photograph, without a seam.

    ``result = photo + m·(⟨α·colour⟩ - ⟨α⟩·photo)`` at the photograph's resolution: ``⟨·⟩`` carries a map of
    ``side`` pixels there, and the mask ``m`` falls smoothly from 1 to 0 towards the border of the crop. With
    ``m = 1``, and the crop itself as photograph, this is the frame as the network gives it.

    Colour is carried multiplied by α. Where α is 0 the colour was never asked for and can be anything;
    enlarged alone, it would leak into its neighbours.

    Where a system moves the photograph before it paints, the photograph moves here at its own resolution:
    ``result = photo + m·(⟨α·colour⟩ + (1 - ⟨α⟩)·moved - photo)``.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)``: the photograph. It is kept, not copied: leave it as it is.
    matrix:
        ``(2, 3)``, photograph to 128×128 crop. The crop may be turned, and may hang over the photograph's
        edge.
    side:
        Of the painted maps, pixels: 128, or what the system paints.
    feather:
        Width of the soft border, pixels of the crop; at least 2 pixels of the photograph, and 0 for none. A
        side of the crop with no photograph beyond it has no seam to hide, and no soft border.

    Attributes
    ----------
    rows, columns:
        Slices of the photograph: the crop's bounding box. Nothing outside it ever changes.
    mask:
        float32, the shape of that box: ``m``.

    Raises
    ------
    InputError
        When the picture is not uint8 RGB, the matrix cannot be inverted, or the crop misses the photograph.
    """

    def __init__(
        self, image: np.ndarray, matrix: np.ndarray, *, side: int = CROP_SIZE, feather: float = FEATHER
    ) -> None:
        image, matrix = check_picture(image), np.asarray(matrix, np.float64)
        if (
            matrix.shape != (2, 3)
            or not np.isfinite(matrix).all()
            or abs(np.linalg.det(matrix[:, :2])) < 1e-12
        ):
            raise InputError("matrix", matrix.tolist(), "an invertible 2 x 3 matrix")
        if not 0 <= feather <= CROP_SIZE / 2:
            raise InputError("feather", feather, f"0 to {CROP_SIZE // 2} pixels of the crop")
        self._image, self._side = image, side
        scale = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        self.rows, self.columns = _bounding_box(image.shape[:2], matrix)
        self.mask = self._soft_mask(matrix, max(feather, 2 / scale) if feather > 0 else 0.0)
        scale *= CROP_SIZE / side  # from here on pixels of the photograph to one of the map
        # a face larger than the map: it grows smoothly by a whole factor, a linear warp does the rest
        self._grow = int(np.clip(np.ceil(scale - 1e-6), 1, _FINEST))
        # a face smaller than the map: several samples a pixel and their mean, or it would alias
        self._samples = int(np.clip(np.ceil(1 / scale - 1e-6), 1, _MOST_SAMPLES))
        self._to_map = compose(magnify(side / CROP_SIZE), matrix)
        grid = np.mgrid[:_BAND_ROWS, : self.mask.shape[1]][::-1]
        self._grid = np.ascontiguousarray(grid.transpose(1, 2, 0), np.float32)

    def paste(self, colour: np.ndarray, alpha: np.ndarray, flow: np.ndarray | None = None) -> np.ndarray:
        """The photograph with one painted face in it.

        Parameters
        ----------
        colour:
            float ``(side, side, 3)`` in [-1, 1]: RGB as it is painted.
        alpha:
            float ``(side, side)`` in [0, 1]: how far each pixel is painted and not copied.
        flow:
            float ``(side, side, 2)``: how far from each pixel, in x and y, what is copied lies in the
            photograph, pixels of the map; None for nowhere.

        Returns
        -------
        uint8 RGB ``(H, W, 3)``, a new array. Where the mask is 0, or α and flow, it is the photograph.

        Raises
        ------
        InputError
            When a shape or a range is another.
        """
        layer, result = _premultiply(colour, alpha, self._side), self._image.copy()
        touched = (layer[..., 3] > 0).view(np.uint8)
        if flow is not None:
            touched |= _moves(flow, self._side)
            flow = cv2.transform(np.asarray(flow, np.float32), np.linalg.inv(self._to_map[:, :2]))
        left, top, right, bottom = self._box(touched)
        if left == right:
            return result
        layer = _enlarge(layer[top:bottom, left:right], self._grow)
        shift = np.array([[1, 0, -left], [0, 1, -top]], np.float64)
        to_layer = compose(magnify(self._grow), compose(shift, self._to_map))
        # band by band, so that what is needed beside the result stays small for a face of any size
        for place, mask in self._bands(left, top, right, bottom):
            laid = self._laid(layer, to_layer, place)
            photo = self._image[place].astype(np.float32)
            change = cv2.cvtColor(laid, cv2.COLOR_BGRA2BGR)  # drops α and leaves the order of colours alone
            laid_alpha = cv2.extractChannel(laid, 3)
            change -= _threefold(laid_alpha) * photo
            if flow is not None:  # photo + (α·colour - α·photo) + (1 - α)·(moved - photo)
                moved = self._moved(flow, place)
                moved -= photo
                moved *= _threefold(1 - laid_alpha)
                change += moved
            change *= _threefold(mask)
            result[place] = cv2.add(change, photo, dtype=cv2.CV_8U)  # rounds, and stops at 0 and 255
        return result

    def _box(self, touched: np.ndarray) -> tuple[int, int, int, int]:
        """Columns and rows of the map that hold all that is touched, and what a cubic needs around it."""
        left, top, width, height = cv2.boundingRect(touched)
        ends = np.array([left, top, left + width, top + height]) + (np.array([-3, -3, 3, 3]) if width else 0)
        return tuple(ends.clip(0, self._side).tolist())

    def _bands(
        self, left: int, top: int, right: int, bottom: int
    ) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Places of the photograph that a box of the map reaches, a few rows at a time, and their mask."""
        ends = np.array([(x, y) for x in (left - 1, right) for y in (top - 1, bottom)], np.float64)
        ends = apply_transform(ends, invert_transform(self._to_map))
        begin, end = np.floor(ends.min(axis=0)).astype(int), np.ceil(ends.max(axis=0)).astype(int) + 1
        first, last = max(self.columns.start, int(begin[0])), min(self.columns.stop, int(end[0]))
        above, below = max(self.rows.start, int(begin[1])), min(self.rows.stop, int(end[1]))
        for start in range(above, below, _BAND_ROWS):
            rows = slice(start, min(start + _BAND_ROWS, below))
            mask = self.mask[rows.start - self.rows.start : rows.stop - self.rows.start]
            seen = np.flatnonzero(mask[:, first - self.columns.start : last - self.columns.start].any(axis=0))
            if len(seen):
                columns = slice(first + int(seen[0]), first + int(seen[-1]) + 1)
                offset = self.columns.start
                yield (rows, columns), mask[:, columns.start - offset : columns.stop - offset]

    def _laid(self, layer: np.ndarray, to_layer: np.ndarray, place: tuple[slice, slice]) -> np.ndarray:
        """An enlarged map at the photograph's pixels; several samples a pixel where it shrinks."""
        height, width = (part.stop - part.start for part in place)
        corner = np.array([[1, 0, place[1].start], [0, 1, place[0].start]], np.float64)
        laid = cv2.warpAffine(
            layer,
            compose(to_layer, compose(corner, magnify(1 / self._samples))),
            (width * self._samples, height * self._samples),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if self._samples > 1:
            laid = cv2.resize(laid, (width, height), interpolation=cv2.INTER_AREA)
        return laid

    def _moved(self, flow: np.ndarray, place: tuple[slice, slice]) -> np.ndarray:
        """What the photograph shows at a place when it is moved, float32; the flow in its own pixels."""
        rows, columns = place
        corner = np.array([[1, 0, columns.start], [0, 1, rows.start]], np.float64)
        where = cv2.warpAffine(
            flow,
            compose(self._to_map, corner),
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # only the part that is looked at: OpenCV takes no larger picture than 32,767 pixels a side
        reach = int(cv2.norm(flow, cv2.NORM_INF)) + 2
        above, before = max(rows.start - reach, 0), max(columns.start - reach, 0)
        where += self._grid[: where.shape[0], : where.shape[1]]
        where += np.array([columns.start - before, rows.start - above], np.float32)
        part = self._image[above : rows.stop + reach, before : columns.stop + reach]
        found = cv2.remap(part, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return found.astype(np.float32)

    def _soft_mask(self, matrix: np.ndarray, feather: float) -> np.ndarray:
        height, width = self._image.shape[:2]
        last = CROP_SIZE - 1
        x, y = np.arange(width)[self.columns], np.arange(height)[self.rows][:, None]
        ends = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], np.float64)
        reach = apply_transform(ends, matrix)
        mask = np.ones((len(y), len(x)), np.float32)
        for axis, (a, b, c) in enumerate(matrix):
            place = (a * x + b * y + c).astype(np.float32)
            for inward, farthest in (
                (place, reach[:, axis].min()),
                (last - place, last - reach[:, axis].max()),
            ):
                if farthest < -0.5:  # half a pixel outside the first pixel's centre: the photograph goes on
                    t = np.clip(inward / feather, 0, 1) if feather else (inward >= -0.5).astype(np.float32)
                    mask *= t * t * (3 - 2 * t)
        return mask


def check_picture(image: np.ndarray) -> np.ndarray:
    """The picture as an array.

    Raises
    ------
    InputError
        When it is not uint8 RGB ``(H, W, 3)``.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError("image", f"{image.dtype} {image.shape}", "a uint8 RGB picture (H, W, 3)")
    return image


def _threefold(plane: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(plane, cv2.COLOR_GRAY2BGR)


def _bounding_box(shape: tuple[int, int], matrix: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the photograph's pixels whose centres can lie in the crop."""
    ends = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)]) * CROP_SIZE / 2 + (CROP_SIZE - 1) / 2
    corners = apply_transform(ends, invert_transform(matrix))
    first = np.maximum(np.ceil(corners.min(axis=0)), 0)
    stop = np.minimum(np.floor(corners.max(axis=0)) + 1, shape[::-1])
    if not (first < stop).all():
        raise InputError("matrix", "a crop outside the photograph", "a crop that shows some of it")
    (left, top), (right, bottom) = first.astype(int).tolist(), stop.astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _premultiply(colour: np.ndarray, alpha: np.ndarray, side: int) -> np.ndarray:
    """``[α·colour, α]``, float32 ``(side, side, 4)``, colours from 0 to 255."""
    colour, alpha = np.asarray(colour), np.asarray(alpha)
    shape = (side, side)
    if colour.shape != (*shape, 3) or not np.issubdtype(colour.dtype, np.floating):
        raise InputError("colour", f"{colour.dtype} {colour.shape}", f"float {(*shape, 3)}")
    if alpha.shape != shape or not np.issubdtype(alpha.dtype, np.floating):
        raise InputError("alpha", f"{alpha.dtype} {alpha.shape}", f"float {shape}")
    if not (np.abs(colour) <= 1).all():
        raise InputError("colour", f"values from {colour.min():g} to {colour.max():g}", "values in [-1, 1]")
    if not ((alpha >= 0) & (alpha <= 1)).all():
        raise InputError("alpha", f"values from {alpha.min():g} to {alpha.max():g}", "values in [0, 1]")
    layer = np.empty((*shape, 4), np.float32)
    layer[..., 3] = alpha
    np.multiply((colour + 1) * 127.5, layer[..., 3:], out=layer[..., :3])
    return layer


def _moves(flow: np.ndarray, side: int) -> np.ndarray:
    """uint8 ``(side, side)``: where a flow is not zero."""
    flow, shape = np.asarray(flow), (side, side, 2)
    if flow.shape != shape or not np.issubdtype(flow.dtype, np.floating) or not np.isfinite(flow).all():
        raise InputError("flow", f"{flow.dtype} {flow.shape}", f"finite float {shape}")
    moved = flow != 0
    return (moved[..., 0] | moved[..., 1]).view(np.uint8)


def _enlarge(layer: np.ndarray, factor: int) -> np.ndarray:
    """A map ``(H, W, C)`` at ``factor`` times the size: cubic, and nowhere brighter or darker than around it.

    A cubic overshoots beside an edge, which shows as a halo around lips and teeth.
    """
    if factor == 1:
        return layer
    size = (layer.shape[1] * factor, layer.shape[0] * factor)
    around = np.ones((3, 3), np.uint8)
    grown = cv2.resize(layer, size, interpolation=cv2.INTER_CUBIC)
    lowest = cv2.resize(cv2.erode(layer, around), size, interpolation=cv2.INTER_NEAREST)
    highest = cv2.resize(cv2.dilate(layer, around), size, interpolation=cv2.INTER_NEAREST)
    return cv2.min(cv2.max(grown, lowest, dst=grown), highest, dst=grown)
