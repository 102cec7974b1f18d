"""Which words look alike, by a published table."""

import numpy as np
import pytest

from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.errors import InputError
from talkface_lite.measuring.viseme_classes import (
    CLASSES,
    PRONUNCIATIONS,
    confusions,
    first_viseme,
    look_alikes,
    viseme_ceiling,
    visemes_of,
)


def test_every_word_has_its_sounds_and_every_sound_one_class():
    assert set(PRONUNCIATIONS) == set(GRID_WORDS)
    phones = [phone for its in CLASSES.values() for phone in its]
    assert len(phones) == len(set(phones))
    assert {phone for its in PRONUNCIATIONS.values() for phone in its} <= set(phones)
    assert len(CLASSES) == 12


def test_words_that_look_alike():
    assert visemes_of("place") == ("E", "A", "V3", "B")
    assert first_viseme("five") == "G"
    alike = [group for group in look_alikes(GRID_WORDS) if len(group) > 1]
    assert alike == [
        ("set", "z"),
        ("at", "n", "eight"),
        ("a", "i"),
        ("b", "p"),
        ("d", "t"),
        ("k", "y"),
    ]


def test_the_ceiling_says_the_most_frequent_of_those_that_look_alike():
    assert viseme_ceiling(["b", "b", "p", "now"]) == 0.75
    assert viseme_ceiling(["b", "p"]) == 0.5
    assert viseme_ceiling(["bin", "now"]) == 1
    assert viseme_ceiling(GRID_WORDS) == 44 / 51


def test_confusions_by_first_class():
    classes, shares = confusions(["bin", "place", "five", "now"], ["place", "now", "five", "two"])
    assert classes == ("C", "E", "G")
    assert np.array_equal(shares, [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]])
    classes, shares = confusions(["bin"], ["now"])
    assert classes == ("C", "E")
    assert np.array_equal(shares, [[0, 0], [1, 0]])


def test_refused():
    with pytest.raises(InputError, match="word: got 'lake', expected one of GRID's 51"):
        visemes_of("lake")
    with pytest.raises(InputError, match="said: got nothing, expected at least one word"):
        viseme_ceiling([])
    with pytest.raises(InputError, match="read: got 1 words, expected 2, as many as were said"):
        confusions(["bin", "now"], ["bin"])
