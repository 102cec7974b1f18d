"""What bench times of latent matching is the same film, made in different ways."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_LATENT_MATCHING
from torch import nn

from talkface_lite.networks.latent_matching import LatentMatching, generated
from talkface_lite.systems.latent import LatentMatchingPart, timing
from talkface_lite.systems.latent.config import SHIPPED
from talkface_lite.systems.part import Workload, shipped_weights

torch.set_num_threads(1)


def make(**changes):
    torch.manual_seed(0)
    network = LatentMatching(replace(SMALL_LATENT_MATCHING, **({"gain": 4.0} | changes))).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.uniform_(0.01, 0.1)
    return network


@pytest.mark.parametrize("sees", ["previous", "first"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("warp", [True, False])
def test_the_released_way_makes_the_same_film(sees, skips, warp):
    network = make(sees=sees, skips=skips, warp=warp)
    photo = (torch.rand(1, 3, 16, 16) * 2 - 1).repeat_interleave(8, 2).repeat_interleave(8, 3)
    z = torch.randn(1, 4, 4)
    with torch.inference_mode():
        wanted = generated(network, z, network.look(photo), None, None)[0].frames
        got = timing.frame_by_frame(network, z, photo)
        other = timing.frame_by_frame(network, -z, photo)
    torch.testing.assert_close(got, wanted, atol=5e-4, rtol=0)
    assert not torch.allclose(other, wanted, atol=1e-3)


def test_a_film_is_timed_three_ways_and_eight_films_at_once(monkeypatch, capfd):
    monkeypatch.setattr(timing, "N_FRAMES", 3)
    monkeypatch.setattr(
        timing, "_network", lambda size: (make(sees="first", warp=True, gain=1.0), f"random {size}")
    )
    asked, generate = [], timing.generated

    def counted(network, z, *rest):
        asked.append(tuple(z.shape[:2]))
        return generate(network, z, *rest)

    monkeypatch.setattr(timing, "generated", counted)
    workload = LatentMatchingPart.workload(Workload.Wanted("lite", "cpu", 1, training=False))
    assert asked.count((8, 3)) >= 1
    assert asked.count((1, 3)) >= 8
    assert set(asked) == {(8, 3), (1, 3)}
    assert capfd.readouterr().out == ""
    assert list(workload.ways) == ["fast", "float32", "frame_by_frame"]
    films = {name: way() for name, way in workload.ways.items()}
    for film in films.values():
        assert film.shape == (1, workload.frames, 3, 128, 128)
    torch.testing.assert_close(films["frame_by_frame"], films["float32"], atol=5e-4, rtol=0)
    assert (films["fast"] - films["float32"]).abs().mean() < 0.02
    assert workload.about["weights"] == "random lite"
    assert workload.about["films_at_once"] == 8
    assert workload.about["films_at_once_times"] > 0
    error = ((films["fast"] - films["float32"]) / 2).double()
    assert workload.about["psnr_db"] == pytest.approx(-10 * float((error**2).mean().log10()), abs=0.06)
    assert workload.operations > 0


def test_the_packages_weights_are_timed_where_there_are_any():
    network, weights = timing._network("lite")
    assert weights == "the package's"
    assert network.config == LatentMatchingPart.of_size("lite", **SHIPPED).latent_matching.config
    known = LatentMatchingPart.load(shipped_weights("latent", "latent-matching")).latent_matching
    assert torch.equal(network.frame_decoder.colour.weight, known.frame_decoder.colour.weight)
