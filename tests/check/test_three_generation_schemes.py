"""The exercises of the chapter on generation schemes tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits

from talkface_lite.check import three_generation_schemes as check


def motion(flow):
    u, v = np.moveaxis(np.asarray(flow), -1, 0)
    return (u**2 + v**2).mean(axis=0)


def drift_in(departures, seconds):
    times = np.arange(len(departures)) / 25
    return seconds * np.cov(times, departures)[0, 1] / times.var(ddof=1)


def shown(made, true, taught):
    return np.r_[true[:1], np.where(taught, true, made)[:-1]]


RIGHT = {1: motion, 2: drift_in, 3: shown}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda flow: np.abs(flow).sum(axis=-1).mean(axis=0), r"adds \|u\| and \|v\|"),
        (1, lambda flow: np.linalg.norm(flow, axis=-1).mean(axis=0), "length of the arrows"),
        (1, lambda flow: (flow.mean(axis=0) ** 2).sum(axis=-1), "averages before it squares"),
        (1, lambda flow: (flow**2).sum(axis=(0, -1)), "adds up over frames"),
        (1, lambda flow: (flow**2).sum(axis=-1), r"has shape \(5, 4, 3\)"),
        (1, lambda flow: 2 * motion(flow), "is not the mean"),
        (2, lambda d, s: drift_in(d, s) / 25, "that slope is for a frame"),
        (2, lambda d, s: d[-1] - d[0], "takes the last minus the first"),
        (2, lambda d, s: 0.0, "gives 0 for 10 s"),
        (3, lambda made, true, taught: np.where(taught, true, made), "the one before it"),
        (3, lambda made, true, taught: np.r_[0, np.where(taught, made, true)[:-1]], "the other way round"),
        (
            3,
            lambda made, true, taught: np.r_[0, np.where(taught[1:], true[:-1], made[:-1])],
            "the frame after",
        ),
        (3, lambda made, true, taught: made[:3], r"gives \(3,\) frames"),
        (3, lambda made, true, taught: true, r"gives \[0, 1, 2, 3, 4\]"),
    ],
)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)


def test_tensors_are_fine():
    assert check.exercise_1(lambda flow: torch.from_numpy(motion(flow)))
