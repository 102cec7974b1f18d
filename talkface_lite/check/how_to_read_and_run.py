"""Self-check of the chapter "How to read and run this book"."""

from collections.abc import Callable

from talkface_lite.check import Verdict, Wrong, verify
from talkface_lite.clip import FRAMES_PER_SECOND, frame_times


def exercise_1(answer: Callable[[float], int] | None) -> Verdict:
    """Check ``answer(seconds)``: the number of the frame on the screen at that time, counted from 0."""

    def test(frame_at: Callable[[float], int]) -> None:
        centres = frame_times(75)
        got = [frame_at(float(seconds)) for seconds in centres]
        if not all(isinstance(number, int) for number in got):
            raise Wrong(f"A frame's number is a whole number, an int; yours is a {type(got[0]).__name__}.")
        if got == list(range(1, 76)):
            raise Wrong("Frames are counted from 0.")
        for t, number in enumerate(got):
            if number != t:
                raise Wrong(f"At {centres[t]:.3f} s, the centre of frame {t}, your function gives {number}.")
        just_before_frame_1 = 1 / FRAMES_PER_SECOND - 0.001
        if frame_at(just_before_frame_1) != 0:
            raise Wrong(f"At {just_before_frame_1:.3f} s frame 0 is still on the screen: it lasts 40 ms.")

    return verify(1, answer, test)
