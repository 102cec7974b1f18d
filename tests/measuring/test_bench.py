import json
import time

import pytest
import torch
from talkface_lite.measuring.bench_networks import (
    VG_NET_STAGES,
    FrameByFrame,
    alternate,
    bench_training,
    bench_vg_net,
    matmul_gflops,
)

from talkface_lite.errors import InputError
from talkface_lite.measuring import bench as module
from talkface_lite.measuring import bench_networks
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.networks.vg_net import VGNet, VGNetConfig

torch.set_num_threads(1)


MATMUL = {"32": 100.0, "bf16": 200.0}


@pytest.fixture(scope="module")
def vg_net():
    return bench_vg_net("lite", 2, MATMUL, n_frames=6)


@pytest.fixture(scope="module")
def report(vg_net):
    return {
        "machine": {
            "processor": "p",
            "cores": 2,
            "device": "cpu",
            "torch": "t",
            "threads": 1,
            "matmul_gflops": matmul_gflops(1, 128),
            "matmul_gflops_bf16": matmul_gflops(1, 128, torch.bfloat16),
        },
        "corpus": module.bench_corpus(workers=1, clips=1, repeats=1),
        "at_net": {"lite": module.bench_at_net("lite", 1, 100.0)},
        "vg_net": {"lite": vg_net | {"training": bench_training("lite", 1, MATMUL, batch=1, n_frames=2)}},
        "talk": {"frames": 250, "seconds": 2.0, "frames_per_s": 125.0},
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
    assert report["machine"]["matmul_gflops_bf16"] > 0
    json.dumps(report, allow_nan=False)
    text = module.table(report)
    assert "painting" in text
    assert len(text.splitlines()) == 6
    assert "times frame by frame as released" in text
    assert text.endswith("finished film: 125 frames/s")
    assert module.table(report | {"talk": {"missing": "no detector"}}).endswith("film: no detector")


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


def test_vg_net_three_ways(vg_net):
    assert vg_net["frames"] == 6
    assert tuple(vg_net["share_of_time"]) == VG_NET_STAGES
    assert sum(vg_net["share_of_time"].values()) == pytest.approx(1, abs=1e-3)
    assert all(share > 0 for share in vg_net["share_of_time"].values())
    assert vg_net["psnr_db"] > 35
    for way in ("fast", "float32", "frame_by_frame"):
        row = vg_net[way]
        assert row["gflops"] == pytest.approx(row["frames_per_s"] * vg_net["gflop_per_frame"], rel=0.05)
        rate = MATMUL[vg_net["precision"] if way == "fast" else "32"]
        assert row["share_of_matmul"] == pytest.approx(row["gflops"] / rate, abs=2e-3)
    assert vg_net["times_frame_by_frame"] > 1


def test_operations_of_vg_net_counted_by_hand(vg_net):
    """Two for each weight at each place, once a film and once a frame."""
    c = VGNetConfig.lite()
    (i1, i2, i3, i4, i5), (l1, l2), (a1, a2), (d1, d2, d3, d4) = c.image, c.landmark, c.attention, c.decoder
    shape = 136 * 64 + 9 * (1 * l1) * 64  # a weight of a transposed convolution works at each place before it
    frame = shape + 9 * (l1 * l2 * 64 + l2 * c.fused * 64 + 3 * c.memory * (c.fused + c.memory) * 64)
    frame += 9 * (2 * c.blocks * c.memory**2 * 64 + c.memory * d1 * 64 + d1 * d2 * 256)
    frame += 9 * (l1 * a1 * 64 + a1 * a2 * 256 + a2 * 1024)
    frame += 9 * (l1 * a1 + i5 * c.fused) * 64  # the halves of Eqs. 6 and 5 that know only the photograph
    frame += 9 * (d2 * d3 * 1024 + d3 * d4 * 4096) + 49 * d4 * 4 * 128**2
    once = 49 * 3 * i1 * 128**2 + 9 * (i1 * i2 * 64**2 + i2 * i3 * 32**2 + i3 * i4 * 16**2 + i4 * i5 * 64)
    once += shape + 9 * l1 * l2 * 64
    assert vg_net["gflop_per_frame"] == pytest.approx(2 * (frame + once / 6) / 1e9, rel=5e-3)


@pytest.mark.parametrize("training", [False, True])
def test_frame_by_frame_is_the_same_network(training):
    """In training the normalisations see other frames together, so there with one frame."""
    torch.manual_seed(0)
    network = VGNet(VGNetConfig.lite()).train(training)
    released = bench_networks._released(network)
    assert isinstance(released, FrameByFrame)
    assert released.training == training
    n_frames = 1 if training else 3
    photo, points = torch.rand(2, 3, 128, 128) * 2 - 1, torch.randn(2, n_frames, 136)
    with torch.no_grad():
        expected, state = network(photo, points[:, 0], points)
        made, last = released(photo, points[:, 0], points)
        for a, b in zip((*made, last), (*expected, state)):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
        if not training:
            seen = released.look(photo, points[:, 0])
            _, state = released(seen, None, points[:, :1])
            later, _ = released(seen, None, points[:, 1:], state)
            torch.testing.assert_close(later.frames, made.frames[:, 1:])


def test_stages_leave_the_network_as_it_was():
    network = VGNet(VGNetConfig.lite()).eval()
    parts = torch.rand(1, 3, 128, 128), torch.rand(1, 136), torch.rand(1, 2, 136)
    with torch.inference_mode():
        bench_networks.vg_net_stages(network, *parts, repeats=1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_slow_stage_is_seen(monkeypatch):
    network = VGNet(VGNetConfig.lite()).eval()
    step = network.conv_gru.step
    monkeypatch.setattr(network.conv_gru, "step", lambda *a: time.sleep(0.5) or step(*a))
    parts = torch.rand(1, 3, 128, 128), torch.rand(1, 136), torch.rand(1, 2, 136)
    with torch.inference_mode():
        shares = bench_networks.vg_net_stages(network, *parts, repeats=1)
    assert shares["memory"] > 0.5


def test_training(report):
    row = report["vg_net"]["lite"]["training"]
    assert (row["batch"], row["frames"]) == (1, 2)
    ratio = row["frames_per_s"] / row["frames_per_s_frame_by_frame"]
    assert row["times_frame_by_frame"] == pytest.approx(ratio, rel=0.1, abs=0.06)
    operations = row["gflops"] / row["frames_per_s"] / 3
    assert operations == pytest.approx(0.5 + 0.22 / 2, rel=0.1)  # a frame, and half a photograph


def test_ways_take_turns_and_the_first_does_not_count(monkeypatch):
    turns, clock = [], iter(range(100))
    monkeypatch.setattr(bench_networks, "_now", lambda: next(clock))
    seconds = alternate({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 2)
    assert turns == ["a", "b"] * 3
    assert seconds == {"a": [1, 1], "b": [1, 1]}


def test_times_is_the_median_of_the_turns():
    """A turn that another program disturbed changes nothing."""
    assert bench_networks._times([2, 2, 50], [1, 1, 5]) == 2


def test_without_weights_they_are_random_and_it_says_so(monkeypatch):
    def none(**options):
        raise InputError("weights", "none", "some")

    monkeypatch.setattr(bench_networks, "load_video", none)
    network, weights = bench_networks._vg_net("lite")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again, _ = bench_networks._vg_net("lite")
    assert weights == "random, seed 0"
    assert torch.equal(network.colour[0].weight, again.colour[0].weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_bench_measures_each_part(monkeypatch):
    monkeypatch.setattr(module, "bench_corpus", lambda *a: "corpus")
    monkeypatch.setattr(module, "bench_at_net", lambda size, *a: size)
    monkeypatch.setattr(module, "bench_vg_net", lambda size, *a: {"size": size})
    monkeypatch.setattr(module, "bench_training", lambda size, repeats, matmul: repeats)
    monkeypatch.setattr(module, "bench_talk", lambda repeats: repeats)
    report = module.bench(repeats=3)
    assert list(report) == ["machine", "corpus", "at_net", "vg_net", "talk"]
    assert report["talk"] == 3
    assert report["vg_net"] == {size: {"size": size} for size in ("lite", "full")}
    report = module.bench(repeats=3, training=True)
    assert report["vg_net"]["full"] == {"size": "full", "training": 2}

    def no_detector(repeats):
        raise InputError("detector", "none", "dlib")

    monkeypatch.setattr(module, "bench_talk", no_detector)
    report = module.bench(repeats=3)
    assert report["talk"] == {"missing": "detector: got none, expected dlib"}
    assert report["corpus"] == "corpus"


def test_whole_films_are_timed_and_the_first_is_not_counted(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 15.0, 20.0, 24.0, 30.0, 34.5])
    written = []

    def write(path, pictures, speech):
        written.append(list(pictures))
        assert len(speech) == 160_000

    monkeypatch.setattr(module.Talker, "load", lambda system: f"talker of {system}")
    monkeypatch.setattr(module.Portrait, "of", lambda name: name)
    monkeypatch.setattr(module, "pictures", lambda talker, portrait, speech: [talker, portrait])
    monkeypatch.setattr(module, "write_video", write)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    assert module.bench_talk(3) == {"frames": 250, "seconds": 4.5, "frames_per_s": 55.6}
    assert written == [["talker of atvg", "hopper"]] * 4


def test_the_film_is_a_drawn_clip_over_and_over():
    photo, example, landmarks = bench_networks._film(200)
    assert photo.shape == (1, 3, 128, 128)
    assert landmarks.shape == (1, 200, 136)
    assert torch.equal(landmarks[:, 0], example)
    assert (landmarks[0] == example).all(-1).sum() >= 2
