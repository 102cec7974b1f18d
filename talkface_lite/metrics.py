"""How far a generated face is from the true one: landmarks in pixels, pictures in float64.

Definitions that papers leave open are fixed here. Landmark distances are means over points (ATVGnet's
released script sums over the 20 mouth points); PSNR and SSIM are computed in float64 with a stated data
range, without resizing (the released script squares differences in uint8, where they wrap round at 256).
"""

from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from talkface_lite.clip import N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening, mouth_centred


def landmark_distance(generated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """LMD: distance of each of the 68 points from where it should be, averaged over points.

    Chen et al., "Lip movements generation at a glance", 2018, take the mouth only:
    :func:`mouth_landmark_distance`.

    Parameters
    ----------
    generated, truth:
        ``(..., 68, 2)`` pixels of the 128×128 crop.

    Returns
    -------
    float64 ``(...)``, pixels, 0 or more.
    """
    generated, truth = _points(generated, truth)
    return np.linalg.norm(generated - truth, axis=-1).mean(axis=-1)


def mouth_landmark_distance(generated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance of the 20 mouth points after each mouth is moved to its own centre, averaged over points.

    Moving to the centre forgives a displaced mouth and keeps its shape, as ATVGnet's LMD does (which sums
    instead).

    Parameters
    ----------
    generated, truth:
        ``(..., 68, 2)`` pixels of the 128×128 crop.

    Returns
    -------
    float64 ``(...)``, pixels, 0 or more.
    """
    generated, truth = map(mouth_centred, _points(generated, truth))
    return np.linalg.norm(generated - truth, axis=-1).mean(axis=-1)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two curves, or NaN where one of them is flat (it has no shape to compare)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError("curves", f"shapes {a.shape} and {b.shape}", "two curves of one length")
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / spread) if spread > 1e-9 else float("nan")


def lip_opening_correlation(generated: np.ndarray, truth: np.ndarray) -> float:
    """Correlation over time of the gap between the inner lips.

    Parameters
    ----------
    generated, truth:
        ``(T, 68, 2)`` pixels.

    Returns
    -------
    float
        In [-1, 1]; NaN where a mouth never moves.
    """
    generated, truth = _points(generated, truth)
    return correlation(lip_opening(generated), lip_opening(truth))


def psnr(generated: np.ndarray, truth: np.ndarray, *, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: ``10·log10(data_range² / mean((generated - truth)²))``, in float64.

    Parameters
    ----------
    generated, truth:
        Pictures or clips of one shape, any type.
    data_range:
        Largest possible minus smallest possible value: 255 for uint8, 2 for [-1, 1].

    Returns
    -------
    float
        Infinite for equal pictures.
    """
    generated, truth = _pictures(generated, truth)
    error = np.mean((generated - truth) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim(generated: np.ndarray, truth: np.ndarray, *, data_range: float, gaussian: bool = True) -> float:
    """Structural similarity of two pictures, averaged over pixels and channels, in float64.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural similarity,
    2004. K₁ = 0.01, K₂ = 0.03.

    Parameters
    ----------
    generated, truth:
        ``(H, W)`` or ``(H, W, 3)``, any type; at least 11 pixels a side.
    data_range:
        Largest possible minus smallest possible value.
    gaussian:
        True: Wang's window, a Gaussian of σ = 1.5 cut at 11×11. False: 7×7 uniform window with sample
        covariances, the default of scikit-image and the one ATVGnet reports.

    Returns
    -------
    float
        At most 1, which equal pictures reach.
    """
    generated, truth = _pictures(generated, truth)
    if generated.ndim not in (2, 3) or min(generated.shape[:2]) < 11:
        raise InputError(
            "picture", f"shape {generated.shape}", "(H, W) or (H, W, channels), at least 11 pixels a side"
        )
    if generated.ndim == 3:
        channels = [
            ssim(generated[..., c], truth[..., c], data_range=data_range, gaussian=gaussian)
            for c in range(generated.shape[-1])
        ]
        return float(np.mean(channels))

    def smooth(picture: np.ndarray) -> np.ndarray:
        if gaussian:
            return gaussian_filter(picture, sigma=1.5, truncate=3.5)
        return uniform_filter(picture, size=7)

    side, sample = (11, 1.0) if gaussian else (7, 49 / 48)
    mean_x, mean_y = smooth(generated), smooth(truth)
    variance_x = sample * (smooth(generated**2) - mean_x**2)
    variance_y = sample * (smooth(truth**2) - mean_y**2)
    covariance = sample * (smooth(generated * truth) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    inside = side // 2  # windows that hang over the edge are left out
    return float(similarity[inside:-inside, inside:-inside].mean())


def bootstrap_interval(
    values: np.ndarray,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    of: Literal["median", "mean"] = "median",
) -> tuple[float, float]:
    """Percentile bootstrap interval of the median of per-clip values, or of their mean, NaNs left out.

    Returns
    -------
    low, high:
        Both NaN where there is no value.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    middle = {"median": np.median, "mean": np.mean}[of]
    middles = middle(rng.choice(values, size=(resamples, len(values))), axis=1)
    low, high = np.quantile(middles, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _points(generated: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, truth = np.asarray(generated, np.float64), np.asarray(truth, np.float64)
    for name, points in (("generated", generated), ("truth", truth)):
        if points.shape[-2:] != (N_POINTS, 2):
            raise InputError(name, f"shape {points.shape}", f"(..., {N_POINTS}, 2)")
    np.broadcast_shapes(generated.shape, truth.shape)
    return generated, truth


def _pictures(generated: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, truth = np.asarray(generated, np.float64), np.asarray(truth, np.float64)
    if generated.shape != truth.shape:
        raise InputError("generated", f"shape {generated.shape}", f"the truth's shape {truth.shape}")
    return generated, truth
