import numpy as np
import pytest

from talkface_lite.clip import Interval
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import QUIET_BEFORE, Features
from talkface_lite.data.needs import DataSettings
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH, lip_opening, mouth_centred


def features(n_frames=40, first_word=0.8):
    """A face whose lips open by 0.1 px a frame, so that a frame is told by its opening."""
    rng = np.random.default_rng(0)
    face = rng.uniform(30, 90, (68, 2)).astype(np.float32)
    face[[67, 66, 65], 1] = face[[61, 62, 63], 1]
    landmarks = np.repeat(face[None], n_frames, axis=0)
    landmarks[:, [67, 66, 65], 1] += 0.1 * np.arange(n_frames)[:, None]
    words = (Interval("no", first_word, 1.2),) if first_word is not None else ()
    rows = rng.normal(size=(28 + 4 * (n_frames - 1), 12)).astype(np.float32)
    return Features(rows=rows, landmarks=landmarks, words=words)


def examples(**settings):
    dataset = Dataset([features()], window=4, **settings)
    batches = dataset.batches(16, seed=0)
    return np.concatenate([np.round(10 * lip_opening(next(batches).example).numpy()) for _ in range(4)])


def test_frames_before_speech_end_before_the_first_word():
    assert features(first_word=0.8).frames_before_speech() == int((0.8 - QUIET_BEFORE) * 25)
    assert features(first_word=0.0).frames_before_speech() == 1
    assert features(first_word=None).frames_before_speech() == 1


def test_examples_at_rest_are_from_before_the_first_word():
    last = features().frames_before_speech() - 1
    shown = examples(rest_examples=1.0)
    assert shown.max() == last
    assert shown.min() == 0
    assert examples().max() > 30
    half = examples(rest_examples=0.5)
    assert 0.4 < np.mean(half <= last) < 0.95


def test_an_example_is_closed_or_at_rest_or_any():
    """Shares of all windows, as many as are asked for."""
    clip = features()
    landmarks = clip.landmarks.copy()
    landmarks[-1, [67, 66, 65], 1] -= 6  # closed when the word is long over, rest is parted
    clip = Features(rows=clip.rows, landmarks=landmarks, words=clip.words)
    dataset = Dataset([clip], window=4, closed_examples=0.3, rest_examples=0.5)
    shown = np.concatenate(
        [lip_opening(one.example).numpy() for _, one in zip(range(60), dataset.batches(16, 0))]
    )
    closed = shown == lip_opening(landmarks).min()
    rest = shown < lip_opening(landmarks)[clip.frames_before_speech() - 1] + 0.05
    assert closed.mean() == pytest.approx(0.3 + 0.2 / 40, abs=0.04)
    assert (rest & ~closed).mean() == pytest.approx(0.5 + 0.2 * clip.frames_before_speech() / 40, abs=0.04)


def test_another_detector_moves_example_and_frames_alike():
    plain, seen = (next(Dataset([features()], window=4, detector=d).batches(32, seed=0)) for d in (0.0, 1.0))
    moved = (seen.landmarks - plain.landmarks).numpy()
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-4)
    others = np.delete(np.arange(68), np.arange(68)[MOUTH])
    assert not moved[:, :, others].any()
    assert np.abs(moved[:, 0, MOUTH]).mean(axis=(1, 2)).min() > 0.1
    shown = (seen.example - plain.example).numpy() - moved[:, 0]
    assert 0.1 < shown[:, MOUTH].std() < 0.3  # what one detector differs by from frame to frame
    assert not shown[:, others].any()


def test_detectors_read_closed_lips_as_apart_and_never_as_crossed_by_much():
    plain, seen = (next(Dataset([features()], window=4, detector=d).batches(256, seed=0)) for d in (0.0, 1.0))
    more = lip_opening(seen.landmarks[:, 0]).numpy() - lip_opening(plain.landmarks[:, 0]).numpy()
    assert 0.5 < more.mean() < 0.95  # the mean of a half normal of 0.9 px
    wider = mouth_centred(seen.landmarks[:, 0]) - mouth_centred(plain.landmarks[:, 0])
    assert abs(float((wider[:, 6, 0] - wider[:, 0, 0]).mean())) < 0.3
    twice = next(Dataset([features()], window=4, detector=2.0).batches(256, seed=0))
    again = lip_opening(twice.landmarks[:, 0]).numpy() - lip_opening(plain.landmarks[:, 0]).numpy()
    np.testing.assert_allclose(again, 2 * more, atol=1e-3)


@pytest.mark.parametrize(("name", "values"), [("rest_examples", (-0.1, 1.1)), ("detector", (-1, 2.5))])
def test_out_of_range_is_one_line(name, values):
    for value in (*values, float("nan")):
        with pytest.raises(InputError, match=name):
            DataSettings(**{name: value})


def test_shares_of_examples_are_of_one_whole():
    assert DataSettings(closed_examples=0.9, rest_examples=0.1)
    with pytest.raises(
        InputError, match=r"closed_examples and rest_examples: got 0\.6 and 0\.5, expected at most 1"
    ):
        DataSettings(closed_examples=0.6, rest_examples=0.5)
