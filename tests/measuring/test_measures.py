"""What a report says of systems whose mistakes are known, and the table made of it."""

import json

import numpy as np
import pytest
from made_lips import lip_keys

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH, apply_transform, magnify
from talkface_lite.measuring import pictures as measuring_pictures
from talkface_lite.measuring.evaluation import METRICS, evaluate, summary
from talkface_lite.measuring.pictures import (
    PICTURE_METRICS,
    dlib_in_crop,
    measure_pictures,
    mouth_box,
    points_distance,
    points_in,
)
from talkface_lite.measuring.tables import TITLES, table
from talkface_lite.metrics import bootstrap_interval, landmark_distance, mouth_landmark_distance
from talkface_lite.metrics import ssim as similar
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.base import Stretch, System

FACE = ShapePCA.pretrained().decode(np.zeros(6, np.float32)).astype(np.float32)
LENGTHS = (5, 6, 8)
LIPS = lip_keys()


def made_clips(side: int = CROP_SIZE, n: int = 3) -> list[Clip]:
    rng = np.random.default_rng(0)
    found = []
    for length in LENGTHS[:n]:
        landmarks = FACE + rng.normal(0, 0.3, (length, 68, 2))
        landmarks[:, 66, 1] += rng.uniform(0, 4, length)
        frames = rng.integers(60, 120, (length, side, side, 3), dtype=np.uint8)
        speech = rng.uniform(-0.1, 0.1, length * 640).astype(np.float32)
        found.append(Clip(frames=frames, landmarks=landmarks.astype(np.float32), speech=speech))
    return found


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return made_clips()


class Knows(System):
    """Knows the truth by the speech; answers ``lower`` px too low at point 57, ``brighter`` levels up."""

    name, parts = "knows", ()

    def __init__(self, clips, lower: float = 0.0, brighter: int = 0, landmarks: bool = True):
        super().__init__({})
        self.truth = {clip.speech.tobytes(): clip for clip in clips}
        self.lower, self.brighter, self.landmarks = lower, brighter, landmarks
        self.faces, self.drawn = [], []

    def film(self, face, speech, rng):
        self.faces.append(face)
        self.drawn.append(rng.random())
        clip = self.truth[speech.tobytes()]
        points = clip.landmarks.copy()
        points[:, 57, 1] += self.lower
        frames = clip.frames + np.uint8(self.brighter)
        for some in (slice(0, 2), slice(2, None)):
            yield Stretch(frames[some], points[some] if self.landmarks else None)


def median(values) -> float:
    return pytest.approx(float(np.median(values)), abs=1.01e-4)


@pytest.mark.parametrize("shown", [0, 3])
def test_every_figure_of_landmarks_is_the_median_of_the_clips(clips, shown):
    report = evaluate(Knows(clips, lower=2), clips, example=shown)
    assert {k: report[k] for k in ("clips", "frames", "frame_step", "seed")} == {
        "clips": 3,
        "frames": sum(LENGTHS),
        "frame_step": 1,
        "seed": 0,
    }
    assert set(report["baselines"]) == {"mean_mouth", "copy_photo", "loudness"}
    assert set(report["systems"]) == {"knows"}
    own = report["systems"]["knows"]["from_speech"]
    # of 20 centred mouth points one is 2 - 0.1 px away, the others 0.1 px; of all 68 one is 2 px away
    assert own["mouth_landmark_distance"]["median"] == median([(1.9 + 19 * 0.1) / 20])
    assert own["landmark_distance"]["median"] == median([2 / 68])
    assert own["lip_opening_correlation"]["median"] == median([1])
    rows = {
        "mean_mouth": [np.broadcast_to(FACE, clip.landmarks.shape) for clip in clips],
        "copy_photo": [np.broadcast_to(clip.landmarks[shown], clip.landmarks.shape) for clip in clips],
    }
    for name, guesses in rows.items():
        row, pairs = report["baselines"][name], list(zip(guesses, [clip.landmarks for clip in clips]))
        assert row["mouth_landmark_distance"]["median"] == median(
            [mouth_landmark_distance(*pair).mean() for pair in pairs]
        )
        assert row["landmark_distance"]["median"] == median([landmark_distance(*p).mean() for p in pairs])
        assert row["lip_opening_correlation"] == {"median": None, "low": None, "high": None}
        assert "share_of_mean_mouth" not in row
    share = (
        own["mouth_landmark_distance"]["median"]
        / (report["baselines"]["mean_mouth"]["mouth_landmark_distance"]["median"])
    )
    assert own["share_of_mean_mouth"] == pytest.approx(share, abs=1e-4)
    assert not set(own) & {"psnr", "ssim", "mouth_psnr", "lmd", "missed", "mouth_gain"}
    json.dumps(report, allow_nan=False)


def test_every_figure_of_pictures_and_the_gain_over_the_copy(clips):
    report = evaluate(Knows(clips, brighter=5), clips, pictures=True)
    own, copy = report["systems"]["knows"]["from_speech"], report["baselines"]["copy_photo"]
    assert own["psnr"]["median"] == own["mouth_psnr"]["median"] == median([20 * np.log10(255 / 5)])
    assert own["ssim"]["median"] == median(
        [np.mean([similar(a + np.uint8(5), a, data_range=255) for a in clip.frames]) for clip in clips]
    )
    copies = [
        measure_pictures(np.broadcast_to(c.frames[0], c.frames.shape), c.frames, c.landmarks) for c in clips
    ]
    for name in set(PICTURE_METRICS) - {"lmd"}:
        assert copy[name]["median"] == median([found[name] for found in copies])
    gains = [20 * np.log10(255 / 5) - found["mouth_psnr"] for found in copies]
    assert own["mouth_gain"]["median"] == median(gains)
    low, high = bootstrap_interval(np.array(gains), np.random.default_rng(0))
    assert (own["mouth_gain"]["low"], own["mouth_gain"]["high"]) == (median([low]), median([high]))
    assert "mouth_gain" not in copy
    assert "psnr" not in report["baselines"]["mean_mouth"]
    warp = {"gain_over_warp", "share_above_warp", "gain_over_mean_picture"}
    assert set(own) - LIPS == {*METRICS, "mouth_gain", "share_of_mean_mouth", *warp} - {"lmd"}
    # both the film and the copy perfect: there is no gain to tell
    still = [Clip(frames=c.frames[:1], landmarks=c.landmarks[:1], speech=c.speech[:640]) for c in clips]
    row = evaluate(Knows(still), still, pictures=True)["systems"]["knows"]["from_speech"]
    assert row["mouth_gain"] == row["psnr"] == {"median": None, "low": None, "high": None}


def test_pictures_of_another_side_have_their_mouths_where_they_are():
    large = made_clips(side=256)
    for clip in large:
        film = clip.frames.copy()
        for t, points in enumerate(clip.landmarks):
            film[t][mouth_box(points * 2, 12, (256, 256))] += np.uint8(5)
        found = measure_pictures(film, clip.frames, clip.landmarks * 2)
        assert found["mouth_psnr"] == pytest.approx(20 * np.log10(255 / 5))

    class Mouth(Knows):
        side = 256

        def film(self, face, speech, rng):
            for stretch in super().film(face, speech, rng):
                for frame, points in zip(stretch.frames, stretch.landmarks):
                    places = apply_transform(points, magnify(2))  # the corners of both pictures agree
                    frame[mouth_box(places, 12, (256, 256))] += np.uint8(5)
                yield stretch

    row = evaluate(Mouth(large), large, pictures=True)["systems"]["knows"]["from_speech"]
    assert row["mouth_psnr"]["median"] == median([20 * np.log10(255 / 5)])
    assert row["psnr"]["median"] > row["mouth_psnr"]["median"] + 5


def test_the_mouth_box_of_pictures_that_are_not_square():
    rows, columns = mouth_box(FACE, 6, (100, 200))
    assert (rows.stop, columns.stop) == (100, int(np.ceil(FACE[MOUTH, 0].max())) + 7)
    for far in (-500, 500):
        rows, columns = mouth_box(FACE + far, 6, (100, 200))
        assert (rows.stop - rows.start, columns.stop - columns.start) == (1, 1)


def test_ssim_and_lmd_look_at_every_so_manyth_frame(clips):
    looked = []

    def find(picture):
        looked.append(picture)
        return None if picture[0, 0, 0] == 0 else FACE + np.float32(picture[0, 0, 0] % 3)

    film = Knows(clips, brighter=3)
    report = evaluate(film, clips, pictures=True, find_points=find, frame_step=3, warp=False)
    assert report["frame_step"] == 3
    # of clip and film frames 0, 3, 6; the copied photograph is one that was looked at; the mean picture
    assert len(looked) == 2 * sum(-(-length // 3) for length in LENGTHS) + len(LENGTHS)
    row = report["systems"]["knows"]["from_speech"]
    assert row["ssim"]["median"] == median(
        [np.mean([similar(a + np.uint8(3), a, data_range=255) for a in c.frames[::3]]) for c in clips]
    )
    assert row["missed"]["median"] == 0
    assert row["lmd"]["median"] == 0


def test_lmd_is_of_the_frames_in_which_both_have_a_face():
    other = FACE.copy()
    other[57, 1] += 2
    found = points_distance([FACE, None, other, FACE], [FACE, FACE, FACE, None])
    assert found["missed"] == 0.5
    assert found["lmd"] == pytest.approx((1.9 + 19 * 0.1) / 20 / 2, abs=1e-4)
    assert points_distance([None], [FACE])["missed"] == 1
    assert np.isnan(points_distance([None], [FACE])["lmd"])
    assert points_in(np.zeros((2, 4, 4, 3), np.uint8), None) == []
    assert points_in(np.zeros((2, 4, 4, 3), np.uint8), lambda picture: picture.shape) == [(4, 4, 3)] * 2


def test_the_photograph_is_the_frame_that_is_asked_for_or_drawn(clips):
    def photographs(**options):
        system = Knows(clips)
        report = evaluate(system, clips, pictures=True, **options)
        places = []
        for face, clip in zip(system.faces, clips):
            same = [t for t, points in enumerate(clip.landmarks) if np.array_equal(points, face.landmarks)]
            assert len(same) == 1
            assert np.array_equal(face.picture, clip.frames[same[0]])
            places += same
        return places, system.drawn, report

    assert photographs()[0] == [0, 0, 0]
    assert photographs(example=2)[0] == [2, 2, 2]
    assert photographs(example=99)[0] == [length - 1 for length in LENGTHS]
    places = [photographs(example=None, seed=seed)[0] for seed in range(30)]
    assert len({tuple(p) for p in places}) > 15
    assert {p[0] for p in places} == set(range(LENGTHS[0]))
    first, again, other = (photographs(seed=seed) for seed in (3, 3, 4))
    assert first[1] == again[1] != other[1]
    assert len(set(first[1])) == 3
    assert first[2] == again[2]
    assert (first[2]["seed"], other[2]["seed"]) == (3, 4)


def test_several_systems_are_told_apart_and_asked_with_equal_chances(clips):
    systems = {"good": Knows(clips), "off": Knows(clips, lower=4), "mute": Knows(clips, landmarks=False)}
    report = evaluate(systems, iter(clips))
    assert list(report["systems"]) == ["good", "off", "mute"]
    assert report["systems"]["good"]["from_speech"]["mouth_landmark_distance"]["median"] == 0
    assert report["systems"]["good"]["from_speech"]["share_of_mean_mouth"] == 0
    assert report["systems"]["off"]["from_speech"]["landmark_distance"]["median"] == median([4 / 68])
    assert "from_speech" not in report["systems"]["mute"] or not report["systems"]["mute"]["from_speech"]
    assert systems["good"].drawn == systems["off"].drawn


def test_what_cannot_be_measured_is_one_line(clips):
    with pytest.raises(InputError, match="clips: got none, expected at least one clip"):
        evaluate(Knows(clips), [])
    bare = Clip(frames=None, landmarks=clips[1].landmarks, speech=clips[1].speech)
    with pytest.raises(InputError, match="clip 1: got no pictures"):
        evaluate(Knows(clips), [clips[0], bare], pictures=True)


@pytest.mark.filterwarnings("error")
def test_a_summary_leaves_out_what_is_not_finite():
    rng = np.random.default_rng
    values = np.array([1.0, 2.0, 4.0, np.inf, np.nan, -np.inf])
    found = summary(values, rng(0))
    assert found["median"] == 2
    assert 1 <= found["low"] <= 2 <= found["high"] <= 4
    assert summary(np.array([np.inf, np.nan]), rng(0)) == {"median": None, "low": None, "high": None}
    assert summary(np.array([1.23456789]), rng(0)) == {"median": 1.2346, "low": 1.2346, "high": 1.2346}


def test_the_table_has_a_row_for_each_and_the_columns_that_were_measured(clips):
    report = evaluate({"a": Knows(clips, lower=2)}, clips)
    lines = table(report).splitlines()
    assert lines[0] == f"3 clips, {sum(LENGTHS)} frames; median over clips [95 % interval]"
    names = ["mean_mouth", "copy_photo", "loudness", "a: from_speech"]
    assert [line[:16].strip() for line in lines[2:]] == names
    columns = ["mouth_landmark_distance", "landmark_distance", "lip_opening_correlation"]
    assert lines[1] == " " * 16 + "".join(f"{TITLES[name]:>24}" for name in columns)
    assert {len(line) for line in lines[1:]} == {16 + 3 * 24}
    row = report["systems"]["a"]["from_speech"]
    cells = [f"{row[c]['median']:.3f} [{row[c]['low']:.3f}, {row[c]['high']:.3f}]" for c in columns]
    assert lines[5] == f"{'a: from_speech':16}" + "".join(f"{cell:>24}" for cell in cells)
    assert lines[2].endswith("-")
    pictured = table(evaluate(Knows(clips, brighter=2), clips, pictures=True)).splitlines()
    assert "PSNR, dB" in pictured[1]
    assert "LMD" not in pictured[1]
    # what a row lacks is a dash
    assert pictured[2].split()[-1] == "-"


def test_dlib_sees_the_crop_enlarged_and_answers_in_its_pixels(monkeypatch):
    from talkface_lite.faces import detection

    class Sees:
        def __init__(self, name):
            assert name == "dlib"

        def find(self, picture, small=True):
            assert picture.shape == (256, 256, 3)
            assert small is False
            there = np.argwhere(picture[..., 0] > 200)
            return [there.mean(0)[::-1]] if len(there) else []

        def points(self, picture, box):
            return np.broadcast_to(box, (68, 2))

    monkeypatch.setattr(detection, "FilmFaces", Sees)
    find = dlib_in_crop()
    assert measuring_pictures.CROP_SIZE == 128
    picture = np.zeros((128, 128, 3), np.uint8)
    assert find(picture) is None
    picture[40:43, 70:75] = 255
    np.testing.assert_allclose(find(picture)[0], (72, 41), atol=0.05)
