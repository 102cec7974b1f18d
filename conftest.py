"""Pytest options of the whole repository: the budget of each notebook, its outputs, and the pages to check.

nbval gives every cell a test and a time limit, but nothing to a whole notebook. ``--nb-budget SECONDS``
reports how long each took; a busy machine is slow and not wrong, so nothing fails by it. ``--nb-cpu-budget
SECONDS`` fails the run when the kernel of a notebook used more CPU time than this. ``--nb-keep`` leaves each
executed notebook where ``make book`` takes it from. ``--pages DIR`` lets the tests of pages check the book
that was built there, and ``--require-browser`` fails where those that need Chromium would skip.
"""

import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import chapter_store  # noqa: E402

CPU = "kernel CPU seconds"


def is_cell(item: pytest.Item) -> bool:
    """Whether the test is one of nbval's: a notebook's cell."""
    return hasattr(item, "cell_num")


class NotebookBudget:
    """Adds up the seconds of each notebook's cells; under xdist every report reaches the controller."""

    def __init__(self, seconds: float | None = None, cpu_seconds: float | None = None) -> None:
        self.seconds, self.cpu_seconds = seconds, cpu_seconds
        self.spent: dict[str, float] = defaultdict(float)
        self.computed: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        notebook = report.nodeid.split("::")[0]
        if notebook.endswith(".ipynb"):
            self.spent[notebook] += report.duration
            so_far = dict(report.user_properties).get(CPU, 0.0)
            self.computed[notebook] = max(self.computed[notebook], so_far)

    def over(self) -> list[tuple[str, float]]:
        """Notebooks that computed longer than they may, with their CPU seconds."""
        if self.cpu_seconds is None:
            return []
        return [(name, used) for name, used in sorted(self.computed.items()) if used > self.cpu_seconds]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.over() and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.spent:
            return
        limits = [f"{self.seconds:g} s" if self.seconds is not None else ""]
        limits += [f"{self.cpu_seconds:g} CPU s" if self.cpu_seconds is not None else ""]
        terminalreporter.section("notebooks, budget " + " and ".join(filter(None, limits)))
        late = dict(self.over())
        for name, spent in sorted(self.spent.items()):
            line = f"{spent:7.1f} s {self.computed[name]:7.1f} CPU s  {name}"
            if name in late:
                line += f"  budget exceeded: {late[name]:.1f} CPU s > {self.cpu_seconds:g} CPU s"
            elif self.seconds is not None and spent > self.seconds:
                line += f"  took longer than {self.seconds:g} s"
            terminalreporter.line(line, red=name in late)


class NotebookRuns:
    """Where the cells run: their kernel's CPU time, and all that it answers, kept when every cell passed."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.running: Transcribed | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        if not is_cell(item):
            return (yield)
        if self.running is None or self.running.file is not item.parent:
            self.running = Transcribed(item.parent)
        self.running.cell = item.cell_num
        # nbval waits five seconds for a cell's output: on a busy machine that is no fault
        item.output_timeout = chapter_store.CELL_TIMEOUT
        result = yield
        self.running.passed += 1
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if is_cell(item) and call.when == "call":
            used = kernel_cpu_seconds(item.parent.kernel)
            report.user_properties.append((CPU, used))
            if self.running is not None and self.running.file is item.parent:
                self.running.seconds += call.duration
                self.running.cpu_seconds = used
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        last = nextitem is None or nextitem.parent is not item.parent
        if self.keep and is_cell(item) and last and self.running is not None:
            self.running.save()


def kernel_cpu_seconds(kernel: object) -> float:
    """CPU seconds of nbval's running kernel so far, zero when it is gone."""
    provisioner = getattr(getattr(kernel, "km", None), "provisioner", None)
    try:
        return chapter_store.cpu_seconds(provisioner.pid)
    except (AttributeError, chapter_store.psutil.Error):
        return 0.0


class Transcribed:
    """A notebook in nbval's hands, whose kernel's messages are written down as they pass."""

    def __init__(self, file: pytest.File) -> None:
        self.file, self.kernel = file, file.kernel
        self.cell = self.passed = 0
        self.seconds = self.cpu_seconds = 0.0
        self.key = chapter_store.digest(ROOT, file.path)
        self.transcript = chapter_store.Transcript(file.path, self.kernel.kc)
        self.request: str | None = None
        self._receive = self.kernel.get_message
        self.kernel.execute_cell_input, self.kernel.get_message = self.execute, self.get_message

    def execute(self, source: str, allow_stdin: bool | None = None) -> str:
        """As nbval does, but with the history that pages are made with: `;` at a line's end shows nothing."""
        self.request = self.kernel.kc.execute(
            source, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
        )
        return self.request

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        message = self._receive(stream, timeout)
        if stream == "iopub" and message["parent_header"].get("msg_id") == self.request:
            self.transcript.take(self.cell, message)
        return message

    def save(self) -> None:
        """Keep what was executed, if every cell was and passed."""
        if self.passed != sum(cell.cell_type == "code" for cell in self.file.nb.cells):
            return
        language = self.kernel.kc.kernel_info(reply=True, timeout=60)["content"]["language_info"]
        record = chapter_store.Record("test", self.seconds, self.cpu_seconds, chapter_store.time.time())
        chapter_store.save(ROOT, self.file.path, self.transcript.finished(language), record, self.key)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nb-budget",
        type=float,
        metavar="SECONDS",
        help="report which notebooks' cells together take longer than this",
    )
    parser.addoption(
        "--nb-cpu-budget",
        type=float,
        metavar="SECONDS",
        help="fail the run when the kernel of one notebook uses more CPU time than this",
    )
    parser.addoption(
        "--nb-keep", action="store_true", help="keep the executed notebooks, where make book looks for them"
    )
    parser.addoption("--pages", metavar="DIR", help="folder of the built book, to check its pages")
    parser.addoption(
        "--require-browser", action="store_true", help="fail, not skip, where there is no Chromium"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NotebookRuns(config.getoption("--nb-keep")), "notebook-runs")
    limits = config.getoption("--nb-budget"), config.getoption("--nb-cpu-budget")
    on_a_worker = hasattr(config, "workerinput")
    if limits != (None, None) and not on_a_worker:
        config.pluginmanager.register(NotebookBudget(*limits), "notebook-budget")
