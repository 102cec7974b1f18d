"""Half a minute of one person: what learns from it, what judges, what is written and what is not."""

import hashlib
import json
import math
import re
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from cli_inputs import refused
from small_networks import SMALL_AT_NET, SMALL_VG_NET

from talkface_lite import cli
from talkface_lite.clip import Clip, Interval
from talkface_lite.corpus.synthesis import write_corpus
from talkface_lite.data.features import read_clips
from talkface_lite.data.needs import DataSettings
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.measuring import adaptation
from talkface_lite.measuring.adaptation import adapt, judges, pieces_of
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import load
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.atvg import ATNetPart, ATNetPartConfig, VGNetPart, VGNetPartConfig
from talkface_lite.systems.part import read_parts, shipped_weights
from talkface_lite.training.loop import held_out_figures

torch.set_num_threads(1)

LITTLE = {"steps": 12, "batch_size": 2}


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    """A few updates of small windows; what is temporary lies where the test can look."""
    for part in (ATNetPart, VGNetPart):
        little = replace(part.adapting.training, **LITTLE)
        monkeypatch.setattr(
            part, "adapting", replace(part.adapting, training=little, data=DataSettings(window=4))
        )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def hindered(monkeypatch, part):
    """A part that cannot learn anything."""
    still = replace(part.adapting.training, learning_rate=1e-12)
    monkeypatch.setattr(part, "adapting", replace(part.adapting, training=still))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six drawn people, each saying a word."""
    folder = tmp_path_factory.mktemp("drawn")
    write_corpus(folder, clips=6, seed=21, workers=1, text="Hi.", still_head=True)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights that have learnt nothing."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    at_net = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET))
    video = VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET, loss="l1"))
    return [at_net.save(folder / "at.safetensors"), video.save(folder / "vg.safetensors")]


def run(capsys, *arguments):
    capsys.readouterr()
    code = cli.main(["adapt", *map(str, arguments), "--json"])
    streams = capsys.readouterr()
    assert code == 0, streams.err
    return json.loads(streams.out)


def test_what_gained_is_one_file_that_talks(clips, start, tmp_path, capsys):
    out = tmp_path / "new" / "mine.safetensors"
    report = run(capsys, "--data", clips, "--out", out, "--weights", *start, "--minutes", 5)
    assert report["out"] == str(out)
    assert report["clips"]["learn"] == 5
    assert report["clips"]["judge"] == 1
    assert list(report["parts"]) == ["at-net", "vg-net"], "in the order in which they are trained"
    for told in report["parts"].values():
        assert told["kept"]
        assert told["after"] < told["before"]
        assert told["steps"] == 12
    assert set(report["film"]["before"]) == set(report["film"]["after"]) == set(adaptation.FILM_FIGURES)
    assert list((tmp_path / "temporary").iterdir()) == []

    system, plain = load("atvg", weights=out), load("atvg", weights=start)
    for name in ("at-net", "vg-net"):
        pairs = zip(system.part(name).parameters(), plain.part(name).parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)
        same = type(system.part(name)).load(out)
        assert all(torch.equal(a, b) for a, b in zip(same.parameters(), system.part(name).parameters()))
    packed, record = read_parts(out)
    assert [one.about["part"] for one in packed] == ["at-net", "vg-net"]
    assert record["notice"] == report["notice"] == adaptation.NOTICE
    assert "that person's own use" in record["notice"]
    for one in packed:
        assert one.about["record"]["clips"] == 5, "those that judge were not learned from"
        assert one.about["record"]["notice"] == adaptation.NOTICE
        assert one.about["record"]["adapted"] == report["parts"][one.about["part"]]
        assert len(one.about["record"]["start_from"]) == 16
    assert packed[1].about["config"]["mouth_weight"] == 4.0, "as the part says that it adapts"
    assert packed[1].about["config"]["loss"] == "l1", "and for the rest as it was"

    capsys.readouterr()
    assert cli.main(["info", str(out)]) == 0
    told = capsys.readouterr().out
    assert "at-net of atvg" in told
    assert "vg-net of atvg" in told
    assert adaptation.NOTICE in told
    assert cli.main(["evaluate", "--data", str(clips), "--weights", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["systems"]["atvg"]["from_speech"]
    clip = next(read_clips(clips))
    rows = system.rows(clip, 0, np.random.default_rng(0), pictures=False)
    assert rows["from_speech"].landmarks.shape == clip.landmarks.shape
    assert found["mouth_landmark_distance"]["median"] > 0
    training = ["train", "atvg", "at-net", "--data", str(clips), "--out", str(tmp_path / "run")]
    training += ["--steps", "1", "--window", "4", "--batch-size", "2", "--start-from", str(out)]
    refused(capsys, cli.main(training), "at_net of other widths")


def test_the_figure_is_the_parts_own_on_the_pieces_that_judge(clips, start, tmp_path):
    """Measured again, from the file, on the clip that the rule picks."""
    report = adapt("atvg", clips, tmp_path / "mine.safetensors", weights=start)
    named = [(f"{clip.source} 0", clip) for clip in read_clips(clips, frames=True)]
    name, clip = min(named, key=lambda pair: hashlib.sha256(pair[0].encode()).hexdigest())
    clip.save(tmp_path / "judge" / "a.safetensors")
    for path, key in ((tmp_path / "mine.safetensors", "after"), (None, "before")):
        system = load("atvg", weights=path or start)
        for part in ("at-net", "vg-net"):
            judge = open_dataset(tmp_path / "judge", system.part(part).needs, DataSettings(window=4))
            figure = held_out_figures(system.part(part), judge, 2, "cpu")[system.part(part).figure]
            assert report["parts"][part][key] == pytest.approx(figure, rel=1e-5), name
    again = adapt("atvg", clips, tmp_path / "again.safetensors", weights=start)
    for part, told in again["parts"].items():
        assert told["after"] == report["parts"][part]["after"], "equal seeds"


def test_where_nothing_gained_nothing_is_written(clips, start, tmp_path, capsys, monkeypatch):
    hindered(monkeypatch, ATNetPart)
    hindered(monkeypatch, VGNetPart)
    out = tmp_path / "none" / "mine.safetensors"
    arguments = ["--data", str(clips), "--out", str(out), "--weights", *map(str, start)]
    assert cli.main(["adapt", *arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"nothing gained in \d+ s, nothing written", printed[-1])
    assert "5 pieces to learn from, 1 to judge by (pieces sorted by the SHA-256 of" in printed[0]
    assert sum("left as it was" in line for line in printed) == 2
    assert not out.parent.exists()
    assert not any(adaptation.NOTICE in line for line in printed)


@pytest.mark.parametrize(("still", "gains"), [(ATNetPart, "vg-net"), (VGNetPart, "at-net")])
def test_only_what_gained_is_in_the_file(clips, start, tmp_path, monkeypatch, still, gains):
    hindered(monkeypatch, still)
    out = tmp_path / "mine.safetensors"
    report = adapt("atvg", clips, out, weights=start)
    assert [one.about["part"] for one in read_parts(out)[0]] == [gains]
    assert not report["parts"][still.name]["kept"]
    system = load("atvg", weights=out)
    shipped = still.load(shipped_weights("atvg", still.name)).state_dict()
    found = system.part(still.name).state_dict()
    assert all(torch.equal(found[name], value) for name, value in shipped.items()), "the package's own"


def test_a_part_that_does_not_adapt_is_left_alone(clips, start, tmp_path, monkeypatch):
    monkeypatch.setattr(VGNetPart, "adapting", None)
    report = adapt("atvg", clips, tmp_path / "mine.safetensors", weights=start)
    assert list(report["parts"]) == ["at-net"]
    monkeypatch.setattr(ATNetPart, "adapting", None)
    with pytest.raises(InputError, match="no part that learns from one person"):
        adapt("atvg", clips, tmp_path / "other.safetensors", weights=start)


def test_without_pictures_the_landmarks_alone_learn(clips, start, tmp_path, capsys):
    for number, clip in enumerate(read_clips(clips)):
        clip.save(tmp_path / "clips" / f"{number}.safetensors")
    report = run(
        capsys, "--data", tmp_path / "clips", "--out", tmp_path / "m.safetensors", "--weights", *start
    )
    assert report["parts"]["vg-net"] == {"skipped": "no pictures, expected pictures of 128"}
    assert report["parts"]["at-net"]["kept"]
    assert "mouth_gain" not in report["film"]["before"]


def test_large_pictures_are_for_the_landmarks_alone(clips, start, tmp_path):
    for number, clip in enumerate(read_clips(clips, frames=True)):
        large = replace(clip, frames=clip.frames.repeat(2, 1).repeat(2, 2))
        large.save(tmp_path / "clips" / f"{number}.safetensors")
    report = adapt("atvg", tmp_path / "clips", tmp_path / "m.safetensors", weights=start)
    assert report["parts"]["vg-net"]["skipped"] == "pictures of 256 pixels a side, expected pictures of 128"


def test_no_time_is_no_gain(clips, start, tmp_path):
    report = adapt("atvg", clips, tmp_path / "mine.safetensors", weights=start, minutes=1e-6)
    assert report["out"] is None
    assert all("time for 0 updates" in told["skipped"] for told in report["parts"].values())
    assert not (tmp_path / "mine.safetensors").exists()


def test_the_time_bounds_the_updates(clips, start, tmp_path, monkeypatch):
    """A step that takes three seconds: fewer of them than the part would like, none where fewer than ten."""
    monkeypatch.setattr(VGNetPart, "adapting", None)
    monkeypatch.setattr(adaptation._Learner, "_seconds_of_a_step", lambda *_: 3.0)
    report = adapt("atvg", clips, tmp_path / "a.safetensors", weights=start, minutes=0.75)
    assert (
        report["parts"]["at-net"]["steps"] == pytest.approx(11, abs=4)
        or "skipped" in report["parts"]["at-net"]
    )
    report = adapt("atvg", clips, tmp_path / "b.safetensors", weights=start, minutes=0.4)
    assert "expected 10 or more" in report["parts"]["at-net"]["skipped"]


def test_interrupted_nothing_is_left(clips, start, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(adaptation, "train", stopped)
    out = tmp_path / "mine.safetensors"
    code = cli.main(["adapt", "--data", str(clips), "--out", str(out), "--weights", *map(str, start)])
    assert code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "talkface: interrupted"
    assert not out.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_loss_that_is_not_finite_spoils_no_other_part(clips, start, tmp_path, monkeypatch):
    wild = replace(ATNetPart.adapting.training, learning_rate=1e30)
    monkeypatch.setattr(ATNetPart, "adapting", replace(ATNetPart.adapting, training=wild))
    report = adapt("atvg", clips, tmp_path / "m.safetensors", weights=start)
    about = report["parts"]["at-net"]
    assert "skipped" in about or not about["kept"]
    json.dumps(report, allow_nan=False)
    assert report["parts"]["vg-net"]["kept"]
    assert [one.about["part"] for one in read_parts(tmp_path / "m.safetensors")[0]] == ["vg-net"]


# ---- pieces


def a_clip(n, *, seed=0, source="a", loud=0.1):
    rng = np.random.default_rng(seed)
    return Clip(
        frames=None,
        landmarks=rng.uniform(20, 100, (n, 68, 2)).astype(np.float32),
        speech=(loud * rng.uniform(-1, 1, 640 * n)).astype(np.float32),
        source=source,
    )


@pytest.mark.parametrize("n", [1, 30, 75, 112, 113, 750, 751])
def test_pieces_hold_every_frame_once(n):
    words = tuple(Interval(f"w{i}", i, i + 0.7) for i in range(n // 25))
    clip = replace(a_clip(n), words=words, phonemes=words)
    found = list(pieces_of(clip))
    assert [start for start, _ in found] == list(np.cumsum([0] + [len(p) for _, p in found[:-1]]))
    for name in ("landmarks", "speech"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(piece, name) for _, piece in found]), getattr(clip, name)
        )
    lengths = [len(piece) for _, piece in found]
    assert max(lengths) <= 112
    assert min(lengths) >= min(n, 50)
    assert max(lengths) - min(lengths) <= 1
    said = [word for _, piece in found for word in piece.words]
    assert [word.label for word in said] == [word.label for word in words]
    for start, piece in found:
        for word in piece.words:
            true = words[int(word.label[1:])]
            assert word.end == pytest.approx(min(true.end - start / 25, piece.seconds))
            assert word.start == pytest.approx(max(true.start - start / 25, 0))
        assert piece.phonemes == piece.words


@pytest.mark.parametrize("n", [5, 9, 10, 14, 50])
def test_a_fifth_judges_whoever_is_read_first(n):
    names = [f"film {i}" for i in range(n)]
    chosen = {names[i] for i in judges(names)}
    assert len(chosen) == n // 5
    turned = names[::-1]
    assert {turned[i] for i in judges(turned)} == chosen
    hashed = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert max(hashed[name] for name in chosen) < min(hashed[n] for n in names if n not in chosen)


def test_one_long_clip_will_do(start, tmp_path, monkeypatch):
    a_clip(750).save(tmp_path / "clips" / "a.safetensors")
    report = adapt("atvg", tmp_path / "clips", tmp_path / "m.safetensors", weights=start)
    assert report["clips"]["learn"] == 8
    assert report["clips"]["judge"] == 2
    monkeypatch.setattr(adaptation, "MOST_FRAMES", 500)
    report = adapt("atvg", tmp_path / "clips", tmp_path / "n.safetensors", weights=start)
    assert report["clips"] | {"learn": 0} == {
        "learn": 0, "judge": 1, "frames": 450, "silent": 0, "beyond": True,
    }  # fmt: skip


# ---- what is refused


@pytest.fixture
def folders(tmp_path, start):
    for number in range(6):
        a_clip(20, seed=number).save(tmp_path / "few" / f"{number}.safetensors")
        a_clip(20, seed=number, loud=0.0).save(tmp_path / "silent" / f"{number}.safetensors")
    for number in (4, 5):
        (tmp_path / "few" / f"{number}.safetensors").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.safetensors").write_bytes(b"hello")
    (tmp_path / "there.safetensors").write_bytes(b"keep me")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ({"data": "none"}, ["none: got no such folder"]),
        ({"data": "empty"}, ["no clip in it"]),
        ({"data": "few"}, ["few: got 4 pieces", "5 or more"]),
        ({"data": "silent"}, ["silent: got no sound", "somebody who speaks"]),
        ({"data": "broken"}, ["a.safetensors", "unreadable"]),
        ({"system": "nobody"}, ["--system", "nobody"]),
        ({"out": "there.safetensors"}, ["which is there already", "a new name"]),
        ({"out": "there.pth"}, ["ends in .safetensors"]),
        ({"out": "there.safetensors/a.safetensors"}, ["a name in a folder"]),
        ({"minutes": "0"}, ["--minutes", "above 0"]),
        ({"minutes": "nan"}, ["--minutes", "nan"]),
        ({"minutes": "inf"}, ["--minutes", "inf"]),
        ({"minutes": "soon"}, ["--minutes"]),
        ({"seed": "-1"}, ["--seed"]),
        ({"size": "full"}, ["weights of at-net of atvg full", "none in the package"]),
        ({"weights": "none.safetensors"}, ["no such file"]),
    ],
)
def test_what_is_refused_in_one_line(folders, capsys, options, fragments):
    given = {"data": "few", "out": "new.safetensors"} | options
    words = []
    for name, value in given.items():
        path = name in ("data", "out", "weights")
        words += [f"--{name}", str(folders / value) if path else value]
    before = sorted(folders.rglob("*"))
    try:
        code = cli.main(["adapt", *words])
    except SystemExit as leaving:
        code = leaving.code
    refused(capsys, code, *fragments)
    assert sorted(folders.rglob("*")) == before
    assert (folders / "there.safetensors").read_bytes() == b"keep me"


def test_clips_that_no_part_can_use(start, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ATNetPart, "adapting", None)
    for number in range(6):
        a_clip(20, seed=number).save(tmp_path / "clips" / f"{number}.safetensors")
    words = ["--data", str(tmp_path / "clips"), "--out", str(tmp_path / "m.safetensors")]
    refused(capsys, cli.main(["adapt", *words, "--weights", *map(str, start)]), "clips: got no pictures")


def test_settings_that_say_nothing_are_refused():
    training = replace(Adapting().training, steps=None, minutes=1.0, schedule="constant")
    with pytest.raises(InputError, match="no steps"):
        Adapting(training=training)
    for share in (0, -1, math.nan):
        with pytest.raises(InputError, match="share"):
            Adapting(share=share)


def test_info_of_a_file(start, tmp_path, capsys):
    assert cli.main(["info", str(start[0]), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert [part["part"] for part in about["parts"]] == ["at-net"]
    assert about["record"] == {}
    assert about["bytes"] == start[0].stat().st_size
    refused(capsys, cli.main(["info", str(tmp_path / "none")]), "no such file")
    refused(capsys, cli.main(["info", str(start[0]), "--size", "lite"]), "one of the two")


def test_the_package_starts_from_its_own_weights(tmp_path, clips, monkeypatch):
    """Without --weights: the shape basis of the weights in the package comes along."""
    monkeypatch.setattr(VGNetPart, "adapting", None)
    report = adapt("atvg", clips, tmp_path / "m.safetensors")
    assert report["parts"]["at-net"]["steps"] == 12
    if report["out"]:
        basis = load("atvg", weights=report["out"]).at_net.shape_pca
        np.testing.assert_allclose(basis.mean, ShapePCA.pretrained().mean, atol=1e-6)
