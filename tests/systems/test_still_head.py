"""A head that is held: the lips of STL net in the head of the photograph."""

import numpy as np
import pytest
import torch
from attentional_parts import make_stl, moved_heads, some_speech

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import align
from talkface_lite.networks.lips_and_head import put_together, take_apart
from talkface_lite.systems.attentional import stl_net as module

torch.set_num_threads(1)

PHOTO = align(moved_heads(1, seed=5)[0], WHOLE_HEAD)[0]


def test_jaw_and_corners_of_a_held_head_go_with_the_lower_lip():
    part, speech = make_stl(), some_speech(30)
    made = part.generate(speech, PHOTO, still_head=True)
    np.testing.assert_allclose(made[:, 17:48], np.broadcast_to(PHOTO[17:48], (30, 31, 2)), atol=1e-3)
    loud, quiet = (
        part.points(sound, PHOTO, silence=silence)
        for sound, silence in ((speech, 25), (np.zeros(640, np.float32), 50))
    )
    photo = take_apart(torch.from_numpy(PHOTO))
    lips = photo.lips + module._settled(loud.lips - quiet.lips)
    fell = (loud.head - quiet.head)[0, ..., 1].numpy()
    nod = fell[:, 30] - fell[:, 36:48].mean(axis=1)
    assert np.ptp(nod) > 0.5
    for point, share in {48: 0.0, 51: 0.25, 57: 0.75, 62: 0.45, 66: 0.55, 68: 0.0}.items():
        assert module.NODS[point - 48] == share
    lips[0, ..., 1] -= torch.from_numpy(nod)[:, None] * module.NODS
    laid = put_together(lips, photo.head.expand(1, 30, -1, -1))
    down = (laid - torch.from_numpy(PHOTO))[0, :, 65:68, 1].mean(dim=1).numpy()
    assert np.ptp(down) > 0.5
    for point, share in {8: 0.8, 4: 0.2, 12: 0.2, 0: 0.0, 48: 0.3, 54: 0.3}.items():
        np.testing.assert_allclose(made[:, point, 1], PHOTO[point, 1] + share * down, atol=2e-3)
        np.testing.assert_allclose(made[:, point, 0], PHOTO[point, 0], atol=1e-3)


@pytest.mark.parametrize("calibration", ["affine", "similarity"])
def test_what_a_nod_does_to_lips_is_not_in_a_held_head(calibration, monkeypatch):
    """Of affine lips; what a similarity leaves in them was not measured."""
    part, speech = make_stl(calibration=calibration), some_speech(30)
    made = part.generate(speech, PHOTO, still_head=True)
    monkeypatch.setattr(module, "NODS", torch.zeros(21))
    changed = np.abs(part.generate(speech, PHOTO, still_head=True) - made).max(axis=(0, 2))
    assert (changed[:48].max() > 0.01) == (changed[57] > 0.1) == (calibration == "affine")
    assert changed[17:48].max() < 1e-3


def test_what_a_nod_does_to_lips_is_what_it_does_to_drawn_ones():
    left, went = 0.0, 0.0
    for seed in range(6200, 6208):
        still, nods = (
            draw_clip(seed, still_head=still, nods=not still, view="head", paint=False).landmarks
            for still in (True, False)
        )
        shift = [take_apart(torch.from_numpy(points)).lips for points in (nods, still)]
        shift = (shift[0] - shift[0][:1]) - (shift[1] - shift[1][:1])
        fell = (nods - nods[:1])[..., 1]
        nod = torch.from_numpy(fell[:, 30] - fell[:, 36:48].mean(axis=1))
        left += (shift[..., 1] - nod[:, None] * module.NODS).square().sum()
        went += shift[..., 1].square().sum()
    assert left < 0.3 * went


def test_what_goes_with_the_lower_lip_is_what_drawn_people_do():
    left, went = 0.0, 0.0
    for seed in range(6100, 6108):
        true = torch.from_numpy(draw_clip(seed, still_head=True, view="head", paint=False).landmarks)
        apart = take_apart(true)
        down = put_together(apart.lips, apart.head[:1].expand_as(apart.head)) - true[:1]
        down = down[:, 65:68, 1].mean(dim=1)
        jaw = apart.head[:, 4:13, 1] - apart.head[:1, 4:13, 1]
        left += (jaw - down[:, None] * module.FOLLOWS[4:13]).square().sum()
        went += jaw.square().sum()
    assert left < 0.4 * went
