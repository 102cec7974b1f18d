"""Three small clips for the tests of shards, and how to take a shard apart and put it together again."""

import io
import tarfile

import numpy as np
import pytest

from talkface_lite.clip import Clip, Interval
from talkface_lite.errors import InputError
from talkface_lite.shards import read_shard


def make_clip(n_frames, seed, side=0):
    rng = np.random.default_rng(seed)
    return Clip(
        frames=rng.integers(0, 256, (n_frames, side, side, 3), np.uint8) if side else None,
        landmarks=rng.uniform(0, 128, (n_frames, 68, 2)).astype(np.float32),
        speech=rng.uniform(-1, 1, 640 * n_frames).astype(np.float32),
        words=(Interval("grün", 0.0, 0.02), Interval("blue", 0.02, 0.04)),
        phonemes=(Interval("b", 0.01, 0.03),),
        identity=f"person {seed}",
        source="made",
    )


SAMPLES = [
    ("one", make_clip(1, 1)),
    ("zwei-Ж_2", make_clip(3, 2, side=5)),
    ("three", make_clip(2, 3, side=4)),
]


def assert_same(clip, expected):
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(clip, name), value)
        assert type(getattr(clip, name)) is type(value)


def refused(path):
    """The one line with which a shard is refused."""
    try:
        list(read_shard(path))
    except InputError as error:  # pytest.raises takes ms each, and is called thousands of times
        line = str(error)
    else:
        pytest.fail(f"{path} was read")
    assert line.startswith(str(path))
    assert len(line.removeprefix(str(path))) < 500
    assert line.isprintable()
    return line


def members_of(path):
    with tarfile.open(path, "r:") as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]


def rewrite(path, members, tar_format=tarfile.USTAR_FORMAT):
    with tarfile.open(path, "w", format=tar_format) as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))


def saved(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()
