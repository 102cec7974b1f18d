"""LTV net's part: what it and its critic minimise, in turns; its film, and what is kept of it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from attentional_parts import (
    SETTINGS,
    changed_where_nothing_is,
    make_batch,
    make_ltv,
    moved_heads,
    photograph,
    weights_of,
)
from safetensors.numpy import load_file
from small_networks import SMALL_PATCHES
from torch.nn import functional as F

from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.errors import InputError
from talkface_lite.losses import mouth_map
from talkface_lite.networks.landmark_drawing import drawn
from talkface_lite.networks.ltv_net import LTVNetConfig
from talkface_lite.systems import build_part
from talkface_lite.systems.attentional import LTVNetPart, LTVNetPartConfig, STLNetPart
from talkface_lite.systems.attentional.ltv_net import MOUTH_MARGIN
from talkface_lite.systems.part import Workload
from talkface_lite.systems.training_settings import TrainingSettings

torch.set_num_threads(1)

ALONE = {"discriminator": None}
WIRED = [{}, {"attention": False}, {"warp": True}]


@pytest.fixture(scope="module")
def batch():
    return make_batch(side=128)


@pytest.fixture(scope="module")
def scene():
    heads = moved_heads(8, seed=3)
    return photograph(), heads[0], heads[1:]


def frames_of(part, batch):
    """Frames and truth, in [-1, 1]; landmarks of a face where there is none."""
    with torch.no_grad():
        made = part.ltv_net(to_network(batch.photograph), batch.example, batch.faces).frames
    return made, to_network(batch.pictures)


def step(part, batch, n=1):
    """``n`` updates, and which networks they changed."""
    optimizers = part.optimizers(SETTINGS)
    before = {name: weights_of(network) for name, network in part.networks().items()}
    for _ in range(n):
        told = part.training_step(batch, optimizers)
    changed = {name for name in before if not torch.equal(before[name], weights_of(getattr(part, name)))}
    return told, changed, optimizers


@pytest.mark.parametrize(("loss", "power"), [("mse", 2), ("l1", 1)])
@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_the_reconstruction_by_hand(batch, loss, power, weight):
    part = make_ltv(reconstruction=loss, mouth_weight=weight, reconstruction_weight=7.0)
    made, truth = frames_of(part, batch)
    counts = 1 + weight * mouth_map(batch.landmarks, 128, 8 / 3)
    far = ((made - truth).abs() ** power * counts)[batch.mask].mean()
    found = part.losses(batch)
    assert set(found) == {"loss", "pixel"}
    torch.testing.assert_close(found["loss"].detach(), 7 * far, rtol=1e-4, atol=0)
    torch.testing.assert_close(found["pixel"], (made - truth)[batch.mask].abs().mean(), rtol=1e-4, atol=0)
    assert found["loss"].requires_grad
    assert not found["pixel"].requires_grad
    assert pytest.approx(8 / 3) == MOUTH_MARGIN


@pytest.mark.parametrize("options", WIRED)
def test_what_lies_behind_the_end_of_a_film_does_not_matter(batch, options):
    part, other = make_ltv(mouth_weight=2.0, **options), changed_where_nothing_is(batch)
    for figures in (part.losses, part.held_out):
        wanted = figures(batch)
        for name, found in figures(other).items():
            torch.testing.assert_close(found, wanted[name], rtol=1e-5, atol=0)
    told = step(make_ltv(mouth_weight=2.0, **options), other)[0]
    for name, value in step(make_ltv(mouth_weight=2.0, **options), batch)[0].items():
        torch.testing.assert_close(told[name], value, rtol=1e-5, atol=0)


def test_held_out_figures_by_hand(batch):
    part = make_ltv()
    made, truth = frames_of(part, batch)
    squared = ((made - truth) / 2)[batch.mask] ** 2
    mouth = mouth_map(batch.landmarks, 128, MOUTH_MARGIN)[batch.mask]
    with torch.no_grad():
        found = part.held_out(batch)
    assert set(found) == {"mouth", "mse"}
    torch.testing.assert_close(found["mse"], squared.mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(found["mouth"], (squared * mouth).sum() / (3 * mouth.sum()), rtol=1e-4, atol=0)
    assert part.figure == "mouth"


def test_eq_10_written_out(batch):
    """The critic is shown drawings beside true and made frames; what it makes of these, LTV net pays."""
    part = make_ltv(adversarial_weight=0.5, reconstruction_weight=2.0)
    made, truth = (frames[batch.mask] for frames in frames_of(part, batch))
    lines = drawn(batch.landmarks[batch.mask])
    optimizers = part.optimizers(SETTINGS)
    optimizers["discriminator"].param_groups[0]["lr"] = 0.0  # it learns before it is asked: let it stay
    with torch.no_grad():
        real, fake = (part.discriminator(film, lines) for film in (truth, made))
    told = part.training_step(batch, optimizers)
    assert set(told) == {"loss", "pixel", "discriminator_d", "discriminator_g"}
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(
        told["discriminator_d"], F.softplus(-real).mean() + F.softplus(fake).mean(), **close
    )
    torch.testing.assert_close(told["discriminator_g"], F.softplus(-fake).mean(), **close)
    wanted = 2 * (made - truth).square().mean() + 0.5 * told["discriminator_g"]
    torch.testing.assert_close(told["loss"], wanted, **close)
    assert not any(value.requires_grad for value in told.values())


def test_they_learn_in_turns(batch):
    """In the critic's update it alone changes, and in LTV net's it is not taught by what it is asked."""
    part, seen = make_ltv().train(), []
    optimizers = part.optimizers(SETTINGS)
    for name, optimizer in optimizers.items():

        def stepping(name=name, taken=optimizer.step):
            before = [weights_of(network) for network in part.networks().values()]
            gradients = [p.grad.clone() for p in part.discriminator.parameters()]
            taken()
            after = [weights_of(network) for network in part.networks().values()]
            seen.append((name, [not torch.equal(a, b) for a, b in zip(before, after)], gradients))

        optimizer.step = stepping
    part.training_step(batch, optimizers)
    assert [name for name, _, _ in seen] == ["discriminator", "ltv_net"]
    assert list(part.networks()) == ["ltv_net", "discriminator"]
    assert [changed for _, changed, _ in seen] == [[False, True], [True, False]]
    assert all(torch.equal(a, b) for a, b in zip(seen[0][2], seen[1][2], strict=True))
    assert all(p.requires_grad for p in part.discriminator.parameters())


def test_ltv_net_learns_of_what_the_critic_says(batch):
    states = []
    for weight in (1.0, 1e4):
        part = make_ltv(adversarial_weight=weight)
        step(part, batch)
        states.append(weights_of(part.ltv_net))
    assert not torch.equal(*states)


def test_the_critic_joins_when_it_is_to(batch):
    part = make_ltv(discriminator_from=2)
    optimizers, joined = part.optimizers(SETTINGS), []
    for _ in range(4):
        joined.append("discriminator_d" in part.training_step(batch, optimizers))
    assert joined == [False, False, True, True]
    assert int(part.updates) == 4
    assert {int(state["step"]) for state in optimizers["discriminator"].state.values()} == {2}
    assert {int(state["step"]) for state in optimizers["ltv_net"].state.values()} == {4}


@pytest.mark.parametrize("options", [ALONE, {"adversarial_weight": 0.0}])
def test_without_a_critic_there_is_the_reconstruction_alone(batch, options):
    part = make_ltv(**options)
    assert part.discriminator is None
    wanted = part.losses(batch)["loss"].detach()
    told, changed, optimizers = step(part, batch)
    assert (set(told), changed, set(optimizers)) == ({"loss", "pixel"}, {"ltv_net"}, {"ltv_net"})
    torch.testing.assert_close(told["loss"], wanted)


def test_rates_are_their_own():
    for rate, wanted in ((None, 1e-2), (0.5, 0.5)):
        optimizers = make_ltv(discriminator_rate=rate).optimizers(SETTINGS)
        rates = {name: it.param_groups[0]["lr"] for name, it in optimizers.items()}
        assert rates == {"ltv_net": 1e-2, "discriminator": wanted}
        assert {it.param_groups[0]["betas"] for it in optimizers.values()} == {SETTINGS.betas}


@pytest.mark.parametrize("options", WIRED)
def test_a_few_steps_lower_the_loss(batch, options):
    part = make_ltv(**ALONE, **options).train()
    optimizers = part.optimizers(TrainingSettings(learning_rate=1e-2, betas=(0.5, 0.999)))
    told = [float(part.training_step(batch, optimizers)["loss"]) for _ in range(25)]
    assert told[-1] < 0.75 * told[0]


REFUSED = [
    ({"reconstruction": "l2"}, "reconstruction: got 'l2', expected mse or l1"),
    ({"reconstruction_weight": 0.0}, "reconstruction_weight: got 0.0, expected more than 0"),
    ({"adversarial_weight": -1.0}, "adversarial_weight: got -1.0, expected 0 or more"),
    ({"discriminator_from": -1}, "discriminator_from: got -1, expected 0 or more"),
    ({"mouth_weight": float("nan")}, "mouth_weight: got nan, expected 0 or more"),
    ({"discriminator_rate": 0.0}, "discriminator_rate: got 0.0, expected more than 0"),
]


@pytest.mark.parametrize(("options", "match"), REFUSED)
def test_refused(options, match):
    with pytest.raises(InputError, match=match):
        LTVNetPartConfig(**options)


def test_what_it_is_unless_told_otherwise():
    config = LTVNetPartConfig()
    assert (config.reconstruction, config.reconstruction_weight, config.adversarial_weight) == ("mse", 100, 1)
    assert (config.discriminator_from, config.discriminator_rate, config.mouth_weight) == (0, None, 0)
    needs = LTVNetPart.needs
    assert (needs.pictures, needs.framing, needs.window, needs.side) == (True, "head", 4, 128)
    part = build_part("attentional", "ltv-net", "lite", warp=True, side=256, discriminator=False)
    assert part.config.ltv_net == LTVNetConfig.lite(side=256, warp=True)
    assert part.needs == replace(needs, side=256)
    assert LTVNetPart.needs.side == 128
    assert set(part.parameter_counts()) == {"ltv_net"}
    with torch.device("meta"):
        both = build_part("attentional", "ltv-net", "full").parameter_counts()
    assert both == {"ltv_net": 63_563_011, "discriminator": 2_768_705}
    adapting = LTVNetPart.adapting
    assert (adapting.training.steps, adapting.training.batch_size, adapting.share) == (200, 8, 1.5)
    assert (adapting.training.learning_rate, adapting.data.closed_examples) == (1e-3, 0.5)
    assert adapting.config == {"discriminator": None, "mouth_weight": 20.0, "reconstruction": "l1"}
    assert (adapting.training.schedule, adapting.training.betas) == ("cosine", (0.9, 0.999))
    assert make_ltv().changed(**adapting.config).discriminator is None
    fresh = LTVNetPart(part.config)
    assert fresh.ltv_net.last.weight.is_contiguous(memory_format=torch.channels_last)
    assert int(fresh.updates) == 0


@pytest.mark.parametrize("options", WIRED)
@pytest.mark.parametrize("chunk_frames", [1, 3, 7, 50])
def test_a_film_does_not_depend_on_its_chunks(scene, options, chunk_frames):
    part, (photo, example, landmarks) = make_ltv(**options), scene
    with torch.no_grad():
        points = (torch.from_numpy(one[None]) for one in (example, landmarks))
        whole = part.ltv_net(to_network(torch.from_numpy(photo)[None]), *points)
    stretches = list(part.film(*scene, chunk_frames=chunk_frames))
    assert [made.frames.shape[1] for made in stretches] == [
        min(chunk_frames, 7 - start) for start in range(0, 7, chunk_frames)
    ]
    for name, expected in whole._asdict().items():
        if expected is not None:
            joined = torch.cat([getattr(made, name) for made in stretches], dim=1)
            torch.testing.assert_close(joined, expected, atol=1e-5, rtol=0)
    assert next(part.film(*scene)).frames.shape == (1, 7, 3, 128, 128)
    long = landmarks[np.arange(17) % 7]
    assert [made.frames.shape[1] for made in part.film(photo, example, long)] == [16, 1]


def test_filming_leaves_the_mode_as_it_was(scene):
    part = make_ltv(dropout=0.5).eval()
    wanted = torch.cat([made.frames for made in part.film(*scene)], dim=1)
    part.train()
    stretches = part.film(*scene, chunk_frames=2)
    torch.testing.assert_close(next(stretches).frames, wanted[:, :2], atol=1e-5, rtol=0)
    assert not part.training
    stretches.close()
    assert part.training
    assert part.ltv_net.training


def test_a_film_of_256_pixels():
    part, heads = make_ltv(side=256, widths=(2, 3, 4), warp=True), moved_heads(3)
    assert part.needs.side == 256
    (made,) = part.film(photograph(256), heads[0], heads[1:])
    assert made.frames.shape == (1, 2, 3, 256, 256)
    assert set(part.held_out(make_batch(frames=3, side=256))) == {"mouth", "mse"}
    told, changed, _ = step(part, make_batch(frames=3, side=256))
    assert changed == {"ltv_net", "discriminator"}
    assert torch.isfinite(told["loss"])
    with pytest.raises(InputError, match=r"photo: got uint8 \(128, 128, 3\), expected uint8 \(256, 256, 3\)"):
        next(part.film(photograph(128), heads[0], heads[1:]))


def test_wrong_input_to_film(scene):
    photo, example, landmarks = scene
    part = make_ltv().train()
    for wrong, match in (
        (
            (photo[:100], example, landmarks),
            r"photo: got uint8 \(100, 128, 3\), expected uint8 \(128, 128, 3\)",
        ),
        ((photo.astype(np.float32), example, landmarks), r"photo: got float32"),
        ((photo, example[:20], landmarks), r"example: got shape \(20, 2\), expected \(68, 2\)"),
        ((photo, example, landmarks[:, :20]), r"landmarks: got shape \(7, 20, 2\), expected \(T, 68, 2\)"),
        ((photo, example, landmarks[0]), r"landmarks: got shape \(68, 2\)"),
        ((photo, example, landmarks[:0]), r"landmarks: got shape \(0, 68, 2\), .*T at least 1"),
    ):
        with pytest.raises(InputError, match=match):
            next(part.film(*wrong))
    with pytest.raises(InputError, match="chunk_frames: got 0, expected at least 1"):
        next(part.film(*scene, chunk_frames=0))
    assert part.training


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_copy_for_inference_films_the_same(scene, precision):
    part = make_ltv(warp=True)
    fast = part.for_inference(precision)
    slow, quick = (next(one.film(*scene)).frames for one in (part, fast))
    far = np.abs(to_pictures(slow[0]).astype(int) - to_pictures(quick[0]))
    assert far.max() <= (1 if precision == "32" else 12)
    assert (part.discriminator is None, fast.discriminator) == (False, None)
    assert fast.ltv_net is not part.ltv_net
    assert fast.config is part.config
    assert not fast.training
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())


def test_the_critic_is_not_kept(tmp_path):
    part = make_ltv(warp=True, mouth_weight=2.0)
    part.updates += 7
    path = part.save(tmp_path / "w.safetensors", {"seed": 3})
    stored = load_file(path)
    assert {name.split(".")[0] for name in stored} == {"ltv_net", "updates"}
    assert stored["ltv_net.last.weight"].dtype == np.float16
    again = LTVNetPart.load(path)
    assert again.config == part.config
    assert int(again.updates) == 7
    assert torch.equal(weights_of(again.ltv_net), weights_of(part.ltv_net).half().float())
    assert not torch.equal(weights_of(again.discriminator), weights_of(part.discriminator).half().float())
    with pytest.raises(
        InputError, match=r"weights of 'ltv-net'.*expected weights of 'stl-net' of 'attentional'"
    ):
        STLNetPart.load(path)
    written = json.loads(json.dumps(asdict(part.config)))
    assert LTVNetPart.from_config(written).config == part.config
    assert part.config.discriminator == SMALL_PATCHES


def test_training_is_timed_by_its_own_step(monkeypatch):
    from talkface_lite.systems import timing as turns

    monkeypatch.setattr(turns, "own_step", lambda kind, wanted: (kind, wanted))
    wanted = Workload.Wanted("lite", "cpu", 1, training=True)
    assert LTVNetPart.workload(wanted) == (LTVNetPart, wanted)
    assert STLNetPart.workload(wanted._replace(training=False)) is None
