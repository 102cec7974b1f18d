import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from talkface_lite.errors import InputError
from talkface_lite.metrics import (
    bootstrap_interval,
    correlation,
    landmark_distance,
    lip_opening_correlation,
    mouth_landmark_distance,
    psnr,
    ssim,
)


@pytest.fixture
def faces():
    return np.random.default_rng(0).uniform(0, 128, (5, 68, 2)).astype(np.float32)


def test_moving_one_mouth_point(faces):
    moved = faces.copy()
    moved[:, 50, 0] += 20
    # the centre moves by 1 px, so one point is off by 19 px and nineteen by 1 px
    np.testing.assert_allclose(mouth_landmark_distance(moved, faces), (19 + 19 * 1) / 20, rtol=1e-5)
    np.testing.assert_allclose(landmark_distance(moved, faces), 20 / 68, rtol=1e-5)


def test_mouth_distance_forgives_displacement_and_ignores_the_rest(faces):
    moved = faces + np.float32([3, -7])
    moved[:, :48] += 11
    np.testing.assert_allclose(mouth_landmark_distance(moved, faces), 0, atol=1e-5)
    assert (landmark_distance(moved, faces) > 7).all()


def test_distance_broadcasts_one_face_over_a_clip(faces):
    assert mouth_landmark_distance(faces[:1], faces).shape == (5,)
    assert mouth_landmark_distance(faces[0], faces)[0] == 0


def test_wrong_points_are_refused(faces):
    with pytest.raises(InputError, match="68, 2"):
        landmark_distance(faces[:, :67], faces)


def test_correlation_equals_numpy():
    a, b = np.random.default_rng(1).normal(size=(2, 40))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert np.isnan(correlation(a, np.ones(40)))


def test_lip_opening_correlation_sees_only_the_gap(faces):
    rng = np.random.default_rng(2)
    still = np.repeat(faces[:1], 30, axis=0).astype(np.float64)
    gap = rng.uniform(0, 6, 30)
    opened = still.copy()
    opened[:, 60:65, 1], opened[:, 65:68, 1] = 90, 92
    opened[:, 65:68, 1] += gap[:, None]
    shifted = opened + rng.normal(size=(30, 1, 2)) * 5
    assert lip_opening_correlation(opened, shifted) == pytest.approx(1)
    assert lip_opening_correlation(opened, shifted[::-1]) < 0.5
    assert np.isnan(lip_opening_correlation(still, opened))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_pictures_equal_scikit_image(channels):
    rng = np.random.default_rng(3)
    a = rng.integers(0, 256, (40, 33, *channels), dtype=np.uint8)
    b = np.clip(a + rng.normal(0, 20, a.shape), 0, 255).astype(np.uint8)
    axis = -1 if channels else None
    assert psnr(a, b, data_range=255) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))
    a, b = a.astype(float), b.astype(float)
    uniform = structural_similarity(a, b, data_range=255, channel_axis=axis)
    wang = structural_similarity(
        a, b, data_range=255, channel_axis=axis, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b, data_range=255, gaussian=False) == pytest.approx(uniform, abs=1e-12)
    assert ssim(a, b, data_range=255) == pytest.approx(wang, abs=1e-12)


def test_psnr_does_not_wrap_at_256():
    black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert psnr(black, white, data_range=255) == pytest.approx(0)
    assert psnr(black, black, data_range=255) == float("inf")


def test_psnr_and_ssim_equal_torchmetrics():
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio as tm_psnr
    from torchmetrics.functional.image import structural_similarity_index_measure as tm_ssim

    rng = np.random.default_rng(4)
    a = rng.uniform(-1, 1, (48, 48, 3))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), -1, 1)
    as_torch = [torch.from_numpy(x).permute(2, 0, 1)[None] for x in (a, b)]
    assert psnr(a, b, data_range=2) == pytest.approx(float(tm_psnr(*as_torch, data_range=2.0)), abs=1e-5)
    # torchmetrics keeps the windows that hang over the edge; leave them out as Wang's definition does
    _, full = tm_ssim(*as_torch, data_range=2.0, return_full_image=True)
    assert ssim(a, b, data_range=2) == pytest.approx(float(full[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_bootstrap_interval_holds_the_median_and_drops_nan():
    values = np.append(np.random.default_rng(5).normal(3, 1, 200), np.nan)
    low, high = bootstrap_interval(values, np.random.default_rng(0))
    assert low < np.nanmedian(values) < high
    assert high - low < 0.6
    assert np.isnan(bootstrap_interval(np.array([np.nan]), np.random.default_rng(0))).all()


def test_every_frame_has_its_own_distance():
    rng = np.random.default_rng(3)
    generated, truth = rng.uniform(0, 128, (2, 2, 5, 68, 2))
    for measure, part in ((landmark_distance, slice(0, 68)), (mouth_landmark_distance, slice(48, 68))):
        found = measure(generated, truth)
        assert found.shape == (2, 5)
        for place in np.ndindex(2, 5):
            a, b = generated[place][part], truth[place][part]
            if measure is mouth_landmark_distance:
                a, b = a - a.mean(0), b - b.mean(0)
            assert found[place] == pytest.approx(np.mean([np.hypot(*d) for d in a - b]))
        assert np.allclose(
            measure(generated[0, 0], truth[0]), measure(np.stack([generated[0, 0]] * 5), truth[0])
        )


def test_small_movements_correlate_as_large_ones_and_none_has_no_correlation():
    a, b = np.random.default_rng(1).normal(size=(2, 40))
    assert correlation(a * 1e-3, b * 1e-3) == pytest.approx(correlation(a, b))
    assert np.isnan(correlation(a * 1e-6, b * 1e-6))
    for wrong in [(a, b[:-1]), (a[None], b[None]), (a, b[None]), (1.0, 2.0)]:
        with pytest.raises(InputError, match=r"curves: got shapes .* expected two curves of one length"):
            correlation(*wrong)


def test_the_interval_is_the_quantiles_of_medians_of_resamples():
    values = np.random.default_rng(5).normal(size=17)
    for level in (0.95, 0.5):
        medians = np.median(np.random.default_rng(9).choice(values, size=(200, 17)), axis=1)
        wanted = np.quantile(medians, [(1 - level) / 2, 1 - (1 - level) / 2])
        found = bootstrap_interval(values, np.random.default_rng(9), level=level, resamples=200)
        assert found == pytest.approx(wanted)
    low, high = bootstrap_interval(values, np.random.default_rng(9))
    assert (low, high) == bootstrap_interval(values, np.random.default_rng(9), level=0.95, resamples=1000)
    for nothing in ([], [np.nan, np.nan]):
        assert np.isnan(bootstrap_interval(np.array(nothing), np.random.default_rng(0))).all()
