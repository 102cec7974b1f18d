"""Hair: strands that follow a flow, with ragged edges, volume and sheen; in front of, beside and behind the head."""

from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.brush import Canvas, blend, curve, darken, layer, noise, ramp, soften, touched
from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter_headwear import HEADWEAR, paint_front_headwear, paint_side_headwear
from talkface_lite.corpus.painter_skin import HEAD

SIDES = Canvas.over(MIDDLE - 100, -70, MIDDLE + 100, 216, 1.6)
"""Canvas of the layer beside the head: ears, the sides of the skull, hair that falls over the shoulders."""
BACK = Canvas.over(MIDDLE - 100, -80, MIDDLE + 100, 216, 1.3)
"""Canvas of the layer behind the head."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a hair style lies. Lengths are template pixels.

    ``top`` and ``side``: how far it stands off the skull. ``low``: where it ends beside the face. ``line``: the
    hairline against the ordinary one. ``flow``: how the strands run. ``ragged``: of the edges. ``reach``: y where
    long hair ends. ``wave``: sideways waves of long hair. ``curl``: size of the curls, 0 for straight hair.
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
    "buzz": Style(top=0.8, side=0.3, low=48, ragged=0.7, cover=0.72, curl=0.7),
    "balding": Style(top=0.0, side=2.2, low=54, flow="down", fringe="bald"),
    "crop": Style(top=5, side=1.4, low=50, line=2.0, ragged=1.7),
    "side_part": Style(top=8, side=2.0, low=52, flow="part", ragged=1.3),
    "quiff": Style(top=14, side=1.2, low=50, line=-1, flow="up", ragged=1.8),
    "curly": Style(top=11, side=6, low=54, line=2, curl=4.2, ragged=2.5),
    "afro": Style(top=25, side=20, low=72, curl=2.4, ragged=1.6),
    "pixie": Style(top=8, side=3.6, low=60, flow="sweep", ragged=2.4, fringe="sweep"),
    "bob": Style(top=8, side=8, low=60, flow="arch", reach=114, fringe="part"),
    "long": Style(top=6, side=6, low=60, flow="arch", reach=186, fringe="part"),
    "long_fringe": Style(top=7, side=7, low=60, flow="arch", reach=180, fringe="straight", ragged=1.8),
    "wavy": Style(top=9, side=9, low=60, flow="arch", reach=172, wave=4.0, fringe="part", ragged=1.6),
    "bun": Style(top=4, side=1.4, low=48, flow="pull", ragged=0.8),
    "locs": Style(top=9, side=8, low=58, flow="arch", reach=158, fringe="part", ragged=1.0),
}  # fmt: skip


class Fibres:
    """Brightness across strands: looking up the same across-coordinate gives the same strand, in every layer."""

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


def distance_inside(canvas: Canvas, polygon: np.ndarray) -> np.ndarray:
    """float32 signed distance to a polygon's edge in units, positive inside."""
    mask = (canvas.fill(polygon) > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    return (inside - outside) / canvas.scale


def _sides(path: list[tuple[float, float]], n_points: int = 70) -> np.ndarray:
    half = curve(path, n_points)
    right = np.stack([MIDDLE + half[:, 0], half[:, 1]], 1)
    left = np.stack([MIDDLE - half[:, 0], half[:, 1]], 1)
    return np.concatenate([right, left[::-1]])


def _flow(kind: str, x: np.ndarray, y: np.ndarray, lean: float) -> np.ndarray:
    """Coordinate across the strands, template pixels."""
    u = x - MIDDLE
    if kind == "up":
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
    outer = _sides(
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
    elif style.fringe == "part":
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
    ring = _sides(opening)
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
    """float32 ``(H, W, 3)``: strands or curls, darker towards the edges of the mass, with sheen on the lit side."""
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
    tone = 0.56 + 0.46 * volume + 0.07 * np.clip((x - MIDDLE) * person.light[0] / 30, -1, 1)
    tone = tone * (1 + (0.17 if base.mean() > 70 else 0.26) * strand)
    crown = -15.0 + person.crown
    glow = canvas.spot(MIDDLE + 30 * person.light[0], crown + 8 - 0.35 * style.top, 25, 6.5)
    sheen = glow * np.clip(0.55 + 0.45 * strand, 0, 1.5) * (0.3 if style.curl else 1.0)
    lifted = np.minimum(base * 1.35 + 34, 255)
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
    """Many small arcs, lighter or darker than the ground."""
    tones = np.full((canvas.height, canvas.width), 128, np.uint8)
    area = canvas.width * canvas.height
    count = int(min(5200, 1.1 * area / (size * canvas.scale) ** 2))
    centres = rng.uniform((0, 0), (canvas.width, canvas.height), (count, 2))
    turns, radii = rng.uniform(0, 360, count), size * canvas.scale * rng.uniform(0.3, 0.75, count)
    for centre, turn, radius, tone in zip(centres, turns, radii, rng.integers(60, 220, count)):
        at, axes = (int(centre[0] * 8), int(centre[1] * 8)), (int(radius * 8), int(radius * 6.4))
        cv2.ellipse(tones, at, axes, float(turn), 0, 210, int(tone), 1, cv2.LINE_AA, 3)
    tones = soften(tones.astype(np.float32), 0.35 * canvas.scale * min(size, 2) / 2)
    return (tones - 128) / 38


def paint_front_hair(
    colour: np.ndarray, alpha: np.ndarray, head: Head, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hair or headwear on the painted head: new colour and alpha on :data:`HEAD`."""
    person = head.identity
    fibres = Fibres(head)
    if person.hair in HEADWEAR:
        return paint_front_headwear(colour, alpha, head, rng)
    if person.hair == "bald":
        return colour, alpha
    style = STYLES[person.hair]
    outer, opening = _shape(head, style)
    x, y = HEAD.grid()
    flow = _flow(style.flow, x, y, _lean(head))
    ragged = (
        fibres(flow * 0.45, 0.5) if not style.curl else noise(x.shape, 2.4 * style.curl * HEAD.scale, rng)
    )
    to_outer, to_face = distance_inside(HEAD, outer), -distance_inside(HEAD, opening)
    inside = np.minimum(to_outer + 0.45 * style.ragged * ragged, to_face + 0.8 * style.ragged * ragged)
    soft = 1.6 if person.hair == "buzz" else 0.55
    mask = ramp(inside, -soft, soft) * style.cover
    if style.reach is not None:
        mask = mask * ramp(y, style.low, style.low - 24)  # goes over into the hair that hangs beside the head
    if style.fringe == "bald":
        mask = mask * ramp(y, 0, 22)
    if person.hair == "buzz":
        mask = mask * np.clip(0.92 + 0.10 * _curls(HEAD, 0.8, rng), 0.5, 1)
    shade = soften(ramp(np.minimum(to_outer, to_face), -0.5, 0.5), 2.6 * HEAD.scale)
    shade = np.roll(shade, round(2.2 * HEAD.scale), axis=0)
    colour = darken(colour, 0.42 * shade, (0.82, 0.95, 1.0))
    hair = hair_colours(HEAD, head, style, inside, rng, fibres)
    colour = blend(colour, hair, mask)
    return colour, np.maximum(alpha, mask)


def paint_back_hair(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, Canvas, float] | None:
    """Picture, canvas and depth of the hair behind the head, or None where the style has none."""
    person = head.identity
    style = STYLES.get(person.hair)
    half = head.landmarks[16, 0] - MIDDLE
    if person.hair == "bun":
        crown = -15.0 + person.crown
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack([MIDDLE + 16 * np.cos(turn), crown - 7 + 14.5 * np.sin(turn)], 1)
        style = Style(top=2, side=0, flow="pull", ragged=0.8)
    elif style is not None and style.reach is not None:
        low = min(style.reach - 8, 150)
        ring = _sides(
            [
                (0, -10),
                (half, 0),
                (half + style.side, 40),
                (half + style.side + 2, low - 20),
                (half - 4, low),
                (0, low),
            ]
        )
    else:
        return None
    inside = distance_inside(BACK, ring)
    fibres = Fibres(head)
    x, _ = BACK.grid()
    inside = inside + 0.5 * style.ragged * fibres(x)
    colour = hair_colours(BACK, head, style, inside, rng, fibres)
    if person.hair == "bun":
        x, y = BACK.grid()
        crown = -15.0 + person.crown
        swirl = np.hypot(x - MIDDLE, (y - crown + 9) * 1.15) + 1.4 * np.arctan2(y - crown + 9, x - MIDDLE)
        colour = np.array(person.hair_colour, np.float32) * (0.82 + 0.2 * fibres(swirl, 0.8) * 0.6)[..., None]
        colour = colour * (0.6 + 0.4 * (1 - np.exp(-np.maximum(inside, 0) / 4)))[..., None]
        return layer(colour, ramp(inside, -0.5, 0.5)), BACK, -4.0
    return layer(colour * 0.62, ramp(inside, -0.6, 0.6)), BACK, -22.0


def paint_sides(head: Head, skin: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Canvas, float]:
    """Picture, canvas and depth of what is beside the face: the skull, ears, and hair that hangs down."""
    person = head.identity
    half = head.landmarks[16, 0] - MIDDLE
    colour = _skull_skin(skin)
    alpha = SIDES.fill(head.contour() * 0.98 + np.array([MIDDLE, 62]) * 0.02, blur=0.4)
    fibres = Fibres(head)
    style = STYLES.get(person.hair)
    if style is not None:
        skull, near = _skull_hair(head, style, fibres, rng)
        colour, alpha = blend(colour, skull, near), np.maximum(alpha, near)
    colour, alpha = _ears(colour, alpha, head, half)
    if style is not None and style.reach is not None:
        inside = _curtain(head, style, half, fibres)
        hair = hair_colours(SIDES, head, style, inside, rng, fibres)
        mask = ramp(inside, -0.5, 0.5)
        colour, alpha = blend(colour, hair, mask), np.maximum(alpha, mask)
    if person.hair in HEADWEAR:
        colour, alpha = paint_side_headwear(colour, alpha, SIDES, head, rng)
    return layer(colour, alpha), SIDES, -7.0


def _skull_skin(skin: np.ndarray) -> np.ndarray:
    """The colours of the face, spread outwards a little: what a turn of the head brings into view."""
    x, y = SIDES.grid()
    column = ((MIDDLE + (x - MIDDLE) * 0.93) - HEAD.x) * HEAD.scale
    row = ((62 + (y - 62) * 0.95) - HEAD.y) * HEAD.scale
    spread = cv2.remap(
        skin,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.GaussianBlur(spread, (0, 0), 5) * np.array([0.93, 0.91, 0.90], np.float32)


def _skull_hair(
    head: Head, style: Style, fibres: Fibres, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    half = head.landmarks[16, 0] - MIDDLE
    crown = -15.0 + head.identity.crown
    low = 66 if style.reach is None else 96
    ring = [
        (0, crown - style.top * 0.9),
        (32, crown - 0.6 * style.top + 12),
        (half + style.side * 0.9, 30),
        (half + 0.7 * style.side, 50),
        (half - 2 + 0.4 * style.side, low),
        (half - 8, low + 4),
        (0, low + 4),
    ]
    if style.fringe == "bald":
        ring = [
            (0, 20),
            (half - 4, 16),
            (half + style.side * 0.9, 30),
            (half + 0.7 * style.side, 50),
            (half - 2, 66),
            (half - 8, 70),
            (0, 70),
        ]
    inside = distance_inside(SIDES, _sides(ring))
    x, _ = SIDES.grid()
    inside = inside + 0.4 * style.ragged * fibres(x)
    colour = hair_colours(SIDES, head, style, inside, rng, fibres) * 0.88
    return colour, ramp(inside, -0.6, 0.6) * max(style.cover, 0.8)


def _curtain(head: Head, style: Style, half: float, fibres: Fibres) -> np.ndarray:
    """Signed distance into long hair that hangs beside the face and, where long enough, over the shoulders."""
    x, y = SIDES.grid()
    u = np.abs(x - MIDDLE)
    sway = style.wave * np.sin(y / 9.5 + 0.8 * np.sign(x - MIDDLE)) * ramp(y, 20, 70) * 0.55
    u = u + sway
    reach = style.reach
    spread = ramp(y, 50, reach)
    outer = half + style.side + (3 if reach < 130 else 7) * spread * (1 - 0.5 * ramp(y, reach - 16, reach))
    top_edge = half + style.side - 0.012 * np.maximum(34 - y, 0) ** 2
    outer = np.where(y < 34, np.minimum(outer, top_edge), outer)
    inner = (
        (half - 9)
        - (4 if reach > 130 else 2) * ramp(y, 60, 110)
        + (2 if reach > 130 else 7) * ramp(y, 120, reach)
    )
    end = reach - 0.10 * (u - half) ** 2 + 2.2 * fibres(x, 0.4)
    ragged = 0.45 * style.ragged * fibres(u + 300 * (x > MIDDLE), 0.5)
    return np.minimum(np.minimum(outer - u, u - inner) + ragged, np.minimum((end - y) * 0.6, y - 2)).astype(
        np.float32
    )


def _ears(colour: np.ndarray, alpha: np.ndarray, head: Head, half: float) -> tuple[np.ndarray, np.ndarray]:
    person = head.identity
    size = person.ear_size
    skin = np.array(person.skin, np.float32)
    shape = [(-4, 46), (0.6, 42.6), (4.6, 42.4), (7.2, 46), (7.0, 53), (5.2, 60), (4.0, 66), (1.6, 70), (-2, 70)]
    ridge = [(0.8, 46.5), (3.8, 45.6), (5.2, 49), (4.4, 56), (2.6, 60.5)]
    for side in (-1, 1):
        middle = MIDDLE + side * half
        part = SIDES.part(middle - 14, 34, middle + 14, 82)
        canvas, ear_colour = SIDES.cut(part), colour[part]
        x, y = canvas.grid()

        def place(points: list, side: int = side) -> np.ndarray:
            return np.array([(MIDDLE + side * (half + a * size), 56 + (b - 56) * size) for a, b in points])

        mask = canvas.fill(curve(place(shape), 60, closed=True), blur=0.25)
        lit = 0.86 + 0.14 * np.clip(side * person.light[0] * 1.6, -1, 1) - 0.05 * ramp(y, 50, 72)
        blend(ear_colour, skin * np.stack([lit, lit**1.1 * 0.92, lit**1.2 * 0.90], -1), mask)
        groove = canvas.stroke(curve(place(ridge), 30), width=1.3, blur=0.6)
        blend(ear_colour, skin * np.array([0.62, 0.47, 0.44]), groove * 0.5)
        hole = canvas.spot(MIDDLE + side * (half + 0.9 * size), 58, 1.5, 3.4)
        blend(ear_colour, skin * np.array([0.46, 0.32, 0.30]), hole * mask * 0.6)
        if person.earrings:
            at = place([(2.2, 71.5)])[0]
            dot = ramp(np.hypot(x - at[0], y - at[1]), 2.0, 1.2)
            blend(ear_colour, np.array([226, 186, 96]), dot)
            glint = ramp(np.hypot(x - at[0] + 0.5, y - at[1] + 0.6), 0.9, 0.3)
            blend(ear_colour, np.array([255, 240, 200]), glint * 0.9)
            mask = np.maximum(mask, dot)
        alpha[part] = np.maximum(alpha[part], mask)
    return colour, alpha
