import json

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.measuring.evaluation import METRICS, evaluate
from talkface_lite.metrics import lip_opening_correlation, mouth_landmark_distance
from talkface_lite.shape_pca import ShapePCA


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    made = []
    for _ in range(5):
        face = rng.uniform(20, 108, (68, 2))
        landmarks = face + rng.normal(0, 1, (12, 68, 2))
        speech = rng.uniform(-0.1, 0.1, 12 * 640).astype(np.float32)
        made.append(Clip(frames=None, landmarks=landmarks.astype(np.float32), speech=speech))
    return made


@pytest.fixture(scope="module")
def basis(clips):
    return ShapePCA.fit(np.concatenate([clip.landmarks for clip in clips]))


class Oracle:
    """Answers with the truth, spoiled by ``error`` pixels downwards at one lip point."""

    def __init__(self, clips, basis, error=0.0):
        self.answers = {clip.speech.tobytes(): clip.landmarks for clip in clips}
        self.shape_pca, self.error, self.photos, self.kept = basis, error, [], []

    def generate(self, speech, landmarks, *, keep_identity):
        self.photos.append(landmarks)
        self.kept.append(keep_identity)
        answer = self.answers[speech.tobytes()].copy()
        answer[:, 57, 1] += self.error
        return answer


def test_the_truth_scores_perfectly_and_baselines_score_what_they_are(clips, basis):
    report = evaluate(Oracle(clips, basis), clips)
    assert report["clips"] == 5
    assert report["frames"] == 60
    assert report["system"]["mouth_landmark_distance"] == {"median": 0, "low": 0, "high": 0}
    assert report["system"]["lip_opening_correlation"]["median"] == 1
    assert report["system"]["share_of_mean_mouth"] == 0
    copied = [mouth_landmark_distance(clip.landmarks[:1], clip.landmarks).mean() for clip in clips]
    assert report["copy_photo"]["mouth_landmark_distance"]["median"] == pytest.approx(
        np.median(copied), abs=1e-4
    )
    assert report["copy_photo"]["lip_opening_correlation"]["median"] is None
    mean = basis.mean.reshape(68, 2) * 64 + 64
    means = [mouth_landmark_distance(mean, clip.landmarks).mean() for clip in clips]
    assert report["mean_mouth"]["mouth_landmark_distance"]["median"] == pytest.approx(
        np.median(means), abs=1e-4
    )
    best = [
        lip_opening_correlation(basis.decode(basis.encode(clip.landmarks)), clip.landmarks) for clip in clips
    ]
    assert report["best_possible"]["lip_opening_correlation"]["median"] == pytest.approx(
        np.median(best), abs=0.01
    )
    json.dumps(report, allow_nan=False)


def test_an_error_shows_in_its_size(clips, basis):
    report = evaluate(Oracle(clips, basis, error=2.0), clips, others={"perfect": Oracle(clips, basis)})
    # one point of 20 moves by 2 px, and its mouth's centre by 0.1 px
    assert report["system"]["mouth_landmark_distance"]["median"] == pytest.approx(
        (1.9 + 19 * 0.1) / 20, abs=1e-3
    )
    assert report["system"]["landmark_distance"]["median"] == pytest.approx(2 / 68, abs=1e-3)
    assert report["perfect"]["mouth_landmark_distance"]["median"] == 0
    row = report["system"]["mouth_landmark_distance"]
    assert row["low"] <= row["median"] <= row["high"]
    assert set(METRICS) < set(report["system"])


def test_which_frame_is_the_photograph(clips, basis):
    first, third, drawn = (Oracle(clips, basis) for _ in range(3))
    evaluate(first, clips)
    evaluate(third, clips, example=3, keep_identity=False)
    evaluate(drawn, clips, example=None, seed=1)
    for i, clip in enumerate(clips):
        np.testing.assert_array_equal(first.photos[i], clip.landmarks[0])
        np.testing.assert_array_equal(third.photos[i], clip.landmarks[3])
        assert any(np.array_equal(drawn.photos[i], face) for face in clip.landmarks)
    assert first.kept == [True] * 5
    assert third.kept == [False] * 5
    assert any(not np.array_equal(a, b) for a, b in zip(first.photos, drawn.photos))


def test_no_clip(clips, basis):
    with pytest.raises(InputError, match="at least one clip"):
        evaluate(Oracle(clips, basis), [])
