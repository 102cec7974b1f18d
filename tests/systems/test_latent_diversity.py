"""What is told of films of one speech is counted rightly: the script, with a system that is known."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_latent_system import make_system

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import diversity  # noqa: E402
import recipes  # noqa: E402

from talkface_lite.corpus.synthesis import clip_seed  # noqa: E402
from talkface_lite.data.features import read_clips  # noqa: E402
from talkface_lite.errors import InputError  # noqa: E402
from talkface_lite.measuring.ablation import shipped_ablation  # noqa: E402
from talkface_lite.measuring.diversity import FREE  # noqa: E402
from talkface_lite.systems.latent import LatentMatchingPart  # noqa: E402

SMALL = ["--questions", "2", "--films", "2", "--most", "4", "--seeds", "0", "1", "--workers", "1"]


@pytest.fixture
def found(monkeypatch, tmp_path, capsys):
    draw, looks = diversity.draw_clip, []

    def short(seed, **how):
        return draw(seed, text="Mum.", **how)

    def find(picture):
        looks.append(picture)
        return np.random.default_rng(int(picture.astype(int).sum())).uniform(30, 90, (68, 2))

    monkeypatch.setattr(diversity, "draw_clip", short)
    monkeypatch.setattr(diversity, "dlib_in_crop", lambda: find)
    monkeypatch.setattr(diversity, "load", lambda *_, **__: make_system())
    monkeypatch.setattr(diversity, "shipped_ablation", lambda name: tmp_path / f"{name}.json")
    diversity.main([*SMALL, "--ship"])
    assert "the package, seed 1" in capsys.readouterr().out
    assert looks
    return json.loads((tmp_path / "latent_diversity.json").read_text())


def test_what_is_told(found):
    assert found["counts"] == [1, 2, 4]
    assert set(found["runs"]) == {"the package, seed 0", "the package, seed 1"}
    for run in found["runs"].values():
        ways = run["ways"]
        assert set(ways) == {"truth", *diversity.WAYS}
        for way in ways.values():
            assert set(way["jitter"]) == set(FREE)
            assert set(way["spread"]) == {*FREE, "lips", "lips_shut"}
        assert ways["truth"]["spread"]["turn"] > 0
        assert ways["no noise"]["spread"]["turn"] == 0
        for way in ("replayed", "nearer", "slow", "independent"):
            for kind in ("best", "best of noise"):
                assert ways[way][kind] == sorted(ways[way][kind])
                assert len(ways[way][kind]) == 3
        assert 0 < run["retrieval"]["chance"] < 0.2
        assert 0 <= run["retrieval"]["nearer"] <= 1
    one, other = (run["ways"] for run in found["runs"].values())
    assert one["truth"] == other["truth"]
    assert one["replayed"]["best"] != other["replayed"]["best"]


@pytest.fixture
def tiny(monkeypatch):
    corpora = {name: recipes.tiny_corpus(recipes.CORPORA[name]) for name in ("train-b", "train-same")}
    monkeypatch.setattr(diversity, "CORPORA", corpora)
    monkeypatch.setattr(diversity, "MATCHED", recipes.tiny_stage(diversity.MATCHED))


def test_a_short_training_is_finished_and_not_made_twice(tiny, tmp_path):
    made = [diversity.trained((tmp_path, seed)) for seed in (0, 1)]
    assert len(set(made)) == 2
    drifts = []
    for seed, path in enumerate(made):
        told = json.loads((path.parent / "record.json").read_text())
        assert told["settings"]["seed"] == seed
        part = LatentMatchingPart.load(path)
        before = LatentMatchingPart.load(path.parent / "weights.safetensors")
        assert part.config == diversity.MATCHED.config_of(LatentMatchingPart)
        assert not torch.allclose(part.drift.whole, before.drift.whole)
        before.finish(read_clips([tmp_path / "corpora" / "train-same"], frames=True))
        torch.testing.assert_close(part.drift.whole, before.drift.whole)
        drifts.append(part.drift.whole)
    assert not torch.allclose(*drifts)
    known = made[0].stat().st_mtime_ns
    assert diversity.trained((tmp_path, 0)) == made[0]
    assert made[0].stat().st_mtime_ns == known


def test_each_training_is_asked_and_told_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(diversity, "corpora", lambda *_: [])
    monkeypatch.setattr(diversity, "trained", lambda job: job[0] / f"seed-{job[1]}" / "finished.safetensors")
    monkeypatch.setattr(diversity, "shipped_ablation", lambda name: tmp_path / f"{name}.json")

    def one_question(job):
        arguments, weights, number = job
        answer = int(weights.parent.name[-1]) + number
        ways = {"truth": {kind: {"turn": answer} for kind in ("spread", "jitter")}}
        return [{"ways": ways, "retrieval": {"first": answer}} for _ in arguments.seeds]

    monkeypatch.setattr(diversity, "one_question", one_question)
    diversity.main(["--trained", str(tmp_path), "--ship", *SMALL])
    found = json.loads((tmp_path / "latent_diversity_trained.json").read_text())
    assert found["command"] == "python scripts/diversity.py --trained RUNS"
    told = {name: run["retrieval"]["first"] for name, run in found["runs"].items()}
    assert told == {f"seed-{of}, seed {seed}": of + 0.5 for of in (0, 1, 2) for seed in (0, 1)}
    assert not (tmp_path / "latent_diversity.json").exists()


def test_too_few():
    with pytest.raises(InputError, match="--films: got 1, expected at least 2"):
        diversity.main(["--films", "1"])
    with pytest.raises(InputError, match="--workers: got 0, expected at least 1"):
        diversity.main(["--workers", "0"])


def test_other_people(monkeypatch):
    """Whoever was not looked at while the noise was chosen; the book's are others."""
    asked = []

    def drawn(seed, **_):
        asked.append(seed)
        raise InputError("clip", "seen", "enough")

    monkeypatch.setattr(diversity, "draw_clip", drawn)
    monkeypatch.setattr(diversity, "load", lambda *_, **__: make_system())
    monkeypatch.setattr(diversity, "dlib_in_crop", lambda: None)
    for words in ([], ["--corpus-seed", "8000"]):
        with pytest.raises(InputError, match="seen"):
            diversity.main([*SMALL, *words])
    assert asked == [clip_seed(diversity.CORPUS_SEED, 0), clip_seed(8000, 0)]
    with pytest.raises(InputError, match="--ship: got --corpus-seed 8000, expected that of the book, 7000"):
        diversity.main([*SMALL, "--corpus-seed", "8000", "--ship"])


@pytest.mark.parametrize(
    ("name", "words"), [("latent_diversity", ""), ("latent_diversity_trained", " --trained RUNS")]
)
def test_what_the_package_holds_is_of_these_ways(name, words):
    told = json.loads(shipped_ablation(name).read_text())
    assert told["command"] == f"python scripts/diversity.py{words}"
    assert told["ways"] == {way: dict(changes) for way, changes in diversity.WAYS.items()}
    assert (told["corpus_seed"], told["counts"]) == (diversity.CORPUS_SEED, list(diversity.COUNTS))
    assert len(told["runs"]) == 3
    for run in told["runs"].values():
        assert set(run["ways"]) == {"truth", *diversity.WAYS}
