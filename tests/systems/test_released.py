"""The system with released weights: ours beside the networks written out, and the released demo."""

import math
import re
from collections import OrderedDict

import numpy as np
import pytest
import python_speech_features
import torch
from released_networks import at_net_shapes, reference_at_net, reference_vg_net, vg_net_shapes
from scipy.linalg import orthogonal_procrustes

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_pictures
from talkface_lite.errors import InputError
from talkface_lite.landmarks import normalise
from talkface_lite.networks.at_net import ATVGNET_BOOST
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg.released import load_released, released_frame
from talkface_lite.systems.atvg.system import ATVGnetSettings
from talkface_lite.systems.base import Face
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore:without --template")


@pytest.fixture(scope="module")
def released(at_state, vg_state, shape_files, tmp_path_factory):
    """Loaded from the two formats, AT-net's the old one with ``module.`` and counters."""
    folder = tmp_path_factory.mktemp("weights")
    old = OrderedDict((f"module.{name}", value) for name, value in at_state.items())
    old["module.audio_eocder.0.1.num_batches_tracked"] = torch.tensor(7)
    torch.save(old, folder / "at.pth", _use_new_zipfile_serialization=False)
    torch.save(vg_state, folder / "vg.pth")
    system = load_released(folder / "at.pth", folder / "vg.pth", **shape_files)
    for file in folder.iterdir():
        file.unlink()
    return system


def generate(system, speech, photo, face):
    """Landmarks and pictures of a whole film."""
    made = list(system.film(Face(photo, face), speech, np.random.default_rng(0)))
    return tuple(np.concatenate([getattr(one, name) for one in made]) for name in ("landmarks", "frames"))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(4).integers(0, 256, (128, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def face():
    """Somebody in the crop: not the mean face, tilted and off the centre."""
    rng = np.random.default_rng(5)
    mean = ShapePCA.pretrained().decode(np.zeros(6, np.float32)) - 64
    turn = np.array([[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]])
    return (0.8 * mean @ turn + rng.normal(0, 1.5, (68, 2)) + [70, 60]).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    return (0.1 * np.random.default_rng(6).standard_normal(640 * 3 - 100)).astype(np.float32)


def test_parameter_counts():
    for shapes, count in ((at_net_shapes(), 30_071_750), (vg_net_shapes(), 58_355_781)):
        assert sum(math.prod(shape) for name, shape in shapes.items() if "running" not in name) == count


@pytest.mark.parametrize("batch", [1, 2])
def test_at_net_is_the_released_one(released, at_state, batch):
    generator = torch.Generator().manual_seed(batch)
    mfcc = 4 * torch.randn(batch, 3, 28, 12, generator=generator)
    h_p = torch.randn(batch, 6, generator=generator)
    expected = reference_at_net(at_state, h_p, mfcc)
    with torch.inference_mode():
        h, _ = released.at_net.at_net(mfcc, h_p)
        other, _ = released.at_net.at_net(mfcc, -h_p)
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=1e-4)
    assert (h - other).abs().max() > 1e-3


@pytest.mark.parametrize("batch", [1, 2])
def test_vg_net_is_the_released_one(released, vg_state, batch):
    generator = torch.Generator().manual_seed(batch)
    image = 2 * torch.rand(batch, 3, 128, 128, generator=generator) - 1
    example, landmarks = (
        torch.randn(batch, 136, generator=generator),
        torch.randn(batch, 2, 136, generator=generator),
    )
    expected = reference_vg_net(vg_state, image, landmarks, example)
    with torch.inference_mode():
        made, _ = released.vg_net.vg_net(image, example, landmarks)
    for name, ours, theirs in zip(made._fields, made, expected):
        assert theirs.std() > 0.02, f"{name} says nothing"
        assert theirs.abs().max() < 1, f"{name} is at its bounds"
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


def test_released_frame_is_procrustes(face, shape_files):
    mean = np.load(shape_files["mean"])
    centred = face - face.mean(0)
    rotation, _ = orthogonal_procrustes(centred, mean.reshape(68, 2))
    expected = 5 * centred @ rotation / np.linalg.norm(centred)
    frame = released_frame(face, mean)
    units = normalise(face @ frame[:, :2].T + frame[:, 2])
    np.testing.assert_allclose(units, expected, atol=1e-5)
    assert 0.5 < np.abs(units).max() < 1.5
    # the place, size and tilt of a face in its picture do not matter
    moved = released_frame(0.5 * face @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 30, mean)
    np.testing.assert_allclose(
        normalise((0.5 * face @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 30) @ moved[:, :2].T + moved[:, 2]),
        units,
        atol=1e-5,
    )
    with pytest.raises(InputError, match="all coincide"):
        released_frame(np.ones((68, 2)), mean)
    for wrong in (face[:67], np.full((68, 2), np.nan)):
        with pytest.raises(InputError, match=re.escape("landmarks: got shape")):
            released_frame(wrong, mean)


def test_generate_is_the_released_demo(released, at_state, vg_state, shape_files, face, photo, speech):
    """The demo written out; it pads 120 ms on both sides and gives a frame less, so here the end has more."""
    mean, basis = np.load(shape_files["mean"]), np.load(shape_files["basis"])[:, :6]
    padded = np.concatenate([np.zeros(1920), speech, np.zeros(3000)])
    rows = python_speech_features.mfcc(padded, 16000, winstep=0.01)[:, 1:]
    windows = np.stack([rows[4 * t : 4 * t + 28] for t in range(3)])
    centred = face - face.mean(0).astype(np.float64)
    rotation, _ = orthogonal_procrustes(centred, mean.reshape(68, 2))
    p_p = (5 * centred @ rotation / np.linalg.norm(centred)).reshape(136)
    h_p = (p_p - mean) @ basis
    h = reference_at_net(at_state, torch.tensor(h_p)[None].float(), torch.tensor(windows)[None].float())[0]
    p_t = (h.numpy() * [1, 2.2, 2.4, 2.6, 2.8, 3]) @ basis.T + mean
    image = torch.tensor(photo / 127.5 - 1).float().movedim(-1, 0)[None]
    seen = torch.tensor(h_p @ basis.T + mean).float()[None]
    frames, *_ = reference_vg_net(vg_state, image, torch.tensor(p_t).float()[None], seen)
    unseen, *_ = reference_vg_net(
        vg_state, image, torch.tensor(p_t).float()[None], torch.tensor(p_p).float()[None]
    )
    assert (frames - unseen).abs().max() > 0.01
    assert (frames[:, 0] - frames[:, 2]).abs().max() > 0.002

    landmarks, film = generate(released, speech, photo, face)
    assert landmarks.shape == (3, 68, 2)
    assert landmarks.dtype == np.float32
    in_crop = p_t.reshape(3, 68, 2) / 5 * np.linalg.norm(centred) @ rotation.T + face.mean(0)
    np.testing.assert_allclose(landmarks, in_crop, atol=1e-3)
    assert film.shape == (3, 128, 128, 3)
    assert film.dtype == np.uint8
    expected = (frames[0].movedim(1, -1).numpy() + 1) * 127.5
    assert np.abs(film - expected).max() < 0.51
    (made,) = released.paint(photo, face, landmarks)
    torch.testing.assert_close(made.frames, frames, atol=1e-4, rtol=0)


def test_long_speech_in_pieces(released, face, photo):
    speech = (0.1 * np.random.default_rng(7).standard_normal(640 * 5)).astype(np.float32)
    whole = released.speak(speech, face, chunk_frames=None)
    assert whole.shape == (5, 68, 2)
    np.testing.assert_allclose(released.speak(speech, face, chunk_frames=2), whole, atol=1e-4)
    pieces = list(released.paint(photo, face, whole[:3], chunk_frames=2))
    assert [made.frames.shape[1] for made in pieces] == [2, 1]
    (at_once,) = released.paint(photo, face, whole[:3])
    for name in at_once._fields:
        together = torch.cat([getattr(made, name) for made in pieces], 1)
        torch.testing.assert_close(together, getattr(at_once, name), atol=1e-4, rtol=0)
    assert to_pictures(at_once.frames[0]).shape == (3, 128, 128, 3)


def test_what_is_not_speech_or_photograph_is_refused(released, face, photo, speech):
    with pytest.raises(InputError, match="speech"):
        generate(released, speech[:0], photo, face)
    with pytest.raises(InputError, match="speech"):
        released.speak(np.full(640, np.nan, np.float32), face)
    with pytest.raises(InputError, match="photo"):
        list(released.paint(photo[:64], face, face[None]))
    with pytest.raises(InputError, match="landmarks"):
        generate(released, speech, photo, face[None])


def test_the_best_that_six_components_could_do_is_seen_in_the_released_frame(released, shape_files, face):
    mean, basis = np.load(shape_files["mean"]), np.load(shape_files["basis"])[:, :6]
    landmarks = face + np.random.default_rng(8).normal(0, 3, (4, 68, 2)).astype(np.float32)
    clip = Clip(frames=None, landmarks=landmarks, speech=np.zeros(4 * 640, np.float32))
    rows = released.rows(clip, 2, np.random.default_rng(0), pictures=False)
    example = landmarks[2].astype(np.float64)
    centred, centre = example - example.mean(0), example.mean(0)
    rotation, _ = orthogonal_procrustes(centred, mean.reshape(68, 2))
    units = 5 / np.linalg.norm(centred) * (landmarks - centre) @ rotation
    nearest = (units.reshape(4, 136) - mean) @ basis @ basis.T + mean
    expected = nearest.reshape(4, 68, 2) / 5 * np.linalg.norm(centred) @ rotation.T + centre
    assert set(rows) == {"from_speech", "best_possible"}
    np.testing.assert_allclose(rows["best_possible"].landmarks, expected, atol=1e-3)
    np.testing.assert_array_equal(
        rows["from_speech"].landmarks, released.speak(clip.speech, clip.landmarks[2])
    )


def test_omega_is_the_demos():
    assert ATVGNET_BOOST == (1, 2.2, 2.4, 2.6, 2.8, 3)


def test_talker_films_with_released_files(
    at_state, vg_state, shape_files, released, photo, face, speech, tmp_path
):
    torch.save(at_state, tmp_path / "at.pth")
    torch.save(vg_state, tmp_path / "vg.pth")
    settings = ATVGnetSettings(basis=tuple(shape_files.values()))
    files = [tmp_path / "at.pth", tmp_path / "vg.pth"]
    with pytest.warns(UserWarning, match="without --template the place"):
        talker = Talker.load("atvg", weights=files, settings=settings, device="cpu")
    portrait = Portrait(image=photo, landmarks=face, matrix=np.eye(2, 3), name="somebody")
    clip = talker.talk(portrait, speech)
    # cut by the authors' template, not by ours; and in 32 bits, so not a level from the plain network's
    theirs = portrait.on(released.template)
    landmarks, frames = generate(released, clip.speech, theirs.crop(), theirs.landmarks)
    np.testing.assert_allclose(clip.landmarks, landmarks, atol=1e-3)
    assert np.abs(clip.frames.astype(int) - frames).max() <= 1
    assert (clip.frames != frames).mean() < 1e-3
    with pytest.raises(InputError, match="1 files"):
        Talker.load("atvg", weights=files[:1], settings=settings)
    with pytest.raises(InputError, match=r"at\.pth: got released weights alone, expected --basis MEAN U"):
        Talker.load("atvg", weights=files)
