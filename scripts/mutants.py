"""Break the package on purpose and see whether a test notices: `make mutants FILES=talkface_lite/clip.py`.

A mutant is one file with one small change: a comparison at its boundary, a sign, a constant off by one, a
statement left out. The tests that matter for the file run on each mutant, in a copy of the repository that is
gone afterwards. A mutant that no test notices is printed with what stood there before and after: a test is
missing, or the change makes no difference, and then it belongs into `tests/equivalent_mutants.toml` with the
reason. The same files, seed and count give the same mutants.

Which tests those are, `scripts/mutant_tests.py` finds out; `--tests` names others.
"""

import argparse
import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutant_tests import tests_for
from mutations import Mutant, sample

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = "tests/equivalent_mutants.toml"
MEMORY = 8 << 30
"""Bytes that one run of the tests may hold; a mutant that asks for more counts as noticed."""
PATIENCE, GRACE_S = 6, 30
"""A mutant hangs when its tests take this many times what they took on the unchanged file, and this many
seconds more: other work may share the machine."""
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    "__pycache__",
    "_build",
    "build",
    "dist",
    "out",
    "runs",
    ".*_cache",
    "*.egg-info",
    "shared",
)


# --- one run of the tests, in a fork of a process that has everything but the package imported ---


def warm(root: Path, names: Iterable[str]) -> None:
    """Import what is not the repository's own: seconds that no fork then spends."""
    paths = [path for folder in root.iterdir() if folder.name[0] != "." for path in folder.rglob("*.py")]
    own = {path.stem for path in paths} | {path.name for path in root.iterdir()} | {"__main__", "__mp_main__"}
    for name in names:
        if name.split(".")[0] not in own:
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)


class Watch:
    """Pytest plugin: keeps the chosen tests, in their order; notes seconds, lines and the first failure."""

    def __init__(self, order: Sequence[str] | None, coverage: object | None) -> None:
        self.place = None if order is None else {name: i for i, name in enumerate(order)}
        self.coverage, self.seconds, self.failed = coverage, {}, None

    def pytest_collection_modifyitems(self, config: object, items: list) -> None:
        if self.place is not None:
            config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in self.place])
            items[:] = sorted(
                (i for i in items if i.nodeid in self.place), key=lambda i: self.place[i.nodeid]
            )

    def pytest_runtest_call(self, item: object) -> None:
        if self.coverage:
            self.coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: object) -> None:
        if self.coverage and report.when == "call":
            # what a fixture does may be done for several tests
            self.coverage.switch_context("")
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: object) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def run_tests(tree: Path, tests: Sequence[str], order: Sequence[str] | None, measured: Sequence[str]) -> int:
    """Run pytest on ``tree``, in this process; leaves `result.json` beside the tree."""
    os.chdir(tree)
    for key in [key for key in os.environ if key.startswith("PYTEST_")]:
        del os.environ[key]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tree), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(tree))
    importlib.invalidate_caches()
    cover = None
    if measured:
        from coverage import Coverage

        cover = Coverage(data_file=None, config_file=False, include=[str(tree / file) for file in measured])
        cover.start()
    else:
        # a mutant of the same length and second would otherwise be taken for the one before it
        os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    import pytest

    watch = Watch(order, cover)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={tree.parent / 'tmp'}"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options += ["--hypothesis-seed=0"] if find_spec("hypothesis") else []
    code = pytest.main([*options, *tests], plugins=[watch])
    lines = {}
    if cover:
        cover.stop()
        data = cover.get_data()
        for file in measured:
            lines[file] = data.contexts_by_lineno(str(tree / file))
    record = {"failed": watch.failed, "seconds": watch.seconds, "lines": lines, "modules": [*sys.modules]}
    (tree.parent / "result.json").write_text(json.dumps(record))
    return int(code)


class Workshop:
    """A copy of the repository in which one run of the tests at a time goes on, in a process of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        self.tree, self.pid, self.deadline = home / root.name, 0, 0.0
        shutil.copytree(root, self.tree, ignore=LEFT_OUT)

    def start(self, limit_s: float, *arguments: object) -> None:
        """Fork; the child runs :func:`run_tests` with the arguments."""
        sys.stdout.flush()
        (self.tree.parent / "result.json").unlink(missing_ok=True)
        self.pid, self.deadline = os.fork(), time.monotonic() + limit_s
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            log = os.open(self.tree.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(log, stream)
            code = run_tests(self.tree, *arguments)
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        """Exit status of the run, -1 for one that was stopped or ran out of time, None while it goes on."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > self.deadline:
            self.stop()
            return -1
        else:
            return None
        self._sweep()
        return max(code, -1)

    def wait(self) -> int:
        """As :meth:`poll`, but waits."""
        while (code := self.poll()) is None:
            time.sleep(0.02)
        return code

    def stop(self) -> None:
        """End the run and what it started."""
        if self.pid:
            self._sweep()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def _sweep(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def result(self) -> dict:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.tree.parent / "result.json").read_text())
        return {"failed": None, "seconds": {}, "lines": {}, "modules": []}

    @contextlib.contextmanager
    def changed(self, file: str, text: str) -> Iterator[None]:
        """The file with another text, for a while."""
        path = self.tree / file
        before = path.read_bytes()
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
        path.write_bytes(text.encode())
        try:
            yield
        finally:
            path.write_bytes(before)


# --- all mutants ---


@dataclass
class Job:
    """A mutant, the runs of tests that it has yet to survive, and what became of it."""

    mutant: Mutant | None
    stages: list[list[str]]
    noticed: str = ""


def stages_for(mutant: Mutant | None, clean: dict) -> list[list[str]]:
    """The tests that run the mutant's lines, the quick ones first; then all others, in case.

    What a fixture or an import does is credited to no single test, and what a program started by a test does
    to none at all. None is the unchanged file: all tests, in the order of the first stage.
    """
    seconds = clean["seconds"]
    tests = sorted(seconds, key=lambda name: (seconds[name], name))
    files = {name.split("::")[0]: None for name in tests}
    tests = [name for file in files for name in tests if name.split("::")[0] == file]
    if mutant is None:
        return [tests]
    lines = clean["lines"].get(mutant.file, {})
    running = {name for line in mutant.lines for name in lines.get(str(line), ())}
    return [
        part for part in ([n for n in tests if n in running], [n for n in tests if n not in running]) if part
    ]


def try_all(shops: Sequence[Workshop], jobs: Sequence[Job], clean: dict, tell: Callable[[Job], None]) -> None:
    """Run every job to its end, as many at a time as there are workshops."""
    queue, busy = deque(jobs), {}
    while queue or busy:
        for shop in shops:
            if shop not in busy and queue:
                job, undo = queue.popleft(), contextlib.ExitStack()
                if job.mutant:
                    undo.enter_context(shop.changed(job.mutant.file, job.mutant.text))
                tests = job.stages.pop(0)
                limit = PATIENCE * sum(clean["seconds"][name] for name in tests) + GRACE_S
                shop.start(limit, list(dict.fromkeys(n.split("::")[0] for n in tests)), tests, ())
                busy[shop] = job, undo
            elif shop in busy and (code := shop.poll()) is not None:
                job, undo = busy.pop(shop)
                undo.close()
                if code not in (0, 5):
                    job.noticed = shop.result()["failed"] or ("hang or crash" if code == -1 else "no start")
                if job.noticed or not job.stages:
                    tell(job)
                else:
                    queue.appendleft(job)
        time.sleep(0.01)


def equivalents(root: Path) -> dict[tuple[str, str, str], str]:
    """Reason by (file, before, after) of the mutants that are known to make no difference."""
    path = root / EQUIVALENT
    entries = tomllib.loads(path.read_text()).get("mutant", []) if path.is_file() else []
    return {(e["file"], e["before"].strip(), e["after"].strip()): e["reason"] for e in entries}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Command line; 0 when enough mutants were noticed, 1 when not, 2 when the unchanged tests fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="python files or folders below the repository, or modules")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=30, help="mutants over all the files; 0 is every one")
    parser.add_argument("--tests", nargs="+", metavar="FILE", help="test files instead of those found")
    parser.add_argument("--most", type=int, default=3, metavar="N", help="test files found for each file")
    parser.add_argument("--least", type=float, default=0.0, metavar="SHARE", help="noticed of tried, 0..1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="only print the mutants and the test files")
    args = parser.parse_args(arguments)
    files = []
    for name in args.files:
        path = root / name
        if not path.exists():
            path = root / name.replace(".", "/")
            path = path if path.is_dir() else path.with_suffix(".py")
        if not path.exists():
            parser.error(f"{name}: no such file, folder or module below {root}")
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        files += [p.resolve().relative_to(root).as_posix() for p in found]
    known = equivalents(root)
    mutants = sample({file: (root / file).read_text("utf-8") for file in files}, args.count, args.seed)
    same = [m for m in mutants if (m.file, m.before, m.after) in known]
    mutants = [m for m in mutants if m not in same]
    tests = args.tests or tests_for(root, files, args.most)
    print(f"{len(mutants)} mutants of {', '.join(files)}\ntests: {' '.join(tests)}", flush=True)
    if args.list or not mutants:
        print(*map(str, mutants), sep="\n")
        return 0
    for file, before, _ in known:
        if file in files and before.splitlines()[0] not in (root / file).read_text("utf-8"):
            print(f"{EQUIVALENT} is out of date: {file} has no {before!r}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="mutants-") as home, contextlib.ExitStack() as stack:
        shops = [Workshop(root, Path(home, str(i))) for i in range(args.jobs)]
        for shop in shops:
            stack.callback(shop.stop)
        shops[0].start(3600, tests, None, sorted({m.file for m in mutants}))
        if shops[0].wait():
            print((shops[0].tree.parent / "log").read_text()[-3000:])
            print("the tests fail on the unchanged files: nothing was tried")
            return 2
        clean = shops[0].result()
        warm(root, clean["modules"])
        jobs = [Job(m, stages_for(m, clean)) for m in (None, *mutants)]
        began, done = time.monotonic(), []

        def tell(job: Job) -> None:
            done.append(job)
            what = "unchanged" if job.mutant is None else str(job.mutant).splitlines()[0]
            print(
                f"{len(done)}/{len(jobs)}  {what}: {job.noticed or 'not noticed'}",
                file=sys.stderr,
                flush=True,
            )

        try_all(shops, jobs, clean, tell)
    if jobs[0].noticed:
        print(f"{jobs[0].noticed} fails on the unchanged files in another order: it leans on other tests")
        return 2
    return report(jobs[1:], same, args, time.monotonic() - began)


def report(jobs: Sequence[Job], same: Sequence[Mutant], args: argparse.Namespace, seconds: float) -> int:
    """Print the mutants that went unnoticed, and noticed of tried by file; the exit status."""
    for job in jobs:
        if not job.noticed:
            print(f"\nnot noticed: {job.mutant}")
    print()
    for file in sorted({job.mutant.file for job in jobs}):
        here = [bool(job.noticed) for job in jobs if job.mutant.file == file]
        print(f"{sum(here)}/{len(here)}  {file}")
    noticed = sum(bool(job.noticed) for job in jobs)
    run = f"seed {args.seed}, count {args.count}, {seconds:.0f} s"
    share = f"noticed {noticed} of {len(jobs)} ({noticed / len(jobs):.0%})"
    print(f"{share}, {len(same)} more listed as equivalent; {run}")
    return int(noticed < args.least * len(jobs))


if __name__ == "__main__":
    sys.exit(main())
