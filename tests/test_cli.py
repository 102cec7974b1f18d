import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import torch
from small_networks import SMALL_VG_NET

from talkface_lite import cli, commands
from talkface_lite.clip import Clip
from talkface_lite.media import read_video, write_image, write_speech
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg.at_net import ATVG, ATVGConfig
from talkface_lite.systems.atvg.vg_net import ATVGVideo, ATVGVideoConfig
from talkface_lite.talking.talker import PHOTOGRAPHS

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


def sound(seconds=0.4, rate=16_000, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((int(seconds * rate), channels))).squeeze().astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights, sounds good and bad, a picture without a face, and three clips."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    small = ATNetConfig(channels=(2, 2, 2, 2, 2), audio=(8, 8), landmark=(4, 4), hidden=8, layers=1)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    ATVG(ATVGConfig(at_net=small), basis).save(folder / "small.safetensors")
    ATVGVideo(ATVGVideoConfig(vg_net=SMALL_VG_NET)).save(folder / "video.safetensors")
    write_speech(folder / "good.wav", sound())
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "no-samples.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(8_000, np.float32), 16_000)
    soundfile.write(folder / "8-bit.wav", sound(), 16_000, subtype="PCM_U8")
    soundfile.write(folder / "stereo.wav", sound(channels=2), 16_000)
    soundfile.write(folder / "44100.wav", sound(rate=44_100), 44_100)
    holed = sound()
    holed[100] = np.nan
    soundfile.write(folder / "nan.wav", holed, 16_000, subtype="FLOAT")
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:6_000])
    write_image(folder / "no-face.png", np.full((200, 200, 3), 127, np.uint8))
    (folder / "not-a-picture.png").write_bytes(b"hello")
    rng = np.random.default_rng(2)
    for i in range(3):
        Clip(
            frames=None,
            landmarks=rng.uniform(20, 100, (12, 68, 2)).astype(np.float32),
            speech=(0.1 * rng.standard_normal(12 * 640)).astype(np.float32),
        ).save(folder / "clips" / f"{i}.safetensors")
    return folder


def talk(folder, out, *more, speech="good.wav", photo="hopper"):
    return cli.main([
        "talk", "--photo", str(photo), "--speech", str(folder / speech), "--out", str(out),
        "--detector", "dlib", *weights(folder), *more,
    ])  # fmt: skip


def weights(folder):
    return ["--weights", str(folder / "small.safetensors"), str(folder / "video.safetensors")]


def refused(capsys, code, *fragments):
    """One line on standard error, nothing on standard output, exit code 2."""
    streams = capsys.readouterr()
    assert code == 2
    assert streams.out == ""
    lines = streams.err.splitlines()
    assert len(lines) == 1, streams.err
    assert lines[0].startswith("talkface: ")
    for fragment in fragments:
        assert fragment in lines[0]


@pytest.mark.parametrize(
    ("speech", "fragments"),
    [
        ("empty.wav", ["empty"]),
        ("no-samples.wav", ["0 samples"]),
        ("silent.wav", ["silence"]),
        ("8-bit.wav", ["8-bit", "--convert"]),
        ("stereo.wav", ["stereo", "--convert"]),
        ("44100.wav", ["44100 Hz", "--convert"]),
        ("nan.wav", ["NaN"]),
        ("cut.wav", ["short"]),
        ("nowhere.wav", ["no such file"]),
    ],
)
def test_bad_sound(folder, tmp_path, capsys, speech, fragments):
    refused(capsys, talk(folder, tmp_path / "new" / "v.mp4", speech=speech), speech, *fragments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("photo", ["no-face.png", "not-a-picture.png", "nowhere.png"])
def test_bad_picture(folder, tmp_path, capsys, photo):
    pytest.importorskip("dlib")
    refused(capsys, talk(folder, tmp_path / "v.mp4", photo=folder / photo), photo)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("speech", ["8-bit.wav", "stereo.wav", "44100.wav"])
def test_talk_writes_a_film_with_sound(folder, tmp_path, capsys, speech):
    pytest.importorskip("dlib")
    out = tmp_path / "new" / "v.mp4"
    assert talk(folder, out, "--json", "--convert", speech=speech) == 0
    streams = capsys.readouterr()
    report = json.loads(streams.out)
    assert report == {"out": str(out), "frames": 10, "seconds": 0.4, "system": "atvg", "marked": True}
    assert [p.name for p in out.parent.iterdir()] == ["v.mp4"]
    video = read_video(out)
    assert video.frames.shape[0] == 10
    assert video.frames.shape[1:] == (256, 256, 3)
    assert np.abs(video.speech).max() > 0.01


def test_talk_films_the_face_the_photograph_or_the_scene(folder, tmp_path):
    pytest.importorskip("dlib")
    films = {}
    for name, options in {
        "face": [], "bare": ["--no-mark"], "whole": ["--paste-back"], "scene": ["--scene"],
    }.items():  # fmt: skip
        assert talk(folder, tmp_path / f"{name}.mp4", *options) == 0
        films[name] = read_video(tmp_path / f"{name}.mp4").frames
    photo = PHOTOGRAPHS["hopper"]()
    assert films["face"].shape[1:] == films["bare"].shape[1:] == (256, 256, 3)
    assert films["whole"].shape[1:3] == tuple(n - n % 2 for n in photo.shape[:2])
    assert films["scene"].shape[2] > 900
    marked = np.abs(films["face"].astype(int) - films["bare"]).mean(axis=(0, 3))
    assert marked[-20:, -80:].mean() > 10 * marked[:200].mean()


def test_a_film_says_what_it_is(folder, tmp_path):
    pytest.importorskip("dlib")
    out = tmp_path / "v.mp4"
    assert talk(folder, out) == 0
    said = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", out], capture_output=True, text=True).stderr
    assert "generated by talkface_lite" in said


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--weights", "{small}", "{small}"], ["weights of 'atvg'", "'atvg_video'"]),
        (["--weights", "{video}"], ["weights of 'atvg_video'", "'atvg'"]),
        (["--weights", "{small}", "{video}", "{video}"], ["3 files"]),
        (["--weights", "at.pth", "vg.pth"], ["at.pth", "--basis"]),
        (["--weights", "{small}", "{video}", "--basis", "{small}", "{small}"], ["small.safetensors"]),
        (["--paste-back", "--scene"], ["not allowed"]),
    ],
)
def test_bad_weights_for_a_film(folder, tmp_path, capsys, options, fragments):
    pytest.importorskip("dlib")
    names = {name: folder / f"{name}.safetensors" for name in ("small", "video")}
    try:
        code = talk(folder, tmp_path / "v.mp4", *(option.format(**names) for option in options))
    except SystemExit as leaving:
        code = leaving.code
    refused(capsys, code, *fragments)
    assert list(tmp_path.iterdir()) == []


def test_talk_says_a_text(folder, tmp_path, capsys):
    pytest.importorskip("dlib")
    code = cli.main([
        "talk", "--photo", "hopper", "--text", "Hi.", "--out", str(tmp_path / "v.mp4"), "--detector", "dlib",
        *weights(folder), "--voice", "arthur",
    ])  # fmt: skip
    assert code == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert read_video(tmp_path / "v.mp4").frames.shape[0] > 5


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ([], "COMMAND"),
        (["sing"], "sing"),
        (["talk", "--photo", "hopper", "--out", "v.mp4"], "--speech --text"),
        (["talk", "--photo", "hopper", "--text", "a", "--speech", "b", "--out", "v.mp4"], "not allowed"),
        (["talk", "--photo", "hopper", "--text", "Hi", "--out", "v.avi"], ".mp4"),
        (["talk", "--photo", "hopper", "--text", " ", "--out", "v.mp4"], "something to say"),
        (["talk", "--photo", "hopper", "--text", "Hi", "--voice", "nobody", "--out", "v.mp4"], "nobody"),
        (["corpus", "out", "--clips", "0", "--seed", "1"], "less than 1"),
        (["corpus", "out", "--clips", "two", "--seed", "1"], "two"),
        (["corpus", "out", "--clips", "1", "--seed", "-1"], "--seed"),
        (["train", "latent", "--data", "d", "--out", "o"], "latent"),
        (["train", "atvg", "--data", "nowhere", "--out", "o"], "no such folder"),
        (
            ["train", "atvg", "--data", "nowhere", "--out", "o", "--steps", "1", "--minutes", "1"],
            "not allowed",
        ),
        (["evaluate", "--data", "nowhere"], "no such folder"),
        (["evaluate", "--data", "."], "no clip"),
        (["info", "--size", "huge"], "huge"),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, capsys, arguments, fragment):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    refused(capsys, code, fragment)
    assert list(tmp_path.iterdir()) == []


def test_corpus_train_evaluate(folder, tmp_path, capsys, monkeypatch):
    """The thin thread, end to end, through the real commands."""
    corpus, run = tmp_path / "corpus", tmp_path / "run"
    assert cli.main(["corpus", str(corpus), "--clips", "2", "--seed", "5", "--no-frames", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == 2
    assert Clip.load(sorted(corpus.glob("*.safetensors"))[0]).frames is None
    training = [
        "train",
        "atvg",
        "--data",
        str(corpus),
        "--out",
        str(run),
        "--batch-size",
        "2",
        "--window",
        "4",
    ]
    assert cli.main([*training, "--steps", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["step"] == 1
    assert report["parameters"] == {"at_net": 931_518}
    refused(capsys, cli.main([*training, "--steps", "2"]), "--resume")
    assert cli.main([*training, "--steps", "2", "--resume"]) == 0
    capsys.readouterr()
    weights = str(run / "weights.safetensors")
    assert (
        cli.main(["evaluate", "--system", "atvg", "--data", str(corpus), "--weights", weights, "--json"]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["clips"] == 2
    assert report["report"]["mouth_landmark_distance"]["median"] > 0
    assert report["system"] == "atvg"
    assert cli.main(["evaluate", "--data", str(corpus), "--weights", weights]) == 0
    printed = capsys.readouterr().out
    assert "mean_mouth" in printed
    assert "{" not in printed


def test_the_half_that_paints(folder, tmp_path, capsys):
    """Corpus with pictures, VG-net trained, from its own weights on, and measured."""
    corpus, run = tmp_path / "corpus", tmp_path / "run"
    drawing = ["corpus", str(corpus), "--clips", "1", "--seed", "5", "--text", "Hi.", "--workers", "1"]
    assert cli.main(drawing) == 0
    training = ["train", "atvg", "--part", "vg-net", "--data", str(corpus), "--steps", "1", "--window", "2"]
    training += ["--batch-size", "2", "--mirrored", "--camera", "1", "--colour-weight", "0.3"]
    training += ["--json", "--out"]
    capsys.readouterr()
    assert cli.main([*training, str(run)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["parameters"].keys() == {"vg_net", "discriminator"}
    assert report["config"]["colour_weight"] == 0.3
    assert report["config"]["mouth_weight"] == 0
    weights = str(run / "weights.safetensors")
    more = ["--no-discriminator", "--loss", "l1", "--start-from", weights]
    assert cli.main([*training, str(tmp_path / "more"), *more]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"].keys() == {"vg_net"}
    assert cli.main(["evaluate", "--pictures", "--data", str(corpus), "--weights", weights]) == 0
    printed = capsys.readouterr().out
    for word in ("with_truth", "with_at_net", "copy_photo", "mouth box, dB", "LMD"):
        assert word in printed
    refused(
        capsys,
        cli.main([*training, str(tmp_path / "n"), "--start-from", str(folder / "video.safetensors")]),
        "other widths",
    )
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--part", "vg-net", "--loss", "mouth"], ["--loss", "mouth", "dynamic or l1"]),
        (["--part", "vg-net", "--no-lstm"], ["--no-lstm", "--part at-net"]),
        (["--camera", "1"], ["--camera", "--part vg-net"]),
        (["--colour-weight", "1"], ["--colour-weight", "--part vg-net"]),
        (["--part", "vg-net", "--mouth-weight", "-1"], ["mouth_weight", "-1", "0 or more"]),
        (["--part", "vg-net"], ["no pictures"]),
    ],
)
def test_options_of_the_other_half(folder, tmp_path, capsys, options, fragments):
    clips = str(folder / "clips")
    code = cli.main(["train", "atvg", "--data", clips, "--out", str(tmp_path / "run"), *options])
    refused(capsys, code, *fragments)
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_is_not_overwritten(folder, capsys):
    before = sorted(p.name for p in folder.iterdir())
    refused(
        capsys, cli.main(["corpus", str(folder), "--clips", "1", "--seed", "0", "--no-frames"]), str(folder)
    )
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_full_disk_during_corpus(tmp_path):
    """A limit on the size of files stands in for the disk: the write fails midway in the same way."""
    command = [sys.executable, "-m", "talkface_lite.cli", "corpus", "out", "--clips", "2", "--seed", "1"]
    done = subprocess.run(
        [*command, "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)),
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("talkface: out: got File too large")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_info_counts_parameters(capsys):
    assert cli.main(["info", "--json", "--size", "full"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["systems"]["atvg"]["full"]["networks"]["at_net"] == 30_071_750
    assert cli.main(["info", "--system", "atvg"]) == 0
    assert "30,071,750" in capsys.readouterr().out


def test_interrupting_is_one_line(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "info", interrupted)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "talkface: interrupted\n"


def test_a_remark_is_one_line_on_standard_error(monkeypatch, capsys):
    def remark(_):
        import warnings

        warnings.warn("2 faces;\n taking the largest", stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)
        return {"a": 1}

    monkeypatch.setattr(commands, "info", remark)
    assert cli.main(["info", "--json"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out) == {"a": 1}
    assert streams.err == "talkface: 2 faces; taking the largest\n"


def test_bench_prints_one_object(monkeypatch, capsys):
    from talkface_lite.measuring import bench

    monkeypatch.setattr(bench, "bench", lambda **options: options)
    assert cli.main(["bench", "--json", "--workers", "2"]) == 0
    expected = {"workers": 2, "clips": 8, "repeats": 3, "training": False}
    assert json.loads(capsys.readouterr().out) == expected


def test_a_full_disk_during_talk(folder, tmp_path, capsys, monkeypatch):
    pytest.importorskip("dlib")

    def full(path, frames, *_, **__):
        path.parent.mkdir(parents=True)
        next(iter(frames))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("talkface_lite.media.write_video", full)
    code = talk(folder, tmp_path / "a" / "b" / "v.mp4")
    refused(capsys, code, "v.mp4: got No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_prepare_offers_what_the_package_has():
    from talkface_lite.faces.detection import DETECTORS
    from talkface_lite.recordings.pipeline import RECORDINGS_PER_SHARD
    from talkface_lite.recordings.prepare import SIZES
    from talkface_lite.recordings.readers import READERS
    from talkface_lite.systems import SYSTEMS
    from talkface_lite.systems.atvg.at_net import LOSSES
    from talkface_lite.systems.atvg.vg_net import PIXEL_LOSSES

    assert tuple(system.name for system in SYSTEMS) == commands.SYSTEM_NAMES
    part_of = dict.fromkeys(LOSSES, "at-net") | dict.fromkeys(PIXEL_LOSSES, "vg-net")
    assert part_of == commands.LOSSES

    (parsers,) = cli._parser()._subparsers._group_actions
    options = {action.dest: action for action in parsers.choices["prepare"]._actions}
    assert cli.RECORDING_KINDS == options["kind"].choices == tuple(READERS)
    assert options["per_shard"].default == RECORDINGS_PER_SHARD
    assert options["size"].choices == SIZES
    assert options["detector"].choices == DETECTORS
