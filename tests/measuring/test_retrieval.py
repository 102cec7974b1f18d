"""Codes of the same moments find one another, and others do not."""

import numpy as np
import pytest

from talkface_lite.errors import InputError
from talkface_lite.measuring.retrieval import retrieval


def test_by_hand():
    known = np.array([[0.0], [1.0], [3.0], [7.0]])
    asked = np.array([[0.2], [2.6], [2.0], [7.5]])
    # nearest: 0, 2 (not 1), 1 and 2 as far (argmin takes 1), 3
    found = retrieval(asked, known)
    assert found["first"] == 0.5
    # moment 0: all three farther; 1: own at 1.6, farther 0 and 3, nearer 2; 2: own at 1, 1 as far, 0 and 3
    # farther; 3: all three
    assert found["nearer"] == pytest.approx((1 + 2 / 3 + 2.5 / 3 + 1) / 4)


def test_equal_codes_find_their_own_and_strangers_do_not():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((200, 24))
    assert retrieval(codes, codes) == {"first": 1.0, "nearer": 1.0}
    found = retrieval(rng.standard_normal((200, 24)), codes)
    assert found["first"] < 0.03
    assert found["nearer"] == pytest.approx(0.5, abs=0.05)
    assert retrieval(np.zeros((200, 24)), np.zeros((200, 24)))["nearer"] == 0.5


@pytest.mark.parametrize("shapes", [((3, 2), (4, 2)), ((1, 2), (1, 2)), ((3,), (3,))])
def test_what_cannot_be_compared(shapes):
    with pytest.raises(InputError, match=r"codes: got shapes .*, expected \(T, n\) twice"):
        retrieval(*(np.zeros(shape) for shape in shapes))
