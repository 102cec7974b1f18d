"""Fixtures shared by all tests."""

from pathlib import Path

import cv2
import pytest

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no real recordings at {REAL}")
    return REAL


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What :mod:`cli_inputs` writes, in a folder of its own."""
    from cli_inputs import write_inputs

    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def shard(tmp_path):
    """A shard of the clips of :mod:`shard_samples`."""
    from shard_samples import SAMPLES

    from talkface_lite.shards import write_shard

    write_shard(tmp_path / "a.tar", SAMPLES)
    return tmp_path / "a.tar"


@pytest.fixture(scope="module")
def one_thread():
    """OpenCV on one thread: several on a busy machine are slower than one."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)
