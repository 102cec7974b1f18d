"""The exercises of the chapter on attention in the generator tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits
from scipy.special import expit, softmax

from talkface_lite.check import attention_in_the_generator as check


def meet(f_img, f_bg, x):
    return f_img * expit(x), f_bg * expit(-x)


def moved_by(picture, flow):
    height, width = picture.shape[:2]
    moved = np.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            u, v = flow[y, x]
            moved[y, x] = picture[min(max(y + v, 0), height - 1), min(max(x + u, 0), width - 1)]
    return moved


def wrapped(picture, flow):
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return picture[(y + flow[..., 1]) % picture.shape[0], (x + flow[..., 0]) % picture.shape[1]]


def black_beyond(picture, flow):
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    return moved_by(padded, np.pad(flow, ((2, 2), (2, 2), (0, 0))))[2:-2, 2:-2]


def pull(z, as_one_sum):
    return np.tanh(z / 2) if as_one_sum else expit(z)


def explained(maps, carried):
    change = np.sum((maps - maps[:1]) ** 2)
    return 1 - np.sum((maps - carried) ** 2) / change if change > 0 else 0


def _over(maps, carried, change):
    return 1 - ((maps - carried) ** 2).sum() / change


RIGHT = {1: meet, 2: moved_by, 3: pull, 4: explained}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda a, b, x: meet(a, b, x)[::-1], "the face comes first"),
        (1, lambda a, b, x: (a * x, b * (1 - x)), "The sigmoid is missing"),
        (1, lambda a, b, x: (a * softmax(x, axis=0), b), "a softmax over channels"),
        (1, lambda a, b, x: (a * expit(x).mean(axis=0), b), "one share for all channels"),
        (1, lambda a, b, x: (b, a), "is not the photograph's features"),
        (1, lambda a, b, x: (a * expit(x), b * expit(x)), "has what the face leaves: 1 - A"),
        (1, lambda a, b, x: (a * expit(x), b), "passes whole"),
        (1, lambda a, b, x: (a * expit(x), a * expit(-x)), "a branch of its own"),
        (1, lambda a, b, x: (a * expit(x), 2 * b), "The ground is not"),
        (1, lambda a, b, x: a * expit(x), "two stacks of maps"),
        (1, lambda a, b, x: (a[0], b[0]), r"should have \(4, 5, 5\)"),
        (2, lambda picture, flow: moved_by(picture, -flow), "Looks the other way"),
        (2, lambda picture, flow: moved_by(picture, flow[..., ::-1]), "Takes u for v"),
        (2, wrapped, "comes in at the other"),
        (2, black_beyond, "Right inside"),
        (2, lambda picture, flow: picture, "does not show"),
        (3, lambda z, both: -pull(z, both), "minus the slope"),
        (3, lambda z, both: expit(z) - 1, "the slope of L_g alone"),
        (3, lambda z, both: np.logaddexp(0, z), "That is the loss"),
        (3, lambda z, both: pull(z, both) if not both else np.logaddexp(0, z) + np.logaddexp(0, -z), "loss"),
        (3, lambda z, both: pull(z, not both), "the other way round"),
        (3, lambda z, both: expit(z), "the other way round"),
        (3, lambda z, both: 0.0, "at z = -2 is not 0"),
        (3, lambda z, both: (np.exp(z) - 1) / (np.exp(z) + 1) if both else expit(z), "yours by"),
        (4, lambda maps, carried: 1 - explained(maps, carried), "what is explained is asked for"),
        (4, lambda m, c: _over(m, c, ((m - m.mean(axis=0)) ** 2).sum()), "from the mean map"),
        (4, lambda m, c: _over(m, c, (m**2).sum()), "Divides by the maps themselves"),
        (4, lambda m, c: 1 - np.sqrt(1 - explained(m, c)), "Takes roots"),
        (4, lambda m, c: 0.5, "Gives 0.500 for maps"),
        (4, lambda m, c: _over(m, c, ((m - m[:1]) ** 2).sum()), "nothing to explain"),
    ],
)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)


def test_tensors_are_fine():
    assert check.exercise_1(lambda a, b, x: [torch.from_numpy(one) for one in meet(a, b, x)])
    assert check.exercise_3(lambda z, both: torch.tensor(pull(z, both)))
