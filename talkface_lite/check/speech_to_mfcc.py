"""Self-checks of the chapter "Speech to MFCC"."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from talkface_lite.check import Verdict, Wrong, verify, whole_number
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, Utterance, grid_sentence, speak
from talkface_lite.speech import LIBROSA, PSF, SYNCNET, MFCCSettings, mfcc_windows

RECIPES: Mapping[str, MFCCSettings] = MappingProxyType({"PSF": PSF, "LIBROSA": LIBROSA, "SYNCNET": SYNCNET})
MARGIN = 0.02
"""By how much exercise 3 asks the jaw's R² to beat PSF's."""
RIDGE = 30.0
"""Penalty on the weights of the linear readout, whose inputs have variance 1."""


def exercise_1(answer: Callable[[int, int], Iterable[int]] | None) -> Verdict:
    """Check ``answer(frame, rows)``: first row of a window of ``rows`` (even), and the row after its last."""

    def test(rows_of: Callable[[int, int], Iterable[int]]) -> None:
        for frame, rows in ((3, 28), (0, 28), (10, 4), (74, 40)):
            got = rows_of(frame, rows)
            if not (isinstance(got, Iterable) and len(pair := list(got)) == 2):
                raise Wrong("Give two whole numbers: the first row, and the row after the last.")
            first, after = (whole_number(row, "a row") for row in pair)
            if after - first == rows - 1:
                raise Wrong("The second number is the row *after* the last, as in a slice.")
            if after - first != rows:
                raise Wrong(f"A window of {rows} rows runs over {after - first} rows in your answer.")
            # twice the time of the middle, in rows: row r lies at r + 1/2, frame t at 4 t + 2
            off = (first + after) / 2 - (4 * frame + 2)
            if off:
                side = "late" if off > 0 else "early"
                raise Wrong(
                    f"The window of frame {frame} is {10 * abs(off):g} ms too {side}: where is its middle?"
                )

    return verify(1, answer, test)


def exercise_2(answer: Callable[[np.ndarray, np.ndarray], str] | None) -> Verdict:
    """Check ``answer(windows, speech)``: which of the three recipes made these windows of this recording."""

    def test(name_of: Callable[[np.ndarray, np.ndarray], str]) -> None:
        rng = np.random.default_rng(5)
        for n, voice in enumerate(("tamsin", "ulric", "paula")):
            speech = speak(grid_sentence(rng), voice, signal_to_noise=35, seed=n).speech
            for name, settings in RECIPES.items():
                # whoever made the features had the sound half as loud and kept two decimals
                windows = np.round(mfcc_windows(0.5 * speech, settings=settings), 2)
                got = name_of(windows, speech)
                if not isinstance(got, str) or got not in RECIPES:
                    raise Wrong(f"Give one of {', '.join(RECIPES)}; yours gave {got!r}.")
                if got != name:
                    raise Wrong(f"Windows made with {name} were taken for {got}.")

    return verify(2, answer, test)


def exercise_3(answer: Callable[[], MFCCSettings] | None) -> Verdict:
    """Check ``answer()``: settings from which a linear readout hears the jaw better than from PSF."""

    def test(settings_of: Callable[[], MFCCSettings]) -> None:
        settings = settings_of()
        if not isinstance(settings, MFCCSettings):
            raise Wrong(f"Give an MFCCSettings; yours gave a {type(settings).__name__}.")
        published, yours = jaw_heard(PSF), jaw_heard(settings)
        print(f"R² of the jaw on unheard voices: {published:.3f} with PSF, {yours:.3f} with yours.")
        if yours < published + MARGIN:
            raise Wrong(f"It takes {published + MARGIN:.3f}. Which step throws away what the jaw does?")

    return verify(3, answer, test)


@cache
def sentences() -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Sentences of 12 voices to learn from, and of 6 others to test on; 2 a voice, faint noise below them."""
    rng = np.random.default_rng(7)
    spoken = [
        speak(grid_sentence(rng), voice, signal_to_noise=40, seed=n)
        for n, voice in enumerate(list(VOICES)[:18])
        for _ in range(2)
    ]
    return tuple(spoken[:24]), tuple(spoken[24:])


@cache
def jaw_heard(settings: MFCCSettings) -> float:
    """Say how much of the jaw's motion a linear readout of 28-row windows explains: R² on unheard voices."""
    (train, jaw), (unheard, truth) = ((inputs(group, settings), jaws(group)) for group in sentences())
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    train, unheard = (train - mean) / spread, (unheard - mean) / spread
    weights = np.linalg.solve(train.T @ train + RIDGE * np.eye(train.shape[1]), train.T @ (jaw - jaw.mean()))
    left = truth - (unheard @ weights + jaw.mean())
    return float(1 - np.mean(left**2) / truth.var())


def inputs(group: tuple[Utterance, ...], settings: MFCCSettings) -> np.ndarray:
    """Flatten all windows of some sentences: float64 ``(frames, 28 * (n_cepstra - 1))``."""
    windows = [mfcc_windows(utterance.speech, settings=settings) for utterance in group]
    return np.concatenate([w.reshape(len(w), -1) for w in windows]).astype(np.float64)


def jaws(group: tuple[Utterance, ...]) -> np.ndarray:
    """Opening of the jaw in each frame of some sentences, 0..1: ``(frames,)``."""
    return np.concatenate([articulation(u.phonemes, len(u.speech) // 640)[:, 0] for u in group]).astype(float)
