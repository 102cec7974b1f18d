"""The exercises of the AT-net chapter tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits
from torch import nn

from talkface_lite.check import at_net


def chunks(lstm, x, n):
    parts, state = [], None
    for part in x.split(n, dim=1):
        out, state = lstm(part, state)
        parts.append(out)
    return torch.cat(parts, dim=1)


RIGHT = {
    1: lambda n_in, h, layers: sum(4 * h * (w + h + 2) for w in [n_in] + [h] * (layers - 1)),
    2: chunks,
    3: lambda h, target, variance: ((h - target) ** 2 / variance).mean(),
}
ALSO_RIGHT = [
    (1, lambda *sizes: np.int64(RIGHT[1](*sizes))),
    (1, lambda *sizes: float(RIGHT[1](*sizes))),
    (1, lambda *sizes: torch.tensor(RIGHT[1](*sizes))),
    (2, lambda lstm, x, n: (chunks(lstm, x, n), None)),
    (2, lambda lstm, x, n: chunks(lstm, x, n).numpy()),
    (2, lambda lstm, x, n: chunks(lstm, x, 1)),  # shorter chunks fit, too
    (2, lambda lstm, x, n: chunks(lambda *given: lstm.forward(*given), x, n)),
    (3, lambda h, target, variance: float(((h - target) ** 2 / variance).mean())),
    (3, lambda h, target, variance: np.mean((h - target).numpy() ** 2 / variance.numpy(), dtype=float)),
    (3, lambda h, target, variance: ((h - target).double() / variance.double().sqrt()).square().mean()),
    (3, lambda h, target, variance: nn.functional.mse_loss(h / variance**0.5, target / variance**0.5)),
]
WRONG = [
    (2, lambda lstm, x, n: lstm(x)[0], "at once"),
    (2, lambda lstm, x, n: lstm(x), "at once"),
    (2, lambda lstm, x, n: torch.cat([chunks(lstm, x[:, :5], n), chunks(lstm, x[:, 5:], n)], 1), "hand to"),
    (1, lambda n_in, h, layers: 4 * h * (n_in + h + 2) * layers, "second layer"),
    (1, lambda n_in, h, layers: 4 * h * (n_in + h + 1), "two biases"),
    (
        2,
        lambda lstm, x, n: torch.cat([lstm(part)[0] for part in x.split(n, dim=1)], dim=1),
        "hand to the next",
    ),
    (2, lambda lstm, x, n: lstm(x[:, :n])[0], "shape"),
    (3, lambda h, target, variance: ((h - target) ** 2 / variance.sqrt()).mean(), "squared too"),
    (3, lambda h, target, variance: ((h - target) ** 2).mean(), "Divide first"),
    (3, lambda h, target, variance: (h - target) ** 2 / variance, "one number"),
]


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(at_net, number, RIGHT[number], capsys)


@pytest.mark.parametrize(("number", "answer"), ALSO_RIGHT)
def test_right_answers_of_other_types_pass(number, answer):
    assert getattr(at_net, f"exercise_{number}")(answer)


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(at_net, number, answer, hint)
