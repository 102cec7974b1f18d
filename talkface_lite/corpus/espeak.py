"""espeak-ng through ctypes: text → samples and events, the same bytes for the same text each time."""

import ctypes
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from talkface_lite.errors import InputError

ESPEAK_RATE = 22_050
"""Samples a second that espeak-ng makes."""
WORD, PHONEME = 1, 7
"""Kinds of event."""


class Event(NamedTuple):
    """Something begins in the sound: a word or a phoneme (others are espeak's own business).

    ``sample`` counts at 22 050 Hz, ``position`` counts characters of the text from 1, ``label`` is IPA for a
    phoneme and empty for a pause.
    """

    kind: int
    sample: int
    position: int
    label: str


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_SYNCHRONOUS, _UTF8, _PHONEMES_IN_BRACKETS = 2, 1, 0x100
_EVENTS_IN_IPA_AND_NO_EXIT = 0x8003
_RATE, _PITCH, _RANGE = 1, 3, 4


def synthesise(
    text: str, voice: str, *, words_per_minute: int, pitch: int, pitch_range: int, phonemes_in_brackets: bool
) -> tuple[np.ndarray, list[Event]]:
    """Speak a text.

    Parameters
    ----------
    text:
        What to say.
    voice:
        espeak-ng's name of the voice, such as ``"en-us+f1"``.
    words_per_minute, pitch, pitch_range:
        espeak-ng's parameters: 80 to 450, 0 to 99, 0 to 99.
    phonemes_in_brackets:
        Whether ``[[...]]`` in the text holds espeak-ng's own phoneme names.

    Returns
    -------
    int16 samples at 22 050 Hz and the events of words and phonemes in order.

    Raises
    ------
    InputError
        When the library does not load or does not know the voice.
    """
    import espeakng_loader

    # espeak keeps state (the phase of its pitch flutter, its gain) in variables that no call resets. A fresh
    # copy of the library starts from zero each time, is shared with no thread and costs about 8 ms.
    source = Path(espeakng_loader.get_library_path()).resolve()
    parameters = {_RATE: words_per_minute, _PITCH: pitch, _RANGE: pitch_range}
    with _private_copy(source) as path:
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise InputError("espeak-ng", error, "the library of the package espeakng-loader") from error
        try:
            return _run(
                library, espeakng_loader.get_data_path(), text, voice, parameters, phonemes_in_brackets
            )
        finally:
            _unload(library)


@contextmanager
def _private_copy(source: Path) -> Iterator[Path]:
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="talkface-espeak-"))
        copy = Path(shutil.copy(source, folder / source.name))
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        place = tempfile.gettempdir() if folder else "the folder for temporary files"
        raise InputError(place, error.strerror or error, "room for a copy of espeak-ng, 0.5 MB") from error
    try:
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    library: ctypes.CDLL,
    data: str,
    text: str,
    voice: str,
    parameters: dict[int, int],
    phonemes_in_brackets: bool,
) -> tuple[np.ndarray, list[Event]]:
    chunks: list[np.ndarray] = []
    events: list[Event] = []

    @_Callback
    def collect(wave, n, event) -> int:  # noqa: ANN001 - C callback
        if wave and n > 0:
            chunks.append(np.ctypeslib.as_array(wave, (n,)).copy())
        i = 0
        while event[i].type:
            one = event[i]
            if one.type in (WORD, PHONEME):
                label = one.id.string.decode("utf-8", "ignore").strip() if one.type == PHONEME else ""
                events.append(Event(one.type, one.sample, one.text_position, label))
            i += 1
        return 0

    if library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _EVENTS_IN_IPA_AND_NO_EXIT) != ESPEAK_RATE:
        raise InputError("espeak-ng", "no answer", f"its data folder at {data}")
    try:
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError("voice", repr(voice), "a language and variant of espeak-ng")
        for parameter, value in parameters.items():
            library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode("utf-8", "ignore")
        flags = _UTF8 | (_PHONEMES_IN_BRACKETS if phonemes_in_brackets else 0)
        library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, flags, None, None)
    finally:
        library.espeak_Terminate()
    return (np.concatenate(chunks) if chunks else np.zeros(0, np.int16)), events


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    release = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary", None)
    if release is not None:
        release(library._handle)
