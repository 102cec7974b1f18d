"""The recurrent network talks: stretches, photographs, what a film depends on."""

import numpy as np
import pytest
import torch
from recurrent_parts import make_part

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.errors import InputError
from talkface_lite.speech import mfcc_windows, window_reach
from talkface_lite.systems.base import Face
from talkface_lite.systems.recurrent import RecurrentSettings, RecurrentSystem
from talkface_lite.systems.recurrent import system as module

torch.set_num_threads(1)


def make_system(**options):
    part = make_part(discriminators=None, lip_discriminator=None, **options)
    return RecurrentSystem({part.name: part.eval()})


@pytest.fixture(scope="module")
def portrait(face):
    return Face(face[0], face[1])


@pytest.fixture(scope="module")
def speech():
    return (0.1 * np.random.default_rng(0).standard_normal(640 * 9)).astype(np.float32)


def film_of(system, portrait, speech):
    made = list(system.checked_film(portrait, speech, np.random.default_rng(0)))
    assert all(stretch.landmarks is None for stretch in made)
    return np.concatenate([stretch.frames for stretch in made])


@pytest.mark.parametrize("rows", [35, 14])
def test_a_film_is_what_the_network_makes_of_all_the_sound(portrait, speech, rows, monkeypatch):
    system = make_system(rows=rows)
    monkeypatch.setattr(module, "CHUNK_FRAMES", 4)
    photo = to_network(torch.tensor(portrait.picture)[None])
    with torch.no_grad():
        made = system.generator.generator(photo, torch.from_numpy(mfcc_windows(speech, rows=rows))[None])
    wanted = to_pictures(made.made.frames[0])
    found = film_of(system, portrait, speech)
    assert found.shape == (9, 128, 128, 3)
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert np.array_equal(found, film_of(system, portrait, speech))


@pytest.mark.parametrize("scheme", ["recurrent", "frame", "sequential", "fed back"])
def test_sound_that_is_to_come_changes_nothing(portrait, speech, scheme):
    system, other = make_system(scheme=scheme), speech.copy()
    other[640 * 7 :] *= -0.5
    deaf = sum(window_reach(t, rows=35)[1] <= 640 * 7 for t in range(9))
    before, after = (film_of(system, portrait, one) for one in (speech, other))
    assert deaf == 2
    assert np.array_equal(before[:deaf], after[:deaf])
    assert not np.array_equal(before[deaf:], after[deaf:])


def test_it_is_in_evaluation_mode_while_it_talks(portrait, speech):
    system = make_system(batch_norm=True, normalised=True)
    evaluated = film_of(system, portrait, speech)
    part = system.generator.train()
    assert np.array_equal(film_of(system, portrait, speech), evaluated)
    assert part.training


def test_what_is_painted_is_told_where_the_photograph_is_moved(portrait, speech):
    (plain,) = make_system().film(portrait, speech, None)
    (moved,) = make_system(warp=True).film(portrait, speech, None)
    assert plain.painted is None
    assert moved.painted.colour.shape == (9, 128, 128, 3)
    assert moved.painted.alpha.shape == (9, 128, 128)
    assert moved.painted.flow.shape == (9, 128, 128, 2)


def test_the_fast_copy_talks_alike(portrait, speech):
    system = make_system(warp=True, batch_norm=True, normalised=True, around=True)
    fast = system.for_inference("32")
    found, wanted = film_of(fast, portrait, speech), film_of(system, portrait, speech)
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert fast.generator.generator is not system.generator.generator


def test_how_the_packages_weights_are_wired():
    system = RecurrentSystem.load()
    ours = {"batch_norm": True, "normalised": True, "around": True, "warp": True}
    config = vars(system.generator.config.generator)
    assert RecurrentSystem.shipped["recurrent-generator"] == ours
    assert ours.items() <= config.items()
    assert config["scheme"] == "recurrent"


def test_it_says_how(portrait):
    assert make_system().how == "recurrent, 350 ms of sound to a frame"
    assert make_system(scheme="fed back", rows=14).how == "fed back, 140 ms of sound to a frame"


def test_head_and_lips_are_in_one_memory():
    with pytest.raises(InputError, match="--still-head: got the recurrent network, expected to be left out"):
        RecurrentSettings(still_head=True)


def test_a_clip_is_said_from_one_of_its_frames(speech, portrait):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (9, 128, 128, 3)).astype(np.uint8)
    landmarks = np.repeat(portrait.landmarks[None], 9, axis=0)
    clip, system = Clip(frames=frames, landmarks=landmarks, speech=speech), make_system()
    (row,) = system.rows(clip, 3, np.random.default_rng(0), pictures=True).values()
    assert np.array_equal(row.frames, film_of(system, Face(frames[3], landmarks[3]), speech))
