"""What ``talkface train`` does not take: one line, exit code 2, nothing written and nothing lost."""

import json
import shutil

import numpy as np
import pytest
import torch
from cli_inputs import refused
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_train_command import SHORT, make_clips

from talkface_lite import cli
from talkface_lite.data.dataset import Dataset

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("data") / "clips", 3, 0)


def train(clips, out, *flags: str, part: str = "at-net") -> int:
    return cli.main(["train", "atvg", part, "--data", str(clips), "--out", str(out), *SHORT, *flags])


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--betas", "0.5", "1"], "betas: got 0.5 1.0, expected two numbers from 0 to below 1"),
        (["--betas", "nan", "0.9"], "betas: got nan 0.9"),
        (["--betas", "-0.1", "0.9"], "betas: got -0.1 0.9"),
        (["--seed=-1"], "seed: got -1, expected 0 to 2^63 - 1"),
        (["--seed", str(2**63)], "seed: got 9223372036854775808"),
        (["--learning-rate", "inf"], "learning_rate: got inf, expected a finite number"),
    ],
)
def test_settings_out_of_range(clips, tmp_path, capsys, flags, line):
    refused(capsys, train(clips, tmp_path / "run", *flags), line)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    assert train(clips, out) == 0
    return out


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def everything(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without(*names: str):
    return lambda about: {name: value for name, value in about.items() if name not in names}


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        (without("step"), {}),
        (without("best"), {}),
        (lambda about: about | {"step": "many"}, {}),
        (lambda about: about | {"seconds": None}, {}),
        (lambda about: about | {"data": []}, {}),
        (lambda about: about | {"settings": None}, {}),
        (dict, {"system.at_net.mfcc_mean": torch.zeros(3)}),
        (dict, {"system.unknown": torch.zeros(3)}),
        (dict, {"optimizer.adam.999.exp_avg": torch.zeros(3)}),
        (dict, {"random.0": torch.zeros(3)}),
    ],
)
def test_a_checkpoint_of_odd_contents(clips, run, capsys, about, tensors):
    (path,) = (run / "checkpoints").iterdir()
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["checkpoint"])
    save_file(load_file(path) | tensors, path, {"checkpoint": json.dumps(about(metadata))})
    left = everything(run)
    code = train(clips, run, "--resume")
    refused(capsys, code, str(path), "a checkpoint that does not fit", "remove it to go on")
    assert everything(run) == left


@pytest.mark.parametrize(
    "log", [b"hello\n1,2\n", b"\xff\xfe\0", b"step,loss\nmany,3\n", b"step,loss\n1,low\n"]
)
def test_a_log_that_is_none(clips, run, capsys, log):
    (run / "log.csv").write_bytes(log)
    left = everything(run)
    refused(capsys, train(clips, run, "--resume"), "log.csv: got no log of a run")
    assert everything(run) == left


@pytest.mark.parametrize("option", ["--data", "--validation"])
@pytest.mark.parametrize("inside", [".", "run"])
def test_a_run_among_the_clips(clips, tmp_path, capsys, option, inside):
    shutil.copytree(clips, tmp_path / "own")
    left = everything(tmp_path)
    out = tmp_path / "own" / inside
    data, more = (tmp_path / "own", []) if option == "--data" else (clips, [option, str(tmp_path / "own")])
    refused(capsys, train(data, out, *more), f"--out: got {out}", f"a folder outside of {option}")
    assert everything(tmp_path) == left
    assert train(tmp_path / "own", tmp_path / "own-run") == 0, "beside them is no trouble"


def test_what_fails_at_the_first_step_leaves_no_folder(clips, tmp_path, capsys):
    strange = tmp_path / "strange.safetensors"
    data = Dataset.from_folder(clips)
    data.clips[0].rows[:] = np.nan
    data.save(strange)
    assert train(strange, tmp_path / "more" / "run") == 2
    assert "loss of step 1: got nan" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [strange]
