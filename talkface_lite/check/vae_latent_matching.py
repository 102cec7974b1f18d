"""Self-checks of the chapter on latent matching."""

from collections.abc import Callable

import numpy as np
import torch

from talkface_lite.check import Verdict, Wrong, array_from, verify
from talkface_lite.losses import gaussian_kl
from talkface_lite.measuring.retrieval import retrieval


def exercise_1(answer: Callable | None) -> Verdict:
    """``kl(mu_q, sigma_q, mu_p, sigma_p)``: nats, from standard deviations."""

    def test(kl: Callable) -> None:
        rng = np.random.default_rng(0)
        mu_q, mu_p = rng.normal(0, 2, (2, 50))
        sigma_q, sigma_p = rng.uniform(0.2, 3, (2, 50))
        same = array_from(kl(mu_q, sigma_q, mu_q, sigma_q), "the divergence", shape=(50,))
        if np.abs(same).max() > 1e-6:
            raise Wrong("A distribution and itself should be 0 apart.")
        got = array_from(kl(mu_q, sigma_q, mu_p, sigma_p), "the divergence", shape=(50,))
        pair = [torch.from_numpy(x) for x in (mu_q, 2 * np.log(sigma_q), mu_p, 2 * np.log(sigma_p))]
        wanted, turned = gaussian_kl(*pair).numpy(), gaussian_kl(*pair[2:], *pair[:2]).numpy()
        if np.allclose(got, wanted, atol=1e-6):
            return
        if np.allclose(got, turned, atol=1e-6):
            raise Wrong("That is KL(p‖q). The expectation is over q.")
        if np.allclose(got, 2 * wanted, atol=1e-6):
            raise Wrong("Twice too much.")
        if (got < -1e-6).any():
            raise Wrong("Some are below 0, which no divergence is.")
        raise Wrong("For equal means the standard deviations alone decide: try 1 and 2, by hand.")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``slow(white, keep)``: noise that stays, of unit variance in the long run, and begins near 0."""

    def test(slow: Callable) -> None:
        rng = np.random.default_rng(0)
        white = rng.standard_normal(20_000)
        for keep in (0.0, 0.6, 0.95):
            got = array_from(slow(white, keep), "the noise", shape=white.shape)
            if keep == 0 and not np.allclose(got, white, atol=1e-6):
                raise Wrong("With nothing kept, the noise is the white noise.")
            settled = got[1000:]
            if abs(settled.std() - 1) > 0.12:
                raise Wrong(f"With {keep} kept the deviation is {settled.std():.2f}; it should be 1.")
            found = np.corrcoef(settled[1:], settled[:-1])[0, 1]
            if abs(found - keep) > 0.05:
                raise Wrong(f"With {keep} kept, a frame and the next correlate by {found:.2f}.")
            first = np.sqrt(1 - keep**2) * white[0]
            if not np.isclose(got[0], first, atol=1e-6):
                raise Wrong("Before the first frame nothing was drawn: the noise there is 0.")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``found(sound, frames)``: for how many moments the nearest frame is their own."""

    def test(found: Callable) -> None:
        rng = np.random.default_rng(0)
        frames = rng.standard_normal((60, 5))
        for noise in (0.0, 0.5, 1.5, 30.0):
            sound = frames + noise * rng.standard_normal(frames.shape)
            wanted, other = retrieval(sound, frames)["first"], retrieval(frames, sound)["first"]
            got = float(array_from(found(sound, frames), "the share", shape=()))
            if abs(got - wanted) < 1e-6:
                continue
            if abs(got - other) < 1e-6:
                raise Wrong("You ask each frame for its sound. Ask each sound for its frame.")
            if abs(got - 60 * wanted) < 1e-6:
                raise Wrong("That is how many. Which share of all is it?")
            raise Wrong(f"gives {got:.3f} where {wanted:.3f} of the moments find their own frame.")

    return verify(3, answer, test)
