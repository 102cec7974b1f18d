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

import numpy as np

import talkface_lite
from talkface_lite.errors import InputError
from talkface_lite.measuring.pairs import middle, share, summary
from talkface_lite.measuring.report import READ

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(talkface_lite.__file__).resolve().parent
ABLATIONS = PACKAGE / "ablations"
STATIC = ROOT / "book" / "_static"
"""Pictures in the pages."""
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


def fingerprints(files: Iterable[Path]) -> dict[str, str]:
    """Name → SHA-256, shortened, of those that are there: which weights something was measured of."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files if path.is_file()}


def over_clips(values: Iterable[float | None], figure: str, seed: int) -> list[float | None]:
    """``[median or share, low, high]`` of a figure over clips; None stands where a clip has none."""
    numbers = np.array([np.nan if value is None else value for value in values])
    it = (share if figure in READ else summary)(numbers, np.random.default_rng(seed))
    return [middle(it), it["low"], it["high"]]


def keep_tiny_out(arguments: argparse.Namespace, elsewhere: str = "--into FOLDER --pictures FOLDER") -> None:
    """Tiny numbers never go into the package.

    Raises
    ------
    InputError
        When they would.
    """
    if arguments.tiny and arguments.ship and arguments.into == ABLATIONS:
        raise InputError("--tiny --ship", "into the package", elsewhere)


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
