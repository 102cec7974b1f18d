"""Strange films through the whole of `prepare`: each ends in a clip or in a row."""

import csv
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from talkface_lite.corpus.agreement import best_lag
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.landmarks import ANCHORS, TEMPLATE, lip_opening
from talkface_lite.media import write_video
from talkface_lite.metrics import correlation
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.recordings.prepare import read_source
from talkface_lite.shards import read_shard

ODD_NAMES = (
    *("with a space.mp4", "quo\"te's.mp4", "new\nline.mp4", "Ünïcødé 名前.mp4", "-i.mp4", "%03d.mp4"),
    os.fsdecode(b"caf\xe9.mp4"),  # Latin-1, which is no UTF-8
)
SECOND_FACE = 61


@pytest.fixture(scope="module")
def one():
    return draw_clip(5, text="bin blue at f two now", view="camera", clean=True)


@pytest.fixture(scope="module")
def other():
    return draw_clip(SECOND_FACE, view="camera", clean=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, films, one, other) -> Path:
    root = tmp_path_factory.mktemp("strange")
    outside = tmp_path_factory.mktemp("outside")
    picture, sound = one.frames, one.speech
    plain = write_video(root / "plain.mp4", picture, sound)
    short = write_video(outside / "short.mp4", picture[:15], sound[: 15 * SAMPLES_PER_FRAME])
    for name in ODD_NAMES:
        shutil.copy(short, root / name)

    # clocks and codecs
    films.ffmpeg("-i", plain, "-r", "30000/1001", "-c:a", "copy", root / "29.97.mp4")
    films.ffmpeg(
        "-i", plain, "-vf", "select='not(mod(n,7)*mod(n,3))+lt(n,20)'", "-fps_mode", "vfr", root / "vfr.mkv"
    )
    films.ffmpeg("-i", plain, "-c:v", "libx265", "-x265-params", "log-level=error", root / "hevc.mp4")
    films.ffmpeg("-i", plain, "-vf", "transpose=cclock", "-c:a", "copy", outside / "stored.mp4")
    films.ffmpeg("-display_rotation", -90, "-i", outside / "stored.mp4", "-c", "copy", root / "phone.mp4")
    films.ffmpeg("-i", plain, "-c:v", "copy", "-ac", "2", "-ar", "48000", root / "48k stereo.mp4")
    films.ffmpeg("-i", plain, "-c", "copy", "-an", root / "no sound.mp4")
    films.ffmpeg(
        *("-i", plain, "-itsoffset", 0.48, "-i", plain, "-map", "0:v", "-map", "1:a"),
        *("-c:v", "copy", "-c:a", "aac", "-shortest", root / "late sound.mp4"),
    )

    # what is in the picture
    black, both = np.zeros_like(picture[:20]), min(len(picture), len(other.frames))
    write_video(root / "black.mp4", black, sound[: 20 * SAMPLES_PER_FRAME])
    write_video(root / "two.mp4", np.concatenate([picture[:both], other.frames[:both]], axis=2))
    write_video(root / "leaves.mp4", np.concatenate([picture[:20], black, picture[20:40]]))
    write_video(root / "cut.mp4", np.concatenate([picture[:20], other.frames[:20]]))
    small = np.stack([cv2.resize(frame, (60, 60), interpolation=cv2.INTER_AREA) for frame in picture[:20]])
    write_video(root / "tiny face.mp4", small)
    write_video(root / "two pixels.mp4", picture[:5, 100:102, 100:102])

    # what is in the file
    films.cut_short(plain, root / "truncated.mp4", 0.6)
    films.damaged(plain, root / "damaged.mp4", seed=0)
    (root / "text.mp4").write_text("not a film")
    (root / "empty.mp4").touch()
    (root / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{short}\n#EXT-X-ENDLIST\n")
    (root / "address.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    (root / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {short}\n")
    (root / "link out.mp4").symlink_to(short)
    (root / "link in.mp4").symlink_to(plain)
    (root / "link to nothing.mp4").symlink_to(root / "nothing")
    os.mkfifo(root / "pipe.mp4")
    (root / "deep" / "er").mkdir(parents=True)
    shutil.copy(short, root / "deep" / "er" / "film.MOV")
    return root


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    report = prepare("folder", tree, out, detector="dlib", workers=1)
    clips: dict[str, list] = {}
    for path in sorted(out.glob("*.tar")):
        for _, clip in read_shard(path):
            clips.setdefault(read_source(clip.source)["recording"], []).append(clip)
    with (out / "rejected.csv").open(newline="") as file:
        rows: dict[str, list] = {}
        for row in csv.DictReader(file):
            rows.setdefault(row["file"], []).append(row)
    return report, clips, rows


def test_every_file_is_a_clip_or_a_row(tree, prepared):
    report, clips, rows = prepared
    there = {os.path.relpath(path, tree) for path in tree.rglob("*") if not path.is_dir()}
    assert set(clips) | set(rows) == there
    assert report["recordings"]["listed"] + report["recordings"]["left_out_of_listing"] == len(there)
    assert report["frames"]["kept"] + report["frames"]["rejected"] == report["frames"]["decoded"]


@pytest.mark.parametrize("name", ["plain.mp4", "29.97.mp4", "hevc.mp4", "phone.mp4", "48k stereo.mp4"])
def test_one_film_however_it_is_stored_gives_one_clip(prepared, one, name):
    (clip,) = prepared[1][name]
    assert abs(len(clip) - len(one)) <= 1
    n = min(len(clip), len(one))
    assert correlation(lip_opening(clip.landmarks[:n]), lip_opening(one.landmarks[:n])) > 0.93
    assert abs(best_lag(clip) - best_lag(one)) <= 1
    assert np.abs(clip.landmarks[:, ANCHORS] - TEMPLATE).mean() < 4
    assert name not in prepared[2]


@pytest.mark.parametrize("name", [*ODD_NAMES, "deep/er/film.MOV"])
def test_names_do_not_matter(prepared, name):
    (clip,) = prepared[1][name]
    assert len(clip) == 15


def test_variable_frame_rate_keeps_its_time(prepared, one):
    (clip,) = prepared[1]["vfr.mkv"]
    assert abs(len(clip) - len(one)) <= 3
    n = min(len(clip), len(one))
    assert correlation(lip_opening(clip.landmarks[:n]), lip_opening(one.landmarks[:n])) > 0.85


def test_sound_that_is_missing_or_late(prepared, one):
    (silent,) = prepared[1]["no sound.mp4"]
    assert not silent.speech.any()
    assert prepared[0]["sound"]["missing"] >= 1
    (late,) = prepared[1]["late sound.mp4"]
    delay = 12 * SAMPLES_PER_FRAME
    shift = late.speech[delay : delay + 30_000]
    assert np.corrcoef(shift, one.speech[:30_000])[0, 1] > 0.9
    assert not late.speech[: delay - 1000].any()


def test_what_is_in_the_picture(prepared, one):
    _, clips, rows = prepared
    assert "black.mp4" not in clips
    assert rows["black.mp4"][0]["reason"] == "no face"
    (two,) = clips["two.mp4"]
    assert read_source(two.source)["other_faces"] == 1
    assert [read_source(clip.source)["frames"] for clip in clips["leaves.mp4"]] == [[0, 20], [40, 60]]
    assert [(row["start_s"], row["end_s"]) for row in rows["leaves.mp4"]] == [("0.8", "1.6")]
    assert [read_source(clip.source)["frames"] for clip in clips["cut.mp4"]] == [[0, 20], [20, 40]]
    assert "tiny face.mp4" not in clips
    assert [row["reason"] for row in rows["tiny face.mp4"]] == ["a face under 40 px"]


@pytest.mark.parametrize(
    "name",
    [
        *("two pixels.mp4", "text.mp4", "empty.mp4", "playlist.mp4", "address.mp4", "concat.mp4"),
        *("link out.mp4", "link to nothing.mp4", "pipe.mp4"),
    ],
)
def test_what_is_no_film_is_a_row_and_no_clip(prepared, name):
    assert name not in prepared[1]
    (row,) = prepared[2][name]
    assert row["stage"] in ("list", "decode")
    assert "error of the program" not in row["reason"]
    assert "\n" not in row["reason"]


def test_a_film_that_breaks_off_says_how_much_is_missing(prepared, one):
    _, clips, rows = prepared
    kept = sum(len(clip) for clip in clips["truncated.mp4"])
    (row,) = rows["truncated.mp4"]
    assert row["stage"] == "decode"
    assert 0 < kept < len(one)
    assert float(row["start_s"]) == pytest.approx(kept / FRAMES_PER_SECOND)
    assert float(row["end_s"]) == pytest.approx(one.seconds, abs=0.15)


def test_no_row_blames_the_program(prepared):
    text = json.dumps(prepared[2])
    assert "error of the program" not in text
