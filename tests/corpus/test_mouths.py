"""What is seen when lips part: teeth, tongue and dark where they belong, lips of every colour, a round oo."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from talkface_lite.corpus import sheet
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter.layers import paint, paint_clip, view_transforms
from talkface_lite.corpus.painter.mouth import mouth_curves
from talkface_lite.landmarks import apply_transform, lip_opening

CHANNELS = ("jaw", "width", "rounding", "upper_lip", "lower_lip", "tongue", "teeth")
PEOPLE = [Identity.draw(seed) for seed in range(400)]
PLAIN = replace(
    Identity.draw(1),
    glasses="none",
    beard="none",
    moustache_hang=0,
    crooked=0,
    diastema=0,
    missing_tooth=-1,
    tooth_gaps=0.2,
)
SIZE = 512


def pose(person, n_frames=1, **channels):
    articulation = np.zeros((n_frames, 7))
    for name, value in channels.items():
        articulation[:, CHANNELS.index(name)] = value
    return face_points(person, articulation, Motion.hold(n_frames))


def said(person, name):
    spoken = sheet.SAID[name]
    spoken = spoken[0] if len(spoken) == 2 else spoken
    return face_points(person, np.array(spoken, float)[None], Motion.hold(1))


def curves_of(person, geometry):
    views = view_transforms(geometry, "crop", SIZE)

    def to_view(points):
        return apply_transform(geometry.project(points), views)

    return mouth_curves(person, geometry, to_view(geometry.points)[:, 48:], to_view)


def inside_lips(geometry, grow=0):
    """Mask of the opening, from the 8 inner points of the truth, ``grow`` pixels of the crop larger."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    ring = (geometry.landmarks[0, 60:68] + 0.5) * SIZE / 128 - 0.5
    cv2.fillPoly(mask, [np.rint(ring * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    side = round(2 * abs(grow) * SIZE / 128) + 1
    change = cv2.dilate if grow >= 0 else cv2.erode
    return change(mask, np.ones((side, side), np.uint8)).astype(bool)


def difference(one, other, geometry, by=4):
    a, b = (paint(person, geometry, 0, size=SIZE).astype(int) for person in (one, other))
    return np.abs(a - b).max(-1) > by


# --- who has which mouth --------------------


def test_every_property_keeps_its_range_and_uses_it():
    ranges = {
        "lip_edge": (0, 1),
        "tooth_size": (0.86, 1.14),
        "tooth_show": (-1.4, 1.8),
        "lower_tooth_show": (-1.4, 1.4),
        "overbite": (-0.8, 2.4),
        "crooked": (0, 1),
        "tooth_gaps": (0, 1),
        "moustache_hang": (0, 0.7),
        "smile": (-0.35, 1.2),
    }
    for name, (low, high) in ranges.items():
        drawn = np.array([getattr(person, name) for person in PEOPLE])
        assert low - 1e-9 <= drawn.min(), name
        assert drawn.max() <= high + 1e-9, name
        assert np.ptp(drawn) > 0.7 * (high - low), name
    gaps = np.array([person.diastema for person in PEOPLE])
    assert 0.03 < (gaps > 0).mean() < 0.2
    assert ((gaps == 0) | ((gaps >= 0.6) & (gaps <= 1.5))).all()
    missing = np.array([person.missing_tooth for person in PEOPLE])
    assert set(missing) <= set(range(-1, 10))
    assert 0.01 < (missing >= 0).mean() < 0.12


def test_teeth_run_from_white_to_dark_and_are_never_bluish():
    teeth = np.array([person.tooth_colour for person in PEOPLE], float)
    assert teeth.mean(1).max() > 230
    assert teeth.mean(1).min() < 175
    assert (teeth[:, 0] >= teeth[:, 1]).all()
    assert (teeth[:, 1] >= teeth[:, 2]).all()


def test_lips_have_every_colour_and_none_is_lighter_than_its_skin():
    skin, upper, lower = (
        np.array([getattr(person, name) for person in PEOPLE], float)
        for name in ("skin", "lip_colour", "lower_lip_colour")
    )
    light = upper.mean(1) / skin.mean(1)
    red = (upper[:, 0] / upper[:, 1]) / (skin[:, 0] / skin[:, 1])
    bare = np.array([person.lipstick == 0 for person in PEOPLE])
    assert light.max() <= 0.81
    assert (lower.mean(1) / skin.mean(1)).max() <= 0.93
    # hardly darker and hardly redder than the skin, and the other end; lipstick goes further
    assert light[bare].max() > 0.74
    assert light[bare].min() < 0.6
    assert red[bare].min() < 1.4 < 1.7 < red[bare].max()
    assert red[~bare].max() > 2.5
    assert np.median(lower.mean(1) / upper.mean(1)) > 1.05
    assert (upper[:, 0] >= upper[:, 2]).all()


def test_the_dark_is_darker_than_the_lips_and_the_moustache_has_a_beard():
    for person in PEOPLE:
        assert np.mean(person.cavity) < 0.45 * np.mean(person.lip_colour)
        assert (person.moustache_hang > 0) == (person.beard in ("moustache", "goatee", "full"))
    dark = np.array([np.mean(person.cavity) for person in PEOPLE])
    assert dark.min() < 10
    assert dark.max() > 28


def test_the_mouth_has_its_own_stream():
    """What identity 3 was before mouths had properties; smile, lips and their colour alone may differ."""
    person = Identity.draw(3)
    assert person.skin == (239, 197, 160)
    assert person.eye_colour == (118, 104, 58)
    assert (person.hair, person.clothes, person.background) == ("curly", "shirt", "discs")
    assert (person.wall, person.accent) == ((240, 226, 216), (172, 208, 198))
    assert person.lipstick == pytest.approx(0.7319012588800945)
    assert person.blush == pytest.approx(0.3841157150712932)
    assert person.freckles == pytest.approx(0.58405874026079)
    assert person.light[0] == pytest.approx(-0.4825014449232904)


def test_every_property_is_documented():
    for item in fields(Identity):
        if item.name in ("tooth_colour", "diastema", "cavity", "moustache_hang", "lip_edge", "overbite"):
            assert item.name in Identity.__doc__


# --- geometry --------------------


def opening_shape(person, geometry):
    """Width and height of what is open, as painted, template pixels."""
    curves = curves_of(person, geometry)
    gap = (curves.inner_low[0] - curves.inner_top[0])[:, 1]
    apart = curves.inner_top[0][gap > 0.15 * gap.max(), 0]
    return np.ptp(apart) / curves.unit[0], gap.max() / curves.unit[0]


def test_a_rounded_opening_is_round_and_a_spread_one_wide():
    for person in PEOPLE[:40]:
        narrow, high = opening_shape(person, pose(person, jaw=0.24, rounding=1, width=-0.3))
        wide, low = opening_shape(person, pose(person, jaw=0.24, width=0.6))
        assert narrow < 0.55 * wide
        assert high / narrow > 1.8 * low / wide
        assert high / narrow > 0.2


def test_rounding_brings_the_corners_in_and_swells_the_lips():
    for person in PEOPLE[:12]:
        rest, round_ = pose(person).points[0], pose(person, rounding=1).points[0]
        assert np.ptp(round_[48:60, 0]) < 0.8 * np.ptp(rest[48:60, 0])
        assert (round_[57, 1] - round_[66, 1]) > 1.1 * (rest[57, 1] - rest[66, 1])
        assert (round_[62, 1] - round_[51, 1]) > 1.05 * (rest[62, 1] - rest[51, 1])


def test_a_ring_narrows_towards_its_sides_and_a_slit_does_not():
    for person in PEOPLE[:12]:
        ring = pose(person, jaw=0.3, rounding=1).points[0, :, 1]
        slit = pose(person, jaw=0.3, width=0.5).points[0, :, 1]
        assert ring[67] - ring[61] < 0.72 * (ring[66] - ring[62])
        assert slit[67] - slit[61] > 0.88 * (slit[66] - slit[62])


def test_a_smile_parts_the_lips_over_the_teeth_and_lifts_the_corners():
    for person in PEOPLE[:12]:
        rest, smile = pose(person).points[0], said(person, "smile").points[0]
        assert np.ptp(smile[48:60, 0]) > 1.08 * np.ptp(rest[48:60, 0])
        assert smile[[48, 54], 1].mean() < rest[[48, 54], 1].mean() - 0.3
        assert 1.5 < lip_opening(said(person, "smile").landmarks)[0] < 6


def test_lips_that_hardly_part_touch_beside_the_opening():
    geometry = pose(PLAIN, 3, jaw=[0.08, 0.3, 0.8])
    curves = curves_of(PLAIN, geometry)
    width = [np.count_nonzero(row > 0.5) for row in curves.open]
    assert width[0] < width[1] < width[2]
    np.testing.assert_allclose(curves.inner_top[:, [0, -1]], curves.inner_low[:, [0, -1]], atol=1e-9)
    assert (curves.inner_low[..., 1] >= curves.inner_top[..., 1] - 1e-9).all()


def test_the_lower_lip_does_most_of_the_opening():
    for person in PEOPLE[:12]:
        moved = (pose(person, jaw=0.5).points - pose(person).points)[0]
        assert moved[66, 1] > 5 * abs(moved[62, 1])


# --- teeth --------------------


def test_teeth_follow_skull_and_jaw():
    inside = curves_of(PLAIN, pose(PLAIN, 2, jaw=[0.1, 0.6])).inside
    moved = np.diff(inside.upper, axis=0), np.diff(inside.lower, axis=0)
    assert np.abs(moved[0]).max() < 0.3 * SIZE / 128
    assert moved[1][..., 1].min() > 4 * SIZE / 128


def test_straight_teeth_are_mirrored_and_crooked_ones_are_not():
    def edges(person):
        teeth = curves_of(person, pose(person, jaw=0.4)).inside.upper[0]
        return teeth[:, 2:4].mean(1)

    straight, crooked = edges(PLAIN), edges(replace(PLAIN, crooked=1.0))
    np.testing.assert_allclose(straight[:, 1], straight[::-1, 1], atol=0.05)
    stray = np.linalg.norm(crooked - straight, axis=1) * 128 / SIZE
    assert 0.2 < stray.max() < 1.5  # template pixels: crooked, not scattered


def test_a_gap_shows_the_dark():
    geometry = pose(PLAIN, jaw=0.35, upper_lip=0.8, teeth=0.8)
    whole = paint(PLAIN, geometry, 0, size=SIZE).astype(int)
    x, y = np.rint(curves_of(PLAIN, geometry).inside.upper[0, 4:6, 1:5].mean((0, 1))).astype(int)
    x, y = x, y - round(1.0 * SIZE / 128)  # between the two front teeth, a little above their edges
    for change in ({"diastema": 1.4}, {"missing_tooth": 4}, {"missing_tooth": 5}):
        gapped = paint(replace(PLAIN, **change), geometry, 0, size=SIZE).astype(int)
        near = np.s_[y - 2 : y + 3, x - 12 : x + 13]
        assert (whole[near].mean(-1) - gapped[near].mean(-1)).max() > 60, change


def test_teeth_of_a_colour_are_painted_in_it():
    geometry = said(PLAIN, "smile")
    mask = inside_lips(geometry, -0.6)
    white = paint(replace(PLAIN, tooth_colour=(242, 238, 230)), geometry, 0, size=SIZE)[mask].mean(0)
    dark = paint(replace(PLAIN, tooth_colour=(184, 160, 118)), geometry, 0, size=SIZE)[mask].mean(0)
    assert white.mean() > dark.mean() + 25
    assert (white[0] - white[2]) < (dark[0] - dark[2])


@pytest.mark.parametrize("seed", [2, 7, 12, 33])
@pytest.mark.parametrize("name", ["parted", "smile", "ah", "ee", "oo", "f", "th, l"])
def test_what_is_inside_shows_only_between_the_lips(seed, name):
    person = PEOPLE[seed]
    geometry = said(person, name)
    other = replace(person, tooth_colour=(20, 90, 200), tongue_colour=(20, 200, 20), cavity=(90, 0, 90))
    seen = difference(person, other, geometry)
    assert seen.sum() > 60
    assert not (seen & ~inside_lips(geometry, 1.5)).any()


@pytest.mark.parametrize("seed", [1, 6, 12, 41])
def test_shut_lips_show_nothing_of_the_inside(seed):
    person = PEOPLE[seed]
    other = replace(
        person, tooth_colour=(20, 90, 200), tongue_colour=(20, 200, 20), cavity=(90, 0, 90), tooth_show=1.8
    )
    for channels in ({}, {"upper_lip": -1, "lower_lip": -0.4}, {"rounding": 1, "tongue": 1, "teeth": 1}):
        geometry = pose(person, **channels)
        np.testing.assert_array_equal(paint(person, geometry, 0), paint(other, geometry, 0))


# --- tongue and dark --------------------


def test_an_open_mouth_is_darkest_inside():
    for person in PEOPLE[:24]:
        geometry = pose(person, jaw=0.7)
        picture = paint(person, geometry, 0, size=SIZE).astype(float).mean(-1)
        mask = inside_lips(geometry, -1)
        ring = inside_lips(geometry, 2.5) & ~inside_lips(geometry, 0.5)
        assert np.percentile(picture[mask], 10) < 0.75 * np.percentile(picture[ring], 10)


def test_little_light_finds_its_way_between_lips():
    """Teeth stand in the shade of the lips: those of a smile are about half as light as the skin."""
    fair = [person for person in PEOPLE[:80] if person.skin_depth < 0.4 and person.beard == "none"]
    light = []
    for person in fair:
        geometry = said(person, "smile")
        grey = paint(person, geometry, 0, size=SIZE).astype(float).mean(-1)
        light.append(grey[inside_lips(geometry, -0.3)].mean() / np.mean(person.skin))
    assert 0.4 < np.median(light) < 0.6  # 0.72 without the shade
    inside = inside_lips(said(PLAIN, "smile"), -0.6)
    dim, lit = (
        paint(replace(PLAIN, mouth_light=share), said(PLAIN, "smile"), 0, size=SIZE)[inside].mean()
        for share in (0.6, 1.05)
    )
    assert 1.3 < lit / dim < 1.05 / 0.6


def test_the_dark_takes_the_persons_colour():
    geometry = pose(PLAIN, jaw=0.7)
    mask = inside_lips(geometry, -1)
    black, red = (
        np.percentile(paint(replace(PLAIN, cavity=c), geometry, 0, size=SIZE)[mask], 25, axis=0)
        for c in ((12, 5, 5), (74, 26, 26))
    )
    assert red[0] > black[0] + 15
    assert red[0] - red[1] > black[0] - black[1] + 10


def test_a_raised_tongue_is_seen_and_a_dental_one_stands_between_the_teeth():
    def redness(**channels):
        geometry = pose(PLAIN, jaw=0.25, upper_lip=0.15, lower_lip=0.2, **channels)
        picture = paint(PLAIN, geometry, 0, size=SIZE).astype(float)
        mask = inside_lips(geometry, -0.5)
        return (picture[..., 0] - picture[..., 1])[mask].mean(), picture[mask].mean()

    low, high, dental = (
        redness(**c)
        for c in ({"tongue": 0, "teeth": 0.3}, {"tongue": 1, "teeth": 0.3}, {"tongue": 0.9, "teeth": 0.6})
    )
    assert high[0] > low[0] + 4
    assert high[1] > low[1] + 5
    between = redness(tongue=0.6, teeth=0.6)
    assert dental[0] > between[0] + 4


def test_the_mouth_opens_without_a_jump():
    """No part of it appears at once: frames of a slow opening differ evenly."""
    for channels in ({}, {"rounding": 1}, {"tongue": 0.9, "teeth": 0.6}):
        geometry = pose(PLAIN, 121, jaw=np.linspace(0, 0.12, 121), **channels)
        clip = paint_clip(PLAIN, geometry)[:, 75:120, 40:90].astype(float)
        step = np.abs(np.diff(clip, axis=0)).mean((1, 2, 3))
        assert step.max() < 3.6 * np.median(step)


# --- moustaches --------------------


def test_a_moustache_hangs_over_the_upper_lip_alone():
    person = replace(PLAIN, beard="moustache", beard_colour=(30, 24, 20))
    geometry = pose(person, jaw=0.4)
    short, long = replace(person, moustache_hang=0.02), replace(person, moustache_hang=0.7)
    seen = difference(long, short, geometry, by=12)
    points = geometry.landmarks[0]
    middle = slice(round(4 * points[61, 0]), round(4 * points[63, 0]))
    rows = np.flatnonzero(seen[:, middle].any(axis=1)) * 128 / SIZE
    assert seen.sum() > 400
    assert rows.max() < points[62, 1] + 1.0  # not below the edge of the upper lip
    lip = np.s_[
        round(4 * points[51, 1]) + 4 : round(4 * points[62, 1]) - 4,
        round(4 * points[50, 0]) : round(4 * points[52, 0]),
    ]
    assert (
        paint(long, geometry, 0, size=SIZE)[lip].mean()
        < paint(short, geometry, 0, size=SIZE)[lip].mean() - 10
    )


# --- the sheet --------------------


def test_the_sheet_of_mouths_shows_everyone_once(tmp_path):
    picture = sheet.paint_mouths(5, rows=1, magnify=2)
    assert picture.shape == (2 * sheet.MOUTH_WINDOW[1], 8 * 2 * sheet.MOUTH_WINDOW[0], 3)
    np.testing.assert_array_equal(
        picture[:, : 2 * sheet.MOUTH_WINDOW[0]], sheet.mouth(5, sheet.SAID["shut"], 2)
    )
    sheet.main(["--mouths", "--rows", "1", "--seed", "5", "--out", str(tmp_path / "mouths.png")])
    assert cv2.imread(str(tmp_path / "mouths.png")).shape[1] == 8 * 4 * sheet.MOUTH_WINDOW[0]


def test_the_sheet_of_mouths_never_overwrites_the_books(capsys):
    with pytest.raises(SystemExit):
        sheet.main(["--mouths"])
    assert "--out" in capsys.readouterr().err
