import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from talkface_lite.errors import InputError
from talkface_lite.measuring.ablation import Ablation, mean_over_seeds


@pytest.fixture
def ablation():
    """Three seeds: "with" is half a dB over "without" whatever the seed does; "noise" is not."""
    luck = {0: 0.0, 1: 2.0, 2: -1.0}
    runs = []
    for seed, bonus in luck.items():
        for variant, gain in {
            "without": 5.0,
            "with": 5.5 + 0.01 * seed,
            "noise": 5.5 + 3 * (seed - 1),
        }.items():
            measures = {"mouth_gain": gain + bonus, "psnr": 30.0}
            runs.append({"variant": variant, "seed": seed, "test-still": measures, "grid": {"psnr": 20.0}})
    return Ablation({"steps": 10}, runs[::-1])  # whatever the order of the runs


def test_the_interval_is_students():
    values = [1.0, 2.0, 4.0]
    mean, low, high = mean_over_seeds(values)
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert mean == pytest.approx(7 / 3)
    assert (low, high) == pytest.approx(expected)
    narrow = mean_over_seeds(values, level=0.5)
    assert low < narrow.low < mean < narrow.high < high
    with pytest.raises(InputError, match="two or more"):
        mean_over_seeds([3.0])


def test_differences_are_taken_seed_by_seed(ablation):
    assert ablation.seeds == (0, 1, 2)
    np.testing.assert_allclose(ablation.values("without", "mouth_gain"), [5, 7, 4])
    np.testing.assert_allclose(ablation.values("with", "psnr", "grid"), [20, 20, 20])
    better = ablation.difference("with", "without", "mouth_gain")
    assert better.mean == pytest.approx(0.51)
    assert better.sign == 1  # though the seeds lie three dB apart
    assert ablation.difference("without", "with", "mouth_gain").sign == -1
    assert ablation.difference("noise", "without", "mouth_gain").sign == 0
    assert ablation.mean("without", "mouth_gain").high > 9


def test_the_table(ablation):
    names = {"without": "plain", "with": "ours"}
    table = ablation.table(names, "without", {"mouth_gain": 2, "psnr": 1}).splitlines()
    assert table[0] == "| | gain at the mouth (dB) | PSNR (dB) |"
    assert table[1] == "|---|---|---|"
    assert table[2] == "| plain | 5.33 | 30.0 |"
    assert table[3] == "| ours | 5.84 [+0.49, +0.53] | 30.0 [+0.0, +0.0] |"
    worse = ablation.table(names, "with", {"mouth_gain": 2}).splitlines()
    assert worse[2] == "| plain | 5.33 [−0.53, −0.49] |"


def test_a_figure_of_another_row_says_of_which():
    runs = [{"variant": "a", "seed": s, "test-still": {"from_frames mouth_gain": 2.0 + s}} for s in (0, 1)]
    table = Ablation({}, runs).table({"a": "all"}, "a", {"from_frames mouth_gain": 1})
    assert table.splitlines()[::2] == ["| | gain at the mouth (dB), from frames |", "| all | 2.5 |"]


def test_the_figure(ablation):
    figure, ax = plt.subplots()
    assert ablation.show(ax, {"with": "a", "without": "b"}, "mouth_gain", base="without") is ax
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_xdata(), ablation.values("with", "mouth_gain"))
    np.testing.assert_allclose(dots[1].get_ydata(), 1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_ylim() == (1.5, -0.5)  # the first row on top
    assert any(np.allclose(line.get_xdata(), 16 / 3) and line.get_linestyle() == ":" for line in ax.lines)
    plt.close(figure)


def test_read_and_refuse(ablation, tmp_path):
    path = tmp_path / "ablation.json"
    path.write_text(json.dumps({**ablation.about, "results": ablation.results}))
    again = Ablation.read(path)
    assert again == ablation
    for content in ("{}", "[]", "no"):
        path.write_text(content)
        with pytest.raises(InputError, match="a JSON file with results"):
            Ablation.read(path)
    with pytest.raises(InputError, match="FileNotFoundError"):
        Ablation.read(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"runs of 'other': got seeds \[\], expected seeds \[0, 1, 2\]"):
        ablation.values("other", "psnr")
    partial = Ablation({}, ablation.results[:-1])
    with pytest.raises(InputError, match="runs of 'without'"):
        partial.values("without", "psnr")


def test_the_shipped_ablation_is_whole():
    shipped = Ablation.shipped("vg_net")
    assert shipped.seeds == (0, 1, 2)
    variants = {run["variant"] for run in shipped.results}
    assert {"dynamic", "l1", "discriminator", "no landmark attention", "recurrence off"} <= variants
    for variant in variants:
        for test in ("test-still", "grid"):
            assert np.isfinite(shipped.values(variant, "mouth_gain", test)).all()
    assert shipped.about["steps"] > 1000
    with pytest.raises(InputError):
        Ablation.shipped("none")


def test_where_a_run_has_no_figure_the_table_has_a_dash():
    figures = (("a", 0, 0.5), ("a", 1, 0.6), ("b", 0, None), ("b", 1, 0.7))
    ablation = Ablation({}, [{"variant": v, "seed": s, "still": {"r": r}} for v, s, r in figures])
    assert np.isnan(ablation.values("b", "r", "still")).tolist() == [True, False]
    assert ablation.table({"a": "A", "b": "B"}, "a", {"r": 2}, "still").splitlines()[2:] == [
        "| A | 0.55 |",
        "| B | – |",
    ]
