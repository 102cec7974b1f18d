"""The exercises of the AT-net chapter tell right from wrong from not yet."""

import pytest
import torch
from exercises import hints, passes_and_waits

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
WRONG = [
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


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(at_net, number, answer, hint)
