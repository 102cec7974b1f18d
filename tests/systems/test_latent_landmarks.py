"""Landmarks that are read off the code of a frame: in the loss, and nowhere else."""

from dataclasses import replace

import pytest
import torch
from test_latent_part import SETTINGS, batch_for, make_part

from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import changing
from talkface_lite.networks.landmark_reader import LandmarkReader
from talkface_lite.systems.latent import LatentMatchingPart


def misread(part, g, batch):
    """Written out: e C⁻¹ e for each frame that exists."""
    truth = (batch.landmarks - batch.example[:, None])[batch.mask].reshape(-1, 136).double()
    error = part.reader.read(g)[batch.mask].double() - truth
    variances = part.reader.variances.double()
    return torch.stack([e @ torch.linalg.inv(variances) @ e for e in error]).mean()


@pytest.mark.parametrize("spoken", [0.0, 0.5])
def test_losses_written_out(dataset, spoken):
    part = make_part(sees="first", landmark_weight=3.0, spoken_weight=spoken)
    batch = batch_for(part, dataset)
    part.losses(batch)  # landmarks have been seen
    part.eval()
    torch.manual_seed(3)
    loss = part.losses(batch)["loss"]
    part.config = make_part(sees="first", spoken_weight=spoken).config
    reader, part.reader = part.reader, None
    torch.manual_seed(3)
    plain = part.losses(batch)["loss"]
    part.reader = reader
    torch.manual_seed(3)
    photo, truth = to_network(batch.photograph), to_network(batch.pictures)
    made = part.latent_matching(photo, truth, batch.mfcc, spoken=spoken > 0)
    expected = plain + 3 * misread(part, made.g, batch)
    if spoken:
        expected = expected + 3 * spoken * misread(part, made.said, batch)
    torch.testing.assert_close(loss, expected, check_dtype=False)
    assert loss > plain


def test_variances_are_the_running_mean_of_products():
    generator = torch.Generator().manual_seed(0)
    reader, moved = LandmarkReader(5), 2 * torch.randn(3, 40, 136, generator=generator)
    torch.testing.assert_close(reader.variances, torch.eye(136))
    expected = 0
    for k, one in enumerate(moved, start=1):
        reader.remember(one)
        expected = 0.99 * expected + 0.01 * one.T @ one / 40
        weights = 0.01 * sum(0.99**i for i in range(k))
        torch.testing.assert_close(reader.variances, expected / weights + torch.eye(136))


@pytest.mark.parametrize("ridge", [1.0, 100.0])
def test_errors_count_in_standard_deviations(ridge):
    """Of movements far below the ridge hardly at all."""
    reader = LandmarkReader(5, ridge)
    wide, narrow = torch.eye(136)[0] * 10, torch.eye(136)[1] * 3  # px, in two directions of their own
    sizes = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        reader.remember(sizes[:, :1] * wide + sizes[:, 1:] * narrow)
    still = torch.zeros(1, 2, 136)
    errors = reader.error(still, torch.stack((wide, narrow))[None])
    expected = torch.tensor([[100 / (100 + ridge), 9 / (9 + ridge)]])
    torch.testing.assert_close(errors, expected, rtol=0.02, atol=0)


def test_the_ridge_is_a_setting():
    assert make_part(sees="first", landmark_weight=3.0, landmark_ridge=7.0).reader.ridge == 7.0
    with pytest.raises(InputError, match=r"landmark_ridge: got 0\.0, expected above 0"):
        make_part(sees="first", landmark_weight=3.0, landmark_ridge=0.0)


def test_errors_are_not_rounded_under_mixed_precision():
    reader = LandmarkReader(5)
    moved = torch.randn(2, 7, 136, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reader.remember(moved.flatten(0, 1))
        error = reader.error(torch.zeros_like(moved), moved)
        assert reader(torch.randn(2, 7, 5)).dtype == torch.float32
    again = LandmarkReader(5)
    again.remember(moved.flatten(0, 1))
    torch.testing.assert_close(reader.products, again.products)
    torch.testing.assert_close(error, again.error(torch.zeros_like(moved), moved))


def test_the_reader_learns_and_no_film_needs_it(dataset, tmp_path):
    part = make_part(sees="first", landmark_weight=3.0)
    assert "reader" in part.networks()
    assert "reader" not in make_part(sees="first").networks()
    before = part.reader.read.weight.clone()
    part.training_step(batch_for(part, dataset), part.optimizers(SETTINGS))
    assert not torch.equal(part.reader.read.weight, before)
    again = LatentMatchingPart.load(part.save(tmp_path / "w.safetensors"))
    torch.testing.assert_close(again.reader.read.weight, part.reader.read.weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(again.reader.products, part.reader.products, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("sees", ["first", "previous"])
def test_where_the_sound_alone_learns_it_learns_to_say_landmarks(dataset, sees):
    part = make_part(sees=sees, reconstruction_weight=0.0, landmark_weight=3.0, beta=0.0)
    batch = batch_for(part, dataset)
    before = {name: value.clone() for name, value in part.named_parameters()}
    losses = part.training_step(batch, part.optimizers(SETTINGS))
    moved = {name for name, value in part.named_parameters() if not torch.equal(value, before[name])}
    assert {name.split(".")[1] for name in moved} == {"audio_encoder", "audio_posterior"}
    assert losses["loss"] > 0
    assert not [name for name in moved if "logvar" in name], "a mean says landmarks"
    assert part.losses(batch)["loss"] < losses["loss"]


def test_where_landmarks_alone_teach_no_frame_is_looked_at(dataset):
    part = make_part(sees="first", reconstruction_weight=0.0, landmark_weight=3.0, beta=0.0)
    batch = batch_for(part, dataset)
    loss = part.losses(batch)
    assert set(loss) == {"loss"}
    assert part.updates == 0
    assert part.reader.updates == 1
    blind = replace(batch, pictures=torch.full_like(batch.pictures, 99))
    torch.testing.assert_close(part.losses(blind)["loss"], loss["loss"])
    watched = make_part(sees="first", reconstruction_weight=0.0, landmark_weight=3.0, beta=1e-3)
    seen = watched.losses(batch)
    assert watched.updates == 1
    torch.testing.assert_close(seen["loss"] - 49152e-3 * seen["kl"], loss["loss"], rtol=1e-4, atol=1e-4)


def test_what_changes_over_a_film():
    """Less the mean over frames that exist; where there is one, nothing changes."""
    mask = torch.tensor([[True, False, False], [True, True, False], [False, False, False]])
    found = changing(torch.tensor([[4.0, 9, 9], [1, 3, 9], [9, 9, 9]]), mask)
    assert found[mask].tolist() == [0, -1, 1]
    assert found.isfinite().all()
