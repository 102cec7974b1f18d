"""Preparations that are killed, damaged, resumed with other settings, or two at once."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from made_shards import TALKFACE, shards_of

from talkface_lite.errors import InputError
from talkface_lite.recordings.pipeline import prepare


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


def test_two_at_once_are_refused(tree, prepared):
    import fcntl

    lock = prepared[0] / ".lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another preparation"):
            prepare("grid", tree, prepared[0], detector="dlib", workers=1, per_shard=4, resume=True)
    lock.unlink()
