"""A photograph of a whole head moved to other landmarks without a network (ours).

:mod:`~talkface_lite.networks.thin_plate` moves mouth and chin of an aligned face. Here the head itself
moves, before a ground and over shoulders that stay, in pixels of the 128×128 head frame of
:mod:`talkface_lite.framing`. It is the same warp, backward and with one plate for each lip
({cite}`bookstein1989warps`); what differs:

- **Held points.** All but the lids: a plate that is to shut an eye drags the brow over it. And five on the
  crown. Nobody marks the top of a skull, so it goes where the upper ends of the jaw's line take it, by a
  similarity. They lie beside the axis a head turns about, as hair and skull do on the whole; nose and eyes
  lie before it, and in a turn they run ahead: a crown that followed them made pictures 1.5 dB worse.
- **Still points.** Sixteen on the border of the frame. And what the plates say fades to exactly zero towards
  the border, so that a film can be laid back into the picture that the frame was cut from, without a seam.
- **A coarser grid.** Plates are computed for cells of 4×4 pixels and interpolated between them, bicubic.
  Where one passes into the other is computed pixel by pixel.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.clip import CROP_SIZE
from talkface_lite.landmarks import MOUTH
from talkface_lite.networks.layers import each_frame, full_precision, looked_up
from talkface_lite.networks.thin_plate import below_the_lips, thin_plates

CELL = 4
"""Side of the cells that a displacement is computed for, pixels of the 128×128 frame."""
FADE = 12.0
"""From the border inward, so many pixels until a displacement counts in full."""
EARS = ((36.0, 59.0), (36.5, 66.5), (37.5, 74.0), (90.5, 74.0), (91.5, 66.5), (92.0, 59.0))
"""Where points 0, 1, 2 and 14, 15, 16, the upper ends of the jaw's line, lie in the head's frame on the mean
of the drawn people, pixels."""
CROWN = ((41.0, 41.0), (49.0, 29.0), (64.0, 24.0), (79.0, 29.0), (87.0, 41.0))
"""Where the top of a skull lies then: an arc above the brows."""
_EARS = (0, 1, 2, 14, 15, 16)
_REST = tuple(k for k in range(MOUTH.start) if k not in (37, 38, 40, 41, 43, 44, 46, 47))
"""All points but mouth and lids."""
_GRID = CROP_SIZE // CELL


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Computed once for all; never as tensors of inference mode, which nothing that learns may see later."""
    return lru_cache(torch.inference_mode(mode=False)(function))


def head_displacement(example: Tensor, landmarks: Tensor, side: int = CROP_SIZE) -> Tensor:
    """How far from each pixel of each frame lies what it shows of the photograph.

    Parameters
    ----------
    example:
        ``(N, 68, 2)`` or ``(1, 68, 2)``: points of the photograph, pixels of the 128×128 head frame.
    landmarks:
        ``(N, 68, 2)``: points of the frames.
    side:
        Of the pictures, pixels.

    Returns
    -------
    Tensor
        float32 ``(N, 2, side, side)``: x and y in pixels *of these pictures*; see :func:`moved`. Exactly zero
        at their border, and everywhere where the landmarks are the example's. Finite whatever the landmarks
        are, if these are: the border holds the plates even where a face is one spot.
    """
    with full_precision(landmarks.device):  # half a pixel of 128 is less than bfloat16 has
        landmarks = landmarks.float()
        example = example.float().expand_as(landmarks)
        axis, cells = _axis(side, landmarks.device), _cells(landmarks.device)
        plates = thin_plates(*held_points(example, landmarks), cells)  # (2, N, 32·32, 2)
        coarse = plates.mT.unflatten(-1, (_GRID, _GRID))  # (2, N, 2, 32, 32)
        enlarge = _enlarging(side, landmarks.device)  # (side, 32)
        upper, lower = enlarge @ coarse @ enlarge.T  # (N, 2, side, side) each
        flow = torch.lerp(upper, lower, below_the_lips(landmarks, (axis, axis)))  # (N, 2, side, side)
        return flow * (_shown(side, landmarks.device) * side / CROP_SIZE)


def held_points(example: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Points that hold the plates, and by how much each is displaced, ``(N, 81, 2)`` both.

    First the 20 of the mouth, then the 40 others but the lids', the crown, and the border of the frame, which
    stays.

    ``(N, 68, 2)`` twice, pixels of the 128×128 head frame.
    """
    still = _border(landmarks.device).expand(len(landmarks), -1, -1)  # (N, 16, 2)
    # all but the border is linear in the points, so equal points give differences of exactly zero
    moves = _with_crown(example - landmarks)
    return torch.cat((_with_crown(landmarks), still), dim=1), torch.cat((moves, 0 * still), dim=1)


def crown(landmarks: Tensor) -> Tensor:
    """Where the top of the skull is: ``(N, 68, 2)`` → ``(N, 5, 2)``, pixels of the 128×128 head frame.

    The similarity that lays :data:`EARS` on the upper ends of the jaw's line with the least squared distance
    carries :data:`CROWN` along. With points as complex numbers, ``e`` for the ears and ``m`` for their mean,
    it takes ``t`` to ``(t - m) · Σ c̄_j p_j / Σ|c_j|² + mean p``, ``c = e - m``, see
    :func:`talkface_lite.landmarks.similarity_transform`; that is linear in the points ``p``.
    """
    along, across = _similarity(landmarks.device)  # (5, 6) both
    points = landmarks[:, _EARS]  # (N, 6, 2)
    turned = torch.stack((-points[..., 1], points[..., 0]), dim=-1)  # i·p
    return along @ points + across @ turned


def moved(maps: Tensor, flow: Tensor) -> Tensor:
    """A photograph, or features of it, moved.

    Where nothing is displaced a place is the photograph's own, to the last bit. Beyond the edge of the frame
    its edge goes on.

    Parameters
    ----------
    maps:
        ``(B, C, s, s)``.
    flow:
        ``(B·T, 2, side, side)``, see :func:`head_displacement`; those of a photograph in a row, and ``side``
        a multiple of ``s``. Of smaller maps each place moves by the mean over its pixels.

    Returns
    -------
    Tensor
        float32 ``(B·T, C, s, s)``.
    """
    factor = flow.shape[-1] // maps.shape[-1]
    if factor > 1:
        flow = F.avg_pool2d(flow, factor) / factor  # (B·T, 2, s, s)
    still = (flow == 0).all(dim=1, keepdim=True)
    return torch.where(still, each_frame(maps, len(flow) // len(maps)), looked_up(maps, flow))


def _with_crown(points: Tensor) -> Tensor:
    """``(N, 68, 2)`` → ``(N, 65, 2)``: mouth, the rest, crown."""
    return torch.cat((points[:, MOUTH], points[:, _REST], crown(points)), dim=1)


@_once
def _similarity(device: torch.device) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of what each point of the crown has of each of the ears, ``(5, 6)``."""
    ears, top = (np.asarray(places) @ (1, 1j) for places in (EARS, CROWN))
    middle = ears.mean()
    centred = ears - middle
    shares = np.outer(top - middle, centred.conj()) / (abs(centred) ** 2).sum() + 1 / len(ears)
    return tuple(
        torch.tensor(part, dtype=torch.float32, device=device) for part in (shares.real, shares.imag)
    )


@_once
def _axis(side: int, device: torch.device) -> Tensor:
    """Where the pixels of a row of so many lie, pixels of the 128×128 frame: ``(side,)``."""
    return (torch.arange(side, device=device) + 0.5) * CROP_SIZE / side - 0.5


@_once
def _cells(device: torch.device) -> Tensor:
    """Middles of the cells that plates are computed for, ``(32·32, 2)``, pixels."""
    y, x = torch.meshgrid(_axis(_GRID, device), _axis(_GRID, device), indexing="ij")
    return torch.stack((x, y), dim=-1).view(-1, 2)


@_once
def _border(device: torch.device) -> Tensor:
    """Five places on each side of the frame, corners counted once: ``(1, 16, 2)``, pixels."""
    steps = np.linspace(0, CROP_SIZE - 1, 5).tolist()
    places = [(x, y) for y in steps for x in steps if {x, y} & {steps[0], steps[-1]}]
    return torch.tensor([places], device=device)


@_once
def _enlarging(side: int, device: torch.device) -> Tensor:
    """What each of so many pixels has of each cell in a row, ``(side, 32)``: bicubic."""
    cells = torch.eye(_GRID, device=device)[None, None]
    return F.interpolate(cells, size=(side, _GRID), mode="bicubic")[0, 0]


@_once
def _shown(side: int, device: torch.device) -> Tensor:
    """0 on the border, from there to 1 over :data:`FADE` pixels, smoothly: ``(side, side)``."""
    inward = torch.arange(side, device=device) * CROP_SIZE / side
    t = (torch.minimum(inward, inward.flip(0)) / FADE).clamp(0, 1)
    t = t * t * (3 - 2 * t)
    return t[:, None] * t
