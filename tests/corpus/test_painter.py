"""The painter: pictures lie where the landmarks say, views agree, and an outsider sees faces."""

from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.head import neutral_head, skin_fields
from talkface_lite.corpus.identity import BACKGROUNDS, BEARDS, CLOTHES, GLASSES, HAIR_STYLES
from talkface_lite.corpus.painter import warp
from talkface_lite.corpus.painter.brush import Canvas, blend, lay_over, layer, spline_basis
from talkface_lite.corpus.painter.layers import paint, paint_clip, paint_layers, view_transforms
from talkface_lite.corpus.painter.skin import HEAD
from talkface_lite.corpus.painter.warp import CELL, head_maps, relief
from talkface_lite.corpus.sheet import paint_sheet
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform, warp_crop

CHANNELS = ("jaw", "width", "rounding", "upper_lip", "lower_lip", "tongue", "teeth")
PERSON = replace(Identity.draw(1), glasses="none", beard="none")


def articulate(n_frames=1, **channels):
    articulation = np.zeros((n_frames, 7))
    for name, value in channels.items():
        articulation[:, CHANNELS.index(name)] = value
    return articulation


def pose(person, articulation, **motion):
    return face_points(person, articulation, Motion.hold(len(articulation), **motion))


def changed(a, b, by=6):
    return (np.abs(a.astype(int) - b.astype(int)).max(-1) > by).astype(np.uint8)


def inside_lips(landmarks, size=128, margin=0.0):
    """Mask of the inner contour of the lips, grown by ``margin`` pixels."""
    mask = np.zeros((size, size), np.uint8)
    scale = size / 128
    ring = (landmarks[60:68] + 0.5) * scale - 0.5
    cv2.fillPoly(mask, [np.rint(ring * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    grow = round(2 * margin * scale) + 1
    return cv2.dilate(mask, np.ones((grow, grow), np.uint8))


def test_a_frame_is_a_picture():
    geometry = pose(PERSON, articulate())
    for view, size in (("crop", 128), ("camera", 256)):
        picture = paint(PERSON, geometry, 0, view)
        assert picture.shape == (size, size, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 20
    assert paint(PERSON, geometry, 0, "camera", 96).shape == (96, 96, 3)


def test_painting_again_gives_the_same_bytes():
    geometry = face_points(PERSON, articulate(3, jaw=[0, 0.4, 0.8]), Motion.draw(2, 3))
    first = paint_clip(PERSON, geometry)
    paint_layers.cache_clear()
    np.testing.assert_array_equal(paint_clip(PERSON, geometry), first)


def test_a_clip_is_its_frames():
    geometry = face_points(PERSON, articulate(4, jaw=[0, 0.3, 0.6, 0.9]), Motion.draw(3, 4))
    clip = paint_clip(PERSON, geometry)
    for t in range(4):
        np.testing.assert_allclose(clip[t].astype(int), paint(PERSON, geometry, t), atol=2)


def test_long_clips_are_worked_out_in_parts(monkeypatch):
    geometry = face_points(PERSON, articulate(5, jaw=0.5), Motion.draw(4, 5))
    views = view_transforms(geometry, "crop", 128)
    whole = head_maps(geometry, relief(geometry.head), views, 128, HEAD)
    monkeypatch.setattr(warp, "_MOST_ROWS", 250)
    np.testing.assert_allclose(head_maps(geometry, relief(geometry.head), views, 128, HEAD), whole, atol=2e-3)


@pytest.mark.parametrize("yaw", [-0.43, 0.0, 0.43])
def test_the_painted_skin_lies_where_its_depth_puts_it(yaw):
    """From the output back to the head and out again: the warp is the inverse of the projection."""
    person = Identity.draw(8)
    articulation = articulate(jaw=0.7, width=0.5, lower_lip=0.5)
    geometry = pose(person, articulation, yaw=yaw, pitch=0.1, roll=-0.1, brows=0.8)
    views = view_transforms(geometry, "crop", 256)
    head = neutral_head(person)
    found = head_maps(geometry, relief(head), views, 256, HEAD)[0]
    x, y = found[..., 0] / HEAD.scale + HEAD.x, found[..., 1] / HEAD.scale + HEAD.y
    z = head.depth(x, y)
    shift = np.einsum("k,...kc->...c", geometry.movement[0], skin_fields(head, x, y, z))
    moved = np.stack([x, y, z], -1) + shift
    there = apply_transform(geometry.project(moved.reshape(1, -1, 3)), views)[0].reshape(*x.shape, 2)
    at = (np.arange(256 // CELL + 2) - 0.5) * CELL - 0.5
    wanted = np.stack(np.meshgrid(at, at), -1)
    # about the mouth the skin tears when the jaw drops; the lips are painted over it
    lips = (np.abs(x - 64) < 24) & (np.abs(y - 96) < 16)
    error = np.linalg.norm(there - wanted, axis=-1)[(head.inside(x, y) > 4) & ~lips]
    assert len(error) > 300
    assert np.median(error) < 0.2
    assert np.percentile(error, 98) < 1.0


def test_crop_and_camera_view_show_the_same():
    person = Identity.draw(30)
    geometry = pose(person, articulate(jaw=0.5, teeth=0.6), yaw=0.2, pitch=-0.08, roll=0.12)
    crop = paint(person, geometry, 0).astype(float)
    camera = paint(person, geometry, 0, "camera", 768)
    scale = view_transforms(geometry, "camera", 768)[0]
    to_crop = np.vstack([geometry.matrix[0], [0, 0, 1]]) @ np.linalg.inv(np.vstack([scale, [0, 0, 1]]))
    cut = warp_crop(camera, to_crop[:2]).astype(float)
    assert np.abs(cut - crop).mean() < 2.5
    shifted = np.abs(np.roll(cut, 2, axis=0) - crop).mean()
    assert shifted > 1.5 * np.abs(cut - crop).mean()


@pytest.mark.parametrize("seed", [1, 13, 30, 41])
def test_teeth_and_tongue_stay_inside_the_lips(seed):
    person = Identity.draw(seed)
    for yaw in (-0.35, 0.0, 0.3):
        hidden = pose(person, articulate(jaw=0.55), yaw=yaw)
        shown = pose(person, articulate(jaw=0.55, teeth=1, tongue=1), yaw=yaw)
        np.testing.assert_array_equal(hidden.landmarks, shown.landmarks)
        difference = changed(paint(person, hidden, 0), paint(person, shown, 0))
        allowed = inside_lips(shown.landmarks[0], margin=1.5)
        assert difference.sum() > 20
        assert not (difference & ~allowed & 1).any()


def test_the_mouth_opens_where_the_landmarks_say():
    open_ = pose(PERSON, articulate(jaw=0.8), yaw=0.15)
    picture = paint(PERSON, open_, 0, size=512).astype(int)
    mouth = inside_lips(open_.landmarks[0], 512).astype(bool)
    ring = inside_lips(open_.landmarks[0], 512, margin=3).astype(bool) & ~inside_lips(
        open_.landmarks[0], 512, margin=1
    ).astype(bool)
    assert picture[mouth].mean() < picture[ring].mean() - 25


def test_closed_lips_show_no_teeth():
    shut = pose(PERSON, articulate())
    with_teeth = pose(PERSON, articulate(teeth=1, tongue=1))
    np.testing.assert_array_equal(paint(PERSON, shut, 0), paint(PERSON, with_teeth, 0))


def test_gaze_moves_the_iris_and_blinks_hide_it():
    def dark_column(picture, geometry):
        eye = geometry.landmarks[0, 42:48]
        (x0, y0), (x1, y1) = np.floor(eye.min(0)).astype(int), np.ceil(eye.max(0)).astype(int)
        grey = picture[y0 : y1 + 1, x0 + 2 : x1 - 1].astype(float).mean(-1)
        weight = np.maximum(120 - grey, 0).sum(0)
        return (weight * np.arange(len(weight))).sum() / weight.sum()

    def look(**motion):
        geometry = pose(PERSON, articulate(), **motion)
        return paint(PERSON, geometry, 0), geometry

    assert dark_column(*look(gaze=(0.8, 0))) > dark_column(*look(gaze=(-0.8, 0))) + 2
    open_, geometry = look()
    shut, _ = look(blink=1)
    eye = np.zeros((128, 128), np.uint8)
    cv2.fillPoly(eye, [np.rint(geometry.landmarks[0, 42:48]).astype(np.int32)], 1)
    white = open_[eye > 0].min(-1) > 150
    assert white.mean() > 0.15
    assert (shut[eye > 0].min(-1) > 215).mean() < 0.02


def test_every_hair_style_covers_the_head_in_its_own_way():
    person = replace(PERSON, background="plain")
    geometry = pose(person, articulate(), yaw=0.2)
    pictures = {hair: paint(replace(person, hair=hair), geometry, 0, "camera", 96) for hair in HAIR_STYLES}
    bald = pictures.pop("bald")
    for hair, picture in pictures.items():
        assert changed(picture, bald, 12)[:60].mean() > 0.01, hair
    assert len({picture.tobytes() for picture in pictures.values()}) == len(HAIR_STYLES) - 1


def test_every_look_can_be_painted():
    pictures = set()
    for k in range(max(map(len, (BEARDS, GLASSES, CLOTHES, BACKGROUNDS)))):
        looks = {
            "beard": BEARDS[k % len(BEARDS)],
            "glasses": GLASSES[k % len(GLASSES)],
            "clothes": CLOTHES[k % len(CLOTHES)],
            "background": BACKGROUNDS[k % len(BACKGROUNDS)],
        }
        person = replace(PERSON, freckles=0.5 * (k % 2), striped=k % 2 == 0, earrings=k % 2 == 1, **looks)
        pictures.add(paint(person, pose(person, articulate(jaw=0.3)), 0, "camera", 96).tobytes())
    assert len(pictures) == k + 1


def test_a_beard_moves_with_the_jaw():
    person = replace(PERSON, beard="full", beard_colour=(20, 20, 20), skin=(240, 205, 180))
    open_ = pose(person, articulate(jaw=1))
    smooth, bearded = (paint(p, open_, 0) for p in (replace(person, beard="none"), person))
    chin = open_.landmarks[0, 8]
    x, y = int(chin[0]), int(min(chin[1], 126)) - 4
    assert smooth[y, x].mean() > bearded[y, x].mean() + 40


def test_errors():
    geometry = pose(PERSON, articulate())
    with pytest.raises(InputError, match="view"):
        paint(PERSON, geometry, 0, "side")
    with pytest.raises(InputError, match="size"):
        paint(PERSON, geometry, 0, "crop", 130)
    with pytest.raises(InputError, match="frame"):
        paint(PERSON, geometry, 1)


def test_sheet():
    sheet = paint_sheet(rows=1, columns=2, size=64, margin=2)
    assert sheet.shape == (68, 134, 3)
    assert changed(sheet[2:66, 2:66], sheet[2:66, 68:132]).mean() > 0.2


# --- tools --------------------


def test_curves_go_through_their_points():
    points = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose((spline_basis(5, 41) @ points)[::10], points, atol=1e-12)
    np.testing.assert_allclose(spline_basis(6, 30, True).sum(1), 1)
    line = np.stack([np.arange(4.0), 2 * np.arange(4.0)], 1)
    np.testing.assert_allclose((spline_basis(4, 13) @ line)[:, 1], 2 * np.linspace(0, 3, 13), atol=1e-12)


def test_layers_cover_by_their_alpha():
    alpha = np.array([[0.0, 0.5, 1.0]], np.float32)
    top = layer(np.full((1, 3, 3), 200, np.float32), alpha)
    under = np.full((1, 3, 4), 100, np.uint8)
    lay_over(under, top)
    np.testing.assert_allclose(under[0, :, 0], [100, 150, 200], atol=1)


def test_blend_touches_only_its_mask():
    canvas = Canvas.over(0, 0, 20, 20, 2)
    colour = np.zeros((canvas.height, canvas.width, 3), np.float32)
    blend(colour, (100, 50, 0), canvas.fill(np.array([[5, 5], [10, 5], [10, 10], [5, 10]], float)))
    np.testing.assert_allclose(colour[15, 15], (100, 50, 0))
    assert colour[30:].max() == colour[:, 30:].max() == 0


# --- the outsider --------------------


@pytest.mark.skipif(find_spec("dlib") is None, reason="dlib is not installed")
def test_an_outsider_sees_faces():
    from talkface_lite.corpus.outsider import judge

    verdict = judge(6, 12, seed=0, clips=1, clip_step=3)
    assert verdict.found >= 0.98
    assert verdict.error <= 5
    assert verdict.mouth_error <= 6
    assert verdict.correlation_lowest >= 0.7
