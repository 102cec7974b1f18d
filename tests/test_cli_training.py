"""Corpus, train, evaluate through the real commands, and what is then in the weights and the record."""

import json
from pathlib import Path

import pytest
import torch
from cli_inputs import refused
from safetensors.torch import load_file

from talkface_lite import cli
from talkface_lite.clip import Clip

torch.set_num_threads(1)


def test_one_sentence_in_several_films(tmp_path, capsys):
    words = ["corpus", str(tmp_path / "c"), "--clips", "2", "--seed", "5", "--no-frames", "--motions", "2"]
    assert cli.main([*words, "--still-head"]) == 2
    assert "motions: got 2 with still heads" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert cli.main(words) == 0
    one, other = (Clip.load(path) for path in sorted((tmp_path / "c").glob("*.safetensors")))
    assert (one.speech == other.speech).all()
    assert (one.landmarks != other.landmarks).any()


def test_corpus_train_evaluate(inputs, tmp_path, capsys, monkeypatch):
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
    rows = report["systems"]["atvg"]
    assert rows["from_speech"]["mouth_landmark_distance"]["median"] > 0
    assert report.keys() == {
        "data", "size", "clips", "frames", "frame_step", "seed", "example", "how", "real", "baselines",
        "systems",
    }  # fmt: skip
    assert list(report["systems"]) == ["atvg"], "with weights of one's own no variant stands beside"
    assert cli.main(["evaluate", "--data", str(corpus), "--weights", weights]) == 0
    printed = capsys.readouterr().out
    assert "mean_mouth" in printed
    assert "{" not in printed


def test_the_half_that_paints(inputs, tmp_path, capsys):
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
    for word in ("with_truth", "from_speech", "copy_photo", "mouth box, dB", "68 points"):
        assert word in printed
    refused(
        capsys,
        cli.main([*training, str(tmp_path / "n"), "--start-from", str(inputs / "video.safetensors")]),
        "other widths",
    )
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--part", "vg-net", "--loss", "mouth"], ["--loss", "'mouth'", "'dynamic', 'l1'"]),
        (["vg-net", "--no-lstm"], ["--no-lstm"]),
        (["--camera", "3"], ["camera", "3", "0 to 2"]),
        (["--camera", "1"], ["camera", "1.0", "no pictures are looked at"]),
        (["--colour-weight", "1"], ["--colour-weight"]),
        (["--no-discriminator"], ["--no-discriminator"]),
        (["--part", "vg-net", "--mouth-weight", "-1"], ["mouth_weight", "-1", "0 or more"]),
        (["--part", "vg-net"], ["no pictures"]),
    ],
)
def test_options_of_the_other_half(inputs, tmp_path, capsys, options, fragments):
    clips = str(inputs / "clips")
    part = [options.pop(0)] if options[0] == "vg-net" else []
    try:
        code = cli.main(["train", "atvg", *part, "--data", clips, "--out", str(tmp_path / "run"), *options])
    except SystemExit as leaving:
        code = leaving.code
    refused(capsys, code, *fragments)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two drawn clips with pictures."""
    out = tmp_path_factory.mktemp("drawn") / "corpus"
    drawing = ["corpus", str(out), "--clips", "2", "--seed", "6", "--text", "Hi.", "--workers", "1"]
    assert cli.main(drawing) == 0
    return out


def trained(capsys, corpus, out, *options, system=("atvg",), steps="3"):
    command = ["train", *system, "--data", corpus, "--out", out, "--steps", steps, "--batch-size", "2"]
    capsys.readouterr()
    assert cli.main([*map(str, command), "--window", "4", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_three_steps_leave(corpus, tmp_path, capsys):
    """In the weights, the record and the log: the statistics of the data, the seed, every setting."""
    from talkface_lite.data.dataset import Dataset

    record = trained(capsys, corpus, tmp_path / "a", "--seed", "3", "--log-every", "1", "--mfcc-shift", "0.1")
    weights = load_file(tmp_path / "a" / "weights.safetensors")
    statistics = Dataset.from_folder(corpus).statistics()
    for name in ("mfcc_mean", "mfcc_std"):
        torch.testing.assert_close(weights[f"at_net.{name}"], torch.from_numpy(statistics[name]))
    assert record["system"] == "atvg"
    assert record["part"] == "at-net"
    assert record["clips"] == 2
    assert record["settings"]["seed"] == 3
    assert record["data"]["settings"]["mfcc_shift"] == 0.1
    assert record["data"]["settings"]["window"] == record["window"] == 4
    assert record["windows_seen"] == 6
    assert record["start_from"] == ""
    seconds = [float(line.split(",")[1]) for line in (tmp_path / "a" / "log.csv").read_text().split()[1:]]
    assert len(seconds) == 3
    assert 0 <= seconds[0] <= seconds[-1] <= record["seconds"] + 0.1
    # the record travels in the weights, and info reads it there
    from talkface_lite.systems.part import read_weights

    about, _ = read_weights(tmp_path / "a" / "weights.safetensors")
    assert about["record"]["step"] == 3
    assert (about["system"], about["part"]) == ("atvg", "at-net")
    # the seed decides the first weights as well as the batches
    same = trained(capsys, corpus, tmp_path / "b", "--seed", "3", "--log-every", "1", "--mfcc-shift", "0.1")
    other = trained(capsys, corpus, tmp_path / "c", "--seed", "4", "--log-every", "1", "--mfcc-shift", "0.1")
    assert same["losses"] == record["losses"] != other["losses"]


def test_settings_reach_what_they_are_for(corpus, tmp_path, capsys):
    options = ["--mirrored", "--camera", "1", "--no-discriminator", "--mouth-weight", "4"]
    record = trained(capsys, corpus, tmp_path / "a", *options, system=("atvg", "vg-net"), steps="1")
    assert record["data"]["settings"]["mirrored"] is True
    assert record["data"]["settings"]["camera"] == 1.0
    assert record["data"]["needs"]["pictures"] is True
    assert record["config"]["mouth_weight"] == 4.0
    assert record["config"]["discriminator"] is None
    plain = trained(capsys, corpus, tmp_path / "b", *options[3:], system=("atvg", "vg-net"), steps="1")
    assert plain["losses"] != record["losses"], "the pictures of a batch are mirrored, or filmed otherwise"
    trained(capsys, corpus, tmp_path / "c", "--no-lstm")
    assert not any(".lstm." in name for name in load_file(tmp_path / "c" / "weights.safetensors"))


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (["--window", "5"], "window"),
        (["--camera", "1"], "camera"),
        (["--mirrored"], "mirrored"),
        (["--data", "{other}"], "data of the run to resume"),
        (["--start-from", "{weights}"], "start_from"),
    ],
)
def test_resuming_with_other_data_is_one_line(corpus, tmp_path, capsys, change, fragment):
    out, other = tmp_path / "run", tmp_path / "other"
    trained(capsys, corpus, out, steps="1")
    other.mkdir()
    first = sorted(corpus.glob("*.safetensors"))[0]
    (other / first.name).write_bytes(first.read_bytes())
    names = {"other": other, "weights": out / "weights.safetensors"}
    change = [word.format(**names) for word in change]
    command = ["train", "atvg", "--data", str(corpus), "--out", str(out), "--steps", "2", "--batch-size", "2"]
    code = cli.main([*command, "--window", "4", "--resume", *change])
    refused(capsys, code, fragment)


def test_streaming_with_workers(corpus, tmp_path, capsys):
    options = ["--streaming", "always", "--workers", "2"]
    record = trained(capsys, corpus, tmp_path / "a", *options, "--validation", str(corpus))
    assert record["data"]["settings"]["streaming"] is True
    assert record["clips"] == 2
    assert record["validation"]["held_out_mouth"] > 0
    assert (tmp_path / "a" / "best.safetensors").is_file()
    again = trained(
        capsys, corpus, tmp_path / "a", *options, "--validation", str(corpus), "--resume", steps="4"
    )
    assert again["step"] == 4


def test_evaluate_all_and_documented_keys(corpus, capsys):
    from talkface_lite.measuring.evaluation import shipped
    from talkface_lite.systems import SYSTEMS

    assert cli.main(["evaluate", "--system", "all", "--data", str(corpus), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = shipped(list(SYSTEMS))
    assert set(report["systems"]) >= {name for name, one in found.items() if one.framing == "aligned"}
    assert "atvg no_lstm" in report["systems"]
    assert "atvg paper" not in report["systems"], "which paints, and has the landmarks of atvg"
    assert set(report["baselines"]) == {"copy_photo", "mean_mouth", "loudness"}
    code = cli.main(["evaluate", "--system", "all", "--data", str(corpus), "--weights", "x"])
    refused(capsys, code, "--system all")


def test_the_help_of_a_part_is_its_docstring(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "atvg", "vg-net", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("--mouth-weight", "how much more a pixel of the true mouth counts", "--no-discriminator",
                  "--camera", "--learning-rate", "vg-net of atvg"):  # fmt: skip
        assert words in text
    assert "--no-lstm" not in text
    assert Path(cli.__file__).is_file()


def test_evaluating_every_system_at_a_size_that_none_has(inputs, capsys):
    code = cli.main(["evaluate", "--system", "all", "--data", str(inputs / "clips"), "--size", "full"])
    refused(capsys, code, "--system all --size full: got none", "weights in the package")


def test_evaluating_by_speaker_from_the_photograph_at_rest_and_against_an_earlier_run(
    inputs, tmp_path, capsys
):
    evaluated = ["evaluate", "--data", str(inputs / "clips"), "--weights", str(inputs / "small.safetensors")]
    rest = [*evaluated, "--example", "rest"]
    assert cli.main([*rest, "--by-speaker", "--per-clip", "--json"]) == 0
    text = capsys.readouterr().out
    report = json.loads(text)
    assert report["example"] == "rest"
    assert report["speakers"][""]["clips"] == len(report["per_clip"]["clips"]) == 3
    before = tmp_path / "before.json"
    before.write_text(text)
    assert cli.main([*rest, "--by-speaker", "--against", str(before)]) == 0
    printed = capsys.readouterr().out
    for words in ("Lips: landmarks", "Amplitude", "silence", "loudness", "speaker", "least lip opening",
                  "atvg: from_speech, more than before"):  # fmt: skip
        assert words in printed
    assert cli.main([*rest, "--against", str(before), "--json"]) == 0
    same = json.loads(capsys.readouterr().out)["against"]["atvg"]["from_speech"]["mouth_landmark_distance"]
    assert same == {"median": 0, "low": 0, "high": 0, "more": 0, "clips": 3}
    refused(capsys, cli.main([*evaluated, "--against", str(tmp_path / "no.json")]), "no.json", "--per-clip")
    for example, shown in (("random", "random"), ("3", 3)):
        assert cli.main([*evaluated, "--example", example, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["example"] == shown
    for example in ("smile", "-1", "1.5"):
        with pytest.raises(SystemExit) as stop:
            cli.main([*evaluated, f"--example={example}"])
        refused(capsys, stop.value.code, "--example", "rest or random")
    assert cli.main([*evaluated, "--example", "99"]) == 0
    assert "the photograph is frame 99, in shorter clips the last" in capsys.readouterr().out


def test_what_cannot_be_compared_with_is_refused_before_anything_is_measured(
    inputs, tmp_path, capsys, monkeypatch
):
    from talkface_lite.measuring import evaluation

    evaluated = ["evaluate", "--data", str(inputs / "clips"), "--weights", str(inputs / "small.safetensors")]
    before = tmp_path / "before.json"
    for example in ("rest", "random", "2"):
        assert cli.main([*evaluated, "--example", example, "--per-clip", "--json"]) == 0
        before.write_text(capsys.readouterr().out)
        assert cli.main([*evaluated, "--example", example, "--against", str(before)]) == 0
        assert "more than before" in capsys.readouterr().out
    report = json.loads(before.read_text())
    monkeypatch.setattr(evaluation, "evaluate", None)
    against = [*evaluated, "--against", str(before)]
    words = (f"--against {before}: got 3 clips or photographs that are not these 3", "--example")
    refused(capsys, cli.main([*against, "--example", "rest"]), *words)
    refused(capsys, cli.main([*against, "--example", "random"]), *words)
    report["per_clip"]["systems"] = {"somebody's": report["per_clip"]["systems"]["atvg"]}
    before.write_text(json.dumps(report))
    refused(capsys, cli.main([*against, "--example", "2"]), "got somebody's, expected atvg")
    report["per_clip"]["clips"].pop()
    before.write_text(json.dumps(report))
    refused(capsys, cli.main([*against, "--example", "2"]), "got 2 clips or photographs that are not these 3")
    for text, why in (("{", "it is not JSON"), ("[]", "no values of single clips")):
        before.write_text(text)
        refused(capsys, cli.main(against), f"before.json: got no such report ({why})", "--json --per-clip")
    refused(capsys, cli.main([*evaluated, "--against", str(tmp_path)]), "no such report (Is a directory)")
