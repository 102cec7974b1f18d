"""What bench times of attentional landmarks is the same film, made in different ways."""

from dataclasses import replace

import pytest
import torch
from attentional_parts import make_ltv, moved_heads
from torch.utils.flop_counter import FlopCounterMode

from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.measuring.bench import bench_film, rates
from talkface_lite.systems import timing as turns
from talkface_lite.systems.attentional import AttentionalSystem, LTVNetPart, timing
from talkface_lite.systems.attentional.ltv_net import CHUNK_FRAMES
from talkface_lite.systems.part import Workload

torch.set_num_threads(1)

WANTED = Workload.Wanted("lite", "cpu", 1, training=False)


@pytest.fixture(scope="module")
def drawn(one_thread):
    return {size: draw_clip(5, view="head", size=size, text="bin", clean=True) for size in (128, 256)}


def given(n_frames, seed=0):
    heads = torch.from_numpy(moved_heads(n_frames + 1, seed))
    return torch.rand(1, 3, 128, 128) * 2 - 1, heads[:1], heads[1:][None]


@pytest.mark.parametrize("options", [{}, {"attention": False}, {"warp": True}])
def test_every_way_makes_the_same_film(options, monkeypatch):
    monkeypatch.setattr(timing, "CHUNK_FRAMES", 3)
    network, what = make_ltv(**options).ltv_net, given(7)
    looked = []
    plain = network.look
    with torch.inference_mode():
        wanted = network(*what).frames
        monkeypatch.setattr(network, "look", lambda *given: looked.append(0) or plain(*given))
        torch.testing.assert_close(timing.in_stretches(network, *what), wanted, atol=1e-4, rtol=0)
        assert len(looked) == 1
        torch.testing.assert_close(timing.frame_by_frame(network, *what), wanted, atol=1e-4, rtol=0)
        assert len(looked) == 8
    assert wanted.shape == (1, 7, 3, 128, 128)


@pytest.mark.parametrize("side", [128, 256])
def test_a_film_is_timed_three_ways(side, drawn, monkeypatch, capfd):
    part, asked = make_ltv(side=side, widths=(2, 3, 4), warp=True), []
    monkeypatch.setattr(timing, "N_FRAMES", 3)
    monkeypatch.setattr(
        timing, "draw_clip", lambda seed, *, view, size: asked.append((view, size)) or drawn[size]
    )
    monkeypatch.setattr(
        timing, "part_to_time", lambda kind, size, **how: asked.append((kind, size, how)) or (part, "random")
    )
    workload = LTVNetPart.workload(WANTED)
    assert asked == [(LTVNetPart, "lite", {"warp": True}), ("head", side)]
    assert capfd.readouterr().out == ""
    assert list(workload.ways) == ["fast", "float32", "frame_by_frame"]
    films = {name: way() for name, way in workload.ways.items()}
    assert workload.frames == 3
    assert all(film.shape == (1, 3, 3, side, side) for film in films.values())
    torch.testing.assert_close(films["frame_by_frame"], films["float32"], atol=5e-4, rtol=0)
    assert (films["fast"] - films["float32"]).abs().mean() < 0.02
    points = torch.from_numpy(drawn[side].landmarks)
    photo = torch.from_numpy(drawn[side].frames[:1]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        wanted = part.ltv_net(photo, points[:1], points[:3][None]).frames
        with FlopCounterMode(display=False) as counter:
            part.ltv_net(photo, points[:1], points[None, :1])
    torch.testing.assert_close(films["float32"], wanted, atol=5e-4, rtol=0)
    assert workload.operations == 3 * counter.get_total_flops()
    assert set(workload.about) == {"weights", "side", "psnr_db"}
    assert (workload.about["weights"], workload.about["side"]) == ("random", side)
    error = ((films["fast"] - films["float32"]) / 2).double()
    if error.any():
        assert workload.about["psnr_db"] == pytest.approx(-10 * float((error**2).mean().log10()), abs=0.06)
    assert workload.precision["float32"] == workload.precision["frame_by_frame"] == "32"
    row = rates(workload, 1, {"32": 100.0, "bf16": 200.0})
    assert set(row["times"]) == {"float32", "frame_by_frame"}


def test_a_short_clip_is_seen_over_and_over(drawn, monkeypatch):
    clip, seen = drawn[128], []
    short = Clip(
        frames=clip.frames[:2], landmarks=clip.landmarks[:2], speech=clip.speech[:1280], framing="head"
    )
    monkeypatch.setattr(timing, "draw_clip", lambda *_, **__: short)
    monkeypatch.setattr(timing, "part_to_time", lambda *_, **__: (make_ltv(), "random"))
    monkeypatch.setattr(timing, "in_stretches", lambda net, *what: seen.append(what) or torch.zeros(1))
    monkeypatch.setattr(timing, "frame_by_frame", lambda net, *what: None)
    monkeypatch.setattr(turns, "psnr", lambda *_, **__: 50.04)
    assert timing.filming(WANTED).about["psnr_db"] == 50.0
    photo, example, landmarks = seen[0]
    assert landmarks.shape == (1, 48, 68, 2)
    assert timing.N_FRAMES % CHUNK_FRAMES == 0
    assert torch.equal(landmarks[0, ::2], torch.from_numpy(clip.landmarks[:1]).expand(24, -1, -1))
    assert torch.equal(landmarks[0, 1], torch.from_numpy(clip.landmarks[1]))
    assert torch.equal(example[0], landmarks[0, 0])
    assert photo.shape == (1, 3, 128, 128)


def test_without_weights_they_are_random_and_wired_as_those_to_come(monkeypatch, tmp_path):
    from talkface_lite.systems import part as module

    monkeypatch.setattr(module, "shipped_weights", lambda *_: tmp_path / "none")
    built = [turns.part_to_time(LTVNetPart, "lite", warp=True) for _ in range(2)]
    assert {weights for _, weights in built} == {"random, seed 0"}
    first, second = (part.ltv_net.last.weight for part, _ in built)
    assert torch.equal(first, second)
    assert built[0][0].config.ltv_net.warp
    path = make_ltv(attention=False).save(tmp_path / "w.safetensors")
    monkeypatch.setattr(module, "shipped_weights", lambda *_: path)
    part, weights = turns.part_to_time(LTVNetPart, "lite", warp=True)
    assert weights == "the package's"
    assert not part.config.ltv_net.attention


@pytest.mark.parametrize("side", [128, 256])
def test_a_step_of_training_is_of_heads(side, drawn, monkeypatch):
    asked = []
    monkeypatch.setattr(turns, "draw_clip", lambda seed, *, view: asked.append(view) or drawn[128])
    needs = replace(LTVNetPart.needs, side=side)
    batch = turns.drawn_batch(needs, 2, "cpu", window=3)
    assert asked == ["head"]
    assert batch.pictures.shape == (2, 3, side, side, 3)
    part = make_ltv(side=side, widths=(2, 3, 4))
    from attentional_parts import SETTINGS

    assert torch.isfinite(part.training_step(batch, part.optimizers(SETTINGS))["loss"])


def test_a_film_of_the_system_is_timed(drawn, monkeypatch):
    from attentional_parts import make_stl

    from talkface_lite.measuring import bench

    asked = []
    monkeypatch.setattr(bench, "draw_clip", lambda seed, *, view: asked.append(view) or drawn[128])
    monkeypatch.setattr(bench, "_ten_seconds", lambda: torch.zeros(640 * 3).numpy())
    system = AttentionalSystem({"stl-net": make_stl(), "ltv-net": make_ltv(warp=True)})
    report = bench_film(system, 1)
    assert asked == ["head"]
    assert report["frames"] == 3
