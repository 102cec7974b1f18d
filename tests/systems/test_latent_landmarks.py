"""Landmarks that are read off the code of a frame: in the loss, and nowhere else."""

import pytest
import torch
from test_latent_part import SETTINGS, batch_for, make_part

from talkface_lite.data.tensors import to_network
from talkface_lite.systems.latent.part import LatentMatchingPart


def misread(part, g, batch):
    found = part.reader(g).reshape(2, 4, 68, 2)
    error = (found - (batch.landmarks - batch.example[:, None]))[batch.mask]
    return error.square().mean()


@pytest.mark.parametrize("spoken", [0.0, 0.5])
def test_losses_written_out(dataset, spoken):
    part = make_part(sees="first", landmark_weight=3.0, spoken_weight=spoken).eval()
    batch = batch_for(part, dataset)
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
    torch.testing.assert_close(loss, expected)
    assert loss > plain


def test_the_reader_learns_and_no_film_needs_it(dataset, tmp_path):
    part = make_part(sees="first", landmark_weight=3.0)
    assert "reader" in part.networks()
    assert "reader" not in make_part(sees="first").networks()
    before = part.reader.weight.clone()
    part.training_step(batch_for(part, dataset), part.optimizers(SETTINGS))
    assert not torch.equal(part.reader.weight, before)
    again = LatentMatchingPart.load(part.save(tmp_path / "w.safetensors"))
    torch.testing.assert_close(again.reader.weight, part.reader.weight, atol=1e-3, rtol=1e-3)


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
