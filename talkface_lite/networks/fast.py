"""VG-net's copy for inference: the same function, computed faster."""

import copy
from collections.abc import Callable
from typing import Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from talkface_lite.errors import InputError
from talkface_lite.networks.vg_net import VGNet
from talkface_lite.networks.winograd import WinogradConv2d, from_tiles, to_tiles, worth_it

Network = TypeVar("Network", bound=nn.Module)

PRECISIONS = ("auto", "bf16", "32")
"""What a copy for inference may be asked for."""


def for_inference(network: VGNet, precision: str = "auto") -> VGNet:
    """A copy of a network that only looks ahead: same weights, same methods, no gradients.

    - Each batch normalisation becomes part of the convolution before it.
    - Weights and maps in bfloat16 where that is fast, channels last. Frames, α and colour stay float32.
    - On a CPU without AMX, wide residual blocks become matrix products with fewer multiplications, see
      :mod:`~talkface_lite.networks.winograd`.
    - On a CPU, the memory's convolution keeps its weights in the order in which the processor reads them.

    Parameters
    ----------
    network:
        Stays as it is. Choose its device first: the copy is made for that.
    precision:
        ``"32"``, ``"bf16"``, or ``"auto"``: see :func:`fast_precision`.

    Returns
    -------
    VGNet
        In float32 the same output up to rounding. ``full`` takes half a gigabyte, in float32 one.

    Raises
    ------
    InputError
        When the precision is none of these.
    """
    device = next(network.parameters()).device
    precision = chosen_precision(precision, device)
    fast = inference_copy(network)
    n_blocks = network.config.blocks
    fast.conv_gru.from_memory = PackedConv2d(fast.conv_gru.from_memory)
    if n_blocks and worth_it(network.config.memory, device):
        blocks, rest = fast.decode_middle[:n_blocks], fast.decode_middle[n_blocks:]
        fast.decode_middle = nn.Sequential(WideBlocks(blocks), *rest)
    if precision == "bf16":
        fast.f_img_middle = nn.Sequential(Cast(torch.bfloat16), *fast.f_img_middle)
        fast.f_lmark_shape = nn.Sequential(Cast(torch.bfloat16), *fast.f_lmark_shape)
        convolve_in_bfloat16(fast)  # the landmarks stay float32: what moves in a mouth is small in them
    return ready(fast)


def chosen_precision(precision: str, device: torch.device | str) -> str:
    """``"bf16"`` or ``"32"``: what is asked for, or for ``"auto"`` what :func:`fast_precision` says.

    Raises
    ------
    InputError
        When it is none of :data:`PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise InputError("precision", repr(precision), " or ".join(PRECISIONS))
    return fast_precision(device) if precision == "auto" else precision


def fast_precision(device: torch.device | str = "cpu") -> str:
    """``"bf16"`` on a GPU, and on a CPU that multiplies bfloat16 (AVX512-BF16 or AMX); else ``"32"``."""
    if torch.device(device).type == "cuda":
        return "bf16"
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if any(getattr(torch.cpu, check, bool)() for check in checks) else "32"


def inference_copy(network: Network) -> Network:
    """A copy in evaluation mode, float32 and without gradients, see :func:`folded`; the network stays as it
    is."""
    return folded(copy.deepcopy(network).eval().requires_grad_(False).float())


def convolve_in_bfloat16(network: nn.Module) -> None:
    """Let the convolutions in a network compute in bfloat16, in place; all else stays as it is."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | WinogradConv2d):
            module.bfloat16()


def ready(network: Network) -> Network:
    """The network with its weights channels last, and memory that stays, see :func:`keep_freed_memory`."""
    keep_freed_memory()
    return network.to(memory_format=torch.channels_last)


def keep_freed_memory() -> None:
    """Let glibc keep what tensors give back: it cost ``lite`` a fifth of its time to fetch it anew.

    glibc returns free memory from twice the size of the largest block that was ever freed, and looks at
    blocks of up to 32 MB. This one is never touched, so it takes none.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def folded(module: nn.Module) -> nn.Module:
    """The module with each batch normalisation in the convolution before it, ReLU in place, no dropout."""
    for name, child in module.named_children():
        setattr(module, name, folded(child))
    if isinstance(module, nn.ReLU):
        return nn.ReLU(inplace=True)
    if not isinstance(module, nn.Sequential):
        return module
    layers: list[nn.Module] = []
    for layer in module:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer, isinstance(layers[-1], nn.ConvTranspose2d))
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    return nn.Sequential(*layers)


class Cast(nn.Module):
    """To the precision of the convolutions that follow."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        return x.to(self.dtype)


class WideBlocks(nn.Module):
    """Folded residual blocks whose maps stay in tiles from the first to the last.

    See :func:`~talkface_lite.networks.winograd.to_tiles`.

    Parameters
    ----------
    blocks:
        :class:`~talkface_lite.networks.layers.ResidualBlock`, without normalisations.
    tile:
        See :data:`~talkface_lite.networks.winograd.TILES`.
    """

    def __init__(self, blocks: nn.Sequential, tile: int = 4) -> None:
        super().__init__()
        self.tile = tile
        pairs = ((block.layers[0], block.layers[-1]) for block in blocks)
        self.pairs = nn.ModuleList(nn.ModuleList(WinogradConv2d(c, tile) for c in pair) for pair in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, width, H, W)`` → the same."""
        x = to_tiles(x, self.tile)
        for first, second in self.pairs:
            x = second(first(x).relu_()).add_(x)
        return from_tiles(x)


class PackedConv2d(nn.Conv2d):
    """A convolution that keeps its weights in oneDNN's own order and does not put them in order at each call.

    That counts where the same weights meet one small map after another. On other devices, and where this
    build of torch has no such order, it is the plain convolution.

    Parameters
    ----------
    convolution:
        Trained.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        nn.Module.__init__(self)
        vars(self).update(vars(copy.deepcopy(convolution)))
        self._packed: Tensor | None = None
        self._packed_for: torch.Size | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n_in, H, W)`` → ``(N, n_out, H, W)``."""
        known = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and fast_precision() == "bf16")
        if x.device.type != "cpu" or torch.is_grad_enabled() or not (PACKS and known):
            return super().forward(x)
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        if self._packed_for != x.shape:  # the best order depends on the size of the maps
            weight = self.weight.detach().to_mkldnn()
            self._packed = torch._C._nn.mkldnn_reorder_conv2d_weight(weight, *geometry, x.shape)
            self._packed_for = x.shape
        return torch.ops.mkldnn._convolution_pointwise(x, self._packed, self.bias, *geometry, "none", [], "")

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._packed = self._packed_for = None  # another device or precision
        return super()._apply(function, recurse)

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_packed": None, "_packed_for": None}


PACKS = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)
"""Whether this build of torch lets weights be put in oneDNN's order once for all calls."""
