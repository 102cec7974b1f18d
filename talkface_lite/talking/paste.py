"""The generated face, put back into the photograph it came from; and what says that it is generated.

``frame = α·colour + (1 - α)·photo`` holds at any resolution. So nothing is enlarged but
what was painted: ``α·colour`` and ``α`` are laid over the photograph's own pixels, and what is copied keeps
all of the photograph's detail.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkface_lite.clip import CROP_SIZE
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform, compose, invert_transform, magnify, warp_crop

FEATHER = 8.0
"""Width of the soft border, pixels of the crop. The chin under a closed mouth lies about this far above the
crop's lower edge, so the face itself is painted in full."""

MARK = "generated"
"""What stands in the corner of every film."""

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
        image, matrix = _check_picture(image), np.asarray(matrix, np.float64)
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
        self._bands = self._plan(matrix)
        self._to_map = compose(magnify(side / CROP_SIZE), matrix)

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
        layer = _enlarge(_premultiply(colour, alpha, self._side), self._grow)
        flow = None if flow is None else _check_flow(flow, self._side)
        result = self._image.copy()
        # band by band, so that what is needed beside the result stays small for a face of any size
        for rows, columns, mask, warp in self._bands:
            height, width = mask.shape
            size = (width * self._samples, height * self._samples)
            laid = cv2.warpAffine(
                layer,
                warp,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            if self._samples > 1:
                laid = cv2.resize(laid, (width, height), interpolation=cv2.INTER_AREA)
            photo = self._image[rows, columns].astype(np.float32)
            change = cv2.cvtColor(laid, cv2.COLOR_BGRA2BGR)  # drops α and leaves the order of colours alone
            moved = photo if flow is None else self._moved(photo, flow, rows, columns)
            change -= _threefold(cv2.extractChannel(laid, 3)) * moved
            if moved is not photo:
                change += moved - photo
            change *= _threefold(mask)
            result[rows, columns] = cv2.add(change, photo, dtype=cv2.CV_8U)  # rounds, and stops at 0 and 255
        return result

    def _moved(self, photo: np.ndarray, flow: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """A band of the photograph moved by a flow, float32; itself where nothing in it moves."""
        height, width = photo.shape[:2]
        place = np.array([[1, 0, columns.start], [0, 1, rows.start]], np.float64)
        way = cv2.warpAffine(
            flow,
            compose(self._to_map, place),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if not way.any():
            return photo
        way = way @ np.linalg.inv(self._to_map[:, :2]).T.astype(np.float32)  # pixels of the photograph
        way[..., 0] += np.arange(columns.start, columns.stop, dtype=np.float32)
        way[..., 1] += np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        # only the part that is looked at: OpenCV takes no larger picture than 32,767 pixels a side
        last = np.array(self._image.shape[1::-1]) - 1
        (left, top), (right, bottom) = (
            np.clip(np.floor(edge).astype(int), 0, last).tolist()
            for edge in (way.min(axis=(0, 1)), way.max(axis=(0, 1)) + 1)
        )
        way -= np.array([left, top], np.float32)
        part = self._image[top : bottom + 1, left : right + 1]
        found = cv2.remap(part, way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
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

    def _plan(self, matrix: np.ndarray) -> list[tuple[slice, slice, np.ndarray, np.ndarray]]:
        """Of each band: where it lies in the photograph, its mask, its samples' way into the enlarged map."""
        to_layer = compose(magnify(self._grow * self._side / CROP_SIZE), matrix)
        bands = []
        for start in range(0, len(self.mask), _BAND_ROWS):
            mask = self.mask[start : start + _BAND_ROWS]
            touched = np.flatnonzero(mask.any(axis=0))
            if len(touched) == 0:
                continue
            left, right = int(touched[0]), int(touched[-1]) + 1
            top, first = self.rows.start + start, self.columns.start + left
            place = np.array([[1, 0, first], [0, 1, top]], np.float64)
            warp = compose(to_layer, compose(place, magnify(1 / self._samples)))
            rows = slice(top, top + len(mask))
            bands.append((rows, slice(first, first + right - left), mask[:, left:right], warp))
        return bands


class Mark:
    """A small text in the lower right corner that says what a picture is.

    Light letters on a dark shade, both half transparent, so that they read on any ground.

    Parameters
    ----------
    height, width:
        Of the pictures, pixels.
    text:
        One line. Its letters are 1/22 of the picture's height, less where it is too narrow, but 9 pixels at
        least; of a text that still does not fit, the beginning stays.

    Attributes
    ----------
    rows, columns:
        Slices: the corner. Nothing outside it changes.

    Raises
    ------
    InputError
        When there is no text or no picture.
    """

    def __init__(self, height: int, width: int, text: str = MARK) -> None:
        if height < 1 or width < 1:
            raise InputError("picture", f"{width}x{height} pixels", "at least 1x1")
        if not text.strip() or not text.isprintable():
            raise InputError("text", repr(text), "one line of letters")
        letters, shade = _lettering(text, height, width)
        letters, shade = letters[:height, :width], shade[:height, :width]
        rows, columns = letters.shape
        self.height, self.width = height, width
        self.rows, self.columns = slice(height - rows, height), slice(width - columns, width)
        dark, light = 0.7 * shade[..., None], 0.85 * letters[..., None]
        self._keep = np.repeat((1 - dark) * (1 - light), 3, axis=2)
        self._add = np.repeat(245 * light, 3, axis=2)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """A marked copy of a uint8 RGB picture ``(height, width, 3)``."""
        image = _check_picture(image)
        if image.shape[:2] != (self.height, self.width):
            raise InputError("image", f"shape {image.shape}", f"shape ({self.height}, {self.width}, 3)")
        marked = image.copy()
        corner = image[self.rows, self.columns] * self._keep + self._add
        marked[self.rows, self.columns] = np.rint(corner).astype(np.uint8)
        return marked


def mark(image: np.ndarray, text: str = MARK) -> np.ndarray:
    """A copy of one uint8 RGB picture ``(H, W, 3)`` with :class:`Mark` in its corner."""
    return Mark(*_check_picture(image).shape[:2], text)(image)


def provenance(system: str, photo: str) -> dict[str, str]:
    """What a film says about itself, for ``write_video``'s ``metadata``.

    MP4 as ffmpeg writes it keeps these keys, and drops others (``software``, ``publisher``, ``license``)
    without a word. ``keywords`` holds IPTC's name for a picture that is partly generated.

    Parameters
    ----------
    system:
        Name of the system that generated it.
    photo:
        Name or file of the photograph; of a file only its name is told, never the folder.
    """
    photo, system = _one_line(Path(photo).name), _one_line(system)
    # by way of sys.modules: the package's front door is above this floor
    version = sys.modules["talkface_lite"].__version__
    statement = f"generated by talkface_lite {version}, system {system}; not a recording"
    return {
        "title": f"{photo} (generated)",
        "artist": f"talkface_lite {version}",
        "comment": statement,
        "description": f"{statement}. Made from one photograph ({photo}) and sound.",
        "keywords": "generated, compositeWithTrainedAlgorithmicMedia",
    }


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _check_picture(image: np.ndarray) -> np.ndarray:
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


def _check_flow(flow: np.ndarray, side: int) -> np.ndarray:
    flow, shape = np.asarray(flow), (side, side, 2)
    if flow.shape != shape or not np.issubdtype(flow.dtype, np.floating) or not np.isfinite(flow).all():
        raise InputError("flow", f"{flow.dtype} {flow.shape}", f"finite float {shape}")
    return np.ascontiguousarray(flow, np.float32)


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


def _lettering(text: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters and the shade around them, float32 in [0, 1] and of one shape, with a margin."""
    size = max(9, round(height / 22))
    font = ImageFont.load_default(size)
    if font.getlength(text) > 0.8 * width:
        size = max(9, int(size * 0.8 * width / font.getlength(text)))
        font = ImageFont.load_default(size)
    margin, stroke = max(3, round(0.5 * size)), max(1, round(size / 12))
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    canvas = (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin)
    place = (margin - left, margin - top)
    planes = []
    for thick in (0, stroke):
        plane = Image.new("L", canvas)
        ImageDraw.Draw(plane).text(place, text, fill=255, font=font, stroke_width=thick)
        planes.append(np.asarray(plane, np.float32) / 255)
    letters, shade = planes
    soft = cv2.GaussianBlur(shade, (0, 0), size / 8, borderType=cv2.BORDER_CONSTANT)
    return letters, np.clip(np.maximum(shade, 1.5 * soft), 0, 1)
