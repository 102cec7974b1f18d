"""The repository's ``--nb-budget`` option, on real notebooks run by nbval."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def notebooks(tmp_path) -> Path:
    for name, seconds in (("slow", 0.7), ("quick", 0.0)):
        cells = [nbformat.v4.new_code_cell(f"import time\ntime.sleep({seconds})") for _ in range(2)]
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


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])
def test_cells_add_up_and_a_late_notebook_fails_the_run(notebooks, workers):
    # no cell alone takes the budget; two together do
    late = pytest_in(notebooks, "--nb-budget", "1.2", "slow.ipynb", "quick.ipynb", *workers)
    assert late.returncode == 1, late.stdout
    assert "4 passed" in late.stdout
    (exceeded,) = [line for line in late.stdout.splitlines() if "budget exceeded" in line]
    assert "slow.ipynb" in exceeded
    assert "s > 1.2 s" in exceeded


def test_notebooks_in_time_pass_and_are_listed(notebooks):
    result = pytest_in(notebooks, "--nb-budget", "60")
    assert result.returncode == 0, result.stdout
    assert "exceeded" not in result.stdout
    assert "slow.ipynb" in result.stdout
    assert "quick.ipynb" in result.stdout
