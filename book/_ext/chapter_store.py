"""Chapters that were executed, and from what: so that each is executed once, whoever needs it first.

``make test`` executes every chapter cell by cell, and ``make book`` shows what a chapter computed. Either leaves what
it executed in ``_build/executed``, with a digest of the notebook, of the package's files, of the locked requirements
and of the Python that ran it. A chapter is taken from there only while all of these are the same.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode

CELL_TIMEOUT = 600
"""Seconds a cell may take: long enough that only a cell that hangs reaches it, on a machine that is busy too."""
STORE = Path("_build") / "executed"
RECORD = "executed"


@dataclass(frozen=True)
class Record:
    """How a chapter was executed: by which command, its seconds, its kernel's CPU seconds, and when (UNIX time)."""

    by: str
    seconds: float
    cpu_seconds: float
    finished: float


@cache
def _of_the_package(root: Path) -> bytes:
    """Digest of all that chapters are computed with, under ``root``."""
    parts = hashlib.sha256(sys.version.encode())
    files = [root / "requirements.txt", root / "book" / "references.bib"]
    files += sorted(
        path
        for path in (root / "talkface_lite").rglob("*")
        if "__pycache__" not in path.parts
    )
    for path in filter(Path.is_file, files):
        parts.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        parts.update(hashlib.sha256(path.read_bytes()).digest())
    for name in sorted(os.environ):
        if name.startswith("TALKFACE_") or name == "CUDA_VISIBLE_DEVICES":
            parts.update(f"\0{name}={os.environ[name]}".encode())
    return parts.digest()


def digest(root: Path, notebook: Path) -> str:
    """Hexadecimal digest of a notebook and of all that it is computed with."""
    parts = hashlib.sha256(_of_the_package(root))
    parts.update(
        notebook.relative_to(root).as_posix().encode() + b"\0" + notebook.read_bytes()
    )
    return parts.hexdigest()


def _place(root: Path, notebook: Path) -> Path:
    return root / STORE / notebook.relative_to(root)


def save(
    root: Path, notebook: Path, executed: NotebookNode, record: Record, key: str
) -> None:
    """Keep ``executed``; ``key`` is the digest of ``notebook`` taken *before* it was executed."""
    place = _place(root, notebook)
    place.parent.mkdir(parents=True, exist_ok=True)
    executed.metadata[RECORD] = {"digest": key, **record.__dict__}
    partial = place.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(nbformat.writes(executed))
    partial.replace(place)


def load(root: Path, notebook: Path) -> tuple[NotebookNode, Record] | None:
    """What was executed, if it was made from what is there now; the notebook without the record in its metadata."""
    try:
        executed = nbformat.read(_place(root, notebook), 4)
        record = dict(executed.metadata.pop(RECORD))
        if record.pop("digest") != digest(root, notebook):
            return None
        return executed, Record(**record)
    except (OSError, ValueError, KeyError, TypeError):  # not there, cut off, or from before
        return None


def last_seconds(root: Path, notebook: Path) -> float:
    """How long it took when it was last executed, from whatever sources; infinite where that is not known."""
    try:
        return float(
            json.loads(_place(root, notebook).read_text())["metadata"][RECORD]["seconds"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return float("inf")


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process, and the children it has waited for, have used."""
    used = psutil.Process(pid).cpu_times()
    return (
        used.user
        + used.system
        + getattr(used, "children_user", 0)
        + getattr(used, "children_system", 0)
    )


def execute(root: Path, notebook: Path, by: str) -> Record:
    """Execute one chapter and keep it.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell fails that is not tagged ``raises-exception``.
    """
    key, begun = digest(root, notebook), time.perf_counter()
    executed = nbformat.read(notebook, 4)
    used = [0.0]
    client = NotebookClient(
        executed,
        timeout=CELL_TIMEOUT,
        startup_timeout=CELL_TIMEOUT,
        iopub_timeout=CELL_TIMEOUT,
        record_timing=False,
        kernel_name="python3",
        resources={"metadata": {"path": str(notebook.parent)}},
        on_cell_executed=lambda **_: used.append(cpu_seconds(client.km.provisioner.pid)),
    )
    client.execute()
    record = Record(by, time.perf_counter() - begun, used[-1], time.time())
    save(root, notebook, executed, record, key)
    return record


def execute_all(
    root: Path, notebooks: list[Path], by: str, side_by_side: int
) -> Iterator[tuple[Path, Record | Exception]]:
    """Execute chapters that are not in the store, the longest first; yields each when it is done or has failed."""
    waiting = [notebook for notebook in notebooks if load(root, notebook) is None]
    waiting.sort(key=lambda notebook: last_seconds(root, notebook), reverse=True)
    with ThreadPoolExecutor(
        max(1, side_by_side)
    ) as pool:  # each thread waits for its kernel's process
        runs = {pool.submit(execute, root, notebook, by): notebook for notebook in waiting}
        for run in as_completed(runs):
            yield runs[run], run.exception() or run.result()


class Transcript:
    """Keeps what another program's kernel answers, as nbclient would have kept it: outputs, and widgets' state.

    Hand it each message of a cell in turn. Output that a widget caught goes to that widget, not below the cell.
    """

    def __init__(self, notebook: Path, client: object) -> None:
        self.notebook = nbformat.read(notebook, 4)
        self._keeper = NotebookClient(self.notebook, record_timing=False)
        self._keeper.reset_execution_trackers()
        self._keeper.kc = client
        self._index: int | None = None
        self._code = [
            k for k, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"
        ]

    def take(self, code_cell: int, message: dict) -> None:
        """Take a message of the kernel about the code cell with this number, counted without texts."""
        index = self._code[code_cell]
        if index != self._index:
            self._index, self._keeper.clear_before_next_output = index, False
        with contextlib.suppress(CellExecutionComplete):
            self._keeper.process_message(message, self.notebook.cells[index], index)

    def finished(self, language: dict) -> NotebookNode:
        """The executed notebook; ``language`` is the kernel's ``language_info``."""
        self.notebook.metadata["language_info"] = language
        for count, index in enumerate(self._code, start=1):
            self.notebook.cells[index].execution_count = count
            for output in self.notebook.cells[index].outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
        self._keeper.set_widgets_metadata()
        return self.notebook
