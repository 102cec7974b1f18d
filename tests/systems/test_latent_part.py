"""What latent matching's part minimises, step by step, and what it keeps from one update to the next."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_networks import SMALL_LATENT_MATCHING
from torch import nn
from torch.distributions import Normal, kl_divergence

from talkface_lite.data.features import Features
from talkface_lite.data.pictures import PictureDataset, PicturePlace
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import mean_at, mean_of_frames, mouth_map
from talkface_lite.networks.latent_matching import generated
from talkface_lite.networks.layers import picked
from talkface_lite.systems import build_part
from talkface_lite.systems.latent import LatentMatchingPart, LatentMatchingPartConfig
from talkface_lite.systems.part import Part, Workload
from talkface_lite.systems.training_settings import TrainingSettings
from talkface_lite.training import train

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
SETTINGS = TrainingSettings(steps=6, batch_size=2, learning_rate=1e-2, checkpoint_every=2, log_every=1)


NAMES = {f"{name}_weight": name for name in ("mouth", "motion", "spoken")} | {
    "reconstruction_weight": "weight"
}


def make_part(seed=0, **options):
    torch.manual_seed(seed)
    changes = {
        name: options.pop(name) for name in ("sees", "photo_prior", "memory", "gain") if name in options
    }
    config = replace(SMALL_LATENT_MATCHING, **changes)
    return LatentMatchingPart(LatentMatchingPartConfig(latent_matching=config, **options)).train()


def lively(part):
    """The same with pictures and codes that differ where what is looked at does."""
    for layer in part.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.uniform_(0.01, 0.1)
    return part


def dataset_for(part, dataset):
    clips = zip(dataset.clips, dataset.places, strict=True)
    return PictureDataset(clips, needs=part.needs, window=4)


def batch_for(part, dataset):
    return dataset_for(part, dataset).batch([(0, 1, 5), (1, 0, 2)])


def written_out(part, batch, *, beta=1e-6, chosen=None, mouth=0.0, motion=0.0, spoken=0.0, weight=1.0):
    """Eq. 2 with ``torch.distributions``: what :meth:`losses` should give under the same seed."""
    truth, previous = to_network(batch.pictures), batch.previous
    previous = None if previous is None else to_network(previous)
    photo, network = to_network(batch.photograph), part.latent_matching
    made = network(photo, truth, batch.mfcc, previous, chosen=chosen, spoken=spoken > 0)
    mask, truth = picked(batch.mask, chosen), picked(truth, chosen)
    lips = mouth_map(picked(batch.landmarks, chosen))[mask]
    q_f, q_a = (Normal(q.mean, torch.exp(0.5 * q.logvar)) for q in (made.of_frames, made.of_audio))
    kl = kl_divergence(q_f, q_a)[batch.mask].sum(-1).mean()

    def mse(painted):
        films = [one[there] for one, there in zip((painted - truth) / 2, mask, strict=True)]
        moving = torch.cat([(one - one.mean(0)) ** 2 for one in films])
        return ((torch.cat(films) ** 2 + motion * moving) * (1 + mouth * lips)).mean()

    error = ((made.painted - truth)[mask] / 2) ** 2
    both = mse(made.painted) + (spoken * mse(made.spoken) if spoken else 0)
    return {
        "loss": 3 * 128 * 128 * (weight * both + beta * kl),
        "mse": error.mean(),
        "mouth": (error * lips).sum() / lips.sum() / 3,
        "kl": kl,
    }


@pytest.mark.parametrize("sees", ["previous", "first"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta": 1e-3, "reconstruction_weight": 0.5},
        {"mouth_weight": 4.0},
        {"motion_weight": 3.0},
        {"mouth_weight": 2.0, "motion_weight": 5.0, "spoken_weight": 0.5},
    ],
    ids=["paper", "weights", "mouth", "motion", "all"],
)
def test_losses_written_out(dataset, sees, options):
    part = lively(make_part(sees=sees, gain=4.0, **options)).eval()
    batch = batch_for(part, dataset)
    assert batch.mask.tolist() == [4 * [True], 3 * [True] + [False]]
    torch.manual_seed(3)
    losses = part.losses(batch)
    torch.manual_seed(3)
    expected = written_out(part, batch, **{NAMES.get(name, name): x for name, x in options.items()})
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name)
        assert losses[name].requires_grad == (name == "loss"), "what is only told holds no graph"


def test_the_picture_before_the_window_is_asked_for_where_it_is_seen(dataset):
    for sees in ("previous", "first"):
        part = make_part(sees=sees)
        assert part.needs.previous == (sees == "previous")
        assert (batch_for(part, dataset).previous is not None) == (sees == "previous")
    assert not LatentMatchingPart.needs.previous


def test_some_frames_stand_for_all(dataset):
    """Of each window frames that exist, each as often as any other; in evaluation mode all of them."""
    part = make_part(painted=2)
    batch = batch_for(part, dataset)
    torch.manual_seed(0)
    counts = torch.zeros(2, 4)
    for _ in range(600):
        chosen = part._chosen(batch.mask)
        assert chosen.shape == (2, 2)
        assert (chosen[:, 0] != chosen[:, 1]).all()
        counts += torch.zeros(2, 4).scatter_(1, chosen, 1.0)
    torch.testing.assert_close(
        counts / 600, torch.tensor([4 * [0.5], [2 / 3, 2 / 3, 2 / 3, 0]]), atol=0.07, rtol=0
    )
    assert counts[1, 3] == 0, "there is no such frame"
    assert part.eval()._chosen(batch.mask) is None
    assert make_part(painted=4)._chosen(batch.mask) is None
    assert make_part()._chosen(batch.mask) is None
    longer = make_part(painted=3)._chosen(torch.tensor([[True, False, False, False]]))
    assert longer[0, 0] == 0, "what exists first"


def test_a_step_written_out(dataset):
    part = make_part(sees="first", painted=2)
    batch = batch_for(part, dataset)
    other = make_part(sees="first", painted=2)
    optimizers = part.optimizers(SETTINGS)
    torch.manual_seed(5)
    losses = part.training_step(batch, optimizers)
    torch.manual_seed(5)
    chosen = other._chosen(batch.mask)
    loss = written_out(other, batch, chosen=chosen)["loss"]
    torch.testing.assert_close(losses["loss"], loss.detach())
    loss.backward()
    adam = torch.optim.Adam(other.latent_matching.parameters(), 1e-2, (0.5, 0.999))
    adam.step()
    for (name, one), two in zip(part.named_parameters(), other.parameters(), strict=True):
        if two.grad.abs().max() > 0.01:  # a bias before a normalisation has none but of rounding
            torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-4, msg=name)


def test_beta_grows_over_its_warm_up():
    part = make_part(beta=1e-3, beta_warmup=10)
    found = []
    for updates in (0, 5, 10, 20):
        part.updates.fill_(updates)
        found.append(part.beta)
    assert found == [0, 5e-4, 1e-3, 1e-3]
    part.updates.fill_(0)
    assert part.eval().beta == 1e-3, "held-out losses are those of the whole bound"


def test_teaching_fades():
    part = make_part(teacher_forcing=0.8, teacher_forcing_until=10)
    found = []
    for updates in (0, 5, 10, 20):
        part.updates.fill_(updates)
        found.append(part.true_share)
    assert found == pytest.approx([0.8, 0.4, 0, 0])
    assert make_part(teacher_forcing=0.3).true_share == 0.3


@pytest.mark.parametrize("moves", ["both", "audio", "frames"])
def test_what_the_divergence_moves(dataset, moves):
    part = make_part(sees="first", kl_moves=moves)
    batch, network = batch_for(part, dataset), part.latent_matching
    made = network(to_network(batch.photograph), to_network(batch.pictures), batch.mfcc)
    part._divergence(made).sum().backward()
    for name, moved in (("frame_posterior", moves != "audio"), ("audio_posterior", moves != "frames")):
        gradients = [p.grad for p in getattr(network, name).parameters()]
        assert any(g is not None and bool(g.abs().sum() > 0) for g in gradients) == moved, name


def test_without_reconstruction_the_audio_posterior_alone_learns(dataset):
    part = make_part(sees="first", reconstruction_weight=0.0, beta=1e-3, photo_prior=True)
    batch = batch_for(part, dataset)
    before = {name: value.clone() for name, value in part.latent_matching.named_parameters()}
    torch.manual_seed(3)
    losses = part.training_step(batch, part.optimizers(SETTINGS))
    assert losses.keys() == {"loss", "kl"}
    torch.testing.assert_close(losses["loss"], 49_152 * 1e-3 * losses["kl"])
    moved = {
        name.split(".")[0]
        for name, value in part.latent_matching.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {"audio_encoder", "audio_posterior"}
    assert part.updates == 1
    buffers = dict(part.latent_matching.named_buffers())
    fresh = dict(make_part(sees="first", photo_prior=True).latent_matching.named_buffers())
    still = [name for name in buffers if name.startswith(("frame_encoder", "frame_posterior"))]
    assert still
    assert all(torch.equal(buffers[name], fresh[name]) for name in still), "looked at as in a film"
    assert not [name for name in part.state_dict() if "watch" in name]


def test_the_audio_posterior_learns_what_is_said_of_frames_as_a_film_is_made(dataset):
    part = make_part(sees="first", reconstruction_weight=0.0, beta=1e-3, photo_prior=True)
    batch = batch_for(part, dataset)
    before = part.losses(batch)["kl"]
    other = make_part(sees="first", photo_prior=True)
    net = other.latent_matching
    with torch.no_grad():
        net.frame_posterior.mean.weight.mul_(1.5)
    part.load_state_dict(other.state_dict())  # other weights are looked at with other eyes
    kl = part.losses(batch)["kl"]
    assert not torch.isclose(kl, before, rtol=0.01)
    photo, truth = to_network(batch.photograph), to_network(batch.pictures)
    with torch.no_grad():
        for still in (net.frame_encoder, net.frame_posterior):
            still.eval()
        seen = net.look(photo)
        q_f, _ = net.watch(net.encode(truth), seen)
        q_a, _ = net.listen(batch.mfcc, seen)
        bells = [Normal(q.mean, torch.exp(0.5 * q.logvar)) for q in (q_f, q_a)]
        expected = kl_divergence(*bells).sum(-1)[batch.mask].mean()
    torch.testing.assert_close(kl, expected, rtol=1e-4, atol=1e-4)


def test_updates_are_counted_while_training_alone(dataset):
    part = make_part(sees="first")
    batch = batch_for(part, dataset)
    part.losses(batch)
    assert part.updates == 1
    part.eval().losses(batch)
    part.held_out(batch)
    assert part.updates == 1


def test_held_out_figures_written_out(dataset):
    part = lively(make_part(photo_prior=True, gain=4.0)).eval()
    batch = batch_for(part, dataset)
    found, network = part.held_out(batch), part.latent_matching
    truth, photo, mask = to_network(batch.pictures), to_network(batch.photograph), batch.mask
    mouth = mouth_map(batch.landmarks)[mask]
    with torch.no_grad():
        seen = network.look(photo)
        q_f, _ = network.watch(network.encode(truth), seen)
        q_a, _ = network.listen(batch.mfcc, seen)
        films = {"mouth": q_a.mean, "from_frames": q_f.mean, "later": q_f.mean[:, [2, 3, 0, 1]]}
        films = {name: generated(network, z, seen, None, None)[0].frames[mask] for name, z in films.items()}
    assert part.figure == "mouth"
    assert found.keys() == {"mouth", "mse", "from_frames", "kl", "shuffled"}
    for name in ("mouth", "from_frames"):
        squared = (films[name] - truth[mask]) ** 2 / 4
        torch.testing.assert_close(found[name], (squared * mouth).sum() / mouth.sum() / 3)
    torch.testing.assert_close(found["mse"], ((films["mouth"] - truth[mask]) ** 2 / 4).mean())
    moved = ((films["from_frames"] - films["later"]).abs() * mouth).sum()
    still = photo[:, None].expand_as(truth)[mask]
    assert found["shuffled"] > 1e-3
    torch.testing.assert_close(found["shuffled"], moved / ((still - truth[mask]).abs() * mouth).sum())


def test_means():
    mask = torch.tensor([[True, False], [True, True]])
    assert mean_of_frames(torch.tensor([[1.0, 9.0], [2.0, 6.0]]), mask) == 3
    assert mean_of_frames(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool)) == 0
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None, None].expand(1, 1, 3, 2, 2)
    where = torch.tensor([[1.0, 0.0], [0.0, 3.0]])[None, None, None]
    assert mean_at(values, where, torch.ones(1, 1, dtype=torch.bool)) == (1 + 3 * 7) / 4


def test_bfloat16_leaves_the_divergence_in_float32(dataset):
    part = make_part(sees="first")
    batch = batch_for(part, dataset)
    torch.manual_seed(0)
    exact = part.losses(batch)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = part.losses(batch)
    assert rough["kl"].dtype == rough["loss"].dtype == torch.float32
    torch.testing.assert_close(rough["mse"], exact["mse"], rtol=0.05, atol=0)


def test_a_few_steps_lower_the_loss(dataset, tmp_path):
    part = make_part(sees="first")
    data = dataset_for(part, dataset)
    first = float(part.eval().losses(data.batch([(0, 0, 0), (1, 0, 0)]))["mse"])
    train(part.train(), data, tmp_path / "run", replace(SETTINGS, steps=40), progress=False)
    assert float(part.eval().losses(data.batch([(0, 0, 0), (1, 0, 0)]))["mse"]) < 0.7 * first


def final_checkpoint(folder):
    return load_file(sorted((folder / "checkpoints").glob("*.safetensors"))[-1])


def run(folder, settings, seed=0, resume=False):
    torch.manual_seed(settings.seed + seed)
    part = make_part(seed=seed, painted=2, beta_warmup=50, teacher_forcing=0.9, teacher_forcing_until=100)
    data = painted_dataset(folder.parent, part.needs)
    return train(part, data, folder, settings, resume=resume, progress=False)


def painted_dataset(folder, needs):
    """Two short films of noise, written where two processes find them."""
    path, clips = Path(folder) / "pictures", []
    rng = np.random.default_rng(0)
    for number, n in enumerate((6, 3)):
        landmarks = rng.uniform(30, 100, (n, 68, 2)).astype(np.float32)
        rows = rng.standard_normal((4 * (n - 1) + 28, 12)).astype(np.float32)
        clips.append((Features(rows=rows, landmarks=landmarks), number * 6 * 49_152, n))
    if not path.exists():
        path.write_bytes(rng.integers(0, 256, 9 * 49_152).astype(np.uint8).tobytes())
    places = [(one, PicturePlace(path, offset, (n, 128, 128, 3))) for one, offset, n in clips]
    return PictureDataset(places, needs=needs, window=4, digest="films")


def test_killed_and_resumed_the_noise_is_where_it_was(tmp_path):
    """Draws of z, of frames to paint and of frames to teach, beta and teaching: all as if nothing was."""
    settings = replace(SETTINGS, steps=100_000, checkpoint_every=1, learning_rate=1e-4)
    painted_dataset(tmp_path, make_part().needs)
    code = (
        "import sys; sys.modules['torchmetrics'] = None; sys.path[:0] = ['tests', 'tests/systems'];"
        "from pathlib import Path; from talkface_lite.training import TrainingSettings;"
        f"import test_latent_part as t; t.run(Path({str(tmp_path / 'killed')!r}), {settings!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    folder = tmp_path / "killed" / "checkpoints"
    while process.poll() is None and not list(folder.glob("step-*4.safetensors")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = max(int(path.stem.split("-")[1]) for path in folder.glob("step-*.safetensors"))
    more = replace(settings, steps=reached + 3)
    run(tmp_path / "killed", more, seed=7, resume=True)
    run(tmp_path / "straight", replace(more, checkpoint_every=1000))
    straight, resumed = (final_checkpoint(tmp_path / name) for name in ("straight", "killed"))
    assert int(straight["system.updates"]) == reached + 3
    for name in straight:
        torch.testing.assert_close(straight[name], resumed[name], atol=1e-6, rtol=1e-5, msg=name)


def test_saved_and_loaded(tmp_path):
    part = make_part(sees="first", photo_prior=True, mouth_weight=2.0)
    part.prepare({"mfcc_mean": torch.full((12,), 0.3).numpy(), "mfcc_std": torch.full((12,), 0.7).numpy()})
    part.squares.fill_diagonal_(1.0)
    part.step_products.fill_diagonal_(0.5)
    part.updates.fill_(9_000)
    again = LatentMatchingPart.load(part.save(tmp_path / "w.safetensors"))
    assert again.config == part.config
    assert not again.training
    torch.testing.assert_close(again.drift[0], 0.5 * torch.eye(4), atol=1e-3, rtol=0)
    assert again.latent_matching.audio_encoder.mfcc_std.tolist() == pytest.approx([0.7] * 12)
    assert again.parameter_counts() == part.parameter_counts()
    assert sum(part.parameter_counts().values()) == sum(p.numel() for p in part.parameters())


def test_wrong_settings():
    for wrong, match in (
        ({"beta": -1.0}, "beta: got -1.0, expected 0 or more"),
        *(({name: -1}, name) for name in (*NAMES, "beta_warmup", "teacher_forcing_until")),
        ({"mouth_weight": float("nan")}, "mouth_weight"),
        ({"spoken_weight": 1.0, "teacher_forcing": 0.5}, "spoken_weight.*teacher_forcing 1"),
        ({"spoken_weight": 1.0, "reconstruction_weight": 0.0}, "spoken_weight.*reconstruction_weight"),
        ({"beta": 0.0, "reconstruction_weight": 0.0}, "landmark_weight: got 0, expected something to learn"),
        ({"kl_moves": "none"}, "kl_moves: got 'none', expected both or audio or frames"),
        ({"teacher_forcing": 1.5}, "teacher_forcing: got 1.5, expected 0 to 1"),
        ({"painted": 0}, "painted: got 0, expected at least 1 frame"),
    ):
        with pytest.raises(InputError, match=match):
            LatentMatchingPartConfig(**wrong)
    for changes in ({"teacher_forcing": 0.5}, {"teacher_forcing_until": 10}):
        with pytest.raises(InputError, match=r"expected x_\{t-1\} to be seen"):
            build_part("latent", None, "lite", sees="first", **changes)


def test_its_own_step_is_what_bench_times_of_training(monkeypatch):
    wanted = Workload.Wanted("lite", "cpu", 1, training=True)
    monkeypatch.setattr(Part, "workload", classmethod(lambda cls, asked: (cls, asked)))
    assert LatentMatchingPart.workload(wanted) == (LatentMatchingPart, wanted)
