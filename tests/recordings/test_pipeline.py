"""A tree of films to shards: every frame accounted for, and the same bytes however it is done."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from made_shards import TALKFACE, clips_of, rejected_in, shards_of

from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE
from talkface_lite.recordings import summary
from talkface_lite.recordings.ffmpeg import check_ffmpeg
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.recordings.prepare import read_source


def test_every_film_becomes_a_clip_or_a_row(prepared):
    out, report = prepared
    assert report["recordings"] == {
        "listed": 13,
        "with_clips": 12,
        "without_clips": 1,
        "left_out_of_listing": 0,
    }
    assert report["frames"]["decoded"] == report["frames"]["kept"] == 12 * 24
    assert report["clips"] == 12
    assert [(row["file"], row["stage"]) for row in rejected_in(out)] == [("s2/broken.mp4", "decode")]
    assert json.loads((out / "summary.json").read_text()) == report
    assert shards_of(out) == {shard["file"]: shard["sha256"] for shard in report["shards"]}
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_a_clip_holds_what_the_corpus_says(prepared, drawn):
    clips = {read_source(clip.source)["recording"]: clip for clip in clips_of(prepared[0]).values()}
    clip = clips["s1/film00.mp4"]
    assert clip.frames.shape == (24, 128, 128, 3)
    assert [(w.label, round(w.start, 3), round(w.end, 3)) for w in clip.words] == [
        ("bin", 0.2, 0.48),
        ("blue", 0.48, 0.96),
    ]
    assert clip.identity == "s1"
    assert {one.identity for one in clips.values()} == {"s1", "s2", "s3"}
    assert read_source(clip.source)["frames"] == [0, 24]
    # MP4 and AAC take their toll, but it is the same speech on the same clock
    n = len(clip.speech)
    assert np.corrcoef(clip.speech, drawn.speech[:n])[0, 1] > 0.95


def test_landmarks_lie_on_the_aligned_face(prepared, drawn):
    clip = next(iter(clips_of(prepared[0]).values()))
    away = np.linalg.norm(clip.landmarks[:, ANCHORS] - TEMPLATE, axis=-1)
    assert away.mean() < 4
    from talkface_lite.landmarks import align

    truth = align(drawn.landmarks[:24])[0]
    assert np.linalg.norm(clip.landmarks - truth, axis=-1).mean() < 4


def test_crops_of_256_show_the_same_piece(tree, prepared, tmp_path):
    for name in ("film00.mp4",):
        (tmp_path / "in" / "s1").mkdir(parents=True)
        shutil.copy(tree / "s1" / name, tmp_path / "in" / "s1" / name)
    prepare("folder", tmp_path / "in", tmp_path / "out", size=256, detector="dlib", workers=1)
    (large,) = clips_of(tmp_path / "out").values()
    small = next(iter(clips_of(prepared[0]).values()))
    assert large.frames.shape == (24, 256, 256, 3)
    np.testing.assert_array_equal(large.landmarks, small.landmarks)
    halved = large.frames.reshape(24, 128, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(halved - small.frames).mean() < 3


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_makes_the_same_bytes(tree, prepared, tmp_path, workers):
    prepare("grid", tree, tmp_path / "out", detector="dlib", workers=workers, per_shard=4)
    assert shards_of(tmp_path / "out") == shards_of(prepared[0])


def test_a_dask_cluster_makes_the_same_bytes(tree, prepared, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
    ) as cluster:
        report = prepare(
            "grid", tree, tmp_path / "out", detector="dlib", dask=cluster.scheduler_address, per_shard=4
        )
    assert shards_of(tmp_path / "out") == shards_of(prepared[0])
    assert report["frames"] == prepared[1]["frames"]


def test_no_cluster_is_one_line(tree, tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match=r"--dask.*tcp://127\.0\.0\.1:9"):
        prepare("grid", tree, tmp_path / "out", detector="dlib", dask="tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    "version",
    [
        *("9.0", "n9.0.2-17-g2a571b6068-20260930", "10.1-full_build"),
        *("N-118193-g5f38c82536", "2024-12-04-git-2f95bc3cb3", ""),  # no version, so nothing to refuse
    ],
)
def test_a_new_ffmpeg_and_one_of_unknown_age_will_do(monkeypatch, version):
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_version", lambda: version)
    check_ffmpeg()


@pytest.mark.parametrize("version", ["8.1", "n8.0.1-3-gabcdef", "7.0.2-static", "5.1.6-0+deb12u1"])
def test_an_old_ffmpeg_is_refused_before_anything_is_written(tree, tmp_path, monkeypatch, version):
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_version", lambda: version)
    with pytest.raises(InputError, match=rf"^ffmpeg: got version {re.escape(version)}, expected ffmpeg 9 "):
        prepare("grid", tree, tmp_path / "out", detector="dlib", workers=1)
    assert not (tmp_path / "out").exists()


def test_no_ffmpeg_is_one_line(monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "nowhere")
    with pytest.raises(InputError, match="none that runs"):
        check_ffmpeg()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "grid", "nowhere", "--out", "out"], "nowhere"),
        (["prepare", "reels", "src", "--out", "out"], "reels"),
        (["prepare", "folder", "src", "--out", "out"], "no recording"),
        (["prepare", "folder", "src", "--out", "out", "--size", "100"], "--size"),
        (["prepare", "folder", "src", "--out", "out", "--workers", "0"], "--workers"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    (tmp_path / "src").mkdir()
    done = subprocess.run([*TALKFACE, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_sums_that_do_not_add_up_are_an_error(prepared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(prepared[0], out)
    record_path = out / "shard-000000.json"
    record = json.loads(record_path.read_text())
    plan = summary.Plan(
        **{k: v for k, v in json.loads((out / "plan.json").read_text()).items() if k != "format"}
    )
    summary.conclude(out, plan, [])
    for name, value in (("frames_kept", 95), ("frames_rejected", 1), ("clips", 5)):
        changed = {**record, "counts": {**record["counts"], name: value}}
        record_path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match="expected everything counted once"):
            summary.conclude(out, plan, [])
    record_path.write_text(json.dumps({**record, "with_clips": 3}))
    with pytest.raises(InputError, match="'with_clips': 11"):
        summary.conclude(out, plan, [])
    record_path.write_text(json.dumps({**record, "without_clips": ["s9/nobody.mp4"]}))
    with pytest.raises(InputError, match="no reason for"):
        summary.conclude(out, plan, [])
