"""The recurrent generator's copy for inference: the same function, computed faster."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.fast import Cast, chosen_precision, folded, keep_freed_memory
from talkface_lite.networks.frame_codec import WIDE, of_each_frame
from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.networks.recurrent_modules import UpConvTranspose


class ReadyUpConvTranspose(UpConvTranspose):
    """The same as plain convolutions of the small map, their weights laid out beforehand.

    Twice the size are four pixels for each. Each of the four is a sum over neighbours of the small map: nine
    for one of them, six, six and four for the others. Where there are many maps the four are convolved each
    by itself; where there are few, as four times as many maps of one convolution (Shi et al., Real-Time
    Single Image and Video Super-Resolution, CVPR 2016). What the photograph gives is added where the four are
    laid side by side.

    Parameters
    ----------
    convolution:
        Trained.
    """

    def __init__(self, convolution: UpConvTranspose) -> None:
        n_skip = convolution.in_channels - convolution.n_map
        super().__init__(convolution.n_map, n_skip, convolution.out_channels)
        self.load_state_dict(convolution.state_dict())
        weight = self.weight.detach()[: self.n_map]
        ready = apart(weight) if self.n_map >= WIDE else {"together": together(weight)}
        for name, its in ready.items():
            self.register_buffer(name, its)

    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        """As for :class:`~talkface_lite.networks.recurrent_modules.UpConvTranspose`."""
        x, of_photo = given
        n, _, height, width = x.shape
        of_photo = of_each_frame(of_photo, n).movedim(1, -1)  # (N or 1, 2H, 2W, n_out)
        of_photo = of_photo.unflatten(2, (width, 2)).unflatten(1, (height, 2))  # (N or 1, H, 2, W, 2, n_out)
        made = x.new_empty(n, height, 2, width, 2, self.out_channels)
        if self.n_map < WIDE:
            four = F.conv2d(x, self.together, padding=1).movedim(1, -1)  # (N, H, W, 4 n_out)
            four = four.unflatten(3, (2, 2, self.out_channels)).movedim(3, 2)
            torch.add(four, of_photo, out=made)
        else:
            for a, b in PLACES:
                one = F.conv2d(x, getattr(self, f"at_{a}{b}"), padding=1)
                one = one[:, :, a : a + height, b : b + width].movedim(1, -1)  # (N, H, W, n_out)
                torch.add(one, of_photo[:, :, a, :, b], out=made[:, :, a, :, b])
        return made.flatten(3, 4).flatten(1, 2).movedim(-1, 1)  # (N, n_out, 2H, 2W)


TAPS = ((4, 2, 0), (3, 1))
"""Row ``2i + a`` of what comes out is a sum over rows ``i - 1``, ``i`` and ``i + 1`` of the small map, or
where ``a`` is 1 over ``i`` and ``i + 1``, by these rows of the 5×5 weights. Columns alike."""

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each of the four."""


def apart(weight: Tensor) -> dict[str, Tensor]:
    """Of weights ``(n_in, n_out, 5, 5)`` of a transposed convolution to twice the size those of the four
    plain ones, ``(n_out, n_in, 3 or 2, 3 or 2)``, by name."""
    return {
        f"at_{a}{b}": weight[:, :, TAPS[a]][:, :, :, TAPS[b]].transpose(0, 1).contiguous() for a, b in PLACES
    }


def together(weight: Tensor) -> Tensor:
    """The same four as one: ``(4 n_out, n_in, 3, 3)``, with zeros where one has no weight."""
    four = [F.pad(its, (3 - its.shape[3], 0, 3 - its.shape[2], 0)) for its in apart(weight).values()]
    return torch.cat(four)


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
        decoder.first = nn.Sequential(Cast(torch.bfloat16), *decoder.first)
        decoder.first[1].bfloat16()
        for module in fast.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.bfloat16()
    keep_freed_memory()
    return fast.to(memory_format=torch.channels_last)
