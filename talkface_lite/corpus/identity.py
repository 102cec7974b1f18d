"""A drawn person: shape of the face and everything about the looks that stays through a clip.

Lengths are in *template pixels*: pixels of the aligned 128x128 crop at neutral pose, in which the outer eye
corners of the average face are 56 px apart.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

Colour = tuple[int, int, int]
"""RGB, 0..255."""

HAIR_STYLES = (
    "bald", "buzz", "balding", "side_part", "quiff", "crop", "curly", "afro", "pixie", "bob", "long",
    "long_fringe", "wavy", "bun", "locs", "headscarf", "turban", "cap", "beanie",
)  # fmt: skip
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square", "half_rim")
CLOTHES = ("crew_neck", "v_neck", "shirt", "hoodie", "blazer", "turtleneck")
BACKGROUNDS = ("plain", "gradient", "discs", "bands", "window", "leaves")

_MASCULINE_HAIR = {
    "bald": 1.1, "buzz": 1.4, "balding": 0.5, "side_part": 1.8, "quiff": 1.3, "crop": 1.4, "curly": 1.0,
    "afro": 0.6, "long": 0.25, "locs": 0.5, "turban": 0.55, "cap": 0.6, "beanie": 0.5,
}  # fmt: skip
_FEMININE_HAIR = {
    "buzz": 0.15, "curly": 0.7, "afro": 0.8, "pixie": 1.1, "bob": 1.4, "long": 1.4, "long_fringe": 1.2,
    "wavy": 1.6, "bun": 1.2, "locs": 0.6, "headscarf": 1.2, "cap": 0.2, "beanie": 0.4, "side_part": 0.2,
}  # fmt: skip

_SKINS: tuple[Colour, ...] = (
    (252, 224, 206), (247, 211, 187), (243, 203, 172), (236, 190, 154), (226, 175, 135), (214, 160, 120),
    (198, 142, 102), (178, 122, 84), (156, 103, 70), (133, 86, 58), (112, 71, 49), (92, 58, 42),
)  # fmt: skip
"""From light to dark, each the albedo of the lit cheek."""
_HAIRS: dict[str, Colour] = {
    "black": (38, 33, 33), "soft_black": (50, 41, 38), "espresso": (58, 41, 33), "brown": (88, 60, 42),
    "chestnut": (112, 68, 44), "auburn": (134, 66, 40), "copper": (176, 88, 44), "dark_blond": (150, 116, 74),
    "blond": (198, 160, 104), "platinum": (224, 203, 164), "grey": (142, 140, 138), "silver": (196, 196, 194),
}  # fmt: skip
_EYES: dict[str, Colour] = {
    "dark_brown": (66, 42, 28), "brown": (96, 62, 36), "amber": (140, 92, 44), "hazel": (118, 104, 58),
    "green": (92, 124, 86), "grey": (112, 126, 134), "blue": (86, 128, 168), "deep_blue": (62, 96, 144),
}  # fmt: skip
_CLOTH: tuple[Colour, ...] = (
    (38, 56, 84), (66, 92, 124), (122, 46, 52), (176, 82, 62), (214, 154, 72), (232, 222, 204), (58, 88, 78),
    (104, 132, 108), (70, 62, 92), (148, 116, 158), (48, 50, 56), (136, 142, 150), (206, 120, 116),
    (98, 154, 160), (236, 236, 232), (92, 66, 52),
)  # fmt: skip
_WALLS: tuple[Colour, ...] = (
    (214, 226, 234), (232, 222, 208), (206, 220, 208), (240, 226, 216), (196, 208, 224), (222, 212, 226),
    (180, 196, 200), (246, 236, 214), (170, 182, 204), (226, 200, 186), (150, 172, 168), (122, 142, 164),
    (236, 208, 200), (204, 206, 198), (246, 210, 172), (172, 208, 198), (248, 224, 156), (186, 172, 214),
    (128, 168, 196), (240, 188, 168), (148, 184, 150), (98, 118, 148),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One person, drawn from a seed. Factors are relative to the average face; offsets are template pixels.

    Attributes
    ----------
    seed:
        The seed it was drawn from.
    age:
        Apparent age in years, 16..80.
    femininity:
        0 (masculine features) .. 1 (feminine features).
    skin, hair_colour, brow_colour, beard_colour, eye_colour, lip_colour, cloth, cloth_second, wall, accent:
        Colours, RGB 0..255.
    light:
        Direction of the light ``(x right, y down, z to the viewer)``, unit length.
    smile:
        How high the corners of the mouth stand at rest, -0.35 (drooping) .. 1.2.
    lower_lip_colour, tooth_colour, tongue_colour, cavity:
        Colours of the lower lip, of the upper front teeth, of the tongue, and of the dark behind them.
    lip_edge:
        0 (a clear border between lip and skin) .. 1 (a soft one).
    tooth_size:
        Width and length of the teeth, 0.86 .. 1.14.
    tooth_show, lower_tooth_show:
        How far the upper teeth reach below the upper lip at rest, and how high the lower teeth stand behind
        the lower lip, -1.4 .. 1.8 and -1.4 .. 1.4 template pixels.
    overbite:
        How far the upper teeth hang over the lower ones when the jaw is shut, -0.8 (an open bite) .. 2.4.
    crooked:
        0 (teeth in line) .. 1 (turned and of unequal length).
    tooth_gaps:
        Darkness of the gaps between the teeth, 0 .. 1.
    diastema:
        Gap between the two upper front teeth, 0 (none) or 0.6 .. 1.5 template pixels.
    missing_tooth:
        Which of the ten upper teeth in sight is missing, counted from the left of the picture; -1 for none.
    moustache_hang, mouth_light:
        How much of the upper lip the moustache hangs over, 0 .. 0.7 (0 without one); how much of the light on
        the face finds its way between wide open lips, 0.6 .. 1.05.
    """

    seed: int
    age: float
    femininity: float
    # head and jaw
    face_width: float
    jaw_width: float
    chin_drop: float
    squareness: float
    fullness: float
    crown: float
    ear_size: float
    # eyes and brows
    eye_scale: float
    eye_open: float
    eye_tilt: float
    eye_spread: float
    brow_lift: float
    brow_arch: float
    brow_tilt: float
    brow_weight: float
    lid: float
    lash: float
    # nose and mouth
    nose_length: float
    nose_width: float
    nose_depth: float
    mouth_width: float
    mouth_drop: float
    upper_lip: float
    lower_lip: float
    bow: float
    smile: float
    # looks
    skin: Colour
    skin_depth: float
    eye_colour: Colour
    lip_colour: Colour
    lipstick: float
    blush: float
    freckles: float
    shadow: float
    hair: str
    hair_colour: Colour
    hairline: float
    brow_colour: Colour
    beard: str
    beard_colour: Colour
    glasses: str
    glasses_colour: Colour
    earrings: bool
    clothes: str
    cloth: Colour
    cloth_second: Colour
    striped: bool
    background: str
    wall: Colour
    accent: Colour
    light: tuple[float, float, float]
    # what shows when lips part, and the lips themselves
    lower_lip_colour: Colour
    lip_edge: float
    tooth_colour: Colour
    tooth_size: float
    tooth_show: float
    lower_tooth_show: float
    overbite: float
    crooked: float
    tooth_gaps: float
    diastema: float
    missing_tooth: int
    tongue_colour: Colour
    cavity: Colour
    moustache_hang: float
    mouth_light: float

    @property
    def name(self) -> str:
        """Stable text that names this person in a :class:`~talkface_lite.clip.Clip`."""
        return f"drawn-{self.seed:06d}"

    @classmethod
    def draw(cls, seed: int) -> Self:
        """Draw a person; the same seed always gives the same person."""
        rng = np.random.default_rng([seed, 0xFACE])
        feminine = rng.random() < 0.5
        femininity = float(np.clip(rng.normal(0.85 if feminine else 0.15, 0.1), 0, 1))
        age = float(np.clip(16 + 64 * rng.beta(1.25, 1.9), 16, 80))
        shape, looks = _draw_shape(rng, femininity, age), _draw_looks(rng, feminine, age)
        # the mouth has a stream of its own, so that nothing drawn above depends on it
        looks |= _draw_mouth(np.random.default_rng([seed, 0x7EE7]), looks, age)
        return cls(seed=seed, age=age, femininity=femininity, **shape, **looks)


def _normal(rng: np.random.Generator, mean: float, spread: float, reach: float = 2.0) -> float:
    """One normal number, kept within ``reach`` standard deviations."""
    return float(mean + spread * np.clip(rng.standard_normal(), -reach, reach))


def _draw_shape(rng: np.random.Generator, femininity: float, age: float) -> dict[str, float]:
    masculine = 1 - femininity
    old = max(0.0, (age - 45) / 35)
    return {
        "face_width": _normal(rng, 0.985 + 0.02 * masculine, 0.036),
        "jaw_width": _normal(rng, 0.93 + 0.1 * masculine, 0.055),
        "chin_drop": _normal(rng, -1.4 + 2.7 * masculine, 2.1),
        "squareness": float(np.clip(_normal(rng, 0.1 + 0.6 * masculine, 0.3), 0, 1.2)),
        "fullness": _normal(rng, 0.1 + 0.3 * old, 0.5),
        "crown": _normal(rng, 0.0, 2.5),
        "ear_size": _normal(rng, 1.0 + 0.08 * masculine + 0.08 * old, 0.08),
        "eye_scale": _normal(rng, 1.02 + 0.05 * femininity - 0.03 * old, 0.035),
        "eye_open": _normal(rng, 0.98 + 0.12 * femininity - 0.1 * old, 0.09),
        "eye_tilt": _normal(rng, 0.1 + 0.5 * femininity - 0.7 * old, 0.6),
        "eye_spread": _normal(rng, 0.0, 0.8),
        "brow_lift": _normal(rng, -0.6 + 1.6 * femininity, 1.0),
        "brow_arch": _normal(rng, 0.2 + 0.9 * femininity, 0.6),
        "brow_tilt": _normal(rng, 0.0, 0.7),
        "brow_weight": _normal(rng, 0.85 + 0.45 * masculine, 0.18),
        "lid": float(np.clip(_normal(rng, 0.85, 0.3), 0.25, 1.3)),
        "lash": float(np.clip(_normal(rng, 0.15 + 0.75 * femininity, 0.2), 0, 1.2)),
        "nose_length": _normal(rng, 0.5 * masculine + 0.6 * old, 1.0),
        "nose_width": _normal(rng, 0.9 + 0.1 * masculine, 0.09),
        "nose_depth": _normal(rng, 0.95 + 0.15 * masculine, 0.12),
        "mouth_width": _normal(rng, 1.0 + 0.03 * masculine, 0.06),
        "mouth_drop": _normal(rng, -0.2, 0.7),
        "upper_lip": float(max(0.76, _normal(rng, 1.0 + 0.22 * femininity - 0.14 * old, 0.17))),
        "lower_lip": float(max(0.78, _normal(rng, 0.96 + 0.2 * femininity - 0.1 * old, 0.15))),
        "bow": float(np.clip(_normal(rng, 0.5 + 0.25 * femininity, 0.3), 0, 1.2)),
        "smile": float(np.clip(_normal(rng, 0.45, 0.4), -0.35, 1.2)),
    }


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    names = list(weights)
    p = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=p / p.sum()))]


def _mix(a: Colour, b: Colour, amount: float) -> Colour:
    return tuple(round((1 - amount) * x + amount * y) for x, y in zip(a, b))


def _draw_looks(rng: np.random.Generator, feminine: bool, age: float) -> dict[str, object]:
    skin, depth = _draw_skin(rng)
    hair_colour = _HAIRS[_pick(rng, _hair_weights(depth, age))]
    hair = _pick(rng, _FEMININE_HAIR if feminine else _MASCULINE_HAIR)
    if hair in ("afro", "locs") and (depth < 0.45 or age > 62):
        hair = "curly"
    if hair == "balding" and age < 40:
        hair = "crop"
    if hair in ("headscarf", "turban", "cap", "beanie", "bald"):
        hair_colour = hair_colour if age < 60 else _HAIRS["grey"]
    beard = "none"
    if not feminine and age > 20:
        beard = _pick(rng, {"none": 1.7, "stubble": 0.9, "moustache": 0.45, "goatee": 0.5, "full": 0.85})
    if hair == "turban":
        beard = _pick(rng, {"full": 3, "moustache": 1})
    lipstick = float(rng.uniform(0.3, 1)) if feminine and rng.random() < 0.65 else 0.0
    eyes = {"dark_brown": 1.0, "brown": 1.2, "amber": 0.5, "hazel": 0.7, "green": 0.5, "grey": 0.4}
    eyes |= {"blue": 0.9, "deep_blue": 0.5}
    if depth > 0.3:
        eyes = {"dark_brown": 2.0, "brown": 1.2, "amber": 0.3, "hazel": 0.15 if depth < 0.7 else 0.0}
    cloth = _CLOTH[rng.integers(len(_CLOTH))]
    wall = _WALLS[rng.integers(len(_WALLS))]
    azimuth, height = rng.uniform(-0.75, 0.75), rng.uniform(0.25, 0.7)
    light = np.array([np.sin(azimuth), -height, np.cos(azimuth)])
    light /= np.linalg.norm(light)
    darker = 0.35 if age < 55 else 0.1
    eye_colour = _EYES[_pick(rng, eyes)]
    # two numbers that the colour of the lips once took: what is drawn below stays as it was
    rng.uniform(0.6, 1), rng.integers(6)
    return {
        "skin": skin,
        "skin_depth": depth,
        "eye_colour": eye_colour,
        "lipstick": lipstick,
        "blush": float(np.clip(_normal(rng, 0.5 if feminine else 0.35, 0.2), 0.05, 1)),
        "freckles": float(rng.uniform(0.4, 1)) if depth < 0.4 and rng.random() < 0.28 else 0.0,
        "shadow": float(rng.uniform(0.2, 0.9)) if feminine and rng.random() < 0.5 else 0.0,
        "hair": hair,
        "hair_colour": hair_colour,
        "hairline": _normal(rng, 0.0, 1.6),
        "brow_colour": _mix(hair_colour, (46, 34, 28), 0.45 if sum(hair_colour) > 330 else darker),
        "beard": beard,
        "beard_colour": _mix(hair_colour, (60, 42, 32), 0.2),
        "glasses": _pick(rng, {"none": 3.2, "round": 0.5, "square": 0.6, "half_rim": 0.3}),
        "glasses_colour": [(34, 32, 34), (96, 62, 36), (120, 40, 44), (58, 70, 96), (150, 136, 110)][
            rng.integers(5)
        ],
        "earrings": bool(feminine and rng.random() < 0.45),
        "clothes": CLOTHES[rng.integers(len(CLOTHES))],
        "cloth": cloth,
        "cloth_second": _CLOTH[rng.integers(len(_CLOTH))],
        "striped": bool(rng.random() < 0.28),
        "background": BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
        "wall": wall,
        "accent": _WALLS[rng.integers(len(_WALLS))],
        "light": tuple(float(v) for v in light),
    }


def _draw_skin(rng: np.random.Generator) -> tuple[Colour, float]:
    depth = float(rng.random())
    at = depth * (len(_SKINS) - 1)
    low = min(int(at), len(_SKINS) - 2)
    tone = np.array(_mix(_SKINS[low], _SKINS[low + 1], at - low), dtype=float)
    undertone = rng.normal(0, 1)
    warmth = np.clip(undertone, -0.7, 1.6) * tone.mean() / 200
    tone += warmth * np.array([1.5, 1.0, -5.5]) + rng.normal(0, 1.0, 3)
    return tuple(int(v) for v in np.clip(np.round(tone), 20, 255)), depth


def _hair_weights(depth: float, age: float) -> dict[str, float]:
    if depth < 0.35:
        weights = {"soft_black": 0.5, "espresso": 1.0, "brown": 1.4, "chestnut": 1.0, "auburn": 0.6}
        weights |= {"copper": 0.5, "dark_blond": 1.0, "blond": 0.9, "platinum": 0.25}
    elif depth < 0.6:
        weights = {
            "black": 1.6,
            "soft_black": 1.2,
            "espresso": 1.2,
            "brown": 0.8,
            "chestnut": 0.3,
            "auburn": 0.1,
        }
    else:
        weights = {"black": 2.2, "soft_black": 1.2, "espresso": 0.7, "brown": 0.15, "auburn": 0.08}
    grey = max(0.0, (age - 42) / 22)
    total = sum(weights.values())
    return {**weights, "grey": total * grey * 0.7, "silver": total * grey * max(0.0, (age - 52) / 28)}


_PAINTS: tuple[Colour, ...] = (
    (176, 44, 58), (196, 72, 84), (158, 56, 70), (206, 96, 92), (128, 36, 56), (190, 84, 74), (196, 30, 44),
    (216, 108, 128), (198, 124, 106), (104, 38, 58), (140, 72, 60), (222, 100, 78),
)  # fmt: skip
_TEETH: tuple[Colour, ...] = (
    (242, 238, 230), (236, 229, 212), (230, 220, 196), (220, 206, 174), (206, 186, 146), (184, 160, 118),
)  # fmt: skip
"""From white to dark."""


def _draw_mouth(rng: np.random.Generator, looks: dict[str, object], age: float) -> dict[str, object]:
    upper, lower = _draw_lip_colours(rng, looks["skin"], looks["skin_depth"], looks["lipstick"])
    old = max(0.0, (age - 40) / 40)
    worn = float(np.clip(rng.beta(1.5, 2.4) + 0.25 * old, 0, 1)) * (len(_TEETH) - 1)
    first = min(int(worn), len(_TEETH) - 2)
    dark, pale = 0.15 + 0.85 * rng.beta(1.1, 1.8), rng.uniform(0, 1)
    deep = np.array([74, 26, 26]) * dark
    deep *= min(1.0, 0.36 * np.mean(upper) / deep.mean())  # darker than the darkest lips
    tongue = np.array([176, 92, 92]) * (1 - pale) + np.array([196, 128, 120]) * pale
    tongue *= min(1.0, 1.2 * np.mean(lower) / tongue.mean())
    hangs = looks["beard"] in ("moustache", "goatee", "full")
    return {
        "lip_colour": upper,
        "lower_lip_colour": lower,
        "lip_edge": float(rng.beta(1.6, 1.6)),
        "tooth_colour": _mix(_TEETH[first], _TEETH[first + 1], worn - first),
        "tooth_size": _normal(rng, 1.0, 0.07),
        "tooth_show": float(np.clip(_normal(rng, 0.5 - 0.6 * old, 0.7), -1.4, 1.8)),
        "lower_tooth_show": float(np.clip(_normal(rng, 0.1 + 0.4 * old, 0.6), -1.4, 1.4)),
        "overbite": _normal(rng, 0.8, 0.8),
        "crooked": float(rng.beta(1.1, 2.8)),
        "tooth_gaps": float(rng.beta(1.5, 2.2)),
        "diastema": float(rng.uniform(0.6, 1.5)) * (rng.random() < 0.09),
        "missing_tooth": int(rng.integers(10)) if rng.random() < 0.03 + 0.06 * old else -1,
        "tongue_colour": _round_colour(tongue),
        "cavity": _round_colour(deep),
        "moustache_hang": float(0.7 * rng.beta(1.1, 2.6)) * hangs,
        "mouth_light": 0.6 + 0.45 * float(rng.beta(2, 2)),
    }


def _round_colour(colour: np.ndarray) -> Colour:
    return tuple(int(v) for v in np.clip(np.round(colour), 0, 255))


def _draw_lip_colours(
    rng: np.random.Generator, skin: Colour, depth: float, lipstick: float
) -> tuple[Colour, Colour]:
    """Colours of the upper and the lower lip: from hardly redder than the skin to deep, then painted."""
    red, brown = rng.beta(1.8, 1.5), rng.random() * depth
    tone = np.array(skin, float)
    # real lips in daylight: the upper about 0.82 0.60 0.68 of the skin's red, green and blue, the lower
    # 0.95 0.71 0.90; painted they are shaded once more
    pale, deep = tone * np.array([0.92, 0.69, 0.75]), tone * np.array([0.70, 0.38, 0.46])
    natural = (1 - red) * pale + red * deep
    natural = (1 - 0.7 * brown) * natural + 0.7 * brown * tone * np.array([0.66, 0.54, 0.64])
    lower = natural * (1 + rng.uniform(0.3, 1.2) * np.array([0.08, 0.10, 0.18]))
    # in dark skin the lower lip is often pink
    pink = 0.45 * rng.random() * depth
    lower = (1 - pink) * lower + pink * np.array([186, 108, 112])
    paint = np.array(_PAINTS[rng.integers(len(_PAINTS))]) * (1.0 if depth < 0.65 else 0.88)
    lips = []
    for lip, most in ((natural, 0.80 - 0.14 * depth), (lower, 0.92 - 0.08 * depth)):
        lip[2] = min(lip[2], 1.02 * lip[1])  # never towards blue, however pink the skin
        mixed = (1 - 0.85 * lipstick) * lip + 0.85 * lipstick * paint
        # lighter than the skin they would not be told from a shine on it
        lips.append(_round_colour(mixed * min(1.0, most * tone.mean() / mixed.mean())))
    return lips[0], lips[1]
