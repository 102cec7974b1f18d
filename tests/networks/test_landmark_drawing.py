"""Landmarks drawn as thin lines, for networks."""

import cv2
import numpy as np
import pytest
import torch

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.framing import in_frame
from talkface_lite.landmarks import LINES, smooth_curve
from talkface_lite.networks.landmark_drawing import drawn


@pytest.fixture(scope="module")
def points():
    """Landmarks of a whole head, ``(T, 68, 2)``."""
    clip = draw_clip(3, text="no ma", view="camera", paint=False)
    return torch.from_numpy(in_frame(clip, "head").landmarks)


def straight(y=40.0):
    """A face whose jaw is one level line, and all else far outside."""
    face = torch.full((1, 68, 2), -500.0)
    face[0, :17, 0] = torch.linspace(20, 100, 17)
    face[0, :17, 1] = y
    return face


@pytest.mark.parametrize("side", [128, 256])
def test_it_is_what_opencv_draws_line_by_line(points, side):
    drawing = drawn(points[:2], side)
    assert drawing.shape == (2, 3, side, side)
    assert drawing.dtype == torch.float32
    expected = np.zeros((2, 3, side, side), np.uint8)
    for face, canvases in zip(points[:2].double().numpy(), expected):
        for group, indices in LINES:
            curve = (smooth_curve(face[list(indices)]) + 0.5) * side / 128 - 0.5
            channel = ["outer_lips", "inner_lips"].index(group) + 1 if "lips" in group else 0
            # all curves have many points: that they are drawn thin is what the next test asks
            steps = np.rint(curve * 16).astype(np.int32)
            cv2.polylines(canvases[channel], [steps], False, 255, side // 128, cv2.LINE_AA, 4)
    difference = (drawing - torch.from_numpy(expected) / 255).abs()
    assert (difference > 2 / 255).float().mean() < 1e-4  # a coordinate may round to the other side
    assert drawing.min() == 0
    assert 0.75 < drawing.max() <= 1
    assert drawing.max() == 1 or side == 128  # only wide lines cover a pixel


@pytest.mark.parametrize(("side", "least", "most"), [(128, 1.0, 1.5), (256, 2.0, 4.0)])
@pytest.mark.parametrize("y", [40.0, 40.5, 40.25])
def test_a_line_lies_where_it_should_and_is_thin(side, least, most, y):
    column = drawn(straight(y), side)[0, 0, :, side // 2]
    assert least < column.sum() < most
    centre = (column * torch.arange(side)).sum() / column.sum()
    assert centre == pytest.approx((y + 0.5) * side / 128 - 0.5, abs=0.1)
    row = drawn(straight(y), side)[0, 0].sum(dim=0).nonzero()[:, 0]
    ends = [float((x + 0.5) * side / 128 - 0.5) for x in (20, 100)]
    assert [row.min(), row.max()] == pytest.approx(ends, abs=2.6)


def test_every_point_is_on_its_own_channel_and_lines_are_not_closed(points):
    face = points[:1]
    drawing = drawn(face)[0]
    columns, rows = face[0].round().long().unbind(-1)
    for k in range(68):
        channel = 0 if k < 48 else 1 if k < 60 else 2
        around = drawing[:, rows[k] - 1 : rows[k] + 2, columns[k] - 1 : columns[k] + 2].amax(dim=(1, 2))
        assert around[channel] > 0.25, k
    trough = straight()
    trough[0, 1:16, 1] = 90.0  # there is no straight way back from the end of the jaw to where it began
    assert drawn(trough)[0, 0, 88:93, 64].max() > 0.5
    assert not drawn(trough)[0, 0, :80, 64].any()


@pytest.mark.parametrize(("moved", "changes"), [(slice(0, 48), 0), (slice(48, 60), 1), (slice(60, 68), 2)])
def test_each_part_of_a_face_changes_its_own_channel_alone(points, moved, changes):
    other = points[:1].clone()
    other[:, moved] += 2
    differs = (drawn(other) != drawn(points[:1]))[0].flatten(1).any(dim=1)
    assert differs.tolist() == [channel == changes for channel in range(3)]


def test_each_face_by_itself_and_no_gradient(points):
    faces = points[[0, 5, 9]].clone().requires_grad_()
    drawings = drawn(faces)
    assert not drawings.requires_grad
    for face, drawing in zip(faces, drawings):
        assert torch.equal(drawn(face[None])[0], drawing)
    assert not torch.equal(drawings[0], drawings[2])
    assert torch.equal(drawn(faces.double()), drawings)
    assert drawn(faces[:0]).shape == (0, 3, 128, 128)
    assert not drawn(faces + 1000).any()


def test_what_cannot_be_drawn(points):
    with pytest.raises(InputError, match=r"landmarks: got shape \(68, 2\), expected shape \(N, 68, 2\)"):
        drawn(points[0])
    with pytest.raises(InputError, match=r"landmarks: got shape \(1, 67, 2\)"):
        drawn(points[:1, 1:])
    broken = points[:1].clone()
    broken[0, 5, 1] = torch.nan
    with pytest.raises(InputError, match="landmarks: got values that are NaN or infinite"):
        drawn(broken)
