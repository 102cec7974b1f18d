"""Which words look alike on lips: phonemes to classes by a published table, and what that leaves to read.

Neti, Potamianos, Luettin, Matthews, Glotin, Vergyri, Sison, Mashari, Zhou: Audio-Visual Speech Recognition,
final report of the CLSP summer workshop, 2000, whose table has 12 classes of phonemes and one of silence.
Pronunciations are those of the CMU Pronouncing Dictionary; the letter z is read as in Britain, where GRID was
recorded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from talkface_lite.errors import InputError

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "V1": ("AO", "AH", "AA", "ER", "OY", "AW", "HH"),
        "V2": ("UW", "UH", "OW"),
        "V3": ("AE", "EH", "EY", "AY"),
        "V4": ("IH", "IY", "AX"),
        "A": ("L", "EL", "R", "Y"),
        "B": ("S", "Z"),
        "C": ("T", "D", "N", "EN"),
        "D": ("SH", "ZH", "CH", "JH"),
        "E": ("P", "B", "M"),
        "F": ("TH", "DH"),
        "G": ("F", "V"),
        "H": ("NG", "K", "G", "W"),
    }
)
"""Viseme class → phonemes (ARPAbet), Neti et al. 2000. V1 to V4 are vowels, A semivowels, B alveolar
fricatives, C alveolars, D palato-alveolars, E bilabials, F dentals, G labiodentals, H velars."""

_PRONOUNCED = """
bin B IH N;lay L EY;place P L EY S;set S EH T;blue B L UW;green G R IY N;red R EH D;white W AY T;at AE T;
by B AY;in IH N;with W IH DH;a EY;b B IY;c S IY;d D IY;e IY;f EH F;g JH IY;h EY CH;i AY;j JH EY;k K EY;l EH L;
m EH M;n EH N;o OW;p P IY;q K Y UW;r AA R;s EH S;t T IY;u Y UW;v V IY;x EH K S;y W AY;z Z EH D;zero Z IH R OW;
one W AH N;two T UW;three TH R IY;four F AO R;five F AY V;six S IH K S;seven S EH V AH N;eight EY T;
nine N AY N;again AH G EH N;now N AW;please P L IY Z;soon S UW N
"""

PRONUNCIATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {word: tuple(phones) for word, *phones in (entry.split() for entry in _PRONOUNCED.split(";"))}
)
"""GRID's 51 words as phonemes (ARPAbet)."""

_CLASS_OF = {phone: name for name, phones in CLASSES.items() for phone in phones}


def visemes_of(word: str) -> tuple[str, ...]:
    """The classes of a word's phonemes, one after the other.

    Raises
    ------
    InputError
        When it is none of GRID's words.
    """
    if word not in PRONUNCIATIONS:
        raise InputError("word", repr(word), "one of GRID's 51")
    return tuple(_CLASS_OF[phone] for phone in PRONUNCIATIONS[word])


def look_alikes(words: Iterable[str]) -> list[tuple[str, ...]]:
    """Words in groups of equal visemes, in the order in which they come."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for word in words:
        groups.setdefault(visemes_of(word), []).append(word)
    return [tuple(group) for group in groups.values()]


def viseme_ceiling(said: Sequence[str]) -> float:
    """How often somebody would be right who tells every class from every other and no word from those that
    look like it, and always says the most frequent of these: the share of ``said``, 0 to 1.

    Raises
    ------
    InputError
        When nothing is said, or a word is none of GRID's.
    """
    if not said:
        raise InputError("said", "nothing", "at least one word")
    counts = Counter(said)
    return sum(max(counts[word] for word in group) for group in look_alikes(counts)) / len(said)


def first_viseme(word: str) -> str:
    """The class that a word begins with."""
    return visemes_of(word)[0]


def confusions(said: Sequence[str], read: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """How often words that begin with one class are read as words that begin with another.

    Returns
    -------
    classes, shares:
        Names in the order of :data:`CLASSES`, those that occur; ``(classes, classes)``, each row of what was
        said adds up to 1, or is 0 where nothing was.

    Raises
    ------
    InputError
        When there are not as many of both.
    """
    if len(said) != len(read):
        raise InputError("read", f"{len(read)} words", f"{len(said)}, as many as were said")
    pairs = [(first_viseme(a), first_viseme(b)) for a, b in zip(said, read)]
    classes = tuple(name for name in CLASSES if any(name in pair for pair in pairs))
    counts = np.zeros((len(classes), len(classes)))
    for a, b in pairs:
        counts[classes.index(a), classes.index(b)] += 1
    return classes, counts / counts.sum(axis=1, keepdims=True).clip(1)
