"""What a preparation leaves in its folder, for tests."""

import csv
import hashlib
import sys
from pathlib import Path

from talkface_lite.clip import Clip
from talkface_lite.shards import read_shard

TALKFACE = [sys.executable, "-m", "talkface_lite.cli"]


def clips_of(out: Path) -> dict[str, Clip]:
    return {key: clip for path in sorted(out.glob("*.tar")) for key, clip in read_shard(path)}


def shards_of(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("*.tar"))}


def rejected_in(out: Path) -> list[dict[str, str]]:
    with (out / "rejected.csv").open(newline="") as file:
        return list(csv.DictReader(file))
