"""What ``talkface train`` does not take: one line, exit code 2, nothing written and nothing lost."""

import pytest
import torch
from cli_inputs import refused
from test_train_command import SHORT, make_clips

from talkface_lite import cli

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
