"""The exercises of the regression discriminator's chapter tell right from wrong from not yet."""

import math

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits
from torch import nn

from talkface_lite.check import regression_discriminator


def lips_share(weight, n_weighted, power=2):
    return n_weighted * weight**power / (n_weighted * weight**power + 136 - n_weighted)


def cross_entropy(logits, real):
    against = -logits if real else logits
    return np.maximum(against, 0) + np.log1p(np.exp(-np.abs(against)))


def through_probability(logits, real):
    probability = 1 / (1 + np.exp(-logits))
    return -np.log(probability if real else 1 - probability)


def chance_loss(n_real, n_fake):
    shares = np.array([n_real, n_fake]) / (n_real + n_fake)
    shares = shares[shares > 0]
    return -(shares * np.log(shares)).sum()


def chance_loss_with_nan(n_real, n_fake):
    shares = np.array([n_real, n_fake]) / (n_real + n_fake)
    with np.errstate(all="ignore"):
        return -(shares * np.log(shares)).sum()


def film_score(scores, mask):
    return (scores * mask).sum(1) / mask.sum(1)


RIGHT = {1: lips_share, 2: cross_entropy, 3: chance_loss, 4: film_score}


def film_score_in_a_loop(scores, mask):
    return [row[own].mean() for row, own in zip(scores, mask)]


ALSO_RIGHT = [
    (1, lambda weight, n: np.float32(lips_share(np.float64(weight), n))),
    (1, lambda weight, n: torch.tensor(lips_share(weight, n), dtype=torch.float64)),
    (2, lambda logits, real: cross_entropy(logits, real).tolist()),
    (2, lambda logits, real: nn.functional.softplus(torch.tensor(-logits if real else logits))),
    (2, lambda logits, real: np.logaddexp(0, -logits if real else logits)),
    (3, lambda n_real, n_fake: torch.tensor(chance_loss(n_real, n_fake))),
    (4, lambda scores, mask: film_score(scores, mask).tolist()),
    (4, lambda scores, mask: film_score(scores.double(), mask)),
    (4, lambda scores, mask: film_score(scores, mask).numpy()),
    (4, film_score_in_a_loop),
]
WRONG = [
    (3, lambda r, f: -sum(n / (r + f) * math.log(n / (r + f)) for n in (r, f)), "never happens"),
    (1, lambda weight, n: lips_share(weight, n, power=1), "before the error is squared"),
    (1, lambda weight, n: 0.5, "so many values of 136"),
    (1, lambda weight, n: n * weight**2 / 136, "share is of everything"),
    (2, through_probability, "exponential of a large number"),
    (2, lambda logits, real: cross_entropy(logits, not real), "wrong way round"),
    (2, lambda logits, real: cross_entropy(logits, real).mean(), "one loss for each"),
    (2, lambda logits, real: cross_entropy(logits, real) / np.log(2), "at logit 0"),
    (3, lambda n_real, n_fake: np.log(2), "more frequent"),
    (3, lambda n_real, n_fake: chance_loss(n_real, n_fake) / np.log(2), "in bits"),
    (3, chance_loss_with_nan, "never happens"),
    (3, lambda n_real, n_fake: 2 * chance_loss(n_real, n_fake), "least mean loss"),
    (4, lambda scores, mask: (scores * mask).mean(1), "divides by 20"),
    (4, lambda scores, mask: scores.mean(1), "counts the padding"),
    (4, lambda scores, mask: film_score(scores[:, :16], mask[:, :16]), "16 frames"),
    (4, lambda scores, mask: (scores * mask).sum() / mask.sum(), "three films"),
    (4, lambda scores, mask: scores[:, 0], "each film's own"),
]


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(regression_discriminator, number, RIGHT[number], capsys)


@pytest.mark.parametrize(("number", "answer"), ALSO_RIGHT)
def test_right_answers_of_other_types_pass(number, answer):
    assert getattr(regression_discriminator, f"exercise_{number}")(answer)


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(regression_discriminator, number, answer, hint)
