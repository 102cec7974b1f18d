"""What the chapter from drawn to real shows is counted rightly."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import drawn_and_real  # noqa: E402

from talkface_lite.clip import Interval  # noqa: E402
from talkface_lite.corpus.face import Identity, Motion, face_points  # noqa: E402
from talkface_lite.data.pictures import within  # noqa: E402
from talkface_lite.errors import InputError  # noqa: E402
from talkface_lite.landmarks import GROUPS, TEMPLATE  # noqa: E402
from talkface_lite.measuring.ablation import shipped_ablation  # noqa: E402
from talkface_lite.measuring.evaluation import shipped  # noqa: E402
from talkface_lite.systems import SYSTEMS  # noqa: E402

PHONEMES = (Interval("b", 0.5, 0.58), Interval("ˈɑː", 0.58, 0.9), Interval("m", 0.9, 1.0))


def faces(opening, width, jaw):
    """Faces ``(T, 68, 2)`` whose mouth and chin stand so."""
    made = np.zeros((len(opening), 68, 2), np.float32)
    made[:, 27:48] = TEMPLATE
    made[:, 54, 0] = width
    made[:, 33, 1], made[:, 8, 1] = 70, 70 + jaw
    made[:, (65, 66, 67), 1] = np.asarray(opening)[:, None]
    return made


class Frames:
    def __init__(self, frames, landmarks):
        self.frames, self.landmarks = frames, landmarks

    def __len__(self):
        return len(self.frames)


def test_kinds_of_sounds_are_where_they_are_said():
    kinds = drawn_and_real.kinds_of(PHONEMES, 40)
    assert np.flatnonzero(kinds["closures"]).tolist() == [13, 23]
    assert np.flatnonzero(kinds["vowels"]).tolist() == [18]
    quiet = np.flatnonzero(kinds["silence"])
    times = (quiet + 0.5) / 25
    assert (np.abs(times - 0.75) > 0.25 + drawn_and_real.QUIET).all()
    assert len(quiet) == 40 - 19


def test_distances_are_from_the_clips_own_rest():
    opening, width, jaw = np.full(40, 1.5), np.full(40, 30.0), np.full(40, 50.0)
    opening[18], width[18], jaw[18] = 6.5, 28.0, 54.0
    opening[[13, 23]] = 0.5
    seen = faces(opening, width, jaw)
    seen[30:] = np.nan  # where a detector saw nothing
    told = drawn_and_real.distributions([(PHONEMES, seen), ((), faces(opening[:2], width[:2], jaw[:2]))])
    assert told["vowels"]["opening"]["mean"] == pytest.approx(5)
    assert told["vowels"]["width"]["mean"] == pytest.approx(-2)
    assert told["vowels"]["jaw"]["mean"] == pytest.approx(4)
    assert told["closures"]["opening"]["mean"] == pytest.approx(-1)
    assert told["silence"]["opening"] == {
        "counts": [0] * 8 + [sum(told["silence"]["opening"]["counts"])] + [0] * 27,
        "mean": 0.0,
        "spread": 0.0,
    }
    assert sum(told["closures"]["jaw"]["counts"]) == 2


def mouth(opening, inside, skin=200, lips=120):
    """A plain face with a mouth that is open so far."""
    points = face_points(Identity.draw(1), np.zeros((1, 7)), Motion.hold(1)).landmarks[0].astype(float)
    points[60:68, 1] = 88 + opening / 2 * np.array([0, -1, -1, -1, 0, 1, 1, 1])
    points[48:60, 1] = 88 + (opening / 2 + 4) * np.array([0, -1, -1, -1, -1, -1, 0, 1, 1, 1, 1, 1])
    picture = np.full((128, 128, 3), skin, np.uint8)
    for group, colour in (("outer_lips", lips), ("inner_lips", inside)):
        picture[within(points[GROUPS[group]], (128, 128)) > 0.5] = colour
    return picture, points


def test_the_light_between_the_lips_is_told_from_lips_and_skin():
    for inside in (40, 120, 230):
        light = drawn_and_real.light_between(*mouth(8, inside))
        assert light == pytest.approx(inside / 200, abs=0.02)
    assert drawn_and_real.light_between(*mouth(0, 40)) is None
    # a clip whose mouth opens: only frames of an opening in the table count
    pictures, points = map(np.stack, zip(*(mouth(opening, 100) for opening in (0, 5, 5, 5, 5, 5, 12))))
    told = drawn_and_real.light_by_opening([Frames(pictures, points)])
    assert [row["frames"] for row in told] == [0, 0, 0, 1, 0]
    assert told[3]["light"] == pytest.approx([0.5] * 3, abs=0.02)
    assert told[0]["light"] == [None] * 3


def test_people_to_compare_with_are_fair_and_shaven():
    for clip in drawn_and_real.fair_people(2):
        person = Identity.draw(int(clip.identity.split("-")[-1]))
        assert person.skin_depth < 0.4
        assert person.beard in ("none", "stubble")


def test_a_report_becomes_short():
    median = {"median": 1.0, "low": 0.5, "high": 2.0}
    report = {
        "clips": 3,
        "frames": 9,
        "real": {"opening_mean": median},
        "baselines": {"copy_photo": {"psnr": median}},
        "systems": {"one": {"from_speech": {"lmd": median, "share_above_warp": 0.5}}},
        "speakers": {},
    }
    told = drawn_and_real.rows_of(report)
    assert told["systems"]["one"]["from_speech"] == {"lmd": [1.0, 0.5, 2.0], "share_above_warp": 0.5}
    assert "speakers" not in told
    assert json.loads(json.dumps(told)) == told


def test_without_recordings_it_is_one_line(tmp_path):
    with pytest.raises(InputError, match="grid_s1: got no recordings"):
        drawn_and_real.main(["--work", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert not (tmp_path / "out.json").exists()


def test_the_package_holds_what_the_script_writes():
    told = json.loads(shipped_ablation("drawn_and_real").read_text())
    assert told["command"] == "python scripts/drawn_and_real.py --work RUNS"
    for name, edges in drawn_and_real.BINS.items():
        assert told["bins"][name] == edges.tolist()
        for whose in ("real", "drawn"):
            for kind in drawn_and_real.KINDS:
                assert len(told["mouths"][whose][kind][name]["counts"]) == len(edges) - 1
    for whose in ("real", "drawn"):
        edges = [row["opening"] for row in told["light"][whose]]
        assert edges == [list(pair) for pair in pairwise(drawn_and_real.OPENINGS)]
    assert set(told["reports"]) == {*drawn_and_real.REAL, *drawn_and_real.HELD_OUT}
    aligned = {name for name, one in shipped(list(SYSTEMS)).items() if one.framing == "aligned"}
    for report in told["reports"].values():
        assert set(report["systems"]) == aligned
