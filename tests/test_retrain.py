"""One command makes every weights file and picture of the book again: tried whole, with tiny numbers."""

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from test_scripts import ROOT, comparisons, recipes, recorded, retrain, script, train

from talkface_lite.data.features import read_clips
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.measuring.ablation import Ablation
from talkface_lite.systems import load, part_class


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    from talkface_lite.corpus.voice import speak
    from talkface_lite.media import write_speech

    work = tmp_path_factory.mktemp("chain")
    write_speech(work / "recordings" / "no.wav", speak("no", "felicity").speech)
    before = {path: path.read_bytes() for path in shipped_files()}
    done = script("retrain.py", "--work", work, "--tiny", "--recordings", work / "recordings")
    assert done.returncode == 0, done.stderr[-2000:]
    changed = [path.name for path in shipped_files() if path.read_bytes() != before.get(path)]
    assert changed == []
    return work, done.stdout


def shipped_files():
    package = Path(str(files("talkface_lite")))
    found = [*package.glob("weights/*"), *package.glob("ablations/*")]
    return found + list((ROOT / "book" / "_static").glob("*.*"))


def test_the_whole_chain_runs_and_leaves_all_that_ships(chain):
    work, told = chain
    found = list(retrain.steps(work, tiny=True, recordings=work / "recordings"))
    assert [step.name for step in found] == [
        "shape basis", "atvg at-net", "atvg at-net no_lstm", "atvg vg-net", "atvg vg-net paper",
        "latent latent-matching", "recurrent lip-discriminator judge", "recurrent lip-discriminator",
        "recurrent recurrent-generator", "attentional stl-net", "attentional ltv-net",
        "atvg vg-net ablation", "atvg vg-net warp ablation",
        "atvg at-net voices ablation", "latent latent-matching ablation",
        "recurrent recurrent-generator ablation", "recurrent recurrent-generator schemes ablation",
        "recurrent recurrent-generator no-warp ablation",
        "recurrent recurrent-generator window ablation", "recurrent recurrent-generator one-person ablation",
        "attentional stl-net ablation", "attentional stl-net one-person ablation",
        "attentional stl-net three-people ablation",
        "attentional ltv-net ablation", "attentional ltv-net three-people ablation",
        "what is lost", "side by side", "front picture", "identities", "real speech",
    ]  # fmt: skip
    names = {path.relative_to(work / "package").as_posix() for step in found for path in step.makes}
    there = {path.relative_to(work / "package").as_posix() for path in (work / "package").rglob("*.*")}
    assert there == names
    shipped = {path.name for path in Path(str(files("talkface_lite") / "weights")).iterdir()}
    assert {Path(name).name for name in names if name.startswith("weights/")} == shipped
    log = retrain.Log(work / "retrain.json")
    assert all(log.done(step) and log.seconds(step) > 0 for step in found)
    assert "in all" in told
    assert retrain.table(found, log) in told


def test_real_people_are_measured_where_they_are(tmp_path):
    def names():
        return [step.name for step in retrain.steps(tmp_path)]

    assert "drawn and real" not in names()
    (tmp_path / "grid_s1").mkdir()
    found = names()
    assert found.index("drawn and real") > found.index("atvg at-net voices ablation")
    assert "latent latent-matching one speaker" in found


def test_every_table_of_the_package_is_made_by_a_step(tmp_path):
    """And weights are there before anything is asked of them."""
    (tmp_path / "grid_s1").mkdir()
    steps = list(retrain.steps(tmp_path))
    made = {path for step in steps for path in step.makes}
    tables = set(files("talkface_lite").joinpath("ablations").glob("*.json"))
    assert tables <= made
    names = [step.name for step in steps]
    trained = names.index("latent latent-matching")
    for asks in ("latent diversity", "latent diversity trained", "latent latent-matching one speaker"):
        assert names.index(asks) > trained
    for step in steps:
        assert (ROOT / step.script).is_file()


def test_what_the_chain_ships_can_be_used(chain):
    weights = chain[0] / "package" / "weights"
    system = load(
        "atvg", weights=[weights / "atvg_at_net_lite.safetensors", weights / "atvg_vg_net_lite.safetensors"]
    )
    assert system.at_net.config.loss == "mouth"
    assert system.vg_net.config.mouth_weight == 4.0
    assert system.vg_net.config.vg_net.warp
    assert system.vg_net.discriminator is None
    paper = part_class("atvg", "vg-net").load(weights / "atvg_vg_net_lite_paper.safetensors")
    assert not paper.config.vg_net.warp
    assert paper.discriminator is not None
    no_lstm = part_class("atvg", "at-net").load(weights / "atvg_at_net_lite_no_lstm.safetensors")
    assert not no_lstm.config.at_net.recurrent
    record = json.loads((weights / "atvg_vg_net_lite_paper.json").read_text())
    assert record["step"] == record["discriminator"]["step"] == 2
    assert record["discriminator"]["start_from"] != ""
    assert record["drawn"]["train"]["train-d"]["seed"] == 4003
    assert set(record["metrics"]) == {"still", "moving"}
    row = record["metrics"]["moving"]["systems"]["atvg"]["with_truth"]
    assert {"psnr", "ssim", "mouth_gain"} <= row.keys()
    assert set(record["all_seconds"]) == {"first", "second", "measuring"}


def test_what_an_ablation_measures_beside_its_variants_is_not_trained(chain):
    held = Ablation.read(chain[0] / "package" / "ablations" / "vg_net_warp.json")
    assert {run["variant"] for run in held.results} == {"paper", "warp, then paint", "warp alone"}
    for run in held.results:
        assert ("seconds" in run) == (run["variant"] != "warp alone")
    assert len(set(held.values("warp alone", "mouth_gain"))) == 1, "no seed has a hand in it"


def test_the_ablation_of_the_chain_can_be_read(chain):
    work, _ = chain
    held = Ablation.read(work / "package" / "ablations" / "vg_net.json")
    shipped = Ablation.shipped("vg_net")
    assert held.about.keys() == shipped.about.keys()
    (clip,) = read_clips([work / "corpora" / "test-still"], frames=False)
    assert held.about["frames_a_film"] == {"test-still": len(clip)}
    tiny = comparisons.tiny_comparison(comparisons.ABLATIONS["atvg", "vg-net", ""])
    assert {run["variant"] for run in held.results} == {*tiny.variants}
    assert {*tiny.variants} < {run["variant"] for run in shipped.results}
    assert held.seeds == (0, 1)
    assert set(held.results[0]) == set(shipped.results[0]) - {"grid"}
    assert set(held.results[0]["test-still"]) == set(shipped.results[0]["test-still"])


def test_what_is_done_is_not_done_again(chain, monkeypatch, capsys):
    work, _ = chain
    ran = []
    monkeypatch.setattr(retrain.Step, "run", lambda step, apart: ran.append(step.name))
    words = ["--work", str(work), "--tiny", "--recordings", str(work / "recordings")]
    retrain.main(words)
    assert ran == []
    sheet = work / "package" / "static" / "identities.jpg"
    sheet.rename(sheet.with_suffix(".away"))
    retrain.main([*words, "--list"])
    assert ran == []
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if "identities" in line][
        -1
    ] == "no"
    retrain.main([*words, "--only", "shape basis"])
    assert ran == []
    retrain.main(words)
    assert ran == ["identities"]
    sheet.with_suffix(".away").rename(sheet)


def test_a_training_that_is_there_is_not_made_again(chain, monkeypatch):
    work, _ = chain
    monkeypatch.setattr(train, "train", None)
    monkeypatch.setattr(train, "evaluate", None)
    package = work / "package" / "weights"
    record = (package / "atvg_vg_net_lite.json").read_bytes()
    weights = (package / "atvg_vg_net_lite.safetensors").read_bytes()
    train.main(["atvg", "vg-net", "--work", str(work), "--tiny", "--ship", "--into", str(package)])
    assert (package / "atvg_vg_net_lite.safetensors").read_bytes() == weights
    assert (package / "atvg_vg_net_lite.json").read_bytes() == record


def test_a_film_is_measured_again_when_what_speaks_in_it_is_another(chain, tmp_path, monkeypatch):
    work, measured = tmp_path / "work", []
    monkeypatch.setattr(train.Job, "_films", lambda self, weights: measured.append(self.part_name) or {})
    into = work / "package" / "weights"
    shutil.copytree(chain[0] / "package" / "weights", into)
    for part, times in (("stl-net", 1), ("ltv-net", 2)):
        names = ("attentional", part, "")
        job = train.Job(names, recipes.RECIPES[names], work, into, tiny=True)
        weights = into / recipes.file_of(*names)
        other = into / recipes.file_of("attentional", {"stl-net": "ltv-net", "ltv-net": "stl-net"}[part])
        for _ in range(2):
            job.measure(weights)
        other.write_bytes(other.read_bytes() + b" ")
        job.measure(weights)
        assert measured == [part] * times  # landmarks alone need no painter
        measured.clear()


def test_a_record_holds_those_of_all_stages_that_it_began_with(tmp_path):
    names = ("atvg", "vg-net", "paper")
    known = recipes.RECIPES[names]
    third = replace(known.stages["second"], start_from="second")
    job = train.Job(
        names, replace(known, stages={**known.stages, "third": third}), tmp_path, tmp_path, tiny=True
    )
    for step, stage in enumerate(("first", "second", "third")):
        write_json(job.run / stage / "record.json", {"step": step})
    assert job._before("third") == {"started_from": {"step": 1, "started_from": {"step": 0}}}
    assert job._before("first") == {}


def test_stages_on_the_way_are_measured_where_a_recipe_says_so(chain):
    record = json.loads((chain[0] / "package" / "weights" / "attentional_stl_net_lite.json").read_text())
    run, told = chain[0] / "attentional_stl-net", record["metrics"]
    for stage in ("lips", "both"):
        record, kept = record["started_from"], json.loads((run / stage / "metrics.json").read_text())
        assert record["metrics"] == kept["metrics"]
        assert kept["metrics"].keys() == told.keys()
        assert kept["weights"] == train.fingerprints([run / stage / "weights.safetensors"])


def test_the_full_size_is_a_run_of_its_own(tmp_path, monkeypatch):
    names, seen = ("atvg", "at-net", ""), []
    monkeypatch.setattr(train, "train", lambda part, data, out, settings, **_: seen.append((part, data, out)))
    monkeypatch.setattr(train, "open_dataset", lambda _, needs, settings: settings)
    monkeypatch.setattr(train.Job, "corpora", lambda self, names: list(names))
    for size in ("lite", "full"):
        recipe = recipes.RECIPES[names]
        train.Job(names, recipe, tmp_path, tmp_path, size=size, readers=3)._train(
            "only", recipe.stages["only"]
        )
    (lite, data, out), (full, _, apart) = seen
    assert (out.parent.name, apart.parent.name) == ("atvg_at-net", "atvg_at-net_full")
    assert full.config.at_net.hidden > lite.config.at_net.hidden
    assert data.workers == 3


def test_what_ships_is_finished_on_films_that_say_the_same(chain):
    work, _ = chain
    kind, recipe = part_class("latent", "latent-matching"), recipes.RECIPES["latent", "latent-matching", ""]
    run = work / "latent_latent-matching"
    learned = kind.load(run / recipe.ships / "weights.safetensors")
    clips = list(read_clips([work / "corpora" / name for name in recipe.finish], frames=True))
    assert len(clips) == 2
    np.testing.assert_array_equal(clips[0].speech, clips[1].speech)
    shipped = kind.load(work / "package" / "weights" / "latent_latent_matching_lite.safetensors")
    assert not torch.allclose(shipped.drift.whole, learned.drift.whole)
    learned.finish(clips)
    torch.testing.assert_close(shipped.drift.whole, learned.drift.whole)
    record = json.loads((work / "package" / "weights" / "latent_latent_matching_lite.json").read_text())
    assert record["drawn"]["finish"] == {"train-same": recipes.CORPORA["train-same"].about()}
    assert record["drawn"]["finish"]["train-same"]["motions"] == 6


def test_a_stage_may_learn_from_clips_of_its_own(tmp_path, monkeypatch):
    names, opened = ("latent", "latent-matching", ""), []
    monkeypatch.setattr(train, "train", lambda *_, **__: None)
    monkeypatch.setattr(train, "open_dataset", lambda clips, *_: opened.append(clips))
    monkeypatch.setattr(train.Job, "corpora", lambda self, names: list(names))
    recipe = recipes.RECIPES[names]
    stages = {
        "own": replace(recipe.stages["paint"], train=("one",)),
        "all": replace(recipe.stages["paint"], train=()),
    }
    job = train.Job(names, replace(recipe, stages=stages, train=("one", "two")), tmp_path, tmp_path)
    for name, stage in stages.items():
        job._train(name, stage)
    assert opened == [["one"], ["one", "two"]]


def test_a_step_that_fails_is_not_done_and_its_time_counts(tmp_path):
    step = retrain.Step(name="one", script="scripts/none.py", words=(), makes=(tmp_path / "made",))
    log = retrain.Log(tmp_path / "retrain.json")
    with pytest.raises(InputError, match="step 'one': got exit code 2, expected 0; run again"):
        step.run(apart=True)
    log.add(step, 2.0, done=False)
    assert not log.done(step)
    step.makes[0].touch()
    log.add(step, 3.0, done=True)
    again = retrain.Log(tmp_path / "retrain.json")
    assert again.done(step)
    assert again.seconds(step) == 5.0
    step.makes[0].unlink()
    assert not again.done(step)


def test_the_list_says_what_is_recorded(capsys, tmp_path):
    retrain.main(["--work", str(tmp_path / "runs"), "--list"])
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("atvg vg-net paper  ")]
    seconds = recorded(("atvg", "vg-net", "paper"))
    known = seconds.get("all_seconds") or {"a": seconds["seconds"], "b": seconds["discriminator"]["seconds"]}
    assert row.split()[3:6] == ["no", "-", retrain.clock(sum(known.values()))]
    assert not (tmp_path / "runs").exists()


def test_clock():
    assert retrain.clock(None) == "-"
    assert retrain.clock(59.6) == "0:01:00"
    assert retrain.clock(3723) == "1:02:03"


# ---- the floors
