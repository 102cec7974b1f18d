"""``talkface train`` from its words to what is in the weights, and every flag to what it is for."""

import csv
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from talkface_lite import cli, training
from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.needs import DataSettings
from talkface_lite.systems import build_part, part_class
from talkface_lite.systems.part import read_weights
from talkface_lite.training import TrainingResult, TrainingSettings

torch.set_num_threads(1)


def make_clips(folder, n: int, seed: int, frames: bool = False):
    rng = np.random.default_rng(seed)
    for i in range(n):
        length = 10 + i
        Clip(
            frames=rng.integers(0, 256, (length, 128, 128, 3), np.uint8) if frames else None,
            landmarks=rng.uniform(20, 100, (length, 68, 2)).astype(np.float32),
            speech=(0.1 * rng.standard_normal(length * 640)).astype(np.float32),
        ).save(folder / f"{i}.safetensors")
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder / "training", 3, 0)
    make_clips(folder / "held-out", 2, 1)
    make_clips(folder / "pictures", 2, 2, frames=True)
    return folder


def words(clips, out, *more: str) -> list[str]:
    return ["train", "atvg", "at-net", "--data", str(clips / "training"), "--out", str(out), *more]


SHORT = ("--steps", "3", "--batch-size", "2", "--window", "6", "--log-every", "1")


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "more" / "than one" / "folder deep"
    held_out = ["--validation", str(clips / "held-out")]
    assert cli.main(words(clips, out, *SHORT, *held_out, "--seed", "4", "--mfcc-shift", "0.2")) == 0
    return out


def test_weights_hold_the_record_of_their_run(trained, clips):
    about, _ = read_weights(trained / "weights.safetensors")
    record = json.loads((trained / "record.json").read_text())
    assert about["record"] == record
    assert (about["system"], about["part"]) == ("atvg", "at-net")
    assert (record["step"], record["windows_seen"], record["window"], record["clips"]) == (3, 6, 6, 3)
    assert record["settings"]["seed"] == 4
    assert record["settings"]["batch_size"] == 2
    assert record["data"]["digest"] == Dataset.from_folder(clips / "training").digest
    assert record["data"]["settings"]["mfcc_shift"] == 0.2
    assert record["validation"]["clips"] == 2
    assert record["validation"]["digest"] == Dataset.from_folder(clips / "held-out").digest
    best, _ = read_weights(trained / "best.safetensors")
    assert best["record"]["held_out"].keys() >= {"loss", "mouth"}


def test_input_is_standardised_by_the_training_clips(trained, clips):
    _, tensors = read_weights(trained / "weights.safetensors")
    statistics = Dataset.from_folder(clips / "training").statistics()
    for name in ("mfcc_mean", "mfcc_std"):
        np.testing.assert_allclose(tensors[f"at_net.{name}"], statistics[name], rtol=1e-5)


def test_the_log_has_a_line_a_step_in_order_of_time(trained):
    with (trained / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted({int(row["step"]) for row in rows}) == [1, 2, 3]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0
    assert seconds[-1] <= json.loads((trained / "record.json").read_text())["seconds"] + 0.1
    assert {float(row["learning_rate"]) for row in rows} == {2e-4}


def test_the_command_is_the_library_under_the_same_seed(trained, clips, tmp_path):
    torch.manual_seed(4)
    part = build_part("atvg", "at-net")
    data = Dataset.from_folder(clips / "training", window=6, mfcc_shift=0.2)
    settings = TrainingSettings(steps=3, batch_size=2, log_every=1, seed=4)
    result = training.train(part, data, tmp_path, settings, progress=False)
    ours, theirs = load_file(trained / "weights.safetensors"), load_file(result.weights)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture
def caught(monkeypatch, clips, tmp_path):
    """Run ``talkface train`` with flags; returns what it would have handed to the trainer."""
    got = {}

    def train(part, data, out, settings, **options):
        got.update(options, part=part, data=data, out=out, settings=settings)
        record = {"step": 7, "seconds": 1.0}
        return TrainingResult(weights=out / "weights.safetensors", record=record, losses={"loss": 0.5})

    monkeypatch.setattr(training, "train", train)

    def run(*flags: str, part: str = "at-net", data: str = "training"):
        got.clear()
        given = ["train", "atvg", part, "--data", str(clips / data), "--out", str(tmp_path / "out")]
        assert cli.main([*given, *flags]) == 0
        return got

    return run


def test_without_flags_everything_is_as_the_part_has_it(caught, tmp_path, capsys):
    got = caught()
    kind = part_class("atvg", "at-net")
    assert got["settings"] == TrainingSettings(**kind.defaults)
    assert got["data"].settings == DataSettings()
    assert got["data"].needs == kind.needs
    assert got["part"].config == kind.of_size("lite").config
    assert (got["validation"], got["resume"], got["out"]) == (None, False, tmp_path / "out")
    assert got["part"].started == ""
    assert f"{tmp_path / 'out' / 'weights.safetensors'}: 7 steps, loss 0.5\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (["--steps", "9"], {"steps": 9}),
        (["--minutes", "0.5"], {"minutes": 0.5, "steps": None}),
        (["--batch-size", "3"], {"batch_size": 3}),
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--betas", "0.1", "0.2"], {"betas": (0.1, 0.2)}),
        (["--schedule", "cosine"], {"schedule": "cosine"}),
        (["--seed", "3"], {"seed": 3}),
        (["--precision", "bf16"], {"precision": "bf16"}),
        (["--devices", "2"], {"devices": 2}),
        (["--checkpoint-every", "5"], {"checkpoint_every": 5}),
        (["--log-every", "5"], {"log_every": 5}),
    ],
)
def test_flags_of_training(caught, flags, changed):
    got = caught(*flags)
    expected = {**TrainingSettings(**got["part"].defaults).__dict__, **changed}
    assert got["settings"].__dict__ == expected
    assert got["data"].settings == DataSettings()


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (["--window", "5"], {"window": 5}),
        (["--mfcc-shift", "0.3"], {"mfcc_shift": 0.3}),
        (["--closed-examples", "0.5"], {"closed_examples": 0.5}),
        (["--mirrored"], {"mirrored": True}),
        (["--streaming", "always"], {"streaming": "always"}),
        (["--streaming", "never"], {"streaming": "never"}),
        (["--workers", "2"], {"workers": 2}),
    ],
)
@pytest.mark.parametrize(("part", "data"), [("at-net", "training"), ("vg-net", "pictures")])
def test_flags_of_data(caught, flags, changed, part, data):
    got = caught(*flags, part=part, data=data)
    assert got["data"].settings == DataSettings(**changed)
    assert got["data"].needs == part_class("atvg", part).needs
    assert (type(got["data"]).__name__ == "StreamedDataset") == (changed.get("streaming") == "always")
    assert got["settings"] == TrainingSettings(**got["part"].defaults)


def test_the_camera_is_for_parts_that_see(caught):
    got = caught("--camera", "1.5", part="vg-net", data="pictures")
    assert got["data"].settings == DataSettings(camera=1.5)


def test_the_seed_fixes_the_first_weights_and_another_gives_others(caught):
    states = [dict(caught("--seed", seed)["part"].state_dict()) for seed in ("1", "1", "2")]
    name = next(name for name, value in states[0].items() if value.ndim > 1 and name.startswith("at_net."))
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])
    torch.manual_seed(1)
    assert torch.equal(states[0][name], build_part("atvg", "at-net").state_dict()[name])


def test_size_own_flags_resume_validation_and_start(caught, trained, clips):
    got = caught("--loss", "whitened", "--mouth-weight", "3", "--resume")
    assert (got["part"].config.loss, got["part"].config.mouth_weight) == ("whitened", 3.0)
    assert got["resume"] is True
    got = caught("--validation", str(clips / "held-out"), "--window", "5", "--mfcc-shift", "1")
    # held-out clips are not varied
    assert got["validation"].settings == DataSettings(window=5, streaming="never")
    assert len(got["validation"]) == 2
    got = caught("--start-from", str(trained / "weights.safetensors"))
    assert len(got["part"].started) == 16
    _, tensors = read_weights(trained / "weights.safetensors")
    assert all(torch.equal(v.float(), tensors[k].float()) for k, v in got["part"].state_dict().items())


def test_the_json_is_the_record_and_where_the_weights_are(caught, tmp_path, capsys):
    caught("--json")
    streams = capsys.readouterr()
    weights = str(tmp_path / "out" / "weights.safetensors")
    assert json.loads(streams.out) == {"weights": weights, "step": 7, "seconds": 1.0}
    assert "7 steps" in streams.err


def test_a_part_named_twice_must_be_one(clips, tmp_path, capsys):
    assert cli.main(words(clips, tmp_path / "x", "--part", "vg-net")) == 2
    assert "PART" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
