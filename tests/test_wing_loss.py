"""The wing loss: both branches, where they meet, its slopes, and what it must not be mistaken for."""

import math

import numpy as np
import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.losses import wing_loss

torch.set_num_threads(1)

W, EPSILON = 10.0, 2.0
C = W - W * math.log(1 + W / EPSILON)


def by_hand(x, w=W, epsilon=EPSILON):
    """Eq. 5 in float64, one number at a time."""
    far = abs(x)
    return w * math.log(1 + far / epsilon) if far < w else far - (w - w * math.log(1 + w / epsilon))


def wing(x, *more, **options):
    return wing_loss(torch.tensor(x, dtype=torch.float64), *more, **options)


def test_every_value_is_that_of_the_equation():
    places = [0.0, 1e-3, 0.01, 0.5, 1, 2, 5, 9.999, 10, 10.001, 25, 300]
    for sign in (1, -1):
        expected = [by_hand(sign * place) for place in places]
        np.testing.assert_allclose(wing([sign * place for place in places]), expected, rtol=1e-12)
    assert wing(0.0) == 0
    for w, epsilon in ((5.0, 1.0), (10.0, 0.5), (1.0, 3.0)):
        expected = [by_hand(place, w, epsilon) for place in places]
        np.testing.assert_allclose(wing(places, w, epsilon), expected, rtol=1e-12)
    np.testing.assert_array_equal(wing(places, w=W, epsilon=EPSILON), wing(places))


def test_the_branches_meet_at_w():
    assert pytest.approx(-7.9176, abs=1e-4) == C
    for place in (W - 1e-9, W, W + 1e-9, -W, -W + 1e-9):
        assert wing(place).item() == pytest.approx(17.9176, abs=1e-4)
    assert wing(W).item() == pytest.approx(W - C, rel=1e-15)
    assert wing(W).item() - wing(W - 1e-9).item() == pytest.approx(0, abs=1e-8)
    assert wing(30.0).item() == pytest.approx(30 - C, rel=1e-15)
    assert wing(30.0).item() == pytest.approx(37.9176, abs=1e-4)


def test_the_common_slip_of_the_pen_does_not_join_them():
    """``C = w - w ln((1 + w) / ε)``, as it is often copied: it falls short of the logarithm by 0.87."""
    slip = W - W * math.log((1 + W) / EPSILON)
    inner = W * math.log(1 + W / EPSILON)
    assert (W - slip) - inner == pytest.approx(-0.8701, abs=1e-4)
    assert wing(W).item() - inner == pytest.approx(0, abs=1e-12)


def slope(x, **options):
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    wing_loss(x, **options).backward()
    return x.grad.item()


def test_slopes():
    assert slope(1e-9) == pytest.approx(5, abs=1e-6)
    assert slope(W - 1e-9) == pytest.approx(0.83333, abs=1e-4)
    for place in (W, W + 1e-9, 50.0, 1e4):
        assert slope(place) == 1
    for place in (1e-9, 3.0, W - 1e-9, W, 40.0):
        assert slope(-place) == -slope(place)
    assert slope(3.0) == pytest.approx(W / (EPSILON + 3), rel=1e-12)
    assert slope(1e-9, w=4.0, epsilon=0.5) == pytest.approx(8, abs=1e-6)
    assert slope(0.0) == 0, "where there is nothing to mend"


def test_gradients_by_finite_differences():
    x = torch.tensor([-30.0, -9.0, -0.5, 0.3, 4.0, 11.0], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: wing_loss(x, weight=weight), x)


def test_weights_are_factors_of_the_points():
    x = torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)) * 10
    weight = torch.tensor([[1.0], [0.0], [2.0], [0.5]])
    weighed, plain = wing_loss(x, weight=weight), wing_loss(x)
    assert weighed.shape == plain.shape == x.shape
    for point, factor in enumerate((1.0, 0.0, 2.0, 0.5)):
        torch.testing.assert_close(weighed[:, :, point], factor * plain[:, :, point])
    assert (plain >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    x = (torch.linspace(-20, 20, 81)).to(dtype)
    assert wing_loss(x).dtype == torch.float32
    torch.testing.assert_close(wing_loss(x), wing_loss(x.float()), rtol=0, atol=0)
    assert wing_loss(x.double()).dtype == torch.float64


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("name", ["w", "epsilon"])
def test_no_wing_without_width(name, value):
    with pytest.raises(InputError) as caught:
        wing_loss(torch.zeros(1), **{name: value})
    assert str(caught.value) == f"{name}: got {value}, expected more than 0"
    assert wing_loss(torch.ones(1), **{name: 1e-3}).isfinite().all()
