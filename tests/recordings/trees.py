"""Little corpora made on the spot, and what a reader lists in them."""

from pathlib import Path

from talkface_lite.clip import Interval
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.readers import read


def plant(root: Path, files: dict[str, str]) -> Path:
    """Make a tree of files with the given texts."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def listed(kind: str, root: Path) -> tuple[dict[str, Recording], list[Rejection]]:
    """Recordings by name, and rejections; no recording twice, and no file on both sides."""
    entries = list(read(kind, root))
    assert entries == list(read(kind, root))
    recordings = [entry for entry in entries if isinstance(entry, Recording)]
    rejections = [entry for entry in entries if isinstance(entry, Rejection)]
    by_name = {recording.name: recording for recording in recordings}
    assert len(by_name) == len(recordings)
    assert not set(by_name) & {rejection.file for rejection in rejections}
    assert all(r.path == root / r.name and r.path.is_file() for r in recordings)
    assert all(rejection.stage == "list" and rejection.reason.isprintable() for rejection in rejections)
    return by_name, rejections


def labels(intervals: tuple[Interval, ...]) -> str:
    return " ".join(interval.label for interval in intervals)
