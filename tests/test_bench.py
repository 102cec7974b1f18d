import json

import pytest
import torch

from talkface_lite import bench as module
from talkface_lite.networks.at_net import ATNetConfig

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def report():
    return {
        "machine": {
            "processor": "p",
            "cores": 2,
            "device": "cpu",
            "torch": "t",
            "threads": 1,
            "matmul_gflops": module.matmul_gflops(1, 128),
        },
        "corpus": module.bench_corpus(workers=1, clips=1, repeats=1),
        "at_net": {"lite": module.bench_at_net("lite", 1, 100.0)},
    }


def test_the_report_holds_what_it_says(report):
    corpus = report["corpus"]
    assert corpus["frames_per_s"] > 1
    assert sum(corpus["share_of_time"].values()) == pytest.approx(1, abs=1e-3)
    assert tuple(corpus["share_of_time"]) == module.STAGES
    assert corpus["share_of_time"]["painting"] > 0.3
    lite = report["at_net"]["lite"]
    assert lite["frames_per_s"] == pytest.approx(75 * lite["clips_per_s"], rel=0.05)
    assert lite["share_of_matmul"] == pytest.approx(lite["gflops"] / 100, abs=2e-3)
    assert report["machine"]["matmul_gflops"] > 0.5
    json.dumps(report, allow_nan=False)
    text = module.table(report)
    assert "painting" in text
    assert len(text.splitlines()) == 3


def test_operations_of_at_net_counted_by_hand(report):
    """Multiplications and additions per frame, two for each weight at each place."""
    c = ATNetConfig.lite()
    places = (28 * 12, 28 * 12, 26 * 5, 26 * 5, 26 * 5)
    channels = (1, *c.channels)
    audio = sum(9 * a * b * n for a, b, n in zip(channels, channels[1:], places))
    audio += 24 * c.channels[-1] * c.audio[0] + c.audio[0] * c.audio[1]
    inputs = c.audio[1] + c.landmark[1]
    lstm = 4 * c.hidden * (inputs + c.hidden) + (c.layers - 1) * 4 * c.hidden * 2 * c.hidden
    face = (6 * c.landmark[0] + c.landmark[0] * c.landmark[1]) / 75
    total = 2 * (audio + lstm + c.hidden * 6 + face)
    assert report["at_net"]["lite"]["gflop_per_frame"] == pytest.approx(total / 1e9, rel=0.02)
