"""Attentional landmarks from the command line: trained, resumed, told about, timed."""

import json

import numpy as np
import pytest
import torch
from attentional_parts import moved_heads, photograph, some_speech
from cli_inputs import refused

from talkface_lite import cli
from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.measuring import bench as module
from talkface_lite.systems import SYSTEMS, load, system_class
from talkface_lite.systems.attentional import LTVNetPart, STLNetPart
from talkface_lite.systems.part import read_weights

torch.set_num_threads(1)

PARTS = {"stl-net": [], "ltv-net": ["--warp", "--mouth-weight", "2"]}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of heads, and the same as if they had been aligned."""
    folder = tmp_path_factory.mktemp("clips")
    for framing in ("head", "aligned"):
        for n in (5, 6):
            Clip(
                frames=np.stack([photograph(seed=t) for t in range(n)]),
                landmarks=moved_heads(n, seed=n),
                speech=some_speech(n, seed=n),
                framing=framing,
            ).save(folder / framing / f"{n}.safetensors")
    return folder


def train(part, data, out, *more, steps=2):
    words = ["train", "attentional", part, "--data", str(data), "--out", str(out), "--steps", str(steps)]
    return cli.main([*words, "--batch-size", "2", "--window", "3", "--log-every", "1", "--json", *more])


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    for part, flags in PARTS.items():
        held_out = ["--validation", str(clips / "head")]
        assert train(part, clips / "head", out / part, *flags, *held_out) == 0
    return out


@pytest.mark.parametrize("kind", [STLNetPart, LTVNetPart])
def test_trained_and_resumed(kind, clips, trained, capsys):
    about, tensors = read_weights(trained / kind.name / "weights.safetensors")
    assert (about["system"], about["part"], about["record"]["step"]) == ("attentional", kind.name, 2)
    assert about["record"]["data"]["digest"] == Dataset.from_folder(clips / "head", needs=kind.needs).digest
    assert np.isfinite(about["record"]["validation"]["held_out_mouth"])
    capsys.readouterr()
    more = [*PARTS[kind.name], "--validation", str(clips / "head"), "--resume"]
    assert train(kind.name, clips / "head", trained / kind.name, *more, steps=3) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 3
    _, after = read_weights(trained / kind.name / "weights.safetensors")
    assert any(not torch.equal(tensors[name], after[name]) for name in after)
    assert not any(name.startswith("discriminator.") for name in after)


def test_what_was_trained_talks(trained):
    files = [trained / part / "weights.safetensors" for part in PARTS]
    system = load("attentional", weights=files)
    assert (system.ltv_net.config.ltv_net.warp, system.ltv_net.config.mouth_weight) == (True, 2)
    assert system.how == "LTV net warps, then paints (ours); head moves"
    assert system.speak(some_speech(2), moved_heads(1)[0]).shape == (2, 68, 2)


@pytest.mark.parametrize("part", PARTS)
def test_aligned_clips_are_refused(part, clips, tmp_path, capsys):
    code = train(part, clips / "aligned", tmp_path / "out")
    refused(capsys, code, "--view head")
    assert not (tmp_path / "out" / "weights.safetensors").exists()


@pytest.mark.parametrize("part", PARTS)
def test_info_tells_of_it(part, trained, capsys):
    assert cli.main(["info", str(trained / part / "weights.safetensors"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["parts"]
    assert (one["system"], one["part"]) == ("attentional", part)
    assert cli.main(["info", "--system", "attentional", "--size", "lite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "attentional lite"
    networks = [line.split()[0] for line in lines[1:] if line.endswith("parameters")]
    assert networks == ["stl_net", "ltv_net", "discriminator"]


def test_bench_takes_it_by_name(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(module, "bench", lambda **what: asked.append(what["systems"]) or {})
    assert cli.main(["bench", "--system", "attentional", "--json"]) == 0
    assert asked == [["attentional"]]
    assert list(SYSTEMS)[-1] == "attentional"
    assert [part.name for part in system_class("attentional").parts] == list(PARTS)


@pytest.mark.parametrize("words", [["train", "attentional", part] for part in PARTS])
def test_every_flag_says_what_it_does(words, capsys):
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    flags = {
        "stl-net": ("--no-split", "--no-residual", "--calibration", "--lip-weight", "--wing-width"),
        "ltv-net": ("--warp", "--no-attention", "--no-discriminator", "--discriminator-from"),
    }
    for flag in flags[words[-1]]:
        assert flag in text
