"""How films of one speech differ: read from points whose movement is known."""

import warnings

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.measuring.diversity import (
    FREE,
    best_of,
    jitter,
    noisy,
    points_of,
    shut_frames,
    spread,
    spreads,
)


def held(**how):
    return face_points(Identity.draw(3), np.zeros((1, 7)), Motion.hold(1, **how)).landmarks[0]


def test_each_measure_answers_to_its_own_movement():
    still = held()
    moved = {
        "lids": held(blink=1.0),
        "brows": held(brows=1.0),
        "turn": held(yaw=0.2),
        "nod": held(pitch=0.15),
    }
    for name, measure in FREE.items():
        for other, points in moved.items():
            change = measure(points) - measure(still)
            if other == name:
                assert abs(change) > 1.0, name
            elif {name, other} not in ({"brows", "nod"}, {"lids", "nod"}):
                assert abs(change) < 0.75, (name, other)
    assert FREE["lids"](moved["lids"]) < 0.5 * FREE["lids"](still)
    assert FREE["brows"](moved["brows"]) > FREE["brows"](still)
    assert FREE["turn"](moved["turn"]) > FREE["turn"](still)
    assert FREE["nod"](moved["nod"]) > FREE["nod"](still)


def test_spread_is_over_films_and_not_over_time():
    time = np.arange(50.0)
    assert spread(np.stack([time, time])) == 0
    assert spread(np.stack([time - 1, time + 1])) == pytest.approx(np.sqrt(2))
    with_gap = np.stack([time - 1, time + 1])
    with_gap[0, 3] = np.nan
    assert spread(with_gap) == pytest.approx(np.sqrt(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(spread(np.full((2, 3), np.nan)))
    assert spread([[1, 2], [3, 4]]) == pytest.approx(np.sqrt(2))
    rng = np.random.default_rng(0)
    assert spread(3 * rng.standard_normal((8, 5000))) == pytest.approx(3, abs=0.05)
    for wrong in (time, time[None]):
        with pytest.raises(InputError, match="films"):
            spread(wrong)


def test_the_same_speech_with_other_movements():
    """Same person, same sound, same lips; another head."""
    clips = [draw_clip(5, text="Bob may buy a map.", paint=False, motion=motion) for motion in (None, 1, 2)]
    for clip in clips[1:]:
        assert np.array_equal(clip.speech, clips[0].speech)
        assert clip.identity == clips[0].identity
        assert clip.phonemes == clips[0].phonemes
    assert "motion=1" in clips[1].source
    found = spreads(np.stack([clip.landmarks for clip in clips]), shut_frames(clips[0]))
    assert found.keys() == {*FREE, "lips", "lips_shut"}
    for name in FREE:
        assert found[name] > 0.2, name
    assert found["lips_shut"] < 0.3
    assert np.array_equal(
        draw_clip(5, text="Bob may buy a map.", paint=False, motion=5).landmarks, clips[0].landmarks
    )


def test_frames_in_which_lips_are_shut():
    phonemes = [("p", 0.0, 0.1), ("a", 0.1, 0.3), ("m", 0.3, 0.36), ("b", 0.38, 0.4)]
    clip = Clip(
        frames=None,
        landmarks=np.full((10, 68, 2), 64, np.float32) + np.arange(68, dtype=np.float32)[:, None] / 10,
        speech=np.ones(6400, np.float32) / 10,
        phonemes=phonemes,
    )
    assert np.flatnonzero(shut_frames(clip)).tolist() == [1, 8, 9]
    assert np.isnan(spreads(np.stack([clip.landmarks] * 2), np.zeros(10, bool))["lips_shut"])


def test_jitter_is_what_a_smooth_movement_has_not():
    time = np.arange(40)
    smooth = np.repeat(held()[None], 40, axis=0)[None].repeat(2, 0)
    smooth[..., 30, 0] += time
    assert jitter(smooth)["turn"] < 1e-4
    rng = np.random.default_rng(0)
    noisy_films = smooth.copy()
    noisy_films[..., 30, 0] += rng.standard_normal((2, 40))
    assert jitter(noisy_films)["turn"] == pytest.approx(np.sqrt(1.5), abs=0.25)
    assert jitter(noisy_films)["nod"] < 1e-4


def test_the_nearest_of_more_films_is_never_farther():
    truth = np.full((2, 4, 4, 3), 100, np.uint8)
    films = [truth + np.uint8(step) for step in (20, 5, 10)]
    found = best_of(films, truth, (1, 2, 3))
    assert found == pytest.approx([20 * np.log10(255 / x) for x in (20, 5, 5)])


def test_noise_has_the_films_own_variance():
    rng = np.random.default_rng(0)
    mean = np.full((3, 20, 20, 3), 128, np.uint8)
    spread_of = np.ones((1, 3, 20, 20, 3)) * 4
    spread_of[..., :10, :] = 12
    films = np.rint(128 + spread_of * rng.standard_normal((200, 3, 20, 20, 3))).clip(0, 255).astype(np.uint8)
    made = noisy(mean, films, np.random.default_rng(1))
    assert made.shape == films.shape
    left, right = made[..., :10, :].std(axis=0).mean(), made[..., 10:, :].std(axis=0).mean()
    assert (left, right) == pytest.approx((12, 4), rel=0.05)
    assert made.mean() == pytest.approx(128, abs=0.2)
    dark = noisy(np.zeros((3, 20, 20, 3), np.uint8), films, np.random.default_rng(1))
    assert 0.4 < (dark == 0).mean() < 0.6


def test_points_of_films():
    seen = []

    def find(picture):
        seen.append(picture)
        return None if picture.max() == 0 else np.full((68, 2), picture.max(), float)

    films = [np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 7, np.uint8)]
    points = points_of(films, find)
    assert points.shape == (2, 2, 68, 2)
    assert np.isnan(points[0]).all()
    assert (points[1] == 7).all()
    assert len(seen) == 4


def test_measures_are_of_these_points_in_each_frame():
    points = np.random.default_rng(0).uniform(20, 100, (2, 3, 68, 2))
    for film, frame in np.ndindex(2, 3):
        x, y = points[film, frame].T
        corners = (y[36] + y[39] + y[42] + y[45]) / 4
        opened = (y[41] - y[37] + y[40] - y[38] + y[47] - y[43] + y[46] - y[44]) / 4
        wanted = {
            "lids": opened,
            "brows": corners - sum(y[17:27]) / 10,
            "turn": x[30] - (x[36] + x[39] + x[42] + x[45]) / 4,
            "nod": y[30] - corners,
        }
        for name, value in wanted.items():
            assert FREE[name](points)[film, frame] == pytest.approx(value), name
