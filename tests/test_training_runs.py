"""A run stays the run that it was: resuming, the lock, held-out clips, adversaries, noise."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training import ROOT, SETTINGS, final_checkpoint, make_dataset, make_system
from torch import nn

from talkface_lite.data.dataset import Dataset, Features
from talkface_lite.data.needs import Needs
from talkface_lite.errors import InputError
from talkface_lite.files import held
from talkface_lite.systems.part import Part, adam
from talkface_lite.training import train


@dataclass(frozen=True, kw_only=True)
class GameConfig:
    """Settings of the game.

    Parameters
    ----------
    critic_rate:
        Of the critic.
    """

    critic_rate: float = 1e-3


class Game(Part):
    """Two small networks against each other, noise, and a frozen network that is only asked."""

    system, name, network_names, kept = "game", "game", ("player", "critic"), ("player",)
    config_class, figure = GameConfig, "miss"

    def __init__(self, config=None):
        super().__init__(config or GameConfig())
        self.player, self.critic = nn.Linear(12, 1), nn.Linear(1, 1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)
        self.rates, self.noise, self.modes = [], [], []

    def optimizers(self, settings):
        return {
            "player": adam(self.player, settings.learning_rate, settings.betas),
            "critic": adam(self.critic, self.config.critic_rate, (0.0, 0.9)),
        }

    def losses(self, batch):
        made = self.player(batch.mfcc[:, :, 0])
        return {"loss": (self.frozen(self.critic(made)) ** 2).mean(), "miss": (made - 1).abs().mean()}

    def training_step(self, batch, optimizers, backward=torch.Tensor.backward):
        self.rates.append({name: o.param_groups[0]["lr"] for name, o in optimizers.items()})
        self.noise.append(torch.rand(1).item())
        self.modes.append((self.player.training, self.frozen.weight.requires_grad))
        return super().training_step(batch, optimizers, backward)


def game(seed=0):
    torch.manual_seed(seed)
    return Game()


def play(out, part=None, settings=SETTINGS, data=None, **options):
    return train(part or game(), data or make_dataset(), out, settings, progress=False, **options)


def test_each_optimiser_keeps_its_own_rate_under_a_schedule(tmp_path):
    part = game()
    play(tmp_path, part, replace(SETTINGS, steps=4, schedule="cosine", learning_rate=2e-4))
    half = [0.5 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    np.testing.assert_allclose([rates["player"] for rates in part.rates], [2e-4 * s for s in half])
    np.testing.assert_allclose([rates["critic"] for rates in part.rates], [1e-3 * s for s in half])
    log = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert float(log[-1]["learning_rate"]) == pytest.approx(2e-4 * half[3], rel=1e-2)


def test_a_resumed_schedule_goes_on_where_it_was(tmp_path):
    settings = replace(SETTINGS, steps=6, schedule="cosine")
    straight, first, second = game(), game(), game(9)
    play(tmp_path / "straight", straight, settings)
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "resumed", first, settings, data=Stopping(make_dataset(), 4))
    play(tmp_path / "resumed", second, settings, resume=True)
    assert first.rates + second.rates == straight.rates
    assert first.noise + second.noise == straight.noise, "the random stream goes on, too"
    one, two = final_checkpoint(tmp_path / "straight"), final_checkpoint(tmp_path / "resumed")
    assert all(torch.equal(one[name], two[name]) for name in one)


class Stopping:
    """A dataset that is interrupted after so many batches."""

    def __init__(self, data, after):
        self.data, self.after = data, after

    def __getattr__(self, name):
        return getattr(self.data, name)

    def __len__(self):
        return len(self.data)

    def batches(self, *arguments, **options):
        for n, batch in enumerate(self.data.batches(*arguments, **options)):
            if n == self.after:
                raise KeyboardInterrupt
            yield batch


def test_what_is_frozen_is_asked_and_not_trained(tmp_path):
    part = game()
    before = part.frozen.weight.clone()
    result = play(tmp_path, part.eval())
    assert part.modes == [(True, False)] * 6, "in training mode, whatever mode it came in"
    assert torch.equal(part.frozen.weight, before)
    assert type(part.player) is nn.Linear, "out of its wrapper again"
    names = load_file(result.weights).keys()
    assert "player.weight" in names
    assert "frozen.weight" in names
    assert not any(name.startswith("critic.") for name in names), "critics need not ship"
    loaded = Game.load(result.weights)
    torch.testing.assert_close(loaded.player.weight, part.player.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": lambda: make_dataset(3)}, "data of the run to resume: got other files"),
        ({"data": lambda: with_settings(window=5)}, "window of the run to resume: got 4"),
        (
            {"data": lambda: with_settings(window=4, mirrored=True)},
            "mirrored of the run to resume: got False",
        ),
        ({"data": lambda: with_settings(window=4, camera=1.0)}, "camera of the run to resume: got 0"),
        ({"data": lambda: with_settings(window=4, mfcc_shift=0.1)}, "mfcc_shift of the run"),
        ({"data": lambda: with_settings(window=4, closed_examples=0.1)}, "closed_examples of the run"),
        ({"data": lambda: with_settings(window=4, needs=Needs(words=("bin",)))}, "words of the run"),
        ({"settings": replace(SETTINGS, batch_size=4)}, "batch_size of the run to resume: got 3, expected 4"),
        ({"settings": replace(SETTINGS, seed=5)}, "seed of the run to resume"),
        ({"part": lambda: make_system()}, "part of the run to resume"),
        ({"started": "0123"}, "start_from of the run to resume"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, change, message):
    play(tmp_path)
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    options = {name: value() if callable(value) else value for name, value in change.items()}
    part = options.pop("part", None) or game()
    part.started = options.pop("started", "")
    with pytest.raises(InputError, match=message) as caught:
        play(tmp_path, part, resume=True, **options)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == left


def with_settings(**settings):
    return Dataset(make_dataset().clips, **settings)


def test_workers_may_change_and_change_nothing(tmp_path):
    play(tmp_path / "alone")
    with_two = play(tmp_path / "two", data=with_settings(window=4, workers=2))
    one, two = final_checkpoint(tmp_path / "alone"), final_checkpoint(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert "workers" not in with_two.record["data"]["settings"]
    play(tmp_path / "two", settings=replace(SETTINGS, steps=8), resume=True)


def test_two_runs_in_one_folder(tmp_path):
    code = (
        "import sys, time; from talkface_lite.files import held\n"
        f"with held({str(tmp_path)!r}, 'x'):\n    print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert other.stdout.readline() == b"held\n"
        for resume in (False, True):
            with pytest.raises(InputError, match="another training run at work in it"):
                play(tmp_path, resume=resume)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    finally:
        other.kill()
        other.wait()
    play(tmp_path)  # who dies, however rudely, holds it no longer
    assert not (tmp_path / ".lock").exists()


def test_a_lock_is_let_go_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), held(tmp_path, "another"):
        raise ZeroDivisionError
    with held(tmp_path, "another"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="got a file, expected a folder"), held(tmp_path / "file", "another"):
        pass


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["weights", "best"])
def test_weights_without_checkpoints_are_not_trained_over(tmp_path, resume, name):
    weights = tmp_path / f"{name}.safetensors"
    weights.write_bytes(b"dear")
    with pytest.raises(InputError, match="without a checkpoint" if resume else "--resume"):
        play(tmp_path, resume=resume)
    assert weights.read_bytes() == b"dear"
    assert [path.name for path in tmp_path.iterdir()] == [weights.name]


def held_out():
    rng = np.random.default_rng(7)
    clips = [
        Features(
            rows=rng.standard_normal((4 * (n - 1) + 28, 12)).astype(np.float32),
            landmarks=rng.uniform(20, 100, (n, 68, 2)).astype(np.float32),
        )
        for n in (9, 4)
    ]
    return Dataset(clips, window=4)


class Worsening(Game):
    """Its held-out figure is best at the second look."""

    figures = (3.0, 1.0, 2.0)

    def held_out(self, batch):
        assert not self.player.training
        assert not torch.is_grad_enabled()
        self.looks = [*getattr(self, "looks", []), int(batch.mask.sum())]
        return {"miss": torch.tensor(self.figures[(len(self.looks) - 1) // 2])}


def test_held_out_clips_choose_the_best_weights(tmp_path):
    torch.manual_seed(0)
    part, settings = Worsening(GameConfig()), replace(SETTINGS, log_every=3)
    result = play(tmp_path, part, settings, validation=held_out())
    assert sum(part.looks) == 3 * 13, "three looks at all frames"
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [(row["step"], row["held_out_miss"]) for row in rows] == [
        ("2", "3"), ("3", ""), ("4", "1"), ("6", "2"),
    ]  # fmt: skip
    best, last = load_file(tmp_path / "best.safetensors"), load_file(result.weights)
    assert not torch.equal(best["player.weight"], last["player.weight"])
    at_four = load_file(tmp_path / "checkpoints" / "step-00000004.safetensors")
    assert torch.equal(best["player.weight"], at_four["system.player.weight"].half())
    assert result.record["validation"] == {
        "digest": held_out().digest, "clips": 2, "held_out_miss": 2.0,
    }  # fmt: skip
    # a resumed run remembers what was best
    torch.manual_seed(0)
    again = Worsening(GameConfig())
    again.figures = (1.5,)
    play(tmp_path, again, replace(settings, steps=7), validation=held_out(), resume=True)
    assert torch.equal(load_file(tmp_path / "best.safetensors")["player.weight"], best["player.weight"])
    steps = [row["step"] for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert steps == ["2", "3", "4", "6", "7"], "each step has one line"


def test_held_out_figures_are_weighed_by_frames(tmp_path):
    part = make_system()
    result = train(part, make_dataset(), tmp_path, SETTINGS, validation=held_out(), progress=False)
    part.eval()
    whole = next(iter(Dataset(held_out().clips, window=9).passes(2)))
    with torch.no_grad():
        expected = part.held_out(whole)["mouth"].item()
    windows = result.record["validation"]["held_out_mouth"]
    assert windows == pytest.approx(expected, rel=0.2)  # the memory starts anew in each window
    assert {"mouth", "mse"} <= {name.removeprefix("held_out_") for name in result.record["validation"]}


def test_processes_draw_from_streams_of_their_own_and_resume_them(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; sys.modules['torchmetrics'] = None  # slow to import, not used\n"
        "import json, os, pathlib\n"
        "import torch\n"
        "import test_training_runs as t\n"
        "class Written(t.Game):\n"
        "    def training_step(self, *arguments):\n"
        "        losses = super().training_step(*arguments)\n"
        "        path = pathlib.Path(os.environ['WRITTEN']) / f'{torch.distributed.get_rank()}.json'\n"
        "        path.write_text(json.dumps(self.noise))\n"
        "        return losses\n"
        "if __name__ == '__main__':\n"
        "    steps, resume = int(sys.argv[2]), bool(int(sys.argv[3]))\n"
        "    torch.manual_seed(0)\n"
        "    settings = t.replace(t.SETTINGS, steps=steps, devices=2)\n"
        "    t.play(sys.argv[1], Written(t.GameConfig()), settings, resume=resume)\n"
    )

    def noise(out, steps, resume=False):
        written = tmp_path / f"noise-{out}-{steps}"
        written.mkdir()
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "WRITTEN": str(written)}
        command = [sys.executable, script, str(tmp_path / out), str(steps), str(int(resume))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads((written / f"{rank}.json").read_text()) for rank in (0, 1)]

    straight = noise("straight", 4)
    assert len(straight[0]) == 4
    assert not set(straight[0]) & set(straight[1])
    before = noise("resumed", 2)
    after = noise("resumed", 4, resume=True)
    assert [a + b for a, b in zip(before, after)] == straight


def test_a_checkpoint_that_does_not_fit_is_not_passed_over(tmp_path):
    from talkface_lite.files import read_tensors, write_tensors
    from talkface_lite.training.run_folder import FORMAT

    play(tmp_path)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    about, tensors = read_tensors(newest, key="checkpoint", text=FORMAT, what="", framework="pt")
    del tensors["system.player.weight"], about["format"]
    write_tensors(newest, tensors, about, key="checkpoint", text=FORMAT)
    left = newest.read_bytes()
    with pytest.raises(
        InputError, match=r"does not fit .*expected one of this run; remove it to go on"
    ) as error:
        play(tmp_path, resume=True)
    assert "\n" not in str(error.value)
    assert newest.read_bytes() == left


def test_an_installed_package_has_no_commit(monkeypatch):
    from talkface_lite.training import record

    monkeypatch.setattr(record, "__file__", "/nowhere/at/all/record.py")
    assert record.commit() == ""
