"""What there is to time: ways that take turns, a drawn batch for any part, VG-net beside the released way."""

import functools
import time

import numpy as np
import pytest
import torch

from talkface_lite.clip import CROP_SIZE
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.needs import Needs
from talkface_lite.networks.vg_net import VGNet, VGNetConfig
from talkface_lite.systems import part as parts
from talkface_lite.systems import part_class
from talkface_lite.systems import timing as turns
from talkface_lite.systems.atvg import timing
from talkface_lite.systems.atvg.timing import VG_NET_STAGES, FrameByFrame
from talkface_lite.systems.part import Part, Workload
from talkface_lite.systems.timing import alternate, drawn_batch, own_step, times

torch.set_num_threads(1)

drawn = functools.cache(draw_clip)


@pytest.fixture(autouse=True)
def _one_drawing(monkeypatch):
    """Every test that needs the first clip has the same: to draw it takes seconds."""
    for one in (turns, timing):
        monkeypatch.setattr(one, "draw_clip", drawn)


def wanted(*, training=False, repeats=1):
    return Workload.Wanted("lite", "cpu", repeats, training)


@pytest.fixture(scope="module")
def filming():
    return timing.filming(wanted(repeats=2), n_frames=6)


def test_ways_take_turns_and_the_first_does_not_count(monkeypatch):
    done, clock = [], iter(range(100))
    monkeypatch.setattr(turns, "now", lambda: next(clock))
    seconds = alternate({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 2)
    assert done == ["a", "b"] * 3
    assert seconds == {"a": [1, 1], "b": [1, 1]}


def test_times_is_the_median_of_the_turns():
    """A turn that another program disturbed changes nothing."""
    assert times([2, 2, 50], [1, 1, 5]) == 2


def test_vg_net_three_ways(filming):
    assert filming.frames == 6
    assert list(filming.ways) == ["fast", "float32", "frame_by_frame"]
    shares = filming.about["share_of_time"]
    assert tuple(shares) == VG_NET_STAGES
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert all(share > 0 for share in shares.values())
    assert filming.about["psnr_db"] > 35
    assert set(filming.precision) == set(filming.ways)
    assert filming.precision["float32"] == filming.precision["frame_by_frame"] == "32"
    made = {way: call() for way, call in filming.ways.items()}
    torch.testing.assert_close(made["frame_by_frame"], made["float32"], atol=1e-4, rtol=0)
    assert (made["fast"].float() - made["float32"]).abs().mean() < 0.02
    assert made["float32"].shape == (1, 6, 3, 128, 128)


def test_operations_of_vg_net_counted_by_hand(filming):
    """Two for each weight at each place, once a film and once a frame."""
    c = VGNetConfig.lite(warp=True)  # which ships: it decodes 56×112 pixels, and sees 5 more maps at the end
    (i1, i2, i3, i4, i5), (l1, l2), (a1, a2), (d1, d2, d3, d4) = c.image, c.landmark, c.attention, c.decoder
    shape = 136 * 64 + 9 * (1 * l1) * 64  # a weight of a transposed convolution works at each place before it
    frame = shape + 9 * (l1 * l2 * 64 + l2 * c.fused * 64 + 3 * c.memory * (c.fused + c.memory) * 64)
    frame += 9 * (2 * c.blocks * c.memory**2 * 64 + c.memory * d1 * 64 + d1 * d2 * 256)
    frame += 9 * (l1 * a1 * 64 + a1 * a2 * 256 + a2 * 1024)
    frame += 9 * (l1 * a1 + i5 * c.fused) * 64  # the halves of Eqs. 6 and 5 that know only the photograph
    pixels = 56 * 112
    frame += 9 * (d2 * d3 * pixels / 16 + d3 * d4 * pixels / 4 + (d4 + 5) * d4 * pixels)
    frame += 64 * d4 * 4 * pixels  # 7×7 from block to block of 2×2 pixels
    frame += 2 * 2 * 36 * pixels / 4  # two plates of 33 points, a cell each four pixels
    once = 49 * 3 * i1 * 128**2 + 9 * (i1 * i2 * 64**2 + i2 * i3 * 32**2 + i3 * i4 * 16**2 + i4 * i5 * 64)
    once += shape + 9 * l1 * l2 * 64
    per_frame = filming.operations / filming.frames
    assert per_frame / 1e9 == pytest.approx(2 * (frame + once / 6) / 1e9, rel=5e-3)


@pytest.mark.parametrize("training", [False, True])
def test_frame_by_frame_is_the_same_network(training):
    """In training the normalisations see other frames together, so there with one frame."""
    torch.manual_seed(0)
    network = VGNet(VGNetConfig.lite()).train(training)
    released = timing._released(network)
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
        timing.vg_net_stages(network, *parts, repeats=1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_slow_stage_is_seen(monkeypatch):
    network = VGNet(VGNetConfig.lite()).eval()
    step = network.conv_gru.step
    monkeypatch.setattr(network.conv_gru, "step", lambda *a: time.sleep(0.5) or step(*a))
    parts = torch.rand(1, 3, 128, 128), torch.rand(1, 136), torch.rand(1, 2, 136)
    with torch.inference_mode():
        shares = timing.vg_net_stages(network, *parts, repeats=1)
    assert shares["memory"] > 0.5


def test_a_step_of_training_two_ways():
    work = timing.training(wanted(training=True), batch=1, n_frames=2)
    assert (work.about["batch"], work.about["frames_of_each"], work.frames) == (1, 2, 2)
    assert list(work.ways) == ["step", "frame_by_frame"]
    assert work.precision["frame_by_frame"] == "32"
    for step in work.ways.values():
        step()
    operations = work.operations / work.frames / 3 / 1e9
    assert operations == pytest.approx(0.5 + 0.22 / 2, rel=0.1)  # a frame, and half a photograph


def test_without_weights_they_are_random_and_it_says_so(monkeypatch, tmp_path):
    assert timing._vg_net("lite")[1] == "the package's"
    monkeypatch.setattr(parts, "shipped_weights", lambda *a: tmp_path / "none")
    network, weights = timing._vg_net("lite")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again, _ = timing._vg_net("lite")
    assert weights == "random, seed 0"
    assert torch.equal(network.colour[0].weight, again.colour[0].weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_film_is_a_drawn_clip_over_and_over():
    photo, example, landmarks = timing._film(200)
    assert photo.shape == (1, 3, 128, 128)
    assert landmarks.shape == (1, 200, 136)
    assert torch.equal(landmarks[:, 0], example)
    assert (landmarks[0] == example).all(-1).sum() >= 2


def test_a_drawn_batch_has_what_is_needed():
    clip = drawn(clip_seed(0, 0))
    plain = drawn_batch(Needs(), 3, "cpu")
    assert plain.present().keys() == {"mfcc", "landmarks", "example", "mask"}
    assert plain.mfcc.shape == (3, 16, 28, 12)
    assert plain.mask.all()
    last = len(clip) - 16
    for i, start in enumerate((0, last // 2, last)):
        np.testing.assert_array_equal(plain.landmarks[i], clip.landmarks[start : start + 16])
        np.testing.assert_array_equal(plain.example[i], clip.landmarks[0])
    seen = drawn_batch(Needs(pictures=True, previous=True, window=4), 2, "cpu")
    assert seen.pictures.shape == (2, 4, CROP_SIZE, CROP_SIZE, 3)
    for i, start in enumerate((0, len(clip) - 4)):
        np.testing.assert_array_equal(seen.pictures[i], clip.frames[start : start + 4])
        np.testing.assert_array_equal(seen.photograph[i], clip.frames[0])
        np.testing.assert_array_equal(seen.previous[i], clip.frames[max(start - 1, 0)])
    large = drawn_batch(Needs(pictures=True, previous=True, side=256), 2, "cpu", window=3)
    assert large.pictures.shape == (2, 3, 256, 256, 3)
    assert large.photograph.shape == large.previous.shape == (2, 256, 256, 3)
    long = drawn_batch(Needs(window=10_000), 2, "cpu")
    assert long.mask.sum() == 2 * len(clip)


@pytest.mark.parametrize("name", ["at-net", "vg-net"])
@pytest.mark.parametrize("precision", ["bf16", "32"])
def test_a_parts_own_step_trains_it(name, precision, monkeypatch):
    kind, mixed = part_class("atvg", name), []
    monkeypatch.setattr(turns, "fast_precision", lambda device: precision)
    monkeypatch.setattr(kind, "defaults", {"batch_size": 2})
    monkeypatch.setattr(kind, "needs", Needs(pictures=name == "vg-net", window=2))
    trained, seen = kind.training_step, []

    def training_step(self, batch, optimizers):
        weights = [parameter.detach().clone() for parameter in self.parameters()]
        seen.append((self, len(batch.mfcc), self.training, weights))
        mixed.append(torch.is_autocast_enabled("cpu"))
        return trained(self, batch, optimizers)

    monkeypatch.setattr(kind, "training_step", training_step)
    torch.manual_seed(5)
    work = own_step(kind, wanted(training=True))
    ways = {"step": "bf16", "float32": "32"} if precision == "bf16" else {"step": "32"}
    assert (work.frames, work.about, list(work.ways)) == (4, {"batch": 2}, list(ways))
    assert work.precision == ways
    assert work.operations > 1e6
    work.ways["step"]()
    assert mixed == [False, precision == "bf16"]
    (part, n, training, first), (_, _, _, later) = seen
    assert (n, training) == (2, True)
    assert any(not torch.equal(a, b) for a, b in zip(first, later))
    torch.manual_seed(0)
    fresh = kind.of_size("lite").parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, fresh, strict=True)), "its weights are of seed 0"
    assert part.training


def test_what_a_part_that_says_nothing_has_timed(monkeypatch):
    asked = []
    monkeypatch.setattr(turns, "own_step", lambda kind, wanted: asked.append((kind, wanted)) or "step")
    kind = type("Any", (Part,), {"losses": None})
    assert kind.workload(wanted()) is None
    assert kind.workload(wanted(training=True)) == "step"
    assert asked == [(kind, wanted(training=True))]
