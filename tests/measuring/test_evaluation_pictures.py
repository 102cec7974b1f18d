import json

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH
from talkface_lite.measuring.pictures import (
    MOUTH_MARGIN,
    PICTURE_METRICS,
    evaluate_pictures,
    measure_pictures,
    mouth_box,
)
from talkface_lite.metrics import ssim
from talkface_lite.shape_pca import ShapePCA

N_FRAMES = 6
FACE = ShapePCA.pretrained().decode(np.zeros(6, np.float32)).astype(np.float32)


@pytest.fixture(scope="module")
def clips():
    """Noisy pictures of nobody; the mouth opens and closes, and its box is painted to say how far."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(3):
        landmarks = np.repeat(FACE[None], N_FRAMES, axis=0).astype(np.float32)
        landmarks[:, 57, 1] += np.arange(N_FRAMES) % 3
        frames = rng.integers(60, 120, (N_FRAMES, 128, 128, 3), dtype=np.uint8)
        for t, points in enumerate(landmarks):
            frames[t][mouth_box(points)] += np.uint8(20 * (t % 3))
        speech = rng.uniform(-0.1, 0.1, N_FRAMES * 640).astype(np.float32)
        made.append(Clip(frames=frames, landmarks=landmarks, speech=speech))
    return made


class Painter:
    """Films the truth, ``error`` grey levels too bright where ``where`` says."""

    def __init__(self, clips, error=0, where=np.s_[:]):
        self.clips, self.error, self.where = clips, error, where
        self.asked = []

    def generate(self, photo, points, landmarks):
        self.asked.append((photo, points, landmarks))
        film = self.clips[len(self.asked) - 1].frames.copy()
        film[(slice(None), *np.atleast_1d(self.where))] += np.uint8(self.error)
        return film


class Speaker:
    """An AT-net that says every mouth stays as it was."""

    def generate(self, speech, points):
        return np.repeat(points[None], len(speech) // 640, axis=0)


def test_the_mouth_box_holds_the_mouth_and_stays_in_the_crop():
    rows, columns = mouth_box(FACE)
    left, top = FACE[MOUTH].min(axis=0)
    right, bottom = FACE[MOUTH].max(axis=0)
    assert rows == slice(int(np.floor(top)) - 6, int(np.ceil(bottom)) + 7)
    assert columns == slice(int(np.floor(left)) - 6, int(np.ceil(right)) + 7)
    assert mouth_box(FACE, margin=0)[0].start == rows.start + MOUTH_MARGIN
    for far in (-200, 200):
        rows, columns = mouth_box(FACE + far)
        assert 0 <= rows.start < rows.stop <= 128
        assert 0 <= columns.start < columns.stop <= 128


def test_a_known_error_has_its_known_measures(clips):
    clip = clips[0]
    off = clip.frames + np.uint8(5)
    got = measure_pictures(off, clip.frames, clip.landmarks)
    assert got["psnr"] == pytest.approx(10 * np.log10(255**2 / 25))
    assert got["mouth_psnr"] == pytest.approx(got["psnr"])
    every = [ssim(a, b, data_range=255) for a, b in zip(off, clip.frames)]
    assert got["ssim"] == pytest.approx(np.mean(every))
    few = measure_pictures(off, clip.frames, clip.landmarks, frame_step=4)
    assert few["ssim"] == pytest.approx(np.mean(every[::4]))
    assert few["psnr"] == got["psnr"]


def test_only_errors_in_the_mouth_count_in_its_box(clips):
    clip = clips[0]
    above, inside = clip.frames.copy(), clip.frames.copy()
    above[:, :20] += np.uint8(9)
    for t, points in enumerate(clip.landmarks):
        inside[t][mouth_box(points)] += np.uint8(5)
    assert measure_pictures(above, clip.frames, clip.landmarks)["mouth_psnr"] == np.inf
    got = measure_pictures(inside, clip.frames, clip.landmarks)
    assert got["mouth_psnr"] == pytest.approx(10 * np.log10(255**2 / 25))
    assert got["psnr"] > got["mouth_psnr"] + 5


def test_films_are_set_beside_the_copied_photograph(clips):
    video = Painter(clips, error=5)
    report = evaluate_pictures(video, clips)
    assert report["clips"] == 3
    assert report["frames"] == 3 * N_FRAMES
    assert "with_at_net" not in report
    assert report["with_truth"]["psnr"]["median"] == pytest.approx(34.1514, abs=1e-4)
    copies = [
        measure_pictures(np.broadcast_to(clip.frames[0], clip.frames.shape), clip.frames, clip.landmarks)
        for clip in clips
    ]
    for metric in ("psnr", "ssim", "mouth_psnr"):
        expected = np.median([copied[metric] for copied in copies])
        assert report["copy_photo"][metric]["median"] == pytest.approx(expected, abs=1e-4)
    gains = [34.1514 - copied["mouth_psnr"] for copied in copies]
    assert report["with_truth"]["mouth_gain"]["median"] == pytest.approx(np.median(gains), abs=1e-3)
    assert "mouth_gain" not in report["copy_photo"]
    assert "lmd" not in report["with_truth"]


def test_the_photograph_is_the_frame_that_was_asked_for(clips):
    video = Painter(clips)
    evaluate_pictures(video, clips, example=2)
    for clip, (photo, points, landmarks) in zip(clips, video.asked):
        assert np.array_equal(photo, clip.frames[2])
        assert np.array_equal(points, clip.landmarks[2])
        assert landmarks is clip.landmarks
    video = Painter(clips)
    evaluate_pictures(video, clips, example=99)
    assert np.array_equal(video.asked[0][0], clips[0].frames[-1])


def test_at_net_is_given_the_sound_and_one_face(clips):
    video = Painter([clip for clip in clips for _ in range(2)])
    report = evaluate_pictures(video, clips, system=Speaker())
    said = video.asked[1][2]
    assert np.array_equal(said, np.repeat(clips[0].landmarks[:1], N_FRAMES, axis=0))
    assert set(report["with_at_net"]) == {"psnr", "ssim", "mouth_psnr", "mouth_gain"}


def test_lmd_is_between_what_the_detector_sees_in_both(clips):
    """The detector reads the mouth off the brightness of the chin, and sees no face in a black picture."""

    def find(picture):
        if not picture.any():
            return None
        points = FACE + 7  # wherever the mouth is, its shape counts
        points[57, 1] += picture[127, 127, 0]
        return points

    dark = [Clip(frames=np.ones_like(c.frames), landmarks=c.landmarks, speech=c.speech) for c in clips]
    for clip in dark:
        clip.frames[1] = 0
    report = evaluate_pictures(Painter(dark, error=2, where=np.s_[127, 127]), dark, find_points=find)
    row = report["with_truth"]
    # one of 20 points is 2 px too low: it is 2 - 0.1 px from the centred mouth's, the others 0.1 px
    assert row["lmd"]["median"] == pytest.approx((1.9 + 19 * 0.1) / 20, abs=1e-4)
    assert row["missed"]["median"] == pytest.approx(1 / N_FRAMES, abs=1e-4)
    assert report["copy_photo"]["lmd"]["median"] == 0
    assert set(row) == {*PICTURE_METRICS, "mouth_gain", "missed"}
    blind = evaluate_pictures(Painter(dark), dark, find_points=lambda picture: None)
    assert blind["with_truth"]["lmd"]["median"] is None
    assert blind["with_truth"]["missed"]["median"] == 1


def test_a_film_that_is_the_truth_has_no_psnr_to_report(clips):
    report = evaluate_pictures(Painter(clips), clips)
    assert report["with_truth"]["ssim"]["median"] == 1
    for metric in ("psnr", "mouth_psnr", "mouth_gain"):
        assert report["with_truth"][metric] == {"median": None, "low": None, "high": None}
    json.dumps(report, allow_nan=False)
    stays = [Clip(frames=c.frames[:1], landmarks=c.landmarks[:1], speech=c.speech[:640]) for c in clips]
    one_frame = evaluate_pictures(Painter(stays), stays)  # copy and film are both perfect
    assert one_frame["with_truth"]["mouth_gain"]["median"] is None


def test_clips_without_pictures_are_refused(clips):
    bare = Clip(frames=None, landmarks=clips[0].landmarks, speech=clips[0].speech)
    with pytest.raises(InputError, match="clip 1: got no pictures"):
        evaluate_pictures(Painter(clips), [clips[0], bare])
    with pytest.raises(InputError, match="at least one clip"):
        evaluate_pictures(Painter(clips), [])
