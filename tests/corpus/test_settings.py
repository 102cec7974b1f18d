"""What may be asked of a corpus, asked without drawing one."""

from typing import get_args

import pytest

from talkface_lite.clip import FRAMING_OF, SIDES
from talkface_lite.corpus.settings import (
    N_IDENTITIES,
    SPLITS,
    CorpusSettings,
    View,
    name_of,
    split_of,
)
from talkface_lite.errors import InputError


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"split": "dev"}, "split: got 'dev', expected 'train', 'test' or None"),
        ({"view": "side"}, "view: got 'side', expected 'crop' or 'head' or 'camera'"),
        ({"size": 64}, "size: got 64, expected 128 or 256"),
        ({"view": "head", "size": 0}, "size: got 0, expected 128 or 256"),
        ({"view": "camera", "size": 256}, "size: got 256 of a camera's view, expected none: it is 256x256"),
        ({"nods": True, "still_head": True}, "nods: got of still heads, expected heads that move"),
        ({"text": ""}, "text: got '', expected something to say"),
        ({"text": " \n"}, "text: got ' .n', expected something to say"),
        ({"person": -1}, "person: got -1, expected 0 to 999,999"),
        ({"person": N_IDENTITIES}, "person: got 1000000, expected 0 to 999,999"),
        (
            {"person": 0, "split": "test"},
            "person: got 0, of the side 'train', expected one of the side 'test'",
        ),
    ],
)
def test_refused(settings, line):
    with pytest.raises(InputError, match=line):
        CorpusSettings(**settings)


def test_taken():
    for person in (0, N_IDENTITIES - 1):
        side = split_of("identity", name_of(person))
        assert CorpusSettings(person=person, split=side).person == person
        assert CorpusSettings(person=person).split is None
    assert name_of(7) == "drawn-000007"
    assert CorpusSettings(text="no").text == "no"
    assert CorpusSettings(view="camera").size == CorpusSettings().size == 128
    assert CorpusSettings(view="head", size=256, nods=True).size == 256
    assert CorpusSettings(size=256).view == "crop"
    assert CorpusSettings(still_head=True).nods is False


def test_views_and_sides():
    assert get_args(View) == tuple(FRAMING_OF), "what can be asked for is what has a framing"
    assert get_args(CorpusSettings.__annotations__["size"]) == SIDES
    assert SPLITS == ("train", "test")
