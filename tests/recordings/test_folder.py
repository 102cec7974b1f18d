"""The reader of any folder, with and without a table."""

import pytest
from trees import listed, plant

from talkface_lite.clip import Interval


def test_folder_without_a_table(tmp_path):
    root = plant(
        tmp_path, dict.fromkeys(["a.MP4", "b/c/d.webm", "b/e.3gp", "b/readme.md", "f", ".g.mp4"], "")
    )
    recordings, rejections = listed("folder", root)
    assert not rejections
    assert list(recordings) == ["a.MP4", "b/c/d.webm", "b/e.3gp"]


@pytest.mark.parametrize("table", ["recordings.csv", "clips.csv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_folder_with_a_table(tmp_path, table, delimiter):
    rows = [
        ["file", "Identity", "words", "split", "Camera"],
        ["a.mp4", "Ann", '"good 0.2 0.45; day 0.45 0.9"', "train", "phone"],
        [f'"{tmp_path}/b/c.mov"', "Bo", "", "", ""],
        ["./b/odd.bin", "Bo"],
        [],
    ]
    content = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    root = plant(tmp_path, {"a.mp4": "", "b/c.mov": "", "b/odd.bin": "", "d.mp4": "", table: content})
    recordings, rejections = listed("folder", root)
    assert not rejections
    assert {name: r.identity for name, r in recordings.items()} == {
        "a.mp4": "Ann",
        "b/c.mov": "Bo",
        "b/odd.bin": "Bo",
        "d.mp4": "",
    }
    first = recordings["a.mp4"]
    assert first.words == (Interval("good", 0.2, 0.45), Interval("day", 0.45, 0.9))
    assert (first.split, first.about) == ("train", (("camera", "phone"),))


def test_rows_that_lead_nowhere(tmp_path):
    outside = plant(tmp_path / "outside", {"x.mp4": ""})
    root = plant(tmp_path / "root", {
        "a.mp4": "",
        "b.mp4": "",
        "c/e.mp4": "",
        "clips.csv": "file\n",
        "recordings.csv": "file,identity,words\na.mp4,Ann,\nmissing.mp4,Bo,\n../outside/x.mp4,Cy,\n"
        "/etc/passwd,Di,\nlink.mp4,Ed,\na.mp4,Flo,\n,Gus,\nb.mp4,Hal,good 3 1\nc,Ida,\n.hidden.mp4,Joe,\n"
        "clips.csv,Kim,\n",
        ".hidden.mp4": "",
    })  # fmt: skip
    (root / "link.mp4").symlink_to(outside / "x.mp4")
    recordings, rejections = listed("folder", root)
    assert {name: r.identity for name, r in recordings.items()} == {
        "a.mp4": "Ann",
        "b.mp4": "Hal",
        "c/e.mp4": "",
    }
    assert [(r.file, r.reason) for r in rejections] == [
        ("clips.csv", "recordings.csv counts, and this table was not read"),
        ("../outside/x.mp4", "recordings.csv, line 4: a file outside the folder"),
        ("/etc/passwd", "recordings.csv, line 5: a file outside the folder"),
        ("recordings.csv", "line 7 names a.mp4 again; line 2 counts"),
        ("recordings.csv", "line 8 names no file"),
        ("recordings.csv", "line 12 names a table, not a video"),
        (
            "recordings.csv",
            "recordings.csv, line 9, words: got 3 to 1, expected an end that is not before its start; "
            "b.mp4 is listed without words",
        ),
        ("link.mp4", "a link that leads out of the folder"),
        ("missing.mp4", "recordings.csv, line 3: no such file in the folder, hidden and linked ones aside"),
        ("c", "recordings.csv, line 10: no such file in the folder, hidden and linked ones aside"),
        (".hidden.mp4", "recordings.csv, line 11: no such file in the folder, hidden and linked ones aside"),
    ]


def test_names_spelled_another_way(tmp_path):
    decomposed, composed = "Jose\u0301/a.mp4", "Jos\u00e9/a.mp4"
    root = plant(
        tmp_path,
        {decomposed: "", "b/c.mp4": "", "recordings.csv": f"file,identity\n{composed},Ann\nb\\c.mp4,Bo\n"},
    )
    recordings, rejections = listed("folder", root)
    assert not rejections
    assert [r.identity for r in recordings.values()] == ["Ann", "Bo"]
