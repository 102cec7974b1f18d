import functools
import json

import numpy as np
import pytest
import torch
from toy_systems import Lamp

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.measuring import bench as module
from talkface_lite.measuring.bench import bench_system, matmul_gflops, rates
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.systems import part_class
from talkface_lite.systems import timing as turns
from talkface_lite.systems.atvg import timing
from talkface_lite.systems.base import Stretch, System
from talkface_lite.systems.part import Part, Workload

torch.set_num_threads(1)

drawn = functools.cache(draw_clip)


@pytest.fixture(autouse=True)
def _one_drawing(monkeypatch):
    """Every test that needs the first clip has the same: to draw it takes seconds."""
    for one in (module, turns, timing):
        monkeypatch.setattr(one, "draw_clip", drawn)


MATMUL = {"32": 100.0, "bf16": 200.0}


def wanted(*, training=False, repeats=1):
    return Workload.Wanted("lite", "cpu", repeats, training)


@pytest.fixture(scope="module")
def at_net():
    return rates(part_class("atvg", "at-net").workload(wanted()), 1, MATMUL)


@pytest.fixture(scope="module")
def vg_net():
    row = rates(timing.filming(wanted(repeats=2), n_frames=6), 2, MATMUL)
    row["training"] = rates(timing.training(wanted(training=True), batch=1, n_frames=2), 1, MATMUL)
    return row


def film(rate):
    return {
        "frames": 250,
        "seconds": round(250 / rate, 3),
        "frames_per_s": rate,
        "times_real_time": rate / 25,
    }


@pytest.fixture(scope="module")
def corpus():
    return module.bench_corpus(workers=1, clips=1, repeats=1)


@pytest.fixture(scope="module")
def report(at_net, vg_net, corpus):
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
        "corpus": corpus,
        "systems": {
            "atvg": {
                "lite": {
                    "weights": "the package's",
                    "film": film(130.0),
                    "talk": film(125.0),
                    "parts": {"at-net": at_net, "vg-net": vg_net},
                },
                "full": {
                    "weights": "random, seed 0",
                    "film": film(9.0),
                    "parts": {"vg-net": {"training": vg_net["training"]}},
                },
            },
            "lamp": {
                "lite": {
                    "weights": "the package's",
                    "film": film(7.0),
                    "talk": {"missing": "no face"},
                    "parts": {},
                }
            },
        },
    }


def test_the_report_holds_what_it_says(report):
    corpus = report["corpus"]
    assert corpus["frames_per_s"] > 1
    assert sum(corpus["share_of_time"].values()) == pytest.approx(1, abs=1e-3)
    assert tuple(corpus["share_of_time"]) == module.STAGES
    assert corpus["share_of_time"]["painting"] > 0.3
    assert report["machine"]["matmul_gflops"] > 0.5
    assert report["machine"]["matmul_gflops_bf16"] > 0
    json.dumps(report, allow_nan=False)


def test_the_table_has_a_line_for_every_part_and_way(report):
    lines = module.table(report).splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("p, 2 cores, torch t on cpu: matrix product ")
    assert lines[1].startswith("corpus: ")
    assert "painting" in lines[1]
    expected = [
        "atvg lite, weights the package's",
        "  10 s of sound to frames: 130 frames/s",
        "  photograph and 10 s of sound to the finished film: 125 frames/s",
        "  at-net, float32 (float32): ",
        "  vg-net, fast (",
        "  vg-net, float32 (float32): ",
        "  vg-net, frame_by_frame (float32): ",
        "  vg-net: ",
        "  vg-net: look ",
        "  vg-net, training, step (",
        "  vg-net, training, frame_by_frame (float32): ",
        "atvg full, weights random, seed 0",
        "  10 s of sound to frames: 9 frames/s",
        "  vg-net, training, step (",
        "  vg-net, training, frame_by_frame (float32): ",
        "lamp lite, weights the package's",
        "  10 s of sound to frames: 7 frames/s",
        "  photograph and 10 s of sound to the finished film: no face",
    ]
    for line, beginning in zip(lines[2:], expected, strict=True):
        assert line.startswith(beginning), (line, beginning)
    at_net, vg_net = (report["systems"]["atvg"]["lite"]["parts"][name] for name in ("at-net", "vg-net"))
    rate = at_net["ways"]["float32"]
    assert f"{rate['frames_per_s']:g} frames/s, {rate['gflops']:g} GFLOP/s" in lines[5]
    assert f"{100 * rate['share_of_matmul']:.0f} % of the matrix product" in lines[5]
    assert "times as fast" not in lines[5] + lines[6]
    for line, way in zip(lines[7:9], ("float32", "frame_by_frame")):
        assert line.endswith(f"; the first is {vg_net['times'][way]:g} times as fast")
    assert lines[9] == f"  vg-net: {vg_net['psnr_db']:g} dB between the first two ways"
    assert all(stage in lines[10] for stage in timing.VG_NET_STAGES)


def test_rates_agree_with_each_other(vg_net):
    for row in (vg_net, vg_net["training"]):
        for rate in row["ways"].values():
            assert rate["gflops"] == pytest.approx(rate["frames_per_s"] * row["gflop_per_frame"], rel=0.05)
            matmul = MATMUL[rate["precision"]]
            assert rate["share_of_matmul"] == pytest.approx(rate["gflops"] / matmul, abs=2e-3)
    assert vg_net["frames"] == 6
    assert vg_net["times"].keys() == {"float32", "frame_by_frame"}
    assert vg_net["times"]["frame_by_frame"] > 1
    training = vg_net["training"]
    assert (training["batch"], training["frames"]) == (1, 2)
    ours, released = (training["ways"][way]["frames_per_s"] for way in ("step", "frame_by_frame"))
    assert training["times"] == {"frame_by_frame": pytest.approx(ours / released, rel=0.1, abs=0.06)}


def test_what_is_made_of_a_workload(monkeypatch):
    """The median of the turns, against the matrix product of its own precision."""
    seconds = {"ours": [0.5, 0.25, 9.0], "theirs": [2.0, 1.0, 90.0]}
    monkeypatch.setattr(module, "alternate", lambda ways, repeats: {way: seconds[way] for way in ways})
    work = Workload(
        frames=10,
        operations=3_000_000_000,
        ways={"ours": int, "theirs": int},
        precision={"ours": "bf16", "theirs": "32"},
        about={"weights": "w"},
    )
    assert rates(work, 3, MATMUL) == {
        "frames": 10,
        "gflop_per_frame": 0.3,
        "ways": {
            "ours": {"frames_per_s": 20.0, "gflops": 6.0, "precision": "bf16", "share_of_matmul": 0.03},
            "theirs": {"frames_per_s": 5.0, "gflops": 1.5, "precision": "32", "share_of_matmul": 0.015},
        },
        "times": {"theirs": 4.0},
        "weights": "w",
    }


def test_operations_of_at_net_counted_by_hand(at_net):
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
    assert at_net["frames"] == 75
    assert at_net["gflop_per_frame"] == pytest.approx(total / 1e9, rel=0.02)
    (row,) = at_net["ways"].values()
    assert row["gflops"] == pytest.approx(row["frames_per_s"] * at_net["gflop_per_frame"], rel=0.05)
    assert row["share_of_matmul"] == pytest.approx(row["gflops"] / 100, abs=2e-3)


class Blink(Part):
    """A part with nothing to time."""

    system, name, network_names = "blinker", "blink", ()

    def losses(self, batch):
        raise NotImplementedError


class Wink(Blink):
    """A part that asks for both."""

    name = "wink"
    asked: list = []  # noqa: RUF012 - a test clears it

    @classmethod
    def workload(cls, wanted):
        cls.asked.append(wanted)
        about = {"training": wanted.training}
        return Workload(
            frames=2, operations=8, ways={"way": int}, precision={"way": "32"}, about={"asked": about}
        )


class Blinker(System):
    """Two parts; its film is the photograph."""

    name = "blinker"
    parts = (Blink, Wink)
    side = 64
    filmed: list = []  # noqa: RUF012 - a test clears it

    @classmethod
    def build(cls, size="lite", *, variant=""):
        return cls({"drawn": torch.rand(1)}) if size else None

    def to(self, device):
        return self

    def film(self, face, speech, rng):
        self.filmed.append((face.picture.shape, len(speech), self._parts["drawn"].item()))
        yield Stretch(np.repeat(face.picture[None], len(speech) // 640, axis=0))


@pytest.fixture
def blinker(monkeypatch):
    Wink.asked.clear()
    Blinker.filmed.clear()
    monkeypatch.setattr(module, "system_class", {"blinker": Blinker, "lamp": Lamp}.__getitem__)
    return Blinker


def no_weights(*_, **__):
    raise InputError("weights", "none", "some")


def test_a_system_and_whatever_its_parts_ask_for(blinker, monkeypatch):
    monkeypatch.setattr(module, "load", lambda name, size: Blinker.build(size))
    monkeypatch.setattr(module, "bench_talk", lambda name, size, repeats: {"frames_per_s": 3.0})
    found = bench_system("blinker", "lite", 4, MATMUL)
    assert list(found) == ["weights", "film", "talk", "parts"]
    assert found["weights"] == "the package's"
    assert set(found["film"]) == {"frames", "seconds", "frames_per_s", "times_real_time"}
    assert found["film"]["frames"] == 250
    assert found["talk"] == {"frames_per_s": 3.0}
    assert list(found["parts"]) == ["wink"]
    assert found["parts"]["wink"]["asked"] == {"training": False}
    assert "training" not in found["parts"]["wink"]
    assert Wink.asked == [("lite", module.choose_device(), 4, False)]
    # the first film warms up; the picture is of the system's own side
    assert [row[:2] for row in Blinker.filmed] == [((64, 64, 3), 160_000)] * 5


def test_without_a_detector_the_rest_is_measured(blinker, monkeypatch):
    monkeypatch.setattr(module, "load", lambda name, size: Blinker.build(size))
    monkeypatch.setattr(module, "bench_talk", no_weights)
    found = bench_system("blinker", "lite", 1, MATMUL)
    assert found["talk"] == {"missing": "weights: got none, expected some"}
    assert list(found["parts"]) == ["wink"]


def test_without_weights_they_are_random_and_it_says_so(blinker, monkeypatch):
    monkeypatch.setattr(module, "load", no_weights)
    monkeypatch.setattr(module, "bench_talk", lambda *a: pytest.fail("there is nothing to talk with"))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    found = bench_system("blinker", "full", 1, MATMUL)
    assert torch.equal(torch.get_rng_state(), state)
    assert found["weights"] == "random, seed 0"
    assert "talk" not in found
    torch.manual_seed(0)
    assert Blinker.filmed[0][2] == torch.rand(1).item()


def test_training_is_timed_where_it_is_asked_for(blinker, monkeypatch):
    """Twice at most; every part has a step of training, unless it says otherwise."""
    monkeypatch.setattr(module, "load", lambda name, size: Blinker.build(size))
    monkeypatch.setattr(module, "bench_talk", lambda *a: {})
    own = Workload(frames=1, operations=2, ways={"step": int}, precision={"step": "32"}, about={"batch": 9})
    monkeypatch.setattr("talkface_lite.systems.timing.own_step", lambda kind, wanted: own)
    found = bench_system("blinker", "lite", 5, MATMUL, training=True)
    assert list(found["parts"]) == ["blink", "wink"]
    assert list(found["parts"]["blink"]) == ["training"]
    assert found["parts"]["blink"]["training"]["batch"] == 9
    assert found["parts"]["wink"]["training"]["asked"] == {"training": True}
    assert [(one.repeats, one.training) for one in Wink.asked] == [(5, False), (2, True)]


def test_bench_measures_every_system_in_every_size(monkeypatch):
    asked = []

    def one(name, size, repeats, matmul, *, training):
        asked.append((name, size, repeats, sorted(matmul), training))
        return f"{name} {size}"

    monkeypatch.setattr(module, "bench_corpus", lambda workers, clips, repeats: (workers, clips, repeats))
    monkeypatch.setattr(module, "bench_system", one)
    monkeypatch.setattr(
        module, "matmul_gflops", lambda repeats, dtype=torch.float32: {torch.float32: 1.26}.get(dtype, 2)
    )
    report = module.bench(repeats=3, workers=7, clips=5)
    assert list(report) == ["machine", "corpus", "systems"]
    assert report["corpus"] == (7, 5, 3)
    both = ("atvg", "latent", "recurrent", "attentional")
    assert report["systems"] == {name: {"lite": f"{name} lite", "full": f"{name} full"} for name in both}
    assert asked == [(n, size, 3, ["32", "bf16"], False) for n in both for size in ("lite", "full")]
    assert (report["machine"]["matmul_gflops"], report["machine"]["matmul_gflops_bf16"]) == (1.3, 2)
    some = module.bench(repeats=1, training=True, systems=["a", "b"])
    assert list(some["systems"]) == ["a", "b"]
    assert asked[-1] == ("b", "full", 1, ["32", "bf16"], True)
    assert module.bench(systems=["a"], sizes=["lite"])["systems"] == {"a": {"lite": "a lite"}}


def test_bench_from_end_to_end(monkeypatch, corpus):
    """Everything once, on work so small that no rate means anything."""
    monkeypatch.setattr(module, "bench_corpus", lambda *a: corpus)
    monkeypatch.setattr(module, "_ten_seconds", lambda: np.zeros(2 * 640, np.float32))
    monkeypatch.setattr(module, "SIZES", ("lite",))
    monkeypatch.setattr(
        module, "matmul_gflops", lambda repeats, dtype=torch.float32: matmul_gflops(1, 64, dtype)
    )
    filming, training = timing.filming, timing.training
    monkeypatch.setattr(timing, "filming", lambda wanted: filming(wanted, n_frames=2))
    monkeypatch.setattr(timing, "training", lambda wanted: training(wanted, batch=1, n_frames=2))
    part = part_class("atvg", "at-net")
    monkeypatch.setattr(part, "defaults", {"batch_size": 2})
    monkeypatch.setattr(module, "bench_talk", no_weights)
    report = module.bench(workers=1, clips=1, repeats=1, training=True)
    lite = report["systems"]["atvg"]["lite"]
    assert list(lite["parts"]) == ["at-net", "vg-net"]
    assert next(iter(lite["parts"]["at-net"]["training"]["ways"])) == "step"
    assert list(lite["parts"]["vg-net"]["training"]["ways"]) == ["step", "frame_by_frame"]
    assert list(lite["parts"]["vg-net"]["ways"]) == ["fast", "float32", "frame_by_frame"]
    assert lite["film"]["frames"] == 2
    json.dumps(report, allow_nan=False)
    text = module.table(report)
    for name in ("at-net, float32", "at-net, training, step", "vg-net, fast", "vg-net, training, step"):
        assert f"  {name} (" in text


def test_a_film_alone_is_timed_and_the_first_is_not_counted(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 15.0, 20.0, 24.0, 30.0, 34.5])
    monkeypatch.setattr(module, "now", lambda: next(clock))
    assert module.bench_film(Lamp(), 3) == {
        "frames": 250,
        "seconds": 4.5,
        "frames_per_s": 55.6,
        "times_real_time": 2.2,
    }


def test_whole_films_are_timed_and_the_first_is_not_counted(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 15.0, 20.0, 24.0, 30.0, 34.5])
    written = []

    def write(path, pictures, speech):
        written.append(list(pictures))
        assert len(speech) == 160_000

    monkeypatch.setattr(module.Talker, "load", lambda system, size: f"{size} talker of {system}")
    monkeypatch.setattr(module.Portrait, "of", lambda name: name)
    monkeypatch.setattr(module, "pictures", lambda talker, portrait, speech: [talker, portrait])
    monkeypatch.setattr(module, "write_video", write)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    assert module.bench_talk("atvg", "full", 3) == {
        "frames": 250,
        "seconds": 4.5,
        "frames_per_s": 55.6,
        "times_real_time": 2.2,
    }
    assert written == [["full talker of atvg", "hopper"]] * 4
