"""Phonemes for a recording whose words are known in time."""

from collections.abc import Sequence

import numpy as np

from talkface_lite.clip import Interval
from talkface_lite.corpus.voice import VOICES, speak
from talkface_lite.errors import InputError


def place_phonemes(words: Sequence[Interval], voice: str = "arthur") -> tuple[Interval, ...]:
    """The phonemes of words that somebody said, between the times at which they were said.

    espeak-ng says the same words; its phonemes keep their places within each word, stretched to the word's
    true beginning and end. No forced alignment: within a word the pace is espeak's. On GRID's speaker s1 that
    is near enough for the lips, see the chapter on real recordings.

    Parameters
    ----------
    words:
        In order, in seconds, as a clip has them.
    voice:
        Whose pronunciation, a name in :data:`talkface_lite.corpus.voice.VOICES`.

    Returns
    -------
    Intervals in seconds, labelled in IPA; those that shrink to nothing are left out.

    Raises
    ------
    InputError
        When there are no words, or espeak divides them otherwise than they are given.
    """
    if not words:
        raise InputError("words", "none", "words with their times")
    said = speak(" ".join(word.label for word in words), VOICES[voice])
    theirs, true, first = [], [], 0
    for word in said.words:  # espeak runs some words together
        last = first + len(word.label.split()) - 1
        if last >= len(words):
            break
        theirs += [word.start, word.end]
        true += [words[first].start, words[last].end]
        first = last + 1
    if first != len(words):
        labels = " ".join(word.label for word in words)
        raise InputError("words", f"{labels!r}, {first} of them found by espeak", f"{len(words)}")
    at = np.maximum.accumulate(np.array(theirs) + 1e-6 * np.arange(len(theirs)))
    to = np.maximum.accumulate(np.array(true))
    placed = (
        Interval(one.label, *(float(np.interp(time, at, to)) for time in (one.start, one.end)))
        for one in said.phonemes
    )
    return tuple(one for one in placed if one.end > one.start)
