"""Self-checks of the chapter on the corpus."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, verify
from talkface_lite.clip import frame_times
from talkface_lite.corpus.visemes import CHANNELS
from talkface_lite.corpus.voice import speak


def exercise_1(answer: Callable | None) -> Verdict:
    """``frames_in(start, end)``: the frames whose centres lie in [start, end), as a list."""

    def test(frames_in: Callable) -> None:
        cases = [(0.10, 0.22), (0.0, 0.04), (0.03, 0.05), (1.0, 1.37), (0.42, 0.46)]
        for start, end in cases:
            got = [int(t) for t in np.asarray(frames_in(start, end)).reshape(-1)]
            centres = frame_times(60)
            wanted = np.flatnonzero((centres >= start - 1e-9) & (centres < end - 1e-9)).tolist()
            if got == wanted:
                continue
            said = f"From {start:g} s to {end:g} s you give {got}."
            if len(wanted) == 0:
                raise Wrong(f"{said} So short a sound may fall between two centres.")
            if set(wanted) < set(got):
                raise Wrong(
                    f"{said} A frame counts by its centre; the centre of frame t is (t + 1/2) * 40 ms."
                )
            raise Wrong(
                f"{said} Frame t is centred at (t + 1/2) * 40 ms; a centre at the end does not count."
            )

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``best_lag(opening, loudness, max_lag)``: the lag k with the highest r of mouth t and sound t + k."""

    def test(best_lag: Callable) -> None:
        rng = np.random.default_rng(0)
        for lag in (0, 3, -2, 5):
            smooth = np.convolve(rng.standard_normal(140), np.ones(5) / 5, "same")
            opening = smooth[20:120]
            loudness = 40 + 300 * smooth[20 - lag : 120 - lag] + 60 * rng.standard_normal(100)
            got = best_lag(opening, loudness, 6)
            if got == lag:
                continue
            if got == -lag:
                raise Wrong(f"The sound comes {lag} frames late and you say {got}. Late is positive.")
            if lag == 0:
                raise Wrong(f"For a sound in step you say {got}.")
            raise Wrong(
                f"The sound comes {lag} frames late and you say {got}. "
                "Correlate, so that neither level nor scale counts, and only where both are known."
            )

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``my_articulation(phonemes, n_frames)``: any rule that closes, rests, opens, rounds and is smooth."""

    def test(my_articulation: Callable) -> None:
        for text, voice in (("my baby bumped a map", "arthur"), ("far too soon, mama", "vera")):
            utterance = speak(text, voice)
            n_frames = len(utterance.speech) // 640
            mouth = np.asarray(my_articulation(utterance.phonemes, n_frames), float)
            if mouth.shape != (n_frames, len(CHANNELS)):
                raise Wrong(f"The shape is {mouth.shape}; it should be {(n_frames, len(CHANNELS))}.")
            if not np.isfinite(mouth).all():
                raise Wrong("Some values are not finite. Where is the sum of your weights zero?")
            _test_mouth(mouth, utterance.phonemes, n_frames)

    return verify(3, answer, test)


def _test_mouth(mouth: np.ndarray, phonemes: tuple, n_frames: int) -> None:
    jaw, rounding = mouth[:, CHANNELS.index("jaw")], mouth[:, CHANNELS.index("rounding")]
    times = frame_times(n_frames)

    def during(label: tuple[str, ...], margin: float = 0.0) -> list[np.ndarray]:
        marks = [p for p in phonemes if p.label.strip("ˈˌː") in label]
        inside = [np.flatnonzero((times > p.start - margin) & (times < p.end + margin)) for p in marks]
        return [frames for frames in inside if len(frames)]

    for frames in during(("p", "b", "m"), margin=0.02):
        if jaw[frames].min() > 0.1:
            smallest = jaw[frames].min()
            raise Wrong(
                f"In frames {frames[0]} to {frames[-1]} a /p b m/ leaves the jaw open: {smallest:.2f}."
            )
    first, last = phonemes[0].start, phonemes[-1].end
    quiet = (times < first - 0.16) | (times > last + 0.16)
    if np.abs(mouth[quiet]).max(initial=0) > 0.1:
        raise Wrong("In the silence at the ends the mouth should rest: every channel near 0.")
    if jaw.max() < 0.4:
        raise Wrong(f"The jaw never opens beyond {jaw.max():.2f}. An /a/ wants more than 0.4.")
    if np.abs(np.diff(jaw)).max() > 0.6:
        raise Wrong(f"The jaw jumps by {np.abs(np.diff(jaw)).max():.2f} in 40 ms. No jaw is that fast.")
    for frames in during(("u", "ʉ")):
        before = max(frames[0] - 2, 0)
        if rounding[frames].max() < 0.6:
            raise Wrong("An /u/ should be rounded: above 0.6.")
        if rounding[before] < 0.1:
            raise Wrong("Lips round before /u/ sounds: two frames earlier they should have begun.")
