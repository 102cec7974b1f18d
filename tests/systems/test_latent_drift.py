"""How what speech leaves open goes on from frame to frame: learned from films, and drawn."""

import torch
from test_latent_part import batch_for, make_part

from talkface_lite.data.tensors import to_network


def test_drift_says_how_one_frame_follows_from_the_other(dataset):
    """Of what the sound does not explain, from running means."""
    part = make_part(sees="first")
    assert [x.tolist() for x in part.drift] == [torch.zeros(4, 4).tolist(), torch.eye(4).tolist()]
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
    drift, new = part.drift
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
