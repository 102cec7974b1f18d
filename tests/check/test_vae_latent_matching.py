"""The exercises of the chapter on latent matching tell right from wrong from not yet."""

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits

from talkface_lite.check import vae_latent_matching as check


def kl(mu_q, sigma_q, mu_p, sigma_p):
    return np.log(sigma_p / sigma_q) + (sigma_q**2 + (mu_q - mu_p) ** 2) / (2 * sigma_p**2) - 0.5


def slow(white, keep):
    now, made = 0.0, []
    for value in white:
        now = keep * now + np.sqrt(1 - keep**2) * value
        made.append(now)
    return np.array(made)


def found(sound, frames):
    distance = ((sound[:, None] - frames[None]) ** 2).sum(-1)
    return (distance.argmin(1) == np.arange(len(sound))).mean()


def settled_from_the_start(white, keep):
    return slow(np.r_[white[:1] / np.sqrt(1 - keep**2), white[1:]], keep)


RIGHT = {1: kl, 2: slow, 3: found}


def kl_by_torch(mu_q, sigma_q, mu_p, sigma_p):
    q, p = (
        torch.distributions.Normal(torch.from_numpy(mu), torch.from_numpy(sigma))
        for mu, sigma in ((mu_q, sigma_q), (mu_p, sigma_p))
    )
    return torch.distributions.kl_divergence(q, p)


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, kl_by_torch),
        (1, lambda *given: kl(*given).tolist()),
        (2, lambda white, keep: torch.from_numpy(slow(white, keep))),
        (3, lambda sound, frames: torch.tensor(found(sound, frames))),
    ],
)
def test_other_right_answers_pass(number, answer):
    assert getattr(check, f"exercise_{number}")(answer)


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda mq, sq, mp, sp: kl(mp, sp, mq, sq), "over q"),
        (1, lambda *given: 2 * kl(*given), "Twice"),
        (1, lambda mq, sq, mp, sp: kl(mq, np.sqrt(sq), mp, np.sqrt(sp)), "by hand"),
        (1, lambda mq, sq, mp, sp: kl(mq, sq, mp, sp) + 0.5, "itself"),
        (1, lambda mq, sq, mp, sp: np.log(sp / sq), "below 0"),
        (1, lambda *given: kl(*given).mean(), "shape"),
        (2, lambda white, keep: white, "correlate"),
        (2, lambda white, keep: slow(white, keep) / np.sqrt(1 - keep**2), "should be 1"),
        (2, lambda white, keep: slow(white, keep)[::-1], "nothing kept"),
        (2, settled_from_the_start, "first frame"),
        (3, lambda sound, frames: found(frames, sound), "each sound"),
        (3, lambda sound, frames: 60 * found(sound, frames), "Which share"),
        (3, lambda sound, frames: 0.5, "gives 0.500"),
    ],
)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)
