"""A system that moves the photograph before it paints, from its networks to the picture pasted back."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_networks import SMALL_AT_NET, SMALL_VG_NET

from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.landmarks import lip_opening, magnify
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg import ATNetPart, ATNetPartConfig, ATVGnet, VGNetPart, VGNetPartConfig
from talkface_lite.systems.base import Face
from talkface_lite.talking.film import pictures
from talkface_lite.talking.paste import Paster
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)
IMAGE_SIDE = 384


@pytest.fixture(scope="module")
def clip():
    return draw_clip(clip_seed(3, 1), text="no ma", still_head=True)


@pytest.fixture(scope="module")
def landmarks(clip):
    """At rest, then open and closed in turn, and at rest again."""
    order = lip_opening(clip.landmarks).argsort(kind="stable")
    return clip.landmarks[[order[0], order[-1], order[len(order) // 2], order[-2], order[0]]]


@pytest.fixture(scope="module")
def system(landmarks):
    """A VG-net that has learnt nothing paints; what is said is known."""
    torch.manual_seed(0)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    at_net = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET), basis)
    vg_net = VGNetPart(VGNetPartConfig(vg_net=replace(SMALL_VG_NET, warp=True)))
    torch.nn.init.normal_(vg_net.vg_net.colour[0].weight, 0, 0.3)
    torch.nn.init.constant_(vg_net.vg_net.alpha[0].bias, -20)  # it paints between lips that part, alone

    class Told(ATVGnet):
        def speak(self, speech, example):
            return landmarks

    return Told({"at-net": at_net.eval(), "vg-net": vg_net.eval()})


@pytest.fixture(scope="module")
def portrait(clip):
    """The closed mouth as a photograph three times as large as the crop, with detail that the crop lacks."""
    shut = int(lip_opening(clip.landmarks).argmin())
    image = cv2.resize(clip.frames[shut], (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_CUBIC).astype(int)
    image += np.random.default_rng(0).integers(-12, 13, image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return Portrait(
        image=image, landmarks=clip.landmarks[shut], matrix=magnify(128 / IMAGE_SIDE), name="drawn"
    )


@pytest.fixture(scope="module")
def stretch(system, portrait, landmarks):
    face = Face(portrait.crop(), portrait.landmarks)
    speech = np.zeros(640 * len(landmarks), np.float32)
    (made,) = system.checked_film(face, speech, np.random.default_rng(0))
    return made


def test_what_is_handed_out_makes_the_frames(stretch, portrait):
    colour, alpha, flow = stretch.painted
    assert (colour.dtype, alpha.dtype, flow.dtype) == (np.float32,) * 3
    assert flow.shape == (5, 128, 128, 2)
    places = np.mgrid[:128, :128][::-1].transpose(1, 2, 0).astype(np.float32)
    photo = portrait.crop().astype(np.float32) / 127.5 - 1
    for t in range(5):
        moved = cv2.remap(photo, places + flow[t], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mixed = alpha[t, ..., None] * colour[t] + (1 - alpha[t, ..., None]) * moved
        # OpenCV looks at 32 places between two pixels
        assert np.abs((mixed + 1) * 127.5 - stretch.frames[t]).max() < 6
        assert np.abs((mixed + 1) * 127.5 - stretch.frames[t]).mean() < 0.3
    assert np.abs(flow).max() > 3
    assert alpha.max() > 0.9


def test_pasted_into_the_crop_it_is_the_frame(stretch, portrait):
    paster = Paster(portrait.crop(), magnify(1.0))
    for t in range(5):
        result = paster.paste(*(part[t] for part in stretch.painted))
        off = np.abs(result.astype(int) - stretch.frames[t])
        assert off.max() < 6
        assert off.mean() < 0.3


def test_at_rest_the_film_is_the_photograph_whatever_its_size(system, portrait, landmarks):
    speech = np.zeros(640 * len(landmarks), np.float32)
    film = list(pictures(Talker(system, device="cpu"), portrait, speech, view="photograph", marked=False))
    np.testing.assert_array_equal(film[0], portrait.image)
    np.testing.assert_array_equal(film[-1], portrait.image)
    assert (film[1] != portrait.image).any()


def test_pasted_back_there_is_no_seam_and_nothing_else_changes(stretch, portrait):
    paster = Paster(portrait.image, portrait.matrix)
    colour, alpha, flow = (part[1] for part in stretch.painted)
    result = paster.paste(colour, alpha, flow).astype(int)
    still = cv2.resize(((alpha == 0) & (flow == 0).all(axis=-1)).astype(np.float32), (IMAGE_SIDE, IMAGE_SIDE))
    outside = cv2.erode((still == 1).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert outside.mean() > 0.5
    np.testing.assert_array_equal(result[outside], portrait.image[outside])
    assert (
        result[: int(3 * portrait.landmarks[33, 1])] == portrait.image[: int(3 * portrait.landmarks[33, 1])]
    ).all()
    # where the flow dies out, what is moved goes over into what is not: less than the photograph's own grain
    fading = (np.abs(flow).max(axis=-1) > 0) & (np.abs(flow).max(axis=-1) < 0.25) & (alpha < 0.02)
    large = cv2.resize(fading.astype(np.float32), (IMAGE_SIDE, IMAGE_SIDE)) > 0.9
    assert large.sum() > 100
    assert np.abs(result - portrait.image)[large].mean() < 3
    # and it keeps its detail where it has moved and nothing is painted
    moved = (np.abs(flow).max(axis=-1) > 1) & (alpha < 0.02)
    large = cv2.erode(
        (cv2.resize(moved.astype(np.float32), (IMAGE_SIDE, IMAGE_SIDE)) > 0.9).astype(np.uint8),
        np.ones((5, 5), np.uint8),
    ).astype(bool)
    assert large.sum() > 100

    def grain(picture):
        picture = picture.astype(np.float32)
        return np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 2))[large].mean()

    blurred = cv2.resize(stretch.frames[1], (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_CUBIC)
    assert grain(result) > 0.6 * grain(portrait.image) > 1.5 * grain(blurred)
