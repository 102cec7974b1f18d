"""The pose of a head and the lag of its nods, of drawn heads whose pose and lag are known."""

import numpy as np
import pytest

from talkface_lite.clip import Interval
from talkface_lite.corpus.face import face_points
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.motion import Motion
from talkface_lite.corpus.nods import NodHabit, nodding, stress_signal
from talkface_lite.errors import InputError
from talkface_lite.framing import head_frame
from talkface_lite.landmarks import apply_transform
from talkface_lite.measuring.head_motion import (
    POSE,
    STILL,
    head_pose,
    head_spread,
    mean_cross_correlation,
    nod_lag,
    peak_lag,
)

N_FRAMES = 90


def in_head_frame(person, motion, articulation=None):
    if articulation is None:
        articulation = np.zeros((len(motion), 7))
    seen = face_points(Identity.draw(person), articulation, motion).camera_landmarks
    return apply_transform(seen, head_frame(seen))


def posed(person=0, **angles):
    """A film in which one angle goes from minus to plus, 11 frames."""
    motion = Motion.hold(11)
    for name, most in angles.items():
        motion.pose[:, ("yaw", "pitch", "roll").index(name)] = np.linspace(-most, most, 11)
    return in_head_frame(person, motion)


def columns(landmarks):
    return dict(zip(POSE, head_pose(landmarks).T))


def phonemes(seed):
    """Five stressed vowels of a clip of 3.6 s, 0.3 to 0.7 s apart."""
    starts = 0.5 + np.cumsum(np.random.default_rng(seed).uniform(0.3, 0.7, 5))
    return tuple(Interval("ˈa", start, start + 0.1) for start in starts)


def talking(person, seed, habit, n_frames=N_FRAMES):
    """Landmarks and stress of someone who wanders, moves the jaw, and nods unless ``habit`` is None."""
    motion = Motion.draw(seed, n_frames)
    if habit is not None:
        motion = nodding(motion, phonemes(seed), habit)
    articulation = np.zeros((n_frames, 7))
    articulation[:, 0] = np.random.default_rng(seed).uniform(0, 1, n_frames)
    return in_head_frame(person, motion, articulation), stress_signal(phonemes(seed), n_frames)


def bouncing(heights):
    """A film of one face that goes down by ``heights`` pixels."""
    film = np.repeat(in_head_frame(0, Motion.hold(1)), len(heights), axis=0)
    film[..., 1] += np.asarray(heights)[:, None]
    return film


# --- pose --------------------


@pytest.mark.parametrize("person", range(3))
def test_a_pure_roll_is_exact(person):
    pose = columns(posed(person, roll=0.15))
    np.testing.assert_allclose(pose["roll"], np.linspace(-0.15, 0.15, 11), atol=np.deg2rad(0.1))
    assert np.abs(pose["yaw"]).max() < 0.007
    assert np.abs(pose["pitch"]).max() < 0.001
    assert np.ptp(pose["log_size"]) < 0.001


@pytest.mark.parametrize("person", range(3))
def test_yaw_and_pitch_are_proportional_to_the_angles(person):
    yaw, pitch = columns(posed(person, yaw=0.2)), columns(posed(person, pitch=0.1))
    for one, angle, least, most in ((yaw["yaw"], 0.2, 0.5, 0.7), (pitch["pitch"], 0.1, 0.45, 0.65)):
        assert (np.diff(one) > 0).all()
        factor = (one[-1] - one[0]) / (2 * angle)
        assert least < factor < most
        np.testing.assert_allclose(one, factor * np.linspace(-angle, angle, 11), atol=0.004)
    assert np.abs(yaw["roll"]).max() < 0.006
    assert np.ptp(yaw["pitch"]) < 0.02
    for still in ("roll", "yaw", "x"):
        assert np.ptp(pitch[still]) < 1e-4
    assert np.ptp(pitch["log_size"]) == pytest.approx(0.07, abs=0.007)  # the face comes nearer as it nods


def test_place_and_size_of_a_made_film():
    face = in_head_frame(1, Motion.hold(1))[0].astype(np.float64)
    corners = face[[36, 39, 42, 45]].mean(axis=0)
    film = np.stack([face, face + np.array([3, -2]), 1.1 * (face - corners) + corners])
    pose = columns(film)
    np.testing.assert_allclose(pose["x"] - corners[0], [0, 3, 0], atol=1e-9)
    np.testing.assert_allclose(pose["y"] - corners[1], [0, -2, 0], atol=1e-9)
    np.testing.assert_allclose(np.diff(pose["log_size"]), [0, np.log(1.1)], atol=1e-9)
    assert np.exp(pose["log_size"]).mean() == pytest.approx(1)
    for name in ("roll", "yaw", "pitch"):
        np.testing.assert_allclose(pose[name], 0, atol=1e-6)
    assert head_pose(film).dtype == np.float64
    np.testing.assert_array_equal(head_pose(film.tolist()), head_pose(film))
    # the tip of the nose alone: a tenth of the distance of the eyes
    eyes = np.linalg.norm(face[[42, 45]].mean(axis=0) - face[[36, 39]].mean(axis=0))
    turned = np.stack([face, face])
    turned[1, 30] += 0.1 * eyes * np.array([1, -2])
    pose = columns(turned)
    np.testing.assert_allclose(pose["yaw"], [-0.05, 0.05], atol=1e-6)
    np.testing.assert_allclose(pose["pitch"], [0.1, -0.1], atol=1e-6)


def test_blinks_and_speech_are_no_motion_of_the_head():
    rest, busy = Motion.hold(4), Motion.hold(4)
    busy.blink[1:3] = 1
    busy.brows[2:] = 1
    speech = np.zeros((4, 7))
    speech[2:, 0] = 0.9
    camera = [
        face_points(Identity.draw(2), moved, motion).camera_landmarks
        for moved, motion in ((np.zeros((4, 7)), rest), (speech, busy))
    ]
    assert np.abs(camera[1] - camera[0]).max() > 3
    np.testing.assert_allclose(head_pose(camera[1]), head_pose(camera[0]), atol=1e-5)


def test_frames_without_a_face():
    film = posed(roll=0.15, pitch=0.1)
    lost = film.copy()
    lost[4, 3] = np.nan
    pose = head_pose(lost)
    assert np.isnan(pose[4]).all()
    np.testing.assert_allclose(np.delete(pose, 4, axis=0), head_pose(np.delete(film, 4, axis=0)))
    assert np.isnan(head_pose(np.full((3, 68, 2), np.nan))).all()
    assert head_pose(np.full((3, 68, 2), np.nan)).shape == (3, 6)
    spread = head_spread(lost)
    assert list(spread) == list(POSE)
    assert spread == pytest.approx(head_spread(np.delete(film, 4, axis=0)))
    assert all(type(one) is float for one in spread.values())
    assert spread["roll"] == pytest.approx(np.delete(np.linspace(-0.15, 0.15, 11), 4).std(), rel=0.01)
    assert all(np.isnan(one) for one in head_spread(film[:1]).values())
    assert np.isfinite(list(head_spread(film[:2]).values())).all()


def test_size_is_that_of_nose_and_corners_of_the_eyes():
    film = np.repeat(in_head_frame(1, Motion.hold(1)), 3, axis=0).astype(np.float64)
    film += np.random.default_rng(0).normal(0, 2, film.shape)
    points = film[:, [27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45]] @ (1, 1j)
    points -= points.mean(axis=1, keepdims=True)
    mean = points.mean(axis=0)
    sizes = np.abs((points * mean.conj()).sum(axis=1) / (np.abs(mean) ** 2).sum())
    np.testing.assert_allclose(columns(film)["log_size"], np.log(sizes), atol=1e-9)


# --- nods --------------------


@pytest.mark.parametrize("lag", [-0.23, -0.05, 0.0, 0.13, 0.23])
def test_the_lag_of_one_clip_is_found_within_a_frame(lag):
    for seed in range(3):
        found, correlation = nod_lag(*talking(seed, 10 + seed, NodHabit(lag=lag, depth=0.08)))
        assert found == pytest.approx(lag, abs=0.02)
        assert 0.7 < correlation <= 1


def test_ten_clips_tell_it_better_and_heads_that_do_not_heed_have_none():
    habit = NodHabit(lag=-0.1, depth=0.05)
    lags, curve = mean_cross_correlation(talking(4, seed, habit) for seed in range(10))
    found, correlation = peak_lag(lags, curve)
    assert found == pytest.approx(-0.1, abs=0.008)
    assert correlation > 0.7
    _, chance = mean_cross_correlation(talking(4, seed, None) for seed in range(10))
    assert np.abs(chance).max() < 0.3


def test_the_curve_against_its_definition():
    heights = np.array([0.0, 0, 1, 3, 0, 0, 0, 1, 0, 0])
    stress = np.array([0.0, 1, 2, 0, 0, 0, 1, 0, 0, 0])
    lags, curve = mean_cross_correlation([(bouncing(heights), stress)], longest=3)
    np.testing.assert_allclose(lags, np.arange(-3, 4) / 25)
    down, up = np.gradient(heights), np.gradient(stress)
    down, up = down - down.mean(), up - up.mean()
    wanted = [
        sum(down[t + lag] * up[t] for t in range(10) if 0 <= t + lag < 10) for lag in range(-3, 4)
    ] / np.sqrt((down**2).sum() * (up**2).sum())
    np.testing.assert_allclose(curve, wanted, atol=1e-6)
    assert curve.argmax() == 4  # the head comes a frame later
    assert nod_lag(bouncing(heights), stress, longest=3) == peak_lag(lags, curve)


def test_the_nose_alone_nods():
    heights, stress = np.eye(10)[4] + np.eye(10)[7], np.eye(10)[3] + np.eye(10)[6]
    film = bouncing(heights)
    film[:, [*range(27), *range(36, 68)]] += np.random.default_rng(0).normal(0, 5, (10, 59, 2))
    assert nod_lag(film, stress, 3) == pytest.approx(nod_lag(bouncing(heights), stress, 3), abs=1e-5)
    for point in range(27, 36):
        film = bouncing(np.zeros(10))
        film[:, point, 1] += heights
        assert nod_lag(film, stress, 3)[1] > 0.5


def test_a_head_that_follows_exactly_has_correlation_1():
    stress = stress_signal((Interval("ˈa", 1, 1.2), Interval("ˈa", 1.7, 1.8)), N_FRAMES)
    lag, correlation = nod_lag(bouncing(2 * stress), stress)
    assert lag == pytest.approx(0, abs=1e-6)
    assert correlation == pytest.approx(1)
    lag, correlation = nod_lag(bouncing(np.roll(stress, 12)), stress)
    assert lag == pytest.approx(12 / 25)  # as far as is looked
    assert correlation == pytest.approx(1, abs=1e-3)
    lags, curve = mean_cross_correlation([(bouncing(-stress), stress)])
    assert lags.shape == curve.shape == (25,)
    assert curve[12] == pytest.approx(-1)


def test_the_mean_is_over_clips_and_only_those_that_tell():
    one, other = talking(1, 1, NodHabit(lag=0.1, depth=0.1)), talking(2, 2, NodHabit(lag=-0.1, depth=0.1), 80)
    silent, still = (one[0], np.zeros(N_FRAMES)), (bouncing(np.zeros(N_FRAMES)), one[1])
    each = [mean_cross_correlation([pair])[1] for pair in (one, other)]
    _, curve = mean_cross_correlation([one, silent, other, still])
    np.testing.assert_allclose(curve, (each[0] + each[1]) / 2)
    for pair in (silent, still):
        lags, curve = mean_cross_correlation([pair], longest=5)
        assert lags.shape == curve.shape == (11,)
        assert np.isnan(curve).all()
        assert np.isnan(nod_lag(*pair)).all()
    assert np.isnan(mean_cross_correlation([])[1]).all()
    assert STILL == 1e-4
    # what counts as still: root mean square of the speed, whatever the length of the film
    wave = np.sin(np.arange(200) / 5)
    wave /= np.gradient(wave).std()
    curve = np.sin(np.arange(200) / 7)
    assert np.isnan(nod_lag(bouncing(0.9 * STILL * wave), curve)[0])
    assert np.isfinite(nod_lag(bouncing(1.1 * STILL * wave), curve)[0])
    assert np.isnan(nod_lag(bouncing(wave), 0.9 * STILL * wave)[0])
    assert np.isfinite(nod_lag(bouncing(wave), 1.1 * STILL * wave)[0])


def test_lost_frames_are_filled_in_between_their_neighbours():
    heights = np.array([0.0, 0, 1, 3, 5, 0, 0, 1, 0, 0])
    stress = np.array([0.0, 1, 2, 0, 0, 0, 1, 0, 0, 0])
    lost = bouncing(heights + 50 * (np.arange(10) == 3))
    lost[3, 8] = np.nan  # of which the nose was seen, and wrong
    assert nod_lag(lost, stress, 3) == pytest.approx(nod_lag(bouncing(heights), stress, 3), abs=1e-6)
    assert np.isnan(nod_lag(np.full((10, 68, 2), np.nan), stress, 3)).all()


def test_the_top_of_a_parabola():
    lags = np.arange(-3, 4) / 25
    lag, top = peak_lag(lags, 0.8 - 40 * (lags - 0.013) ** 2)
    assert lag == pytest.approx(0.013)
    assert top == pytest.approx(0.8)
    assert peak_lag(lags, 0.1 * np.arange(7)) == pytest.approx((0.12, 0.6))
    assert peak_lag(lags, -0.1 * np.arange(7)) == pytest.approx((-0.12, 0))
    flat = np.array([0, 0, 0.5, 0.5, 0, 0, 0])
    assert peak_lag(lags, flat) == pytest.approx((-0.02, 0.5625))
    assert np.isnan(peak_lag(lags, np.where(lags < 0, np.nan, 1))).all()


def test_bad_input_is_named():
    film, stress = bouncing(np.arange(10.0)), np.arange(10.0)
    for call in (head_pose, head_spread, lambda film: nod_lag(film, stress)):
        with pytest.raises(InputError, match=r"landmarks: got shape \(10, 67, 2\), expected \(T, 68, 2\)"):
            call(film[:, :67])
    with pytest.raises(InputError, match=r"landmarks: got shape \(68, 2\)"):
        head_pose(film[0])
    with pytest.raises(InputError, match=r"stress: got shape \(9,\), expected shape \(10,\)"):
        nod_lag(film, stress[:9], 3)
    with pytest.raises(InputError, match="stress: got values that are NaN"):
        nod_lag(film, stress * np.nan, 3)
    for longest in (0, 10):
        with pytest.raises(
            InputError, match=f"longest: got {longest}, expected 1 to 9 in a film of 10 frames"
        ):
            nod_lag(film, stress, longest)
    for longest in (1, 9):
        assert len(mean_cross_correlation([(film, stress**2)], longest)[1]) == 2 * longest + 1
