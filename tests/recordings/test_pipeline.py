import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from talkface_lite.clip import Clip, Interval
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE, warp_crop
from talkface_lite.media import write_video
from talkface_lite.recordings import summary
from talkface_lite.recordings.base import Recording
from talkface_lite.recordings.faces import Gap, Shot
from talkface_lite.recordings.ffmpeg import check_ffmpeg
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.recordings.prepare import (
    Account,
    from_frame,
    intervals_within,
    prepare_recording,
    read_source,
)
from talkface_lite.shards import read_shard

TALKFACE = [sys.executable, "-m", "talkface_lite.cli"]


def clips_of(out: Path) -> dict[str, Clip]:
    return {key: clip for path in sorted(out.glob("*.tar")) for key, clip in read_shard(path)}


def shards_of(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("*.tar"))}


def rejected_in(out: Path) -> list[dict[str, str]]:
    with (out / "rejected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn() -> Clip:
    return draw_clip(5, text="bin blue at f two now", view="camera", clean=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, drawn) -> Path:
    """A GRID-shaped tree: one film of a drawn person twelve times over, one broken file."""
    root = tmp_path_factory.mktemp("grid")
    (root / "s1").mkdir()
    film = write_video(root / "s1" / "film00.mp4", drawn.frames[:24], drawn.speech[: 24 * 640])
    for n in range(1, 12):
        speaker = root / f"s{1 + n % 3}"
        speaker.mkdir(exist_ok=True)
        shutil.copy(film, speaker / f"film{n:02d}.mp4")
    (root / "s2" / "broken.mp4").write_text("this is not a film")
    align = root / "align" / "s1"
    align.mkdir(parents=True)
    (align / "film00.align").write_text("0 5000 sil\n5000 12000 bin\n12000 30000 blue\n")
    return root


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out") / "shards"
    return out, prepare("grid", tree, out, detector="dlib", workers=1, per_shard=4)


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


def test_a_cluster_that_loses_a_worker_makes_the_same_bytes(tree, one_by_one, tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "out"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
    ) as cluster:
        killed = []

        def kill_one(done: int, _: int) -> None:
            if done >= 2 and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        address = cluster.scheduler_address
        prepare("grid", tree, out, detector="dlib", dask=address, per_shard=1, progress=kill_one)
    assert killed
    assert shards_of(out) == one_by_one


def test_no_cluster_is_one_line(tree, tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match=r"--dask.*tcp://127\.0\.0\.1:9"):
        prepare("grid", tree, tmp_path / "out", detector="dlib", dask="tcp://127.0.0.1:9")


def _children(pid: int) -> list[int]:
    """Loky's workers of a process, from ``/proc``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (process / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid and b"loky" in command and b"tracker" not in command:
            found.append(int(process.name))
    return found


def _wait_for(process: subprocess.Popen, condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def _start(tree: Path, out: Path, *more: str) -> subprocess.Popen:
    command = [*TALKFACE, "prepare", "grid", str(tree), "--out", str(out), "--detector", "dlib"]
    return subprocess.Popen(
        [*command, "--per-shard", "1", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def one_by_one(tree, tmp_path_factory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("one") / "out"
    prepare("grid", tree, out, detector="dlib", workers=1, per_shard=1)
    return shards_of(out)


def test_killed_and_resumed_nothing_is_lost_or_doubled(tree, one_by_one, tmp_path):
    out = tmp_path / "out"
    for n in (2, 6):
        process = _start(tree, out, "--workers", "2", *(["--resume"] if n > 2 else []))
        _wait_for(process, lambda: len(list(out.glob("shard-*.json"))) >= n)  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (out / ".shard-000012.tar.left.part").write_bytes(b"half")
    process = _start(tree, out, "--workers", "2", "--resume", "--json")
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert shards_of(out) == one_by_one
    assert json.loads(said)["frames"]["kept"] == 12 * 24
    assert not list(out.glob(".*"))


def test_a_killed_worker_changes_nothing(tree, one_by_one, tmp_path):
    out = tmp_path / "out"
    process = _start(tree, out, "--workers", "2")
    _wait_for(process, lambda: list(out.glob("shard-*.json")) and _children(process.pid))
    os.kill(_children(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert shards_of(out) == one_by_one


def test_a_shard_that_was_damaged_is_made_again(tree, prepared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(prepared[0], out)
    path = out / "shard-000001.tar"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (out / "shard-000002.json").write_text("{")
    prepare("grid", tree, out, detector="dlib", workers=1, per_shard=4, resume=True)
    assert shards_of(out) == shards_of(prepared[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resume": False}, "already there.*--resume"),
        ({"size": 256}, "size 256.*128 as at the beginning"),
        ({"per_shard": 5}, "per_shard 5.*4 as at the beginning"),
        ({"source": "more"}, "other recordings"),
    ],
)
def test_what_does_not_fit_is_not_mixed(tree, prepared, tmp_path, change, message):
    before = shards_of(prepared[0])
    settings = {"detector": "dlib", "workers": 1, "per_shard": 4, "resume": True, "source": tree, **change}
    if settings["source"] == "more":
        settings["source"] = tmp_path / "more"
        shutil.copytree(tree, settings["source"])
        with (settings["source"] / "s1" / "film00.mp4").open("ab") as file:
            file.write(b"more")
    with pytest.raises(InputError, match=message):
        prepare("grid", settings.pop("source"), prepared[0], **settings)
    assert shards_of(prepared[0]) == before


def test_a_refused_resume_leaves_no_lock(tree, prepared):
    with pytest.raises(InputError, match="size 256"):
        prepare("grid", tree, prepared[0], size=256, detector="dlib", per_shard=4, resume=True)
    assert not list(prepared[0].glob(".*"))


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


def test_two_at_once_are_refused(tree, prepared):
    import fcntl

    lock = prepared[0] / ".lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another preparation"):
            prepare("grid", tree, prepared[0], detector="dlib", workers=1, per_shard=4, resume=True)
    lock.unlink()


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


def test_words_go_to_the_piece_that_holds_their_middle():
    words = (("one", 0.0, 0.5), ("two", 0.9, 1.3), ("three", 1.5, 2.5))
    assert intervals_within(words, 0, 25) == (("one", 0.0, 0.5),)
    assert [w.label for w in intervals_within(words, 25, 60)] == ["two", "three"]
    assert intervals_within(words, 25, 60)[0] == pytest.approx(("two", 0.0, 0.3))
    assert intervals_within(words, 25, 55)[1][2] == pytest.approx(1.2)


def test_a_source_of_another_kind_is_refused():
    with pytest.raises(InputError, match="talkface prepare"):
        read_source("drawn=5 split=train")


def test_frames_before_the_picture_begins_are_not_kept():
    landmarks = np.arange(10, dtype=np.float32)[:, None, None].repeat(68, 1).repeat(2, 2)
    shots = [Shot(2, 12, landmarks, (1, 4), 0), Shot(14, 24, landmarks, (), 0)]
    gaps = [Gap(0, 2, "no face"), Gap(12, 14, "no face")]
    later, around = from_frame(5, shots, gaps)
    assert [(one.start, one.stop, one.landmarks[0, 0, 0], one.bridged) for one in later] == [
        (5, 12, 3, (1,)),
        (14, 24, 0, ()),
    ]
    assert around == [Gap(0, 5, "before the picture begins"), Gap(12, 14, "no face")]
    assert from_frame(0, shots, gaps) == (shots, gaps)
    assert from_frame(13, shots, gaps)[1][1:] == [Gap(13, 14, "no face")]


def test_a_long_shot_is_cut_into_clips_that_join(tree, tmp_path, monkeypatch):
    recording = Recording(
        name="film",
        path=tree / "s1" / "film00.mp4",
        words=(Interval("bin", 0.2, 0.48), Interval("a", 0.5, 0.9)),
    )
    whole = list(prepare_recording(recording, Account(), detector="dlib"))
    monkeypatch.setattr("talkface_lite.recordings.prepare.LONGEST_CLIP", 10)
    account = Account()
    pieces = list(prepare_recording(recording, account, detector="dlib"))
    assert [len(piece) for piece in pieces] == [10, 10, 4]
    for name in ("frames", "landmarks", "speech"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole[0], name))
    assert [[w.label for w in piece.words] for piece in pieces] == [["bin"], ["a"], []]
    assert [read_source(piece.source)["frames"] for piece in pieces] == [[0, 10], [10, 20], [20, 24]]
    assert account.counts["frames_kept"] == account.counts["frames_decoded"] == 24


def test_a_film_that_breaks_the_program_is_a_row_and_all_frames_are_counted(tree, monkeypatch):
    cut, calls = warp_crop, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 15:
            raise ValueError("broken\non purpose")
        return cut(*arguments)

    monkeypatch.setattr("talkface_lite.recordings.prepare.LONGEST_CLIP", 10)
    monkeypatch.setattr("talkface_lite.recordings.prepare.warp_crop", breaks)
    account = Account()
    recording = Recording(name="film", path=tree / "s1" / "film00.mp4")
    assert [len(clip) for clip in prepare_recording(recording, account, detector="dlib")] == [10]
    assert [(row.stage, row.reason) for row in account.rejections] == [
        ("align", "an error of the program: ValueError: broken on purpose")
    ]
    counts = account.counts
    assert (counts["frames_decoded"], counts["frames_kept"], counts["frames_rejected"]) == (24, 10, 14)
