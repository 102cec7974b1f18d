"""A photograph moved to other landmarks without a network: thin plates between 68 points (ours).

{cite}`bookstein1989warps`: a thin plate that is held at some points and bends as little as it can gives a
smooth displacement of every place between them:

``d(y) = c + A y + Σ_k w_k U(|y - q_k|)``, ``U(r) = r² log r²``, with ``d(q_k) = p_k - q_k``

The warp is backward: the frame at ``y`` is the photograph at ``y + d(y)``, where ``q_k`` are points of the
frame and ``p_k`` the same points of the photograph. So nothing is left empty, and a gradient reaches the
photograph and the points.

Three choices are ours:

- **A region.** Nothing moves where neither mouth nor chin can be: ``d`` fades to exactly zero above the base
  of the nose and outside the jaw, see :func:`region`. Hair, eyes, collar and ground stay as they are.
- **Two plates.** A plate does not tear, and a mouth that closes brings points together that the photograph
  has far apart: one plate through all of them would have to fold. So one is held by the upper lip and one by
  the lower, both by the corners, the jaw and the nose. Above the mouth the first counts, below it the second,
  and between the inner lips one passes into the other, see :func:`below_the_lips`; where they touch, within
  a pixel. Points that lie on each other, or lips that cross, as detectors see them, do no harm.
- **A coarse grid.** Plates are computed for cells of 2 × 2 pixels in the part of the crop that the region can
  reach, and interpolated between them. Where one passes into the other is computed pixel by pixel.

Everything is in pixels of the 128 × 128 crop, float32, batched over frames.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.clip import CROP_SIZE, check_photograph
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH
from talkface_lite.networks.layers import each_frame, full_precision, looked_up

CELL = 2
"""Side of the cells that a displacement is computed for, pixels."""
WINDOW = (slice(72, 128), slice(8, 120))
"""Rows and columns of the crop that the region can reach; both begin and end at multiples of 4."""
NOSE_FADE = 6.0
"""From the base of the nose down, so many pixels until the region counts in full; less over a short lip."""
MARGIN = 2.0
"""How far outside the jaw the region still counts in full, pixels."""
FADE = 6.0
"""How far outside that it ends, pixels."""
SEAM = 0.5
"""Half of the height in which the upper plate passes into the lower where the lips touch, pixels."""
STIFFNESS = 1e-3
"""λ, added to the diagonal of a plate's equations: it may miss a point by a hair and bends less."""

JAW = slice(4, 13)
"""The points of the jaw that speech moves. Every second of them holds the plates."""
FIXED = (31, 33, 35)
"""The base of the nose, which stays where the photograph has it."""
REST = 0.25
"""δ, how far a mouth moves, root mean square over its points, until half of what is painted shows, pixels."""
_UNIT = 16.0
_DIRECTIONS = 16
_SIZE = tuple((s.stop - s.start) // CELL for s in WINDOW)


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Computed once for all; never as tensors of inference mode, which nothing that learns may see later."""
    return lru_cache(torch.inference_mode(mode=False)(function))


class Moved(NamedTuple):
    """How the pixels of N frames come from the photograph.

    Parameters
    ----------
    flow:
        ``(N, 2, h, w)``: x and y of ``d`` for each pixel of :data:`WINDOW`; exactly zero outside the region.
    region:
        ``(N, 1, h, w)`` in [0, 1]: where a mouth and a chin can be.
    """

    flow: Tensor
    region: Tensor


def displacement(example: Tensor, landmarks: Tensor) -> Moved:
    """Where each pixel of each frame is found in the photograph.

    Parameters
    ----------
    example:
        ``(N, 68, 2)`` or ``(1, 68, 2)``: points of the photograph, pixels of the crop.
    landmarks:
        ``(N, 68, 2)``: points of the frames.
    """
    with full_precision(landmarks.device):  # half a pixel of 128 is less than bfloat16 has
        example, landmarks = example.float().expand(len(landmarks), -1, -1), landmarks.float()
        plates = thin_plates(*control_points(example, landmarks), _cells(landmarks.device))  # (2, N, H·W, 2)
        coarse = torch.cat((*plates.mT.unflatten(-1, _SIZE), region(example, landmarks)), dim=1)
        fine = F.interpolate(coarse, scale_factor=CELL, mode="bilinear", align_corners=False)
        upper, lower, shown = fine.split((2, 2, 1), dim=1)  # (N, 2, h, w), (N, 2, h, w), (N, 1, h, w)
        flow = torch.lerp(upper, lower, below_the_lips(landmarks)) * shown  # (N, 2, h, w)
        return Moved(flow, shown)


def below_the_lips(landmarks: Tensor, axes: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """0 above the mouth, 1 below it, and from the one inner lip to the other what lies between.

    Beside the mouth the passage goes on level, and grows wider with the distance from the corner.

    ``(N, 68, 2)`` → ``(N, 1, h, w)``, for each pixel of the window; or for each place of a grid whose
    ``axes`` are y of its rows ``(h,)`` and x of its columns ``(w,)``.
    """
    rows, columns = axes or _axes(1, landmarks.device)  # (h,), (w,)
    lines = inner_lips(landmarks, columns=columns)  # (N, 2, w)
    beside = torch.maximum(landmarks[:, 60, :1] - columns, columns - landmarks[:, 64, :1]).clamp(min=0)
    half = ((lines[:, 1] - lines[:, 0]) / 2).clamp(min=SEAM) + beside / 2  # (N, w)
    share = (rows[:, None] - lines.mean(dim=1)[:, None]) / (2 * half[:, None]) + 0.5  # (N, h, w)
    return share.clamp(0, 1)[:, None]


def between_the_lips(landmarks: Tensor) -> Tensor:
    """1 where the lips are apart, 0 elsewhere, the edge soft over a pixel; zeros where they touch.

    ``(N, 68, 2)`` → ``(N, 1, h, w)``, for each pixel of the window.
    """
    return _covered(*inner_lips(landmarks).unbind(1))


def _covered(upper: Tensor, lower: Tensor) -> Tensor:
    """Which share of each pixel's height lies between two lines, ``(N, w)`` each → ``(N, 1, h, w)``."""
    rows = _axes(1, upper.device)[0][:, None]
    covered = torch.minimum(rows + 0.5, lower[:, None]) - torch.maximum(rows - 0.5, upper[:, None])
    return covered.clamp(0, 1)[:, None]


def unlike_gap(example: Tensor, landmarks: Tensor) -> Tensor:
    """Which share of what is seen between the lips the moved photograph cannot have right.

    In each column ``1 - min / max`` of the gaps of photograph and frame. Where lips part, the inside of the
    photograph's mouth is stretched, or there is none; where they close, it is squeezed into the line where
    they meet, and that line and a pixel around it are taken for what is between them.

    ``(N, 68, 2)`` twice → ``(N, 1, h, w)`` in [0, 1], for each pixel of the window.
    """
    shown, lines = inner_lips(landmarks, example), inner_lips(landmarks)  # (N, 2, w) each
    gap_p, gap_t = ((both[:, 1] - both[:, 0]).clamp(min=0) for both in (shown, lines))  # (N, w) each
    share = (gap_p - gap_t).abs() / torch.maximum(gap_p, gap_t).clamp(min=1e-3)
    half = torch.maximum(gap_t, (gap_p - gap_t).clamp(max=2.0)) / 2  # (N, w)
    middle = lines.mean(dim=1)
    return _covered(middle - half, middle + half) * share[:, None, None]


def inner_lips(landmarks: Tensor, heights_of: Tensor | None = None, columns: Tensor | None = None) -> Tensor:
    """The upper and the lower inner lip as lines from corner to corner, and level beside them.

    Parameters
    ----------
    landmarks:
        ``(N, 68, 2)``.
    heights_of:
        Other faces, ``(N, 68, 2)``, whose heights are wanted where the same points lie in ``landmarks``.
    columns:
        ``(w,)``: x of other columns than the window's.

    Returns
    -------
    ``(N, 2, w)``: y in each column of the window.
    """
    columns = _axes(1, landmarks.device)[1] if columns is None else columns
    upper, lower = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]
    knots = (landmarks[:, upper, :1] + landmarks[:, lower, :1]) / 2  # (N, 5, 1)
    tall = landmarks if heights_of is None else heights_of
    heights = torch.stack((tall[:, upper, 1], tall[:, lower, 1]), dim=-1)  # (N, 5, 2)
    steps = (knots[:, 1:] - knots[:, :-1]).clamp(min=0.5)
    along = ((columns - knots[:, :-1]) / steps).clamp(0, 1)  # (N, 4, w): how far along each piece
    return heights[:, 0, :, None] + (heights[:, 1:] - heights[:, :-1]).mT @ along


def control_points(example: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Points that hold the plates, and by how much each is displaced, ``(N, K, 2)`` both.

    First the 20 of the mouth, then the jaw's. The base of the nose and a ring outside the jaw, beyond the
    region, stay.
    """
    nose, jaw = example[:, FIXED], landmarks[:, JAW][:, ::2]
    centre = landmarks[:, MOUTH].mean(dim=1, keepdim=True)
    outward = jaw - centre
    far = outward.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    ring = centre + outward * (1 + (MARGIN + FADE + 4) / far)
    moving = torch.cat((landmarks[:, MOUTH], jaw), dim=1)
    came_from = torch.cat((example[:, MOUTH], example[:, JAW][:, ::2]), dim=1)
    still = torch.cat((nose, ring), dim=1)
    return torch.cat((moving, still), dim=1), torch.cat((came_from - moving, torch.zeros_like(still)), dim=1)


def thin_plates(held: Tensor, moves: Tensor, places: Tensor) -> Tensor:
    """The plate of the upper lip and that of the lower, through ``moves`` at ``held``, ``(N, K, 2)`` both.

    A plate lets go of the other lip's points: their rows and columns of the equations become those of the
    identity, and nothing is wanted there.

    Returns
    -------
    Tensor
        ``(2, N, P, 2)``: their displacements at ``places`` ``(P, 2)``.
    """
    n, k = held.shape[:2]
    held, places = held / _UNIT, places / _UNIT
    affine = torch.cat((torch.ones_like(held[..., :1]), held), dim=-1)  # (N, K, 3)
    top = torch.cat((_bending(held, held), affine), dim=-1)
    bottom = torch.cat((affine.mT, affine.new_zeros(n, 3, 3)), dim=-1)
    holds = _holds(k, held.device)  # (2, K + 3)
    system = torch.cat((top, bottom), dim=1) * holds[:, None, :, None] * holds[:, None, None, :]
    stiff = torch.where(holds > 0, STIFFNESS, 1.0) * (torch.arange(k + 3, device=held.device) < k)
    system = (system + stiff[:, None, None] * torch.eye(k + 3, device=held.device)).double()
    wanted = (F.pad(moves, (0, 0, 0, 3)) * holds[:, None, :, None]).double()
    try:
        weights = torch.linalg.solve(system, wanted).to(held.dtype)  # (2, N, K + 3, 2)
    except torch.linalg.LinAlgError as error:
        raise InputError("landmarks", "points on one spot or line", "a face") from error
    at = torch.cat((torch.ones_like(places[:, :1]), places), dim=-1)
    return _bending(places, held) @ weights[:, :, :k] + at @ weights[:, :, k:]


@_once
def _holds(k: int, device: torch.device) -> Tensor:
    """Which unknowns each of the two plates has, 1 or 0, ``(2, k + 3)``."""
    holds = torch.ones(2, k + 3)
    holds[0, [i - MOUTH.start for i in (55, 56, 57, 58, 59, 65, 66, 67)]] = 0
    holds[1, [i - MOUTH.start for i in (49, 50, 51, 52, 53, 61, 62, 63)]] = 0
    return holds.to(device)


def _bending(a: Tensor, b: Tensor) -> Tensor:
    """``r² log r²`` between points ``(..., P, 2)`` and ``(..., K, 2)`` → ``(..., P, K)``."""
    dx, dy = (a[..., :, None, i] - b[..., None, :, i] for i in (0, 1))
    squared = dx * dx + dy * dy
    return squared * (squared + 1e-12).log()


def unrest(example: Tensor, landmarks: Tensor) -> Tensor:
    """How far the mouth has moved from the photograph, from 0 to 1: ``r² / (r² + δ²)``.

    ``r`` is the root mean square over the mouth's points. Where the lips lie as the photograph has them the
    photograph is right, and there is nothing to paint. Smooth, so nothing leaps when speech begins.

    ``(N, 68, 2)`` twice → ``(N,)``.
    """
    squared = (landmarks - example)[:, MOUTH].square().sum(dim=-1).mean(dim=-1)
    return squared / (squared + REST**2)


def region(example: Tensor, landmarks: Tensor) -> Tensor:
    """Where a mouth and a chin can be, ``(N, 68, 2)`` twice → ``(N, 1, H, W)`` in [0, 1], for each cell.

    Below the base of the nose and within the jaw, of the photograph or of the frame, whichever reaches
    farther. The jaw counts by its convex hull, seen from 16 directions. 1 inside; towards the nose over
    :data:`NOSE_FADE` and outside the jaw over :data:`FADE` pixels it falls to exactly 0, smoothly.
    """
    directions, along = _directions(landmarks.device)  # (D, 2), (H·W, D)
    both = torch.cat((example[:, JAW], landmarks[:, JAW], example[:, 48:60], landmarks[:, 48:60]), dim=1)
    reach = (both @ directions.T).amax(dim=1)  # (N, D): how far face and mouth reach in each direction
    inside = (reach[:, None] - along).amin(dim=-1)  # (N, H·W): pixels from the nearest edge, inward
    outer = ((inside + MARGIN + FADE) / FADE).clamp(0, 1)
    both = torch.stack((example, landmarks))[..., 1]  # (2, N, 68)
    nose, lip = both[..., 31:36].amax(dim=(0, 2)), both[..., 48:60].amin(dim=(0, 2))  # (N,) each
    fade = (0.8 * (lip - nose)).clamp(1.0, NOSE_FADE)
    cells = _cells(landmarks.device)
    below = ((cells[None, :, 1] - nose[:, None]) / fade[:, None]).clamp(0, 1)
    sides = torch.minimum(cells[:, 0] - WINDOW[1].start, WINDOW[1].stop - 1 - cells[:, 0])
    sides = ((sides - CELL) / FADE).clamp(0, 1)
    shown = _smooth(outer) * _smooth(below) * _smooth(sides)
    return shown.view(-1, 1, *_SIZE)


def _smooth(t: Tensor) -> Tensor:
    return t * t * (3 - 2 * t)


@_once
def _axes(cell: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Middles of the window's cells of so many pixels: y of each row and x of each column."""
    rows, columns = (torch.arange(s.start, s.stop, cell, device=device) + (cell - 1) / 2 for s in WINDOW)
    return rows, columns


@_once
def _cells(device: torch.device) -> Tensor:
    """Middles of the cells that plates are computed for, ``(H·W, 2)``, pixels."""
    y, x = torch.meshgrid(*_axes(CELL, device), indexing="ij")
    return torch.stack((x, y), dim=-1).view(-1, 2)


@_once
def _directions(device: torch.device) -> tuple[Tensor, Tensor]:
    """Unit vectors from side to side by way of below, ``(D, 2)``, and the cells along each, ``(H·W, D)``."""
    angle = torch.linspace(-0.25, np.pi + 0.25, _DIRECTIONS, device=device)
    directions = torch.stack((angle.cos(), angle.sin()), dim=-1)
    return directions, _cells(device) @ directions.T


def warp(maps: Tensor, flow: Tensor) -> Tensor:
    """What the window shows of a photograph that is moved.

    Where nothing is displaced a pixel is the photograph's own, to the last bit. Beyond the edge of the crop
    its edge goes on.

    Parameters
    ----------
    maps:
        The photograph, or features of it, ``(B, C, side, side)``; 128 is a multiple of the side.
    flow:
        ``(B·T, 2, h, w)``, see :class:`Moved`. Of smaller maps each place moves by the mean over its pixels.

    Returns
    -------
    Tensor
        ``(B·T, C, h·side/128, w·side/128)``, float32.
    """
    side = maps.shape[-1]
    factor = CROP_SIZE // side
    if factor > 1:
        flow = F.avg_pool2d(flow, factor) / factor
    rows, columns = (slice(s.start // factor, s.stop // factor) for s in WINDOW)
    moved = looked_up(maps, flow, (rows.start, columns.start))
    still = (flow == 0).all(dim=1, keepdim=True)
    unmoved = each_frame(maps.float()[..., rows, columns], len(flow) // len(maps))
    return torch.where(still, unmoved, moved)


def in_the_crop(window: Tensor) -> Tensor:
    """Maps of the window in a whole crop, zero around it: ``(..., h, w)`` → ``(..., 128, 128)``."""
    (top, bottom), (left, right) = ((s.start, CROP_SIZE - s.stop) for s in WINDOW)
    return F.pad(window, (left, right, top, bottom))


def inner_mouth(landmarks: np.ndarray) -> np.ndarray:
    """Between the inner lips: the polygon of points 60 to 67, its edge soft over a pixel.

    ``(T, 68, 2)``, pixels of the crop → float32 ``(T, 128, 128)`` in [0, 1]; zeros where the lips touch.
    """
    fine, shift = 4, 4
    masks = np.zeros((len(landmarks), CROP_SIZE, CROP_SIZE), np.float32)
    for mask, points in zip(masks, np.asarray(landmarks, np.float64)):
        ring = points[60:68].copy()
        ring[5:8, 1] = np.maximum(ring[5:8, 1], ring[[3, 2, 1], 1])  # lips that cross enclose nothing
        canvas = np.zeros((fine * CROP_SIZE, fine * CROP_SIZE), np.uint8)
        places = np.rint(((ring + 0.5) * fine - 0.5) * 2**shift).astype(np.int32)
        cv2.fillPoly(canvas, [places], 255, cv2.LINE_8, shift)
        mask[:] = cv2.resize(canvas, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA) / 255.0
    return masks


DARK = (64, 32, 28)
"""RGB of the inside of a mouth where nobody has learned it."""


def unlearned_warp(photo: np.ndarray, example: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The photograph moved to each frame's landmarks, the inside of the mouth dark, without a network.

    Parameters
    ----------
    photo:
        uint8 RGB ``(128, 128, 3)``: the aligned crop.
    example:
        ``(68, 2)``: the landmarks in it, pixels of the crop.
    landmarks:
        ``(T, 68, 2)``: where they are to go.

    Returns
    -------
    uint8 RGB ``(T, 128, 128, 3)``. Equal landmarks give the photograph.

    Raises
    ------
    InputError
        See :func:`talkface_lite.clip.check_photograph`.
    """
    check_photograph(photo, example, landmarks)
    image = torch.tensor(photo).movedim(-1, 0)[None].float()
    own, points = (torch.from_numpy(np.asarray(p, np.float32)) for p in (example[None], landmarks))
    film = np.empty((len(points), *photo.shape), np.uint8)
    shown = inner_mouth(example[None])
    for start in range(0, len(points), 50):
        part = points[start : start + 50]
        flow = displacement(own, part).flow
        moved = warp(image, flow).movedim(1, -1).numpy()
        # what the photograph itself shows between its lips is kept: only what opens beyond it is dark
        before = warp(torch.from_numpy(shown)[None], flow)[:, 0].numpy()
        dark = np.clip(inner_mouth(part.numpy())[:, *WINDOW] - before, 0, 1)[..., None]
        film[start : start + 50] = photo
        film[start : start + 50, *WINDOW] = np.rint(moved * (1 - dark) + dark * np.array(DARK, np.float32))
    return film
