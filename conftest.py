"""Pytest options of the whole repository: a time budget for each notebook, and the pages to check.

nbval gives every cell a test and a time limit, but no limit to a whole notebook. ``--nb-budget SECONDS``
adds up the cells of each notebook and fails the run when one of them takes longer. ``--pages DIR`` lets
``tests/book/test_pages.py`` check the book that was built there.
"""

from collections import defaultdict
from collections.abc import Iterator

import pytest


class NotebookBudget:
    """Adds up the seconds of each notebook's cells; under xdist every report reaches the controller."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        notebook = report.nodeid.split("::")[0]
        if notebook.endswith(".ipynb"):
            self.spent[notebook] += report.duration

    def over(self) -> Iterator[tuple[str, float]]:
        return ((name, spent) for name, spent in sorted(self.spent.items()) if spent > self.seconds)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if any(self.over()) and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.spent:
            return
        terminalreporter.section(f"notebooks, budget {self.seconds:g} s each")
        for name, spent in sorted(self.spent.items()):
            late = spent > self.seconds
            line = f"{spent:7.1f} s  {name}" + (
                f"  budget exceeded: {spent:.1f} s > {self.seconds:g} s" if late else ""
            )
            terminalreporter.line(line, red=late)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nb-budget",
        type=float,
        metavar="SECONDS",
        help="fail the run when the cells of one notebook together take longer than this",
    )
    parser.addoption("--pages", metavar="DIR", help="folder of the built book, to check its pages")


def pytest_configure(config: pytest.Config) -> None:
    seconds = config.getoption("--nb-budget")
    on_a_worker = hasattr(config, "workerinput")
    if seconds is not None and not on_a_worker:
        config.pluginmanager.register(NotebookBudget(seconds), "notebook-budget")
