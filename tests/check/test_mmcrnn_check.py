"""The exercises of the MMCRNN chapter tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits

from talkface_lite.check import mmcrnn


def multiplications(n_image, n_landmark, n_out, n_frames, split):
    return 64 * 9 * n_out * (n_frames * n_landmark + (1 if split else n_frames) * n_image)


def axis_of(layer, n_films=3, n_frames=4, frame=0, film=0):
    x = torch.randn(n_films, n_frames, 3, 8, 8)
    other = x.clone()
    other[film, frame] += 1
    moved = (layer(x) != layer(other)).flatten(2).any(-1)
    if moved[1:].any():
        return "batch"
    return "time" if moved[:, 1:].any() else "off"


def best_alpha(photo, colour, truth, least=1e-12):
    step = colour - photo
    along = (step * (truth - photo)).sum(-3, keepdim=True)
    return (along / step.square().sum(-3, keepdim=True).clamp_min(least)).clamp(0, 1)


def unclipped(photo, colour, truth):
    step = colour - photo
    length = step.square().sum(-3, keepdim=True).clamp_min(1e-6)
    return (step * (truth - photo)).sum(-3, keepdim=True) / length


RIGHT = {1: multiplications, 2: axis_of, 3: best_alpha}


def axis_by_gradient(layer):
    x = torch.randn(2, 3, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[1, 2].sum(), x)
    heard = gradient.flatten(2).abs().sum(-1) > 0
    if heard[0].any():
        return "batch"
    return "time" if heard[1, :2].any() else "off"


def axis_in_numpy(layer):
    x = torch.zeros(2, 2, 3, 8, 8)
    x[0, 0] = 1
    film, frame = (layer(x).numpy() != layer(torch.zeros_like(x)).numpy()).any((2, 3, 4))[[1, 0], [0, 1]]
    return np.array(["off", "time", "batch"])[2 * film + frame]


def best_alpha_in_numpy(photo, colour, truth):
    step = (colour - photo).double().numpy()
    along = (step * (truth - photo).numpy()).sum(1, keepdims=True)
    length = (step**2).sum(1, keepdims=True)
    return np.clip(np.divide(along, length, out=np.zeros_like(along), where=length > 0), 0, 1)


ALSO_RIGHT = [
    (1, lambda *given: float(multiplications(*given))),
    (1, lambda *given: np.int64(multiplications(*given))),
    (1, lambda *given: torch.tensor(multiplications(*given))),
    (2, axis_by_gradient),
    (2, axis_in_numpy),
    (3, best_alpha_in_numpy),
]
WRONG = [
    (1, lambda i, m, o, t, s: multiplications(i, m, o, t, s) // 9, "3·3 weights"),
    (1, lambda i, m, o, t, s: multiplications(i, m, o, t, False), "same for every frame"),
    (1, lambda i, m, o, t, s: multiplications(m, i, o, t, s), "same for every frame"),
    (2, lambda layer: "time", "'time' for a layer that is 'batch'"),
    (2, lambda layer: axis_of(layer, frame=-1), "Disturb the first frame"),
    (2, lambda layer: axis_of(layer, film=-1), "Disturb the first frame"),
    (2, lambda layer: axis_of(layer, n_films=1), "at least two films"),
    (2, lambda layer: 1, "one of"),
    (3, unclipped, "a share"),
    (3, lambda i, c, v: ((v - i) / (c - i)).clamp(0, 1), "one α for three colours"),
    (3, lambda i, c, v: best_alpha(i, c, v, least=0.0), "not a number"),
    (3, lambda i, c, v: best_alpha(i, c, v).round(), "another α"),
    (3, lambda i, c, v: torch.zeros(2, 1, 6, 5), "another α"),
    (3, lambda i, c, v: 1 - best_alpha(i, c, v), "another α"),
]


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(mmcrnn, number, RIGHT[number], capsys)


@pytest.mark.parametrize(("number", "answer"), ALSO_RIGHT)
def test_right_answers_of_other_types_pass(number, answer):
    assert getattr(mmcrnn, f"exercise_{number}")(answer)


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(mmcrnn, number, answer, hint)
