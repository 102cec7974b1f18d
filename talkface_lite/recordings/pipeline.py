"""A corpus of recordings to shards of clips, on one machine or many: `talkface prepare`.

The listing is cut into runs of recordings. Each run becomes one shard and a small record beside it, both
written whole or not at all, by whichever process comes to it. So the shards do not depend on how many
processes there are, and a preparation that was stopped, however rudely, goes on where it was.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.errors import InputError
from talkface_lite.faces.detection import choose_detector
from talkface_lite.files import held, write_json
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.ffmpeg import check_ffmpeg
from talkface_lite.recordings.prepare import Account, check_cut, prepare_recording
from talkface_lite.recordings.readers import read
from talkface_lite.recordings.summary import FORMAT, Plan, conclude, read_record, shard_path
from talkface_lite.runtime import cores
from talkface_lite.shards import write_shard

RECORDINGS_PER_SHARD = 50
DEATHS = 3
"""Times that a worker may die before the preparation gives up; every shard finished by then is kept."""


def prepare(
    kind: str,
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    size: int = CROP_SIZE,
    view: str = "crop",
    detector: str = "auto",
    workers: int | None = None,
    dask: str | None = None,
    resume: bool = False,
    per_shard: int = RECORDINGS_PER_SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Turn a folder of videos into shards of aligned clips.

    Parameters
    ----------
    kind:
        ``"grid"``, ``"lrw"``, ``"tcd-timit"``, ``"voxceleb"``, ``"crema-d"`` or ``"folder"``.
    source:
        The folder. It is only read.
    out:
        Where to: ``shard-000000.tar`` ... (WebDataset), each with a ``.json`` record, ``plan.json``,
        ``rejected.csv`` (file, stage, reason, start_s, end_s) and ``summary.json``. New or empty, unless
        ``resume``.
    size:
        Side of the crops, 128 or 256 pixels.
    view:
        ``"crop"``: the face, aligned anew in each frame. ``"head"``: the whole head in one frame for each
        clip, so that it is seen to move (:mod:`talkface_lite.framing`).
    detector:
        ``"auto"``, ``"face-alignment"`` or ``"dlib"``.
    workers:
        Processes on this machine; None takes one for each core.
    dask:
        Address of a Dask scheduler, ``"tcp://host:port"``; its workers must see both folders under the same
        paths. Instead of ``workers``.
    resume:
        Go on with what a stopped preparation of the same recordings left. Finished shards are checked by
        their checksums.
    per_shard:
        Recordings to a shard.
    progress:
        Called with (shards done, shards in all).

    Returns
    -------
    The content of ``summary.json``.

    Raises
    ------
    InputError
        When a setting is wrong, ffmpeg is older than version 9, the folder is missing or holds no recording,
        ``out`` holds something else, the disk is full, or workers keep dying. What is finished by then stays,
        and ``resume`` goes on.
    """
    check_cut(size, view)
    for name, value in (("workers", workers), ("per_shard", per_shard)):
        if value is not None and value < 1:
            raise InputError(name, value, "at least 1")
    check_ffmpeg()
    out = Path(out)
    recordings, left_out = _list(kind, Path(source))
    plan = Plan(
        kind=kind,
        size=size,
        view=view,
        detector=choose_detector(detector),
        per_shard=per_shard,
        recordings=len(recordings),
        listing=_digest(recordings, left_out),
    )
    try:
        with _hold(out, plan, resume=resume):
            done = {index for index in range(plan.shards) if read_record(out, index, plan) is not None}
            todo = [index for index in range(plan.shards) if index not in done]
            report = progress or (lambda done, shards: None)
            report(len(done), plan.shards)
            jobs = {
                index: (recordings[index * per_shard : (index + 1) * per_shard], out, index, plan)
                for index in todo
            }
            for finished, _ in enumerate(_run(jobs, workers or cores(), dask), start=1):
                report(len(done) + finished, plan.shards)
            return conclude(out, plan, left_out)
    except OSError as error:
        got = error.strerror or error
        raise InputError(
            out, got, "room and leave to write; what is finished stays, --resume goes on"
        ) from error


def _list(kind: str, source: Path) -> tuple[list[Recording], list[Rejection]]:
    recordings, left_out = [], []
    for item in read(kind, source):
        (recordings if isinstance(item, Recording) else left_out).append(item)
    if not recordings:
        reasons = f" ({len(left_out)} left out: {left_out[0].reason})" if left_out else ""
        raise InputError(source, f"no recording{reasons}", f"a folder laid out as {kind}")
    return recordings, left_out


def _digest(recordings: Sequence[Recording], left_out: Sequence[Rejection]) -> str:
    digest = hashlib.sha256()
    for one in recordings:
        known = {**asdict(one), "path": _size_of(one.path)}
        digest.update(json.dumps(known, sort_keys=True).encode())
    for one in left_out:
        digest.update(json.dumps(asdict(one), sort_keys=True).encode())
    return digest.hexdigest()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


@contextmanager
def _hold(out: Path, plan: Plan, *, resume: bool) -> Iterator[None]:
    """Have the folder for oneself, with this plan in it and no half-written file."""
    there = [path for path in out.iterdir() if path.name != ".lock"] if out.is_dir() else []
    known = out / "plan.json"
    if there and not resume:
        raise InputError(out, "something already there", "a new or empty folder, or --resume")
    if there and not known.is_file() and not all(path.name.endswith(".part") for path in there):
        raise InputError(out, "a folder without plan.json", "one that `talkface prepare` began")
    with held(out, "another preparation"):
        if known.is_file():
            _same_plan(known, plan)
        else:
            write_json(known, {"format": FORMAT, **plan.told()})
        for path in out.glob(".*.part"):
            path.unlink()
        yield


def _same_plan(path: Path, plan: Plan) -> None:
    try:
        known = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            path, f"an unreadable plan ({error})", "the plan that `talkface prepare` wrote"
        ) from error
    for name, value in {"format": FORMAT, **asdict(plan)}.items():
        begun = known.get(name, "crop" if name == "view" else None)  # plans without a view are of crops
        if begun != value:
            what = "other recordings than at the beginning" if name == "listing" else f"{name} {value}"
            expected = "the same recordings" if name == "listing" else f"{begun} as at the beginning"
            raise InputError(path, what, f"{expected}, or a new folder")


def make_shard(recordings: Sequence[Recording], out: Path, index: int, plan: Plan) -> int:
    """Prepare one run of recordings and write its shard and its record; returns ``index``.

    This is what a worker does. It imports and limits what it needs by itself, wherever it runs.
    """
    import cv2

    cv2.setNumThreads(1)
    account = Account()
    n_clips, with_clips, without_clips = 0, 0, []

    def clips() -> Iterator[tuple[str, Clip]]:
        nonlocal n_clips, with_clips
        for offset, recording in enumerate(recordings):
            number = index * plan.per_shard + offset
            piece = -1
            made = prepare_recording(
                recording, account, size=plan.size, detector=plan.detector, view=plan.view
            )
            for piece, clip in enumerate(made):
                n_clips += 1
                yield f"{number:08d}-{piece:03d}", clip
            with_clips += piece >= 0
            if piece < 0:
                without_clips.append(recording.name)

    path, made = shard_path(out, index), clips()
    first = next(made, None)  # a run without a single clip has no shard
    sha256 = None if first is None else write_shard(path, chain([first], made))
    record = {
        "plan": plan.digest,
        "sha256": sha256,
        "with_clips": with_clips,
        "clips": n_clips,
        "counts": dict(sorted(account.counts.items())),
        "without_clips": without_clips,
        "rejected": [asdict(one) for one in account.rejections],
        "seconds": {stage: round(spent, 3) for stage, spent in sorted(account.seconds.items())},
    }
    write_json(path.with_suffix(".json"), record)
    return index


def _run(jobs: Mapping[int, tuple], workers: int, dask: str | None) -> Iterator[int]:
    """Do the jobs, in any order; a dead worker costs the shard it was at, which is made again."""
    if dask is not None:
        yield from _run_on_dask(jobs, dask)
        return
    if workers == 1:
        for job in jobs.values():
            yield make_shard(*job)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    left, deaths = dict(jobs), 0
    while left:
        try:
            with parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
                made = Parallel(return_as="generator_unordered", batch_size=1)(
                    delayed(make_shard)(*job) for job in list(left.values())
                )
                for index in made:
                    left.pop(index)
                    yield index
        except BrokenProcessPool as error:
            deaths += 1
            if deaths >= DEATHS:
                raise InputError(
                    "workers", f"{deaths} deaths", "more memory or fewer workers; --resume goes on"
                ) from error
            left = {index: job for index, job in left.items() if not _finished(job)}


def _finished(job: tuple) -> bool:
    _, out, index, plan = job
    return read_record(out, index, plan) is not None


def _run_on_dask(jobs: Mapping[int, tuple], address: str) -> Iterator[int]:
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise InputError("--dask", "no dask", "pip install 'talkface_lite[cluster]'") from error
    from joblib import Parallel, delayed, parallel_config

    try:
        client = Client(address, timeout="5s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError("--dask", f"no answer from {address}", "the address of a Dask scheduler") from error
    try:
        with parallel_config(backend="dask", client=client, wait_for_workers_timeout=30):
            made = Parallel(return_as="generator_unordered", batch_size=1)(
                delayed(make_shard)(*job) for job in jobs.values()
            )
            yield from made
    except KilledWorker as error:
        raise InputError("--dask", f"workers that died ({error})", "more memory; --resume goes on") from error
    except TimeoutError as error:
        raise InputError("--dask", f"no worker at {address}", "at least one Dask worker") from error
    finally:
        client.close()
