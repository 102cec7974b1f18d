"""The exercises of the chapter on the dynamic pixel loss tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits

from talkface_lite.check import dynamic_pixel_loss


def moves(frames, photo, levels):
    return (np.abs(frames.astype(int) - photo).max(axis=-1) > levels).mean()


def gradient(alpha, colour, photo, truth, beta, stop_gradient):
    error = alpha * colour + (1 - alpha) * photo - truth
    through_mix = np.sign(error) * (colour - photo) * (alpha + beta)
    return through_mix if stop_gradient else through_mix + np.abs(error)


def stopped_at_all(alpha, colour, photo, truth, beta, stop_gradient):
    return gradient(alpha, colour, photo, truth, beta, True)


def weight_alone(alpha, colour, photo, truth, beta, stop_gradient):
    error = np.abs(alpha * colour + (1 - alpha) * photo - truth)
    return 0 * error if stop_gradient else error


RIGHT = {1: moves, 2: lambda beta: beta / (1 + beta), 3: gradient}
ALSO_RIGHT = [
    (1, lambda *given: float(moves(*given))),
    (1, lambda f, p, n: (abs(torch.tensor(f).int() - torch.tensor(p).int()).amax(-1) > n).float().mean()),
    (1, lambda f, p, n: np.any(np.abs(f.astype(float) - p) > n, axis=-1).mean()),
    (2, lambda beta: np.float64(beta) / (1 + beta)),
    (2, lambda beta: torch.tensor(beta / (1 + beta))),
    (3, lambda *given: torch.tensor(gradient(*given))),
    (3, lambda *given: gradient(*given).astype(np.float32)),
    (3, lambda *given: gradient(*given).tolist()),
]
WRONG = [
    (1, lambda f, p, n: (np.abs(f[..., 0].astype(int) - p[..., 0]) > n).mean(), "Green"),
    (1, lambda f, p, n: moves(f, p, 9), "levels"),
    (2, lambda beta: 1 / (1 + 1 / beta), "divides by zero"),
    (1, lambda f, p, n: (np.abs(f - p).max(axis=-1) > n).mean(), "uint8"),
    (1, lambda f, p, n: (np.abs(f.astype(int) - p).max(axis=-1) >= n).mean(), "exactly"),
    (1, lambda f, p, n: (np.abs(f.astype(int) - p) > n).mean(), "one of its colours"),
    (1, lambda f, p, n: (np.abs(f.astype(int) - p).mean(axis=-1) > n).mean(), "one of its colours"),
    (1, lambda f, p, n: np.abs(f.astype(int) - p).max(axis=-1) > n, "one number"),
    (1, lambda f, p, n: 1 - moves(f, p, n), "6 of 40"),
    (2, lambda beta: (1 + beta) / beta if beta else 0.0, "how many times better"),
    (2, lambda beta: beta, "What does α = 0 cost"),
    (2, lambda beta: 1 / 3, "β = 1"),
    (3, lambda *given: -gradient(*given), "sign"),
    (3, stopped_at_all, "the weight add"),
    (3, weight_alone, "still stands in the mix"),
    (3, lambda *given: gradient(*given).mean(), "one number for each pixel"),
]


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(dynamic_pixel_loss, number, RIGHT[number], capsys)


@pytest.mark.parametrize(("number", "answer"), ALSO_RIGHT)
def test_right_answers_of_other_types_pass(number, answer):
    assert getattr(dynamic_pixel_loss, f"exercise_{number}")(answer)


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(dynamic_pixel_loss, number, answer, hint)
