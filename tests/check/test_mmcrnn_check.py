"""The exercises of the MMCRNN chapter tell right from wrong from not yet."""

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


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(mmcrnn, number, answer, hint)
