"""How what speech leaves open goes on from frame to frame: learned from films, and measured."""

import numpy as np
import pytest
import torch
from test_latent_part import batch_for, make_part

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.latent.drift import (
    SaidTheSame,
    drift_of,
    means_of,
    pieces_of,
    saying_the_same,
)


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
    e, moved, before, now = [], [], [], []
    for films in (told[:2], told[3:]):
        with torch.no_grad():
            seen = network.look(to_network(torch.from_numpy(films[0].frames[:1])))
            q_a, _ = network.listen(torch.from_numpy(mfcc_windows(films[0].speech))[None], seen)
            sigma = q_a.logvar.exp().sqrt()
            means = [
                network.watch(network.encode(to_network(torch.from_numpy(f.frames)[None])), seen)[0].mean
                for f in films
            ]
        z = (torch.cat(means) / sigma).double()
        points = torch.stack([torch.from_numpy(f.landmarks) for f in films]).flatten(2).double()
        unbiased = (1 - 1 / len(films)) ** 0.5  # so that its variance is not too small
        z, points = ((x - x.mean(dim=0)) / unbiased for x in (z, points))
        e, moved = [*e, *z.flatten(0, 1)], [*moved, *points.flatten(0, 1)]
        before += [*points[:, :-1].flatten(0, 1)]
        now += [*points[:, 1:].flatten(0, 1)]
    e, moved, before, now = map(torch.stack, (e, moved, before, now))
    assert (len(moved), len(now)) == (5 * 6, 5 * 5)
    # the least squares of e from landmarks, each of which may be off by 0.1 px²
    by = torch.linalg.lstsq(
        torch.cat((moved, (0.1 * len(moved)) ** 0.5 * torch.eye(136, dtype=torch.float64))),
        torch.cat((e, torch.zeros(136, 4, dtype=torch.float64))),
    ).solution
    before, now = before @ by, now @ by
    wanted = tuple(x.float() for x in ((now.T @ now + before.T @ before) / 50, now.T @ before / 25))
    known = 1 - 0.99 ** max(updates, 1)
    for found, what in zip((part.squares, part.step_products), wanted, strict=True):
        torch.testing.assert_close(found / known, what, atol=1e-3 * float(what.abs().max()), rtol=0)
    for found, what in zip(part.drift, drift_of(*wanted), strict=True):
        torch.testing.assert_close(found, what, atol=1e-4, rtol=1e-3)
    films = (moved @ by).float().unflatten(0, (5, 6))
    assert part.motions.shape == (5, 48, 4)
    to_and_fro = np.pad(np.arange(6), (0, 42), mode="symmetric")
    torch.testing.assert_close(part.motions, films[:, to_and_fro], atol=1e-4, rtol=1e-3)


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


def test_what_landmarks_do_not_do_is_not_drawn():
    """z holds the lips of each film otherwise; no landmark moves with that, so no film is to show it."""
    rng = np.random.default_rng(0)
    head = rng.standard_normal((5, 400, 1))
    head = np.cumsum(head, axis=1) / 20
    lips = rng.standard_normal((5, 400, 1))
    head, lips = head - head.mean(axis=0), lips - lips.mean(axis=0)
    lips -= head * (head * lips).sum() / (head**2).sum()  # not even by chance
    moved = head * rng.standard_normal(136)
    e = head * np.array([1.0, -0.5, 0]) + lips * np.array([0, 0.7, 2.0])
    found = SaidTheSame()
    found.add(torch.from_numpy(e), torch.from_numpy(moved))
    squares, steps = means_of(found.films())
    alone = head * (5 / 4) ** 0.5 * np.array([1.0, -0.5, 0])
    wanted = torch.from_numpy(np.einsum("fti,ftj->ij", alone, alone) / 2000)
    assert float(wanted[0, 0]) > 0.2
    torch.testing.assert_close(squares, wanted, atol=0.01 * float(wanted[0, 0]), rtol=0)
    assert float(squares[2, 2]) < 1e-6
    torch.testing.assert_close(steps, 0.99 * wanted, atol=0.02 * float(wanted[0, 0]), rtol=0)
    with pytest.raises(InputError, match="no two that say the same"):
        SaidTheSame().films()


def test_pieces_of_films():
    """One of each, earlier in one film and later in another; of more films some, first and last too."""
    films = [torch.arange(n)[:, None] + 100.0 * number for number, n in enumerate((9, 6, 9, 12, 9))]
    pieces = pieces_of(films, 5, 6)[..., 0]
    starts = [int(piece[0] % 100) for piece in pieces]
    assert starts == [0, 0, 0, 6, 0]
    for number, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
        assert piece.tolist() == [100 * number + start + t for t in range(6)]
    assert [int(piece[0, 0] // 100) for piece in pieces_of(films, 3, 6)] == [0, 2, 4]
    assert [int(piece[0, 0] // 100) for piece in pieces_of(films, 9, 6)] == [0, 1, 2, 3, 4]
    assert pieces_of(films[1:2], 1, 8)[0, :, 0].tolist() == [100, 101, 102, 103, 104, 105, 105, 104]


def test_weights_of_before_know_no_pieces(told, tmp_path):
    part = make_part(sees="first")
    part.finish(told)
    again = make_part(sees="first")
    again.load_state_dict(part.state_dict())
    assert torch.equal(again.motions, part.motions)
    tensors = {name: value for name, value in part.state_dict().items() if "pieces" not in name}
    again.load_state_dict(tensors)
    assert len(again.motions) == 0
    part.save(tmp_path / "weights.safetensors", {"step": 1})
    saved = type(part).load(tmp_path / "weights.safetensors")
    torch.testing.assert_close(saved.motions, part.motions, rtol=1e-3, atol=1e-3)
