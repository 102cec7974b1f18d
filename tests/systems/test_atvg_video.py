import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_networks import SMALL_VG_NET
from torch.nn import functional as F

from talkface_lite.data.dataset import Features
from talkface_lite.data.pictures import PictureDataset, PicturePlace
from talkface_lite.errors import InputError
from talkface_lite.landmarks import TEMPLATE
from talkface_lite.losses import mouth_map
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.systems import build_video, describe, load_video, shipped_video_weights
from talkface_lite.systems.atvg.at_net import ATVG
from talkface_lite.systems.atvg.vg_net import ATVGVideo, ATVGVideoConfig, flat, to_network, to_pictures

torch.set_num_threads(1)

VG_NET = replace(SMALL_VG_NET, dropout=0.0)
JUDGE = RegressionDiscriminatorConfig(
    image=(2, 2, 4, 4), features=8, landmark=(4, 8), hidden=8, layers=2, unused_decoder=True
)


def make_system(seed=0, discriminator=JUDGE, **options):
    torch.manual_seed(seed)
    system = ATVGVideo(ATVGVideoConfig(vg_net=VG_NET, discriminator=discriminator, **options))
    for layer in system.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
    return system.eval()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two films of large tiles that change colour; the second ends within its window."""
    rng = np.random.default_rng(0)
    path, clips, offset = tmp_path_factory.mktemp("films") / "pictures", [], 0
    with open(path, "wb") as file:
        for n in (6, 3):
            start, end = rng.integers(60, 200, (2, 1, 4, 4, 3)).repeat(32, 2).repeat(32, 3)
            mix = np.linspace(0, 1, n).reshape(-1, 1, 1, 1)
            file.write(((1 - mix) * start + mix * end).astype(np.uint8).tobytes())
            landmarks = rng.uniform(30, 100, (68, 2)) + rng.normal(0, 2, (n, 68, 2))
            rows = np.zeros((4 * (n - 1) + 28, 12), np.float32)
            features = Features(rows=rows, landmarks=landmarks.astype(np.float32))
            clips.append((features, PicturePlace(path, offset, (n, 128, 128, 3))))
            offset = file.tell()
    return PictureDataset(clips, window=4)


@pytest.fixture(scope="module")
def batch(dataset):
    return dataset.batch([(0, 1, 5), (1, 0, 2)])


@pytest.fixture(scope="module")
def face():
    """A photograph, its landmarks, and where they are to go."""
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    example = rng.uniform(20, 110, (68, 2)).astype(np.float32)
    example[27:48] = TEMPLATE
    return photo, example, (example + rng.normal(0, 3, (7, 68, 2))).astype(np.float32)


def parameters(network):
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_pictures_to_network_and_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(2, 1, 1, 3)
    every[..., 1] = 7
    values = to_network(every)
    assert values.shape == (2, 3, 16, 16)
    assert (values.min(), values.max()) == (-1, 1)
    np.testing.assert_array_equal(to_pictures(values), every)
    np.testing.assert_array_equal(
        to_pictures(torch.tensor([[[[-3.0]], [[0.0]], [[3.0]]]])), [[[[0, 128, 255]]]]
    )
    points = torch.tensor([[[0.0, 64.0], [128.0, 96.0]]])
    assert flat(points).tolist() == [[-1, 0, 1, 0.5]]


@pytest.mark.parametrize("discriminator", [JUDGE, None])
def test_saved_and_loaded(tmp_path, face, discriminator):
    system = make_system(discriminator=discriminator, loss="l1", mouth_weight=2.0)
    system.vg_net.standardise(torch.full((136,), 0.1), torch.full((136,), 0.7))
    path = system.save(tmp_path / "w.safetensors", {"seed": 3})
    again = ATVGVideo.load(path)
    assert again.config == system.config
    assert (again.discriminator is None) == (discriminator is None)
    assert not again.training
    stored = load_file(path)
    assert stored["vg_net.colour.0.weight"].dtype == np.float16
    assert stored["vg_net.landmark_mean"].dtype == np.float32
    assert "landmark_mask" not in stored
    assert any(name.startswith("discriminator.") for name in stored) == (discriminator is not None)
    for name, value in again.state_dict().items():
        kept = system.state_dict()[name]
        exact = kept.half().float() if name in dict(system.named_parameters()) else kept
        assert torch.equal(value, exact), name
    before, after = system.generate(*face), again.generate(*face)
    assert 0 < np.abs(before - after.astype(int)).max() <= 3  # half precision
    assert path.read_bytes() == system.save(tmp_path / "again.safetensors", {"seed": 3}).read_bytes()


def test_broken_and_foreign_weights(tmp_path):
    path = make_system().save(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="weights of 'atvg_video'"):
        ATVG.load(path)
    with pytest.raises(InputError, match="no such file"):
        ATVGVideo.load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="unreadable"):
        load_video(weights=tmp_path / "cut.safetensors")
    assert load_video(weights=path).config == make_system().config


@pytest.mark.parametrize("discriminator", [JUDGE, None])
def test_a_configuration_survives_json(discriminator):
    """JSON has lists where the configuration has tuples."""
    config = ATVGVideoConfig(
        vg_net=VG_NET, discriminator=discriminator, landmark_mask="released", lip_weight=100.0
    )
    written = json.loads(json.dumps(asdict(config)))
    assert written["vg_net"]["image"] == [4, 4, 8, 8, 8]
    system = ATVGVideo.from_config(written)
    assert system.config == config
    hash(system.config)
    assert system.landmark_mask[97] == 100
    assert system.landmark_mask[96] == 1


def test_starting_from_the_weights_of_a_first_stage(tmp_path):
    first = make_system(seed=1, discriminator=None)
    path = first.save(tmp_path / "first.safetensors")
    second = make_system(seed=2)
    judge = parameters(second.discriminator)
    second.start_from(path)
    for name, value in second.vg_net.state_dict().items():
        expected = first.vg_net.state_dict()[name]
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-3, msg=name)
    assert all(torch.equal(value, judge[name]) for name, value in parameters(second.discriminator).items())
    wider = ATVGVideo(ATVGVideoConfig(vg_net=replace(VG_NET, fused=9)))
    with pytest.raises(InputError, match="vg_net of other widths"):
        wider.start_from(path)


def test_losses_written_out(batch):
    """What is minimised is 10 times Eq. 8, over the frames that exist."""
    truth, photo = to_network(batch.pictures), to_network(batch.photograph)
    systems = {
        name: make_system(**options)
        for name, options in {
            "paper": {},
            "l1": {"loss": "l1"},
            "beta": {"base_weight": 1.0, "pixel_weight": 3.0},
            "colour": {"colour_weight": 0.3},
            "mouth": {"mouth_weight": 4.0, "colour_weight": 0.3},
        }.items()
    }
    with torch.no_grad():
        made, _ = systems["paper"].vg_net(photo, flat(batch.example), flat(batch.landmarks))
        losses = {name: system.losses(batch) for name, system in systems.items()}
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
        ATVGVideoConfig(loss="l2")
    for name in ("base_weight", "colour_weight", "mouth_weight", "score_weight"):
        with pytest.raises(InputError, match=name):
            ATVGVideoConfig(**{name: -1.0})


def all_losses(system, batch):
    """Those of a step too; with a rate of 0 nothing is learned."""
    system.eval()
    losses = {name: loss.detach() for name, loss in system.losses(batch).items()}
    if system.discriminator is not None:
        step = system.training_step(batch, system.optimizers(0.0, (0.5, 0.999)))
        losses |= {f"step {name}": loss for name, loss in step.items()}
    return losses


@pytest.mark.parametrize("loss", ["dynamic", "l1"])
def test_padding_does_not_change_a_loss(batch, loss):
    """In evaluation mode: batch normalisation sees padding while training."""
    system = make_system(loss=loss, mouth_weight=2.0, colour_weight=0.3)
    before = all_losses(system, batch)
    padding = ~batch.mask
    pictures, landmarks = batch.pictures.clone(), batch.landmarks.clone()
    pictures[padding], landmarks[padding] = 255, 100.0
    after = all_losses(system, replace(batch, pictures=pictures, landmarks=landmarks))
    assert {"loss", "pixel", "alpha", "step g_score", "step d_points_fake", "step d_real"} <= before.keys()
    for name, value in before.items():
        assert torch.isfinite(value), name
        assert torch.equal(value, after[name]), name
    pictures[1, 2] = 255
    changed = all_losses(system, replace(batch, pictures=pictures))
    assert changed["loss"] != before["loss"]


def test_a_step_trains_both_networks(batch):
    system = make_system().train()
    before = {name: parameters(network) for name, network in system.networks().items()}
    losses = system.training_step(batch, system.optimizers(1e-3, (0.5, 0.999)))
    assert {"loss", "pixel", "alpha", "g_score", "g_points"} <= losses.keys()
    assert {"d_real", "d_fake", "d_points_real", "d_points_fake"} <= losses.keys()
    assert all(torch.isfinite(loss) and not loss.requires_grad for loss in losses.values())
    for name, network in system.networks().items():
        after = parameters(network)
        same = [k for k, v in before[name].items() if torch.equal(v, after[k])]
        assert all(k.startswith("decoder.") for k in same), (name, same)
    for name, parameter in system.discriminator.named_parameters():
        assert parameter.requires_grad == (not name.startswith("decoder.")), name
    assert all(parameter.requires_grad for parameter in system.vg_net.parameters())


class Halfway(Exception):
    """Stops a step where its second update begins."""


def test_vg_nets_update_leaves_the_discriminator_alone(batch):
    """The discriminator after the whole step is the one after its own half; no gradient of VG-net's stays."""
    system, reference = make_system().train(), make_system().train()
    system.training_step(batch, system.optimizers(1e-3, (0.5, 0.999)))
    optimizers = reference.optimizers(1e-3, (0.5, 0.999))
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
    for name, value in parameters(system.discriminator).items():
        assert torch.equal(value, parameters(reference.discriminator)[name]), name
    assert all(p.grad is None for p in reference.vg_net.parameters())
    for (name, a), (_, b) in zip(
        system.discriminator.named_parameters(), reference.discriminator.named_parameters()
    ):
        assert (a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad), name


def assert_close_in_scale(a, b, name):
    """Some biases stand before a batch normalisation: their gradient is rounding, and no other's."""
    assert (a - b).abs().max() <= 1e-3 * b.abs().max() + 1e-6, name


def test_one_step_written_out(batch):
    """Eq. 9 in turn, with the released code's weights, against the same two updates written out."""
    ours, reference = (make_system(landmark_mask="released", lip_weight=100.0).train() for _ in range(2))
    for parameter in ours.parameters():  # of a step before
        parameter.grad = torch.full_like(parameter, 100.0) if parameter.requires_grad else None
    losses = ours.training_step(batch, ours.optimizers(1e-3, (0.5, 0.999)))
    adams = reference.optimizers(1e-3, (0.5, 0.999))
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


def test_without_a_discriminator_a_step_is_adams(batch):
    ours, reference = (make_system(discriminator=None).train() for _ in range(2))
    assert list(ours.networks()) == ["vg_net"]
    ours.training_step(batch, ours.optimizers(1e-3, (0.5, 0.999)))
    adam = torch.optim.Adam(reference.vg_net.parameters(), lr=1e-3, betas=(0.5, 0.999))
    reference.losses(batch)["loss"].backward()
    adam.step()
    for (name, a), (_, b) in zip(ours.named_parameters(), reference.named_parameters()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


def test_the_discriminator_learns(batch):
    """VG-net holds still: what is true and what is made of one batch must come apart.

    With weights of 1: where lips count 10,000 times, so few steps teach it nothing else.
    """
    system = make_system(landmark_mask="plain").train()
    optimizers = system.optimizers(1e-2, (0.5, 0.999))
    for group in optimizers["vg_net"].param_groups:
        group["lr"] = 0.0
    losses = [system.training_step(batch, optimizers) for _ in range(20)]

    def told(step, *names):
        return sum(float(losses[step][name]) for name in names)

    assert told(-1, "d_real", "d_fake") < 0.5 * told(0, "d_real", "d_fake")
    assert told(-1, "d_points_real") < 0.5 * told(0, "d_points_real")
    assert told(-1, "d_points_fake") < 0.5 * told(0, "d_points_fake")
    assert told(-1, "g_score") > 2 * told(0, "g_score")  # it is not taken in


@pytest.mark.parametrize("loss", ["dynamic", "l1"])
def test_a_few_steps_on_one_batch_lower_the_loss(batch, loss):
    system = make_system(discriminator=None, loss=loss).train()
    optimizers = system.optimizers(3e-3, (0.9, 0.999))
    losses = [system.training_step(batch, optimizers) for _ in range(15)]
    for name in ("loss", "pixel"):
        assert losses[-1][name] < 0.8 * losses[0][name], name


def test_landmarks_are_standardised_by_the_training_set(dataset, batch):
    system = make_system()
    before = system.losses(batch)["loss"]
    statistics = dataset.statistics()
    system.prepare(statistics)
    np.testing.assert_array_equal(system.vg_net.landmark_mean, statistics["landmark_mean"])
    np.testing.assert_array_equal(system.vg_net.landmark_std, statistics["landmark_std"])
    assert system.losses(batch)["loss"] != before


@pytest.mark.parametrize("chunk_frames", [1, 3, 7, 50])
def test_a_film_does_not_depend_on_its_chunks(face, chunk_frames):
    system = make_system()
    photo, example, landmarks = face
    with torch.no_grad():
        images = to_network(torch.from_numpy(photo)[None])
        points = (flat(torch.from_numpy(p)[None]) for p in (example, landmarks))
        whole, _ = system.vg_net(images, *points)
    parts = list(system.film(*face, chunk_frames=chunk_frames))
    assert [part.frames.shape[1] for part in parts] == [
        min(chunk_frames, 7 - start) for start in range(0, 7, chunk_frames)
    ]
    for name in whole._fields:
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(system.generate(*face), to_pictures(whole.frames[0]))


def test_filming_leaves_the_mode_as_it_was_and_repeats_itself(face):
    system = make_system().train()
    first = system.generate(*face)
    assert system.training
    assert system.vg_net.training
    np.testing.assert_array_equal(system.generate(*face), first)
    assert first.shape == (7, 128, 128, 3)
    assert first.dtype == np.uint8
    unfinished = system.film(*face, chunk_frames=2)
    next(unfinished)
    unfinished.close()
    assert system.training
    system.eval()
    np.testing.assert_array_equal(system.generate(*face), first)
    assert not system.training


def test_wrong_input_to_film(face):
    system = make_system().train()
    photo, example, landmarks = face
    for wrong in (
        (photo[:100], example, landmarks),
        (photo.astype(np.float32), example, landmarks),
        (photo[..., 0], example, landmarks),
        (photo, example[:20], landmarks),
        (photo, example, landmarks[:, :20]),
        (photo, example, landmarks[0]),
        (photo, example, landmarks[:0]),
    ):
        with pytest.raises(InputError, match=r"photo|example|landmarks"):
            system.generate(*wrong)
    with pytest.raises(InputError, match="chunk_frames"):
        next(system.film(*face, chunk_frames=0))
    assert system.training


def test_build_and_describe():
    with torch.device("meta"):
        full = build_video("atvg", "full")
        lite = build_video("atvg", "lite", discriminator=False, recurrence="batch", base_weight=0.0)
    assert full.parameter_counts() == {"vg_net": 58_355_781, "discriminator": 21_491_473}
    assert lite.parameter_counts().keys() == {"vg_net"}
    assert (lite.config.vg_net.recurrence, lite.config.base_weight) == ("batch", 0.0)
    about = describe(["atvg"], ["full"])["atvg"]["full"]["networks"]
    assert (about["vg_net"], about["discriminator"]) == (58_355_781, 21_491_473)
    with pytest.raises(InputError, match="system"):
        build_video("latent")
    with pytest.raises(InputError, match="full or lite"):
        build_video("atvg", "huge")


def test_shipped_weights(face):
    path = shipped_video_weights("atvg", "lite")
    if not path.is_file():
        with pytest.raises(InputError, match="none in the package"):
            load_video("atvg", "lite")
        pytest.skip(f"{path.name} is not shipped yet")
    assert path.stat().st_size < 8e6
    frames = load_video("atvg", "lite").generate(*face)
    assert frames.shape == (7, 128, 128, 3)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_copy_for_inference_films_the_same(face, precision):
    system = make_system().eval()
    before = {name: value.clone() for name, value in system.state_dict().items()}
    fast = system.for_inference(precision)
    films = [one.generate(*face).astype(float) for one in (system, fast)]
    assert np.abs(films[0] - films[1]).max() <= (1 if precision == "32" else 6)
    assert system.discriminator is not None
    assert fast.discriminator is None
    for name, value in system.state_dict().items():
        assert torch.equal(value, before[name])
