"""Latent matching talks: seeds, films side by side, what is drawn and how long it stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import SMALL_LATENT_MATCHING
from torch import nn

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.errors import InputError
from talkface_lite.networks.latent_matching import generated
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.base import Face, Shown
from talkface_lite.systems.latent import (
    LatentMatchingPart,
    LatentMatchingPartConfig,
    LatentMatchingSettings,
    LatentMatchingSystem,
)
from talkface_lite.systems.latent import system as module

torch.set_num_threads(1)


def make_system(sees="previous", *, persistence=0.8, noise=1.0, **settings):
    """Weights whose films differ where z does."""
    torch.manual_seed(0)
    config = LatentMatchingPartConfig(latent_matching=replace(SMALL_LATENT_MATCHING, sees=sees))
    part = LatentMatchingPart(config)
    part.step_products.fill_diagonal_(persistence)
    part.squares.fill_diagonal_(1.0)
    part.updates.fill_(10_000)
    for layer in part.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.uniform_(0.03, 0.3)
    said = part.latent_matching.audio_posterior
    nn.init.normal_(said.mean.bias)
    nn.init.constant_(said.logvar.bias, 0.5)
    return LatentMatchingSystem({part.name: part.eval()}, LatentMatchingSettings(noise=noise, **settings))


@pytest.fixture(scope="module")
def portrait(face):
    return Face(face[0], face[1])


@pytest.fixture(scope="module")
def speech():
    return (0.1 * np.random.default_rng(0).standard_normal(640 * 9)).astype(np.float32)


def film_of(system, portrait, speech, seed=0):
    made = list(system.checked_film(portrait, speech, np.random.default_rng(seed)))
    assert all(stretch.landmarks is None and stretch.painted is None for stretch in made)
    return np.concatenate([stretch.frames for stretch in made])


def differ(one, other):
    return np.abs(one.astype(int) - other).max()


@pytest.mark.parametrize("sees", ["previous", "first"])
def test_a_film_written_out(portrait, speech, sees):
    """z from the audio posterior, its own pictures fed back, all in evaluation mode."""
    system = make_system(sees, draws="independent")
    network = system.matching.latent_matching
    noise = np.random.default_rng(3).standard_normal((9, 4)).astype(np.float32)
    with torch.no_grad():
        seen = network.look(to_network(torch.from_numpy(portrait.picture)[None]))
        q, _ = network.listen(torch.from_numpy(mfcc_windows(speech))[None], seen)
        film, _, _ = generated(network, q.sample(torch.from_numpy(noise)[None]), seen, None, None)
    assert differ(film_of(system, portrait, speech, 3), to_pictures(film.frames[0])) <= 1
    system.matching.train()
    assert differ(film_of(system, portrait, speech, 3), to_pictures(film.frames[0])) <= 1
    assert system.matching.training, "filming leaves the mode as it was"


@pytest.mark.parametrize("sees", ["previous", "first"])
@pytest.mark.parametrize("draws", ["slow", "independent"])
def test_a_seed_repeats_its_film_to_the_last_bit(portrait, speech, sees, draws):
    films = [film_of(make_system(sees, draws=draws), portrait, speech, seed) for seed in (1, 1, 2)]
    assert np.array_equal(films[0], films[1])
    assert differ(films[0], films[2]) > 1


@pytest.mark.parametrize("sees", ["previous", "first"])
def test_films_of_one_batch_are_those_of_their_seeds(portrait, speech, sees, monkeypatch):
    system = make_system(sees)
    alone = [film_of(system, portrait, speech, seed) for seed in (1, 2, 3)]
    for chunk in (50, 6):
        monkeypatch.setattr(module, "CHUNK_FRAMES", chunk)
        rngs = [np.random.default_rng(seed) for seed in (1, 2, 3)]
        rows = list(system.checked_films(portrait, speech, rngs))
        assert [len(row[0].frames) for row in rows] == ([9] if chunk == 50 else [2, 2, 2, 2, 1])
        for number, film in enumerate(alone):
            made = np.concatenate([row[number].frames for row in rows])
            assert differ(made, film) <= 1
    assert differ(alone[0], alone[1]) > 1


def test_without_noise_no_seed_matters(portrait, speech):
    still = make_system(noise=0.0)
    films = [film_of(still, portrait, speech, seed) for seed in (1, 2)]
    assert np.array_equal(*films)
    network = still.matching.latent_matching
    with torch.no_grad():
        seen = network.look(to_network(torch.from_numpy(portrait.picture)[None]))
        q, _ = network.listen(torch.from_numpy(mfcc_windows(speech))[None], seen)
        film, _, _ = generated(network, q.mean, seen, None, None)
    assert differ(films[0], to_pictures(film.frames[0])) <= 1


def draws_of(system, n, seed=0):
    drawn = system._draws(np.random.default_rng(seed))
    return np.array([next(drawn) for _ in range(n)])


def test_independent_draws_are_white_and_slow_ones_stay():
    white = draws_of(make_system(draws="independent"), 20_000)
    slow = draws_of(make_system(draws="slow", persistence=0.8), 20_000)
    for noise, wanted in ((white, 0.0), (slow, 0.8)):
        np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.05)
        found = [np.corrcoef(x[1:], x[:-1])[0, 1] for x in noise.T]
        np.testing.assert_allclose(found, wanted, atol=0.03)
    doubled = draws_of(make_system(draws="slow", noise=2.0), 50)
    np.testing.assert_allclose(doubled, 2 * draws_of(make_system(draws="slow"), 50), rtol=1e-5)
    assert white.dtype == np.float32


def test_slow_draws_go_on_as_what_was_learned_from():
    """Numbers that moved together, each as far as it did, and one that follows another."""
    slow, alone = make_system(draws="slow"), make_system(draws="independent")
    scatter = torch.tensor([[1.0, 0.9, 0, 0], [0.9, 1, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0.6]])
    drift = torch.tensor([[0.9, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0.8, 0.2], [0, 0, -0.2, 0.8]])
    for system in (slow, alone):
        system.matching.squares.copy_(scatter)
        system.matching.step_products.copy_(drift @ scatter)
    torch.testing.assert_close(slow.matching.drift[0], drift, atol=5e-3, rtol=0)
    drawn = draws_of(slow, 40_000)
    np.testing.assert_allclose(np.cov(drawn.T), scatter, atol=0.06)
    np.testing.assert_allclose(drawn[1:].T @ drawn[:-1] / len(drawn), drift @ scatter, atol=0.06)
    np.testing.assert_allclose(np.cov(draws_of(alone, 40_000).T), np.eye(4), atol=0.03)


def test_slow_draws_begin_anywhere():
    """A film has its whole spread from the first frame on."""
    system = make_system(draws="slow", persistence=0.9)
    scatter = torch.tensor([[1.0, 0.9, 0, 0], [0.9, 1, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0.6]])
    system.matching.squares.copy_(scatter)
    system.matching.step_products.copy_(0.9 * scatter)
    drawn = np.array([draws_of(system, 40, seed)[[0, 5, 39]] for seed in range(2000)])
    for frame in range(3):
        np.testing.assert_allclose(np.cov(drawn[:, frame].T), scatter, atol=0.1)


def test_what_was_painted_and_moved_goes_with_the_film(portrait, speech):
    torch.manual_seed(0)
    config = LatentMatchingPartConfig(latent_matching=replace(SMALL_LATENT_MATCHING, sees="first", warp=True))
    part = LatentMatchingPart(config).eval()
    (made,) = LatentMatchingSystem({part.name: part}).checked_film(portrait, speech, np.random.default_rng(0))
    assert made.painted.colour.shape == (9, 128, 128, 3)
    assert made.painted.alpha.shape == (9, 128, 128)
    assert made.painted.flow.shape == (9, 128, 128, 2)
    assert {type(x) for x in made.painted} == {np.ndarray}
    assert 0 <= made.painted.alpha.min() < made.painted.alpha.max() <= 1


def with_motions(system, motions):
    """The same system with pieces to replay, ``(pieces, 48, z)``."""
    system.matching.pieces[: len(motions)] = torch.as_tensor(motions)
    system.matching.n_pieces.fill_(len(motions))
    return system


def test_replayed_draws_are_pieces_of_true_films():
    """In their order within a piece, one drawn after the other; what joins two keeps the variance."""
    motions = np.random.default_rng(0).standard_normal((200, 48, 4)).astype(np.float32)
    system = with_motions(make_system(), motions)
    assert (system.draws, system.settings.draws) == ("replayed", "replayed")
    drawn = draws_of(system, 40_000)
    known = {frame.tobytes(): place for place, frame in enumerate(motions.reshape(-1, 4))}
    places = np.array([known.get(frame.tobytes(), -1) for frame in drawn])
    kept = places >= 0
    assert kept.mean() == pytest.approx(24 / 36, abs=0.01)  # 12 of 36 are of two pieces
    follows = kept[1:] & kept[:-1]
    assert (places[1:][follows] == places[:-1][follows] + 1).all()
    assert set(places[kept] % 48) == set(range(12, 36)) | set(places[:36][places[:36] >= 0] % 48)
    assert len(set(places[kept] // 48)) > 190
    for of_both in (~kept, kept):
        np.testing.assert_allclose(drawn[of_both].std(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(
        draws_of(with_motions(make_system(noise=2.0), motions), 99), 2 * drawn[:99], rtol=1e-6
    )


def test_replayed_draws_fade_into_one_another():
    """The end of a piece and the beginning of the next, in shares of a quarter circle."""
    motions = np.stack([np.full((48, 4), value, np.float32) for value in (1.0, 1.0)])
    drawn = draws_of(with_motions(make_system(), motions), 300)[:, 0]
    phase = np.pi / 2 * (np.arange(12) + 0.5) / 12
    start = int(np.flatnonzero(drawn != 1)[0])
    np.testing.assert_allclose(drawn[start : start + 12], np.cos(phase) + np.sin(phase), rtol=1e-6)
    assert (drawn[start + 12 : start + 36] == 1).all()


def test_a_replayed_film_begins_anywhere():
    motions = np.tile(np.arange(48, dtype=np.float32)[None, :, None], (3, 1, 4))
    system = with_motions(make_system(), motions)
    first = [draws_of(system, 1, seed)[0, 0] for seed in range(600)]
    assert set(first) == set(range(36))


def test_without_pieces_replayed_draws_are_slow(portrait, speech):
    assert len(make_system().matching.motions) == 0
    slow = make_system(draws="slow")
    for system in (make_system(), make_system(draws="slow")):
        assert system.draws == "slow"
        assert "slow noise" in system.how
        assert np.array_equal(draws_of(system, 60), draws_of(slow, 60))
    motions = np.random.default_rng(1).standard_normal((5, 48, 4)).astype(np.float32)
    replays, again = (with_motions(make_system(), motions) for _ in range(2))
    assert "replayed noise" in replays.how
    assert with_motions(make_system(draws="slow"), motions).draws == "slow"
    films = [film_of(system, portrait, speech, 1) for system in (replays, again, slow)]
    assert np.array_equal(films[0], films[1])
    assert differ(films[0], films[2]) > 1
    assert np.array_equal(film_of(replays.for_inference("32"), portrait, speech, 1).shape, films[0].shape)


def test_sound_to_come_changes_no_frame(portrait, speech):
    """A window reaches 140 ms ahead of its frame's middle."""
    for sees in ("previous", "first"):
        system = make_system(sees)
        other = speech.copy()
        other[640 * 8 + 320 :] *= -3
        films = [film_of(system, portrait, sound, 1) for sound in (speech, other)]
        assert differ(films[0][:4], films[1][:4]) == 0


def test_rows(portrait, speech):
    system = make_system()
    frames = np.stack([portrait.picture] * 9) // np.arange(1, 10, dtype=np.uint8)[:, None, None, None]
    landmarks = np.stack([portrait.landmarks] * 9)
    clip = Clip(frames=frames, landmarks=landmarks, speech=speech)
    rows = system.rows(clip, 0, np.random.default_rng(5), pictures=True)
    assert set(rows) == {"from_speech", "from_mean", "from_frames"}
    face = system.face_of(clip, 0)
    assert np.array_equal(rows["from_speech"].frames, film_of(system, face, speech, 5))
    assert np.array_equal(rows["from_mean"].frames, film_of(make_system(noise=0.0), face, speech))
    network = system.matching.latent_matching
    with torch.no_grad():
        seen = network.look(to_network(torch.from_numpy(face.picture)[None]))
        q, _ = network.watch(network.encode(to_network(torch.from_numpy(frames)[None])), seen)
        heard, _ = network.listen(torch.from_numpy(mfcc_windows(speech))[None], seen)
        film, _, _ = generated(network, q.mean, seen, None, None)
    assert differ(rows["from_frames"].frames, to_pictures(film.frames[0])) <= 1
    for got, true in zip(system.posterior_means(clip), (heard, q)):
        np.testing.assert_allclose(got, true.mean[0], atol=1e-5)
    system.matching.train()
    again = system.rows(clip, 0, np.random.default_rng(5), pictures=True)
    assert differ(again["from_frames"].frames, rows["from_frames"].frames) == 0
    untouched = np.random.default_rng(5)
    assert system.rows(clip, 0, untouched, pictures=False) == {"from_speech": Shown()}
    assert untouched.random() == np.random.default_rng(5).random(), "no film is made to measure nothing"


def test_it_says_how():
    assert make_system(noise=0.0).how == "the mean of what the speech allows, no noise"
    said = make_system(noise=0.5, draws="independent").how
    assert said == "one draw of what the speech allows, independent noise × 0.5"


def test_refused():
    for wrong, match in (
        ({"noise": -0.1}, "noise: got -0.1, expected 0 to 10"),
        ({"noise": float("nan")}, "noise"),
        ({"draws": "fast"}, "draws: got 'fast', expected replayed or slow or independent"),
        ({"still_head": True}, "--still-head: got latent matching, expected --noise 0"),
    ):
        with pytest.raises(InputError, match=match):
            LatentMatchingSettings(**wrong)
    assert [LatentMatchingSettings(noise=most).noise for most in (0, 10)] == [0, 10]
