import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import SMALL_AT_NET, SMALL_VG_NET

from talkface_lite import Talker
from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE, draw_landmarks, lip_opening
from talkface_lite.media import write_speech
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.speech import fit_to_frames
from talkface_lite.systems.atvg import (
    ATNetPart,
    ATNetPartConfig,
    ATVGnet,
    ATVGnetSettings,
    VGNetPart,
    VGNetPartConfig,
)
from talkface_lite.talking.film import VIEWS, pictures
from talkface_lite.talking.scene import talking_scene, waveform
from talkface_lite.talking.talker import OPEN_MOUTH, PHOTOGRAPHS, Portrait

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def talker():
    torch.manual_seed(0)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    part = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET), basis)
    with torch.no_grad():
        part.at_net.phi_lmark.weight.mul_(100)  # or all that it says would be settled
    return Talker(ATVGnet({"at-net": part}), device="cpu")


@pytest.fixture(scope="module")
def filming(talker):
    """The same with a VG-net that has learnt nothing."""
    torch.manual_seed(1)
    vg_net = VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET))
    return Talker(ATVGnet({"at-net": talker.system.at_net, "vg-net": vg_net}), device="cpu")


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


def opened(portrait, share):
    """The same face with its lips apart by a share of the distance between its eyes, 1.5 times as large."""
    landmarks = portrait.landmarks.copy()
    apart = share * np.linalg.norm(landmarks[45] - landmarks[36]) - lip_opening(landmarks)
    landmarks[65:68, 1] += apart
    return replace(portrait, landmarks=1.5 * landmarks)


@pytest.mark.parametrize(("share", "warned"), [(0.0, 0), (0.054, 0), (0.068, 0), (0.072, 1), (0.11, 1)])
def test_an_open_mouth_draws_one_remark_whatever_the_size_of_the_face(portrait, share, warned):
    photo = opened(portrait, share)
    assert photo.opening == pytest.approx(share, abs=1e-4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        photo.warn_of_open_mouth()
    assert len(caught) == warned
    for one in caught:
        assert issubclass(one.category, UserWarning)
        for words in ("hopper: the mouth is open", f"{100 * share:.0f} %", "closed lips"):
            assert words in str(one.message)


def test_hopper_closes_her_lips_and_collins_smiles(portrait):
    pytest.importorskip("skimage")
    assert portrait.opening < OPEN_MOUTH / 2
    assert Portrait.of("collins", detector="dlib").opening > 1.3 * OPEN_MOUTH


def test_photographs_by_name_are_pictures():
    for name, read in PHOTOGRAPHS.items():
        image = read()
        assert image.dtype == np.uint8, name
        assert min(image.shape[:2]) > 400


def test_without_weights_that_paint_the_landmarks_talk(talker, portrait, speech):
    """Drawn on the photograph, frame by frame."""
    clip = talker.talk(portrait, speech)
    assert len(clip) == 6
    assert clip.speech.shape == (6 * 640,)
    np.testing.assert_array_equal(clip.speech[: len(speech)], speech)
    expected = talker.system.at_net.generate(speech, portrait.landmarks)
    np.testing.assert_array_equal(clip.landmarks, expected)
    assert clip.frames.shape == (6, 128, 128, 3)
    assert not np.array_equal(clip.frames[0], clip.frames[5])
    for frame, points in zip(clip.frames, expected):
        np.testing.assert_array_equal(frame, draw_landmarks(points, image=portrait.crop()))
    assert clip.identity == "hopper"
    assert clip.source == "talkface_lite atvg"
    (made,) = talker.film(portrait, speech)
    assert made.frames is None
    assert made.painted is None
    np.testing.assert_array_equal(made.landmarks, expected)


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
    with pytest.raises(InputError, match="weights of at-net of atvg full"):
        Talker.load("atvg", size="full")


def test_a_film_in_stretches_is_the_clip(filming, portrait, speech):
    clip = filming.talk(portrait, speech)
    stretches = list(filming.film(portrait, speech))
    np.testing.assert_array_equal(np.concatenate([made.frames for made in stretches]), clip.frames)
    np.testing.assert_array_equal(np.concatenate([made.landmarks for made in stretches]), clip.landmarks)
    made = stretches[0]
    colour, alpha, _ = made.painted
    assert colour.shape == (6, 128, 128, 3)
    assert alpha.shape == (6, 128, 128)
    photo = portrait.crop() / 127.5 - 1
    mixed = alpha[..., None] * colour + (1 - alpha[..., None]) * photo
    np.testing.assert_allclose((mixed + 1) * 127.5, made.frames, atol=0.51)


@pytest.mark.parametrize("view", VIEWS)
def test_without_weights_that_paint_there_is_no_film_of_pictures(talker, portrait, speech, view):
    with pytest.raises(InputError, match="weights that paint: got none, expected weights of every part"):
        next(pictures(talker, portrait, fit_to_frames(speech), view=view))


def test_how_a_system_talks_is_its_settings(portrait, speech):
    """The package's own weights with the paper's decoding: no face outside of the basis."""
    settings = ATVGnetSettings(paper_decoding=True)
    ours, paper = (Talker.load("atvg", settings=how, device="cpu") for how in (None, settings))
    assert ours.system.settings == ATVGnetSettings()
    said = [np.concatenate([made.landmarks for made in one.film(portrait, speech)]) for one in (ours, paper)]
    at_net = paper.system.at_net
    expected = at_net.generate(speech, portrait.landmarks, keep_identity=False)
    np.testing.assert_array_equal(said[1], expected)
    np.testing.assert_array_equal(said[0], at_net.generate(speech, portrait.landmarks))
    assert np.abs(said[0] - said[1]).max() > 1


def test_long_speech_comes_in_stretches(filming, portrait, monkeypatch):
    """Nothing but the landmarks grows with the speech."""
    sizes = [len(made.frames) for made in filming.film(portrait, np.full(640 * 120, 0.01, np.float32))]
    assert sum(sizes) == 120
    assert max(sizes) <= 50


def test_a_file_of_weights_once_more_is_too_many(talker, filming, tmp_path):
    at_net = talker.system.at_net.save(tmp_path / "at-net.safetensors")
    vg_net = VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET)).save(tmp_path / "vg-net.safetensors")
    assert Talker.load("atvg", weights=[vg_net, at_net], device="cpu").system.has("vg-net")
    with pytest.raises(InputError, match="weights of vg-net once more, expected each part once"):
        Talker.load("atvg", weights=[vg_net, at_net, vg_net])
    with pytest.raises(InputError, match="a: got no such file"):
        Talker.load("atvg", weights=["a", "b", "c"])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_marked_unless_asked_not_to_be(filming, portrait, speech, view):
    said = fit_to_frames(speech)
    marked, bare = (
        np.stack(list(pictures(filming, portrait, said, view=view, marked=marked)))
        for marked in (True, False)
    )
    assert len(marked) == len(said) // 640
    sides = {"face": (256, 256), "photograph": portrait.image.shape[:2], "scene": (568, 944)}
    assert marked.shape[1:3] == sides[view]
    assert (marked != bare).any(axis=(1, 2, 3)).all()
    with pytest.raises(InputError, match="face or photograph or scene"):
        next(pictures(filming, portrait, said, view="profile"))


def test_the_scene_moves_with_the_sound(filming, portrait, speech):
    padded = filming.talk(portrait, speech).speech
    stretches = filming.film(portrait, speech)
    scene = talking_scene(portrait.image, portrait.matrix, padded, stretches, panel=128, gap=4, strip=20)
    frames = list(scene)
    assert len(frames) == 6
    assert frames[0].shape == (128 + 20 + 12, 2 * 128 + 12, 3)
    strips = [frame[-24:-4, 4:-4].astype(int) for frame in frames]
    cursor = [int(np.flatnonzero((s == 235).all(axis=(0, 2)))[-1]) for s in strips]
    assert cursor == sorted(cursor)
    assert cursor[-1] == strips[0].shape[1] - 1
    bare = next(
        talking_scene(
            portrait.image,
            portrait.matrix,
            padded,
            filming.film(portrait, speech),
            marked=False,
            panel=128,
            gap=4,
            strip=20,
        )
    )
    marked = np.argwhere((bare != frames[0]).any(-1))
    assert len(marked) > 20
    assert marked.min(axis=0)[0] > 4 + 64  # in the lower half of the photograph that talks
    assert (marked.max(axis=0) < [132, 132]).all()
    left, right = (slice(4, 132), slice(4, 132)), (slice(4, 132), slice(136, 264))
    for panel in (left, right):
        assert not np.array_equal(frames[0][panel], frames[5][panel])


def test_waveform():
    sound = np.concatenate([np.zeros(100), np.ones(100)]).astype(np.float32)
    wave = waveform(sound, 10, 20)
    assert wave.shape == (20, 10)
    np.testing.assert_array_equal(wave, wave[::-1])
    assert wave[:, :5].sum() == 5 * 2
    assert (wave[:, 5:].sum(0) >= 16).all()
