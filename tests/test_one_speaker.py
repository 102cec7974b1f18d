"""A system that goes on with one real speaker: what it learns from, what it is judged by, what stays away."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import comparisons  # noqa: E402
import corpora  # noqa: E402
import one_speaker  # noqa: E402
import recipes  # noqa: E402

from talkface_lite.corpus.synthesis import draw_clip  # noqa: E402
from talkface_lite.errors import InputError  # noqa: E402
from talkface_lite.measuring.ablation import shipped_ablation  # noqa: E402
from talkface_lite.systems import SYSTEMS, part_class  # noqa: E402
from talkface_lite.systems.part import shipped_weights  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four drawn clips in the place of recordings."""
    work = tmp_path_factory.mktemp("runs")
    for index in range(4):
        clip = draw_clip(index, text="now", clean=True)
        named = replace(clip, source=json.dumps({"recording": f"s1/bbaf{index}n.mpg"}))
        named.save(work / "grid_s1" / f"clip-{index}.safetensors")
    return work


def test_it_learns_from_none_of_those_that_judge(runs, monkeypatch):
    monkeypatch.setattr(corpora, "HELD_BACK", 2)
    files = one_speaker.to_learn_from(runs / "grid_s1")
    named = {path.name: f"bbaf{path.stem[-1]}n" for path in (runs / "grid_s1").iterdir()}
    learned = {named[path.name] for path in files}
    held_back = recipes.REAL["s1"].read(runs, frames=False)
    judges = {Path(json.loads(clip.source)["recording"]).stem for clip in held_back}
    assert learned | judges == set(named.values())
    assert len(learned) == len(judges) == 2


def test_tiny_chain_leaves_its_weights_in_the_runs(runs, monkeypatch, capsys):
    monkeypatch.setattr(corpora, "HELD_BACK", 2)
    shipped = shipped_weights("latent", "latent-matching").parent
    before = {path.name: path.read_bytes() for path in shipped.glob("latent*")}
    told = shipped_ablation("latent_one_speaker")
    known = told.read_bytes() if told.is_file() else None
    one_speaker.main(["latent", "latent-matching", "--work", str(runs), "--tiny"])
    out = runs / "latent_latent-matching_one-speaker"
    assert capsys.readouterr().out.strip().endswith(str(out / "sheet.png"))
    report = json.loads((out / "report.json").read_text())
    assert report["learned_from"] == 2
    assert report["report"]["clips"] == 2
    rows = report["report"]["systems"]
    assert set(rows) == {"from drawings", "after one speaker", "atvg"}
    assert rows["from drawings"]["from_mean"]["psnr"] != rows["after one speaker"]["from_mean"]["psnr"]
    assert {"copy_photo", "mean_picture", "warp_with_truth"} <= set(report["report"]["baselines"])
    made = (out / "weights.safetensors").stat().st_mtime_ns
    one_speaker.main(["latent", "latent-matching", "--work", str(runs), "--tiny"])
    assert (out / "weights.safetensors").stat().st_mtime_ns == made
    assert {
        path.name: path.read_bytes() for path in shipped_weights("latent", "x").parent.glob("latent*")
    } == before
    assert (told.read_bytes() if told.is_file() else None) == known


def test_what_it_refuses(runs, tmp_path):
    with pytest.raises(InputError, match="grid_s1: got no recordings"):
        one_speaker.main(["latent", "latent-matching", "--work", str(tmp_path)])
    with pytest.raises(InputError, match="at-net of atvg: got not in the table"):
        one_speaker.main(["atvg", "at-net", "--work", str(runs)])
    with pytest.raises(InputError, match="--tiny --ship: got both"):
        one_speaker.main(["latent", "latent-matching", "--work", str(runs), "--tiny", "--ship"])
    with pytest.raises(InputError, match="got 4 with word times, expected more than 40"):
        one_speaker.main(["latent", "latent-matching", "--work", str(runs), "--tiny"])


def test_a_lip_reader_is_judged_by_words_and_then_reads_films(runs, monkeypatch):
    monkeypatch.setattr(corpora, "HELD_BACK", 2)
    asked = ["recurrent", "lip-discriminator", "--of", "judge", "--work", str(runs), "--tiny"]
    one_speaker.main(asked)
    out = runs / "recurrent_lip-discriminator_judge_one-speaker"
    report = json.loads((out / "report.json").read_text())
    assert report["command"].endswith("recurrent lip-discriminator --of judge --work RUNS")
    for when in (one_speaker.BEFORE, one_speaker.AFTER):
        assert report[when]["words"] == 2
    one_speaker.main(["latent", "latent-matching", "--work", str(runs), "--tiny"])
    films = json.loads((runs / "latent_latent-matching_one-speaker" / "report.json").read_text())
    assert films["judge"] == one_speaker.AFTER


def test_where_it_begins(runs):
    names = ("recurrent", "recurrent-generator", "fed-back")
    with pytest.raises(
        InputError, match=r"fed_back-0.weights.safetensors: got no weights, expected those of"
    ):
        one_speaker.beginning(runs, names, comparisons.ONE_SPEAKER[names])
    names = ("recurrent", "lip-discriminator", "judge")
    assert one_speaker.beginning(runs, names, comparisons.ONE_SPEAKER[names]).name == "lip_judge.safetensors"
    names = ("latent", "latent-matching", "")
    begins = one_speaker.beginning(runs, names, comparisons.ONE_SPEAKER[names])
    assert begins == shipped_weights("latent", "latent-matching")


@pytest.mark.parametrize("names", comparisons.ONE_SPEAKER, ids="-".join)
def test_the_package_holds_figures_of_this_table_and_no_weights(names):
    stage = comparisons.ONE_SPEAKER[names]
    assert names[0] in SYSTEMS
    told = json.loads(shipped_ablation(one_speaker.shipped_as(names)).read_text())
    of = f" --of {names[2]}" if names[2] else ""
    assert told["command"] == f"python scripts/one_speaker.py {names[0]} {names[1]}{of} --work RUNS"
    assert (told["steps"], told["seed"]) == (stage.training.steps, stage.training.seed)
    assert told["device"]
    window = stage.data.window_of(part_class(*names[:2]).needs)
    assert told["frames_a_step"] == window * stage.training.batch_size
    reports = [told[when] for when in (one_speaker.BEFORE, one_speaker.AFTER) if when in told]
    assert {report["clips"] for report in reports or [told["report"]]} == {corpora.HELD_BACK}
    if not reports:
        assert set(told["report"]["systems"]) == {one_speaker.BEFORE, one_speaker.AFTER, "atvg"}
    assert not list(shipped_weights(*names[:2]).parent.glob("*speaker*"))
