"""Losses that systems share."""

from torch import Tensor


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error over the frames that exist.

    Parameters
    ----------
    prediction, target:
        ``(B, T, K)``.
    mask:
        bool ``(B, T)``: False marks padding behind the end of a clip.
    weight:
        ``(K,)`` factors of the squared errors; None counts every value alike.

    Returns
    -------
    Scalar: the mean over all values of existing frames.
    """
    squared = (prediction - target) ** 2  # (B, T, K)
    if weight is not None:
        squared = squared * weight
    per_frame = squared.mean(dim=-1) * mask  # (B, T, K) → (B, T)
    return per_frame.sum() / mask.sum().clamp(min=1)
