"""The recurrent generator's copy for inference: the same function, computed faster."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.fast import Cast, chosen_precision, folded, keep_freed_memory
from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.networks.recurrent_modules import KERNEL, UpConvTranspose


class ReadyUpConvTranspose(UpConvTranspose):
    """The same with its weights laid out beforehand as those of one 3×3 convolution of the small map.

    Twice the size are four pixels for each. Each of the four is a sum over neighbours of the small map, nine
    of them at most: so the four are four times as many maps of a plain convolution (Shi et al., Real-Time
    Single Image and Video Super-Resolution, CVPR 2016).

    Parameters
    ----------
    convolution:
        Trained.
    """

    def __init__(self, convolution: UpConvTranspose) -> None:
        n_skip = convolution.in_channels - convolution.n_map
        super().__init__(convolution.n_map, n_skip, convolution.out_channels)
        self.load_state_dict(convolution.state_dict())
        self.register_buffer("ready", as_convolution(self.weight.detach()[: self.n_map]))

    def of_map(self, x: Tensor) -> Tensor:
        """As for :class:`~talkface_lite.networks.recurrent_modules.UpConvTranspose`."""
        return F.pixel_shuffle(F.conv2d(x, self.ready, padding=1), 2)


def as_convolution(weight: Tensor) -> Tensor:
    """Weights ``(n_in, n_out, 5, 5)`` of a transposed convolution to twice the size → those of a convolution
    whose maps are its pixels, four by four: ``(4 n_out, n_in, 3, 3)``.

    Row ``2i + a`` of the output is the sum over rows ``i + d`` of the input, ``d`` from -1 to 1, by row
    ``2 + a - 2d`` of the kernel, where it has one.
    """
    n_in, n_out = weight.shape[:2]
    ready = weight.new_zeros(n_out, 2, 2, n_in, 3, 3)
    places = [
        (parity, 1 + shift, tap)
        for parity in (0, 1)
        for shift in (-1, 0, 1)
        if (tap := 2 + parity - 2 * shift) < KERNEL
    ]
    for a, row, y in places:
        for b, column, x in places:
            ready[:, a, b, :, row, column] = weight[:, :, y, x].T
    return ready.flatten(0, 2)


def for_inference(network: RecurrentGenerator, precision: str = "auto") -> RecurrentGenerator:
    """A copy of a network that only looks ahead: same weights, same methods, no gradients.

    - Each batch normalisation becomes part of the convolution before it.
    - Convolutions in bfloat16 where that is fast, channels last; the memory stays float32.
    - The decoder's weights for the photograph's maps and for its own stand apart, and are those of plain
      convolutions.

    Parameters
    ----------
    network:
        Stays as it is. Choose its device first: the copy is made for that.
    precision:
        As for :func:`talkface_lite.networks.fast.for_inference`.

    Raises
    ------
    InputError
        When the precision is none of these.
    """
    precision = chosen_precision(precision, next(network.parameters()).device)
    fast = folded(copy.deepcopy(network).eval().requires_grad_(False).float())
    for stage in fast.decoder.up:
        stage[0] = ReadyUpConvTranspose(stage[0]).requires_grad_(False)
    if precision == "bf16":
        sound, image, decoder = fast.audio_encoder, fast.image_encoder, fast.decoder
        sound.convolutions = nn.Sequential(Cast(torch.bfloat16), *sound.convolutions, Cast(torch.float32))
        image.stages[0] = nn.Sequential(Cast(torch.bfloat16), *image.stages[0])
        image.last = nn.Sequential(Cast(torch.float32), image.last)
        decoder.first.append(Cast(torch.bfloat16))
        for module in fast.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.bfloat16()
    keep_freed_memory()
    return fast.to(memory_format=torch.channels_last)
