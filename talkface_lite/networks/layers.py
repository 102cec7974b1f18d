"""Pieces that several networks share."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


def conv_block(
    n_in: int, n_out: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1, batch_norm: bool = True
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: ATVGnet's ``conv2d``; 3×3 keeps the size unless told otherwise.

    Without batch normalisation the convolution has a bias of its own.
    """
    convolution = nn.Conv2d(n_in, n_out, kernel_size, stride, padding, bias=not batch_norm)
    norm = [nn.BatchNorm2d(n_out)] if batch_norm else []
    return nn.Sequential(convolution, *norm, nn.ReLU())


def up_block(n_in: int, n_out: int, *, bias: bool = False) -> nn.Sequential:
    """3×3 transposed convolution to twice the size, batch normalisation, ReLU."""
    up = nn.ConvTranspose2d(n_in, n_out, kernel_size=3, stride=2, padding=1, output_padding=1, bias=bias)
    return nn.Sequential(up, nn.BatchNorm2d(n_out), nn.ReLU())


def linear_relu(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers through the given widths, each followed by ReLU."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in a module (buffers such as running means are not counted)."""
    return sum(parameter.numel() for parameter in module.parameters())


def detach_state(state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    """The same recurrent state, cut off from the graph that made it."""
    return None if state is None else (state[0].detach(), state[1].detach())
