"""What a preparation is to make, what each shard says of itself, and whether the sums are right."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.recordings.base import Rejection
from talkface_lite.shards import verify_shard

FORMAT = "talkface_lite recordings 1"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be made: two plans with the same digest make the same shards.

    Parameters
    ----------
    kind:
        Of corpus, as in :data:`talkface_lite.recordings.readers.READERS`.
    size, detector, view:
        See :func:`talkface_lite.recordings.prepare.prepare_recording`; the detector is named, not ``"auto"``.
    per_shard:
        Recordings to a shard.
    recordings:
        How many there are.
    listing:
        SHA-256 of what the reader lists, with the size of each file.
    """

    kind: str
    size: int
    detector: str
    per_shard: int
    recordings: int
    listing: str
    view: str = "crop"

    def told(self) -> dict[str, Any]:
        """What a file says of it; the view where it is not what all were before there was another."""
        about = asdict(self)
        return about if self.view != "crop" else {k: v for k, v in about.items() if k != "view"}

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(self.told(), sort_keys=True).encode()).hexdigest()

    @property
    def shards(self) -> int:
        """How many there will be."""
        return -(-self.recordings // self.per_shard)


def shard_path(out: Path, index: int) -> Path:
    """Where shard number ``index`` of a preparation lies."""
    return out / f"shard-{index:06d}.tar"


def read_record(out: Path, index: int, plan: Plan, *, verify: bool = True) -> dict[str, Any] | None:
    """The record of a finished shard; None where it is not finished or, with ``verify``, not whole."""
    path = shard_path(out, index)
    try:
        record = json.loads(path.with_suffix(".json").read_text())
        if record["plan"] != plan.digest:
            return None
        if record["sha256"] is not None and verify:
            verify_shard(path, record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # InputError is a ValueError
        return None
    return record


def conclude(out: Path, plan: Plan, left_out: Sequence[Rejection]) -> dict[str, Any]:
    """Gather the shards' records into summary.json and rejected.csv, and hold the sums against each other."""
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    with_clips = 0
    rejected, shards, without_clips = [asdict(one) for one in left_out], [], []
    for index in range(plan.shards):
        record = read_record(out, index, plan, verify=False)
        if record is None:
            raise InputError(shard_path(out, index), "a shard that is not whole", "--resume to make it again")
        counts.update(record["counts"])
        with_clips += record["with_clips"]
        seconds.update(record["seconds"])
        rejected += record["rejected"]
        without_clips += record["without_clips"]
        if record["sha256"] is not None:
            shards.append(
                {
                    "file": shard_path(out, index).name,
                    "sha256": record["sha256"],
                    "clips": record["clips"],
                }
            )
    summary = {
        "format": FORMAT,
        **asdict(plan),
        "recordings": {
            "listed": plan.recordings,
            "with_clips": with_clips,
            "without_clips": len(without_clips),
            "left_out_of_listing": len(left_out),
        },
        "clips": counts["clips"],
        "frames": {name: counts[f"frames_{name}"] for name in ("decoded", "kept", "rejected", "bridged")},
        "sound": {name: counts[f"sound_{name}"] for name in ("missing", "padded", "cut")},
        "rejected_rows": len(rejected),
        "rejected_by_stage": dict(sorted(Counter(row["stage"] for row in rejected).items())),
        "seconds": {stage: round(spent, 1) for stage, spent in seconds.items()},
        "shards": shards,
    }
    _check_sums(summary, rejected, without_clips)
    write_atomically(out / "rejected.csv", _table(rejected))
    write_atomically(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def _check_sums(
    summary: Mapping[str, Any], rejected: Sequence[Mapping[str, Any]], without_clips: Sequence[str]
) -> None:
    """What went in must have come out, as a clip or with a reason."""
    frames, recordings = summary["frames"], summary["recordings"]
    unexplained = set(without_clips) - {row["file"] for row in rejected}
    wrong = [
        text
        for text, right in (
            (f"{frames} frames", frames["kept"] + frames["rejected"] == frames["decoded"]),
            (
                f"{recordings} recordings",
                recordings["listed"] == recordings["with_clips"] + recordings["without_clips"],
            ),
            (f"no reason for {sorted(unexplained)[:3]}", not unexplained),
            (
                f"{summary['clips']} clips",
                sum(shard["clips"] for shard in summary["shards"]) == summary["clips"],
            ),
        )
        if not right
    ]
    if wrong:
        raise InputError("summary", "; ".join(wrong), "everything counted once")


def _table(rejected: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "stage", "reason", "start_s", "end_s"])
    for row in rejected:
        rows.writerow(["" if value is None else value for value in row.values()])
    return text.getvalue().encode(errors="backslashreplace")
