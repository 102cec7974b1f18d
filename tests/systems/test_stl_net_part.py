"""STL net's part: what it minimises, how it speaks, what silence and a held head are."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from attentional_parts import (
    FACE,
    SETTINGS,
    changed_where_nothing_is,
    make_batch,
    make_stl,
    moved_heads,
    some_speech,
    weights_of,
)
from safetensors.numpy import load_file
from torch import nn

from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.errors import InputError
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import align
from talkface_lite.networks.lips_and_head import take_apart
from talkface_lite.networks.stl_net import Said, STLNetConfig
from talkface_lite.speech import mfcc_windows, window_reach
from talkface_lite.systems import build_part
from talkface_lite.systems.attentional import LTVNetPart, STLNetPart, STLNetPartConfig
from talkface_lite.systems.attentional import stl_net as module
from talkface_lite.systems.attentional.stl_net import held
from talkface_lite.systems.settling import settled
from talkface_lite.systems.training_settings import TrainingSettings
from talkface_lite.training import train

torch.set_num_threads(1)

PHOTO = align(moved_heads(1, seed=5)[0], WHOLE_HEAD)[0]
KINDS = [{}, {"calibration": "similarity"}, {"split": False}]


@pytest.fixture(scope="module")
def part():
    return make_stl()


@pytest.fixture(scope="module")
def speech():
    return some_speech(30)


def said_by(part, batch):
    with torch.no_grad():
        said, _ = part.stl_net(batch.mfcc, batch.example)
        return said, part.stl_net.joined(said)


def wing(x, w=10.0, epsilon=2.0):
    """Eq. 7, in the paper's pixels."""
    far = x.abs()
    return torch.where(far < w, w * torch.log(1 + far / epsilon), far - w + w * np.log(1 + w / epsilon))


COSTS = {"wing": wing, "mse": torch.square, "l1": torch.abs}


@pytest.mark.parametrize("loss", COSTS)
@pytest.mark.parametrize("calibration", ["affine", "similarity"])
def test_the_loss_of_each_branch_by_hand(loss, calibration):
    part = make_stl(loss=loss, calibration=calibration, lip_weight=0.5, head_weight=3.0)
    batch = make_batch()
    said, _ = said_by(part, batch)
    there = batch.mask
    truth = take_apart(batch.landmarks[there], calibration)
    far = [(made[there] - true) * 300 / 128 for made, true in zip(said[:2], truth)]
    assert all((x.abs() < 10).any() and (x.abs() > 10).any() for x in far)
    lips, head = (COSTS[loss](x).mean() for x in far)
    made = part.losses(batch)
    torch.testing.assert_close(made["loss"].detach(), 0.5 * lips + 3 * head, rtol=1e-4, atol=1e-5)
    assert made["loss"].requires_grad
    assert not made["mouth"].requires_grad
    assert not made["head"].requires_grad


@pytest.mark.parametrize("loss", COSTS)
def test_the_loss_of_one_branch_by_hand(loss):
    part, batch = make_stl(loss=loss, split=False, lip_weight=5.0, head_weight=7.0), make_batch()
    _, whole = said_by(part, batch)
    far = (whole - batch.landmarks)[batch.mask] * 300 / 128
    torch.testing.assert_close(
        part.losses(batch)["loss"].detach(), COSTS[loss](far).mean(), rtol=1e-4, atol=0
    )


def test_another_wing():
    part, batch = make_stl(split=False, wing_width=4.0, wing_curvature=0.5), make_batch()
    _, whole = said_by(part, batch)
    far = (whole - batch.landmarks)[batch.mask] * 300 / 128
    torch.testing.assert_close(
        part.losses(batch)["loss"].detach(), wing(far, 4, 0.5).mean(), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_figures_by_hand(kind):
    """As everywhere, the mouth in the units of a network; nose and eyes in pixels."""
    part, batch = make_stl(**kind), make_batch()
    _, whole = said_by(part, batch)
    made, true = whole[batch.mask], batch.landmarks[batch.mask]
    found = part.held_out(batch)
    assert set(found) == {"loss", "mouth", "head"}
    assert [name for name, value in found.items() if value.requires_grad] == ["loss"]
    mouths = [(points[:, 48:] - points[:, 48:].mean(dim=1, keepdim=True)) / 64 for points in (made, true)]
    torch.testing.assert_close(found["mouth"], (mouths[0] - mouths[1]).square().mean(), rtol=1e-4, atol=1e-8)
    far = (made - true)[:, 27:48].square().sum(dim=-1).sqrt().mean()
    torch.testing.assert_close(found["head"], far, rtol=1e-4, atol=1e-6)
    assert part.figure == "mouth"


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_the_end_of_a_film_does_not_matter(kind):
    part, batch = make_stl(**kind), make_batch()
    wanted = part.losses(batch)
    for other in (changed_where_nothing_is(batch), changed_where_nothing_is(batch, by=1e6)):
        for name, found in part.losses(other).items():
            torch.testing.assert_close(found, wanted[name], rtol=1e-6, atol=0)
    wanted["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in part.parameters())


REFUSED = [
    ({"loss": "huber"}, "loss: got 'huber', expected wing or mse or l1"),
    ({"wing_width": 0.0}, "wing_width: got 0.0, expected more than 0"),
    ({"wing_curvature": -1.0}, "wing_curvature: got -1.0, expected more than 0"),
    ({"wing_curvature": float("nan")}, "wing_curvature: got nan, expected more than 0"),
    ({"lip_weight": -1.0}, "lip_weight: got -1.0, expected 0 or more"),
    ({"head_weight": float("nan")}, "head_weight: got nan, expected 0 or more"),
    ({"lip_weight": 0.0, "head_weight": 0.0}, "lip_weight and head_weight: got 0 and 0, expected one of"),
]


@pytest.mark.parametrize(("options", "match"), REFUSED)
def test_refused(options, match):
    with pytest.raises(InputError, match=match):
        STLNetPartConfig(**options)
    assert STLNetPartConfig(lip_weight=0.0).loss == STLNetPartConfig(head_weight=0.0).loss == "wing"


def test_what_it_is_unless_told_otherwise():
    config = STLNetPartConfig()
    assert (config.wing_width, config.wing_curvature, config.lip_weight, config.head_weight) == (10, 2, 1, 1)
    lite = build_part("attentional", "stl-net", "lite", split=False, loss="l1")
    assert lite.config.stl_net == STLNetConfig.lite(split=False)
    assert lite.config.loss == "l1"
    assert lite.parameter_counts() == {"stl_net": 1_018_616}
    assert (STLNetPart.needs.framing, STLNetPart.needs.pictures, STLNetPart.needs.window) == (
        "head",
        False,
        16,
    )
    weight = lite.stl_net.whole.f_a[1][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    adapting = STLNetPart.adapting
    assert adapting.training.betas == (0.9, 0.999)
    assert (adapting.training.steps, adapting.training.batch_size, adapting.data.window) == (400, 8, 32)
    assert (adapting.training.learning_rate, adapting.training.schedule) == (1e-3, "cosine")
    assert (adapting.data.mfcc_shift, adapting.data.closed_examples) == (0.3, 0.5)


@pytest.mark.parametrize("n_samples", [1, 639, 640, 641, 640 * 3 + 5])
@pytest.mark.parametrize("anchored", [True, False])
def test_any_length_gives_a_frame_for_each_40_ms_begun(part, n_samples, anchored):
    made = part.generate(np.full(n_samples, 0.1, np.float32), PHOTO, anchored=anchored)
    assert made.shape == (-(-n_samples // 640), 68, 2)
    assert made.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk_frames", [1, 7, 29, 30, 1000])
def test_chunks_change_nothing(kind, speech, chunk_frames):
    part = make_stl(**kind)
    whole = part.points(speech, PHOTO, chunk_frames=None)
    for made, expected in zip(part.points(speech, PHOTO, chunk_frames=chunk_frames), whole, strict=True):
        assert (made is None) == (expected is None)
        if made is not None:
            torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
    with torch.no_grad():
        windows = torch.from_numpy(mfcc_windows(speech))[None]
        said, _ = part.stl_net(windows, torch.from_numpy(PHOTO)[None])
    torch.testing.assert_close(part.stl_net.joined(whole), part.stl_net.joined(said), atol=1e-4, rtol=0)
    films = [part.generate(speech, PHOTO, chunk_frames=n) for n in (None, chunk_frames)]
    np.testing.assert_allclose(films[1], films[0], atol=1e-3)


def test_silence_is_heard_before_and_nothing_is_given_for_it(part, speech):
    heard = part.points(np.concatenate([np.zeros(25 * 640, np.float32), speech]), PHOTO, chunk_frames=None)
    for made, expected in zip(part.points(speech, PHOTO, silence=25)[:2], heard[:2]):
        assert made.shape[:2] == (1, 30)
        torch.testing.assert_close(made, expected[:, 25:], atol=1e-4, rtol=0)


def test_a_frame_hears_nothing_beyond_its_window(part, speech):
    other, sample = speech.copy(), 640 * 20 + 100
    other[sample] += 0.5
    hears = [a <= sample < b for a, b in map(window_reach, range(30))]
    first = hears.index(True)
    assert 10 < first < 20
    for anchored in (True, False):
        before, after = (part.generate(one, PHOTO, anchored=anchored) for one in (speech, other))
        differs = (before != after).any(axis=(1, 2))
        assert not differs[:first].any()
        assert differs[first : first + 3].all()


@pytest.mark.parametrize("kind", KINDS)
def test_unanchored_it_is_what_the_network_says(kind, speech):
    part = make_stl(**kind)
    said = part.points(speech, PHOTO)
    made = part.generate(speech, PHOTO, anchored=False)
    np.testing.assert_allclose(made, part.stl_net.joined(said)[0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_anchored_it_moves_the_photograph_by_what_differs_from_silence(kind, speech):
    part = make_stl(**kind)
    said = part.points(speech, PHOTO, silence=25)
    still = part.points(np.zeros(640, np.float32), PHOTO, silence=50)
    if kind.get("split", True):
        own = take_apart(torch.from_numpy(PHOTO), part.config.stl_net.calibration)
        lips = settled((said.lips - still.lips)[0].numpy(), slice(0, 20), 1 / 3)
        lips = own.lips + torch.from_numpy(lips)
        whole = part.stl_net.joined(Said(lips[None], own.head + said.head - still.head))
    else:
        whole = torch.from_numpy(PHOTO) + said.whole - still.whole
    np.testing.assert_allclose(part.generate(speech, PHOTO), whole[0], atol=1e-4)
    assert np.abs(part.generate(speech, PHOTO, anchored=False) - whole[0].numpy()).max() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_silence_is_the_photograph(kind):
    silence, part = np.zeros(40 * 640, np.float32), make_stl(memory=1.0, **kind)
    made = part.generate(silence, PHOTO)
    np.testing.assert_allclose(made, np.broadcast_to(PHOTO, made.shape), atol=2e-2)
    assert np.abs(part.generate(some_speech(30), PHOTO) - PHOTO).max() > 1
    assert np.abs(part.generate(silence, PHOTO, anchored=False)[24] - PHOTO).max() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_always_says_the_same_gives_the_photograph(kind, speech):
    part = make_stl(**kind)
    for name, parameter in part.named_parameters():
        if name.endswith("out.weight"):
            nn.init.zeros_(parameter)
    made = part.generate(speech, PHOTO)
    np.testing.assert_allclose(made, np.broadcast_to(PHOTO, made.shape), atol=1e-4)


@pytest.fixture
def nods(monkeypatch):
    """A network whose heads move by affine maps, and whose lips by themselves."""
    rng = np.random.default_rng(4)
    maps = (np.eye(2) + rng.normal(0, 0.05, (9, 2, 2))).astype(np.float32)
    shifts = rng.normal(0, 4, (9, 1, 2)).astype(np.float32)

    def points(self, speech, template, *, silence=0, chunk_frames=None):
        n = len(speech) // 640
        lips, head = take_apart(torch.from_numpy(template), self.config.stl_net.calibration)
        noise = torch.from_numpy(rng.normal(0, 2, (9, 21, 2)).astype(np.float32))[:n] * (n > 1)
        if not self.config.stl_net.split:
            whole = torch.from_numpy(template @ maps + shifts)[:n]
            whole[:, 48:] += noise[:, :20]
            return Said(None, None, whole[None])
        return Said(
            (lips + noise)[None], (head @ torch.from_numpy(maps) + torch.from_numpy(shifts))[None, :n]
        )

    monkeypatch.setattr(STLNetPart, "points", points)
    return maps, shifts


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_is_held_stands_still_and_its_lips_move(nods, kind):
    part = make_stl(**kind)
    moves = part.generate(some_speech(9), PHOTO, anchored=False)
    stands = part.generate(some_speech(9), PHOTO, anchored=False, still_head=True)
    wanted = np.broadcast_to(PHOTO[17:48], (9, 31, 2))
    np.testing.assert_allclose(moves[:, :48], PHOTO[:48] @ nods[0] + nods[1], atol=1e-3)
    np.testing.assert_allclose(stands[:, 17:48], wanted, atol=1e-3)
    assert np.abs(moves[:, 17:48] - wanted).max() > 4
    assert np.abs(stands[:, 60:] - PHOTO[60:]).max(axis=(1, 2)).min() > 1


def test_a_held_head_is_that_of_least_squares():
    heads, template = torch.from_numpy(moved_heads(4, seed=2))[:, :50], torch.from_numpy(FACE[:50]).float()
    made = held(heads[None], template)
    assert made.shape == (1, 4, 50, 2)
    assert made.dtype == torch.float32
    for head, found in zip(heads.double().numpy(), made[0].numpy(), strict=True):
        with_one = np.column_stack([head, np.ones(50)])
        solved = np.linalg.lstsq(with_one[27:48], FACE[27:48], rcond=None)[0]
        np.testing.assert_allclose(found, with_one @ solved, atol=1e-4)
    assert slice(27, 48) == module.EYES_AND_NOSE


def test_only_lips_are_settled():
    moved = torch.full((1, 5, 50, 2), 1e-3)
    assert torch.equal(module._settled(moved), moved)
    assert torch.equal(
        module._settled(moved[:, :, :1].expand(-1, -1, 68, -1)), torch.full((1, 5, 68, 2), 1e-3)
    )
    lips = moved[:, :, :21].clone()
    lips[..., 20, :] = 30  # the tip of the nose is no lip
    still = module._settled(lips)
    assert still[..., :20, :].abs().max() < 1e-9
    r4 = (2 * 1e-6) ** 2
    torch.testing.assert_close(still, lips * r4 / (r4 + (1 / 3) ** 4), rtol=1e-4, atol=0)


def test_generating_leaves_the_mode_as_it_was(part, speech, monkeypatch):
    expected, training = part.generate(speech, PHOTO), make_stl().train()
    np.testing.assert_array_equal(training.generate(speech, PHOTO), expected)
    assert training.training
    assert training.stl_net.training
    assert not part.training
    monkeypatch.setattr(training.stl_net, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.points(speech, PHOTO)
    assert training.training


def test_a_few_steps_lower_the_loss():
    part, batch = make_stl(memory=1.0).train(), make_batch()
    optimizers = part.optimizers(TrainingSettings(learning_rate=3e-2, betas=(0.9, 0.999)))
    told = [part.training_step(batch, optimizers) for _ in range(80)]
    assert told[-1]["loss"] < 0.7 * told[0]["loss"]
    assert told[-1]["head"] < told[0]["head"]
    assert not any(value.requires_grad for value in told[0].values())


def test_saved_and_loaded(speech, tmp_path):
    part = make_stl()
    part.prepare({"mfcc_mean": np.linspace(-1, 1, 12), "mfcc_std": np.full(12, 2.0)})
    path = part.save(tmp_path / "w.safetensors", {"seed": 3})
    again = STLNetPart.load(path)
    assert (
        again.config
        == part.config
        == STLNetPart.from_config(json.loads(json.dumps(asdict(part.config)))).config
    )
    assert load_file(path)["stl_net.lips.out.weight"].dtype == np.float16
    torch.testing.assert_close(again.stl_net.mfcc_mean, torch.linspace(-1, 1, 12))
    assert (again.stl_net.mfcc_std == 2).all()
    before, after = (one.generate(speech, PHOTO) for one in (part, again))
    assert 0 < np.abs(before - after).max() < 0.5  # half precision
    with pytest.raises(
        InputError, match=r"weights of 'stl-net'.*expected weights of 'ltv-net' of 'attentional'"
    ):
        LTVNetPart.load(path)
    other = make_stl(seed=7)
    other.start_from(path)
    torch.testing.assert_close(weights_of(other), weights_of(part).half().float())
    with pytest.raises(InputError, match="stl_net of other widths"):
        make_stl(hidden=5).start_from(path)


@pytest.mark.parametrize("split", [True, False])
def test_trained_resumed_and_interrupted_it_is_the_same(split, tmp_path):
    clips = [
        Clip(frames=None, landmarks=moved_heads(n, seed=n), speech=some_speech(n, seed=n), framing="head")
        for n in (9, 11)
    ]
    data = Dataset(clips, needs=STLNetPart.needs, window=6)
    short = replace(SETTINGS, steps=4)
    straight = train(make_stl(split=split), data, tmp_path / "a", short, progress=False)
    train(make_stl(split=split), data, tmp_path / "b", replace(short, steps=2), progress=False)
    again = train(make_stl(seed=9, split=split), data, tmp_path / "b", short, resume=True, progress=False)
    one, other = (load_file(result.weights) for result in (straight, again))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    np.testing.assert_allclose(one["stl_net.mfcc_mean"], data.statistics()["mfcc_mean"], rtol=1e-5)
    with pytest.raises(InputError, match="whole head"):
        Dataset([replace(clip, framing="aligned") for clip in clips], needs=STLNetPart.needs, window=6)
