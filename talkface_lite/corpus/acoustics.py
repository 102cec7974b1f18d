"""What happens to a voice on its way to the file: the room, noise, the microphone, the codec.

Nothing here moves a sound in time, so the times of words and phonemes stay true.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.signal import fftconvolve, istft, stft

from talkface_lite.clip import SAMPLE_RATE
from talkface_lite.errors import InputError

NOISES = ("pink", "white", "brown", "hum")
"""Rain and streets, hiss, rumble, the mains with its overtones."""
NOISE_SHARES = (0.5, 0.25, 0.15, 0.1)
"""How often each of them is met."""
_SLOPE = {"pink": -0.5, "white": 0.0, "brown": -1.0}
"""Of the amplitude over the frequency, in powers of it."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A small synthetic room: the direct sound at once, then a decaying noise of echoes.

    Parameters
    ----------
    decay:
        Seconds until the echoes have fallen by 60 dB (RT60).
    direct_to_reverberant:
        Energy of the direct sound over that of all echoes, dB.
    """

    decay: float = 0.25
    direct_to_reverberant: float = 9.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """One at random, from a padded one to a bare one."""
        decay, ratio = rng.uniform(0.1, 0.45), rng.uniform(4, 14)
        return cls(decay=decay, direct_to_reverberant=ratio)


@dataclass(frozen=True, kw_only=True)
class Microphone:
    """What a microphone and the file behind it leave of a sound.

    Parameters
    ----------
    low, high:
        Hz: what it hears lies between; a second-order roll-off beyond.
    tilt:
        dB an octave, about 1 kHz.
    colour:
        dB at 250, 500, 1000, 2000 and 4000 Hz, joined smoothly.
    mu_law:
        Whether the file has eight bits a sample by the telephone's μ-law.
    kept:
        dB: a lossy codec drops what lies further than this below the loudest of its moment; 0 drops nothing.
    level:
        Factor on what comes out.
    """

    low: float = 20.0
    high: float = 8000.0
    tilt: float = 0.0
    colour: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    mu_law: bool = False
    kept: float = 0.0
    level: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """One at random, from a studio's to a telephone's."""
        narrow, lossy = rng.random(2)
        return cls(
            low=float(np.exp(rng.uniform(np.log(30), np.log(250)))),
            high=float(rng.uniform(3400, 7000)) if narrow < 0.35 else 8000.0,
            tilt=float(rng.normal(0, 1.5)),
            colour=tuple(rng.normal(0, 2.5, 5).tolist()),
            mu_law=bool(lossy < 0.1),
            kept=float(rng.uniform(25, 50)) if 0.1 <= lossy < 0.35 else 0.0,
            level=float(np.exp(rng.uniform(np.log(0.1), 0))),
        )

    def record(self, speech: np.ndarray) -> np.ndarray:
        """Speech ``(n,)`` in [-1, 1] as this microphone records it, float64 ``(n,)`` in [-1, 1]."""
        spectrum = np.fft.rfft(speech)
        hertz = np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE)
        octaves = np.log2(np.maximum(hertz, 20.0) / 1000)
        gain = self.tilt * octaves + np.interp(octaves, np.arange(-2, 3), self.colour)
        with np.errstate(divide="ignore", over="ignore"):
            roll = 1 / np.sqrt(1 + (self.low / np.maximum(hertz, 1e-9)) ** 4)
            roll /= np.sqrt(1 + (hertz / self.high) ** 16) if self.high < SAMPLE_RATE / 2 else 1.0
        heard = np.fft.irfft(spectrum * roll * 10 ** (gain / 20), len(speech))
        if self.kept:
            heard = _coded(heard, self.kept)
        peak = np.abs(heard).max(initial=1e-9)
        heard = heard * (self.level * min(np.abs(speech).max(initial=0) / peak, 1 / peak))
        return _mu_law(heard) if self.mu_law else heard


def draw_noise(rng: np.random.Generator) -> str:
    """One of :data:`NOISES` at random."""
    return NOISES[int(rng.choice(len(NOISES), p=NOISE_SHARES))]


def add_noise(
    speech: np.ndarray, signal_to_noise: float, rng: np.random.Generator, kind: str = "pink"
) -> np.ndarray:
    """Speech ``(n,)`` plus noise, ``signal_to_noise`` dB below the speech where it sounds.

    Raises
    ------
    InputError
        When the noise is none of :data:`NOISES`.
    """
    if kind not in NOISES:
        raise InputError("noise", repr(kind), " or ".join(NOISES))
    frequency = np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE)
    if kind == "hum":
        time, base = np.arange(len(speech)) / SAMPLE_RATE, 50.0
        overtones = rng.uniform(0.1, 1, 6) / np.arange(1, 7)
        phases = rng.uniform(0, 2 * np.pi, 6)
        noise = sum(
            a * np.sin(2 * np.pi * base * k * time + p) for k, (a, p) in enumerate(zip(overtones, phases), 1)
        )
        noise = noise + 0.1 * rng.standard_normal(len(speech))
    else:
        spectrum = np.fft.rfft(rng.standard_normal(len(speech)))
        spectrum *= np.maximum(frequency, 50.0) ** _SLOPE[kind]
        noise = np.fft.irfft(spectrum, len(speech))
    sounding = speech[speech != 0]
    power = np.mean(sounding**2) if len(sounding) else 0.0
    scale = np.sqrt(power / 10 ** (signal_to_noise / 10) / np.mean(noise**2))
    return (speech + scale * noise).astype(speech.dtype)


def add_room(speech: np.ndarray, room: Room, rng: np.random.Generator) -> np.ndarray:
    """Speech ``(n,)`` as it sounds in a room: same length, the direct sound unmoved."""
    if room.decay <= 0:
        raise InputError("room.decay", f"{room.decay:g} s", "more than 0 s")
    time = np.arange(round(room.decay * SAMPLE_RATE)) / SAMPLE_RATE
    echoes = rng.standard_normal(len(time)) * 10 ** (-3 * time / room.decay)
    echoes[time < 0.003] = 0
    echoes *= np.sqrt(10 ** (-room.direct_to_reverberant / 10) / max(np.sum(echoes**2), 1e-12))
    echoes[0] = 1.0
    return fftconvolve(speech, echoes)[: len(speech)].astype(speech.dtype)


def _coded(speech: np.ndarray, kept: float) -> np.ndarray:
    _, _, bands = stft(speech, SAMPLE_RATE, nperseg=512)
    size = np.abs(bands)
    bands[size < size.max(axis=0) * 10 ** (-kept / 20)] = 0
    return istft(bands, SAMPLE_RATE, nperseg=512)[1][: len(speech)]


def _mu_law(speech: np.ndarray) -> np.ndarray:
    pressed = np.sign(speech) * np.log1p(255 * np.abs(speech)) / np.log(256)
    levels = np.round(pressed * 127) / 127
    return np.sign(levels) * np.expm1(np.abs(levels) * np.log(256)) / 255
