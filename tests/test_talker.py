import numpy as np
import pytest
import torch

from talkface_lite import Talker
from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE
from talkface_lite.media import write_speech
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.scene import talking_scene, waveform
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg import ATVG, ATVGConfig
from talkface_lite.talker import PHOTOGRAPHS, Portrait

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def talker():
    torch.manual_seed(0)
    small = ATNetConfig(channels=(2, 2, 2, 2, 2), audio=(8, 8), landmark=(4, 4), hidden=8, layers=1)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    return Talker(ATVG(ATVGConfig(at_net=small), basis), device="cpu")


@pytest.fixture(scope="module")
def portrait():
    pytest.importorskip("dlib")
    return Portrait.of("hopper", detector="dlib")


@pytest.fixture
def speech():
    return (0.1 * np.random.default_rng(1).standard_normal(640 * 5 + 1)).astype(np.float32)


def test_a_portrait_lies_on_the_template(portrait):
    assert portrait.landmarks.shape == (68, 2)
    assert np.abs(portrait.landmarks[ANCHORS] - TEMPLATE).mean() < 3
    assert portrait.crop().shape == (128, 128, 3)
    assert portrait.crop(256).shape == (256, 256, 3)
    assert portrait.name == "hopper"
    assert Portrait.of(portrait) is portrait


def test_photographs_by_name_are_pictures():
    for name, read in PHOTOGRAPHS.items():
        image = read()
        assert image.dtype == np.uint8, name
        assert min(image.shape[:2]) > 400


def test_talking_gives_a_clip(talker, portrait, speech):
    clip = talker.talk(portrait, speech)
    assert len(clip) == 6
    assert clip.speech.shape == (6 * 640,)
    np.testing.assert_array_equal(clip.speech[: len(speech)], speech)
    np.testing.assert_array_equal(clip.landmarks, talker.system.generate(speech, portrait.landmarks))
    assert clip.frames.shape == (6, 128, 128, 3)
    assert not np.array_equal(clip.frames[0], clip.frames[5])
    assert clip.identity == "hopper"


def test_a_file_and_an_array_say_the_same(talker, portrait, speech, tmp_path):
    path = write_speech(tmp_path / "hello.wav", speech)
    from_file, from_array = talker.talk(portrait, path), talker.talk(portrait, speech)
    assert np.abs(from_file.landmarks - from_array.landmarks).max() < 0.05  # 16-bit


def test_a_picture_without_a_face(talker, speech):
    pytest.importorskip("dlib")
    with pytest.raises(InputError, match="photo"):
        talker.talk(np.full((200, 200, 3), 127, np.uint8), speech, detector="dlib")
    with pytest.raises(InputError, match="no such file"):
        talker.talk("nobody.jpg", speech)


def test_weights_that_are_not_there():
    with pytest.raises(InputError, match="weights of atvg full"):
        Talker.load("atvg", size="full")


def test_the_scene_moves_with_the_sound(talker, portrait, speech):
    clip = talker.talk(portrait, speech)
    frames = list(talking_scene(portrait.image, portrait.matrix, clip, panel=128, gap=4, strip=20))
    assert len(frames) == 6
    assert frames[0].shape == (128 + 20 + 12, 2 * 128 + 12, 3)
    strips = [frame[-24:-4, 4:-4].astype(int) for frame in frames]
    cursor = [int(np.flatnonzero((s == 235).all(axis=(0, 2)))[-1]) for s in strips]
    assert cursor == sorted(cursor)
    assert cursor[-1] == strips[0].shape[1] - 1
    assert not np.array_equal(frames[0][:128], frames[5][:128])


def test_waveform():
    sound = np.concatenate([np.zeros(100), np.ones(100)]).astype(np.float32)
    wave = waveform(sound, 10, 20)
    assert wave.shape == (20, 10)
    np.testing.assert_array_equal(wave, wave[::-1])
    assert wave[:, :5].sum() == 5 * 2
    assert (wave[:, 5:].sum(0) >= 16).all()
