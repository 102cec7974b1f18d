"""What an MFCC front end chooses, and three recipes: the choices of published ones.

The settings differ from toolbox to toolbox, and with them the numbers; the steps do not: they are in
:mod:`talkface_lite.speech`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from talkface_lite.clip import ROWS_PER_FRAME, SAMPLE_RATE, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError

HOP_LENGTH = SAMPLES_PER_FRAME // ROWS_PER_FRAME
"""Samples from one MFCC row to the next on the one clock: 160, which is 10 ms."""


@dataclass(frozen=True, kw_only=True)
class MFCCSettings:
    """Every choice an MFCC front end makes; the defaults are those of python_speech_features 0.6.

    Lengths are in samples at 16 kHz, frequencies in Hz.

    Parameters
    ----------
    window_length, hop_length, n_fft:
        Samples under the window, samples between rows, points of the Fourier transform.
    window:
        ``"rectangular"``, ``"hann"`` (periodic, as librosa) or ``"hamming"`` (symmetric, as HTK).
    edges:
        The ends in :func:`~talkface_lite.speech.mfcc`. ``"pad"``: row 0 starts at sample 0, the last is
        filled up with zeros. ``"cut"``: the same, but a row that is not full is dropped. ``"centre"``: row
        ``r`` is centred at sample ``r * hop_length``, zeros on both sides.
        (:func:`~talkface_lite.speech.mfcc_windows` lays its rows by the clock.)
    full_scale:
        What a sample of 1.0 counts as: 1, or 32768 for recipes on 16-bit integers. Shifts C0, nothing else.
    pre_emphasis:
        ``a`` in ``y[n] = x[n] - a x[n-1]``.
    power, divide_by_n_fft:
        Exponent of the magnitude spectrum (2 or 1); whether it is divided by ``n_fft``, which shifts only C0.
    n_filters, f_min, f_max:
        The mel filters, equally spaced in mel between ``f_min`` and ``f_max``.
    mel_scale:
        ``"htk"``: ``2595 log10(1 + f/700)``. ``"slaney"``: linear below 1 kHz, logarithmic above.
    filter_edges:
        Corners of the filters ``"exact"``, or rounded down to the ``"bins"`` of the transform.
    equal_area:
        True gives each filter area 1 (Slaney), False height 1.
    decibels:
        True: ``10 log10``. False: the natural logarithm.
    floor, floor_zeros_only:
        What the logarithm sees at least; ``floor_zeros_only``: it replaces exact zeros and no other value.
    top_db:
        None, or: raise everything to at least ``top_db`` below the loudest filter *of the whole recording*.
    n_cepstra:
        Coefficients kept, C0 included.
    orthonormal:
        True: orthonormal cosine transform. False: HTK's, whose C0 is larger by sqrt(2).
    lifter, lifter_start:
        ``L`` in ``1 + L/2 sin(pi k / L)``, 0 for none; ``k`` counts from ``lifter_start`` (librosa: 1).
    energy_as_c0:
        True replaces C0 by the logarithm of the row's whole energy.

    Raises
    ------
    InputError
        When the values contradict each other.
    """

    window_length: int = 400
    hop_length: int = HOP_LENGTH
    n_fft: int = 512
    window: Literal["rectangular", "hann", "hamming"] = "rectangular"
    edges: Literal["pad", "cut", "centre"] = "pad"
    full_scale: float = 1.0
    pre_emphasis: float = 0.97
    power: float = 2.0
    divide_by_n_fft: bool = True
    n_filters: int = 26
    f_min: float = 0.0
    f_max: float = SAMPLE_RATE / 2
    mel_scale: Literal["htk", "slaney"] = "htk"
    filter_edges: Literal["bins", "exact"] = "bins"
    equal_area: bool = False
    decibels: bool = False
    floor: float = float(np.finfo(np.float64).eps)
    floor_zeros_only: bool = True
    top_db: float | None = None
    n_cepstra: int = 13
    orthonormal: bool = True
    lifter: float = 22.0
    lifter_start: int = 0
    energy_as_c0: bool = True

    def __post_init__(self) -> None:
        choices = {
            "window": ("rectangular", "hann", "hamming"),
            "edges": ("pad", "cut", "centre"),
            "mel_scale": ("htk", "slaney"),
            "filter_edges": ("bins", "exact"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"MFCCSettings.{name}", repr(getattr(self, name)), " or ".join(allowed))
        for name in ("window_length", "hop_length", "n_filters", "n_cepstra", "floor", "full_scale", "power"):
            if not getattr(self, name) > 0:
                raise InputError(f"MFCCSettings.{name}", getattr(self, name), "more than 0")
        if self.n_fft < self.window_length:
            raise InputError(
                "MFCCSettings.n_fft", self.n_fft, f"at least window_length, {self.window_length}"
            )
        if self.n_cepstra > self.n_filters:
            raise InputError("MFCCSettings.n_cepstra", self.n_cepstra, f"at most n_filters, {self.n_filters}")
        if not 0 <= self.f_min < self.f_max <= SAMPLE_RATE / 2:
            span = f"{self.f_min:g}..{self.f_max:g} Hz"
            raise InputError("MFCCSettings.f_min, f_max", span, f"a span within 0..{SAMPLE_RATE / 2:g} Hz")


PSF = MFCCSettings()
"""The defaults of python_speech_features {cite}`lyons2020psf`, which the released code of ATVGnet takes."""

LIBROSA = MFCCSettings(
    window="hann",
    edges="centre",
    pre_emphasis=0.0,
    divide_by_n_fft=False,
    n_filters=40,
    mel_scale="slaney",
    filter_edges="exact",
    equal_area=True,
    decibels=True,
    floor=1e-10,
    floor_zeros_only=False,
    top_db=80.0,
    lifter=0.0,
    lifter_start=1,
    energy_as_c0=False,
)
"""``librosa.feature.mfcc(sr=16000, n_mfcc=13, win_length=400, n_fft=512, hop_length=160, n_mels=40)``."""

SYNCNET = MFCCSettings(
    window="hamming",
    edges="cut",
    full_scale=32768.0,
    power=1.0,
    divide_by_n_fft=False,
    n_filters=13,
    f_min=300.0,
    f_max=3700.0,
    filter_edges="exact",
    orthonormal=False,
    energy_as_c0=False,
)
"""The MATLAB front end of SyncNet and DAVS, with the values of DAVS's ``savemfcc.m``: an emulation."""


RECIPES: Mapping[str, MFCCSettings] = MappingProxyType({"psf": PSF, "librosa": LIBROSA, "syncnet": SYNCNET})
"""The recipes by name."""


def recipe(name: str) -> MFCCSettings:
    """The recipe with this name, of :data:`RECIPES`.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in RECIPES:
        raise InputError("recipe", repr(name), " or ".join(RECIPES))
    return RECIPES[name]
