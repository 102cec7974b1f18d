"""Self-checks of the chapter on the corpus."""

from collections.abc import Callable, Iterator

import numpy as np

from talkface_lite.check import Verdict, Wrong, array_from, verify, whole_number
from talkface_lite.clip import frame_times
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.visemes import CHANNELS
from talkface_lite.corpus.voice import speak
from talkface_lite.landmarks import lip_opening

SHUT = 0.5
"""Pixels: lips nearer than this touch, to the eye."""
OPEN = 3.0
"""Pixels by which an /a/ must part the lips, whichever channels part them: real jaws do little of it."""
ROUND = 0.4
"""Rounding of an /u/; the target of the viseme table is 0.6."""
PAUSE = 0.4
"""Seconds from sound beyond which the mouth should rest; lips part well before a word."""
WIDER = 1.25
"""How much wider an /a/ must open the lips than an /i/ or /u/ of the same sentence.

The targets of the viseme table, fitted to real lips, are 1.36 apart for /a/ and /i/ (person 100).
"""


def exercise_1(answer: Callable | None) -> Verdict:
    """``frames_in(start, end)``: the frames whose centres lie in [start, end), as a list."""

    def test(frames_in: Callable) -> None:
        cases = [(0.10, 0.22), (0.0, 0.04), (0.03, 0.05), (1.0, 1.37), (0.42, 0.46)]
        for start, end in cases:
            given = array_from(frames_in(start, end), "the list of frames").reshape(-1)
            got = [whole_number(t, "a frame's number") for t in given]
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
        for lag, max_lag, opening, loudness in swelling_speech():
            got = whole_number(best_lag(opening, loudness, max_lag), "a lag")
            if got == lag:
                continue
            if abs(got) > max_lag:
                raise Wrong(f"Asked for lags of at most {max_lag} frames, you say {got}.")
            if got == -lag:
                raise Wrong(f"The sound comes {lag} frames late and you say {got}. Late is positive.")
            said = f"For a sound {lag} frames late" if lag else "For a sound in step"
            raise Wrong(
                f"{said} you say {got}. Correlate, so that neither level nor scale counts, "
                "and only where both are known."
            )

    return verify(2, answer, test)


def swelling_speech() -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Mouths and sounds that swell or fade: ``(lag, max_lag, opening (80,), loudness in dB (80,))``.

    Where speech swells, a later stretch of sound has larger products with any mouth. So a sum of products
    takes another lag for the best, with the means taken out or not; a correlation does not.
    """
    rng = np.random.default_rng(1)
    bell = np.exp(-0.5 * (np.arange(-9, 10) / 3) ** 2)
    bell /= np.linalg.norm(bell)
    for lag, max_lag, growth in ((0, 6, 0.04), (3, 6, 0.04), (-2, 6, -0.04), (5, 6, 0.04), (-4, 5, -0.04)):
        mouth = np.convolve(rng.standard_normal(138), bell, "valid") * np.exp(growth * np.arange(-60, 60))
        mouth -= mouth.min()  # lips are never less than closed
        yield lag, max_lag, mouth[20:100], 8 * mouth[20 - lag : 100 - lag] - 40 + 2 * rng.normal(size=80)


def exercise_3(answer: Callable | None) -> Verdict:
    """``my_articulation(phonemes, n_frames)``: any rule that closes, rests, opens, rounds and is smooth."""

    def test(my_articulation: Callable) -> None:
        for text, voice in (("my baby bumped a map", "arthur"), ("far too soon, mama", "vera")):
            utterance = speak(text, voice, lead=0.6, tail=0.6)
            n_frames = len(utterance.speech) // 640
            asked = n_frames, len(CHANNELS)
            mouth = array_from(
                my_articulation(utterance.phonemes, n_frames), "the seven channels", shape=asked
            )
            if not np.isfinite(mouth).all():
                raise Wrong("Some values are not finite. Where is the sum of your weights zero?")
            _test_mouth(mouth, utterance.phonemes, n_frames)

    return verify(3, answer, test)


def _test_mouth(mouth: np.ndarray, phonemes: tuple, n_frames: int) -> None:
    jaw, rounding = mouth[:, CHANNELS.index("jaw")], mouth[:, CHANNELS.index("rounding")]
    # lips close and open by all channels together, so ask the face that they move
    lips = lip_opening(face_points(Identity.draw(100), mouth, Motion.hold(n_frames)).landmarks)
    times = frame_times(n_frames)

    def during(*labels: str, margin: float = 0.0) -> list[np.ndarray]:
        marks = [p for p in phonemes if p.label.strip("ˈˌː").removesuffix("ːɹ") in labels]
        inside = [np.flatnonzero((times > p.start - margin) & (times < p.end + margin)) for p in marks]
        return [frames for frames in inside if len(frames)]

    for frames in during("p", "b", "m", margin=0.02):
        where = f"In frames {frames[0]} to {frames[-1]} a /p b m/ leaves"
        if jaw[frames].min() > 0.1:
            raise Wrong(f"{where} the jaw open: {jaw[frames].min():.2f}.")
        if lips[frames].min() > SHUT:
            raise Wrong(f"{where} the lips {lips[frames].min():.1f} px apart, whatever the jaw does.")
    first, last = phonemes[0].start, phonemes[-1].end
    quiet = (times < first - PAUSE) | (times > last + PAUSE)
    if np.abs(mouth[quiet]).max(initial=0) > 0.1:
        raise Wrong("In the silence at the ends the mouth should rest: every channel near 0.")
    if lips.max() < OPEN:
        raise Wrong(f"The mouth never opens beyond {lips.max():.1f} px. An /a/ wants more than {OPEN:g}.")
    if np.abs(np.diff(jaw)).max() > 0.6:
        raise Wrong(f"The jaw jumps by {np.abs(np.diff(jaw)).max():.2f} in 40 ms. No jaw is that fast.")
    for frames in during("u", "ʉ"):
        before = max(frames[0] - 2, 0)
        if rounding[frames].max() < ROUND:
            raise Wrong(f"An /u/ should be rounded: above {ROUND:g}.")
        if rounding[before] < 0.1:
            raise Wrong("Lips round before /u/ sounds: two frames earlier they should have begun.")
    wide, narrow = (
        max(lips[frames].max() for frames in during(*labels)) for labels in (("a", "ɑ"), ("i", "u", "ʉ"))
    )
    if wide < WIDER * narrow:
        raise Wrong(
            f"An /a/ parts the lips by {wide:.1f} px, an /i/ or /u/ by {narrow:.1f} px. /a/ is wider."
        )
