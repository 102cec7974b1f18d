"""What may be asked of a corpus, asked without drawing one."""

import pytest

from talkface_lite.corpus.settings import N_IDENTITIES, CorpusSettings, name_of, split_of
from talkface_lite.errors import InputError


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"split": "dev"}, "split: got 'dev', expected 'train', 'test' or None"),
        ({"view": "side"}, "view: got 'side', expected 'crop' or 'camera'"),
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
