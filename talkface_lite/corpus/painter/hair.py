"""Hair: strands that follow a flow, or curls, with ragged edges, volume and sheen."""

from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import (
    Canvas,
    blend,
    darken,
    distance_inside,
    noise,
    ramp,
    soften,
    symmetric,
    touched,
)
from talkface_lite.corpus.painter.headwear import HEADWEAR, paint_front_headwear
from talkface_lite.corpus.painter.skin import HEAD


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a hair style lies. Lengths are template pixels.

    ``top`` and ``side``: how far it stands off the skull. ``low``: where it ends beside the face. ``line``:
    the hairline against the ordinary one. ``flow``: how the strands run. ``ragged``: of the edges.
    ``reach``: y where long hair ends. ``wave``: sideways waves of long hair. ``curl``: size of the curls, 0
    for straight hair.
    """

    top: float
    side: float
    low: float = 50
    line: float = 0
    flow: str = "up"
    ragged: float = 1.2
    reach: float | None = None
    wave: float = 0
    curl: float = 0
    fringe: str = "none"
    cover: float = 1.0


STYLES: dict[str, Style] = {
    "buzz": Style(top=0.8, side=0.3, low=48, ragged=0.7, cover=0.72, flow="dots"),
    "balding": Style(top=0.0, side=2.2, low=54, flow="down", fringe="bald"),
    "crop": Style(top=5, side=1.4, low=50, line=2.0, ragged=1.7),
    "side_part": Style(top=8, side=2.0, low=52, flow="part", ragged=1.3),
    "quiff": Style(top=14, side=1.2, low=50, line=-1, flow="up", ragged=1.8),
    "curly": Style(top=11, side=5, low=54, line=2, curl=6.0, ragged=2.2),
    "afro": Style(top=25, side=20, low=72, curl=3.0, ragged=1.6),
    "pixie": Style(top=8, side=3.6, low=60, flow="sweep", ragged=2.4, fringe="sweep"),
    "bob": Style(top=8, side=8, low=60, flow="arch", reach=114, fringe="part"),
    "long": Style(top=6, side=6, low=60, flow="arch", reach=186, fringe="part"),
    "long_fringe": Style(top=7, side=7, low=60, flow="arch", reach=180, fringe="straight", ragged=1.8),
    "wavy": Style(top=9, side=9, low=60, flow="arch", reach=172, wave=4.0, fringe="part", ragged=1.6),
    "bun": Style(top=4, side=1.4, low=48, flow="pull", ragged=0.8),
    "locs": Style(top=9, side=8, low=58, flow="arch", reach=158, fringe="part", ragged=1.0),
}  # fmt: skip


UNDER_HAT = (
    Style(top=-1, side=0.6, low=50, flow="down"),
    Style(top=-1, side=1.2, low=58, flow="arch", reach=158, fringe="hat"),
)
"""Short and long hair under a cap or beanie."""


def style_of(head: Head) -> Style | None:
    """How the hair of an identity lies, also what shows from under a hat; None where there is none to see."""
    person = head.identity
    if person.hair in ("cap", "beanie"):
        return UNDER_HAT[person.femininity > 0.5]
    return STYLES.get(person.hair)


class Fibres:
    """Brightness across strands: the same coordinate gives the same strand, in every layer."""

    def __init__(self, head: Head) -> None:
        rng = np.random.default_rng([head.identity.seed, 0xF1B])
        raw = rng.standard_normal((3, 1, 4096)).astype(np.float32)
        wide = [
            cv2.GaussianBlur(raw[k], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]
            for k, sigma in enumerate((2.5, 8, 24))
        ]
        table = sum(band / band.std() * share for band, share in zip(wide, (0.5, 0.65, 0.6)))
        self.table = (table / table.std()).astype(np.float32)

    def __call__(self, flow: np.ndarray, density: float = 1.0) -> np.ndarray:
        """float32 noise of unit variance along ``flow`` (template pixels across the strands)."""
        return self.table[(flow * (14.0 * density) + 20000).astype(np.int32) & 4095]


def _flow(kind: str, x: np.ndarray, y: np.ndarray, lean: float) -> np.ndarray:
    """Coordinate across the strands, template pixels."""
    u = x - MIDDLE
    if kind in ("up", "dots"):
        return np.arctan2(u, 74 - y) * 62 + 0.06 * y
    if kind == "down":
        return u + 0.12 * y
    if kind == "part":
        return np.hypot(u - 26 * lean, (y - 46) * 1.15) + 0.05 * u
    if kind == "sweep":
        return np.hypot(u + 44 * lean, (y - 66) * 0.95)
    if kind == "pull":
        return np.arctan2(u, np.abs(y + 60) + 20) * 95
    return np.hypot(u, np.minimum(y - 62, 0) * 0.85) + 0.03 * y


def _shape(head: Head, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Silhouette of the hair before the head, and the opening it leaves for the face."""
    person = head.identity
    half = head.landmarks[16, 0] - MIDDLE
    crown = -15.0 + person.crown
    top, side = style.top, style.side
    outer = symmetric(
        [
            (0, crown - top),
            (17, crown - top * 0.96 + 2.2),
            (32, crown - top * 0.7 + 11),
            (half + 0.6 + side * 0.85, crown + 34),
            (half + 0.8 + side, 38),
            (half + side * 0.75, style.low - 4),
            (half - 1.5 + side * 0.3, style.low),
            (half - 5, style.low),
            (0, style.low),
        ]
    )
    if person.hair == "afro":
        turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        outer = np.stack([MIDDLE + (half + side) * np.cos(turn), 19 + (19 - crown + top) * np.sin(turn)], 1)
    line = 4.5 + person.hairline + style.line
    peak = 2.6 * (1 - person.femininity)
    if style.fringe == "straight":
        opening = [
            (0, 26.5),
            (20, 26.5),
            (31, 29),
            (36.5, 38),
            (half - 3, 52),
            (half - 2, 62),
            (half + 40, 66),
            (half + 40, 160),
            (0, 160),
        ]
    elif style.fringe == "bald":
        opening = [
            (0, crown - 20),
            (24, crown - 14),
            (half - 9, 14),
            (half - 5, 34),
            (half - 2.5, 48),
            (half + 8, 58),
            (half + 40, 60),
            (half + 40, 160),
            (0, 160),
        ]
    elif style.fringe in ("part", "hat"):
        opening = [
            (0, line - 4),
            (12, line + 1),
            (25, line + 8),
            (33, line + 20),
            (37.5, 38),
            (half - 3.4, 52),
            (half - 2, 62),
            (half + 40, 66),
            (half + 40, 160),
            (0, 160),
        ]
    else:
        opening = [
            (0, line),
            (16, line - 0.3 * peak),
            (28, line + 4 - peak),
            (33.5, line + 13),
            (36.5, 30),
            (half - 3.6, 40),
            (half - 2.0, 50),
            (half + 8, 54),
            (half + 40, 58),
            (half + 40, 160),
            (0, 160),
        ]
    ring = symmetric(opening)
    if style.fringe == "sweep":
        lean = _lean(head)
        drop = 17 * np.exp(-(((ring[:, 0] - MIDDLE + 26 * lean) / 22) ** 2)) * (ring[:, 1] < 30)
        ring = ring + np.stack([np.zeros(len(ring)), drop], 1)
    return outer, ring


def _lean(head: Head) -> int:
    """Side of the parting."""
    return 1 if head.identity.seed % 2 else -1


def hair_colours(
    canvas: Canvas,
    head: Head,
    style: Style,
    depth_inside: np.ndarray,
    rng: np.random.Generator,
    fibres: Fibres,
) -> np.ndarray:
    """float32 ``(H, W, 3)``: strands or curls, darker towards the edges, with sheen on the lit side."""
    person = head.identity
    base = np.array(person.hair_colour, np.float32)
    colours = np.empty((canvas.height, canvas.width, 3), np.float32)
    part = touched(ramp(depth_inside, -3, -1))
    colours[:] = base
    if part[0].stop == 0:
        return colours
    canvas, depth_inside = canvas.cut(part), depth_inside[part]
    x, y = canvas.grid()
    if style.curl:
        strand = _curls(canvas, style.curl, rng)
    else:
        strand = _strands(x, y, head, style, fibres)
    volume = 1 - np.exp(-np.maximum(depth_inside, 0) / (3.0 + 0.35 * style.top))
    tone = 0.60 + 0.44 * volume + 0.07 * np.clip((x - MIDDLE) * person.light[0] / 30, -1, 1)
    tone = tone * (1 + (0.17 if base.mean() > 70 else 0.26) * strand)
    crown = -15.0 + person.crown
    glow = canvas.spot(MIDDLE + 30 * person.light[0], crown + 8 - 0.35 * style.top, 25, 6.5)
    sheen = glow * np.clip(0.55 + 0.45 * strand, 0, 1.5) * (0.3 if style.curl else 1.0)
    lifted = np.minimum(base * 1.35 + 42, 255)
    colour = base * np.clip(tone, 0.2, 1.6).astype(np.float32)[..., None]
    colours[part] = blend(colour, lifted, np.clip(sheen * 0.5, 0, 0.8))
    return colours


def _strands(x, y, head: Head, style: Style, fibres: Fibres) -> np.ndarray:  # noqa: ANN001
    flow = (
        _flow(style.flow, x, y, _lean(head))
        + 1.1 * np.sin(0.06 * x + 0.11 * y)
        + 0.7 * np.sin(0.17 * y - 0.09 * x)
    )
    if style.wave:
        flow = flow + style.wave * np.sin(y / 9.5 + 0.04 * x) * ramp(y, 20, 70)
    if head.identity.hair == "locs":
        rope, strand = np.sin(flow * 1.35), np.floor(flow * 1.35 / (2 * np.pi))
        twist = np.sin(y * 1.1 + 2.2 * rope + 3 * strand)
        return np.clip(0.75 * rope + 0.3 * twist + 0.35 * fibres(flow, 2.6), -1.7, 1.2)
    return np.clip(0.7 * fibres(flow) + 0.5 * fibres(flow + 77, 2.6), -2, 2)


def _curls(canvas: Canvas, size: float, rng: np.random.Generator) -> np.ndarray:
    """Many small locks, each an arc with a lit and a dark side; brightness about 0."""
    tones = np.full((canvas.height, canvas.width), 128, np.uint8)
    step = size * canvas.scale
    count = int(min(4000, 2.6 * canvas.width * canvas.height / step**2))
    centres = rng.uniform((0, 0), (canvas.width, canvas.height), (count, 2))
    turns, radii = rng.uniform(0, 360, count), step * rng.uniform(0.35, 0.62, count)
    thick = max(1, round(0.22 * step))
    for centre, turn, radius in zip(centres * 8, turns, radii * 8):
        at, axes = (int(centre[0]), int(centre[1])), (int(radius), int(0.8 * radius))
        shade = (int(centre[0]) + 4 * thick, int(centre[1]) + 6 * thick)
        cv2.ellipse(tones, shade, axes, float(turn), 0, 220, 72, thick, cv2.LINE_AA, 3)
        cv2.ellipse(tones, at, axes, float(turn), 0, 220, 172, thick, cv2.LINE_AA, 3)
    return (soften(tones.astype(np.float32), 0.07 * step) - 122) / 40


def paint_front_hair(
    colour: np.ndarray, alpha: np.ndarray, head: Head, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hair or headwear on the painted head.

    New colour and alpha on :data:`~talkface_lite.corpus.painter.skin.HEAD`.
    """
    person, style = head.identity, style_of(head)
    if style is not None:
        colour, alpha = _front_strands(colour, alpha, head, style, rng)
    if person.hair in HEADWEAR:
        colour, alpha = paint_front_headwear(colour, alpha, head, rng)
    return colour, alpha


def _front_strands(
    colour: np.ndarray, alpha: np.ndarray, head: Head, style: Style, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    person, fibres = head.identity, Fibres(head)
    outer, opening = _shape(head, style)
    x, y = HEAD.grid()
    flow = _flow(style.flow, x, y, _lean(head))
    ragged = (
        fibres(flow * 0.45, 0.5) if not style.curl else noise(x.shape, 1.1 * style.curl * HEAD.scale, rng)
    )
    to_outer, to_face = distance_inside(HEAD, outer), -distance_inside(HEAD, opening)
    inside = np.minimum(to_outer + 0.45 * style.ragged * ragged, to_face + 0.8 * style.ragged * ragged)
    soft = 1.6 if person.hair == "buzz" else 0.55
    mask = ramp(inside, -soft, soft) * style.cover
    if style.reach is not None:
        mask = mask * ramp(y, style.low, style.low - 24)  # goes over into the hair that hangs beside the head
    if style.fringe == "bald":
        mask = mask * ramp(y, 4, 30)
    if person.hair == "buzz":
        mask = mask * np.clip(0.9 + 0.10 * noise(x.shape, 1.2, rng), 0.5, 1)
    shade = soften(ramp(np.minimum(to_outer, to_face), -0.5, 0.5), 2.6 * HEAD.scale)
    shade = np.roll(shade, round(2.2 * HEAD.scale), axis=0)
    colour = darken(colour, 0.42 * shade, (0.82, 0.95, 1.0))
    hair = hair_colours(HEAD, head, style, inside, rng, fibres)
    colour = blend(colour, hair, mask)
    return colour, np.maximum(alpha, mask)
