"""The exercises of the chapter on the lip reader tell right from wrong from not yet."""

import math

import numpy as np
import pytest
import torch
from exercises import hints, passes_and_waits
from torch.nn import functional as F

from talkface_lite.check import lip_reading_discriminator as check


def misread_least(n_words):
    return -math.log(1 / n_words)


def top_k(logits, words, k):
    above = (logits > logits[np.arange(len(words)), words][:, None]).sum(axis=1)
    return (above < k).mean()


def ceiling(said, groups):
    best = {word for group in groups for word in [max(group, key=said.count)]}
    return sum(word in best for word in said) / len(said)


def word_loss(logits, word):
    if (word < 0).all():
        return 0.0
    return F.cross_entropy(logits, word, ignore_index=-1)


RIGHT = {1: misread_least, 2: top_k, 3: ceiling, 4: word_loss}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda n: 1 / n, "probability of each word"),
        (1, lambda n: math.log2(n), "in bits"),
        (1, lambda n: 0, "never below their entropy"),
        (1, lambda n: 7.0, "what is -ln p"),
        (2, lambda logits, words, k: top_k(-logits, words, k), "least likely"),
        (2, lambda logits, words, k: top_k(logits, words, k) * len(words), "a share"),
        (2, lambda logits, words, k: 0.25, "gives 0.250 for k = 1"),
        (3, lambda said, groups: len(groups) / len(set(said)), "counts kinds"),
        (3, lambda said, groups: ceiling(said, groups) * len(said), "a share"),
        (3, lambda said, groups: 0.1, "most frequent"),
        (
            4,
            lambda logits, word: F.cross_entropy(logits, word, ignore_index=-1, reduction="sum") / len(word),
            "all windows",
        ),
        (4, lambda logits, word: F.cross_entropy(logits, word % 4), "the last word"),
        (4, lambda logits, word: torch.tensor(9.0), "gives 9.0000"),
        (4, lambda logits, word: torch.zeros(2), "not one number"),
        (4, lambda logits, word: F.cross_entropy(logits, word, ignore_index=-1), "where no word is known"),
    ],
)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)
