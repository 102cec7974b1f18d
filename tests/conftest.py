"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no real recordings at {REAL}")
    return REAL
