"""ATVGnet's released files: two checkpoints, a mean face and a basis, read as numbers by name.

The files are not ours to give; this is for someone who has them. No class of the authors' code is needed, and
nothing in a file is executed.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from talkface_lite.clip import N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import GROUPS
from talkface_lite.networks.at_net import ATNet, ATNetConfig
from talkface_lite.networks.vg_net import VGNet, VGNetConfig
from talkface_lite.shape_pca import N_COMPONENTS, ShapePCA

AT_NET_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "lmark_encoder": "f_lmark",  # h_p: 6 → 256 → 512
        "audio_eocder.0": "f_audio.0",  # MFCC: 28×12; their spelling
        "audio_eocder.1": "f_audio.1",
        "audio_eocder.3": "f_audio.3",  # 2 and 6 are pooling
        "audio_eocder.4": "f_audio.4",
        "audio_eocder.5": "f_audio.5",
        "audio_eocder_fc": "f_audio.8",  # 12,288 → 2048 → 256
        "lstm": "lstm",  # one column order differs, see _our_columns
        "lstm_fc.0": "phi_lmark",  # 256 → h_t
    }
)
"""Layers of the released AT-net → ours; what follows a layer's name (``.0.weight``) is the same in both."""

VG_NET_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "image_encoder1": "f_img_middle",  # i_p → i′_p, 128×32×32
        "image_encoder2": "f_img",  # i′_p → 512×8×8
        "landmark_encoder": "f_lmark_map",  # 136 → 64, seen as 8×8
        "landmark_encoder_stage2.0": "f_lmark_shape",
        "lmark_feature.0": "f_lmark",
        "lmark_att.0": "attention.0.0",  # Eq. 6: up to 16×16
        "lmark_att.1": "attention.0.1",
        "lmark_att.3": "attention.1.0",  # up to 32×32
        "lmark_att.4": "attention.1.1",
        "lmark_att.6.0": "attention.2",
        "bottle_neck.0": "fuse",  # Eq. 5
        "convGRU.weight_ih_l0": "conv_gru.from_input.weight",  # gates: reset, update, new
        "convGRU.bias_ih_l0": "conv_gru.from_input.bias",
        "convGRU.weight_hh_l0": "conv_gru.from_memory.weight",
        "convGRU.bias_hh_l0": "conv_gru.from_memory.bias",
        **{f"generator1.{block}.conv_block": f"decode_middle.{block}.layers" for block in range(9)},
        "generator1.9": "decode_middle.9.0",  # up to 16×16
        "generator1.10": "decode_middle.9.1",
        "generator1.12": "decode_middle.10.0",  # up to 32×32, before Eq. 7
        "generator1.13": "decode_middle.10.1",
        "base.0": "decode.0.0",  # up to 64×64
        "base.1": "decode.0.1",
        "base.3": "decode.1.0",  # up to 128×128
        "base.4": "decode.1.1",
        "generator_color.0": "colour.0",
        "generator_attention.0": "alpha.0",
    }
)
"""Layers of the released VG-net → ours, likewise."""

LANDMARK_SCALE = 5.0
"""Norm of a face as the released networks see it: the released data are faces of norm 1, times 5."""

ORTHONORMAL_WITHIN = 1e-3
"""How far UᵀU may be from the identity: 136 single-precision roundings are a thousand times less."""

TEMPLATE_CORNER = 1
"""Where the crop begins in the picture that the template belongs to, in x and y: the demo cuts out
``[1:129, 1:129]``."""

EYES_APART = (30, 80)
"""Between these, pixels, the middles of the template's eyes must be; in the authors' crops they are 49 to
56 apart."""

LARGEST_FILE = 2 * 1024**3
"""Bytes; VG-net's checkpoint has about 234 MB."""


class Place(NamedTuple):
    """Where a number of the released networks goes in ours."""

    ours: str
    shape: tuple[int, ...]


def read_shape(mean: str | os.PathLike, basis: str | os.PathLike) -> ShapePCA:
    """M and the first six columns of U, as the authors' demo loads them.

    Parameters
    ----------
    mean:
        ``.npy``, float ``(136,)`` or ``(1, 136)``: M, in the order x0, y0, x1, y1, ...
    basis:
        ``.npy``, float ``(136, K)``, K at least 6. A square basis cannot be told from its transpose.

    Raises
    ------
    InputError
        When a file is missing, is of another kind, or its numbers are not such a face and such a basis.
    """
    return ShapePCA(
        mean=read_mean(mean),
        components=read_basis(basis),
        variance=np.zeros(N_COMPONENTS),  # not released
        total_variance=1.0,
        origin={"from": "files beside the released weights"},
    )


def read_networks(
    at_net: str | os.PathLike, vg_net: str | os.PathLike
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The two checkpoints: for each network our names → float32 tensors of the right shapes, all finite.

    Parameters
    ----------
    at_net, vg_net:
        State dicts as ``torch.save`` wrote them, in the zip format or the one before it, with or without
        ``module.`` before each name.

    Raises
    ------
    InputError
        When a file is missing, is of another kind, holds anything but tensors, or a name, a shape or a value
        is not the expected one. The message names the file, and the first name that is wrong.
    """
    with torch.device("meta"):  # names and shapes cost nothing there
        places = {
            "AT-net": places_of(ATNet(ATNetConfig.full()), AT_NET_LAYERS),
            "VG-net": places_of(VGNet(VGNetConfig.full()), VG_NET_LAYERS),
        }
    at_state = our_columns(state_for(at_net, "AT-net", places))
    return at_state, state_for(vg_net, "VG-net", places)


def fill(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network released weights; buffers that are ours alone stay as they are."""
    ours_alone = {key: value for key, value in network.state_dict().items() if is_ours_alone(key)}
    network.load_state_dict({**ours_alone, **state}, strict=True)


def is_ours_alone(key: str) -> bool:
    """Buffers that stay as they are: BN's counters, and what standardises inputs (mean 0, deviation 1)."""
    return key.endswith("num_batches_tracked") or "." not in key  # the latter belong to no layer


def places_of(network: nn.Module, layers: Mapping[str, str]) -> dict[str, Place]:
    """The released name of each of the network's tensors, from the table of its layers."""
    return {
        their_layer + key.removeprefix(our_layer): Place(key, tuple(value.shape))
        for their_layer, our_layer in layers.items()
        for key, value in network.state_dict().items()
        if (key == our_layer or key.startswith(our_layer + ".")) and not is_ours_alone(key)
    }


def state_for(
    path: str | os.PathLike, name: str, places: Mapping[str, Mapping[str, Place]]
) -> dict[str, Tensor]:
    """The checkpoint of one network: our names → float32 tensors of the right shapes, all finite."""
    found, wanted = _read_checkpoint(path, name), places[name]
    for other, others_places in places.items():
        if other != name and not found.keys() & wanted.keys() and found.keys() & others_places.keys():
            raise InputError(path, f"the weights of {other}", f"those of {name}; are the two files swapped?")
    state = {}
    for key, (ours, shape) in wanted.items():
        if key not in found:
            raise InputError(path, f"no {key}", f"{key} {shape}, as the released {name} has")
        if tuple(found[key].shape) != shape:
            raise InputError(path, f"{key} {tuple(found[key].shape)}", shape)
        state[ours] = found[key].float()
        if not state[ours].isfinite().all():
            raise InputError(path, f"NaN or infinity in {key} {shape}", "finite numbers")
    for key, value in found.items():
        if key not in wanted:
            raise InputError(path, f"{key} {tuple(value.shape)}", f"no such name in the released {name}")
    return state


def our_columns(at_state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released LSTM hears (f_lmark, f_audio), ours (f_audio, f_lmark): move the columns accordingly."""
    n_face = ATNetConfig.full().landmark[-1]
    face, audio = at_state["lstm.weight_ih_l0"].tensor_split([n_face], dim=1)  # (1024, 768) → 512, 256
    return at_state | {"lstm.weight_ih_l0": torch.cat((audio, face), dim=1)}


def _read_checkpoint(path: str | os.PathLike, name: str) -> dict[str, Tensor]:
    """The tensors of a state dict by name, without ``module.`` and without BN's counters."""
    expected = f"a checkpoint of {name}: a state dict of tensors"
    _check_file(path, expected)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_size(path, sum(entry.file_size for entry in archive.infolist()))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except UnpicklingError as error:
        # torch's own message advises to load with weights_only=False, which would execute the file
        raise InputError(path, "a pickle that torch does not take for plain tensors", expected) from error
    except Exception as error:  # bytes that are no checkpoint can fail anywhere inside torch
        raise InputError(path, f"an unreadable file ({type(error).__name__})", expected) from error
    if not isinstance(found, dict):
        raise InputError(path, f"a pickled {type(found).__name__}", expected)
    for key, value in found.items():
        plain = isinstance(value, Tensor) and value.layout is torch.strided and value.device.type == "cpu"
        if not isinstance(key, str) or not plain:
            raise InputError(path, f"{key!r}: a {type(value).__name__}", expected)
    found = {key: value for key, value in found.items() if not key.endswith("num_batches_tracked")}
    if not found:
        raise InputError(path, "no tensors", expected)
    if all(key.startswith("module.") for key in found):  # trained on several devices
        found = {key.removeprefix("module."): value for key, value in found.items()}
    for key, value in found.items():
        if not value.is_floating_point():
            raise InputError(path, f"{key} of {value.dtype}", "floating-point numbers")
    return found


def read_mean(path: str | os.PathLike) -> np.ndarray:
    """M, ``(136,)``."""
    size = 2 * N_POINTS
    mean = _read_array(path, f"the mean shape, float ({size},)")
    if mean.shape not in ((size,), (1, size)):
        raise InputError(path, f"shape {mean.shape}", f"the mean shape, ({size},)")
    norm = np.linalg.norm(mean)
    if not LANDMARK_SCALE / 3 < norm < LANDMARK_SCALE * 3:  # other units, such as pixels, are far outside
        raise InputError(path, f"a face of norm {norm:.4g}", f"about {LANDMARK_SCALE:g}: it spans [-1, 1]")
    return mean.reshape(size)


def read_basis(path: str | os.PathLike) -> np.ndarray:
    """The first six columns of U as rows, ``(6, 136)``."""
    size = 2 * N_POINTS
    basis = _read_array(path, f"the basis, float ({size}, K)")
    expected = f"the basis, ({size}, K) with K at least {N_COMPONENTS}"
    if basis.ndim == 2 and basis.shape[1] == size != basis.shape[0]:
        raise InputError(path, f"shape {basis.shape}", f"{expected}; this is its transpose")
    if basis.ndim != 2 or basis.shape[0] != size or basis.shape[1] < N_COMPONENTS:
        raise InputError(path, f"shape {basis.shape}", expected)
    components = basis[:, :N_COMPONENTS].T
    off = np.abs(components @ components.T - np.eye(N_COMPONENTS)).max()
    if off > ORTHONORMAL_WITHIN:
        raise InputError(
            path, f"columns whose products are off by {off:.3g}", "orthonormal columns: UᵀU is the identity"
        )
    return components


def read_template(path: str | os.PathLike) -> np.ndarray:
    """The face that the authors' crops are laid on, as their demo loads it.

    Parameters
    ----------
    path:
        ``.npy``, whole or floating-point numbers ``(68, 2)``: pixels of the picture whose rows and columns 1
        to 128 are the crop.

    Returns
    -------
    float64 ``(68, 2)``, pixels of the crop.

    Raises
    ------
    InputError
        When the file is missing, is of another kind, or its numbers are not an upright face in such a crop.
    """
    points = _read_array(path, f"the template, ({N_POINTS}, 2)", whole=True)
    if points.shape != (N_POINTS, 2):
        raise InputError(path, f"shape {points.shape}", f"the template, ({N_POINTS}, 2)")
    points = points - TEMPLATE_CORNER
    apart = points[GROUPS["left_eye"]].mean(0) - points[GROUPS["right_eye"]].mean(0)
    if not (EYES_APART[0] < apart[0] < EYES_APART[1] and abs(apart[1]) < apart[0] / 4):
        expected = f"eyes {EYES_APART[0]} to {EYES_APART[1]} pixels apart, side by side"
        raise InputError(path, f"eyes {apart[0]:.4g} pixels apart, {apart[1]:.4g} down", expected)
    return points


def _read_array(path: str | os.PathLike, expected: str, *, whole: bool = False) -> np.ndarray:
    """A ``.npy`` of finite numbers as float64; never a pickled one. ``whole``: integers will do."""
    _check_file(path, expected)
    try:
        # a map: a header that promises more than the file holds is refused and not allocated
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, TypeError, SyntaxError) as error:
        raise InputError(path, "a file that is no .npy of numbers", expected) from error
    kinds = (np.floating, np.integer) if whole else (np.floating,)
    if not isinstance(array, np.ndarray) or not any(np.issubdtype(array.dtype, kind) for kind in kinds):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an .npz archive"
        raise InputError(path, got, expected)
    values = np.array(array, np.float64)
    if not np.isfinite(values).all():
        raise InputError(path, "NaN or infinity", expected)
    return values


def _check_file(path: str | os.PathLike, expected: str) -> None:
    if not Path(path).is_file():
        raise InputError(path, "no such file", expected)
    _check_size(path, Path(path).stat().st_size)


def _check_size(path: str | os.PathLike, n_bytes: int) -> None:
    if n_bytes > LARGEST_FILE:
        raise InputError(path, f"{n_bytes / 1e9:.1f} GB", f"at most {LARGEST_FILE / 1e9:.1f} GB")
