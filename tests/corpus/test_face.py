"""The drawn face: what the articulation channels, the motion and the projection do to the 68 points."""

import numpy as np
import pytest

from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.head import JAW_DROP, neutral_head, skin_fields
from talkface_lite.corpus.identity import BEARDS, GLASSES, HAIR_STYLES
from talkface_lite.corpus.motion import PITCH_LIMIT, POSE_BAND_HZ, ROLL_LIMIT, YAW_LIMIT
from talkface_lite.errors import InputError
from talkface_lite.landmarks import TEMPLATE, align, apply_transform, lip_opening, mirror

CHANNELS = ("jaw", "width", "rounding", "upper_lip", "lower_lip", "tongue", "teeth")
PEOPLE = [Identity.draw(seed) for seed in range(12)]


def articulate(n_frames=1, **channels):
    articulation = np.zeros((n_frames, 7))
    for name, value in channels.items():
        articulation[:, CHANNELS.index(name)] = value
    return articulation


def still_face(person, n_frames=1, **channels):
    return face_points(person, articulate(n_frames, **channels), Motion.hold(n_frames))


def gap(person, **channels):
    return float(lip_opening(still_face(person, **channels).landmarks)[0])


# --- identity --------------------


def test_a_seed_always_draws_the_same_person():
    assert Identity.draw(7) == Identity.draw(7)
    assert len({Identity.draw(seed) for seed in range(50)}) == 50
    assert Identity.draw(7).name == "drawn-000007"


def test_people_are_varied():
    people = [Identity.draw(seed) for seed in range(400)]
    assert {person.hair for person in people} == set(HAIR_STYLES)
    assert {person.beard for person in people} == set(BEARDS)
    assert {person.glasses for person in people} == set(GLASSES)
    brightness = np.array([np.mean(person.skin) for person in people])
    assert brightness.min() < 75
    assert brightness.max() > 215
    assert 0.35 < np.mean([person.femininity > 0.5 for person in people]) < 0.65
    assert np.ptp([person.age for person in people]) > 45
    assert all(person.beard == "none" for person in people if person.femininity > 0.65)


# --- motion --------------------


def test_pose_keeps_its_limits_and_is_smooth():
    for seed in range(20):
        pose = Motion.draw(seed, 300).pose
        assert (np.abs(pose) <= np.array([YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT])).all()
        assert np.rad2deg(np.abs(np.diff(pose, axis=0))).max() < 2.5  # degrees in one frame


def test_pose_is_band_limited():
    window = np.hanning(1000)[:, None]
    for seed in range(5):
        pose = Motion.draw(seed, 1000).pose.astype(float)
        power = np.abs(np.fft.rfft((pose - pose.mean(0)) * window, axis=0)) ** 2
        above = np.fft.rfftfreq(1000, 1 / 25) > POSE_BAND_HZ + 0.6
        assert power[above].sum() < 1e-3 * power.sum()


def test_heads_move_but_not_all_alike():
    yaws = np.stack([Motion.draw(seed, 100).pose[:, 0] for seed in range(30)])
    assert np.rad2deg(np.ptp(yaws, axis=1)).mean() > 2
    assert np.rad2deg(yaws.mean(1).std()) > 3


def test_a_longer_clip_begins_alike():
    short, long = Motion.draw(3, 40), Motion.draw(3, 90)
    for name in ("pose", "shift", "blink", "gaze", "brows"):
        np.testing.assert_allclose(getattr(short, name), getattr(long, name)[:40], atol=1e-6)


def test_still_holds_everything():
    motion = Motion.draw(5, 30, still=True)
    for name in ("pose", "shift", "blink", "gaze", "brows"):
        assert not getattr(motion, name).any()


def test_blinks_close_fully_and_are_rare():
    blink = np.concatenate([Motion.draw(seed, 250).blink for seed in range(20)])
    assert blink.max() > 0.99
    assert 0.02 < (blink[:, 0] > 0.5).mean() < 0.2


# --- channels --------------------


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_at_rest_the_lips_touch(person):
    inner = still_face(person).landmarks[0, 60:68]
    np.testing.assert_allclose(inner[[1, 2, 3]], inner[[7, 6, 5]], atol=1e-3)


def test_the_jaw_opens_the_lips():
    for person in PEOPLE:
        openings = lip_opening(still_face(person, 11, jaw=np.linspace(0, 1, 11)).landmarks)
        assert (np.diff(openings) > 0).all()
        assert 12.5 < openings[-1] < 18.5
        assert 5 < openings[5] < 11
    wide = still_face(PEOPLE[0], jaw=1, upper_lip=1, lower_lip=1)
    assert lip_opening(wide.landmarks)[0] > gap(PEOPLE[0], jaw=1) + 2


def test_the_jaw_moves_chin_and_lower_lip_and_leaves_the_rest():
    for person in PEOPLE:
        rest, open_ = still_face(person).points[0], still_face(person, jaw=0.8).points[0]
        moved = (open_ - rest)[:, 1]
        assert moved[8] > 0.5 * 0.8 * JAW_DROP
        assert moved[57] > 0.7 * 0.8 * JAW_DROP
        np.testing.assert_allclose(moved[[0, 16]], 0, atol=0.05)
        np.testing.assert_allclose(moved[17:48], 0, atol=0.05)
        assert -2 < moved[51] < 0
        assert (open_ - rest)[8, 2] < 0  # the chin swings back


def test_closing_channels_close():
    for person in PEOPLE:
        assert gap(person, upper_lip=-1, lower_lip=-1, jaw=0.15) == pytest.approx(0, abs=1e-3)
        assert gap(person, lower_lip=-1, jaw=0.15) == pytest.approx(0, abs=1e-3)
        shown = gap(person, lower_lip=-1, jaw=0.15, teeth=1)  # /f/: a slit with the teeth on the lower lip
        assert 0.3 < shown < 3


def test_rounding_narrows_and_protrudes():
    for person in PEOPLE:
        rest, round_ = still_face(person).points[0], still_face(person, rounding=1).points[0]
        width = np.ptp(rest[48:60, 0])
        assert np.ptp(round_[48:60, 0]) < 0.8 * width
        assert round_[51, 2] > rest[51, 2] + 3
        assert round_[57, 2] > rest[57, 2] + 3
        assert np.ptp(still_face(person, width=1).points[0, 48:60, 0]) > 1.1 * width
        assert np.ptp(still_face(person, width=-1).points[0, 48:60, 0]) < 0.9 * width


def test_lips_raise_and_drop():
    for person in PEOPLE:
        rest = still_face(person, jaw=0.4).points[0]
        assert still_face(person, jaw=0.4, upper_lip=1).points[0, 62, 1] < rest[62, 1] - 1
        assert still_face(person, jaw=0.4, lower_lip=1).points[0, 66, 1] > rest[66, 1] + 1


def test_tongue_moves_no_landmark():
    a, b = still_face(PEOPLE[3], jaw=0.5), still_face(PEOPLE[3], jaw=0.5, tongue=1)
    np.testing.assert_array_equal(a.landmarks, b.landmarks)


def test_values_beyond_their_range_are_clipped():
    np.testing.assert_array_equal(still_face(PEOPLE[1], jaw=3).points, still_face(PEOPLE[1], jaw=1).points)


# --- projection and alignment --------------------


def test_neutral_face_lies_near_the_template():
    for person in PEOPLE:
        landmarks = still_face(person).landmarks[0]
        assert np.abs(landmarks[27:48] - TEMPLATE).max() < 3.5
        assert 110 < landmarks[8, 1] < 127


def test_the_neutral_face_is_symmetric():
    for person in PEOPLE:
        landmarks = still_face(person, jaw=0.4).landmarks
        np.testing.assert_allclose(mirror(landmarks, width=129), landmarks, atol=0.02)


def test_opposite_turns_are_mirror_images():
    right = face_points(
        PEOPLE[2], articulate(jaw=0.3), Motion.hold(1, yaw=0.35, roll=0.1, pitch=0.1)
    ).landmarks
    left = face_points(
        PEOPLE[2], articulate(jaw=0.3), Motion.hold(1, yaw=-0.35, roll=-0.1, pitch=0.1)
    ).landmarks
    np.testing.assert_allclose(mirror(right, width=129), left, atol=0.02)


def test_directions_of_the_pose():
    rest = face_points(PEOPLE[0], articulate(), Motion.hold(1)).camera_landmarks[0]

    def nose_against_eyes(**pose):
        points = face_points(PEOPLE[0], articulate(), Motion.hold(1, **pose)).camera_landmarks[0]
        return points[30] - points[36:48].mean(0)

    at_rest = rest[30] - rest[36:48].mean(0)
    assert nose_against_eyes(yaw=0.3)[0] > at_rest[0] + 3
    assert nose_against_eyes(pitch=0.2)[1] > at_rest[1] + 2
    tilted = face_points(PEOPLE[0], articulate(), Motion.hold(1, roll=0.15)).camera_landmarks[0]
    assert tilted[45, 1] > tilted[36, 1] + 3  # clockwise: the eye at the right of the picture sinks


def test_landmarks_are_the_aligned_camera_landmarks():
    motion = Motion.draw(11, 40)
    geometry = face_points(PEOPLE[4], articulate(40, jaw=np.linspace(0, 1, 40)), motion)
    aligned, matrix = align(geometry.camera_landmarks)
    np.testing.assert_allclose(geometry.landmarks, aligned, atol=1e-3)
    np.testing.assert_allclose(geometry.matrix, matrix, atol=1e-4)
    there = apply_transform(geometry.camera_landmarks, geometry.matrix)
    np.testing.assert_allclose(there, geometry.landmarks, atol=1e-3)
    assert geometry.landmarks.dtype == np.float32
    assert geometry.landmarks.shape == (40, 68, 2)


def test_roll_and_place_vanish_in_the_crop():
    plain = face_points(PEOPLE[5], articulate(), Motion.hold(1))
    motion = Motion.hold(1, roll=0.15)
    motion.shift[:] = (4, -3)
    moved = face_points(PEOPLE[5], articulate(), motion)
    assert np.abs(moved.camera_landmarks - plain.camera_landmarks).max() > 5
    # perspective leaves a trace: a tilted head stands a little beside the optical axis
    np.testing.assert_allclose(moved.landmarks, plain.landmarks, atol=0.3)


def test_the_mouth_owes_nothing_to_the_motion():
    articulation = articulate(50, jaw=np.linspace(0, 0.8, 50))
    a = face_points(PEOPLE[6], articulation, Motion.draw(1, 50))
    b = face_points(PEOPLE[6], articulation, Motion.draw(2, 50))
    np.testing.assert_array_equal(a.points[:, 48:], b.points[:, 48:])


def test_blinks_close_the_eyes_and_move_the_crop_a_little():
    open_ = face_points(PEOPLE[7], articulate(), Motion.hold(1))
    shut = face_points(PEOPLE[7], articulate(), Motion.hold(1, blink=1))
    np.testing.assert_allclose(shut.points[0, [37, 38, 43, 44]], shut.points[0, [41, 40, 47, 46]], atol=1e-9)
    np.testing.assert_allclose(shut.camera_landmarks[:, 48:], open_.camera_landmarks[:, 48:], atol=1e-4)
    drift = np.abs(shut.landmarks[:, 48:] - open_.landmarks[:, 48:]).max()
    assert 0.1 < drift < 3  # the alignment rests on the lids too, as with filmed faces


def test_brows_rise():
    up = face_points(PEOPLE[8], articulate(), Motion.hold(1, brows=1)).points[0]
    rest = still_face(PEOPLE[8]).points[0]
    assert (up[17:27, 1] < rest[17:27, 1] - 0.5).all()
    assert np.abs(up[36:] - rest[36:]).max() < 1e-9


def test_part_of_a_clip():
    geometry = face_points(PEOPLE[9], articulate(20, jaw=np.linspace(0, 1, 20)), Motion.draw(4, 20))
    part = geometry[5:9]
    assert len(part) == 4
    np.testing.assert_array_equal(part.landmarks, geometry.landmarks[5:9])
    np.testing.assert_allclose(part.project(part.points), geometry.camera_landmarks[5:9], atol=1e-3)


def test_no_part_of_the_skin_folds_over_another_within_the_limits():
    y, x = np.mgrid[-10:118:1.0, 20:109:0.5]
    for person in PEOPLE:
        head = neutral_head(person)
        z = head.depth(x, y)
        for yaw in (-YAW_LIMIT, YAW_LIMIT):
            across = x * np.cos(yaw) + z * np.sin(yaw)
            inside = head.inside(x, y) > 1
            assert (np.diff(across, axis=1)[inside[:, 1:]] > 0).all()


def test_skin_follows_the_landmarks_of_the_jaw():
    person = PEOPLE[10]
    head = neutral_head(person)
    moved = still_face(person, jaw=1).points[0, :17] - head.landmarks[:17]
    np.testing.assert_allclose(moved, skin_fields(head, *head.landmarks[:17].T)[:, 0], atol=1e-9)


# --- errors --------------------


def test_bad_input_is_named():
    with pytest.raises(InputError, match="articulation"):
        face_points(PEOPLE[0], np.zeros((5, 7)), Motion.hold(4))
    with pytest.raises(InputError, match="articulation"):
        face_points(PEOPLE[0], np.zeros((4, 6)), Motion.hold(4))
    with pytest.raises(InputError, match="NaN"):
        face_points(PEOPLE[0], np.full((4, 7), np.nan), Motion.hold(4))
    with pytest.raises(InputError, match="n_frames"):
        Motion.draw(0, 0)
    hold = Motion.hold(3)
    with pytest.raises(InputError, match=r"Motion\.gaze"):
        Motion(pose=hold.pose, shift=hold.shift, blink=hold.blink, gaze=hold.gaze[:2], brows=hold.brows)
