"""Films for the tests of systems."""

import numpy as np
import pytest

from talkface_lite.data.features import Features
from talkface_lite.data.pictures import PictureDataset, PicturePlace
from talkface_lite.landmarks import TEMPLATE


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two films of large tiles that change colour; the second ends within its window."""
    rng = np.random.default_rng(0)
    path, clips, offset = tmp_path_factory.mktemp("films") / "pictures", [], 0
    with open(path, "wb") as file:
        for n in (6, 3):
            start, end = rng.integers(60, 200, (2, 1, 4, 4, 3)).repeat(32, 2).repeat(32, 3)
            mix = np.linspace(0, 1, n).reshape(-1, 1, 1, 1)
            file.write(((1 - mix) * start + mix * end).astype(np.uint8).tobytes())
            landmarks = rng.uniform(30, 100, (68, 2)) + rng.normal(0, 2, (n, 68, 2))
            rows = np.zeros((4 * (n - 1) + 28, 12), np.float32)
            features = Features(rows=rows, landmarks=landmarks.astype(np.float32))
            clips.append((features, PicturePlace(path, offset, (n, 128, 128, 3))))
            offset = file.tell()
    return PictureDataset(clips, window=4)


@pytest.fixture(scope="module")
def batch(dataset):
    return dataset.batch([(0, 1, 5), (1, 0, 2)])


@pytest.fixture(scope="module")
def face():
    """A photograph, its landmarks, and where they are to go."""
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    example = rng.uniform(20, 110, (68, 2)).astype(np.float32)
    example[27:48] = TEMPLATE
    return photo, example, (example + rng.normal(0, 3, (7, 68, 2))).astype(np.float32)
