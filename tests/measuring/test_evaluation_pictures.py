"""What pictures are worth: measures of known errors, the rows of a report, what a detector sees."""

import json

import numpy as np
import pytest
from made_lips import lip_keys
from toy_systems import Lamp, Oracle, SmallLamp

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.faces import detection
from talkface_lite.landmarks import MOUTH
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.landmarks import LANDMARK_METRICS
from talkface_lite.measuring.pictures import (
    MOUTH_MARGIN,
    PICTURE_METRICS,
    change,
    dlib_in_crop,
    measure_pictures,
    mouth_box,
)
from talkface_lite.measuring.tables import table
from talkface_lite.metrics import ssim
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.base import Shown

N_FRAMES = 6
MOVED = {"seen_zoom_spread", "seen_pose_spread", "seen_pose_spread_over_real"}
LIPS = lip_keys()
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
        speech = rng.uniform(-1, 1, N_FRAMES * 640) * np.linspace(0.1, 1, N_FRAMES).repeat(640)
        speech = speech.astype(np.float32)
        made.append(Clip(frames=frames, landmarks=landmarks, speech=speech))
    return made


def painter(error=0, where=np.s_[:], row="from_speech"):
    """Films the truth, ``error`` grey levels too bright where ``where`` says."""

    def answer(clip, pictures):
        film = clip.frames.copy()
        film[(slice(None), *np.atleast_1d(where))] += np.uint8(error)
        return {row: Shown(None, film)}

    return Oracle(answer)


def row_of(report):
    """The one row of the one system of a report."""
    (rows,) = report["systems"].values()
    (row,) = rows.values()
    return row


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


@pytest.mark.parametrize(("side", "box"), [(128, (64, 87, 34, 77)), (256, (128, 174, 68, 154))])
def test_the_mouth_box_is_exact_to_the_pixel(side, box):
    """Mouth from x = 40 to 70 and y = 70 to 80 in the crop: 6 pixels of it around, in pictures of any side.

    Twice as large, x = 40 lies at 80.5, its box begins 12 pixels left of 80, and ends 12 right of 141.
    """
    points = np.repeat(FACE[None], 2, axis=0)
    points[:, MOUTH] = [55, 75]
    points[:, 48], points[:, 54], points[:, 51], points[:, 57] = [40, 75], [70, 75], [55, 70], [55, 80]
    top, bottom, left, right = box
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 200, (2, side, side, 3), dtype=np.uint8)
    clip = Clip(frames=frames, landmarks=points, speech=np.zeros(2 * 640, np.float32))
    middle = (top + bottom) // 2, (left + right) // 2
    inside = {(top, middle[1]), (bottom - 1, middle[1]), (middle[0], left), (middle[0], right - 1)}
    outside = {(top - 1, middle[1]), (bottom, middle[1]), (middle[0], left - 1), (middle[0], right)}
    for y, x in inside | outside:
        row = row_of(evaluate(painter(50, (y, x)), [clip], pictures=True))
        assert row["psnr"]["median"] is not None
        seen = row["mouth_psnr"]["median"]
        assert (seen is not None) == ((y, x) in inside), (y, x)
        if seen is not None:
            share = 1 / ((bottom - top) * (right - left))
            assert seen == pytest.approx(10 * np.log10(255**2 / (2500 * share)), abs=1e-3)


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
    report = evaluate(painter(5, row="with_truth"), clips, pictures=True)
    assert report["clips"] == 3
    assert report["frames"] == 3 * N_FRAMES
    assert list(report["systems"]["oracle"]) == ["with_truth"]
    row, copied_row = row_of(report), report["baselines"]["copy_photo"]
    assert row["psnr"]["median"] == pytest.approx(34.1514, abs=1e-4)
    copies = [
        measure_pictures(np.broadcast_to(clip.frames[0], clip.frames.shape), clip.frames, clip.landmarks)
        for clip in clips
    ]
    for metric in ("psnr", "ssim", "mouth_psnr"):
        expected = np.median([copied[metric] for copied in copies])
        assert copied_row[metric]["median"] == pytest.approx(expected, abs=1e-4)
    gains = [34.1514 - copied["mouth_psnr"] for copied in copies]
    assert row["mouth_gain"]["median"] == pytest.approx(np.median(gains), abs=1e-3)
    assert "mouth_gain" not in copied_row
    assert "lmd" not in row


def test_the_report_of_pictures_has_these_keys_and_no_others(clips):
    def answer(clip, pictures):
        film = clip.frames + np.uint8(3)
        return {
            "from_speech": Shown(clip.landmarks + 1, film),
            "best_possible": Shown(clip.landmarks),
            "with_truth": Shown(None, film),
        }

    def find(picture):
        return FACE

    measured = {*PICTURE_METRICS, "drift"} - {"lmd"}
    for detector, seen in ((None, set()), (find, {"lmd", "missed", *MOVED})):
        report = evaluate(Oracle(answer), clips, pictures=True, find_points=detector)
        assert set(report["baselines"]["copy_photo"]) - LIPS == {*LANDMARK_METRICS, *measured, *seen}
        assert set(report["baselines"]["mean_mouth"]) - LIPS == set(LANDMARK_METRICS)
        assert set(report["baselines"]["warp_with_truth"]) - LIPS == {*measured, "mouth_gain", *seen}
        opened = set(report["baselines"]["loudness"]) - LIPS
        assert opened == {*LANDMARK_METRICS, *measured, "mouth_gain", *seen}
        rows = report["systems"]["oracle"]
        assert list(rows) == ["from_speech", "best_possible", "with_truth", "warped"]
        landmarks = {*LANDMARK_METRICS, "share_of_mean_mouth"}
        gains = {"mouth_gain", "gain_over_mean_picture"}
        over = {*gains, "gain_over_warp", "share_above_warp"}
        assert set(rows["from_speech"]) - LIPS == {*landmarks, *measured, *over, *seen}
        assert set(rows["best_possible"]) - LIPS == landmarks
        assert set(rows["with_truth"]) - LIPS == {*measured, *over, *seen}
        assert set(rows["warped"]) - LIPS == {*measured, *gains, *seen}
        for row in (report["real"], report["baselines"]["copy_photo"], rows["with_truth"], rows["warped"]):
            assert any(name.startswith("seen_") for name in row) == bool(seen)
        for row in (report["baselines"]["mean_mouth"], rows["best_possible"]):
            assert not any(name.startswith("seen_") for name in row), "landmarks that nobody filmed"
        for line in table(report).splitlines()[1:]:
            assert line.rstrip(), "a row without a figure"
        titles = table(report).splitlines()[1]
        assert ("LMD, px" in titles) == (detector is not None)
        assert "over the copy, dB" in titles
    for name in ("lmd", "missed", "mouth_gain"):
        assert f"``{name}``" in evaluate.__doc__
    ratios = ("mouth_sharpness_over_real", "change_over_real", "jitter_over_real")
    assert ("psnr", "ssim", "mouth_psnr", *ratios, "lmd") == PICTURE_METRICS


def test_how_lively_a_film_is_beside_the_truth(clips):
    truth = np.zeros((4, 16, 16, 3), np.uint8)
    truth[1], truth[2, :8], truth[3] = 9, 3, 255  # changes of 9, 7.5, 253.5 in the mean
    film = truth // 3
    landmarks = np.repeat(FACE[None] / 8, 4, axis=0)
    found = measure_pictures(film, truth, landmarks)["change_over_real"]
    assert found == pytest.approx((3 + 2.5 + 84.5) / (9 + 7.5 + 253.5))
    assert change(truth) == pytest.approx((9 + 7.5 + 253.5) / 3)
    assert change(truth[:1]) == 0
    assert measure_pictures(truth, truth, landmarks)["change_over_real"] == 1
    assert measure_pictures(truth[:1].repeat(4, 0), truth, landmarks)["change_over_real"] == 0
    for still in (truth[:1], truth[:1].repeat(4, 0)):
        assert np.isnan(measure_pictures(still, still, landmarks[: len(still)])["change_over_real"])
    (row,) = evaluate(painter(), clips, pictures=True)["systems"].values()
    assert row["from_speech"]["change_over_real"]["median"] == 1


def test_the_photograph_is_the_frame_that_was_asked_for(clips):
    oracle = painter()
    report = evaluate(oracle, clips, pictures=True, example=2)
    assert [asked[1] for asked in oracle.asked] == [2, 2, 2]
    assert all(asked[3] is True for asked in oracle.asked)
    copies = [
        measure_pictures(np.broadcast_to(clip.frames[2], clip.frames.shape), clip.frames, clip.landmarks)
        for clip in clips
    ]
    expected = np.median([copied["mouth_psnr"] for copied in copies])
    assert report["baselines"]["copy_photo"]["mouth_psnr"]["median"] == pytest.approx(expected, abs=1e-4)
    last = evaluate(painter(), clips, pictures=True, example=99)
    shown = [np.broadcast_to(clip.frames[-1], clip.frames.shape) for clip in clips]
    got = [measure_pictures(a, clip.frames, clip.landmarks)["psnr"] for a, clip in zip(shown, clips)]
    assert last["baselines"]["copy_photo"]["psnr"]["median"] == pytest.approx(np.median(got), abs=1e-4)


def test_any_system_is_judged_by_its_film(clips):
    """Its random numbers are those of the seed and of the clip's number."""
    report = evaluate(SmallLamp(), clips, pictures=True, seed=5)
    expected = []
    for i, clip in enumerate(clips):
        levels = SmallLamp.levels(clip.speech, np.random.default_rng([5, i]))
        film = clip.frames[0] + levels[:, None, None, None]
        expected.append(measure_pictures(film, clip.frames, clip.landmarks))
    for metric in ("psnr", "ssim", "mouth_psnr"):
        median = np.median([row[metric] for row in expected])
        assert row_of(report)[metric]["median"] == pytest.approx(median, abs=1e-4)
    assert not set(LANDMARK_METRICS) & set(row_of(report))
    quiet = evaluate(SmallLamp(), clips, pictures=False)
    assert quiet["systems"] == {"small-lamp": {}}
    assert "psnr" not in quiet["baselines"]["copy_photo"]


def test_pictures_of_another_side_are_measured_at_theirs():
    rng = np.random.default_rng(0)
    clip = Clip(
        frames=rng.integers(60, 120, (3, 256, 256, 3), dtype=np.uint8),
        landmarks=np.repeat(FACE[None], 3, axis=0),
        speech=np.zeros(3 * 640, np.float32),
    )
    report = evaluate(Lamp(), [clip], pictures=True)
    level = int(Lamp.levels(clip.speech, np.random.default_rng([0, 0]))[0])
    error = (clip.frames[0].astype(float) + level - clip.frames) ** 2
    assert row_of(report)["psnr"]["median"] == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=1e-4)
    small = Clip(frames=clip.frames[:, ::2, ::2].copy(), landmarks=clip.landmarks, speech=clip.speech)
    with pytest.raises(InputError, match="pictures of 128×128, expected 256×256"):
        evaluate(Lamp(), [small], pictures=True)


def test_the_step_between_frames_is_passed_on(clips):
    """SSIM and the detector look at every fourth frame, PSNR at all."""
    seen = []

    def find(picture):
        seen.append(picture)
        return FACE

    def answer(clip, pictures):
        film = clip.frames.copy()
        film[1::2] += np.uint8(40)  # frames that a step of 4 does not look at
        return {"from_speech": Shown(None, film)}

    report = evaluate(Oracle(answer), clips[:1], pictures=True, frame_step=4, find_points=find, warp=False)
    row = row_of(report)
    assert report["frame_step"] == 4
    assert row["ssim"]["median"] == 1
    assert row["psnr"]["median"] == pytest.approx(10 * np.log10(255**2 / 800), abs=1e-3)
    # the clip's frames 0 and 4: those of two films are the same pictures, and known; and its mean picture
    frames = clips[0].frames
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[0], frames[0])
    np.testing.assert_array_equal(seen[1], frames[4])
    every = evaluate(Oracle(answer), clips[:1], pictures=True)
    assert row_of(every)["ssim"]["median"] < 0.99


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
    spoiled = painter(error=2, where=np.s_[127, 127])
    report = evaluate(spoiled, dark, pictures=True, find_points=find)
    row = row_of(report)
    # one of 20 points is 2 px too low: it is 2 - 0.1 px from the centred mouth's, the others 0.1 px
    assert row["lmd"]["median"] == pytest.approx((1.9 + 19 * 0.1) / 20, abs=1e-4)
    assert row["missed"]["median"] == pytest.approx(1 / N_FRAMES, abs=1e-4)
    assert report["baselines"]["copy_photo"]["lmd"]["median"] == 0
    told = {*PICTURE_METRICS, "mouth_gain", "gain_over_mean_picture", "missed", "drift", *MOVED}
    assert set(row) - LIPS == told
    blind = evaluate(painter(), dark, pictures=True, find_points=lambda picture: None)
    assert row_of(blind)["lmd"]["median"] is None
    assert row_of(blind)["missed"]["median"] == 1


class FakeFaces:
    """Sees one face, or two, or none, and remembers how it was asked."""

    def __init__(self, detector):
        FakeFaces.made = self
        self.detector, self.asked, self.n_faces = detector, [], 1

    def find(self, image, *, small=True):
        self.asked.append((image, small))
        return np.array([[10, 20, 100, 120], [0, 0, 5, 5]], float)[: self.n_faces]

    def points(self, image, box):
        assert image is self.asked[-1][0]
        assert list(box) == [10, 20, 100, 120], "the first is the largest"
        return np.stack([np.arange(68.0), 2 * np.arange(68.0)], axis=1)


def test_the_detector_sees_the_crop_enlarged_and_does_not_search_for_small_faces(clips, monkeypatch):
    monkeypatch.setattr(detection, "FilmFaces", FakeFaces)
    find, picture = dlib_in_crop(), clips[0].frames[0]
    fake = FakeFaces.made
    assert fake.detector == "dlib"
    points = find(picture)
    ((large, small),) = fake.asked
    assert small is False, "many times faster where there is no face"
    assert large.shape == (256, 256, 3)
    assert large.dtype == np.uint8
    halved = large.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(halved - picture).mean() < 8
    # a pixel of the crop is two of the large picture, and their centre lies between them
    expected = (np.stack([np.arange(68.0), 2 * np.arange(68.0)], axis=1) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(points, expected, atol=1e-9)
    fake.n_faces = 2
    np.testing.assert_allclose(find(picture), expected, atol=1e-9)
    fake.n_faces = 0
    assert find(picture) is None


def test_dlib_sees_the_mouth_of_a_photograph():
    """Within two pixels of where the whole photograph shows it."""
    pytest.importorskip("dlib")
    from talkface_lite.talking.talker import Portrait

    portrait = Portrait.of("hopper", detector="dlib")
    find = dlib_in_crop()
    points = find(portrait.crop())
    assert points.shape == (68, 2)
    assert np.abs(points - portrait.landmarks)[MOUTH].mean() < 2
    assert find(np.full((128, 128, 3), 127, np.uint8)) is None
    clip = Clip(
        frames=np.repeat(portrait.crop()[None], 2, axis=0),
        landmarks=np.repeat(portrait.landmarks[None], 2, axis=0),
        speech=np.zeros(2 * 640, np.float32),
    )
    row = row_of(evaluate(painter(3), [clip], pictures=True, find_points=find))
    assert row["missed"]["median"] == 0
    assert 0 <= row["lmd"]["median"] < 1


def test_a_film_that_is_the_truth_has_no_psnr_to_report(clips):
    report = evaluate(painter(), clips, pictures=True)
    row = row_of(report)
    assert row["ssim"]["median"] == 1
    for metric in ("psnr", "mouth_psnr", "mouth_gain"):
        assert row[metric] == {"median": None, "low": None, "high": None}
    json.dumps(report, allow_nan=False)
    stays = [Clip(frames=c.frames[:1], landmarks=c.landmarks[:1], speech=c.speech[:640]) for c in clips]
    one_frame = evaluate(painter(), stays, pictures=True)  # copy and film are both perfect
    assert row_of(one_frame)["mouth_gain"]["median"] is None
    assert table(one_frame).splitlines()[-1].startswith("oracle: from_speech")


def test_clips_without_pictures_are_refused(clips):
    bare = Clip(frames=None, landmarks=clips[0].landmarks, speech=clips[0].speech)
    with pytest.raises(InputError, match="clip 1: got no pictures"):
        evaluate(painter(), [clips[0], bare], pictures=True)
    with pytest.raises(InputError, match="at least one clip"):
        evaluate(painter(), [], pictures=True)
