"""Scripts that make the book's weights: one table, held against the records; the whole chain, tiny."""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.measuring.ablation import Ablation, shipped_ablation
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.systems import SYSTEMS, part_class, system_class
from talkface_lite.systems.atvg import VGNetPart, VGNetPartConfig

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import ablate  # noqa: E402
import common  # noqa: E402
import comparisons  # noqa: E402
import corpora  # noqa: E402
import floors  # noqa: E402
import recipes  # noqa: E402
import retrain  # noqa: E402
import train  # noqa: E402
from small_networks import SMALL_VG_NET  # noqa: E402

MOVED = {"mfcc_shift", "closed_examples", "camera", "mirrored", "window"}
"""Settings of the data that older records hold among the settings of training."""


def script(name, *words):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "scripts" / name), *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env=env, cwd=ROOT)


def recorded(names):
    path = Path(str(files("talkface_lite"))) / "weights" / recipes.file_of(*names)
    return json.loads(path.with_suffix(".json").read_text())


def plain(settings):
    return json.loads(json.dumps(asdict(settings)))


def without(settings, names):
    return {name: value for name, value in settings.items() if name not in names}


def both(ours, theirs, path=""):
    """What differs, of all that both have."""
    found = []
    for key in sorted(ours.keys() & theirs.keys()):
        if isinstance(ours[key], dict) and isinstance(theirs[key], dict):
            found += both(ours[key], theirs[key], f"{path}{key}.")
        elif ours[key] != theirs[key]:
            found.append(f"{path}{key}: {theirs[key]} in the record, {ours[key]} in the table")
    return found


def of_run(stage, kind, record):
    """What the record of one run says otherwise than the table."""
    config = plain(stage.config_of(kind)) | stage.shipped_otherwise
    found = both(config, record["config"], "config.")
    found += [
        f"config.{name} needs no word any more"
        for name, value in stage.shipped_otherwise.items()
        if record["config"].get(name) != value or plain(stage.config_of(kind))[name] == value
    ]
    training, data = plain(stage.training), plain(stage.data)
    data["window"] = stage.data.window_of(kind.needs)
    saved = {"checkpoint_every"}  # how often it was saved changes no weight
    found += both(without(training, saved), record["settings"], "settings.")
    found += both(data, record["settings"], "data.")
    told = dict(record["data"].get("settings", {})) if "data" in record else {}
    told.pop("streaming", None)  # the record says whether it did, the table when it would
    found += both(data, told, "data.")
    unknown = record["settings"].keys() - training.keys() - MOVED
    found += [f"settings.{name} is not in the table" for name in sorted(unknown)]
    windows = stage.training.steps * stage.training.batch_size
    told = {"step": stage.training.steps, "window": data["window"], "windows_seen": windows}
    return found + both(told, record)


def of_corpora(recipe, record):
    """What the record says otherwise of the clips than the table."""
    told = record.get("drawn", record["data"])
    train_set = {name: recipes.CORPORA[name].about() for name in recipe.train}
    test_set = {head: recipes.CORPORA[name].about() for head, name in recipe.held_out.items()}
    found = both(train_set, told.get("train", {}), "train.") + both(test_set, told.get("test", {}), "test.")
    for key, corpus_set in (("train_seed", train_set), ("test_seed", test_set)):
        if key in told and {corpus["seed"] for corpus in corpus_set.values()} != {told[key]}:
            found.append(f"{key}: {told[key]}")
    if recipe.held_out.keys() != record["metrics"].keys():
        found.append(f"measured on {sorted(record['metrics'])}")
    found += of_clips(recipe.stages[recipe.ships].train or recipe.train, record)
    clips = {head: corpus["clips"] for head, corpus in test_set.items()}
    return found + both(clips, {head: row["clips"] for head, row in record["metrics"].items()}, "metrics.")


def of_clips(names, record):
    """A few sentences of common words cannot be spoken."""
    drawn = sum(recipes.CORPORA[name].clips for name in names)
    if drawn - 10 <= record["clips"] <= drawn:
        return []
    return [f"{record['clips']} clips in the record, {drawn} in the table"]


def differences(names, record):
    recipe, kind = recipes.RECIPES[names], part_class(*names[:2])
    stage = recipe.stages[recipe.ships]
    found, before = of_run(stage, kind, record) + of_corpora(recipe, record), record
    while stage.start_from:
        stage, before = recipe.stages[stage.start_from], before["started_from"]
        found += of_run(stage, kind, before)
        found += of_clips(stage.train or recipe.train, before)
    for network, stage in recipe.beside.items():
        found += of_run(recipe.stages[stage], kind, record[network])
    return found


@pytest.mark.parametrize("names", recipes.RECIPES, ids=" ".join)
def test_the_table_is_what_the_records_say(names):
    record = recorded(names)
    if "interim" in record:
        pytest.skip(f"{' '.join(names)}: {record['interim']}")
    assert differences(names, record) == []


def test_every_weights_file_of_the_package_has_a_recipe_and_every_recipe_its_file():
    made = {recipes.file_of(*names) for names in recipes.RECIPES}
    there = {path.name for path in Path(str(files("talkface_lite") / "weights")).glob("*.safetensors")}
    assert made == there - {"shape_pca.safetensors"}
    for system, part, variant in recipes.RECIPES:
        assert system in SYSTEMS
        apart = recipes.RECIPES[system, part, variant].ships_as != ""
        assert variant in ("", *system_class(system).variants) or apart
        changes = system_class(system).variants.get(variant, {}).get(part, {})
        recipe = recipes.RECIPES[system, part, variant]
        assert changes.items() <= recipe.stages[recipe.ships].config.items()


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("settings", "learning_rate"), 0.1, "settings.learning_rate"),
        (("settings", "closed_examples"), 0.0, "data.closed_examples"),
        (("settings", "a_new_one"), 0.0, "settings.a_new_one"),
        (("config", "vg_net", "memory"), 3, "config.vg_net.memory"),
        (("config", "mouth_weight"), 0.0, "config.mouth_weight"),
        (("window",), 16, "window"),
        (("clips",), 100, "100 clips"),
        (("drawn", "train", "train-b", "seed"), 1, "train.train-b.seed"),
        (("drawn", "test", "still", "clips"), 1, "test.still.clips"),
        (("discriminator", "settings", "steps"), 2600, "settings.steps"),
        (("discriminator", "config", "colour_weight"), 0.0, "config.colour_weight"),
        (("metrics", "still", "clips"), 1, "metrics.still"),
    ],
)
def test_a_record_of_another_run_is_noticed(where, value, said):
    names = ("atvg", "vg-net", "paper")
    record = copy.deepcopy(recorded(names))
    place = record
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert any(said in line for line in differences(names, record))


@pytest.mark.parametrize("names", comparisons.ABLATIONS, ids=" ".join)
def test_the_table_of_ablations_is_what_the_package_holds(names):
    (system, part, _), comparison = names, comparisons.ABLATIONS[names]
    if not shipped_ablation(name := comparison.name).is_file():
        pytest.skip(f"{name} was not run yet: scripts/ablate.py makes it")
    held = Ablation.shipped(comparison.name)
    asked = comparison.variants.keys() | comparison.baselines.keys() | comparison.composed.keys()
    assert {run["variant"] for run in held.results} == asked
    assert held.seeds == comparison.seeds
    assert held.about["steps"] == {s.training.steps for s in comparison.variants.values()}.pop()
    (window,) = {s.data.window_of(part_class(system, part).needs) for s in comparison.variants.values()}
    (batch,) = {stage.training.batch_size for stage in comparison.variants.values()}
    assert held.about["frames_a_step"] == window * batch
    assert held.about["frames_a_film"].keys() == comparison.tests.keys()
    for key, names in (("train", comparison.train), ("test", tuple(comparison.tests.values()))):
        told = held.about[key] if len(names) > 1 else {names[0]: held.about[key]}
        assert told.keys() == {*names}
        for name in names:
            assert told[name].items() <= recipes.CORPORA[name].about().items()
    for test in comparison.tests:
        rows = ("", comparison.beside)
        kept = {f"{row} {metric}".lstrip() for row in rows for metric in comparison.metrics}
        assert kept == held.results[0][test].keys() & (kept if comparison.measure else held.results[0][test])
    learned = held.about.get("learns", {})
    assert {one: tuple(its) for one, its in learned.items()} == dict(comparison.learns)
    for its in learned.values():
        for name, told in its.items():
            assert told.items() <= recipes.CORPORA[name].about().items()


def test_each_variant_changes_one_thing_of_one_before_it():
    for (system, part, _), comparison in comparisons.ABLATIONS.items():
        kind = part_class(system, part)
        told = [
            (plain(s.config_of(kind)), plain(s.data), {"from": comparison.learned_from(name)})
            for name, s in comparison.variants.items()
        ]
        for at, name in list(enumerate(comparison.variants))[1:]:
            changed = [
                [line for before, now in zip(other, told[at]) for line in both(before, now)]
                for other in told[:at]
            ]
            assert all(changed), name
            assert min(map(len, changed)) <= 2, (name, changed)


def test_nothing_that_learned_from_real_lips_ships():
    filmed = {name for name, corpus in recipes.CORPORA.items() if isinstance(corpus, corpora.Filmed)}
    assert filmed
    for names, recipe in recipes.RECIPES.items():
        assert not filmed & {*recipe.train}, names


# ---- training


def test_one_network_of_another_part_is_taken_and_nothing_else():
    judge = RegressionDiscriminatorConfig(
        image=(4, 4, 4, 4), features=4, landmark=(4, 4), hidden=4, layers=1, unused_decoder=False
    )
    torch.manual_seed(0)
    plain_part = VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET, mouth_weight=4.0))
    judged = VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET, discriminator=judge, colour_weight=0.3))
    made = train.with_network(plain_part, judged, "discriminator")
    assert made.config == replace(plain_part.config, discriminator=judge)
    for network, source in (("vg_net", plain_part), ("discriminator", judged)):
        wanted = source.networks()[network].state_dict()
        for name, value in made.networks()[network].state_dict().items():
            assert torch.equal(value, wanted[name]), name


@pytest.mark.parametrize(
    ("main", "words", "line"),
    [
        (train.main, ["nobody", "at-net"], "system: got 'nobody', expected atvg"),
        (train.main, ["atvg", "nose"], "part: got 'nose', expected at-net or vg-net, the parts of atvg"),
        (train.main, ["atvg", "at-net", "--variant", "x"], "variant: got 'x', expected no_lstm"),
        (
            train.main,
            ["atvg", "vg-net", "--variant", "no_lstm"],
            "recipe of vg-net of atvg no_lstm: got none",
        ),
        (train.main, ["atvg", "at-net", "--loss", "paper", "--ship"], "--ship: got loss other than"),
        (train.main, ["atvg", "at-net", "--tiny", "--ship"], "--tiny --ship: got into the package"),
        (
            train.main,
            ["atvg", "at-net", "--size", "full", "--ship"],
            "--ship: got --size full, expected lite",
        ),
        (ablate.main, ["nobody", "at-net"], "system: got 'nobody', expected atvg"),
        (ablate.main, ["atvg", "nose"], "part: got 'nose', expected at-net or vg-net"),
        (ablate.main, ["atvg", "at-net"], "ablation of at-net of atvg: got none"),
        (ablate.main, ["atvg", "vg-net", "--tiny", "--ship"], "--tiny --ship: got into the package"),
        (ablate.main, ["atvg", "vg-net", "--workers", "0"], "--workers: got 0, expected at least 1"),
        (retrain.main, ["--only", "a nap"], "--only: got a nap, expected shape basis, atvg at-net"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, main, words, line):
    with pytest.raises(InputError) as caught:
        main([*words, "--work", str(tmp_path / "runs")])
    assert str(caught.value).startswith(line)
    assert not (tmp_path / "runs").exists()


def test_figures_of_a_second_row_are_kept_under_its_name(monkeypatch):
    comparison = comparisons.ABLATIONS["latent", "latent-matching", ""]
    rows = {"from_mean": 1.0, "from_frames": 2.0, "from_speech": 3.0}
    report = {row: {name: {"median": value} for name in comparison.metrics} for row, value in rows.items()}
    monkeypatch.setattr(ablate, "sources", lambda *_: {"a word": []})
    monkeypatch.setattr(ablate, "evaluate", lambda *_, **__: {"systems": {"latent": report}})
    words = argparse.Namespace(system="latent", part="latent-matching")
    found = ablate.measured(words, comparison, {"latent": None}, comparison.row)["a word"]
    told = {f"from_frames {metric}": 2.0 for metric in comparison.metrics}
    assert found == dict.fromkeys(comparison.metrics, 1.0) | told


def test_variants_start_from_what_is_trained_once_a_seed(monkeypatch, tmp_path):
    """And where a detector is asked for it looks; a share counts like a median."""
    hear = recipes.tiny_stage(replace(recipes.HEAR, train=()))
    film = replace(recipes.tiny_stage(replace(recipes.FILM, train=())), start_from="hear")
    comparison = comparisons.Comparison(
        name="none",
        begins={"hear": hear},
        variants={"a": film, "b": film.changed(mouth_weight=1.0)},
        train=("train-a",),
        tests={"still": "test-still"},
        metrics={"psnr": 2, "lra_top1": 2},
        seeds=(3, 4),
        detector=True,
    )
    asked, learned = [], []
    row = {"psnr": {"median": 9.0}, "lra_top1": {"share": 0.5}}
    trained = ablate.train
    monkeypatch.setattr(ablate, "comparison_for", lambda arguments: comparison)
    monkeypatch.setattr(ablate, "dlib_in_crop", lambda: "a detector")
    monkeypatch.setattr(ablate, "sources", lambda *_: {"still": []})

    def measured(systems, clips, **looks):
        asked.append(looks["find_points"])
        return {"systems": {"recurrent": {"from_speech": row}}}

    def training(part, data, out, settings, **how):
        learned.append((out.name, settings.seed, part.started != ""))
        return trained(part, data, out, settings, **how)

    monkeypatch.setattr(ablate, "evaluate", measured)
    monkeypatch.setattr(ablate, "train", training)
    arguments = argparse.Namespace(
        system="recurrent", part="recurrent-generator", of="", work=tmp_path, tiny=True
    )
    for seed in comparison.seeds:
        ablate.begin((arguments, "hear", seed))
        ablate.begin((arguments, "hear", seed))
        for variant in comparison.variants:
            found = ablate.make((arguments, variant, seed))
            assert found["still"] == {"psnr": 9.0, "lra_top1": 0.5}
    assert learned == [
        (f"{name}-{seed}", seed, name != "hear") for seed in (3, 4) for name in ("hear", "a", "b")
    ]
    assert set(asked) == {"a detector"}
    taken = ablate.folder(arguments, "a", 3)
    shutil.rmtree(taken / "checkpoints")  # as where another machine trained it
    (taken / "result.json").unlink()
    assert ablate.make((arguments, "a", 3))["still"] == {"psnr": 9.0, "lra_top1": 0.5}
    assert len(learned) == 6


def who(number):
    return number, os.getpid(), os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_side_by_side_keep_their_order_and_have_one_thread_each(monkeypatch, workers):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    made = common.each(who, range(3), workers)
    apart = workers > 1
    assert [number for number, _, _ in made] == [0, 1, 2]
    assert {threads for _, _, threads in made} == {"1" if apart else "7"}
    assert (os.getpid() in {process for _, process, _ in made}) != apart


@pytest.mark.parametrize("name", ["train", "ablate"])
def test_an_unknown_part_ends_with_exit_code_2(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setattr(sys, "argv", [f"scripts/{name}.py", "atvg", "nose", "--work", str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as caught:
        common.run({"train": train, "ablate": ablate}[name].main)
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert told.err == f"{name}.py: part: got 'nose', expected at-net or vg-net, the parts of atvg\n"
    assert told.out == ""


def test_a_wrong_word_is_one_line_too(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        train.main(["atvg", "at-net", "--work", str(tmp_path), "--no-memory"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "train.py: unrecognized arguments: --no-memory (see --help)\n"
    with pytest.raises(InputError, match="no recording of speech"):
        common.sounds_in(tmp_path)


# ---- the chain


def test_the_picture_of_the_floors_is_the_contract():
    assert floors.OUT.read_text() == floors.svg(floors.floors())


def test_floors_are_read_from_the_contract(tmp_path):
    contract = tmp_path / "pyproject.toml"
    contract.write_text('[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["a.b | a.c", "(a.d)"]\n')
    assert floors.floors(contract) == [["b", "c"], ["d"]]
    contract.write_text("[project]\n")
    with pytest.raises(InputError, match="no contract of layers"):
        floors.floors(contract)


def test_the_page_for_maintainers_has_a_sentence_for_every_room():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for name in (name for floor in floors.floors() for name in floor):
        assert f"| `{name}" in page or f"`{name}` |" in page, name
    assert "book/_static/floors.svg" in page
