"""The options ``--nb-budget`` and ``--nb-cpu-budget``: the sums, and on real notebooks run by nbval."""

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
    return conftest.NotebookBudget(seconds=1.0, cpu_seconds=1.0)


@pytest.fixture
def notebooks(tmp_path) -> Path:
    for name in ("one", "two"):
        cells = [nbformat.v4.new_code_cell("1 + 1") for _ in range(2)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "book" / "_ext").mkdir(parents=True)
    shutil.copy(ROOT / "book" / "_ext" / "chapter_store.py", tmp_path / "book" / "_ext")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    # a run of pytest inside one of pytest-xdist's workers is not itself a worker
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def report(nodeid: str, duration: float, cpu_seconds: float) -> SimpleNamespace:
    properties = [("kernel CPU seconds", cpu_seconds)]
    return SimpleNamespace(nodeid=nodeid, duration=duration, user_properties=properties)


def test_seconds_add_up_by_notebook_and_the_kernels_cpu_time_counts_up_itself(budget):
    for nodeid in ("a.ipynb::Cell 0", "b.ipynb::Cell 0", "tests/test_a.py::test_slow"):
        budget.pytest_runtest_logreport(report(nodeid, 0.6, 0.9))
    assert budget.over() == []
    budget.pytest_runtest_logreport(report("a.ipynb::Cell 1", 0.5, 1.1))
    budget.pytest_runtest_logreport(report("a.ipynb::Cell 1", 0.0, 0.0))
    assert budget.over() == [("a.ipynb", pytest.approx(1.1))]
    assert budget.spent == {"a.ipynb": pytest.approx(1.1), "b.ipynb": 0.6}


def test_slow_is_not_wrong(budget):
    budget.pytest_runtest_logreport(report("a.ipynb::Cell 0", 500.0, 0.9))
    passed = SimpleNamespace(exitstatus=0)
    budget.pytest_sessionfinish(passed)
    assert (budget.over(), passed.exitstatus) == ([], 0)


def test_a_failed_run_keeps_its_own_exit_status(budget):
    budget.computed["a.ipynb"] = 2.0
    passed, interrupted = (SimpleNamespace(exitstatus=status) for status in (0, 2))
    budget.pytest_sessionfinish(passed)
    budget.pytest_sessionfinish(interrupted)
    assert (passed.exitstatus, interrupted.exitstatus) == (1, 2)


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])
def test_a_notebook_that_computes_too_long_fails_a_run_in_which_every_cell_passes(notebooks, workers):
    late = pytest_in(notebooks, "--nb-cpu-budget", "0.0001", *workers)
    assert late.returncode == 1, late.stdout
    assert "4 passed" in late.stdout
    exceeded = [line for line in late.stdout.splitlines() if "budget exceeded" in line]
    assert ["one.ipynb" in exceeded[0], "two.ipynb" in exceeded[1]] == [True, True]


def test_notebooks_that_take_long_are_named_and_pass(notebooks):
    result = pytest_in(notebooks, "--nb-budget", "0.0001", "--nb-cpu-budget", "600")
    assert result.returncode == 0, result.stdout
    assert "exceeded" not in result.stdout
    assert result.stdout.count("took longer than 0.0001 s") == 2


def test_notebooks_in_time_are_listed(notebooks):
    result = pytest_in(notebooks, "--nb-budget", "600")
    assert result.returncode == 0, result.stdout
    assert "took longer" not in result.stdout
    assert "one.ipynb" in result.stdout
    assert "two.ipynb" in result.stdout


def test_cpu_seconds_are_those_of_the_kernel_and_not_of_waiting(notebooks):
    waits = nbformat.v4.new_code_cell("import time; time.sleep(3)")
    computes = nbformat.v4.new_code_cell("x = sum(i * i for i in range(10_000_000))")
    for name, cell in (("waits", waits), ("computes", computes)):
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), notebooks / f"{name}.ipynb")
    result = pytest_in(notebooks, "--nb-budget", "600", "waits.ipynb", "computes.ipynb", "one.ipynb")
    used = {
        line.split()[5]: float(line.split()[2]) for line in result.stdout.splitlines() if " CPU s  " in line
    }
    assert used["computes.ipynb"] > used["one.ipynb"]
    assert used["waits.ipynb"] < used["one.ipynb"] + 2
