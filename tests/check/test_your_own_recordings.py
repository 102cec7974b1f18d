"""The exercises of the chapter on one's own recordings tell right from wrong from not yet."""

from itertools import pairwise

import numpy as np
import pytest
from exercises import KINDS, given_as, hints, passes_and_waits

from talkface_lite.check import your_own_recordings as check


def overlap(a, b):
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return wide * high / (sum(areas) - wide * high)


def bridge(values, longest, copy=True, ends=False):
    values = values.copy() if copy else values
    known = np.flatnonzero(~np.isnan(values))
    if ends and len(known):
        return np.interp(np.arange(len(values)), known, values[known])
    for a, b in pairwise(known):
        if 1 < b - a <= longest + 1:
            values[a : b + 1] = np.linspace(values[a], values[b], b - a + 1)
    return values


def lateness(stamps, n_frames, side="right", clip=True):
    middles = (np.arange(n_frames) + 0.5) / 25
    shown = np.searchsorted(stamps, middles, side=side) - 1
    return middles - np.asarray(stamps)[np.maximum(shown, 0) if clip else shown]


RIGHT = {1: overlap, 2: bridge, 3: lateness}
WRONG = [
    (1, lambda a, b: (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1])), "itself"),
    (1, lambda a, b: overlap(a, b) if overlap(a, b) in (0, 1) else 0.5, "once in the joint area"),
    (1, lambda a, b: overlap(a, b) if (a[0] < b[2] and b[0] < a[2]) else 0.1, "share"),
    (
        1,
        lambda a, b: max(0, min(a[2], b[2]) - max(a[0], b[0])) / (max(a[2], b[2]) - min(a[0], b[0])),
        "above",
    ),
    (1, lambda a, b: "much", "should be numbers"),
    (1, lambda a, b: [overlap(a, b)], "shape"),
    (2, lambda values, longest: bridge(values, longest, copy=False), "copy"),
    (2, lambda values, longest: bridge(values, longest, ends=True), "one neighbour"),
    (2, lambda values, longest: bridge(values, longest + 1), "longest=2"),
    (2, lambda values, longest: values[:-1], "shape"),
    (3, lambda stamps, n: np.zeros(n), "half a frame"),
    (3, lambda stamps, n: np.full(n, 0.02), "grows older"),
    (3, lambda stamps, n: lateness(stamps, n, clip=False), "before that"),
    (3, lambda stamps, n: lateness(stamps, n)[:3], "shape"),
    (3, lambda stamps, n: np.minimum(lateness(stamps, n), 0.22), "grows older"),
    (3, lambda stamps, n: np.abs(lateness(stamps, n)), "before that"),
]


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("number", [2, 3])
def test_right_answers_pass_in_every_type(number, kind):
    assert getattr(check, f"exercise_{number}")(given_as(kind, RIGHT[number]))
