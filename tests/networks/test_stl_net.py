"""STL net: what each branch sees and says, what it remembers, and where its points lie."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_STL_NET
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.lips_and_head import PLACES, put_together, take_apart
from talkface_lite.networks.stl_net import SCALE, Branch, Said, STLNet, STLNetConfig

torch.set_num_threads(1)

N, FRAMES = 3, 7
KINDS = [{}, {"calibration": "similarity"}, {"split": False}]


def make(**changes):
    """Its GRU moves by pixels, and its normalisations are not those of the beginning."""
    torch.manual_seed(0)
    net = STLNet(replace(SMALL_STL_NET, **changes)).eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.3, 2)
        for name, parameter in net.named_parameters():
            if "gru" in name or "out" in name:
                parameter.mul_(3)
    return net


@pytest.fixture(scope="module")
def said_to():
    """Windows of three people and a face of each, in the head's frame."""
    generator = torch.Generator().manual_seed(1)
    faces = torch.rand(N, 68, 2, generator=generator) * 60 + 34
    for face in faces:
        face[[30, 48, 54]] = PLACES.float() + 6 * torch.randn(3, 2, generator=generator)
    return torch.randn(N, FRAMES, 28, 12, generator=generator), faces


def points_of(net, *given):
    with torch.no_grad():
        said, state = net(*given)
        return net.joined(said), said, state


def branches_of(net):
    return [net.lips, net.head] if net.config.split else [net.whole]


def test_what_the_paper_says_of_sizes():
    with torch.device("meta"):
        net = STLNet(STLNetConfig.full())
    for branch, numbers in ((net.lips, 42), (net.head, 100)):
        assert branch.out.out_features == branch.f_template[0].in_features == numbers
        assert branch.f_a[-1][0].out_features == 512
        assert branch.f_template[0].out_features == 256
        assert (branch.gru.input_size, branch.gru.hidden_size, branch.gru.num_layers) == (768, 256, 1)
        assert not branch.gru.bidirectional
    assert net.lips.f_a[0][0].weight is not net.head.f_a[0][0].weight
    assert STLNetConfig() == STLNetConfig.full()
    assert STLNetConfig.lite(split=False, hidden=7) == replace(STLNetConfig.lite(), split=False, hidden=7)
    assert not hasattr(make(split=False), "lips")


@pytest.mark.parametrize(("size", "split", "count"), [
    ("lite", True, 2_003_822), ("lite", False, 1_018_616),
    ("full", True, 18_515_470), ("full", False, 9_291_080),
])  # fmt: skip
def test_how_many_numbers_it_learns(size, split, count):
    with torch.device("meta"):
        net = STLNet(STLNetConfig.of_size(size, split=split))
    assert count_parameters(net) == count


def test_shapes(said_to):
    joined, said, state = points_of(make(), *said_to)
    assert (said.lips.shape, said.head.shape) == ((N, FRAMES, 21, 2), (N, FRAMES, 50, 2))
    assert said.whole is None
    assert joined.shape == (N, FRAMES, 68, 2)
    assert [memory.shape for memory in state] == 2 * [(2, N, 9)]
    joined, said, state = points_of(make(split=False), *said_to)
    assert (said.lips, said.head) == (None, None)
    assert joined is said.whole
    assert joined.shape == (N, FRAMES, 68, 2)
    assert [memory.shape for memory in state] == [(2, N, 9)]


@pytest.mark.parametrize("calibration", ["affine", "similarity"])
@pytest.mark.parametrize("residual", [True, False])
def test_eqs_4_and_5_by_hand(said_to, calibration, residual):
    """Each branch: speech beside its own points of the template, one GRU, one layer; 300 pixels to 128."""
    net, (mfcc, faces) = make(calibration=calibration, residual=residual), said_to
    mean, std = torch.linspace(-1, 1, 12), torch.linspace(0.5, 2, 12)
    net.standardise(mean, std)
    apart = take_apart(faces, calibration)
    _, said, _ = points_of(net, mfcc * std + mean, faces)
    middles = (torch.tensor([64, (224 / 3 + 88 + 88) / 3]), torch.tensor([64.0, 64.0]))
    for branch, seen, middle, made in zip((net.lips, net.head), apart, middles, (said.lips, said.head)):
        with torch.no_grad():
            heard = branch.f_a(mfcc.reshape(-1, 1, 28, 12)).reshape(N, FRAMES, -1)
            face = torch.relu(nn.functional.linear(((seen - middle) / 16).flatten(1),
                                                   *branch.f_template[0].parameters()))  # fmt: skip
            memory, _ = branch.gru(torch.cat((heard, face[:, None].expand(-1, FRAMES, -1)), dim=-1))
            out = (memory @ branch.out.weight.T + branch.out.bias).reshape(N, FRAMES, -1, 2)
        start = seen[:, None] if residual else middle
        assert out.std() > 0.1
        torch.testing.assert_close(made, start + out * 128 / 300, atol=1e-4, rtol=1e-5)
    assert SCALE == 16


@pytest.mark.parametrize("residual", [True, False])
def test_without_a_split_all_is_one_branch(said_to, residual):
    net, (mfcc, faces) = make(split=False, residual=residual), said_to
    joined, _, _ = points_of(net, mfcc, faces)
    with torch.no_grad():
        out, _ = net.whole(mfcc, (faces - 64) / 16, None)
    start = faces[:, None] if residual else 64
    torch.testing.assert_close(joined, start + out * 128 / 300, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_to_come_changes_nothing(said_to, kind):
    net, (mfcc, faces) = make(**kind), said_to
    other = mfcc.clone()
    other[1, 3] += 1
    before, after = (points_of(net, one, faces)[0] for one in (mfcc, other))
    differs = (before != after).flatten(2).any(dim=-1)
    assert differs.tolist() == [[False] * FRAMES, [t >= 3 for t in range(FRAMES)], [False] * FRAMES]


@pytest.mark.parametrize("kind", KINDS)
def test_people_do_not_hear_each_other(said_to, kind):
    net, (mfcc, faces) = make(**kind), said_to
    together, order = points_of(net, *said_to)[0], [2, 0, 1]
    torch.testing.assert_close(
        points_of(net, mfcc[order], faces[order])[0], together[order], atol=1e-4, rtol=0
    )
    torch.testing.assert_close(points_of(net, mfcc[1:2], faces[1:2])[0], together[1:2], atol=1e-4, rtol=0)
    assert (points_of(net, mfcc, faces[order])[0] - together).abs().max() > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_memories_are_carried_on(said_to, kind, cut):
    net, (mfcc, faces) = make(**kind), said_to
    whole, _, last = points_of(net, *said_to)
    first, _, state = points_of(net, mfcc[:, :cut], faces)
    second, _, end = points_of(net, mfcc[:, cut:], faces, state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, atol=1e-4, rtol=0)
    for made, expected in zip(end, last, strict=True):
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    assert (points_of(net, mfcc[:, cut:], faces)[0] - whole[:, cut:]).abs().max() > 1e-2
    if net.config.split:
        swapped, _, _ = points_of(net, mfcc[:, cut:], faces, state[::-1])
        assert (swapped - whole[:, cut:]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_says_nothing_gives_the_template(said_to, kind):
    net, (mfcc, faces) = make(**kind), said_to
    for branch in branches_of(net):
        nn.init.zeros_(branch.out.weight)
        nn.init.zeros_(branch.out.bias)
    joined, said, _ = points_of(net, mfcc, faces)
    if net.config.split:
        apart = take_apart(faces, net.config.calibration)
        assert torch.equal(said.lips, apart.lips[:, None].expand(-1, FRAMES, -1, -1))
        assert torch.equal(said.head, apart.head[:, None].expand(-1, FRAMES, -1, -1))
        torch.testing.assert_close(joined, faces[:, None].expand_as(joined), atol=1e-4, rtol=0)
    else:
        assert torch.equal(joined, faces[:, None].expand_as(joined))
    kind = {"residual": False} | kind
    net = make(**kind)
    for branch in branches_of(net):
        nn.init.zeros_(branch.out.weight)
        nn.init.zeros_(branch.out.bias)
    with torch.no_grad():
        said, _ = net(mfcc, faces)
    if net.config.split:
        torch.testing.assert_close(said.lips, PLACES.float().mean(dim=0).expand_as(said.lips))
    middle = said.head if net.config.split else said.whole
    assert (middle == 64).all()


@pytest.mark.parametrize("calibration", ["affine", "similarity"])
def test_eq_6_is_the_calibration_that_the_lips_were_taken_by(said_to, calibration):
    net = make(calibration=calibration)
    joined, said, _ = points_of(net, *said_to)
    assert torch.equal(joined, put_together(said.lips, said.head, calibration))
    other = "affine" if calibration == "similarity" else "similarity"
    assert (put_together(said.lips, said.head, other) - joined).abs().max() > 0.1
    whole = torch.zeros(1, 1, 68, 2)
    assert net.joined(Said(said.lips, said.head, whole)) is whole
    with pytest.raises(InputError, match="calibration: got 'rigid', expected affine or similarity"):
        points_of(make(calibration="rigid"), *said_to)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(said_to, kind):
    net = make(**kind).train()
    said, _ = net(*said_to)
    net.joined(said).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_what_is_standardised_is_kept_and_the_places_are_not():
    net = make()
    net.standardise(torch.arange(12), torch.full((12,), 3))
    state = net.state_dict()
    assert state["mfcc_mean"].tolist() == list(range(12))
    assert (state["mfcc_std"] == 3).all()
    assert "places" not in state
    assert net.places.dtype == torch.float32
    assert (make().mfcc_mean == 0).all()
    assert (make().mfcc_std == 1).all()


def test_under_autocast_points_are_exact_where_it_matters(said_to):
    net = make()
    with torch.autocast("cpu", torch.bfloat16):
        said, _ = net(*said_to)
    assert said.lips.dtype == said.head.dtype == torch.float32
    plain, _, _ = points_of(net, *said_to)
    assert (net.joined(said) - plain).abs().max() < 1


def test_a_branch_alone(said_to):
    torch.manual_seed(0)
    branch = Branch(SMALL_STL_NET, 5).eval()
    points, state = branch(said_to[0], torch.randn(N, 5, 2), None)
    assert points.shape == (N, FRAMES, 5, 2)
    again, _ = branch(said_to[0], torch.zeros(N, 5, 2), state)
    assert not torch.equal(points, again)
    flat = branch.out(branch.gru(torch.zeros(1, 1, 16))[0])
    assert flat.shape == (1, 1, 10)
