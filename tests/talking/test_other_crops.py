"""A system whose weights learned from other crops than ours: cut by its template, pasted back from there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_systems import SmallLamp

from talkface_lite.clip import Clip
from talkface_lite.landmarks import (
    OURS,
    TEMPLATE,
    Template,
    align,
    apply_transform,
    invert_transform,
    warp_crop,
)
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.base import Painted, Shown, Stretch, System
from talkface_lite.talking.film import pictures
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)

TIGHT = Template(slice(27, 45), 1.3 * (TEMPLATE[:18] - [64, 49]) + [60, 40])


class Dot(System):
    """Paints a red dot of 9×9 on the tip of the nose, where its own crop has it."""

    name, parts, template = "dot", (), TIGHT

    def __init__(self):
        super().__init__({})
        self.seen = []

    def film(self, face, speech, rng):
        self.seen.append(face)
        n = len(speech) // 640
        x, y = np.rint(face.landmarks[30]).astype(int)
        alpha = np.zeros((n, 128, 128), np.float32)
        alpha[:, y - 4 : y + 5, x - 4 : x + 5] = 1
        colour = np.full((n, 128, 128, 3), -1, np.float32)
        colour[..., 0] = 1
        mixed = alpha[..., None] * (colour + 1) * 127.5 + (1 - alpha[..., None]) * face.picture
        landmarks = np.broadcast_to(face.landmarks, (n, 68, 2)).astype(np.float32)
        yield Stretch(mixed.astype(np.uint8), landmarks, Painted(colour, alpha))


@pytest.fixture(scope="module")
def portrait():
    """A grey photograph, larger than any crop, of somebody who holds her head askew."""
    face = ShapePCA.pretrained().decode(np.zeros(6, np.float32)) - 64
    turn = 2.5 * np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    landmarks, matrix = align(face @ turn + [300, 260])
    image = np.full((600, 640, 3), 90, np.uint8)
    return Portrait(image=image, landmarks=landmarks, matrix=matrix, name="nobody")


@pytest.fixture(scope="module")
def speech():
    return np.full(640 * 2, 0.1, np.float32)


def in_photograph(portrait):
    return apply_transform(portrait.landmarks, invert_transform(portrait.matrix))


def test_the_same_face_in_the_crop_of_another_template(portrait):
    moved = portrait.on(TIGHT)
    assert moved.template is TIGHT
    assert portrait.on(OURS) is portrait
    assert moved.on(TIGHT) is moved
    np.testing.assert_allclose(in_photograph(moved), in_photograph(portrait), atol=1e-3)
    expected, matrix = align(in_photograph(portrait), TIGHT)
    np.testing.assert_allclose(moved.landmarks, expected, atol=1e-3)
    np.testing.assert_array_equal(moved.crop(), warp_crop(portrait.image, moved.matrix))
    np.testing.assert_allclose(moved.matrix, matrix, atol=1e-6)
    assert np.abs(moved.landmarks[27:45] - TIGHT.places).mean() < 2
    assert np.abs(moved.landmarks[27:45] - TEMPLATE[:18]).mean() > 5
    back = moved.on(OURS)
    np.testing.assert_allclose(back.landmarks, portrait.landmarks, atol=1e-3)


def test_a_system_is_shown_its_own_crop(portrait, speech):
    system = Dot()
    clip = Talker(system, device="cpu").talk(portrait, speech)
    (face,) = system.seen
    moved = portrait.on(TIGHT)
    np.testing.assert_array_equal(face.landmarks, moved.landmarks)
    np.testing.assert_array_equal(face.picture, moved.crop())
    np.testing.assert_array_equal(clip.landmarks[0], moved.landmarks)


@pytest.mark.parametrize("view", ["photograph", "face", "scene"])
def test_it_is_pasted_back_where_it_was_cut_out(portrait, speech, view):
    """The dot of 9 crop pixels lies on the nose of the photograph, as large as the crop was magnified."""
    talker = Talker(Dot(), device="cpu")
    (picture, _) = pictures(talker, portrait, speech, view=view, marked=False)
    red = (picture[..., 0].astype(int) > 180) & (picture[..., 1] < 40)
    moved = portrait.on(TIGHT)
    if view == "photograph":
        place, scale = in_photograph(portrait)[30], 1 / np.sqrt(np.linalg.det(moved.matrix[:, :2]))
    elif view == "face":
        place, scale = 2 * moved.landmarks[30] + 0.5, 2
    else:
        red[:, red.shape[1] // 2 :] = False  # the drawing beside it
        panel, zoom, middle = 448 / 128, 0.74, np.array([64, 0.52 * 128])
        scale = panel * zoom
        place = 16 + panel * (zoom * moved.landmarks[30] + (1 - zoom) * middle + 0.5) - 0.5
    found = np.argwhere(red)[:, ::-1].mean(0)
    assert np.linalg.norm(found - place) < 0.75 * scale
    assert red.sum() == pytest.approx((9 * scale) ** 2, rel=0.12)


@pytest.mark.parametrize("side", [128, 256])
def test_it_is_measured_in_its_own_crop(side):
    """Truth through the crop and back: only the resampling is lost, and only inside of the crop."""
    face = ShapePCA.pretrained().decode(np.zeros(6, np.float32))
    y, x = np.mgrid[:side, :side] * 128 / side
    waves = 120 + 60 * np.sin(x / 6) + 40 * np.cos(y / 5)
    frames = np.stack([np.stack([waves + t, waves, 240 - waves], -1) for t in (0, 9)]).astype(np.uint8)
    landmarks = np.stack([face, face]).astype(np.float32)
    landmarks[1, 48:] += [0, 2]
    clip = Clip(frames=frames, landmarks=landmarks, speech=np.zeros(1280, np.float32))

    class Knows(SmallLamp):
        name, template = "knows", TIGHT

        def rows(self, clip, shown, rng, *, pictures):
            self.asked = clip
            return {"from_speech": Shown(clip.landmarks, clip.frames if pictures else None)}

    system = Knows()
    row = evaluate(system, [clip], pictures=True)["systems"]["knows"]["from_speech"]
    assert np.abs(system.asked.landmarks[0, 27:45] - TIGHT.places).mean() < 2
    assert system.asked.frames.shape == (2, 128, 128, 3)
    assert row["mouth_landmark_distance"]["median"] < 1e-3
    assert row["landmark_distance"]["median"] < 1e-3
    assert row["mouth_psnr"]["median"] > 34
    ours = replace(clip, frames=None)
    row = evaluate(system, [ours])["systems"]["knows"]["from_speech"]
    assert row["landmark_distance"]["median"] < 1e-3
    assert system.asked.frames is None
