"""What the scripts share: where things go, and what is wrong in one line."""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NoReturn

import talkface_lite
from talkface_lite.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(talkface_lite.__file__).resolve().parent
STATIC = ROOT / "book" / "_static"
"""Pictures in the pages."""
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


def fingerprints(files: Iterable[Path]) -> dict[str, str]:
    """Name → SHA-256, shortened, of those that are there: which weights something was measured of."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files if path.is_file()}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {' '.join(message.split())} (see --help)", file=sys.stderr)
        self.exit(2)


def run(main: Callable[[Sequence[str] | None], None]) -> NoReturn:
    """Run a script; bad input is one line and exit code 2."""
    try:
        main(None)
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def each(make: Callable[[Any], Any], jobs: Sequence[Any], workers: int) -> list[Any]:
    """Of each job what is made of it, so many at a time; of several processes each has one thread."""
    if workers == 1:
        return [make(job) for job in jobs]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(make, jobs))


def sounds_in(folder: Path) -> list[Path]:
    """The recordings of speech in a folder, in order.

    Raises
    ------
    InputError
        When there is none.
    """
    found = [path for path in sorted(Path(folder).glob("*")) if path.suffix.lower() in SOUNDS]
    if not found:
        raise InputError(folder, "no recording of speech", f"a folder of {', '.join(SOUNDS)}")
    return found
