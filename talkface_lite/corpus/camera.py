"""Another camera, another light: what a photograph can do to a face without moving it.

Drawn faces are clean; filmed ones are not. A network that is to paint on photographs meets, while it learns,
each drawn window through a camera of its own: exposure, white balance, colour, a light from one side, skin
texture and grain, blur, compression. Domain randomisation: Tobin et al., 2017.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from talkface_lite.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Camera:
    """What happens to every picture of one film alike.

    Parameters
    ----------
    gamma:
        Exponent of the brightness; 1 changes nothing.
    contrast, brightness:
        Factor about the middle grey, and what is added, in [0, 1] units.
    balance:
        Factors of red, green and blue.
    saturation:
        0 is a black-and-white film, 1 changes nothing.
    light:
        How much brighter the picture is on one side than in the middle, and the side's direction in radians.
    texture:
        How much pores and grain, which stay where they are, brighten and darken: a standard deviation of
        about 0.84 times this share of the brightness.
    blur:
        Standard deviation of a Gaussian in pixels; negative sharpens.
    quality:
        Of a JPEG between 1 and 100; 100 compresses nothing.
    seed:
        Of the texture.
    """

    gamma: float = 1.0
    contrast: float = 1.0
    brightness: float = 0.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    light: tuple[float, float] = (0.0, 0.0)
    texture: float = 0.0
    blur: float = 0.0
    quality: int = 100
    seed: int = 0

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float = 1.0) -> Self:
        """A camera at random; ``strength`` 0 draws one that changes nothing, 1 those found in the wild."""
        if not 0 <= strength <= 2:
            raise InputError("strength", strength, "0 to 2")
        normal, uniform = rng.normal, rng.random
        grey = uniform() < 0.1 * strength
        soft = uniform()
        return cls(
            gamma=float(np.exp(strength * normal(0, 0.22))),
            contrast=float(np.exp(strength * normal(0, 0.15))),
            brightness=float(strength * normal(0, 0.05)),
            balance=tuple(np.exp(strength * normal(0, 0.06, 3)).tolist()),
            saturation=0.0 if grey else float(np.exp(strength * normal(0, 0.3))),
            light=(float(strength * abs(normal(0, 0.22))), float(uniform() * 2 * np.pi)),
            texture=float(strength * abs(normal(0, 0.022))),
            blur=float(
                strength * (1.3 * uniform() if soft < 0.45 else -0.8 * uniform() if soft > 0.8 else 0)
            ),
            quality=int(rng.integers(30, 96)) if uniform() < 0.4 * strength else 100,
            seed=int(rng.integers(2**31)),
        )

    def film(self, frames: np.ndarray) -> np.ndarray:
        """What this camera makes of pictures: uint8 RGB ``(T, H, W, 3)`` → the same."""
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise InputError("frames", f"{frames.dtype} {frames.shape}", "uint8 (T, H, W, 3)")
        level = np.arange(256, dtype=np.float32) / 255
        level = self.contrast * (level**self.gamma - 0.5) + 0.5 + self.brightness
        table = np.clip(level[:, None] * np.float32(self.balance), 0, 1)[None]
        factor = self._light_and_texture(*frames.shape[1:3])
        filmed = np.empty_like(frames)
        for i, frame in enumerate(frames):
            filmed[i] = self._picture(frame, table, factor)
        return filmed

    def _picture(self, frame: np.ndarray, table: np.ndarray, factor: np.ndarray) -> np.ndarray:
        picture = cv2.LUT(frame, table)
        if self.saturation != 1:
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
            picture = grey + np.float32(self.saturation) * (picture - grey)
        picture = picture * factor
        if self.blur > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        elif self.blur < 0:
            picture = picture - np.float32(self.blur) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0))
        picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        if self.quality < 100:
            options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            _, packed = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
            picture = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return picture

    def _light_and_texture(self, height: int, width: int) -> np.ndarray:
        """What every picture is multiplied by, float32 ``(H, W, 1)``."""
        amount, direction = self.light
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        factor = 1 + amount * (x * np.cos(direction) + y * np.sin(direction))
        if self.texture:
            rng = np.random.default_rng(self.seed)
            for size, share in ((1, 0.7), (2, 0.6), (6, 0.4)):
                noise = rng.standard_normal((-(-height // size), -(-width // size)), dtype=np.float32)
                factor += self.texture * share * cv2.resize(noise, (width, height))
        return np.clip(factor, 0, 4).astype(np.float32)[..., None]
