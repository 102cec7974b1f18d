"""The exercises of the chapter from drawn to real tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits

from talkface_lite.check import from_drawn_to_real as check
from talkface_lite.systems.settling import STILL, settled


def over_copy(made, copy):
    return np.median([m / c for m, c in zip(made, copy) if c > 0])


def fit_held_back(weights, mouth, start, penalty):
    sounds = weights.shape[1]
    rows = np.concatenate([weights, np.sqrt(penalty) * np.eye(sounds)])
    wanted = np.concatenate([mouth, np.sqrt(penalty) * start])
    return np.linalg.lstsq(rows, wanted, rcond=None)[0]


def settle(moved, still):
    r = np.linalg.norm(moved, axis=-1)
    r = np.sqrt(np.mean(r**2, axis=1))
    padded = np.pad(r, (3, 0), mode="edge")
    largest = np.max([padded[k : k + len(r)] for k in range(4)], axis=0)
    return moved * (1 / (1 + (still / np.maximum(largest, 1e-9)) ** 4))[:, None, None]


def alone(moved, still):
    r = np.sqrt((moved**2).sum(-1).mean(-1))
    return moved * (r**4 / (r**4 + still**4))[:, None, None]


def by_axis(moved, still):
    return settle(moved, still * np.sqrt(2))


def fit_as_tensor(weights, mouth, start, penalty):
    return torch.tensor(fit_held_back(weights, mouth, start, penalty))


RIGHT = {1: over_copy, 2: fit_held_back, 3: settle}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


def test_other_right_answers_pass():
    assert check.exercise_2(fit_as_tensor)


def test_the_exercise_settles_as_the_package_does():
    moved = np.zeros((5, 68, 2))
    moved[:, 48:] = np.random.default_rng(0).normal(0, 0.3, (5, 20, 2))
    assert np.allclose(settle(moved[:, 48:], STILL), settled(moved)[:, 48:])


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda made, copy: np.median(made) / np.median(copy), "ratio of the medians"),
        (1, lambda made, copy: np.mean(made / copy), "median of film over photograph"),
        (1, lambda made, copy: np.median(made / np.maximum(copy, 1e-9)), "leave it out"),
        (2, lambda w, m, start, penalty: np.linalg.lstsq(w, m, rcond=None)[0], "nobody said"),
        (
            2,
            lambda w, m, start, penalty: np.linalg.solve(w.T @ w + penalty * np.eye(4), w.T @ m),
            "from θ₀, not from 0",
        ),
        (2, lambda w, m, start, penalty: start + np.linalg.pinv(w) @ (m - w @ start), "add λ"),
        (2, lambda w, m, start, penalty: start, "the slope at the answer"),
        (2, lambda w, m, start, penalty: start[:2], "one target for each sound"),
        (3, lambda moved, still: moved / moved * moved, "not a number"),
        (3, alone, "each frame stands alone"),
        (3, lambda moved, still: settle(moved[::-1], still)[::-1], "look ahead"),
        (3, by_axis, "add the squares of x and y"),
        (3, lambda moved, still: moved, "one factor"),
        (3, lambda moved, still: moved[:, :, 0], "gives shape"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)
