"""From clips to the report: ratios clip by clip, shares, what a detector sees, speakers, pairs, tables."""

import json

import numpy as np
import pytest
from made_lips import lips, spoken
from toy_systems import Oracle

from talkface_lite.errors import InputError
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.pairs import compare_all, compare_reports, paired_difference, read_report
from talkface_lite.measuring.pictures import as_array, remembering
from talkface_lite.measuring.tables import tables
from talkface_lite.metrics import bootstrap_interval
from talkface_lite.systems.base import Shown

SAID = [0, 0, 0, 0, 4, 6, 2, 6, 0, 0, 0, 0]
WORD = (4, 8)


@pytest.fixture(scope="module")
def clips():
    """Two speakers; the mouths of the second open twice as far, and one of his clips ends with the word."""
    return [
        spoken(np.array(SAID) * 1.0, WORD, identity="a"),
        spoken(np.array(SAID) * 1.5, WORD, identity="a"),
        spoken(np.array(SAID) * 2.0, WORD, identity="b"),
        spoken(np.array(SAID[:8]) * 2.0, WORD, identity="b"),
    ]


def scaled(factor, offset=0.0):
    """Opens ``factor`` times as far as the truth, and ``offset`` px more."""
    return Oracle(lambda clip, pictures: {
        "from_speech": Shown(lips(factor * (clip.landmarks[:, 66, 1] - 90) + offset)),
    })  # fmt: skip


def row_of(report):
    return report["systems"]["oracle"]["from_speech"]


def test_a_ratio_is_taken_clip_by_clip(clips):
    """An error of one pixel is another share of each clip's own movement."""
    row = row_of(evaluate(scaled(1, 1.0), clips))
    means = [np.mean(SAID) * k for k in (1, 1.5, 2)] + [np.mean(SAID[:8]) * 2]
    assert row["opening_error"]["median"] == pytest.approx(1, abs=1e-4)
    over = row["opening_error_over_copy"]
    assert over["median"] == pytest.approx(np.median(1 / np.array(means)), abs=1e-4)
    low, high = bootstrap_interval(1 / np.array(means), np.random.default_rng(0))
    assert (over["low"], over["high"]) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert row["opening_mean_over_real"]["median"] == pytest.approx(
        np.median([(m + 1) / m for m in means]), abs=1e-4
    )
    assert row["opening_spread_over_real"]["median"] == pytest.approx(1, abs=1e-4)


def test_a_perfect_system_the_copy_and_the_mean_mouth_are_what_they_are(clips):
    report = evaluate(scaled(1), clips)
    ratios = ("opening_error_over_copy", "mouth_landmark_distance_over_copy", "motion_distance_over_still")
    for name in ratios:
        assert row_of(report)[name] == {"median": 0, "low": 0, "high": 0}
        assert report["baselines"]["copy_photo"][name] == {"median": 1, "low": 1, "high": 1}
    assert report["baselines"]["mean_mouth"]["motion_distance_over_still"]["median"] == pytest.approx(1)
    for name in ("opening_mean", "opening_spread", "opening_p95", "width_mean", "onset_jump"):
        assert row_of(report)[f"{name}_over_real"]["median"] == pytest.approx(1, abs=1e-4)
        assert row_of(report)[name] == report["real"][name]
    assert report["real"]["opening_mean"]["median"] == pytest.approx(2.625, abs=1e-4)
    assert "opening_mean_over_real" not in report["real"]


def test_shares_of_clips(clips):
    report = evaluate(scaled(1), clips)
    assert report["real"]["share_back_at_rest"] == 1, "the clip that ends with its word is none of them"
    assert report["real"]["seconds_to_rest"]["median"] == 0.04
    jumps = 0.48 * np.array([4, 6, 8, 8.0])
    limit = np.quantile(jumps, 0.95)
    assert report["real"]["onset_jump_p95"] == pytest.approx(limit, abs=1e-4)
    assert row_of(report)["share_of_onsets_within_real"] == 1
    assert row_of(evaluate(scaled(1.5), clips))["share_of_onsets_within_real"] == 0.25
    assert row_of(evaluate(scaled(1, 2.0), clips))["share_back_at_rest"] == 0
    assert row_of(evaluate(scaled(1, 2.0), clips))["seconds_to_rest"]["median"] is None
    assert report["baselines"]["copy_photo"]["share_back_at_rest"] == 1

    def answer(clip, pictures):
        return {"from_speech": Shown(clip.landmarks if clip.identity == "a" else clip.landmarks + stays)}

    stays = lips([3.0]) - lips([0.0])
    some = row_of(evaluate(Oracle(answer), clips))
    assert some["share_back_at_rest"] == pytest.approx(2 / 3, abs=1e-4)
    assert some["seconds_to_rest"]["median"] == 0.04, "of those that are back"


def test_the_photograph_at_rest(clips):
    opened = [spoken([3, 2, 0.5, 2, 4, 1, 1], (3, 5))]
    asked = scaled(1)
    report = evaluate(asked, opened, example="rest")
    assert asked.asked[0][1] == 2
    assert report["example"] == "rest"
    copied = report["baselines"]["copy_photo"]
    away = [2.5, 1.5, 0, 1.5, 3.5, 0.5, 0.5]
    assert copied["opening_error"]["median"] == pytest.approx(np.mean(away), abs=1e-4)
    assert evaluate(scaled(1), opened, example=None)["example"] == "random"
    assert evaluate(scaled(1), opened)["example"] == 0
    with pytest.raises(InputError, match="got 'smile', expected the number of a frame, 'rest' or None"):
        evaluate(scaled(1), opened, example="smile")


def painted(landmarks):
    """Black pictures that say in their first pixel, tenths of a pixel, how far the mouth is open."""
    film = np.zeros((len(landmarks), 128, 128, 3), np.uint8)
    film[:, 0, 0, 0] = np.rint(10 * (landmarks[:, 66, 1] - 90))
    return film


class Looks:
    """Sees what :func:`painted` says, and no face where the second pixel is white."""

    def __init__(self):
        self.looks = 0

    def __call__(self, picture):
        self.looks += 1
        return None if picture[0, 1, 0] else lips([picture[0, 0, 0] / 10])[0]


@pytest.fixture(scope="module")
def filmed(clips):
    return [
        spoken(clip.landmarks[:, 66, 1] - 90, WORD, identity=clip.identity, frames=painted(clip.landmarks))
        for clip in clips[:3]
    ]


def films(factor, missed=()):
    def answer(clip, pictures):
        film = painted(lips(factor * (clip.landmarks[:, 66, 1] - 90)))
        film[list(missed), 0, 1] = 255
        return {"from_speech": Shown(clip.landmarks, film)}

    return Oracle(answer)


def test_openings_of_a_film_are_those_seen_in_film_and_clip_alike(filmed):
    """The landmarks say it is perfect; the film opens half as far."""
    report = evaluate(films(0.5), filmed, pictures=True, find_points=Looks(), warp=False)
    row = row_of(report)
    assert row["opening_error"]["median"] == 0
    assert row["seen_opening_error_over_copy"]["median"] == pytest.approx(0.5, abs=1e-4)
    assert row["lmd_over_copy"]["median"] == pytest.approx(0.5, abs=1e-4)
    assert row["seen_motion_distance_over_still"]["median"] == pytest.approx(0.5, abs=1e-4)
    assert row["seen_opening_spread_over_real"]["median"] == pytest.approx(0.5, abs=1e-4)
    assert row["seen_onset_jump_over_real"]["median"] == pytest.approx(0.5, abs=1e-4)
    assert row["seen_lip_opening_correlation"]["median"] == pytest.approx(1)
    assert row["seen_share_back_at_rest"] == 1
    assert report["real"]["seen_opening_mean"]["median"] == pytest.approx(1.5 * np.mean(SAID), abs=1e-4)
    copy = report["baselines"]["copy_photo"]
    assert copy["lmd_over_copy"] == {"median": 1, "low": 1, "high": 1}
    assert row["lmd"]["median"] == pytest.approx(copy["lmd"]["median"] / 2, abs=2e-4)
    assert not any(name.startswith("seen_") for name in report["baselines"]["loudness"])
    opened = evaluate(films(0.5), filmed, pictures=True, find_points=Looks(), warp=False, example=5)
    assert opened["baselines"]["copy_photo"]["lmd_over_copy"] == {"median": 1, "low": 1, "high": 1}
    assert opened["baselines"]["copy_photo"]["seen_opening_error_over_copy"]["median"] == 1


def test_what_the_detector_missed_is_left_out_of_both(filmed):
    row = row_of(evaluate(films(1, missed=[5, 6]), filmed, pictures=True, find_points=Looks(), warp=False))
    assert row["missed"]["median"] == pytest.approx(2 / 12, abs=1e-4)
    assert row["lmd"]["median"] == row["seen_opening_error"]["median"] == 0
    kept = np.delete(SAID, [5, 6]) * 1.5
    assert row["seen_opening_mean"]["median"] == pytest.approx(kept.mean(), abs=1e-4)
    blind = evaluate(films(1), filmed, pictures=True, find_points=lambda picture: None, warp=False)
    assert row_of(blind)["lmd_over_copy"]["median"] is None
    assert blind["real"]["seen_opening_mean"]["median"] is None
    json.dumps(blind, allow_nan=False)


def test_with_a_step_nothing_is_said_of_movements_that_were_not_seen(filmed):
    whole, row = (
        row_of(evaluate(films(0.5), filmed, pictures=True, find_points=Looks(), frame_step=n, warp=False))
        for n in (1, 2)
    )
    gone = {name for name in whole if name not in row}
    assert gone == {
        f"seen_{name}"
        for name in ("onset_jump", "onset_jump_over_real", "silence_movement", "seconds_to_rest",
                     "share_back_at_rest", "share_of_onsets_within_real", "silence_movement_over_real")
    }  # fmt: skip
    assert row["onset_jump"] == whole["onset_jump"], "landmarks are known in every frame"
    assert row["seen_opening_error_over_copy"]["median"] == pytest.approx(0.5, abs=1e-4)


def test_each_picture_is_looked_at_once(filmed):
    looks = Looks()
    evaluate(films(1), filmed[:1], pictures=True, find_points=looks, warp=False)
    assert looks.looks == len(set(SAID)) + 1, "and the mean of all"
    seen = remembering(looks)
    before = looks.looks
    assert seen(filmed[0].frames[4]) is seen(filmed[0].frames[4].copy())
    assert looks.looks == before + 1
    assert np.isnan(as_array([None, lips([0])[0]])[0]).all()


def test_speakers_are_told_apart(clips):
    report = evaluate(scaled(1, 1.0), clips, by_speaker=True, seed=2)
    assert list(report["speakers"]) == ["a", "b"]
    for name, part in (("a", clips[:2]), ("b", clips[2:])):
        alone = evaluate(scaled(1, 1.0), part, seed=2)
        ours = report["speakers"][name]
        assert ours["clips"] == 2
        assert ours == {key: alone[key] for key in ours}
        assert set(ours) == {"clips", "frames", "real", "baselines", "systems"}
    assert report["speakers"]["a"] != report["speakers"]["b"]
    assert "speakers" not in evaluate(scaled(1), clips)
    text = tables(report)
    lines = [line.split() for line in text.splitlines()]
    assert ["a", "2", "oracle:", "from_speech"] in [line[:4] for line in lines]
    assert ["b", "2", "oracle:", "from_speech"] in [line[:4] for line in lines]


def test_values_of_single_clips(clips):
    report = evaluate(scaled(1, 1.0), clips, per_clip=True, example="rest")
    found = json.loads(json.dumps(report["per_clip"], allow_nan=False))
    assert [about["identity"] for about in found["clips"]] == ["a", "a", "b", "b"]
    assert [about["frames"] for about in found["clips"]] == [12, 12, 12, 8]
    assert found["clips"][0].keys() == {"identity", "source", "frames", "photograph"}
    row = found["systems"]["oracle"]["from_speech"]
    assert row["opening_error"] == pytest.approx([1] * 4, abs=1e-4)
    assert row["opening_error_over_copy"][3] == pytest.approx(1 / (2 * np.mean(SAID[:8])), abs=1e-4)
    assert found["real"]["seconds_to_rest"][3] is None
    assert found["baselines"]["copy_photo"]["lip_opening_correlation"] == [None] * 4
    assert np.median(row["opening_error_over_copy"]) == pytest.approx(
        row_of(report)["opening_error_over_copy"]["median"], abs=1e-4
    )
    assert "per_clip" not in evaluate(scaled(1), clips)


def test_a_difference_of_pairs_sees_what_two_intervals_hide():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 10, 40)
    first, second = hard + 0.2 + rng.normal(0, 0.05, 40), hard
    found = paired_difference(first, second)
    assert found == paired_difference(first, second, seed=0) != paired_difference(first, second, seed=1)
    assert found["median"] == pytest.approx(np.median(first - second), abs=1e-4)
    assert 0.1 < found["low"] < found["median"] < found["high"] < 0.3
    assert found["more"] == 1
    back = paired_difference(second, first)
    assert back["median"] == pytest.approx(-found["median"])
    assert back["more"] == 0
    alone = [bootstrap_interval(values, np.random.default_rng(0)) for values in (first, second)]
    assert alone[0][0] < alone[1][1], "each by itself, their intervals overlap"
    other_order = paired_difference(first, second[::-1])
    assert other_order["high"] - other_order["low"] > 1, "without pairs nothing is seen"


def test_pairs_that_lack_one_value_are_left_out():
    found = paired_difference([1, None, 3, float("nan"), float("inf")], [0, 5, None, 2, float("inf")])
    assert (found["clips"], found["median"], found["more"]) == (1, 1, 1)
    nothing = paired_difference([None], [1.0])
    assert (nothing["clips"], nothing["median"], nothing["more"]) == (0, None, None)
    with pytest.raises(InputError, match="pairs: got 2 and 1 values"):
        paired_difference([1, 2], [1])


def test_two_runs_on_the_same_clips(clips, tmp_path):
    better, worse = (evaluate(scaled(1, off), clips, per_clip=True) for off in (0.5, 1.0))
    found = compare_reports(better, worse, "oracle")
    assert found["opening_error"]["median"] == pytest.approx(-0.5, abs=1e-4)
    assert found["opening_error"]["more"] == 0
    path = tmp_path / "worse.json"
    path.write_text(json.dumps(worse))
    assert compare_all(better, read_report(path)) == {"oracle": {"from_speech": found}}
    assert "oracle: from_speech, more than before" in tables({**better, "against": {"oracle": {"x": found,
                                                             "from_speech": found}}})  # fmt: skip
    with pytest.raises(InputError, match="first report: got no values of single clips"):
        compare_reports(evaluate(scaled(1), clips), worse, "oracle")
    with pytest.raises(InputError, match="reports: got two sets of clips"):
        compare_reports(evaluate(scaled(1), clips[:3], per_clip=True), worse, "oracle")
    with pytest.raises(InputError, match="reports: got two sets of clips or photographs"):
        compare_reports(evaluate(scaled(1), clips, per_clip=True, example=1), worse, "oracle")
    with pytest.raises(InputError, match="first report: got no row with_truth of oracle"):
        compare_reports(better, worse, "oracle", "with_truth")
    other = evaluate({"other": scaled(1)}, clips, per_clip=True)
    with pytest.raises(InputError, match="reports: got oracle and other"):
        compare_all(better, other)
    for text in ("{", "[]", "{}", '{"per_clip": {"systems": {}, "clips": []}}', '{"per_clip": 3}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"worse\.json: got no such report"):
            read_report(path)
    with pytest.raises(InputError, match=r"nowhere\.json: got no such report"):
        read_report(tmp_path / "nowhere.json")


class Paints(Oracle):
    """Says how."""

    how = "in oils"


def test_the_tables_have_a_subject_each_and_their_columns_below_each_other(clips, filmed):
    lines = tables(evaluate(scaled(2), clips, example="rest")).split("\n\n")
    head, *groups = lines
    assert len(head.splitlines()) == 2, "a system that has one way says nothing of it"
    assert head.splitlines()[1] == "the photograph is a frame of the clip, the one with the least lip opening"
    assert [group.split("  ")[0] for group in groups] == [
        "Lips: landmarks", "Amplitude: landmarks", "Onset, silence, rest: landmarks",
    ]  # fmt: skip
    for group in groups:
        assert len({len(line) for line in group.splitlines()}) == 1
        assert len(group.splitlines()[0]) < 200
    amplitude = {line.split("  ")[0]: line for line in groups[1].splitlines()}
    assert list(amplitude)[1:] == ["real", "mean_mouth", "copy_photo", "loudness", "oracle: from_speech"]
    assert "2.00 [2.00, 2.00]" in amplitude["oracle: from_speech"]
    seen = tables(evaluate(films(0.5), filmed, pictures=True, find_points=Looks(), warp=False))
    for title in ("Lips: seen in film and clip", "Amplitude: seen in film and clip", "Pictures", "missed"):
        assert title in seen
    assert "the photograph is frame 0" in seen
    told = evaluate({"a": scaled(2), "b": Paints(scaled(2).answer)}, clips)
    assert told["how"] == {"a": "", "b": "in oils"}
    assert tables(told).splitlines()[2:4] == ["b: in oils", ""]


def test_a_report_of_before_can_be_shown():
    """One of a record that was written when a report had less."""
    row = {"mouth_landmark_distance": {"median": 1.0, "low": 0.5, "high": 1.5}}
    old = {"clips": 2, "frames": 9, "baselines": {"copy_photo": row}, "systems": {"a": {"from_speech": row}}}
    lines = tables(old).splitlines()
    assert lines[-1].split() == ["a:", "from_speech", "1.00", "[0.50,", "1.50]"]
