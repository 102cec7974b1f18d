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
    for point, share in {8: 0.8, 4: 0.2, 12: 0.2, 0: 0.0, 48: 0.3, 54: 0.3}.items():
        np.testing.assert_allclose(made[:, point, 1], PHOTO[point, 1] + share * down, atol=2e-3)
        np.testing.assert_allclose(made[:, point, 0], PHOTO[point, 0], atol=1e-3)


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
