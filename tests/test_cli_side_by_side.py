"""``talkface talk --system all``: every system in one film."""

import json
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from cli_inputs import refused
from toy_systems import Lamp, SmallLamp

from talkface_lite import cli
from talkface_lite.media import read_video
from talkface_lite.systems import SYSTEMS
from talkface_lite.talking.side_by_side import PANEL, panel_places
from talkface_lite.talking.talker import Portrait

torch.set_num_threads(1)


class Told(SmallLamp):
    """Says how it makes its film."""

    name = "told"
    how = "by lamplight"


def talk(inputs, out, *more, photo="hopper"):
    return cli.main([
        "talk", "--system", "all", "--photo", str(photo), "--speech", str(inputs / "good.wav"),
        "--out", str(out), "--detector", "dlib", *more,
    ])  # fmt: skip


@pytest.fixture
def toys(monkeypatch):
    """In the place of the package's weights; remembers for what it was asked."""
    asked = []

    def shipped(names, size):
        asked.append((names, size))
        return {"lamp": Lamp(), "told": Told()}

    monkeypatch.setattr("talkface_lite.measuring.evaluation.shipped", shipped)
    return asked


def test_all_systems_are_in_one_film(inputs, tmp_path, capsys, toys):
    pytest.importorskip("dlib")
    out = tmp_path / "new" / "v.mp4"
    assert talk(inputs, out, "--json", "--seed", "3") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out) == {
        "out": str(out), "films": [str(out)], "frames": 10, "seconds": 0.4, "system": "all",
        "systems": ["lamp", "told"], "how": {"lamp": "", "told": "by lamplight"}, "marked": True,
    }  # fmt: skip
    assert toys == [(list(SYSTEMS), "lite")]
    said = streams.err.splitlines()
    assert said[: len(SYSTEMS)] == [
        f"talkface: without {name}: no lite weights in the package" for name in SYSTEMS
    ]
    assert said[len(SYSTEMS) :] == [f"{out}: 10 frames, 0.4 s; lamp, told"]
    assert [path.name for path in out.parent.iterdir()] == ["v.mp4"]
    video = read_video(out)
    first, *others = panel_places(3)
    assert len(video.frames) == 10
    assert video.frames.shape[2] == others[-1][1].stop + 8
    film = video.frames.astype(float)
    still = film[:, *first].mean(axis=(1, 2, 3))
    assert np.ptp(still) < 1, "the photograph, but for what the encoder does"
    for place in others:
        assert (np.abs(film[:, *place] - film[:, *first]).mean(axis=(1, 2, 3)) > 3).all(), "the lamp is on"
    assert np.abs(video.speech).max() > 0.01
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", out], capture_output=True, text=True).stderr
    assert "systems lamp, told; not a recording" in told


def test_the_mark_can_be_left_out_and_the_seed_is_of_what_is_drawn(inputs, tmp_path, toys):
    pytest.importorskip("dlib")
    films = {}
    for name, more in {"marked": [], "bare": ["--no-mark"], "other": ["--seed", "5"]}.items():
        assert talk(inputs, tmp_path / f"{name}.mp4", *more) == 0
        films[name] = read_video(tmp_path / f"{name}.mp4").frames.astype(int)
    differs = np.abs(films["marked"] - films["bare"]).mean(axis=(0, 3))
    first, *others = panel_places(3)
    corner = (slice(PANEL - 20, None), slice(PANEL - 70, None))
    assert differs[first].mean() < 0.1
    for place in others:
        assert differs[place][corner].mean() > 10 * differs[place][:200].mean()
        assert np.abs(films["marked"] - films["other"])[:, *place].mean() > 3


@pytest.mark.parametrize(
    ("more", "beside"),
    [
        (["--samples", "3"], "--samples"),
        (["--weights", "nowhere.safetensors"], "--weights"),
        (["--variant", "paper"], "--variant"),
        (["--paste-back"], "--paste-back"),
        (["--scene"], "--scene"),
        (["--scene", "--samples", "2"], "--samples and --scene"),
    ],
)
def test_what_one_system_has_is_refused_beside_all(inputs, tmp_path, capsys, toys, more, beside):
    code = talk(inputs, tmp_path / "new" / "v.mp4", *more)
    line = f"--system all: got {beside} beside it, expected one system, or the package's own weights"
    refused(capsys, code, line)
    assert list(tmp_path.iterdir()) == []
    assert toys == []


def test_a_systems_own_flags_are_none_of_all(inputs, tmp_path, capsys, toys):
    with pytest.raises(SystemExit) as stop:
        talk(inputs, tmp_path / "v.mp4", "--noise", "1")
    refused(capsys, stop.value.code, "unrecognized arguments: --noise")


def test_where_the_package_has_no_weights_of_a_size(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("talkface_lite.measuring.evaluation.shipped", lambda *_: {})
    code = talk(inputs, tmp_path / "v.mp4", "--size", "full")
    refused(capsys, code, "--system all: got no full weights in the package, expected --system S --weights")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_a_face(inputs, tmp_path, capsys, monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.setattr(
        "talkface_lite.measuring.evaluation.shipped", lambda *_: {name: Lamp() for name in SYSTEMS}
    )
    refused(capsys, talk(inputs, tmp_path / "v.mp4", photo=inputs / "no-face.png"), "no-face.png")
    assert list(tmp_path.iterdir()) == []


def test_the_packages_own_systems_say_one_thing(inputs, tmp_path, capsys, monkeypatch):
    """All that have weights, on a face that was found already."""
    pytest.importorskip("dlib")
    portrait = Portrait.of("hopper", detector="dlib")
    monkeypatch.setattr(Portrait, "of", lambda *_, **__: portrait)
    assert talk(inputs, tmp_path / "v.mp4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["systems"] == list(told["how"]) == list(SYSTEMS)
    frames = read_video(tmp_path / "v.mp4").frames.astype(int)
    first, *others = panel_places(len(SYSTEMS) + 1)
    for place in others:
        assert np.abs(frames[-1][place] - frames[-1][first]).max() > 30
