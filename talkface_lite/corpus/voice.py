"""Voice: any text or a sentence of GRID's grammar, spoken by espeak-ng with the times of words and phonemes.

espeak-ng comes as a shared library in the wheel ``espeakng-loader`` and is called through ctypes. It reports
each phoneme with the very sample at which it begins, so the times here are those of the sound itself; two
things are mended:

* espeak places a stop (/p/, /t/, /k/ ...) at its release and counts the silent closure before it as part of
  the sound before. A stop's interval here begins with its closure.
* A silence between two sounds belongs to neither: intervals have gaps where nothing sounds.

One habit of espeak is left as it is: a vowel after /m n l b d/ is reported when it is fully there, about the
last third of the consonant's interval already sounds open (measured on the waveform: 25 to 30 % for /m/, 35
to 40 % for /b/, at 110 to 175 words a minute). :mod:`talkface_lite.corpus.visemes` takes that into account.
"""

import re
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.signal import resample_poly

from talkface_lite.clip import SAMPLE_RATE, SAMPLES_PER_FRAME, Interval
from talkface_lite.corpus.acoustics import Microphone, Room, add_noise, add_room
from talkface_lite.corpus.espeak import ESPEAK_RATE, PHONEME, WORD, Event, synthesise
from talkface_lite.errors import InputError

PEAK = 0.7
"""Largest sample of clean speech; room for noise and echoes below 1."""
LONGEST_CLOSURE = 0.1
"""Seconds; silence before a stop beyond this is a pause, not its closure."""
STOPS = "pbtdkɡgʔ"
RATE_STEP = 50
"""Hz: both rates are multiples of it, which keeps the filters between them short."""

GRID_GRAMMAR: tuple[tuple[str, ...], ...] = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
"""Command, colour, preposition, letter (no w), digit, adverb: the GRID corpus (Cooke et al. 2006)."""

GRID_WORDS: tuple[str, ...] = tuple(word for choices in GRID_GRAMMAR for word in choices)
"""The 51 words of GRID."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One synthetic speaker.

    Parameters
    ----------
    name:
        How the voice is called here.
    language:
        espeak-ng's name of the accent, such as ``"en-gb-scotland"``.
    variant:
        espeak-ng's name of the vocal tract, such as ``"f1"``; empty for the accent's own.
    pitch, pitch_range:
        0 to 99, relative to the variant's own; 50 leaves it as it is.
    words_per_minute:
        80 to 450; GRID's sentences take about 3 s at 120.
    feminine:
        Whether the voice is a woman's, so that faces get a voice that suits them.
    """

    name: str
    language: str
    variant: str = ""
    pitch: int = 50
    pitch_range: int = 50
    words_per_minute: int = 120
    feminine: bool = False

    @property
    def espeak_name(self) -> str:
        """What espeak-ng calls this accent with this variant."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


def _voices() -> MappingProxyType:
    # No variant with breath (f2, f3, f5, victor ...) or echo (m2, f4 ...): breath reads memory that espeak
    # never set, so the same text gives other samples each time; echo blurs the silences that mark closures.
    rows = """
    arthur    en                m1       50 55 118      bridget   en                f1       50 50 122
    callum    en-gb-scotland    m3       46 60 120      davina    en-gb-scotland    Andrea   30 50 118
    edmund    en-gb-x-rp        m7       42 45 112      felicity  en-gb-x-rp        belinda  35 45 116
    gordon    en-gb-x-gbcwmd    m8       52 50 124      harriet   en-gb-x-gbcwmd    steph    42 55 126
    isaac     en-gb-x-gbclan    Michael  48 50 114      joan      en-gb-x-gbclan    grandma  36 40 108
    kenroy    en-029            m4       55 60 120      lovelle   en-029            linda    34 60 122
    marcus    en-us             m6       48 45 124      nancy     en-us             f1       58 45 128
    oscar     en-us-nyc         Gene     50 50 130      paula     en-us-nyc         Annie    40 50 126
    quentin   en                ian      50 50 116      rosalind  en                anika    22 40 120
    stewart   en-gb-scotland    paul     56 50 116      tamsin    en-gb-scotland    f1       62 60 124
    ulric     en-us             Gene2    40 40 110      vera      en-us             aunty    46 50 114
    winston   en-029            rob      58 55 118      yvonne    en-us             Andrea   26 40 118
    abel      en-us             m5       40 40 122      blanche   en-gb-x-rp        f1       44 40 110
    cyril     en                m3       62 70 130      dora      en                steph3   30 50 118
    ernest    en-us-nyc         m7       54 60 122      flora     en-gb-x-gbclan    linda    26 50 124
    george    en-us             Denis    50 50 120      hilda     en-us-nyc         belinda  28 60 128
    """
    # a man and a woman in each line
    voices = {}
    for line in rows.strip().splitlines():
        fields = line.split()
        for feminine, (name, language, variant, *numbers) in enumerate((fields[:6], fields[6:])):
            pitch, pitch_range, rate = map(int, numbers)
            voices[name] = Voice(
                name=name,
                language=language,
                variant=variant,
                pitch=pitch,
                pitch_range=pitch_range,
                words_per_minute=rate,
                feminine=bool(feminine),
            )
    return MappingProxyType(voices)


VOICES: MappingProxyType = _voices()
"""The speakers by name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Utterance:
    """What was said and how it sounds.

    Parameters
    ----------
    speech:
        float32 ``(640 * T,)`` in [-1, 1], 16 kHz mono, whole frames.
    words:
        Intervals in seconds, labelled with the words of the text in lower case without punctuation. espeak
        runs some words together ("in the"); those share one interval.
    phonemes:
        Intervals in seconds, labelled in IPA, stress marks included ("ˈeɪ").
    """

    speech: np.ndarray
    words: tuple[Interval, ...]
    phonemes: tuple[Interval, ...]


def grid_sentence(rng: np.random.Generator) -> str:
    """A sentence of GRID's grammar, such as ``"place blue by u two please"``: six words, 64 000 sentences."""
    return " ".join(choices[rng.integers(len(choices))] for choices in GRID_GRAMMAR)


def is_grid_sentence(text: str) -> bool:
    """Whether a text is six words of GRID's grammar in their order."""
    words = text.lower().split()
    return len(words) == len(GRID_GRAMMAR) and all(w in choices for w, choices in zip(words, GRID_GRAMMAR))


def speak(
    text: str,
    voice: str | Voice,
    *,
    lead: float = 0.24,
    tail: float = 0.24,
    signal_to_noise: float | None = None,
    noise: str = "pink",
    room: Room | None = None,
    microphone: Microphone | None = None,
    tract: float = 1.0,
    seed: int = 0,
) -> Utterance:
    """Speak a text; the same arguments give the same bytes, whatever was spoken before and in any process.

    Parameters
    ----------
    text:
        Any text in English. A sentence of GRID's grammar has its letter spelled: "at a nine" says /eɪ/.
    voice:
        A name in :data:`VOICES`, or a :class:`Voice`.
    lead, tail:
        Seconds of silence before and (at least) after; the end is padded to a whole frame of 40 ms.
    signal_to_noise:
        dB of the speech's mean power, where it sounds, over that of noise added; None adds none.
    noise:
        One of :data:`talkface_lite.corpus.acoustics.NOISES`.
    room:
        Adds the echoes of a room; the direct sound stays where it is.
    microphone:
        Records it all.
    tract:
        Factor, 0.7 to 1.4, on all frequencies of the voice, pitch and formants: a shorter or a longer vocal
        tract. The pace stays.
    seed:
        Of the noise and the room's echoes.

    Raises
    ------
    InputError
        When the text is empty or yields no sound, or the voice is not one of :data:`VOICES`.

    Notes
    -----
    GRID and its grammar: {cite}`cooke2006grid`.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("text", repr(text), "something to say")
    if isinstance(voice, str):
        if voice not in VOICES:
            raise InputError("voice", repr(voice), f"one of {', '.join(VOICES)}")
        voice = VOICES[voice]
    if not 0.7 <= tract <= 1.4:
        raise InputError("tract", f"{tract:g}", "0.7 to 1.4")
    if min(lead, tail) < 0:
        raise InputError("lead and tail", f"{lead:g} s and {tail:g} s", "0 s or more")
    spoken = " ".join(text.replace("\0", " ").split())
    samples, events = synthesise(
        _spell_letter(spoken),
        voice.espeak_name,
        words_per_minute=int(np.clip(round(voice.words_per_minute / tract), 80, 450)),
        pitch=voice.pitch,
        pitch_range=voice.pitch_range,
        phonemes_in_brackets=is_grid_sentence(spoken),
    )
    sound = np.flatnonzero(samples)
    if not len(sound) or not any(event.label for event in events):
        raise InputError("text", repr(text), "a text with something to pronounce")
    # played faster or slower, the same samples are another throat's
    rate = RATE_STEP * round(tract * ESPEAK_RATE / RATE_STEP)
    phonemes, words = _intervals(samples, events, spoken, lead, rate)
    speech = resample_poly(
        samples[: sound[-1] + 1].astype(np.float64), SAMPLE_RATE // RATE_STEP, rate // RATE_STEP
    )
    speech *= PEAK / np.abs(speech).max()
    before = round(lead * SAMPLE_RATE)
    n_frames = -(-(before + len(speech) + round(tail * SAMPLE_RATE)) // SAMPLES_PER_FRAME)
    speech = np.pad(speech, (before, n_frames * SAMPLES_PER_FRAME - before - len(speech)))
    rng = np.random.default_rng(seed)
    if room is not None:
        speech = add_room(speech, room, rng)
    if signal_to_noise is not None:
        speech = add_noise(speech, signal_to_noise, rng, noise)
    if microphone is not None:
        speech = microphone.record(speech)
    return Utterance(speech=_within_unit(speech), words=words, phonemes=phonemes)


def _within_unit(speech: np.ndarray) -> np.ndarray:
    peak = np.abs(speech).max()
    return (speech if peak <= 1 else speech * (0.999 / peak)).astype(np.float32)


def _spell_letter(text: str) -> str:
    # espeak reads "at a nine" as an article, whatever the case; its phoneme brackets say the letter's name
    if not is_grid_sentence(text):
        return text
    words = text.lower().split()
    return " ".join("[[eI]]" if (i, word) == (3, "a") else word for i, word in enumerate(words))


def _intervals(
    samples: np.ndarray, events: list[Event], spoken: str, lead: float, rate: int
) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
    """Events of espeak as intervals of phonemes and of words, in seconds of the padded speech at ``rate``."""
    sound = np.flatnonzero(samples)

    def silent_since(sample: int) -> int:
        before = np.searchsorted(sound, sample)
        return int(sound[before - 1]) + 1 if before else 0

    marks = [event for event in events if event.kind == PHONEME]
    following = [event.sample for event in marks[1:]] + [int(sound[-1]) + 1]
    times, previous = [], 0
    for mark, after in zip(marks, following):
        start, end = mark.sample, max(silent_since(after), mark.sample)
        if bare(mark.label)[:1] in STOPS and mark.label:
            # a closure moved back must not overtake a phoneme of no length before it
            start = max(silent_since(start), start - round(LONGEST_CLOSURE * rate), previous)
        previous = start
        times.append((lead + start / rate, lead + end / rate))
    phonemes = tuple(Interval(mark.label, *when) for mark, when in zip(marks, times) if bare(mark.label))
    return phonemes, _words(events, times, spoken)


def bare(phoneme: str) -> str:
    """A phoneme without its stress marks."""
    return phoneme.strip("ˈˌ")


def _words(events: list[Event], times: list[tuple[float, float]], spoken: str) -> tuple[Interval, ...]:
    # where each word begins in the text that espeak read, which may spell a letter by brackets
    read = _spell_letter(spoken).split()
    begins = np.cumsum([0] + [len(word) + 1 for word in read[:-1]])
    current, remaining, found = -1, iter(times), {}
    for event in events:
        if event.kind == WORD:
            current = int(np.searchsorted(begins, event.position - 1, side="right")) - 1
            continue
        start, end = next(remaining)
        if bare(event.label) and current >= 0:
            found[current] = (min(start, found.get(current, (start,))[0]), end)
    words, tokens, indices = [], spoken.lower().split(), sorted(found)
    for index, after in zip(indices, [*indices[1:], len(tokens)]):
        stripped = (re.sub(r"^\W+|\W+$", "", token) for token in tokens[index:after])
        words.append(Interval(" ".join(filter(None, stripped)) or tokens[index], *found[index]))
    return tuple(words)
