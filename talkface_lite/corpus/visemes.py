"""Visemes: phonemes in time → how the mouth stands at each frame.

Every phoneme pulls the mouth towards its own shape, strongly near its own time and less and less further off;
the mouth takes the weighted mean. The weights are Cohen and Massaro's dominance functions
{cite}`cohen1993dominance`: with ``tau`` the time between a frame and a segment,

    D(tau) = alpha * exp(-|tau| / reach),     mouth(t) = sum_s D_s(t) * target_s / sum_s D_s(t),

separately for each of the seven channels, with one reach before a segment (anticipation) and one after it
(carry-over). A large ``alpha`` makes a shape prevail (the closed lips of /b/), a small one lets the
neighbours shine through (the lips of /t/ in "two" are already those of /u/).

Two things are ours. ``tau`` counts from the nearest end of a segment's core (0 within it) where the paper
counts from its centre, so that long sounds are held; a core of no length gives the paper's function. And the
core of a closure is stretched to the nearest frame: a /b/ may last 50 ms and a frame 40 ms, and no frame
should miss it.

The numbers are in :mod:`talkface_lite.corpus.viseme_table`.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, Interval, frame_times
from talkface_lite.corpus.viseme_table import ANTICIPATED_ROUNDING, FAMILIES, TARGETS
from talkface_lite.errors import InputError

CHANNELS = ("jaw", "width", "rounding", "upper_lip", "lower_lip", "tongue", "teeth")
"""What a mouth does. All zero is a relaxed closed mouth; each runs 0..1, except width and lips: -1..1.

jaw: closed..wide open; width: narrowed..spread; rounding: protruded as for /u/; upper_lip: pressed..raised
beyond what the jaw gives; lower_lip: tucked under the teeth..dropped; tongue: low..tip at the ridge; teeth:
hidden..shown.
"""
LOWEST = np.array([0, -1, 0, -1, -1, 0, 0])
"""The least that each channel can be; 1 is the most."""
STRONGEST = 3.0
"""Largest factor on what a person does with the mouth."""
KEPT_OF_REST = np.array([0.35, 0.6, 0, 0.6, 0.35, 0, 0.6])
"""How much of a resting mouth, channel by channel, stays while something is said. Ours, by eye."""
KEPT_IN_CLOSURES = np.array([0, 0.6, 0, 0, 0, 0, 0])
"""The same for lips that close."""
SHORTEST_REST = 0.09
"""Seconds; in shorter silences the mouth does not go to rest."""
REST_MARGIN = 0.05
"""Seconds between a sound and the moment when the mouth is at rest."""
CLOSED_PART = (0.05, 0.6)
"""Part of a bilabial's interval in which its lips are shut; the rest is its release, see the module voice."""
VOWEL_PART, CONSONANT_PART = (0.08, 0.45), (0.4, 0.6)
"""Part of other intervals in which the shape is full; vowels are loudest, and widest, in their first half."""
LONGEST_CLOSURE = 0.08
"""Seconds that the lips of a released /p b/ stay shut at most; the rest is its breath."""
STRESSED, UNSTRESSED = 1.1, 0.85
"""Factors on the jaw of vowels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Viseme:
    """The mouth of one sound.

    Parameters
    ----------
    kind:
        Family of sounds, such as ``"vowel"`` or ``"bilabial"``.
    target:
        ``(7,)`` position of each of :data:`CHANNELS`.
    alpha:
        ``(7,)`` strength with which each target prevails; 1 for a vowel.
    before, after:
        ``(7,)`` seconds in which the strength falls to 1/e, ahead of the sound and behind it.
    """

    kind: str
    target: np.ndarray
    alpha: np.ndarray
    before: np.ndarray
    after: np.ndarray


def _table() -> MappingProxyType:
    families = {
        kind: np.array(values, float) for kind, *values in map(str.split, FAMILIES.strip().splitlines())
    }
    visemes = {}
    for line in TARGETS.strip().splitlines():
        kind, *fields = line.split()
        values = families[kind]
        before, after = np.full(7, values[7]), np.full(7, values[8])
        if kind in ("rounded", "labiovelar"):
            before[CHANNELS.index("rounding")] = ANTICIPATED_ROUNDING
        target = np.array(fields[:7], float)
        for array in (target, values, before, after):
            array.flags.writeable = False
        for symbol in fields[8:]:
            visemes[symbol] = Viseme(kind=kind, target=target, alpha=values[:7], before=before, after=after)
    return MappingProxyType(visemes)


VISEMES: MappingProxyType = _table()
"""The viseme of each IPA symbol; ``"_"`` is rest."""
CLOSURES = ("bilabial", "labiodental")
VOWELS = ("vowel", "rounded")


@dataclass(frozen=True, eq=False, kw_only=True)
class Segments:
    """The visemes of a clip in time: ``S`` segments.

    Parameters
    ----------
    symbols:
        IPA symbols; ``"_"`` is rest.
    start, end:
        float64 ``(S,)`` seconds: the core of each segment, where its strength is full.
    target, alpha, before, after:
        float64 ``(S, 7)``, see :class:`Viseme`.
    """

    symbols: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    target: np.ndarray = field(repr=False)
    alpha: np.ndarray = field(repr=False)
    before: np.ndarray = field(repr=False)
    after: np.ndarray = field(repr=False)


def dominance(
    times: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    *,
    alpha: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
) -> np.ndarray:
    """How strongly segments pull at given times: ``alpha * exp(-|tau| / reach)``.

    Parameters
    ----------
    times:
        Seconds; broadcast with the rest.
    start, end:
        Seconds: the core, in which ``tau`` is 0. ``start == end`` is the function of Cohen and Massaro, whose
        ``theta`` is ``1 / reach``.
    alpha:
        Strength in the core.
    before, after:
        Reach in seconds, ahead of the core and behind it.

    Returns
    -------
    float64, the broadcast shape.
    """
    ahead, behind = np.maximum(start - times, 0), np.maximum(times - end, 0)
    return alpha * np.exp(-ahead / before - behind / after)


def split_symbols(phoneme: str) -> tuple[str, ...]:
    """The IPA symbols of a phoneme that have a viseme: ``"ˈeɪ"`` → ``("e", "ɪ")``, ``"tʃ"`` → ``("tʃ",)``.

    Marks of stress, length and the like are dropped; a symbol without a viseme counts as ``"ə"`` if it is a
    letter. An empty tuple means silence.
    """
    letters = [
        c for c in unicodedata.normalize("NFD", phoneme) if unicodedata.category(c) in ("Ll", "Lo", "Lu")
    ]
    symbols, i = [], 0
    while i < len(letters):
        pair = "".join(letters[i : i + 2])
        symbol = pair if len(pair) == 2 and pair in VISEMES else letters[i]
        symbols.append(symbol if symbol in VISEMES else "ə")
        i += len(symbol) if symbol in VISEMES else 1
    return tuple(symbols)


def segments(
    phonemes: Sequence[Interval],
    n_frames: int,
    *,
    strength: float | np.ndarray = 1.0,
    rest: np.ndarray | None = None,
) -> Segments:
    """The visemes of a clip and when each rules.

    Parameters
    ----------
    phonemes:
        Intervals in seconds labelled in IPA, in order.
    n_frames:
        Length of the clip in frames of 40 ms.
    strength:
        How much a person moves the mouth: factor on every target but the closures, 1 is ordinary; or ``(7,)``
        factors, one for each channel.
    rest:
        ``(7,)``: how the mouth stands when nothing is said. None is zeros, the relaxed closed mouth. What is
        said keeps a part of it (:data:`KEPT_OF_REST`): who smiles speaks smiling.

    Returns
    -------
    Segments

    Raises
    ------
    InputError
        When ``n_frames``, ``strength`` or ``rest`` is out of range.
    """
    if n_frames < 1:
        raise InputError("n_frames", n_frames, "at least 1")
    strength = np.asarray(strength, float)
    if strength.shape not in ((), (7,)) or not ((strength > 0) & (strength <= STRONGEST)).all():
        raise InputError("strength", strength.tolist(), f"more than 0, at most {STRONGEST}; one or 7")
    rest = np.zeros(7) if rest is None else np.asarray(rest, float)
    if rest.shape != (7,) or not ((rest >= LOWEST) & (rest <= 1)).all():
        raise InputError("rest", rest.tolist(), f"7 channels in {LOWEST.tolist()} to 1")
    seconds = n_frames / FRAMES_PER_SECOND
    rows: list[tuple[str, float, float, float]] = []
    previous = 0.0
    spoken = [(split_symbols(label), label, start, end) for label, start, end in phonemes]
    spoken = [one for one in spoken if one[0]]
    for i, (symbols, label, start, end) in enumerate(spoken):
        if start - previous >= SHORTEST_REST or i == 0:
            rows.append(_rest(previous if i else 0.0, start, first=i == 0))
        previous = end
        at_rest = (spoken[i + 1][2] if i + 1 < len(spoken) else np.inf) - end >= SHORTEST_REST
        stress = STRESSED if "ˈ" in label else 1.0 if "ˌ" in label or len(symbols) > 1 else UNSTRESSED
        share = (end - start) / len(symbols)
        for j, symbol in enumerate(symbols):
            core = _core(symbol, start + j * share, start + (j + 1) * share, at_rest)
            rows.append((symbol, *core, stress if VISEMES[symbol].kind in VOWELS else 1.0))
    rows.append(("_", min(previous + REST_MARGIN, seconds), max(seconds, previous + REST_MARGIN), 1.0))
    visemes = [VISEMES[symbol] for symbol, *_ in rows]
    target = np.stack([viseme.target for viseme in visemes])
    target[:, 0] *= [row[3] for row in rows]
    closes = np.array([viseme.kind in CLOSURES for viseme in visemes])
    silent = np.array([row[0] == "_" for row in rows])
    target[~closes] *= strength
    target[~closes] += KEPT_OF_REST * rest
    target[closes] += KEPT_IN_CLOSURES * rest
    target[silent] = rest
    return Segments(
        symbols=tuple(row[0] for row in rows),
        start=np.array([row[1] for row in rows]),
        end=np.array([row[2] for row in rows]),
        target=target,
        alpha=np.stack([viseme.alpha for viseme in visemes]),
        before=np.stack([viseme.before for viseme in visemes]),
        after=np.stack([viseme.after for viseme in visemes]),
    )


def articulation(
    phonemes: Sequence[Interval],
    n_frames: int,
    *,
    strength: float | np.ndarray = 1.0,
    rest: np.ndarray | None = None,
) -> np.ndarray:
    """How the mouth stands at the centre of each frame.

    Parameters
    ----------
    phonemes:
        Intervals in seconds labelled in IPA, in order, :func:`talkface_lite.corpus.voice.speak` gives them.
    n_frames:
        Length in frames of 40 ms.
    strength, rest:
        As for :func:`segments`. Closed lips stay closed.

    Returns
    -------
    float32 ``(n_frames, 7)``, the :data:`CHANNELS`.

    Raises
    ------
    InputError
        As :func:`segments`.
    """
    parts = segments(phonemes, n_frames, strength=strength, rest=rest)
    mouth = np.empty((n_frames, len(CHANNELS)), np.float32)
    times = frame_times(n_frames)
    # strengths vanish within seconds (exp(-25) at 3 s for the longest reach), so long speech goes in blocks
    for first in range(0, n_frames, _BLOCK):
        block = times[first : first + _BLOCK, None, None]
        near = (parts.end > block.min() - 3.3) & (parts.start < block.max() + 3.3)
        pull = dominance(
            block,
            parts.start[near, None],
            parts.end[near, None],
            alpha=parts.alpha[near],
            before=parts.before[near],
            after=parts.after[near],
        )
        mouth[first : first + _BLOCK] = (pull * parts.target[near]).sum(axis=1) / pull.sum(axis=1)
    return np.clip(mouth, LOWEST, 1).astype(np.float32)


_BLOCK = 256


def _rest(start: float, end: float, *, first: bool) -> tuple[str, float, float, float]:
    begin, stop = (start if first else start + REST_MARGIN), end - REST_MARGIN
    middle = (start + end) / 2
    return ("_", min(begin, middle), max(stop, min(begin, middle)), 1.0)


def _core(symbol: str, start: float, end: float, rest_follows: bool) -> tuple[float, float]:
    """When a sound has full strength: the shut part of a closure, the middle of anything else."""
    length, kind = end - start, VISEMES[symbol].kind
    if kind not in CLOSURES:
        part = VOWEL_PART if kind in VOWELS else CONSONANT_PART
        return start + part[0] * length, start + part[1] * length
    if symbol in "pb":
        core = start + CLOSED_PART[0] * length, start + min(CLOSED_PART[1] * length, LONGEST_CLOSURE)
    elif kind == "labiodental" or rest_follows:
        core = start + 0.2 * length, start + 0.9 * length
    else:
        core = start + CLOSED_PART[0] * length, start + CLOSED_PART[1] * length
    nearest = (np.round(sum(core) / 2 * FRAMES_PER_SECOND - 0.5) + 0.5) / FRAMES_PER_SECOND
    return min(core[0], nearest), max(core[1], nearest)
