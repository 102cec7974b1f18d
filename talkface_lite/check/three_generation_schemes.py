"""Self-checks of the chapter on the three generation schemes."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, verify
from talkface_lite.clip import FRAMES_PER_SECOND


def exercise_1(answer: Callable | None) -> Verdict:
    """``motion(flow)``: the motion map of an optical flow."""

    def test(motion: Callable) -> None:
        flow = np.random.default_rng(0).normal(size=(5, 4, 3, 2))
        got, wanted = np.asarray(motion(flow)), (flow**2).sum(axis=-1).mean(axis=0)
        if got.shape != wanted.shape:
            raise Wrong(f"has shape {got.shape} for a flow {flow.shape}, not {wanted.shape}.")
        if np.allclose(got, wanted):
            return
        if np.allclose(got, np.sqrt(flow**2).sum(axis=-1).mean(axis=0)):
            raise Wrong("adds |u| and |v|; the map has u² + v².")
        if np.allclose(got, np.linalg.norm(flow, axis=-1).mean(axis=0)):
            raise Wrong("takes the length of the arrows; the map has its square.")
        if np.allclose(got, (flow.mean(axis=0) ** 2).sum(axis=-1)):
            raise Wrong("averages before it squares: what goes to and fro would cancel.")
        if np.allclose(got, wanted * len(flow)):
            raise Wrong("adds up over frames; a mean is asked for.")
        raise Wrong("is not the mean over frames of u² + v².")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``drift_in(departures, seconds)``: by how much a film departs further in so many seconds."""

    def test(drift_in: Callable) -> None:
        rng = np.random.default_rng(0)
        departures = 0.03 * np.arange(80) + rng.normal(0, 0.1, 80)
        per_frame = np.polyfit(np.arange(80), departures, 1)[0]
        for seconds in (10, 4):
            got, wanted = float(drift_in(departures, seconds)), seconds * FRAMES_PER_SECOND * per_frame
            if np.isclose(got, wanted):
                continue
            if np.isclose(got, seconds * per_frame):
                raise Wrong(f"gives {got:.3g}: that slope is for a frame; there are 25 in a second.")
            if np.isclose(got, departures[-1] - departures[0]):
                raise Wrong("takes the last minus the first: one open mouth at the end would decide.")
            raise Wrong(f"gives {got:.3g} for {seconds} s, not {wanted:.3g}.")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``shown(made, true, taught)``: which frame before it each frame sees."""

    def test(shown: Callable) -> None:
        made, true = np.arange(10, 15), np.arange(5)
        taught = np.array([True, True, False, False, True])
        got = np.asarray(shown(made, true, taught))
        wanted = np.array([0, 0, 1, 12, 13])
        if got.shape != wanted.shape:
            raise Wrong(f"gives {got.shape} frames for {wanted.shape}.")
        if np.array_equal(got, wanted):
            return
        if np.array_equal(got, np.where(taught, true, made)):
            raise Wrong("gives each frame itself to see; it sees the one before it.")
        if np.array_equal(got[1:], np.where(taught, made, true)[:-1]):
            raise Wrong("shows made frames where true ones are asked for, and the other way round.")
        if np.array_equal(got[1:], np.where(taught[1:], true[:-1], made[:-1])):
            raise Wrong("asks taught[t] for frame t; it says what the frame after t sees.")
        raise Wrong(f"gives {got.tolist()} for {taught.tolist()}, not {wanted.tolist()}.")

    return verify(3, answer, test)
