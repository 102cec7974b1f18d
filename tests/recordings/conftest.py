"""Fixtures of the tests of real recordings."""

from types import ModuleType

import films as films_made_on_the_spot
import pytest


@pytest.fixture(scope="session")
def films() -> ModuleType:
    """The helpers that make films: :mod:`films`, beside this file."""
    return films_made_on_the_spot
