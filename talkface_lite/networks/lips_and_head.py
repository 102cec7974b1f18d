"""A face's landmarks taken apart into lips and head, and put together again.

Wang et al. (2020) learn the lips and the head in two branches. The paper gives numbers and not points: 42
come out of the one branch, 100 out of the other. There is one way to read them: 20 points of the mouth and
the tip of the nose make 42; the 48 points that are no mouth and its two corners make 100; and the three that
are in both (30, 48, 54), "nose tip and two mouth corners", are where the two are put together (sections 3.1
and 3.2).

Lips are *calibrated*: a map lays these three on the same places whoever speaks and however the head is
turned. Three points fix an affine map, and after it the corners of every mouth are where the template has
them: **the width of the lips is no longer in the lip branch**. It comes back when the head's corners are put
in their place. A similarity cannot meet three points; it takes place, size and turn out of the lips and
leaves their width.

Landmarks are in pixels of the 128×128 head's frame (:mod:`talkface_lite.framing`).
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from talkface_lite.clip import CROP_SIZE
from talkface_lite.errors import InputError
from talkface_lite.framing import TO_HEAD, WHOLE_HEAD
from talkface_lite.landmarks import apply_transform

Calibration = Literal["affine", "similarity"]
"""How three points are laid on three others."""

NOSE_TIP, RIGHT_CORNER, LEFT_CORNER = 30, 48, 54
LIPS: tuple[int, ...] = (*range(48, 68), NOSE_TIP)
"""The 21 points of the lip branch, 42 numbers."""
HEAD: tuple[int, ...] = (*range(48), RIGHT_CORNER, LEFT_CORNER)
"""The 50 points of the head branch, 100 numbers."""
SHARED = (NOSE_TIP, RIGHT_CORNER, LEFT_CORNER)
IN_LIPS, IN_HEAD = ([points.index(i) for i in SHARED] for points in (LIPS, HEAD))
"""Where the three stand in each."""

PLACES = torch.tensor(apply_transform([[64, 72], [46, 92], [82, 92]], TO_HEAD))
"""Of the template: where tip of the nose and corners of the mouth are laid, float64 ``(3, 2)``. Ours: near
the mean of the drawn faces."""

PAPER_SIDE = 300
"""Side of the paper's crops, pixels. The loss sees landmarks in these, so that its w = 10 is the paper's."""
PAPER_PIXELS = PAPER_SIDE / CROP_SIZE

FLATTEST = 1e-3
"""Least area of the parallelogram of the three, pixels²: on a line they fix no map."""


class Apart(NamedTuple):
    """A face in two."""

    lips: Tensor
    """``(..., 21, 2)``: points 48 to 67 and the tip of the nose, calibrated."""
    head: Tensor
    """``(..., 50, 2)``: points 0 to 47 and the corners of the mouth, as they are."""


def take_apart(landmarks: Tensor, calibration: Calibration = "affine") -> Apart:
    """Lips and head of faces ``(..., 68, 2)``, pixels.

    Raises
    ------
    InputError
        When nose tip and corners of a mouth lie on one line.
    """
    lips = landmarks[..., LIPS, :]
    to_template = fitted(landmarks[..., SHARED, :], PLACES.to(landmarks.device), calibration)
    return Apart(moved_by(lips, to_template), landmarks[..., HEAD, :])


def put_together(lips: Tensor, head: Tensor, calibration: Calibration = "affine") -> Tensor:
    """⊕ of Eq. 6: lips ``(..., 21, 2)`` laid into a head ``(..., 50, 2)`` by the three points of both.

    The head has the rest: what is in both is taken from the head. Undoes :func:`take_apart`, to rounding.

    Returns
    -------
    ``(..., 68, 2)``, pixels.

    Raises
    ------
    InputError
        When the three points of some lips lie on one line.
    """
    to_head = fitted(lips[..., IN_LIPS, :], head[..., IN_HEAD, :], calibration)
    mouth = moved_by(lips[..., :-1, :], to_head)  # (..., 20, 2)
    if calibration == "affine":  # the corners meet to rounding: take them as they are
        mouth = mouth.clone()
        mouth[..., [0, 6], :] = head[..., -2:, :]
    return torch.cat((head[..., :48, :], mouth), dim=-2)


def fitted(source: Tensor, target: Tensor, calibration: Calibration = "affine") -> Tensor:
    """The map that lays three points on three others, float64 ``(..., 2, 3)``.

    Parameters
    ----------
    source, target:
        ``(..., 3, 2)``; leading axes broadcast. For a similarity ``(..., N, 2)``.
    calibration:
        ``"affine"``: exactly. ``"similarity"``: rotation, size and shift alone, with the least squared
        distance.
    """
    if calibration not in get_args(Calibration):
        raise InputError("calibration", repr(calibration), " or ".join(get_args(Calibration)))
    source, target = source.double(), target.double()
    s, t = (points - points.mean(dim=-2, keepdim=True) for points in (source, target))
    if calibration == "affine":
        edges_s, edges_t = ((p[..., 1:, :] - p[..., :1, :]).mT for p in (s, t))  # (..., 2, 2): columns
        area = torch.linalg.det(edges_s)
        if not (area.abs() > FLATTEST).all():
            raise InputError("landmarks", "nose tip and corners of the mouth on one line", "a face")
        linear = edges_t @ torch.linalg.inv(edges_s)  # (..., 2, 2)
    else:
        spread = s.square().sum(dim=(-2, -1))
        if not (spread > FLATTEST).all():
            raise InputError("landmarks", "nose tip and corners of the mouth in one place", "a face")
        real = (s * t).sum(dim=(-2, -1)) / spread
        turned = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(dim=-1) / spread
        rows = torch.stack((real, -turned), dim=-1), torch.stack((turned, real), dim=-1)
        linear = torch.stack(rows, dim=-2)  # (..., 2, 2)
    shift = target.mean(dim=-2) - (linear @ source.mean(dim=-2)[..., None])[..., 0]
    return torch.cat((linear, shift[..., None]), dim=-1)


def by_photograph(photograph: Tensor) -> Tensor:
    """The map that cuts a photograph's head frame, float64 ``(B, 2, 3)``: nose and eyes ``(B, 68, 2)`` on the
    template's places.

    A clip is cut by the mean of all its heads, and where its first head is in that frame tells where the
    others will be. A photograph knows of no film: landmarks that are cut by it tell nothing.
    """
    places = torch.tensor(WHOLE_HEAD.places, device=photograph.device)
    return fitted(photograph[..., WHOLE_HEAD.points, :], places, "similarity")


def undone(matrix: Tensor) -> Tensor:
    """The affine maps that undo ``(..., 2, 3)``."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat((linear, -linear @ matrix[..., 2:]), dim=-1)


def moved_by(points: Tensor, matrix: Tensor) -> Tensor:
    """Points ``(..., N, 2)`` by affine maps ``(..., 2, 3)``, in their own precision."""
    moved = points.double() @ matrix[..., :2].mT + matrix[..., None, :, 2]
    return moved.to(points.dtype)
