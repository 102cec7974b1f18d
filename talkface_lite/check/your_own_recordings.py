"""Self-checks of the chapter on one's own recordings."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, array_from, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``overlap(a, b)``: shared over joint area of two boxes (left, top, right, bottom)."""

    def test(overlap: Callable) -> None:
        box = (10, 20, 30, 60)
        cases = (
            (box, box, 1.0, "A box shares everything with itself."),
            (box, (30, 20, 50, 60), 0.0, "Boxes that only touch share no area."),
            (box, (40, 70, 50, 80), 0.0, "Boxes apart share nothing: two negative sides make no area."),
            (box, (12, 70, 28, 90), 0.0, "Boxes one above the other share nothing."),
            (box, (40, 25, 60, 55), 0.0, "Boxes side by side share nothing."),
            (box, (20, 20, 40, 60), 1 / 3, "What both cover counts once in the joint area."),
            (box, (20, 40, 40, 80), 1 / 7, "Two boxes that share a corner."),
            (box, (15, 30, 25, 50), 0.25, "A small box inside a large one."),
        )
        for a, b, wanted, hint in cases:
            for pair in ((a, b), (b, a)):
                got = array_from(overlap(*pair), "the share of two boxes", shape=())
                if not np.isclose(got, wanted):
                    raise Wrong(f"overlap{pair} gives {got:.3g}. {hint}")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``bridge(values, longest)``: short runs of NaN filled by a straight line, long ones and ends left."""

    def test(bridge: Callable) -> None:
        nan = np.nan
        given = np.array([nan, 1.0, nan, nan, 4.0, nan, nan, nan, 8.0, 7.0, nan])
        for longest, wanted in (
            (2, [nan, 1, 2, 3, 4, nan, nan, nan, 8, 7, nan]),
            (3, [nan, 1, 2, 3, 4, 5, 6, 7, 8, 7, nan]),
            (1, given),
        ):
            before = given.copy()
            got = bridge(given, longest)
            if not np.array_equal(given, before, equal_nan=True):
                raise Wrong("The array that came in has changed. Work on a copy.")
            got = array_from(got, "the bridged values", shape=given.shape)
            if not np.isnan(got[[0, -1]]).all():
                raise Wrong("A run at an end has one neighbour only; there is no line to draw.")
            if not np.allclose(got, wanted, equal_nan=True):
                raise Wrong(f"With longest={longest} you give {np.round(got, 2).tolist()}.")
        if not np.isnan(array_from(bridge(np.full(4, nan), 9), "the bridged values")).all():
            raise Wrong("Where everything is missing, nothing can be filled.")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``lateness(stamps, n_frames)``: age in seconds of the picture on the screen at each frame's centre."""

    def test(lateness: Callable) -> None:
        def ages(stamps: list[float], n_frames: int) -> np.ndarray:
            return array_from(lateness(np.array(stamps), n_frames), "the ages", shape=(n_frames,))

        even = ages([n / 25 for n in range(10)], 10)
        if not np.allclose(even, 0.02):
            raise Wrong(f"A film of 25 frames/s gives {even[:3]}; each picture is half a frame old.")
        gap = ages([0.0, 0.04, 0.31, 0.35], 9)
        if not np.allclose(gap, [0.02, 0.02, 0.06, 0.10, 0.14, 0.18, 0.22, 0.26, 0.03]):
            raise Wrong(f"In a pause of the film the picture grows older: you give {np.round(gap, 2)}.")
        late = ages([0.05, 0.09], 3)
        if not np.allclose(late, [-0.03, 0.01, 0.01]):
            raise Wrong(f"A film that begins at 50 ms gives {np.round(late, 3)}. What is shown before that?")

    return verify(3, answer, test)
