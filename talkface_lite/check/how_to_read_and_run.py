"""Self-check of the chapter "How to read and run this book"."""

from collections.abc import Callable

from talkface_lite.check import Verdict, Wrong, verify, whole_number
from talkface_lite.clip import FRAMES_PER_SECOND, frame_times


def exercise_1(answer: Callable[[float], int] | None) -> Verdict:
    """Check ``answer(seconds)``: the number of the frame on the screen at that time, counted from 0."""

    def test(frame_at: Callable[[float], int]) -> None:
        centres = frame_times(75)
        got = [whole_number(frame_at(float(seconds)), "a frame's number") for seconds in centres]
        if got == list(range(1, 76)):
            raise Wrong("Frames are counted from 0.")
        for t, number in enumerate(got):
            if number != t:
                raise Wrong(f"At {centres[t]:.3f} s, the centre of frame {t}, your function gives {number}.")
        just_before_frame_1 = 1 / FRAMES_PER_SECOND - 0.001
        if whole_number(frame_at(just_before_frame_1), "a frame's number") != 0:
            raise Wrong(f"At {just_before_frame_1:.3f} s frame 0 is still on the screen: it lasts 40 ms.")

    return verify(1, answer, test)
