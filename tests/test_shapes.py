"""What is read off a pass without numbers is what a pass with numbers gives."""

import pytest
import torch
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNet, ATNetConfig
from talkface_lite.networks.latent_matching import LatentMatching, LatentMatchingConfig
from talkface_lite.networks.regression_discriminator import (
    RegressionDiscriminator,
    RegressionDiscriminatorConfig,
)
from talkface_lite.networks.vg_net import VGNet, VGNetConfig
from talkface_lite.shapes import Measured, measure

B, T = 2, 3
AT_NET = {"mfcc": ("B", "T", 28, 12), "h_p": ("B", 6)}
VG_NET = {"photo": ("B", 3, 128, 128), "example": ("B", 136), "landmarks": ("B", "T", 136)}
DISCRIMINATOR = {"frames": ("B", "T", 3, 128, 128), "example": ("B", 136)}
MATCHING = {"photo": ("B", 3, 128, 128), "frames": ("B", "T", 3, 128, 128), "mfcc": ("B", "T", 28, 12)}


class Toy(nn.Module):
    """A memory over frames, a layer that is taken apart, and one that is never called."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Linear(5, width), nn.ReLU())
        self.lstm = nn.LSTM(width, 4, num_layers=2, batch_first=True)
        self.apart = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
        self.never = nn.Linear(1, 1)

    def forward(self, x, once):
        memory, state = self.lstm(self.read(x))
        first, last = self.apart
        return {"film": (self.read(once), state)}, (last(torch.matmul(memory, first.weight.T)),)


TOY = {"x": ("B", "T", 5), "once": ("B", 5)}


def small(network, given):
    """The network, run on the processor with real numbers."""
    sizes = {"B": B, "T": T}
    arguments = {name: torch.rand([sizes.get(n, n) for n in shape]) for name, shape in given.items()}
    seen = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *call, name=name: seen.setdefault(name, []).append(call[2]))
    with torch.no_grad():
        return network.eval()(**arguments), seen


def of_one_frame(tensor):
    shape = tuple(tensor.shape)
    return shape[2:] if shape[:2] == (B, T) else shape[1:]


@pytest.mark.parametrize(
    ("network", "given", "results"),
    [
        (ATNet(ATNetConfig.lite()), AT_NET, {"made 0": lambda made: made[0]}),
        (
            VGNet(VGNetConfig.lite(blocks=1)),
            VG_NET,
            {f"made 0.{name}": lambda made, n=name: getattr(made[0], n) for name in ("frames", "attention")},
        ),
        (
            RegressionDiscriminator(RegressionDiscriminatorConfig.lite()),
            DISCRIMINATOR,
            {"made 0": lambda made: made[0], "made 1": lambda made: made[1]},
        ),
        *(
            (
                LatentMatching(LatentMatchingConfig.lite(sees=sees)),
                MATCHING,
                {"made z": lambda made: made.z, "made painted": lambda made: made.painted},
            )
            for sees in ("first", "previous")  # photograph and frames, and a picture before them, in one pass
        ),
    ],
    ids=["at_net", "vg_net", "discriminator", "matching", "matching, fed back"],
)
def test_shapes_are_those_of_a_real_forward_pass(network, given, results):
    made, seen = small(network, given)
    names = [name for name, _ in network.named_children() if name in seen and name != "lstm"]
    measured = measure(network, {name: name for name in [*names, *results]}, given)
    assert len(names) >= 2
    for name in names:
        out = seen[name][-1]
        while isinstance(out, tuple):
            out = out[0]
        assert measured[name].shape == of_one_frame(out), name
        assert measured[name].parameters == sum(p.numel() for p in getattr(network, name).parameters())
    for place, pick in results.items():
        assert measured[place].shape == of_one_frame(pick(made)), place


def test_maps_of_equation_6_and_alpha_though_the_network_takes_those_layers_apart():
    network = VGNet(VGNetConfig.lite(blocks=1))
    (frames, _), _ = small(network, VG_NET)
    measured = measure(network, {name: name for name in ("attention", "alpha", "colour", "fuse")}, VG_NET)
    assert measured["attention"].shape == of_one_frame(frames.attention)
    assert measured["alpha"].shape == of_one_frame(frames.alpha)
    assert measured["colour"].shape == of_one_frame(frames.colour)
    assert measured["fuse"].shape == (network.config.fused, 8, 8)


def test_a_toy_in_all_ways_of_asking():
    places = {
        "an argument": "given once",
        "a layer": "read",
        "into a memory": "into lstm",
        "a memory": "lstm",
        "two together": "read + lstm",
        "taken apart": "apart",
        "a result": "made 1.0",
        "nowhere": "",
    }
    measured = measure(Toy(), places, TOY)
    linear, lstm = 5 * 7 + 7, sum(p.numel() for p in nn.LSTM(7, 4, 2).parameters())
    assert measured["an argument"] == Measured((5,), False)
    assert measured["a layer"] == Measured((7,), True, (("linear", 1),), linear)  # frames, not the film's one
    assert measured["into a memory"].shape == (7,)
    assert measured["a memory"] == Measured((4,), True, (("layers", 2),), lstm)
    assert measured["two together"] == Measured((4,), True, (("linear", 1), ("layers", 2)), linear + lstm)
    assert measured["taken apart"] == Measured((3,), True, (("linear", 1), ("tanh", 1)), 15)
    assert measured["a result"] == Measured((3,), True)
    assert measured["nowhere"] == Measured(None)


def test_the_network_stays_as_it_was():
    network = Toy().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    overheard = []
    network.read.register_forward_hook(lambda *call: overheard.append(call))
    network.read.register_forward_pre_hook(lambda *call: overheard.append(call))
    measure(network, {"read": "read"}, TOY)
    assert network.training
    assert overheard == []
    assert sum(len(module._forward_hooks) for module in network.modules()) == 1
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("ears", "ears"),
        ("never", "forward pass calls"),
        ("into never", "forward pass calls"),
        ("given photo", "x, once"),
        ("made 7", "made 7"),
        ("made 0.nothing", "made 0.nothing"),
    ],
)
def test_a_place_that_is_none(place, problem):
    with pytest.raises(InputError, match=problem):
        measure(Toy(), {"it": place}, TOY)
