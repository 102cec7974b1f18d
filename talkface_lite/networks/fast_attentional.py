"""LTV net's copy for inference: the same function, computed faster."""

import torch
from torch import nn

from talkface_lite.networks.fast import Cast, chosen_precision, convolve_in_bfloat16, inference_copy, ready
from talkface_lite.networks.ltv_net import LTVNet


def for_inference(network: LTVNet, precision: str = "auto") -> LTVNet:
    """A copy of a network that only looks ahead: same weights, same methods, no gradients.

    - Each batch normalisation becomes part of the convolution before it.
    - Convolutions and maps in bfloat16 where that is fast, channels last; flows, α and pictures stay float32.

    Parameters
    ----------
    network:
        Stays as it is. Choose its device first: the copy is made for that. One that is ready comes back as it
        is, in its own precision.
    precision:
        As for :func:`talkface_lite.networks.fast.for_inference`.

    Raises
    ------
    InputError
        When the precision is none of these.
    """
    precision = chosen_precision(precision, next(network.parameters()).device)
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    fast = inference_copy(network)
    if precision == "bf16":
        encoders = [fast.f_img, fast.f_landmarks, *([fast.f_background] if fast.config.attention else [])]
        for encoder in encoders:
            encoder.levels[0] = nn.Sequential(Cast(torch.bfloat16), *encoder.levels[0])
        convolve_in_bfloat16(fast)
    return ready(fast)
