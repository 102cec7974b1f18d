"""How what speech leaves open goes on from frame to frame: learned from films, and measured."""

import numpy as np
import pytest
import torch
from test_latent_part import batch_for, make_part

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.latent.drift import drift_of, saying_the_same


def test_drift_says_how_one_frame_follows_from_the_other(dataset):
    """Of what the sound does not explain, from running means."""
    part = make_part(sees="first")
    unit = torch.eye(4).tolist()
    assert [x.tolist() for x in part.drift] == [torch.zeros(4, 4).tolist(), unit, unit]
    batch = batch_for(part, dataset)
    steps, squares = 0, 0
    for seed in range(3):
        torch.manual_seed(seed)
        part.losses(batch)
        torch.manual_seed(seed)
        with torch.no_grad():
            made = part.latent_matching(to_network(batch.photograph), to_network(batch.pictures), batch.mfcc)
            e = (made.of_frames.mean - made.of_audio.mean) / torch.exp(0.5 * made.of_audio.logvar)
        before, now = torch.cat((e[0, :3], e[1, :2])), torch.cat((e[0, 1:], e[1, 1:3]))  # 4 frames and 3
        steps = 0.99 * steps + 0.01 * torch.einsum("ni,nj->ij", now, before) / 5
        squares = 0.99 * squares + 0.01 * sum(torch.einsum("ni,nj->ij", x, x) for x in (now, before)) / 10
    found = torch.cat((part.squares, part.step_products))
    torch.testing.assert_close(found, torch.cat((squares, steps)))
    part.updates.fill_(100)
    known = 1 - 0.99**100  # what the running means of so few updates hold of the whole
    part.squares.copy_(known * torch.eye(4))
    part.step_products.copy_(known * torch.diag(torch.tensor([0.9, 0.5, 0, 2])))
    drift, new, whole = part.drift
    torch.testing.assert_close(whole, torch.eye(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        drift, torch.diag(torch.tensor([0.9, 0.5, 0, 2])) * 0.999 / 2, atol=1e-3, rtol=0
    )
    torch.testing.assert_close(new, torch.eye(4) - drift @ drift.T, atol=1e-3, rtol=0)


def test_what_goes_on_is_not_rounded_under_mixed_precision(dataset):
    part, again = make_part(sees="first"), make_part(sees="first")
    batch = batch_for(part, dataset)
    with torch.no_grad():
        made = part.latent_matching(to_network(batch.photograph), to_network(batch.pictures), batch.mfcc)
    again._count(made, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        part._count(made, batch)
    torch.testing.assert_close(part.squares, again.squares)
    torch.testing.assert_close(part.step_products, again.step_products)


@pytest.fixture(scope="module")
def told():
    """Two films of one speech, one that stands alone, three of another; all is noise."""

    def film(seed, which):
        rng = np.random.default_rng(seed)
        speech = np.random.default_rng(100 + which).standard_normal(6 * 640).astype(np.float32)
        pictures, landmarks = rng.integers(0, 256, (6, 128, 128, 3), np.uint8), rng.random((6, 68, 2))
        return Clip(frames=pictures, landmarks=landmarks.astype(np.float32), speech=0.1 * speech)

    return [film(seed, which) for seed, which in enumerate((0, 0, 1, 2, 2, 2))]


def test_films_that_say_the_same_come_together(told):
    assert [[told.index(film) for film in films] for films in saying_the_same(told)] == [[0, 1], [3, 4, 5]]
    assert list(saying_the_same(told[1:4])) == []


@pytest.mark.parametrize("updates", [0, 7])
def test_what_films_of_one_speech_differ_by_is_measured(told, updates, monkeypatch):
    part = make_part(sees="first", photo_prior=True).train()
    look, looked_at = part.latent_matching.look, []
    monkeypatch.setattr(part.latent_matching, "look", lambda photo: looked_at.append(photo) or look(photo))
    part.updates.fill_(updates)
    part.squares.fill_(3.0)
    part.finish(told)
    assert part.training
    for photo, first in zip(looked_at, (told[0], told[3]), strict=True):
        assert torch.equal(photo, to_network(torch.from_numpy(first.frames[:1])))
    network = part.latent_matching.eval()
    before, now = [], []
    for films in (told[:2], told[3:]):
        with torch.no_grad():
            seen = network.look(to_network(torch.from_numpy(films[0].frames[:1])))
            q_a, _ = network.listen(torch.from_numpy(mfcc_windows(films[0].speech))[None], seen)
            sigma = q_a.logvar.exp().sqrt()
            means = [
                network.watch(network.encode(to_network(torch.from_numpy(f.frames)[None])), seen)[0].mean
                for f in films
            ]
        z = torch.cat(means) / sigma
        e = z - z.mean(dim=0)
        e = e / (1 - 1 / len(films)) ** 0.5  # so that its variance is not too small
        before += [*e[:, :-1].flatten(0, 1)]
        now += [*e[:, 1:].flatten(0, 1)]
    before, now = torch.stack(before), torch.stack(now)
    assert len(now) == 5 * 5
    wanted = ((now.T @ now + before.T @ before) / 50, now.T @ before / 25)
    known = 1 - 0.99 ** max(updates, 1)
    for found, what in zip((part.squares, part.step_products), wanted, strict=True):
        torch.testing.assert_close(found / known, what, atol=1e-3 * float(what.abs().max()), rtol=0)
    for found, what in zip(part.drift, drift_of(*wanted), strict=True):
        torch.testing.assert_close(found, what, atol=1e-4, rtol=1e-3)


def test_films_that_say_nothing_twice_are_refused(told):
    part = make_part(sees="first")
    before, drift = part.squares.clone(), part.drift
    with pytest.raises(InputError, match="no two that say the same"):
        part.finish(told[1:4])
    assert torch.equal(part.squares, before)
    assert [x.tolist() for x in part.drift] == [x.tolist() for x in drift]
    assert part.training


def test_an_autoregression_of_known_drift_is_found_again():
    """Q and C are what A leaves: C = A C Aᵀ + Q."""
    keeps = torch.tensor([[0.9, 0.0], [0.2, 0.7]])
    whole = torch.tensor([[2.0, 0.6], [0.6, 1.0]])
    found = drift_of(whole, keeps @ whole)
    torch.testing.assert_close(found.keeps, keeps, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.new, whole - keeps @ whole @ keeps.T, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.whole, whole, atol=1e-3, rtol=0)
    fast = drift_of(whole, 3 * keeps @ whole)  # would grow for ever
    assert torch.linalg.eigvals(fast.keeps).abs().max() == pytest.approx(0.999, abs=1e-4)
    round_and_out = torch.tensor([[0.8, -0.8], [0.8, 0.8]])  # none of its numbers is above 1
    turned = drift_of(torch.eye(2), round_and_out).keeps
    torch.testing.assert_close(turned, round_and_out * 0.999 / 0.8 / 2**0.5, atol=1e-3, rtol=0)
