"""What VG-net's part minimises, and one step of its training, written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from vg_net_parts import make_part, parameters, rates, stand_still

from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import mouth_map
from talkface_lite.systems.atvg.vg_net import VGNetPartConfig, flat

torch.set_num_threads(1)


def test_losses_written_out(batch):
    """What is minimised is 10 times Eq. 8, over the frames that exist."""
    truth, photo = to_network(batch.pictures), to_network(batch.photograph)
    parts = {
        name: make_part(**options)
        for name, options in {
            "paper": {},
            "l1": {"loss": "l1"},
            "beta": {"base_weight": 1.0, "pixel_weight": 3.0},
            "colour": {"colour_weight": 0.3},
            "mouth": {"mouth_weight": 4.0, "colour_weight": 0.3},
        }.items()
    }
    with torch.no_grad():
        made, _ = parts["paper"].vg_net(photo, flat(batch.example), flat(batch.landmarks))
        losses = {name: part.losses(batch) for name, part in parts.items()}
    mask = batch.mask
    assert mask.tolist() == [4 * [True], 3 * [True] + [False]]
    error, painted = ((x - truth).abs()[mask] for x in (made.frames, made.colour))
    weight, mouth = made.alpha[mask] + 0.5, 1 + 4 * mouth_map(batch.landmarks)[mask]
    expected = {
        "paper": 10 * (error * weight).mean(),
        "l1": 10 * error.mean(),
        "beta": 3 * (error * (weight + 0.5)).mean(),
        "colour": 10 * (error * weight).mean() + 3 * painted.mean(),
        "mouth": 10 * (error * weight * mouth).mean() + 3 * (painted * mouth).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses[name]["loss"], value, msg=name)
        torch.testing.assert_close(losses[name]["pixel"], error.mean())
        torch.testing.assert_close(losses[name]["alpha"], made.alpha[mask].mean())
    with pytest.raises(InputError, match="dynamic or l1"):
        VGNetPartConfig(loss="l2")
    for name in ("base_weight", "colour_weight", "mouth_weight", "score_weight"):
        with pytest.raises(InputError, match=name):
            VGNetPartConfig(**{name: -1.0})
    for changes in ({"lip_weight": float("nan")}, {"discriminator_rate": 0.0}):
        with pytest.raises(InputError, match=next(iter(changes))):
            VGNetPartConfig(**changes)


def all_losses(part, batch):
    """Those of a step too; with a rate of 0 nothing is learned."""
    part.eval()
    losses = {name: loss.detach() for name, loss in part.losses(batch).items()}
    if part.discriminator is not None:
        optimizers = part.optimizers(rates(1e-3))
        for optimizer in optimizers.values():
            stand_still(optimizer)
        step = part.training_step(batch, optimizers)
        losses |= {f"step {name}": loss for name, loss in step.items()}
    return losses


@pytest.mark.parametrize("loss", ["dynamic", "l1"])
def test_padding_does_not_change_a_loss(batch, loss):
    """In evaluation mode: batch normalisation sees padding while training."""
    part = make_part(loss=loss, mouth_weight=2.0, colour_weight=0.3)
    before = all_losses(part, batch)
    padding = ~batch.mask
    pictures, landmarks = batch.pictures.clone(), batch.landmarks.clone()
    pictures[padding], landmarks[padding] = 255, 100.0
    after = all_losses(part, replace(batch, pictures=pictures, landmarks=landmarks))
    assert {"loss", "pixel", "alpha", "step g_score", "step d_points_fake", "step d_real"} <= before.keys()
    for name, value in before.items():
        assert torch.isfinite(value), name
        assert torch.equal(value, after[name]), name
    pictures[1, 2] = 255
    changed = all_losses(part, replace(batch, pictures=pictures))
    assert changed["loss"] != before["loss"]


def test_a_step_trains_both_networks(batch):
    part = make_part().train()
    before = {name: parameters(network) for name, network in part.networks().items()}
    losses = part.training_step(batch, part.optimizers(rates(1e-3)))
    assert {"loss", "pixel", "alpha", "g_score", "g_points"} <= losses.keys()
    assert {"d_real", "d_fake", "d_points_real", "d_points_fake"} <= losses.keys()
    assert all(torch.isfinite(loss) and not loss.requires_grad for loss in losses.values())
    for name, network in part.networks().items():
        after = parameters(network)
        same = [k for k, v in before[name].items() if torch.equal(v, after[k])]
        assert all(k.startswith("decoder.") for k in same), (name, same)
    for name, parameter in part.discriminator.named_parameters():
        assert parameter.requires_grad == (not name.startswith("decoder.")), name
    assert all(parameter.requires_grad for parameter in part.vg_net.parameters())


class Halfway(Exception):
    """Stops a step where its second update begins."""


def test_vg_nets_update_leaves_the_discriminator_alone(batch):
    """The discriminator after the whole step is the one after its own half; no gradient of VG-net's stays."""
    part, reference = make_part().train(), make_part().train()
    part.training_step(batch, part.optimizers(rates(1e-3)))
    optimizers = reference.optimizers(rates(1e-3))
    n_calls = []

    def first_half(loss):
        n_calls.append(loss)
        if len(n_calls) == 2:
            raise Halfway
        loss.backward()

    untouched = parameters(reference.vg_net)
    with pytest.raises(Halfway):
        reference.training_step(batch, optimizers, first_half)
    for name, value in parameters(reference.vg_net).items():
        assert torch.equal(value, untouched[name]), name
    for name, value in parameters(part.discriminator).items():
        assert torch.equal(value, parameters(reference.discriminator)[name]), name
    assert all(p.grad is None for p in reference.vg_net.parameters())
    for (name, a), (_, b) in zip(
        part.discriminator.named_parameters(), reference.discriminator.named_parameters()
    ):
        assert (a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad), name


def assert_close_in_scale(a, b, name):
    """Some biases stand before a batch normalisation: their gradient is rounding, and no other's."""
    assert (a - b).abs().max() <= 1e-3 * b.abs().max() + 1e-6, name


def test_one_step_written_out(batch):
    """Eq. 9 in turn, with the released code's weights, against the same two updates written out."""
    ours, reference = (make_part(landmark_mask="released", lip_weight=100.0).train() for _ in range(2))
    for parameter in ours.parameters():  # of a step before
        parameter.grad = torch.full_like(parameter, 100.0) if parameter.requires_grad else None
    losses = ours.training_step(batch, ours.optimizers(rates(1e-3)))
    adams = reference.optimizers(rates(1e-3))
    vg_net, judge, mask = reference.vg_net, reference.discriminator, batch.mask
    truth, photo = to_network(batch.pictures), to_network(batch.photograph)
    p_p, p = flat(batch.example), flat(batch.landmarks)
    m_p = torch.ones(136)
    m_p[97::2] = 100

    def points_loss(points):
        return F.mse_loss((points * m_p)[mask], (p * m_p)[mask])

    made, _ = vg_net(photo, p_p, p)
    real, real_points = judge(truth, p_p, mask)
    fake, fake_points = judge(made.frames.detach(), p_p, mask)
    d_loss = -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()
    d_loss = d_loss + points_loss(real_points) + points_loss(fake_points)
    d_loss.backward()
    d_gradients = {name: p.grad.clone() for name, p in judge.named_parameters() if p.requires_grad}
    adams["discriminator"].step()
    score, points = judge(made.frames, p_p, mask)
    pixel = ((made.frames - truth).abs() * (made.alpha.detach() + 0.5))[mask].mean()
    g_loss = 10 * pixel - F.logsigmoid(score).mean() + points_loss(points)
    g_loss.backward()
    adams["vg_net"].step()
    names = ("d_real", "d_fake", "d_points_real", "d_points_fake")
    torch.testing.assert_close(sum(losses[name] for name in names), d_loss.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(losses["loss"], g_loss.detach(), rtol=1e-5, atol=0)
    for name, expected in d_gradients.items():
        assert_close_in_scale(ours.discriminator.get_parameter(name).grad, expected, name)
    for (name, a), (_, b) in zip(ours.vg_net.named_parameters(), vg_net.named_parameters()):
        assert_close_in_scale(a.grad, b.grad, name)
    for (name, a), (_, b) in zip(ours.named_buffers(), reference.named_buffers()):
        torch.testing.assert_close(a, b, msg=name)


@pytest.mark.parametrize("discriminator_rate", [None, 4e-4])
def test_each_network_has_its_own_rate(discriminator_rate):
    optimizers = make_part(discriminator_rate=discriminator_rate).optimizers(rates(1e-3, (0.3, 0.9)))
    found = {
        name: (group["lr"], group["betas"])
        for name, optimizer in optimizers.items()
        for group in optimizer.param_groups
    }
    assert found == {
        "vg_net": (1e-3, (0.3, 0.9)),
        "discriminator": (discriminator_rate or 1e-3, (0.3, 0.9)),
    }


def test_without_a_discriminator_a_step_is_adams(batch):
    ours, reference = (make_part(discriminator=None).train() for _ in range(2))
    assert list(ours.networks()) == ["vg_net"]
    ours.training_step(batch, ours.optimizers(rates(1e-3)))
    adam = torch.optim.Adam(reference.vg_net.parameters(), lr=1e-3, betas=(0.5, 0.999))
    reference.losses(batch)["loss"].backward()
    adam.step()
    for (name, a), (_, b) in zip(ours.named_parameters(), reference.named_parameters()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


def test_the_discriminator_learns(batch):
    """VG-net holds still: what is true and what is made of one batch must come apart.

    With weights of 1: where lips count 10,000 times, so few steps teach it nothing else.
    """
    part = make_part(landmark_mask="plain").train()
    optimizers = part.optimizers(rates(1e-2))
    stand_still(optimizers["vg_net"])
    losses = [part.training_step(batch, optimizers) for _ in range(20)]

    def told(step, *names):
        return sum(float(losses[step][name]) for name in names)

    assert told(-1, "d_real", "d_fake") < 0.5 * told(0, "d_real", "d_fake")
    assert told(-1, "d_points_real") < 0.5 * told(0, "d_points_real")
    assert told(-1, "d_points_fake") < 0.5 * told(0, "d_points_fake")
    assert told(-1, "g_score") > 2 * told(0, "g_score")  # it is not taken in


@pytest.mark.parametrize("loss", ["dynamic", "l1"])
def test_a_few_steps_on_one_batch_lower_the_loss(batch, loss):
    part = make_part(discriminator=None, loss=loss).train()
    optimizers = part.optimizers(rates(3e-3, (0.9, 0.999)))
    losses = [part.training_step(batch, optimizers) for _ in range(15)]
    for name in ("loss", "pixel"):
        assert losses[-1][name] < 0.8 * losses[0][name], name


def test_landmarks_are_standardised_by_the_training_set(dataset, batch):
    part = make_part()
    before = part.losses(batch)["loss"]
    statistics = dataset.statistics()
    part.prepare(statistics)
    np.testing.assert_array_equal(part.vg_net.landmark_mean, statistics["landmark_mean"])
    np.testing.assert_array_equal(part.vg_net.landmark_std, statistics["landmark_std"])
    assert part.losses(batch)["loss"] != before
