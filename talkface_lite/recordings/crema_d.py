"""CREMA-D: 91 actors, 12 sentences, 6 emotions, 7,442 clips; everything stands in the name of the file.

``VideoFlash/1001_DFA_ANG_XX.flv`` is actor 1001, sentence DFA, anger, level unspecified.

Source: Cao, Cooper, Keutmann, Gur, Nenkova, Verma, "CREMA-D", IEEE Transactions on Affective Computing 2014.

Terms, as published: Open Database License.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.text import parts_of, videos

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "DFA": "Don't forget a jacket",
        "IEO": "It's eleven o'clock",
        "IOM": "I'm on my way to the meeting",
        "ITH": "I think I have a doctor's appointment",
        "ITS": "I think I've seen this before",
        "IWL": "I would like a new alarm clock",
        "IWW": "I wonder what this is about",
        "MTI": "Maybe tomorrow it will be cold",
        "TAI": "The airplane is almost full",
        "TIE": "That is exactly what happened",
        "TSI": "The surface is slick",
        "WSI": "We'll stop in a couple of minutes",
    }
)

EMOTIONS: Mapping[str, str] = MappingProxyType(
    {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
)
"""Code in the file name → emotion."""

LEVELS: Mapping[str, str] = MappingProxyType(
    # one published name, 1040_ITH_SAD_X, is a letter short
    {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
)
"""Code in the file name → how strong."""

_NAME = re.compile(
    r"(?P<actor>[0-9]{4})(_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]{1,2}))?"
)


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    """Every video below ``root``, with the actor as identity.

    ``about`` holds ``sentence`` (its text), ``emotion`` and ``level`` (in words, as in :data:`EMOTIONS` and
    :data:`LEVELS`). A code that the corpus does not have is left out, and a video of another name is listed
    with neither identity nor ``about``. The corpus has no times of words.
    """
    for entry in videos(root):
        if isinstance(entry, Rejection):
            yield entry
            continue
        name, path = entry
        match = _NAME.fullmatch(parts_of(root, name)[-1])
        about = {}
        if match:
            about["sentence"] = SENTENCES.get(match["sentence"], "")
            about["emotion"] = EMOTIONS.get(match["emotion"], "")
            about["level"] = LEVELS.get(match["level"], "")
        yield Recording(
            name=name,
            path=path,
            identity=match["actor"] if match else "",
            about=tuple((key, value) for key, value in about.items() if value),
        )
