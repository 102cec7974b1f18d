"""Self-checks of the chapter on the lip-reading discriminator."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from talkface_lite.check import Verdict, Wrong, verify
from talkface_lite.measuring.viseme_classes import look_alikes, viseme_ceiling


def exercise_1(answer: Callable | None) -> Verdict:
    """``misread_least(n_words)``: the least that the second term of our loss can be."""

    def test(misread_least: Callable) -> None:
        for n_words in (51, 500, 2):
            got, wanted = float(misread_least(n_words)), math.log(n_words)
            if math.isclose(got, wanted, rel_tol=1e-6):
                continue
            call = f"({n_words}) gives {got:.4g}."
            if math.isclose(got, 1 / n_words, rel_tol=1e-6):
                raise Wrong(
                    f"{call} That is the probability of each word; the loss is its logarithm, negated."
                )
            if math.isclose(got, math.log2(n_words), rel_tol=1e-6):
                raise Wrong(f"{call} That is in bits; the loss uses natural logarithms.")
            if got == 0:
                raise Wrong(f"{call} A cross-entropy against all words alike is never below their entropy.")
            raise Wrong(f"{call} Where every word is as likely as every other, what is -ln p?")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``top_k(logits, words, k)``: the share of words that are among the first k guesses."""

    def test(top_k: Callable) -> None:
        rng = np.random.default_rng(0)
        logits, words = rng.normal(size=(40, 6)), rng.integers(0, 6, 40)
        for k in (1, 3, 6):
            order = np.argsort(-logits, axis=1)[:, :k]
            wanted = float((order == words[:, None]).any(axis=1).mean())
            got = float(top_k(logits, words, k))
            if math.isclose(got, wanted, abs_tol=1e-9):
                continue
            worst = np.argsort(logits, axis=1)[:, :k]
            if math.isclose(got, float((worst == words[:, None]).any(axis=1).mean()), abs_tol=1e-9):
                raise Wrong(f"takes the {k} least likely words: sort from the largest logit down.")
            if math.isclose(got, wanted * len(words), abs_tol=1e-9):
                raise Wrong("counts words; a share is asked for.")
            raise Wrong(f"gives {got:.3f} for k = {k}, not {wanted:.3f}.")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``ceiling(said, groups)``: what can be read where words of a group look alike."""

    def test(ceiling: Callable) -> None:
        for said in (["b", "b", "p", "now"], ["a", "i", "i", "at", "n", "eight"], ["bin"], ["t", "d"] * 3):
            groups = look_alikes(dict.fromkeys(said))
            got, wanted = float(ceiling(said, groups)), viseme_ceiling(said)
            if math.isclose(got, wanted, rel_tol=1e-9):
                continue
            if math.isclose(got, len(groups) / len(set(said)), rel_tol=1e-9):
                raise Wrong(f"counts kinds of words. {said} are said, some of them more often than others.")
            if math.isclose(got, wanted * len(said), rel_tol=1e-9):
                raise Wrong("counts words; a share is asked for.")
            raise Wrong(
                f"gives {got:.3f} for {said}, not {wanted:.3f}: of words that look alike the most frequent "
                "is the best guess."
            )

    return verify(3, answer, test)


def exercise_4(answer: Callable | None) -> Verdict:
    """``word_loss(logits, word)``: the mean cross-entropy of the words that are known; -1 is none."""

    def test(word_loss: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(5, 4, generator=generator)
        word = torch.tensor([2, -1, 0, -1, 3])
        known = word >= 0
        got = torch.as_tensor(word_loss(logits, word))
        wanted = F.cross_entropy(logits[known], word[known])
        if got.shape != () or not torch.isfinite(got):
            raise Wrong(f"gives {got}, not one number.")
        if not torch.allclose(got, wanted, atol=1e-5):
            if torch.allclose(got, wanted * known.sum() / len(word), atol=1e-5):
                raise Wrong("divides by all windows; those without a word say nothing about lips.")
            if torch.allclose(got, F.cross_entropy(logits, word % 4), atol=1e-5):
                raise Wrong("takes -1 for the last word, as an index does.")
            raise Wrong(f"gives {float(got):.4f}, not {float(wanted):.4f}.")
        none = torch.as_tensor(word_loss(logits, torch.full((5,), -1)))
        if not torch.isfinite(none) or float(none) != 0:
            raise Wrong(f"gives {float(none)} where no word is known; it should cost nothing.")

    return verify(4, answer, test)
