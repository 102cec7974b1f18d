import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from talkface_lite.errors import InputError
from talkface_lite.losses import (
    LANDMARK_MASKS,
    dynamic_pixel_loss,
    gaussian_kl,
    landmark_mask,
    masked_mse,
    mouth_map,
    pixel_loss,
)

torch.set_num_threads(1)

MASK = torch.tensor([[True, True, True], [True, False, False]])


def pictures(seed=0):
    """``frames``, ``truth`` (2, 3, 3, 4, 5) and ``alpha`` (2, 3, 1, 4, 5), float64."""
    generator = torch.Generator().manual_seed(seed)
    size = (2, 3, 3, 4, 5)
    frames, truth = (torch.rand(size, generator=generator).double() * 2 - 1 for _ in range(2))
    alpha = torch.rand(2, 3, 1, 4, 5, generator=generator).double()
    return frames, truth, alpha


def written_out(frames, truth, alpha, mask, beta):
    """Eq. 8 pixel by pixel: value, and its derivatives by frames and by an alpha that has one."""
    v, v_hat, a = truth.numpy(), frames.numpy(), alpha.numpy()
    n_values = int(mask.sum()) * v[0, 0].size
    value, by_frames, by_alpha = 0.0, np.zeros_like(v), np.zeros_like(a)
    for b, t, c, y, x in np.ndindex(v.shape):
        if mask[b, t]:
            error = v_hat[b, t, c, y, x] - v[b, t, c, y, x]
            weight = a[b, t, 0, y, x] + beta
            value += abs(error) * weight / n_values
            by_frames[b, t, c, y, x] = np.sign(error) * weight / n_values
            by_alpha[b, t, 0, y, x] += abs(error) / n_values
    return value, by_frames, by_alpha


@pytest.mark.parametrize("beta", [0, 0.5, 1])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_dynamic_pixel_loss_and_its_gradients_written_out(beta, stop_gradient):
    frames, truth, alpha = (x.requires_grad_() for x in pictures())
    loss = dynamic_pixel_loss(frames, truth, alpha, MASK, base_weight=beta, stop_gradient=stop_gradient)
    loss.backward()
    value, by_frames, by_alpha = written_out(frames.detach(), truth.detach(), alpha.detach(), MASK, beta)
    assert loss.item() == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(frames.grad, by_frames, atol=1e-15)
    np.testing.assert_allclose(truth.grad, -by_frames, atol=1e-15)
    if stop_gradient:
        assert alpha.grad is None
    else:
        np.testing.assert_allclose(alpha.grad, by_alpha, atol=1e-15)


def test_gradients_by_finite_differences():
    frames, truth, alpha = pictures()
    frames.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: dynamic_pixel_loss(f, truth, alpha, MASK), frames)
    alpha.requires_grad_()
    both = (frames, alpha)
    assert torch.autograd.gradcheck(
        lambda f, a: dynamic_pixel_loss(f, truth, a, MASK, stop_gradient=False), both
    )
    assert torch.autograd.gradcheck(lambda f: pixel_loss(f, truth, MASK), frames)


def test_stopping_the_gradient_changes_no_value():
    frames, truth, alpha = pictures()
    stopped = dynamic_pixel_loss(frames, truth, alpha, MASK)
    assert stopped == dynamic_pixel_loss(frames, truth, alpha, MASK, stop_gradient=False)
    assert stopped == dynamic_pixel_loss(frames, truth, alpha, MASK, base_weight=0.5)


def test_alpha_reaches_the_loss_through_the_frames_all_the_same():
    """What Eq. 8 stops is the gradient of the weight, not that of the mixed frame."""
    colour, truth, alpha = pictures()
    photo = truth.mean()
    alpha.requires_grad_()
    frames = alpha * colour + (1 - alpha) * photo
    dynamic_pixel_loss(frames, truth, alpha, MASK).backward()
    assert alpha.grad[MASK].abs().min() > 0
    assert (alpha.grad[~MASK] == 0).all()


@pytest.mark.parametrize("beta", [0, 0.5, 1])
def test_a_constant_alpha_weighs_the_plain_loss(beta):
    frames, truth, alpha = pictures()
    plain = pixel_loss(frames, truth, MASK)
    assert plain.item() == pytest.approx((frames - truth)[MASK].abs().mean().item())
    for level in (0, 1, 0.3):
        loss = dynamic_pixel_loss(frames, truth, torch.full_like(alpha, level), MASK, base_weight=beta)
        assert loss.item() == pytest.approx((beta + level) * plain.item(), rel=1e-12)


def test_what_is_painted_counts_more():
    _, truth, alpha = pictures()
    alpha = alpha.round()
    painted, copied = truth + 0.1 * alpha, truth + 0.1 * (1 - alpha)
    ratio = dynamic_pixel_loss(painted, truth, alpha, MASK) / dynamic_pixel_loss(copied, truth, alpha, MASK)
    n_painted = alpha[MASK].mean()
    assert ratio.item() == pytest.approx((1.5 * n_painted / (0.5 * (1 - n_painted))).item())


@pytest.mark.parametrize("loss", [pixel_loss, dynamic_pixel_loss])
def test_padding_counts_for_nothing(loss):
    frames, truth, alpha = pictures()

    def of(frames, truth, alpha, mask=MASK):
        return loss(frames, truth, *([alpha] if loss is dynamic_pixel_loss else []), mask)

    before = of(frames, truth, alpha)
    for tensor in (frames, truth, alpha):
        tensor[~MASK] = 1e6
    assert of(frames, truth, alpha) == before
    # each existing frame counts alike, in whichever film it lies
    alone = [
        of(
            frames[b : b + 1, t : t + 1],
            truth[b : b + 1, t : t + 1],
            alpha[b : b + 1, t : t + 1],
            torch.ones(1, 1, dtype=torch.bool),
        )
        for b, t in MASK.nonzero().tolist()
    ]
    assert before.item() == pytest.approx(torch.stack(alone).mean().item())
    assert of(frames, truth, alpha, torch.zeros_like(MASK)) == 0


def test_counts_are_further_factors():
    frames, truth, alpha = pictures()
    counts = 1 + 3 * torch.rand(2, 3, 1, 4, 5).double()
    weight = (counts * (alpha + 0.5))[MASK]
    error = (frames - truth).abs()[MASK]
    dynamic = dynamic_pixel_loss(frames, truth, alpha, MASK, counts=counts)
    assert dynamic.item() == pytest.approx((error * weight).mean().item())
    plain = pixel_loss(frames, truth, MASK, counts=counts)
    assert plain.item() == pytest.approx((error * counts[MASK]).mean().item())
    assert pixel_loss(frames, truth, MASK, counts=torch.ones_like(alpha)) == pixel_loss(frames, truth, MASK)


def test_squares_instead_of_distances():
    frames, truth, alpha = pictures()
    counts = 1 + 3 * alpha
    error = (frames - truth)[MASK] ** 2
    squared = pixel_loss(frames, truth, MASK, squared=True)
    assert squared.item() == pytest.approx(error.mean().item(), rel=1e-12)
    assert squared != pixel_loss(frames, truth, MASK)
    assert pixel_loss(frames, truth, MASK, squared=False) == pixel_loss(frames, truth, MASK)
    weighed = pixel_loss(frames, truth, MASK, counts=counts, squared=True)
    assert weighed.item() == pytest.approx((error * counts[MASK]).mean().item(), rel=1e-12)
    frames[~MASK] = 1e6
    assert pixel_loss(frames, truth, MASK, squared=True) == squared


def test_mouth_map_is_an_ellipse_about_the_mouth():
    landmarks = torch.zeros(1, 2, 68, 2)
    # 0: lips from (44, 80) to (84, 100), 1: a closed mouth elsewhere
    landmarks[0, 0, 48:] = torch.tensor([64.0, 90.0])
    landmarks[0, 0, 48], landmarks[0, 0, 54] = torch.tensor([44.0, 90]), torch.tensor([84.0, 90])
    landmarks[0, 0, 51], landmarks[0, 0, 57] = torch.tensor([64.0, 80]), torch.tensor([64.0, 100])
    landmarks[0, 1, 48:] = torch.tensor([30.0, 70.0])
    maps = mouth_map(landmarks)
    assert maps.shape == (1, 2, 1, 128, 128)
    wide, small = maps[0, :, 0]
    assert wide[90, 64] == small[70, 30] == 1
    edge = np.exp(-0.5)
    for y, x in ((90, 64 - 24), (90, 64 + 24), (90 - 14, 64), (90 + 14, 64)):  # 4 px beyond the lips
        assert wide[y, x].item() == pytest.approx(edge, rel=1e-5)
    assert small[70, 34].item() == pytest.approx(edge, rel=1e-5)
    diagonal = wide[90 + 7, 64 + 12].item()  # half way along both axes: r² = 1/2
    assert diagonal == pytest.approx(np.exp(-0.5 * 0.25), rel=1e-5)
    assert wide[48, 64] < 1e-6
    assert (wide > 0.5).float().mean() < 0.1
    # at another size the same place: a pixel of 64 covers four of 128
    half = mouth_map(landmarks, size=64)
    assert half.shape == (1, 2, 1, 64, 64)
    expected = torch.nn.functional.avg_pool2d(maps[0, 0], 2)
    torch.testing.assert_close(half[0, 0], expected, atol=5e-3, rtol=0)


def test_landmark_masks():
    released = landmark_mask("released").tolist()
    assert [i for i, weight in enumerate(released) if weight == 100] == list(range(97, 136, 2))
    assert sorted(set(released)) == [1, 100]
    ours = landmark_mask().tolist()
    assert ours == [1] * 96 + [100] * 40
    assert landmark_mask("plain").tolist() == [1] * 136
    assert landmark_mask("released", 7).tolist() == [7 if w == 100 else 1 for w in released]
    assert landmark_mask("plain", 7).tolist() == [1] * 136
    for kind in LANDMARK_MASKS:
        assert landmark_mask(kind).dtype == torch.float32
    with pytest.raises(InputError, match="plain or released or lips"):
        landmark_mask("eyes")


def test_masked_mse_equals_torch_over_existing_frames():
    a, b = torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    expected = torch.nn.functional.mse_loss(a[mask], b[mask])
    torch.testing.assert_close(masked_mse(a, b, mask), expected)
    weight = torch.arange(6.0)
    expected = ((a[mask] - b[mask]) ** 2 * weight).mean()
    torch.testing.assert_close(masked_mse(a, b, mask, weight), expected)
    b[1, 3] = 1e9
    assert masked_mse(a, b, mask) < 100


def pairs_of_gaussians(n, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn(2, n, generator=generator, dtype=dtype)
    logvars = 4 * torch.rand(2, n, generator=generator, dtype=dtype) - 2
    return means[0], logvars[0], means[1], logvars[1]


def test_kl_is_what_torch_says():
    pair = pairs_of_gaussians(10_000)
    q, p = (Normal(pair[i], torch.exp(0.5 * pair[i + 1])) for i in (0, 2))
    torch.testing.assert_close(gaussian_kl(*pair), kl_divergence(q, p), atol=1e-5, rtol=1e-5)


def test_kl_of_a_distribution_and_itself_is_nothing():
    mu, logvar, *_ = pairs_of_gaussians(10_000)
    assert torch.equal(gaussian_kl(mu, logvar, mu, logvar), torch.zeros(10_000))


def test_kl_is_never_negative():
    """Also where the two are all but the same, and rounding decides."""
    mu, logvar, other, spread = pairs_of_gaussians(10_000)
    assert (gaussian_kl(mu, logvar, other, spread) >= 0).all()
    near = gaussian_kl(mu, logvar, mu + 1e-7 * other, logvar + 1e-7 * spread)
    assert (near >= 0).all()
    assert (near < 1e-6).all()


def test_kl_by_sampling():
    """``KL(q‖p) = E_q[ln q - ln p]``; it is not symmetric."""
    mu_q, logvar_q, mu_p, logvar_p = (torch.tensor(x) for x in (0.4, -0.5, -0.3, 0.6))
    generator = torch.Generator().manual_seed(0)
    drawn = mu_q + torch.exp(0.5 * logvar_q) * torch.randn(1_000_000, generator=generator)
    q, p = Normal(mu_q, torch.exp(0.5 * logvar_q)), Normal(mu_p, torch.exp(0.5 * logvar_p))
    sampled = (q.log_prob(drawn) - p.log_prob(drawn)).mean()
    torch.testing.assert_close(gaussian_kl(mu_q, logvar_q, mu_p, logvar_p), sampled, atol=3e-3, rtol=0)
    assert (
        abs(gaussian_kl(mu_q, logvar_q, mu_p, logvar_p) - gaussian_kl(mu_p, logvar_p, mu_q, logvar_q)) > 0.1
    )


def test_kl_of_the_released_code_is_another():
    """It hands σ on as ``ln σ²``. For equal means: systems read and run, rounded there to three digits."""
    zero = torch.zeros(())
    for logvar, true, coded in ((-4.0, 1.509, 0.143), (-8.0, 3.500, 0.178)):
        logvar = torch.tensor(logvar)
        released = gaussian_kl(zero, torch.exp(0.5 * logvar), zero, torch.exp(0.5 * zero))
        assert gaussian_kl(zero, logvar, zero, zero).item() == pytest.approx(true, abs=6e-4)
        assert released.item() == pytest.approx(coded, abs=6e-4)


def test_kl_is_computed_in_float32_whatever_comes_in():
    pair = [x.bfloat16() for x in pairs_of_gaussians(100)]
    with torch.autocast("cpu", torch.bfloat16):
        found = gaussian_kl(*pair)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gaussian_kl(*(x.float() for x in pair)))
    assert gaussian_kl(*(x.double() for x in pair)).dtype == torch.float64


def test_gradients_of_kl_by_finite_differences():
    pair = [x.requires_grad_() for x in pairs_of_gaussians(5, dtype=torch.float64)]
    assert torch.autograd.gradcheck(gaussian_kl, pair)
