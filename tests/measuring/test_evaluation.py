"""One table for systems and baselines: what it is called, what it measures, what each system was asked."""

import json

import numpy as np
import pytest
import torch
from made_lips import lip_keys
from small_networks import SMALL_AT_NET
from toy_systems import Oracle, SmallLamp

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.measuring.evaluation import METRICS, evaluate, shipped, summary
from talkface_lite.measuring.landmarks import LANDMARK_METRICS
from talkface_lite.measuring.pictures import PICTURE_METRICS
from talkface_lite.measuring.tables import table
from talkface_lite.metrics import lip_opening_correlation, mouth_landmark_distance
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import system_class
from talkface_lite.systems.atvg import ATNetPart, ATNetPartConfig, ATVGnet, ATVGnetSettings
from talkface_lite.systems.base import Shown

torch.set_num_threads(1)

LIPS = lip_keys()
"""What of a row is of its lips: :mod:`test_lips` measures that."""


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


def truth(error=0.0):
    """Answers with the truth, spoiled by ``error`` pixels downwards at one lip point."""

    def answer(clip, pictures):
        landmarks = clip.landmarks.copy()
        landmarks[:, 57, 1] += error
        return {"from_speech": Shown(landmarks)}

    return Oracle(answer)


def only(report):
    """The rows of the one system of a report."""
    (rows,) = report["systems"].values()
    return rows


def test_the_truth_scores_perfectly_and_baselines_score_what_they_are(clips):
    report = evaluate(truth(), clips)
    assert report["clips"] == 5
    assert report["frames"] == 60
    assert list(report["systems"]) == ["oracle"]
    row, baselines = only(report)["from_speech"], report["baselines"]
    assert row["mouth_landmark_distance"] == {"median": 0, "low": 0, "high": 0}
    assert row["lip_opening_correlation"]["median"] == 1
    assert row["share_of_mean_mouth"] == 0
    copied = [mouth_landmark_distance(clip.landmarks[:1], clip.landmarks).mean() for clip in clips]
    assert baselines["copy_photo"]["mouth_landmark_distance"]["median"] == pytest.approx(
        np.median(copied), abs=1e-4
    )
    moved = [np.linalg.norm(clip.landmarks[0] - clip.landmarks, axis=-1).mean() for clip in clips]
    assert baselines["copy_photo"]["landmark_distance"]["median"] == pytest.approx(np.median(moved), abs=1e-4)
    assert baselines["copy_photo"]["lip_opening_correlation"]["median"] is None
    # the mean mouth is that of the corpus the package's basis is of, and not of a system
    mean = ShapePCA.pretrained().mean.reshape(68, 2) * 64 + 64
    means = [mouth_landmark_distance(mean, clip.landmarks).mean() for clip in clips]
    assert baselines["mean_mouth"]["mouth_landmark_distance"]["median"] == pytest.approx(
        np.median(means), abs=1e-4
    )
    assert baselines["mean_mouth"]["lip_opening_correlation"]["median"] is None
    json.dumps(report, allow_nan=False)


def test_the_report_has_these_keys_and_no_others(clips):
    report = evaluate(truth(), clips, seed=4, frame_step=2)
    assert set(report) == {
        "clips", "frames", "frame_step", "seed", "example", "how", "real", "baselines", "systems",
    }  # fmt: skip
    assert (report["frame_step"], report["seed"]) == (2, 4)
    assert set(report["baselines"]) == {"copy_photo", "mean_mouth", "loudness"}
    for row in report["baselines"].values():
        assert set(row) - LIPS == set(LANDMARK_METRICS)
    assert set(only(report)) == {"from_speech"}
    row = only(report)["from_speech"]
    assert set(row) - LIPS == {*LANDMARK_METRICS, "share_of_mean_mouth"}
    for metric in LANDMARK_METRICS:
        assert set(row[metric]) == {"median", "low", "high"}
    for name in (*report, "share_of_mean_mouth"):
        assert f"``{name}``" in evaluate.__doc__
    assert (*LANDMARK_METRICS, *PICTURE_METRICS, "drift") == METRICS


def test_an_error_shows_in_its_size(clips):
    report = evaluate({"spoiled": truth(2.0), "perfect": truth(), "far": truth(8.0)}, iter(clips))
    assert list(report["systems"]) == ["spoiled", "perfect", "far"]
    spoiled, perfect, far = (rows["from_speech"] for rows in report["systems"].values())
    # one point of 20 moves by 2 px, and its mouth's centre by 0.1 px
    assert spoiled["mouth_landmark_distance"]["median"] == pytest.approx((1.9 + 19 * 0.1) / 20, abs=1e-3)
    assert spoiled["landmark_distance"]["median"] == pytest.approx(2 / 68, abs=1e-3)
    assert perfect["mouth_landmark_distance"]["median"] == 0
    assert far["landmark_distance"]["median"] == pytest.approx(8 / 68, abs=1e-3)
    row = spoiled["mouth_landmark_distance"]
    assert row["low"] <= row["median"] <= row["high"]
    mean_mouth = report["baselines"]["mean_mouth"]["mouth_landmark_distance"]["median"]
    assert spoiled["share_of_mean_mouth"] == pytest.approx(row["median"] / mean_mouth, abs=1e-4)
    assert 0 < spoiled["share_of_mean_mouth"] < far["share_of_mean_mouth"]
    alone = evaluate(truth(2.0), clips)
    assert only(alone)["from_speech"] == spoiled, "what else is measured changes nothing"
    assert alone["baselines"] == report["baselines"]


def test_which_frame_is_the_photograph(clips):
    short = Clip(frames=None, landmarks=clips[0].landmarks[:2], speech=clips[0].speech[: 2 * 640])
    mixed = [short, *clips]
    first, third, drawn, again, other = (truth() for _ in range(5))
    copied = evaluate(first, mixed)["baselines"]["copy_photo"]["landmark_distance"]
    moved = evaluate(third, mixed, example=3)["baselines"]["copy_photo"]["landmark_distance"]
    assert copied != moved
    evaluate(drawn, mixed, example=None, seed=1)
    evaluate(again, mixed, example=None, seed=1)
    evaluate(other, mixed, example=None, seed=2)
    assert [asked[1] for asked in first.asked] == [0] * 6
    assert [asked[1] for asked in third.asked] == [1] + [3] * 5, "the last of a clip that has no more"
    shown = [[asked[1] for asked in one.asked] for one in (drawn, again, other)]
    assert shown[0] == shown[1] != shown[2]
    assert all(0 <= frame < len(clip) for frame, clip in zip(shown[0], mixed))
    assert len(set(shown[0])) > 2
    assert [asked[0] for asked in first.asked] == mixed


def test_each_system_draws_from_a_stream_of_its_own(clips):
    """Equal for all systems, another for each clip, and fixed by the seed."""
    systems = {"a": truth(), "b": truth()}
    evaluate(systems, clips, seed=3)
    draws = {name: [asked[2] for asked in one.asked] for name, one in systems.items()}
    assert draws["a"] == draws["b"]
    assert len(set(draws["a"])) == len(clips)
    evaluate(later := truth(), clips, seed=4)
    assert not {asked[2] for asked in later.asked} & set(draws["a"])


def test_one_clip_at_a_time_is_held_in_memory(clips):
    held = []

    def stream():
        for clip in clips:
            held.append(clip)
            yield clip

    def answer(clip, pictures):
        assert held[-1] is clip
        assert pictures is False
        return {"from_speech": Shown(clip.landmarks)}

    assert evaluate(Oracle(answer), stream())["clips"] == 5


@pytest.mark.parametrize("paper_decoding", [False, True])
def test_atvgnets_own_rows(clips, paper_decoding):
    """The best that six components can do is nearer than what an untrained network says, and not perfect."""
    torch.manual_seed(0)
    at_net = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET)).eval()
    report = evaluate(ATVGnet({"at-net": at_net}, ATVGnetSettings(paper_decoding=paper_decoding)), clips)
    rows, basis = only(report), at_net.shape_pca
    assert list(rows) == ["from_speech", "best_possible"]
    nearest = [basis.decode(basis.encode(clip.landmarks)) for clip in clips]
    if not paper_decoding:  # as it is used: with what the photograph's face has outside of the basis
        nearest = [near + clip.landmarks[0] - near[0] for near, clip in zip(nearest, clips)]
    for metric, measure in (
        ("lip_opening_correlation", lip_opening_correlation),
        ("mouth_landmark_distance", lambda a, b: mouth_landmark_distance(a, b).mean()),
        ("landmark_distance", lambda a, b: np.linalg.norm(a - b, axis=-1).mean()),
    ):
        expected = np.median([measure(near, clip.landmarks) for near, clip in zip(nearest, clips)])
        assert rows["best_possible"][metric]["median"] == pytest.approx(expected, abs=1e-3), metric
    said = [at_net.generate(c.speech, c.landmarks[0], keep_identity=not paper_decoding) for c in clips]
    expected = np.median([mouth_landmark_distance(s, c.landmarks).mean() for s, c in zip(said, clips)])
    assert rows["from_speech"]["mouth_landmark_distance"]["median"] == pytest.approx(expected, abs=1e-3)
    best = rows["best_possible"]["mouth_landmark_distance"]["median"]
    assert best > 0.1
    if not paper_decoding:
        assert best < report["baselines"]["mean_mouth"]["mouth_landmark_distance"]["median"] / 4


def test_landmarks_that_are_no_numbers_have_no_figure(clips):
    """A network that has diverged is reported, and breaks nothing."""
    report = evaluate(
        Oracle(lambda clip, pictures: {"from_speech": Shown(np.full_like(clip.landmarks, np.nan))}), clips
    )
    row = only(report)["from_speech"]
    assert row["mouth_landmark_distance"] == {"median": None, "low": None, "high": None}
    assert "share_of_mean_mouth" not in row
    json.dumps(report, allow_nan=False)
    assert table(report).splitlines()[-1].split() == ["oracle:", "from_speech", "-", "-", "-"]


def test_a_system_without_landmarks_has_no_row_of_them(clips):
    """It films all the same; its pictures are not measured unless they are asked for."""
    report = evaluate(SmallLamp(), clips)
    assert report["systems"] == {"small-lamp": {}}
    assert set(report["baselines"]["copy_photo"]) - LIPS == set(LANDMARK_METRICS)


def test_no_clip():
    with pytest.raises(InputError, match="at least one clip"):
        evaluate(truth(), [])


def test_the_median_and_its_interval():
    row = summary(np.array([3.0, np.nan, 1.0, 2.0, np.inf]), np.random.default_rng(0))
    assert row["median"] == 2
    assert 1 <= row["low"] <= 2 <= row["high"] <= 3
    assert summary(np.array([np.nan, np.inf]), np.random.default_rng(0)) == {
        "median": None,
        "low": None,
        "high": None,
    }
    assert summary(np.array([1 / 3]), np.random.default_rng(0))["median"] == 0.3333


def test_the_table_has_every_row_and_every_figure(clips):
    report = evaluate({"spoiled": truth(2.0), "perfect": truth()}, clips)
    lines = table(report).splitlines()
    assert lines[0] == "5 clips, 60 frames; median over clips [95 % interval]"
    assert lines[1].split("  ")[-1].strip() == "lip opening, r"
    assert [title in lines[1] for title in ("mouth distance, px", "68 points, px", "PSNR, dB")] == [1, 1, 0]
    names = [line[:25].split("  ")[0] for line in lines[2:]]
    baselines = ["copy_photo", "loudness", "mean_mouth"]
    assert sorted(names) == [*baselines, "perfect: from_speech", "spoiled: from_speech"]
    spoiled = next(line for line in lines if line.startswith("spoiled"))
    row = report["systems"]["spoiled"]["from_speech"]
    for metric in LANDMARK_METRICS:
        value = row[metric]
        assert f"{value['median']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in spoiled
    assert next(line for line in lines if line.startswith("copy_photo")).split()[-1] == "-"
    assert len({len(line) for line in lines[1:]}) == 1, "columns stand below each other"


def test_columns_stay_apart_where_a_network_knows_nothing_yet(clips):
    lines = table(evaluate({"wild": truth(1e6)}, clips)).splitlines()
    wild = next(line for line in lines if line.startswith("wild"))
    assert wild.count("  ") >= 3, "two spaces before each figure"
    assert len({len(line) for line in lines[1:]}) == 1


def test_the_systems_that_the_package_has_weights_of():
    settings = ATVGnetSettings(paper_decoding=True)
    found = shipped(["atvg"], settings=settings, variants=True)
    assert list(found) == ["atvg", "atvg no_lstm", "atvg paper"]
    assert [one.at_net.config.at_net.recurrent for one in found.values()] == [True, False, True]
    assert [one.vg_net.config.vg_net.warp for one in found.values()] == [True, True, False]
    assert all(one.settings is settings for one in found.values())
    assert list(shipped(["atvg"])) == ["atvg"]
    assert list(shipped(["atvg"], variants=True, pictures=False)) == ["atvg", "atvg no_lstm"]
    assert shipped(["atvg"], "full") == {}
    with pytest.raises(InputError, match="system"):
        shipped(["nobody"])


def test_the_mouth_is_its_20_points():
    """The error of any other point is none of the mouth's."""
    face = np.random.default_rng(0).uniform(20, 100, (2, 68, 2)).astype(np.float32)
    clip = Clip(frames=None, landmarks=face, speech=np.zeros(2 * 640, np.float32))

    def answer(clip, pictures):
        landmarks = clip.landmarks.copy()
        landmarks[:, :48] += 3
        return {"from_speech": Shown(landmarks)}

    row = only(evaluate(Oracle(answer), [clip]))["from_speech"]
    assert row["mouth_landmark_distance"]["median"] == 0
    assert row["landmark_distance"]["median"] == pytest.approx(48 / 68 * np.hypot(3, 3), abs=1e-3)


def test_a_variant_without_weights_is_not_among_those_shipped(monkeypatch):
    kind = system_class("atvg")
    untrained = {"a": {"at-net": {"recurrent": False}}, "b": {"vg-net": {"memory": 48}}}
    monkeypatch.setattr(kind, "variants", {**kind.variants, **untrained})
    assert list(shipped(["atvg"], variants=True)) == ["atvg", "atvg no_lstm", "atvg paper"]
    assert list(shipped(["atvg"])) == ["atvg"]
    assert shipped(["atvg"], "full") == {}
