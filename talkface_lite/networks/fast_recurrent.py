"""The recurrent generator's copy for inference: the same function, computed faster."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.fast import Cast, chosen_precision, convolve_in_bfloat16, inference_copy, ready
from talkface_lite.networks.frame_codec import of_each_frame
from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.networks.recurrent_modules import UpConvTranspose

FEW = 8
"""Output maps up to which a convolution is worth pairing."""


class ReadyUpConvTranspose(UpConvTranspose):
    """The same as two plain convolutions of the small map, their weights laid out beforehand.

    Twice the size are four pixels for each. Each of the four is a sum over neighbours of the small map: nine
    for one of them, six, six and four for the others. Those of even rows are the maps of one 3×3 convolution,
    those of odd rows of one of 2×3 (Shi et al., Real-Time Single Image and Video Super-Resolution, CVPR 2016,
    have one for all four). What the photograph gives is added where rows are laid between each other.

    Parameters
    ----------
    convolution:
        Trained.
    """

    def __init__(self, convolution: UpConvTranspose) -> None:
        n_skip = convolution.in_channels - convolution.n_map
        super().__init__(convolution.n_map, n_skip, convolution.out_channels)
        self.load_state_dict(convolution.state_dict())
        even, odd = of_rows(self.weight.detach()[: self.n_map])
        self.register_buffer("even", even)
        self.register_buffer("odd", odd)

    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        """As for :class:`~talkface_lite.networks.recurrent_modules.UpConvTranspose`."""
        x, of_photo = given
        n, _, height, width = x.shape
        of_photo = of_each_frame(of_photo, n).movedim(1, -1)  # (N or 1, 2H, 2W, n_out)
        of_photo = of_photo.unflatten(2, (width, 2)).flatten(3).unflatten(1, (height, 2))
        made = x.new_empty(n, height, 2, width, 2 * self.out_channels)
        for row, weight in enumerate((self.even, self.odd)):
            two = F.conv2d(x, weight, padding=1)[:, :, row : row + height]  # (N, 2 n_out, H, W)
            torch.add(two.movedim(1, -1), of_photo[:, :, row], out=made[:, :, row])
        made = made.unflatten(4, (2, -1)).flatten(3, 4).flatten(1, 2)  # (N, 2H, 2W, n_out)
        return made.movedim(-1, 1)


TAPS = ((4, 2, 0), (3, 1))
"""Row ``2i + a`` of what comes out is a sum over rows ``i - 1``, ``i`` and ``i + 1`` of the small map, or
where ``a`` is 1 over ``i`` and ``i + 1``, by these rows of the 5×5 weights. Columns alike."""


def of_rows(weight: Tensor) -> list[Tensor]:
    """Of weights ``(n_in, n_out, 5, 5)`` of a transposed convolution to twice the size those of the plain
    ones that give its even and its odd rows: ``(2 n_out, n_in, 3, 3)`` and ``(2 n_out, n_in, 2, 3)``, even
    columns first, with zeros where an odd column has no weight."""
    found = []
    for taps in TAPS:
        even, odd = (weight[:, :, taps][:, :, :, its].transpose(0, 1) for its in TAPS)
        found.append(torch.cat((even, F.pad(odd, (1, 0)))))
    return found


class PairedConv2d(nn.Module):
    """A convolution of stride 1 with few output maps, its size kept, that takes two pixels of a row for one.

    A processor computes 16 maps in the time of 6: twice as many from half as many places. On an input with
    the channels last a pair is two pixels as they lie in memory.

    Parameters
    ----------
    convolution:
        5×5, trained.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias.detach()
        n_out, n_in, side, _ = weight.shape
        paired = weight.new_zeros(2, n_out, 2, n_in, side, 3)
        for to in (0, 1):
            for column in range(side):
                pair, place = divmod(to + column - side // 2, 2)
                paired[to, :, place, :, :, 1 + pair] = weight[..., column]
        self.convolution = nn.Conv2d(2 * n_in, 2 * n_out, (side, 3), padding=(side // 2, 1))
        self.convolution.weight = nn.Parameter(paired.flatten(2, 3).flatten(0, 1))
        self.convolution.bias = nn.Parameter(bias.repeat(2))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n_in, H, W)``, W even, → ``(N, n_out, H, W)``."""
        pairs = x.movedim(1, -1).contiguous().unflatten(2, (-1, 2)).flatten(3)  # (N, H, W/2, 2 n_in)
        made = self.convolution(pairs.movedim(-1, 1)).movedim(1, -1)  # → (N, H, W/2, 2 n_out)
        return made.contiguous().unflatten(3, (2, -1)).flatten(2, 3).movedim(-1, 1)


def for_inference(network: RecurrentGenerator, precision: str = "auto") -> RecurrentGenerator:
    """A copy of a network that only looks ahead: same weights, same methods, no gradients.

    - Each batch normalisation becomes part of the convolution before it.
    - Convolutions in bfloat16 where that is fast, channels last; the memory stays float32.
    - The decoder's weights for the photograph's maps and for its own stand apart, and are those of plain
      convolutions; those with few output maps take two pixels for one.

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
    if isinstance(network.decoder.up[0][0], ReadyUpConvTranspose):
        return network
    fast = inference_copy(network)
    for stage in fast.decoder.up:
        stage[0] = ReadyUpConvTranspose(stage[0]).requires_grad_(False)
    fast.decoder.colour = PairedConv2d(fast.decoder.colour).requires_grad_(False)
    if fast.config.last <= FEW:
        fast.decoder.on[0] = PairedConv2d(fast.decoder.on[0]).requires_grad_(False)
    if precision == "bf16":
        sound, image, decoder = fast.audio_encoder, fast.image_encoder, fast.decoder
        sound.convolutions = nn.Sequential(Cast(torch.bfloat16), *sound.convolutions, Cast(torch.float32))
        image.stages[0] = nn.Sequential(Cast(torch.bfloat16), *image.stages[0])
        image.last = nn.Sequential(Cast(torch.float32), image.last)
        decoder.first = nn.Sequential(Cast(torch.bfloat16), *decoder.first)
        decoder.first[1].bfloat16()
        convolve_in_bfloat16(fast)
    return ready(fast)
