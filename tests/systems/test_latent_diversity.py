"""What is told of films of one speech is counted rightly: the script, with a system that is known."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from test_latent_system import make_system

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import diversity  # noqa: E402

from talkface_lite.errors import InputError  # noqa: E402
from talkface_lite.measuring.diversity import FREE  # noqa: E402

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
        assert set(ways) == {"truth", "slow", "farther", "independent", "no noise"}
        for way in ways.values():
            assert set(way["jitter"]) == set(FREE)
            assert set(way["spread"]) == {*FREE, "lips", "lips_shut"}
        assert ways["truth"]["spread"]["turn"] > 0
        assert ways["no noise"]["spread"]["turn"] == 0
        for way in ("slow", "farther", "independent"):
            for kind in ("best", "best of noise"):
                assert ways[way][kind] == sorted(ways[way][kind])
                assert len(ways[way][kind]) == 3
        assert 0 < run["retrieval"]["chance"] < 0.2
        assert 0 <= run["retrieval"]["nearer"] <= 1
    one, other = (run["ways"] for run in found["runs"].values())
    assert one["truth"] == other["truth"]
    assert one["slow"]["best"] != other["slow"]["best"]


def test_too_few():
    with pytest.raises(InputError, match="--films: got 1, expected at least 2"):
        diversity.main(["--films", "1"])
    with pytest.raises(InputError, match="--workers: got 0, expected at least 1"):
        diversity.main(["--workers", "0"])
