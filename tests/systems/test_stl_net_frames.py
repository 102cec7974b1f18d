"""STL net sees a face as the photograph is cut, wherever the film's own frame lies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from attentional_parts import make_batch, make_stl, moved_heads, some_speech

from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import align
from talkface_lite.networks.lips_and_head import moved_by

PHOTO = align(moved_heads(1, seed=5)[0], WHOLE_HEAD)[0]
ELSEWHERE = torch.tensor([[0.9, -0.2, 7.0], [0.2, 0.9, -12.0]], dtype=torch.float64)
"""Turned, smaller, further up."""
KINDS = [{}, {"calibration": "similarity"}, {"split": False}]


@pytest.fixture
def speech():
    return some_speech(20)


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_film_was_cut_does_not_matter(kind):
    """Only a photograph is known: what a clip's frame tells of heads to come is not seen."""
    part, batch = make_stl(**kind), make_batch()
    moved = replace(
        batch, example=moved_by(batch.example, ELSEWHERE), landmarks=moved_by(batch.landmarks, ELSEWHERE)
    )
    made, elsewhere = part.losses(batch), part.losses(moved)
    for name in made:
        torch.testing.assert_close(made[name], elsewhere[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("still_head", [False, True])
def test_a_photograph_cut_elsewhere_speaks_alike_there(kind, still_head, speech):
    part = make_stl(**kind)
    there = moved_by(torch.from_numpy(PHOTO), ELSEWHERE).numpy()
    made = part.generate(speech, PHOTO, still_head=still_head)
    again = part.generate(speech, there, still_head=still_head)
    wanted = moved_by(torch.from_numpy(made), ELSEWHERE).numpy()
    np.testing.assert_allclose(again, wanted, atol=2e-3)
