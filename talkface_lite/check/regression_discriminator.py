"""Self-checks of the chapter on the regression discriminator."""

import math
from collections.abc import Callable

import numpy as np
import torch

from talkface_lite.check import Verdict, Wrong, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``lips_share(weight, n_weighted)``: the lips' part of a regression loss when every value errs alike."""

    def test(lips_share: Callable) -> None:
        for weight, n_weighted in ((1.0, 40), (10.0, 40), (100.0, 20), (0.0, 40)):
            wanted = n_weighted * weight**2 / (n_weighted * weight**2 + 136 - n_weighted)
            got = float(lips_share(weight, n_weighted))
            if math.isclose(got, wanted, rel_tol=1e-6, abs_tol=1e-9):
                continue
            call = f"({weight:g}, {n_weighted}) gives {got:.4g}."
            unsquared = n_weighted * weight / (n_weighted * weight + 136 - n_weighted)
            if math.isclose(got, unsquared, rel_tol=1e-6):
                raise Wrong(f"{call} The mask is multiplied before the error is squared.")
            if weight == 1:
                raise Wrong(f"{call} With a weight of 1 the lips are so many values of 136.")
            raise Wrong(f"{call} The other values count once each, and the share is of everything.")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``cross_entropy(logits, real)``: from the logit, and right where the probability has rounded to 1."""

    def test(cross_entropy: Callable) -> None:
        logits = np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32)
        for real in (True, False):
            got = np.asarray(cross_entropy(logits, real))
            if got.shape != logits.shape:
                raise Wrong(f"gives shape {got.shape} for logits of shape {logits.shape}: one loss for each.")
            wanted = np.logaddexp(0, -logits if real else logits)
            if not np.allclose(got, wanted, atol=1e-5):
                what = "real" if real else "generated"
                if np.allclose(got, np.logaddexp(0, logits if real else -logits), atol=1e-5):
                    raise Wrong(f"has real and generated the wrong way round: a {what} film is meant.")
                raise Wrong(
                    f"gives {got[2]:.3f} for a {what} film at logit 0 and {got[4]:.3f} at logit 3, "
                    f"not {wanted[2]:.3f} and {wanted[4]:.3f}."
                )
        far = np.array([-200.0, 200.0], np.float32)
        with np.errstate(all="ignore"):
            got = np.concatenate([np.asarray(cross_entropy(far, real)) for real in (True, False)])
        if not np.allclose(got, [200, 0, 0, 200], atol=1e-3):
            raise Wrong(
                f"gives {[float(one) for one in got]} at logits -200 and 200, not [200.0, 0.0, 0.0, 200.0]. "
                "Never let the exponential of a large number appear."
            )

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``chance_loss(n_real, n_fake)``: the least loss of a discriminator that looks at nothing."""

    def test(chance_loss: Callable) -> None:
        for n_real, n_fake in ((5, 5), (100, 300), (9, 1), (4, 0)):
            share = n_real / (n_real + n_fake)
            parts = (one for one in (share, 1 - share) if one > 0)
            wanted = -sum(one * math.log(one) for one in parts)
            try:
                got = float(chance_loss(n_real, n_fake))
            except (ValueError, ZeroDivisionError):  # math.log(0)
                got = math.nan
            if math.isclose(got, wanted, rel_tol=1e-5, abs_tol=1e-6):
                continue
            call = f"({n_real}, {n_fake}) gives {got:.4g}."
            if math.isnan(got):
                raise Wrong(f"{call} Something that never happens costs nothing: leave its logarithm out.")
            if math.isclose(got, wanted / math.log(2), rel_tol=1e-5):
                raise Wrong(f"{call} That is in bits. The loss uses natural logarithms.")
            if math.isclose(got, math.log(2), rel_tol=1e-5):
                raise Wrong(f"{call} Where one kind is more frequent, saying so is better than saying ½.")
            raise Wrong(f"{call} Which one probability, said of every film, has the least mean loss?")

    return verify(3, answer, test)


def exercise_4(answer: Callable | None) -> Verdict:
    """``film_score(scores, mask)``: the mean over the frames that exist."""

    def test(film_score: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        scores = torch.randn(3, 20, generator=generator)
        lengths = torch.tensor([20, 16, 5])
        mask = torch.arange(20) < lengths[:, None]
        got = torch.as_tensor(film_score(scores, mask)).to(scores.dtype)
        if got.shape != (3,):
            raise Wrong(f"gives shape {tuple(got.shape)} for three films, not (3,).")
        wanted = torch.stack([row[:n].mean() for row, n in zip(scores, lengths)])
        if torch.allclose(got, wanted, atol=1e-5):
            return
        if torch.allclose(got, torch.where(mask, scores, 0).mean(dim=1), atol=1e-5):
            raise Wrong("divides by 20 whatever the film's length: padding pulls the score to zero.")
        if torch.allclose(got, scores.mean(dim=1), atol=1e-5):
            raise Wrong("counts the padding behind the end of the second film.")
        if torch.allclose(got[:2], scores[:2, :16].mean(dim=1), atol=1e-5):
            raise Wrong("looks at 16 frames, as the released code; the first film has 20.")
        raise Wrong("is not the mean of each film's own frames.")

    return verify(4, answer, test)
