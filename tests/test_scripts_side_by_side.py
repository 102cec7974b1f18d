"""Four papers side by side: what is measured is pooled rightly, made once, and shown as it is."""

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import side_by_side  # noqa: E402
import side_by_side_table as tables  # noqa: E402

from talkface_lite.errors import InputError  # noqa: E402
from talkface_lite.landmarks import apply_transform  # noqa: E402
from talkface_lite.measuring.ablation import shipped_ablation  # noqa: E402
from talkface_lite.measuring.baselines import COPY, MEAN_PICTURE, WARP  # noqa: E402
from talkface_lite.media import read_video  # noqa: E402
from talkface_lite.systems import SYSTEMS  # noqa: E402
from talkface_lite.systems.part import shipped_weights  # noqa: E402
from talkface_lite.talking.side_by_side import panel_places  # noqa: E402


def part(gains, words, frames):
    row = {"mouth_gain": gains, "lra_top1": words}
    return {"clips": len(gains), "frames": frames, "rows": {COPY: {"lra_top1": words}, "one": row}}


def test_clips_of_two_groups_count_alike():
    first, second = part([1.0, 2.0, None], [0.0, 1.0, 1.0], 30), part([4.0, 5.0], [0.0, 0.0], 12)
    both = side_by_side.together([first, second])
    assert (both["clips"], both["frames"]) == (5, 42)
    middle, low, high = both["rows"]["one"]["mouth_gain"]
    assert middle == 3.0, "the median of four; one has no value"
    assert 1 <= low < middle < high <= 5
    assert both["rows"]["one"]["lra_top1"][0] == 0.4, "a share is a mean"
    assert side_by_side.together([second])["rows"]["one"]["mouth_gain"][0] == 4.5
    assert both["rows"][COPY].keys() == {"lra_top1"}


def test_what_was_measured_of_the_same_weights_is_not_measured_again(tmp_path, capsys):
    made = []

    def make():
        made.append(1)
        return {"rows": (1, None)}

    path = tmp_path / "runs" / "still.json"
    about = {"weights": {"a.safetensors": "1"}, "tiny": False}
    for _ in range(2):
        assert side_by_side.kept(path, about, make) == {"rows": [1, None]}
    assert len(made) == 1
    assert capsys.readouterr().err == "measuring: still\n"
    side_by_side.kept(path, about | {"weights": {"a.safetensors": "2"}}, make)
    assert len(made) == 2


def test_it_is_known_which_weights_were_measured():
    found = side_by_side.made_from()
    assert {name.split("_")[0] for name in found} == {*SYSTEMS, "lip"}
    assert all(re.fullmatch("[0-9a-f]{16}", told) for told in found.values())
    assert len(set(found.values())) == len(found)


TOLD = {
    "device": "a machine",
    "clips": {
        "still": {
            "clips": 2,
            "rows": {
                COPY: {"mouth_gain": [None, None, None]},
                MEAN_PICTURE: {"mouth_gain": [1.26, 1, 2]},
                WARP: {"mouth_gain": [-0.04, -1, 1]},
                "one": {"mouth_gain": [-1.25, -2, 0]},
            },
        },
        "moving": {"clips": 3, "rows": {}},
        "drawn": {
            "clips": 5,
            "rows": {
                COPY: {"seen_lip_opening_correlation": [None, None, None], "lra_top1": [0.021, 0, 1]},
                "one": {"seen_lip_opening_correlation": [-0.004, -1, 1], "lra_top1": [0.5, 0, 1]},
            },
        },
    },
    "bench": {
        "device": "a machine",
        "machine": {"cores": 2},
        "systems": {"one": {"film": 9.0, "talk": 41.6}},
    },
}


def test_the_table_has_a_row_for_each_and_says_on_what():
    lines = tables.table(TOLD).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == len(tables.COLUMNS) + 3
    assert lines[2:6] == [
        "| photograph, held still | 0.0 | 0.0 | – | – | – | – | 2 % | – |",
        "| mean picture of the clip, held still | +1.3 | – | – | – | – | – | – | – |",
        "| photograph, warped to the true points | 0.0 | – | – | – | – | – | – | – |",
        "| `one` | −1.2 | – | – | – | 0.00 | – | 50 % | 42 |",
    ]
    assert lines[-1] == (
        "Medians over 5 drawn clips that were held out (2 of heads held still, 3 of heads that move); "
        "frames/s from a photograph and ten seconds of sound to the file, 2 cores, a machine."
    )
    real = {"s1": {"clips": 40, "rows": {}}, "others": {"clips": 7, "rows": {}}}
    told = TOLD | {"clips": TOLD["clips"] | real}
    assert "and over GRID's recordings of real people (40 of s1, 7 of others); frames" in tables.table(told)


def test_a_page_keeps_all_but_its_table(tmp_path):
    page = f"# A\n\n{tables.BEGIN}\n\nold\n\n{tables.END}\n\nafter\n"
    made = tables.with_table(page, "| new |")
    assert made == page.replace("old", "| new |")
    assert tables.table_in(made) == "| new |"
    assert tables.with_table(made, "| new |") == made
    (tmp_path / "a.md").write_text(page)
    (tmp_path / "b.md").write_text("# no place")
    with pytest.raises(InputError, match="page: got no place for the table"):
        tables.write_pages(TOLD, [tmp_path / "a.md", tmp_path / "b.md"])
    assert (tmp_path / "a.md").read_text() == page
    tables.write_pages(TOLD, [tmp_path / "a.md"])
    assert tables.table_in((tmp_path / "a.md").read_text()) == tables.table(TOLD)


def test_without_times_there_is_no_column_of_them():
    told = {key: value for key, value in TOLD.items() if key != "bench"}
    timed, untimed = tables.table(TOLD), tables.table(told)
    assert "frames/s" in timed
    assert "frames/s" not in untimed
    rows = [text.splitlines()[2:4] for text in (timed, untimed)]
    assert [row.rpartition("|")[0].rpartition("|")[0] for row in rows[0]] == [
        row.rpartition("|")[0] for row in rows[1]
    ]


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_the_pages_show_the_numbers_of_the_package(page):
    text = page.read_text()
    assert text.count(tables.BEGIN) == text.count(tables.END) == 1
    if not (path := shipped_ablation(side_by_side.NAME)).is_file():
        pytest.skip("not measured yet: scripts/side_by_side.py --work RUNS --ship")
    told = json.loads(path.read_text())
    assert tables.table_in(text) == tables.table(told), "python scripts/side_by_side_table.py"


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_what_the_pages_say_of_a_held_head_is_in_its_record(page):
    record = json.loads(shipped_weights("attentional", "ltv-net").with_suffix(".json").read_text())
    made = record["metrics"]["still"]["systems"]["attentional"]["from_speech"]
    assert f"(With `--still-head` it has {made['mouth_gain']['median']:+.1f} there.)" in page.read_text()


def test_the_package_holds_what_the_script_measures():
    if not (path := shipped_ablation(side_by_side.NAME)).is_file():
        pytest.skip("not measured yet: scripts/side_by_side.py --work RUNS --ship")
    told = json.loads(path.read_text())
    assert told["weights"] == side_by_side.made_from(), "of the weights that ship"
    assert told["how"].keys() == told["parameters"].keys() == {*SYSTEMS}
    assert "bench" not in told or told["bench"]["systems"].keys() == {*SYSTEMS}
    assert told["clips"]["drawn"]["clips"] == 100
    for report in told["clips"].values():
        assert list(report["rows"]) == [COPY, MEAN_PICTURE, WARP, *SYSTEMS]
        for row in report["rows"].values():
            assert row.keys() <= {*side_by_side.FIGURES}


def test_times_go_beside_numbers_of_the_same_weights(tmp_path, monkeypatch):
    """And nothing is measured or filmed anew."""
    times = {"device": "d", "machine": {"cores": 1}, "systems": {}}
    monkeypatch.setattr(side_by_side, "speeds", lambda tiny: times)
    words = ["--work", str(tmp_path), "--timed"]
    with pytest.raises(InputError, match="got no numbers, expected those of a run without --timed, first"):
        side_by_side.main(words)
    path = tmp_path / side_by_side.NAME / f"{side_by_side.NAME}.json"
    path.parent.mkdir()
    monkeypatch.setattr(side_by_side, "table", lambda told: "")
    told = {key: TOLD[key] for key in ("device", "clips")} | {"weights": side_by_side.made_from()}
    path.write_text(json.dumps(told))
    side_by_side.main(words)
    assert json.loads(path.read_text()) == told | {"bench": times}
    assert list(path.parent.iterdir()) == [path]
    path.write_text(json.dumps(told | {"weights": {}}))
    with pytest.raises(InputError, match="got numbers of other weights"):
        side_by_side.main(words)
    assert "bench" not in json.loads(path.read_text())


def test_tiny_numbers_never_ship(tmp_path):
    with pytest.raises(InputError, match="--tiny --ship: got into the package"):
        side_by_side.main(["--work", str(tmp_path / "runs"), "--tiny", "--ship"])
    assert not (tmp_path / "runs").exists()


def test_recordings_that_are_not_there_are_told_and_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(side_by_side, "draw_all", lambda corpora, *_: list(corpora))
    monkeypatch.setattr(side_by_side, "read_clips", lambda folders, frames: folders)
    found = list(side_by_side.sources(tmp_path, False))
    assert found == [("still", ["test-heads-still"], 0), ("moving", ["test-heads-moving"], 0)]
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["without s1", "without others"]
    (tmp_path / "grid_head").mkdir()
    assert [(name, at) for name, _, at in side_by_side.sources(tmp_path, False)][2:] == [("others", "rest")]


def test_the_drawn_portrait_is_where_it_is_said_to_be():
    """Its eyes are on the template: lids darker than the skin between them."""
    portrait = side_by_side.drawn_portrait()
    assert portrait.image.shape == (512, 512, 3)
    crop = portrait.crop(256).astype(float)
    eyes = 2 * portrait.landmarks[[37, 38, 43, 44]]
    cheeks = 2 * (portrait.landmarks[[31, 35]] + [[-8, 0], [8, 0]])
    seen = [cv2.getRectSubPix(crop.mean(-1).astype(np.float32), (5, 5), tuple(map(float, p))).mean()
            for p in (*eyes, *cheeks)]  # fmt: skip
    assert max(seen[:4]) < min(seen[4:])
    places = apply_transform(portrait.landmarks, np.linalg.inv(np.vstack([portrait.matrix, [0, 0, 1]]))[:2])
    assert (places > 0).all()
    assert (places < 512).all()


def test_the_sentence_has_a_little_rest_around_it():
    speech = side_by_side.spoken("No.")
    assert speech.dtype == np.float32
    assert len(speech) % 640 == 0
    loud = np.abs(speech.reshape(-1, 640)).max(axis=1)
    heard = np.flatnonzero(loud > 0.1 * loud.max())
    assert heard[0] <= 8
    assert 5 <= len(loud) - heard[-1] <= 14


def test_the_film_of_the_front_page_is_small_and_shows_every_system():
    film, still = (ROOT / "book" / "_static" / name for name in ("four.mp4", "four-film.jpg"))
    assert 20_000 < film.stat().st_size < 300_000
    assert still.stat().st_size < 100_000
    video = read_video(film)
    assert video.speech is None
    assert len(video.frames) > 50
    assert cv2.imread(str(still)).shape == video.frames.shape[1:]
    page = (ROOT / "book" / "index.md").read_text()
    width, height = video.frames.shape[2], video.frames.shape[1]
    assert re.search(
        rf"```\{{film\}} four\n:name: .*\n:width: {width}\n:height: {height}\n:alt: .{{80,}}\n", page
    )
    first, *others = panel_places(len(SYSTEMS) + 1, side_by_side.PANEL, side_by_side.COLUMNS)
    frames = video.frames.astype(int)
    assert np.abs(frames[:, *first] - frames[0][first]).mean() < 2
    for place in others:
        mouth = frames[:, *place][:, 140:200, 80:160]
        assert mouth.std(axis=0).max() > 15, "its lips move"
