"""A head that is held: the lips of STL net in the head of the photograph."""

import numpy as np
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
    lips = (
        part.points(speech, PHOTO, silence=25).lips
        - part.points(np.zeros(640, np.float32), PHOTO, silence=50).lips
    )
    photo = take_apart(torch.from_numpy(PHOTO))
    laid = put_together(photo.lips + module._settled(lips), photo.head.expand(1, 30, -1, -1))
    down = (laid - torch.from_numpy(PHOTO))[0, :, 65:68, 1].mean(dim=1).numpy()
    assert np.ptp(down) > 0.5
    for point, share in {8: 0.631, 4: 0.275, 12: 0.275, 0: 0.0, 48: 0.285, 54: 0.285}.items():
        np.testing.assert_allclose(made[:, point, 1], PHOTO[point, 1] + share * down, atol=2e-3)
        np.testing.assert_allclose(made[:, point, 0], PHOTO[point, 0], atol=1e-3)


def test_what_goes_with_the_lower_lip_is_what_drawn_people_do():
    clip = draw_clip(6100, still_head=True, view="head", paint=False)
    true = torch.from_numpy(clip.landmarks)
    apart = take_apart(true)
    held_head = apart.head[:1].expand_as(apart.head)
    down = (put_together(apart.lips, held_head) - true[:1])[:, 65:68, 1].mean(dim=1)
    chin = apart.head[:, 8, 1] - apart.head[0, 8, 1]
    assert (chin - module.FOLLOWS[8] * down).square().mean() < 0.4 * chin.square().mean()
    assert torch.equal(module.FOLLOWS[:17], module.FOLLOWS[:17].flip(0))  # left and right alike
