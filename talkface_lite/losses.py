"""Losses that systems share."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH


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


def dynamic_pixel_loss(
    frames: Tensor,
    truth: Tensor,
    alpha: Tensor,
    mask: Tensor,
    *,
    base_weight: float = 0.5,
    stop_gradient: bool = True,
    counts: Tensor | None = None,
) -> Tensor:
    """Dynamic pixel-wise loss: errors count more where the network says that it paints (ATVGnet, Eq. 8).

    ``|(v_t - v̂_t) ⊙ (ᾱ_t + β)|``, here averaged over colours, pixels and existing frames, where the paper
    sums: a sum grows with the size of the picture and the length of the window. The released code too takes
    the mean, times 10.

    Parameters
    ----------
    frames, truth:
        ``v̂`` and ``v``, ``(B, T, 3, H, W)`` in [-1, 1].
    alpha:
        The pixel attention ``(B, T, 1, H, W)`` in [0, 1].
    mask:
        bool ``(B, T)``: False marks padding behind the end of a clip.
    base_weight:
        β, 0 or more: the weight of a pixel that is copied. The paper's is 0.5.
    stop_gradient:
        Whether ᾱ is α without its gradient, as in the paper. With the gradient the network can lower the
        loss by caring less and not by painting better.
    counts:
        Ours: further factors ``(B, T, 1, H, W)``, as :func:`mouth_map` makes them; None counts alike.

    Returns
    -------
    Scalar, 0 or more.
    """
    weight = (alpha.detach() if stop_gradient else alpha) + base_weight
    return pixel_loss(frames, truth, mask, counts=weight if counts is None else weight * counts)


def pixel_loss(
    frames: Tensor,
    truth: Tensor,
    mask: Tensor,
    *,
    counts: Tensor | None = None,
    squared: bool = False,
) -> Tensor:
    """Mean absolute difference over existing frames, or mean squared: what Eq. 8 is compared with. Arguments
    as there."""
    error = (frames - truth).square() if squared else (frames - truth).abs()
    if counts is not None:
        error = error * counts
    per_frame = error.mean(dim=(-3, -2, -1))  # (B, T, 3, H, W) → (B, T)
    return (per_frame * mask).sum() / mask.sum().clamp(min=1)


def mouth_map(landmarks: Tensor, size: int = CROP_SIZE, margin: float = 4.0) -> Tensor:
    """Where the mouth is: a soft ellipse about the 20 mouth points of each frame (ours).

    Parameters
    ----------
    landmarks:
        ``(B, T, 68, 2)``, pixels of the 128×128 crop.
    size:
        Side of the map, pixels.
    margin:
        How far the ellipse reaches beyond the points, pixels of the crop.

    Returns
    -------
    float ``(B, T, 1, size, size)``: 1 in the middle, 0.6 on the ellipse, falling to 0 outside.
    """
    mouth = landmarks[..., MOUTH, :]
    low, high = mouth.amin(dim=-2), mouth.amax(dim=-2)  # (B, T, 2)
    centre, radius = (low + high) / 2, (high - low) / 2 + margin
    places = (torch.arange(size, device=landmarks.device) + 0.5) * (CROP_SIZE / size) - 0.5
    x, y = (((places - centre[..., [i]]) / radius[..., [i]]) ** 2 for i in (0, 1))  # (B, T, size)
    return torch.exp(-0.5 * (x.unsqueeze(-2) + y.unsqueeze(-1)) ** 2).unsqueeze(-3)


def wing_loss(x: Tensor, w: float = 10.0, epsilon: float = 2.0, *, weight: Tensor | None = None) -> Tensor:
    """Wing loss of differences between landmarks, element by element ({cite}`feng2018wing`, Eq. 5).

    ``w ln(1 + |x|/ε)`` where ``|x| < w``, else ``|x| - C``, with ``C = w - w ln(1 + w/ε)``, which joins the
    two: at ``|x| = w`` both are 17.9176 with the defaults. The slope is ``w / ε`` = 5 just above 0, falls to
    ``w / (ε + w)`` = 0.833 and is 1 from there on: where squares let go of a point that is nearly right, the
    wing pulls hardest. Attentional landmarks' Eq. 7 has it with the same w and ε.

    Parameters
    ----------
    x:
        Prediction minus truth, any shape. In pixels, and of a picture of the size that w is meant for: in
        [-1, 1] everything lies in the first branch.
    w:
        Where the logarithm ends, above 0.
    epsilon:
        How sharply it bends, above 0.
    weight:
        Factors that broadcast against ``x``, such as ``(points, 1)`` for points of landmarks ``(…, points,
        2)``; None counts all alike.

    Returns
    -------
    The shape of ``x``, 0 or more; float32 at least.

    Raises
    ------
    InputError
        When w or ε is 0 or less.
    """
    for name, value in (("w", w), ("epsilon", epsilon)):
        if not value > 0:
            raise InputError(name, value, "more than 0")
    far = x.to(torch.promote_types(x.dtype, torch.float32)).abs()
    c = w - w * math.log1p(w / epsilon)
    wing = torch.where(far < w, w * torch.log1p(far / epsilon), far - c)
    return wing if weight is None else wing * weight


def changing(error: Tensor, mask: Tensor) -> Tensor:
    """``(B, T, …)`` less its mean over the frames of each film that exist."""
    there = mask.reshape(*mask.shape, *(1 for _ in error.shape[2:]))
    lasting = (error * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
    return error - lasting


def mean_of_frames(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``(B, T)`` where ``mask``, bool ``(B, T)``, is True."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def mean_at(values: Tensor, where: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``(B, T, C, H, W)`` weighed by ``where``, ``(B, T, 1, H, W)``, over frames that exist."""
    weights = where * mask[..., None, None, None]
    return (values * weights).sum() / (weights.sum() * values.shape[2]).clamp(min=1e-6)


LANDMARK_MASKS = ("plain", "released", "lips")


def landmark_mask(kind: str = "lips", weight: float = 100.0) -> Tensor:
    """``M_p`` of Eq. 9: which of the 136 coordinates the regression loss cares for.

    It is multiplied inside the square, so a weight of 100 counts 10,000 times.

    Parameters
    ----------
    kind:
        ``"plain"``: ones. ``"released"``: ``weight`` on y of points 48 to 67, as in the released code: lips
        that are too wide cost 10,000 times less than lips that are too open. ``"lips"`` (ours): ``weight`` on
        x and y of those points alike.
    weight:
        Of the lips.

    Returns
    -------
    float32 ``(136,)``, x and y in turn.
    """
    if kind not in LANDMARK_MASKS:
        raise InputError("landmark_mask", repr(kind), " or ".join(LANDMARK_MASKS))
    mask = torch.ones(N_POINTS, 2)
    if kind != "plain":
        mask[MOUTH, 1 if kind == "released" else slice(None)] = weight
    return mask.flatten()


def gaussian_kl(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> Tensor:
    """KL divergence ``KL(q‖p)`` of two normal distributions with diagonal covariance, element by element.

    ``½ (ln σ_p² - ln σ_q² + (σ_q² + (μ_q - μ_p)²) / σ_p² - 1)`` (Kingma and Welling, ICLR 2014, Appendix B,
    for any p; the second term of latent matching's Eq. 2). In float32 at least, whatever comes in: the
    exponentials of a variance do not fit into half precision.

    Parameters
    ----------
    mu_q, logvar_q:
        Mean and **log-variance** ``ln σ²`` of q, any shape. The released code of latent matching hands σ on
        where ``ln σ²`` is expected.
    mu_p, logvar_p:
        Of p, the same shape.

    Returns
    -------
    Nats, the same shape, 0 or more; exactly 0 where q is p. Sum over the last axis for the divergence of
    vectors.
    """
    mu_q, logvar_q, mu_p, logvar_p = (
        x.to(torch.promote_types(x.dtype, torch.float32)) for x in (mu_q, logvar_q, mu_p, logvar_p)
    )
    spread = logvar_q - logvar_p
    distance = (mu_q - mu_p) ** 2 * torch.exp(-logvar_p)
    return 0.5 * (torch.expm1(spread) - spread + distance)  # e^s - 1 - s is never below 0


LIP_READING_LOSSES = ("uniform", "released", "paper", "fixed")
"""How the lip reader is taught while it criticises, see :func:`lip_reading_loss`."""


def lip_reading_loss(real: Tensor, fake: Tensor, word: Tensor, kind: str = "uniform") -> Tensor:
    """What the lip-reading discriminator minimises (Song et al., IJCAI 2019, Eq. 2).

    The paper writes ``Σ y log D(I) - Σ y log D(Ĩ)`` and says that minimising it makes the words of real lips
    be read and those of generated ones misread. With ``y log D`` being minus a cross-entropy it does the
    opposite.

    Parameters
    ----------
    real, fake:
        Logits of words that were read off true and off generated lips, ``(B, words)``.
    word:
        int64 ``(B,)``: which word is said.
    kind:
        ``"uniform"`` (ours): cross-entropy of real lips, and the cross-entropy of generated ones against all
        words alike: it has a minimum, where nothing is read off generated lips. ``"released"``: the released
        code's, which wants *logits* of generated lips to be 0.002, one over LRW's 500 words, by their mean
        squared error. ``"paper"``: Eq. 2 with its sign as the text wants it; it has no minimum, since a word
        can be misread ever more surely. ``"fixed"``: of real lips alone; whoever trains no further leaves it
        as it was.

    Returns
    -------
    Scalar: the mean over B.

    Raises
    ------
    InputError
        When the kind is none of these.
    """
    if kind not in LIP_READING_LOSSES:
        raise InputError("lip_loss", repr(kind), " or ".join(LIP_READING_LOSSES))
    read = F.cross_entropy(real, word)
    if kind == "uniform":
        return read - F.log_softmax(fake, dim=-1).mean()
    if kind == "released":
        return read + ((fake - 1 / 500) ** 2).mean()
    if kind == "paper":
        return read - F.cross_entropy(fake, word)
    return read
