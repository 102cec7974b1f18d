"""The repository's ``--nb-budget`` option: the sum itself, and on real notebooks run by nbval."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def budget():
    specification = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    conftest = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(conftest)
    return conftest.NotebookBudget(1.0)


@pytest.fixture
def notebooks(tmp_path) -> Path:
    for name in ("one", "two"):
        cells = [nbformat.v4.new_code_cell("1 + 1") for _ in range(2)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    # a run of pytest inside one of pytest-xdist's workers is not itself a worker
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_cells_add_up_by_notebook(budget):
    seconds = {"a.ipynb::Cell 0": 0.6, "b.ipynb::Cell 0": 0.6, "tests/test_a.py::test_slow": 9.0}
    for nodeid, duration in seconds.items():
        budget.pytest_runtest_logreport(SimpleNamespace(nodeid=nodeid, duration=duration))
    assert list(budget.over()) == []
    budget.pytest_runtest_logreport(SimpleNamespace(nodeid="a.ipynb::Cell 1", duration=0.5))
    assert list(budget.over()) == [("a.ipynb", pytest.approx(1.1))]


def test_a_failed_run_keeps_its_own_exit_status(budget):
    budget.spent["a.ipynb"] = 2.0
    passed, interrupted = (SimpleNamespace(exitstatus=status) for status in (0, 2))
    budget.pytest_sessionfinish(passed)
    budget.pytest_sessionfinish(interrupted)
    assert (passed.exitstatus, interrupted.exitstatus) == (1, 2)


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])
def test_a_late_notebook_fails_a_run_in_which_every_cell_passes(notebooks, workers):
    late = pytest_in(notebooks, "--nb-budget", "0.0001", *workers)
    assert late.returncode == 1, late.stdout
    assert "4 passed" in late.stdout
    exceeded = [line for line in late.stdout.splitlines() if "budget exceeded" in line]
    assert ["one.ipynb" in exceeded[0], "two.ipynb" in exceeded[1]] == [True, True]


def test_notebooks_in_time_pass_and_are_listed(notebooks):
    result = pytest_in(notebooks, "--nb-budget", "600")
    assert result.returncode == 0, result.stdout
    assert "exceeded" not in result.stdout
    assert "one.ipynb" in result.stdout
    assert "two.ipynb" in result.stdout
