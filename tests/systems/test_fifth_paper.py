"""A fifth paper is one file, a line in the registry, and nothing else: it trains, talks and is measured."""

import json

import numpy as np
import pytest

from talkface_lite import cli, systems
from talkface_lite.corpus.synthesis import write_corpus
from talkface_lite.media import read_video, write_speech

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(systems._REGISTRY, "toy", "toy_paper:Toy")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_corpus(folder, clips=2, seed=11, workers=1, text="Hi.")
    return folder


def run(capsys, *arguments):
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_trains_resumes_talks_and_is_measured(data, tmp_path, capsys):
    out = tmp_path / "run"
    training = ["train", "toy", "--data", data, "--out", out, "--noise", "0.2", "--validation", data]
    record = run(capsys, *training, "--steps", 2)
    assert record["settings"]["batch_size"] == 2, "the part's own default"
    assert record["window"] == 4
    assert record["config"] == {"noise": 0.2}
    record = run(capsys, *training, "--steps", 3, "--resume")
    assert record["step"] == 3
    assert record["validation"]["held_out_loss"] > 0
    weights = out / "weights.safetensors"

    speech = write_speech(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16_000))
    films = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        film = tmp_path / f"{name}.mp4"
        talk = ["talk", "--system", "toy", "--photo", "hopper", "--speech", speech, "--weights", weights]
        pytest.importorskip("dlib")
        run(capsys, *talk, "--out", film, "--seed", seed, "--detector", "dlib")
        films.append(read_video(film).frames)
    assert np.array_equal(films[0], films[1])
    assert not np.array_equal(films[0], films[2]), "the seed of talk is what the system draws from"
    run(capsys, *talk, "--out", tmp_path / "scene.mp4", "--scene", "--detector", "dlib")
    run(capsys, *talk, "--out", tmp_path / "whole.mp4", "--paste-back", "--detector", "dlib")

    evaluated = ["evaluate", "--system", "toy", "--data", data, "--weights", weights]
    report = run(capsys, *evaluated, "--pictures", "--frame-step", 5)
    row = report["systems"]["toy"]["from_speech"]
    assert {"psnr", "ssim", "mouth_psnr", "mouth_gain"} <= row.keys()
    assert "mouth_landmark_distance" not in row, "it knows of no landmarks"
    assert abs(row["psnr"]["median"] - report["baselines"]["copy_photo"]["psnr"]["median"]) < 3


def test_it_learns_from_one_person(data, tmp_path, capsys):
    """By the default of every part, with nothing said of it; its film has no landmarks."""
    from dataclasses import replace

    from talkface_lite.data.features import read_clips

    (clip, *_) = read_clips(data, frames=True)
    for number in range(5):
        named = replace(clip, source=f"take {number}", frames=clip.frames - np.uint8(9 * number))
        named.save(tmp_path / "takes" / f"{number}.safetensors")
    record = run(capsys, "train", "toy", "--data", data, "--out", tmp_path / "run", "--steps", 1)
    out, weights = tmp_path / "mine.safetensors", record["weights"]
    given = ["--data", tmp_path / "takes", "--out", out, "--weights", weights, "--minutes", 1]
    report = run(capsys, "adapt", "--system", "toy", *given)
    told = report["parts"]["speech-to-light"]
    assert told["figure"] == "loss"
    assert told["kept"] == out.exists() == (report["out"] is not None)
    assert told["steps"] >= 10
    assert set(report["film"]["before"]) == {"mouth_gain"}


def test_it_is_listed_and_timed(capsys, monkeypatch):
    from talkface_lite.measuring import bench

    about = run(capsys, "info", "--system", "toy")
    assert about["systems"]["toy"]["lite"]["networks"] == {"light": 28 * 12 + 1}
    monkeypatch.setattr(
        bench, "bench_corpus", lambda *_: {"frames_per_s": 1.0, "workers": 1, "share_of_time": {}}
    )
    report = run(capsys, "bench", "--system", "toy", "--repeats", 1, "--training")
    found = report["systems"]["toy"]["lite"]
    assert found["film"]["frames_per_s"] > 0
    assert found["parts"]["speech-to-light"]["training"]["ways"]["step"]["frames_per_s"] > 0
    assert cli.main(["bench", "--system", "toy", "--repeats", "1"]) == 0
    assert "toy lite, weights random" in capsys.readouterr().out


def test_a_paper_without_weights_says_so(data, capsys):
    assert cli.main(["info", "--system", "toy", "--size", "lite"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip() == "no weights in the package"
    assert cli.main(["evaluate", "--system", "all", "--data", str(data), "--json"]) == 0
    streams = capsys.readouterr()
    assert "toy" not in json.loads(streams.out)["systems"]
    assert "talkface: without toy: no lite weights in the package" in streams.err.splitlines()


def test_a_flag_of_another_system_is_refused(data, tmp_path, capsys):
    for arguments in (["--mouth-weight", "1"], ["--part", "at-net"]):
        try:
            code = cli.main(["train", "toy", "--data", str(data), "--out", str(tmp_path / "r"), *arguments])
        except SystemExit as stop:
            code = stop.code
        streams = capsys.readouterr()
        assert code == 2
        assert len(streams.err.splitlines()) == 1
        assert arguments[0] in streams.err or arguments[1] in streams.err
        assert not (tmp_path / "r").exists()
