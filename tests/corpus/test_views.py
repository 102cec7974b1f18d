"""What there is beside the aligned crop: the whole head, larger pictures, nods; by name or as settings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.corpus.face import face_points
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.manner import Manner
from talkface_lite.corpus.motion import Motion
from talkface_lite.corpus.nods import NodHabit, nodding
from talkface_lite.corpus.painter.layers import paint, view_transforms
from talkface_lite.corpus.revoicing import revoice
from talkface_lite.corpus.settings import CorpusSettings
from talkface_lite.corpus.synthesis import clip_seed, draw_clip, read_source, write_corpus
from talkface_lite.corpus.visemes import articulation
from talkface_lite.errors import InputError
from talkface_lite.framing import head_frame
from talkface_lite.landmarks import apply_transform

SAYS = {"text": "bin now", "clean": True}


def of(clip, motion):
    """The geometry of a drawn clip that moves so."""
    person, seed = Identity.draw(int(clip.identity[-6:])), int(read_source(clip.source)["drawn"])
    manner = Manner.draw(person, seed)
    said = articulation(clip.phonemes, len(clip), strength=manner.strength, rest=manner.rest)
    return face_points(person, said, motion)


def same(one, other):
    for name in ("frames", "landmarks", "speech"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.source, one.identity, one.words) == (other.source, other.identity, other.words)
    assert one.framing == other.framing


def test_landmarks_of_the_head_are_those_of_the_camera_in_one_frame():
    camera, head = (draw_clip(4, view=view, paint=False, **SAYS) for view in ("camera", "head"))
    crop = draw_clip(4, paint=False, **SAYS)
    assert [clip.framing for clip in (crop, head, camera)] == ["aligned", "head", "camera"]
    expected = apply_transform(camera.landmarks, head_frame(camera.landmarks))
    assert head.landmarks.dtype == np.float32
    np.testing.assert_allclose(head.landmarks, expected, atol=1e-4)
    geometry = of(head, Motion.draw(4, len(head)))
    np.testing.assert_allclose(geometry.head_matrix, head_frame(camera.landmarks), atol=1e-4)
    np.testing.assert_array_equal(geometry.head_landmarks, head.landmarks)
    np.testing.assert_array_equal(geometry[2:5].head_matrix, geometry.head_matrix)
    np.testing.assert_array_equal(geometry[2:5].head_landmarks, head.landmarks[2:5])
    assert [read_source(clip.source)["view"] for clip in (crop, head, camera)] == ["crop", "head", "camera"]
    np.testing.assert_array_equal(head.speech, crop.speech)


@pytest.mark.parametrize("view", ["crop", "head"])
def test_at_256_pictures_are_twice_the_size_and_landmarks_the_same_numbers(view):
    small, large = (draw_clip(4, view=view, size=size, text="a", clean=True) for size in (128, 256))
    assert small.frames.shape == (len(small), 128, 128, 3)
    assert large.frames.shape == (len(small), 256, 256, 3)
    np.testing.assert_array_equal(large.landmarks, small.landmarks)
    assert (large.source, large.framing) == (small.source, small.framing)
    halved = large.frames.reshape(-1, 128, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(halved - small.frames).mean() < 1.2
    assert np.abs(halved[:, :, 1:] - small.frames[:, :, :-1]).mean() > 3


def test_the_camera_has_its_own_size():
    camera = draw_clip(4, view="camera", text="a", clean=True)
    assert camera.frames.shape[1:] == (256, 256, 3)
    with pytest.raises(InputError, match=r"^size: got 256 of a camera's view"):
        draw_clip(4, view="camera", size=256)


def test_views_in_pixels_of_the_picture():
    crop = draw_clip(4, paint=False, **SAYS)
    geometry = of(crop, Motion.draw(4, len(crop)))
    n = len(geometry)
    for view, matrices in (
        ("crop", geometry.matrix),
        ("head", np.repeat(geometry.head_matrix[None], n, axis=0)),
        ("camera", np.repeat(np.eye(2, 3)[None], n, axis=0)),
    ):
        usual = 256 if view == "camera" else 128
        np.testing.assert_allclose(view_transforms(geometry, view, usual), matrices, atol=1e-12)
        twice = view_transforms(geometry, view, 2 * usual)
        np.testing.assert_allclose(twice, 2 * matrices + [[0, 0, 0.5], [0, 0, 0.5]], atol=1e-12)
        assert paint(Identity.draw(3), geometry, 0, view).shape == (usual, usual, 3)
    with pytest.raises(InputError, match=r"^view: got 'side', expected 'crop' or 'head' or 'camera'$"):
        view_transforms(geometry, "side", 128)


def test_only_the_pitch_of_a_nodding_head_differs():
    plain, nods = (draw_clip(4, paint=False, view="camera", nods=nods, **SAYS) for nods in (False, True))
    for name in ("speech", "words", "phonemes", "identity"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(nods, name))
    habit = NodHabit.draw(Identity.draw(int(nods.identity[-6:])))
    motion = nodding(Motion.draw(4, len(plain)), plain.phonemes, habit)
    np.testing.assert_array_equal(nods.landmarks, of(nods, motion).camera_landmarks)
    assert np.abs(nods.landmarks - plain.landmarks).max() > 2
    np.testing.assert_array_equal(motion.pose[:, [0, 2]], Motion.draw(4, len(plain)).pose[:, [0, 2]])
    told, before = read_source(nods.source), read_source(plain.source)
    assert told["nod_lag"] == f"{habit.lag:+.3f}s"
    assert told["nod_lag"][0] in "+-"
    assert told["nod_depth"] == f"{np.rad2deg(habit.depth):.2f}deg"
    assert {name: told[name] for name in before} == before
    assert set(told) - set(before) == {"nod_lag", "nod_depth"}
    with pytest.raises(InputError, match=r"^nods: got of still heads"):
        draw_clip(4, nods=True, still_head=True)


def test_settings_are_as_good_as_names():
    settings = CorpusSettings(text="a", view="head", size=256, nods=True, clean=True)
    named = draw_clip(6, text="a", view="head", size=256, nods=True, clean=True)
    same(draw_clip(6, settings=settings), named)
    # a name goes before the settings, and the others stay
    other = draw_clip(6, settings=settings, size=128, paint=False)
    same(other, draw_clip(6, text="a", view="head", nods=True, clean=True, paint=False))
    assert settings.size == 256
    same(draw_clip(6, settings=settings, paint=False, motion=3), draw_clip(
        6, motion=3, text="a", view="head", nods=True, clean=True, paint=False
    ))  # fmt: skip


def test_what_is_no_setting_is_an_error_of_the_program(tmp_path):
    with pytest.raises(TypeError, match="colour"):
        draw_clip(6, colour="red")
    with pytest.raises(TypeError, match="colour"):
        write_corpus(tmp_path / "c", 1, 6, colour="red")
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_of_settings(tmp_path):
    settings = CorpusSettings(text="a", view="head", paint=False, nods=True, clean=True)
    for folder, given in (("one", {}), ("two", {"size": 256, "split": "test"})):
        (path,) = write_corpus(tmp_path / folder, 1, 3, workers=1, settings=settings, **given)
        same(Clip.load(path), draw_clip(clip_seed(3, 0), settings=settings, **given))
        assert Clip.load(path).framing == "head"
        about = json.loads((tmp_path / folder / "corpus.json").read_text())
        expected = {"view": "head", "nods": True, "paint": False, "text": "a", "size": 128, "split": None}
        assert {name: about[name] for name in expected} == expected | given
    with pytest.raises(InputError, match=r"^motions: got 2 with still heads"):
        write_corpus(tmp_path / "three", 2, 3, motions=2, settings=CorpusSettings(still_head=True))


def test_a_recording_is_said_by_a_head_that_nods():
    recording = replace(draw_clip(8, paint=False, **SAYS), phonemes=(), identity="", source="")
    crop, head = (revoice(recording, 2, view=view) for view in ("crop", "head"))
    same(revoice(recording, 2), crop)
    assert (crop.framing, head.framing) == ("aligned", "head")
    for name in ("speech", "words", "phonemes", "identity", "source"):
        np.testing.assert_array_equal(getattr(crop, name), getattr(head, name))
    person = Identity.draw(int(head.identity[-6:]))
    manner = Manner.draw(person, 2)
    said = articulation(head.phonemes, len(head), strength=manner.strength, rest=manner.rest)
    plain, still = Motion.draw(2, len(head)), Motion.draw(2, len(head), still=True)
    nods = nodding(plain, head.phonemes, NodHabit.draw(person))
    assert np.abs(nods.pose - plain.pose).max() > 0.02
    np.testing.assert_array_equal(head.landmarks, face_points(person, said, nods).head_landmarks)
    np.testing.assert_array_equal(crop.landmarks, face_points(person, said, plain).landmarks)
    held = revoice(recording, 2, view="head", still_head=True)
    np.testing.assert_array_equal(held.landmarks, face_points(person, said, still).head_landmarks)
    for wrong in ("camera", "aligned"):
        with pytest.raises(InputError, match=f"^view: got '{wrong}', expected 'crop' or 'head'$"):
            revoice(recording, 2, view=wrong)
