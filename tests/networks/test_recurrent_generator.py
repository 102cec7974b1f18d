"""The conditional recurrent generator: sizes, schemes, what depends on what."""

import pytest
import torch
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.recurrent_generator import (
    RecurrentGenerator,
    RecurrentGeneratorConfig,
)
from talkface_lite.networks.recurrent_modules import UpConvTranspose

torch.set_num_threads(1)
SCHEMES = ("recurrent", "frame", "sequential", "fed back")
SMALL = {
    "audio": (4, 4, 4, 4, 4),
    "image": (4, 4, 4, 4),
    "code": 8,
    "first": 4,
    "decoder": (4, 4, 4, 4),
    "last": 4,
}


def lively(scheme, **changes):
    """Weights whose frames differ where sound, photograph or memory do."""
    torch.manual_seed(0)
    net = RecurrentGenerator(RecurrentGeneratorConfig(**(SMALL | {"scheme": scheme} | changes))).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)
    return net


def given(films=2, frames=6, rows=35):
    rng = torch.Generator().manual_seed(1)
    photo = torch.rand(films, 3, 128, 128, generator=rng) * 2 - 1
    return photo, torch.randn(films, frames, rows, 12, generator=rng)


def film(net, *what, **how):
    with torch.no_grad():
        return net(*what, **how)


def test_the_released_widths_have_the_released_counts():
    with torch.device("meta"):
        counts = {
            scheme: RecurrentGenerator(RecurrentGeneratorConfig.full(scheme=scheme))
            for scheme in ("recurrent", "frame")
        }
    parts = {name: count_parameters(part) for name, part in counts["recurrent"].named_children()}
    assert parts == {
        "audio_encoder": 4_196_448,
        "image_encoder": 4_465_056,
        "memory": 6_297_600,
        "decoder": 19_963_271,
    }
    assert count_parameters(counts["recurrent"]) == 34_922_375
    assert count_parameters(counts["frame"]) == 28_624_775
    with torch.device("meta"):
        assert count_parameters(RecurrentGenerator(RecurrentGeneratorConfig.lite())) == 3_500_979


def test_mfcc_are_standardised():
    net, (photo, mfcc) = lively("recurrent"), given()
    encoder = net.audio_encoder
    plain = film(net, photo, mfcc).h
    encoder.mfcc_mean.copy_(torch.arange(12.0))
    encoder.mfcc_std.copy_(torch.linspace(1, 3, 12))
    shifted = mfcc * torch.linspace(1, 3, 12) + torch.arange(12.0)
    torch.testing.assert_close(film(net, photo, shifted).h, plain, atol=1e-4, rtol=1e-4)


def test_the_photographs_part_is_convolved_once():
    torch.manual_seed(0)
    up = UpConvTranspose(3, 2, 4)
    x, skip = torch.randn(6, 3, 8, 8), torch.randn(2, 2, 8, 8)
    beside = torch.cat((x, skip.repeat_interleave(3, dim=0)), dim=1)
    wanted = F.conv_transpose2d(beside, up.weight, up.bias, 2, 2, 1)
    torch.testing.assert_close(up((x, up.of_photo(skip))), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("warp", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_film_does_not_depend_on_how_it_is_cut(scheme, warp):
    net, (photo, mfcc) = lively(scheme, warp=warp), given()
    whole = film(net, photo, mfcc)
    assert whole.made.frames.shape == (2, 6, 3, 128, 128)
    assert whole.made.frames.abs().max() <= 1
    assert (whole.made.alpha is not None) == warp
    first = film(net, photo, mfcc[:, :4])
    second = film(net, photo, mfcc[:, 4:], first.state)
    torch.testing.assert_close(torch.cat((first.made.frames, second.made.frames), 1), whole.made.frames)
    alone = film(net, photo[1:], mfcc[1:])
    torch.testing.assert_close(alone.made.frames, whole.made.frames[1:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_a_frame_depends_on(scheme):
    """Sound that is to come changes nothing, sound that was changes what comes where something is kept."""
    net, (photo, mfcc) = lively(scheme), given()
    before = film(net, photo, mfcc)
    mfcc[0, 2] += 5
    after = film(net, photo, mfcc)
    changed = (after.made.frames - before.made.frames).abs().amax(dim=(2, 3, 4))  # (B, T)
    assert (changed[1] == 0).all()
    assert (changed[0, :2] == 0).all()
    assert changed[0, 2] > 1e-3
    assert bool((changed[0, 3:] > 1e-6).all()) == (scheme != "frame")
    if scheme == "frame":
        assert (changed[0, 3:] == 0).all()


def test_the_sequential_scheme_forgets_the_photograph():
    """L true frames later nothing is left of it; the others are shown it for ever."""
    _, mfcc = given()
    photos, true = torch.rand(2, 1, 3, 128, 128) * 2 - 1, torch.rand(1, 6, 3, 128, 128) * 2 - 1
    taught = torch.ones(1, 6, dtype=torch.bool)
    for scheme, last in (("sequential", 2), ("sequential", 3), ("fed back", 1)):
        net = lively(scheme, previous=last)
        one, two = (film(net, photo, mfcc[:1], true=true, taught=taught).made.frames for photo in photos)
        same = [bool((one[:, t] == two[:, t]).all()) for t in range(6)]
        assert same == [scheme == "sequential" and t >= last for t in range(6)]


def test_the_fed_back_frame_is_seen_and_not_taught_through():
    net, (photo, mfcc) = lively("fed back"), given(1, 2)
    true = torch.rand(1, 2, 3, 128, 128)
    told, own = (
        film(net, photo, mfcc, true=true, taught=torch.tensor([[taught, False]])).made.frames
        for taught in (True, False)
    )
    assert torch.equal(told[:, 0], own[:, 0])
    assert not torch.equal(told[:, 1], own[:, 1])
    torch.testing.assert_close(own, film(net, photo, mfcc).made.frames)


@pytest.mark.parametrize(("scheme", "last"), [("sequential", 2), ("sequential", 3), ("fed back", 1)])
def test_listening_is_the_first_frame_before_anything_was_made(scheme, last):
    net, (photo, mfcc) = lively(scheme, previous=last), given(2, 1)
    seen = film(net, photo, mfcc)
    heard = film(net, photo, mfcc, listening=True)
    assert heard.made is None
    torch.testing.assert_close(heard.h, seen.h)


@pytest.mark.parametrize("scheme", ["sequential", "fed back"])
def test_frame_by_frame_the_statistics_are_those_of_listening(scheme):
    net, (photo, mfcc) = lively(scheme, normalised=True).train(), given(3, 2)
    film(net, photo, mfcc, listening=True)
    gathered = net.norm.running_mean.clone(), net.norm.running_var.clone()
    assert gathered[0].abs().max() > 0
    film(net, photo, mfcc)
    assert torch.equal(net.norm.running_mean, gathered[0])
    assert torch.equal(net.norm.running_var, gathered[1])


@pytest.mark.parametrize("rows", [7, 14, 28, 49])
def test_windows_of_any_length(rows):
    net, (photo, mfcc) = lively("recurrent", rows=rows), given(rows=rows)
    assert film(net, photo, mfcc).made.frames.shape == (2, 6, 3, 128, 128)


def test_refused():
    for wrong, match in (
        (
            {"scheme": "parallel"},
            "scheme: got 'parallel', expected recurrent or frame or sequential or fed back",
        ),
        ({"previous": 0}, "previous: got 0, expected at least 1"),
        ({"rows": 3}, "rows: got 3, expected at least 4"),
    ):
        with pytest.raises(InputError, match=match):
            RecurrentGeneratorConfig(**wrong)
