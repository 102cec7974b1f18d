"""3×3 convolutions of small maps with fewer multiplications.

Winograd: Arithmetic Complexity of Computations, 1980; Lavin and Gray: Fast Algorithms for Convolutional
Neural Networks, CVPR 2016. Two polynomials are multiplied by evaluating both at some points, multiplying
value by value, and finding the polynomial through the products. Read backwards, the same gives ``tile``
outputs of a convolution from ``tile + 2`` inputs: with the points 0, 1, -1, ∞ two outputs cost 4
multiplications and not 6. With ±i as well, four cost 7 and not 12: the two complex values are conjugate to
each other, and their product takes three real multiplications. In two dimensions that is 16 for 36, and 49
for 144.

Points like 2 and ½ would save more, but their powers blow rounding errors up, too much for bfloat16. The
matrices here hold nothing but 0, ±1, ±½ and ±¼: twice the rounding error of the plain convolution.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from talkface_lite.errors import InputError

TILES = (2, 4)
"""Outputs of one tile along each axis: 2 with four points, 4 with six."""


def evaluation(n: int, tile: int) -> np.ndarray:
    """Values of a polynomial with ``n`` coefficients at the points of ``tile``, float64 ``(points, n)``.

    The points are 0, 1, -1 and ∞ (the leading coefficient); for ``tile`` 4 also i: the real part, the
    imaginary part, and their sum.
    """
    power = np.arange(n)
    rows = [power == 0, power >= 0, (-1.0) ** power, power == n - 1]
    if tile == 4:
        real, imaginary = np.array([[1, 0, -1, 0], [0, 1, 0, -1]])[:, power % 4]
        rows += [real, imaginary, real + imaginary]
    return np.stack(rows).astype(np.float64)


def one_axis(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``A``, ``G`` and ``B`` of ``y = A [(G g) ⊙ (B d)]``.

    ``tile`` outputs ``y`` from 3 weights ``g`` and ``tile + 2`` inputs ``d``. Shapes ``(tile, points)``,
    ``(points, 3)``, ``(points, tile + 2)``.
    """
    if tile not in TILES:
        raise InputError("tile", tile, " or ".join(map(str, TILES)))
    n = tile + 2
    values = evaluation(n, tile)
    to_values = np.eye(n, len(values))
    if tile == 4:  # (a + bi)(c + di) from ac, bd and (a + b)(c + d)
        to_values[4:, 4:] = [[1, -1, 0], [-1, -1, 1]]
    coefficients = np.linalg.inv(values[:n]) @ to_values  # products at the points → coefficients
    return evaluation(tile, tile).T, evaluation(3, tile), coefficients.T.round(6)


@lru_cache
def tiling(size: int, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """What takes a ``size × size`` map to the points of all its tiles, and the points of one tile back.

    Shapes ``(points²·tiles², size²)`` and ``(tile², points²)``; the map's places stand in the order of
    :func:`to_tiles`, and it is zero around its edge.
    """
    back, _, inward = one_axis(tile)
    n_tiles = size // tile
    padded = np.zeros((len(inward), n_tiles, size + 2))
    for index in range(n_tiles):
        padded[:, index, index * tile : (index + 1) * tile + 2] = inward
    along = padded[:, :, 1:-1].reshape(len(inward), n_tiles, n_tiles, tile)
    to_points = np.einsum("pthi,qswj->pqtsijhw", along, along).reshape(-1, size**2)
    return to_points, np.kron(back, back)


def transform_weight(weight: Tensor, tile: int) -> Tensor:
    """``(n_out, n_in, 3, 3)`` → ``(points², n_out, n_in)``: once for each set of weights."""
    _, outward, _ = one_axis(tile)
    both = torch.from_numpy(np.kron(outward, outward)).to(weight)  # (points², 9)
    n_out, n_in = weight.shape[:2]
    return (both @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(-1, n_out, n_in)


def to_tiles(x: Tensor, tile: int) -> Tensor:
    """``(N, C, size, size)`` → ``(tile², tiles², N, C)``, the order in which :func:`convolve` takes maps."""
    n_tiles = x.shape[-1] // tile
    parts = x.permute(0, 2, 3, 1).unflatten(2, (n_tiles, tile)).unflatten(1, (n_tiles, tile))
    return parts.permute(2, 4, 1, 3, 0, 5).reshape(tile**2, n_tiles**2, *x.shape[:2])


def from_tiles(x: Tensor) -> Tensor:
    """What :func:`to_tiles` did, undone; channels last."""
    tile, n_tiles = (round(n**0.5) for n in x.shape[:2])
    parts = x.view(tile, tile, n_tiles, n_tiles, *x.shape[2:]).permute(4, 2, 0, 3, 1, 5)
    return parts.reshape(x.shape[2], tile * n_tiles, tile * n_tiles, x.shape[3]).permute(0, 3, 1, 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """3×3 convolution with zeros around the edge, in three matrix products.

    Parameters
    ----------
    x:
        Maps in the order of :func:`to_tiles`, ``(tile², tiles², N, n_in)``.
    weight:
        From :func:`transform_weight`, ``(points², n_out, n_in)``.
    bias:
        ``(n_out,)``.

    Returns
    -------
    Tensor
        ``(tile², tiles², N, n_out)``.
    """
    tile, n_tiles, n_maps, n_in = round(len(x) ** 0.5), x.shape[1], *x.shape[2:]
    n_points = round(len(weight) ** 0.5)
    size = round((len(x) * n_tiles) ** 0.5)
    to_points, back = (torch.from_numpy(matrix).to(x) for matrix in tiling(size, tile))
    values = to_points @ x.reshape(-1, n_maps * n_in)  # → (points²·tiles², N·n_in)
    products = Products.apply(values.view(len(weight), -1, n_in), weight)  # → (points², tiles²·N, n_out)
    if bias is not None:
        products[n_points + 1] += bias  # a constant everywhere is a product at the point (1, 1)
    return (back @ products.flatten(1)).view(tile**2, n_tiles, n_maps, -1)  # (tile², tiles², N, n_out)


def worth_it(width: int, device: torch.device) -> bool:
    """Whether :func:`convolve` is the faster way for small maps of so many channels.

    Measured on a CPU with AVX512: from 256 channels on. Where there is a unit for matrix products (AMX, a
    GPU) the plain convolution is so fast already that moving the tiles' points about would cost more.
    """
    has_unit = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    return device.type == "cpu" and width >= 256 and not has_unit


class Products(torch.autograd.Function):
    """``torch.bmm(values, weight.mT)`` whose gradients come in the order in which the weights lie."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, weight: Tensor) -> Tensor:
        """``(points², tiles²·N, n_in)``, ``(points², n_out, n_in)`` → ``(points², tiles²·N, n_out)``."""
        ctx.save_for_backward(values, weight)
        return torch.bmm(values, weight.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of the products → those of the values and of the weights."""
        values, weight = ctx.saved_tensors
        return torch.bmm(gradient, weight), torch.bmm(gradient.mT, values)


class WideConv2d(nn.Conv2d):
    """3×3 convolution that keeps the size; where that is faster, by :func:`convolve`.

    Only from 16 maps of at most 16×16 on: the weights have to be transformed, and their gradient back.
    """

    def __init__(self, n_in: int, n_out: int, *, bias: bool = True) -> None:
        super().__init__(n_in, n_out, kernel_size=3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n_in, H, W)`` → ``(N, n_out, H, W)``."""
        tile, size = max(TILES), x.shape[-1]
        fits = len(x) >= 16 and x.shape[-2] == size <= 16 and size % tile == 0
        if not (fits and worth_it(min(self.weight.shape[:2]), x.device)):
            return super().forward(x)
        weight = transform_weight(self.weight, tile)  # → (points², n_out, n_in)
        return from_tiles(convolve(to_tiles(x, tile), weight, self.bias))


class WinogradConv2d(nn.Module):
    """A trained 3×3 convolution for maps in the order of :func:`to_tiles`.

    Parameters
    ----------
    convolution:
        With padding 1 and stride 1.
    tile:
        See :data:`TILES`. Its weights take ``16/9`` (2) or ``49/9`` (4) times the memory.
    """

    def __init__(self, convolution: nn.Conv2d, tile: int = 4) -> None:
        super().__init__()
        self.register_buffer("weight", transform_weight(convolution.weight.detach(), tile))
        self.register_buffer("bias", None if convolution.bias is None else convolution.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """``(tile², tiles², N, n_in)`` → ``(tile², tiles², N, n_out)``."""
        return convolve(x, self.weight, self.bias)
