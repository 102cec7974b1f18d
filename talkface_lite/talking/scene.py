"""The film that shows how it is made: the photograph that talks, its landmarks, the sound."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, repeat
from types import MappingProxyType

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError
from talkface_lite.landmarks import (
    GROUPS,
    apply_transform,
    compose,
    draw_landmarks,
    invert_transform,
    magnify,
    smooth_curve,
    warp_crop,
)
from talkface_lite.systems.base import Painted, Stretch
from talkface_lite.talking.mark import Mark
from talkface_lite.talking.paste import Paster

INK = (16, 18, 24)
PANEL = (27, 30, 39)
QUIET = (74, 80, 96)
LOUD = (230, 159, 0)

ON_DARK: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "jaw": (150, 156, 172),
        "right_brow": (220, 150, 190),
        "left_brow": (220, 150, 190),
        "nose_bridge": (40, 190, 150),
        "nostrils": (40, 190, 150),
        "right_eye": (86, 180, 233),
        "left_eye": (86, 180, 233),
        "outer_lips": (240, 120, 50),
        "inner_lips": (245, 185, 60),
    }
)
"""The package's line colours, lightened for a dark ground."""

ZOOM = 0.74
"""Share of a panel's side that the aligned crop takes up; the rest shows what is around the face."""

_SHIFT = 4


def talking_scene(
    image: np.ndarray,
    matrix: np.ndarray,
    speech: np.ndarray,
    stretches: Iterable[Stretch],
    *,
    side: int = CROP_SIZE,
    zoom: float = ZOOM,
    marked: bool = True,
    panel: int = 448,
    gap: int = 16,
    strip: int = 72,
) -> Iterator[np.ndarray]:
    """Frames of the film: the photograph that talks, its landmarks as a drawing, the sound.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)``: the photograph.
    matrix:
        ``(2, 3)``, photograph to aligned crop.
    speech:
        float32 ``(640·T,)``.
    stretches:
        The film as :meth:`talkface_lite.talking.talker.Talker.film` gives it, T frames in all. Where it has
        no landmarks, the second panel shows the face as the network gives it.
    side:
        Of its pictures, pixels.
    zoom:
        Share of a panel's side that the crop takes up: a head's frame shows what is around the face already.
    marked:
        Whether the photograph that talks says that it is generated.
    panel, gap, strip:
        Side of a panel, space between things, height of the waveform, pixels.

    Yields
    ------
    uint8 RGB ``(panel + strip + 3·gap, 2·panel + 3·gap, 3)``, one for each frame.
    """
    # the crop shrinks about a point a little above its middle, so that hair and chin both come into view
    middle = np.array([CROP_SIZE / 2, 0.52 * CROP_SIZE])
    zoomed = np.column_stack([zoom * np.eye(2), (1 - zoom) * middle])
    photo = warp_crop(image, compose(zoomed, matrix), panel)
    paster = Paster(photo, invert_transform(compose(magnify(panel / CROP_SIZE), zoomed)), side=side)
    mark = Mark(panel, panel) if marked else None
    canvas = np.empty((panel + strip + 3 * gap, 2 * panel + 3 * gap, 3), np.uint8)
    canvas[:] = INK
    wave = waveform(speech, canvas.shape[1] - 2 * gap, strip)
    left, right = slice(gap, gap + panel), slice(2 * gap + panel, 2 * gap + 2 * panel)
    n_frames, shown = len(speech) // SAMPLES_PER_FRAME, 0
    for made in stretches:
        for t, painted in enumerate(painted_in(made)):
            shown += 1
            talking = paster.paste(*painted)
            canvas[gap : gap + panel, left] = mark(talking) if mark else talking
            if made.landmarks is None:
                beside = cv2.resize(made.frames[t], (panel, panel), interpolation=cv2.INTER_CUBIC)
            else:
                beside = _drawn_face(apply_transform(made.landmarks[t], zoomed), panel)
            canvas[gap : gap + panel, right] = beside
            canvas[2 * gap + panel : 2 * gap + panel + strip, gap:-gap] = _played(wave, shown / n_frames)
            yield canvas.copy()


def painted_in(made: Stretch) -> Iterator[Painted]:
    """Colour, α and flow of one frame after the other, each without its first axis.

    Where the system does not tell them apart, everything is painted.

    Raises
    ------
    InputError
        When there are no frames.
    """
    if made.frames is None:
        raise InputError("weights that paint", "none", "weights of every part of the system")
    painted = made.painted
    if painted is None:
        colour = made.frames.astype(np.float32) / 127.5 - 1
        painted = Painted(colour, np.ones(made.frames.shape[:3], np.float32))
    flows = repeat(None) if painted.flow is None else painted.flow
    return map(Painted, painted.colour, painted.alpha, flows)


def waveform(speech: np.ndarray, width: int, height: int) -> np.ndarray:
    """bool ``(height, width)``: the envelope of a recording, mirrored about the middle line."""
    edges = np.linspace(0, len(speech), width + 1).astype(int)
    level = np.array([np.abs(speech[a : max(b, a + 1)]).max() for a, b in pairwise(edges)])
    level = np.maximum(level / max(level.max(), 1e-6) * (height / 2 - 2), 1)
    return np.abs(np.arange(height)[:, None] - (height - 1) / 2) <= level


def _played(wave: np.ndarray, share: float) -> np.ndarray:
    strip = np.empty((*wave.shape, 3), np.uint8)
    strip[:] = INK
    strip[wave] = QUIET
    now = round(share * wave.shape[1])
    strip[:, :now][wave[:, :now]] = LOUD
    strip[:, max(now - 2, 0) : now] = (235, 235, 235)
    return strip


def _drawn_face(points: np.ndarray, size: int) -> np.ndarray:
    """The face as lines over quiet fills of skin and lips, so that an open mouth is seen at a glance."""
    fine = 2
    places = apply_transform(points, magnify(fine * size / CROP_SIZE))
    ground = np.empty((fine * size, fine * size, 3), np.uint8)
    ground[:] = PANEL
    brows = np.concatenate([places[GROUPS["left_brow"]][::-1], places[GROUPS["right_brow"]][::-1]])
    brows[:, 1] -= 0.10 * (places[8, 1] - brows[:, 1])
    fills = (
        (np.concatenate([smooth_curve(places[GROUPS["jaw"]]), brows]), (41, 46, 58)),
        (_ring(places[GROUPS["right_eye"]]), (52, 72, 92)),
        (_ring(places[GROUPS["left_eye"]]), (52, 72, 92)),
        (_ring(places[GROUPS["outer_lips"]]), (110, 58, 44)),
        (_ring(places[GROUPS["inner_lips"]]), (14, 10, 12)),
    )
    for outline, colour in fills:
        cv2.fillPoly(ground, [np.rint(outline * 2**_SHIFT).astype(np.int32)], colour, cv2.LINE_AA, _SHIFT)
    ground = cv2.resize(ground, (size, size), interpolation=cv2.INTER_AREA)
    return draw_landmarks(points, size, image=ground, colours=ON_DARK, thickness=0.9)


def _ring(points: np.ndarray) -> np.ndarray:
    """Upper and lower curve of an eye or of lips, between their corners, as one outline."""
    half = len(points) // 2
    upper = smooth_curve(points[: half + 1])
    lower = smooth_curve(np.concatenate([points[half:], points[:1]]))
    return np.concatenate([upper, lower[1:]])
