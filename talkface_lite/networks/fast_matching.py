"""Latent matching's copy for inference: the same function, computed faster."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.fast import Cast, chosen_precision, convolve_in_bfloat16, inference_copy, ready
from talkface_lite.networks.frame_codec import WIDE, UpConv
from talkface_lite.networks.latent_matching import LatentMatching
from talkface_lite.networks.layers import interleaved, summed_weight


class ReadyUpConv(UpConv):
    """The same convolution with its weights split and added up beforehand, once for all frames.

    Parameters
    ----------
    convolution:
        Trained.
    """

    def __init__(self, convolution: UpConv) -> None:
        n_skip = convolution.in_channels - convolution.n_map
        super().__init__(convolution.n_map, n_skip, convolution.out_channels)
        self.load_state_dict(convolution.state_dict())
        weight = self.weight.detach()[:, : self.n_map]
        self.register_buffer("ready", summed_weight(weight) if self.n_map >= WIDE else weight.clone())

    def of_map(self, x: Tensor) -> Tensor:
        """As for :class:`~talkface_lite.networks.frame_codec.UpConv`."""
        if self.n_map >= WIDE:
            return interleaved(F.conv2d(x, self.ready, padding=1), x.shape[2:])
        return F.conv2d(F.interpolate(x, scale_factor=2), self.ready, padding=1)


def for_inference(network: LatentMatching, precision: str = "auto") -> LatentMatching:
    """A copy of a network that only looks ahead: same weights, same methods, no gradients.

    - Each batch normalisation becomes part of the convolution before it.
    - Encoder and decoder in bfloat16 where that is fast, channels last; codes, both posteriors and the
      predictor stay float32.
    - The decoder's weights for the photograph's maps and for its own stand apart.

    Parameters
    ----------
    network:
        Stays as it is. Choose its device first: the copy is made for that. One that is ready comes back
        as it is, in its own precision.
    precision:
        As for :func:`talkface_lite.networks.fast.for_inference`.

    Raises
    ------
    InputError
        When the precision is none of these.
    """
    precision = chosen_precision(precision, next(network.parameters()).device)
    if isinstance(network.frame_decoder.up[0][0], ReadyUpConv):
        return network
    fast = inference_copy(network)
    encoder, decoder = fast.frame_encoder, fast.frame_decoder
    for stage in decoder.up:
        stage[0] = ReadyUpConv(stage[0]).requires_grad_(False)
    for stage in (*encoder.stages, decoder.first, *decoder.up, *decoder.on):
        stage[-1] = nn.LeakyReLU(stage[-1].negative_slope, inplace=True)
    if precision == "bf16":
        encoder.stages[0] = nn.Sequential(Cast(torch.bfloat16), *encoder.stages[0])
        decoder.first = nn.Sequential(Cast(torch.bfloat16), *decoder.first)
        convolve_in_bfloat16(encoder)
        convolve_in_bfloat16(decoder)
    return ready(fast)
