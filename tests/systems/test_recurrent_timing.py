"""What bench times of the recurrent network is the same film, made in different ways."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_GENERATOR
from torch import nn

from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.systems.part import Workload, shipped_weights
from talkface_lite.systems.recurrent import GeneratorPart, timing
from talkface_lite.systems.recurrent.config import SHIPPED

torch.set_num_threads(1)


def make(**changes):
    torch.manual_seed(0)
    network = RecurrentGenerator(replace(SMALL_GENERATOR, **changes)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.running_var.uniform_(0.1, 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)
    return network


@pytest.mark.parametrize("changes", [{}, dict(SHIPPED)])
@pytest.mark.parametrize("scheme", ["recurrent", "frame"])
def test_the_released_way_makes_the_same_film(scheme, changes):
    network = make(scheme=scheme, **changes)
    photo, mfcc = torch.rand(1, 3, 128, 128) * 2 - 1, torch.randn(1, 4, 35, 12)
    with torch.inference_mode():
        wanted = network(photo, mfcc).made.frames
        found = timing.frame_by_frame(network, photo, mfcc)
        other = timing.frame_by_frame(network, photo, -mfcc)
    torch.testing.assert_close(found, wanted, atol=5e-4, rtol=0)
    assert not torch.allclose(other, wanted, atol=1e-3)


def test_a_film_is_timed_three_ways(monkeypatch, capfd):
    monkeypatch.setattr(timing, "N_FRAMES", 3)
    monkeypatch.setattr(timing, "_network", lambda size: (make(warp=True), f"random {size}"))
    workload = GeneratorPart.workload(Workload.Wanted("lite", "cpu", 1, training=False))
    assert capfd.readouterr().out == ""
    assert list(workload.ways) == ["fast", "float32", "frame_by_frame"]
    films = {name: way() for name, way in workload.ways.items()}
    assert all(film.shape == (1, workload.frames, 3, 128, 128) for film in films.values())
    torch.testing.assert_close(films["frame_by_frame"], films["float32"], atol=5e-4, rtol=0)
    assert (films["fast"] - films["float32"]).abs().mean() < 0.02
    assert workload.about["weights"] == "random lite"
    error = ((films["fast"] - films["float32"]) / 2).double()
    assert workload.about["psnr_db"] == pytest.approx(-10 * float((error**2).mean().log10()), abs=0.06)
    assert workload.operations > 0


def test_the_packages_weights_are_timed_where_there_are_any():
    network, weights = timing._network("lite")
    assert weights == "the package's"
    known = GeneratorPart.load(shipped_weights("recurrent", "recurrent-generator")).generator
    assert torch.equal(network.decoder.colour.weight, known.decoder.colour.weight)
    other, weights = timing._network("full")
    assert weights == "random, seed 0"
    assert other.config.warp
