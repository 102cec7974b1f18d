"""Films for the tests of systems, and files as ATVGnet's authors released them."""

import numpy as np
import pytest
import torch
from released_networks import at_net_shapes, cheap_state, random_state, vg_net_shapes

from talkface_lite.data.features import Features
from talkface_lite.data.pictures import PictureDataset, PicturePlace
from talkface_lite.landmarks import TEMPLATE
from talkface_lite.shape_pca import ShapePCA


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


@pytest.fixture(scope="module")
def at_state():
    return random_state(at_net_shapes(), seed=1)


@pytest.fixture(scope="module")
def vg_state():
    state = random_state(vg_net_shapes(), seed=2)
    state["landmark_encoder.0.weight"] *= 5  # landmarks of one face differ little: let it be seen
    return state


@pytest.fixture(scope="module")
def shape_files(tmp_path_factory):
    """A mean face of norm 5 and a square orthonormal basis, as .npy."""
    folder = tmp_path_factory.mktemp("shape")
    rng = np.random.default_rng(3)
    face = ShapePCA.pretrained().mean.astype(np.float64).reshape(68, 2)
    face = face - face.mean(0)
    files = {"mean": folder / "mean.npy", "basis": folder / "U.npy"}
    np.save(files["mean"], (5 * face / np.linalg.norm(face)).reshape(136))
    np.save(files["basis"], np.linalg.qr(rng.standard_normal((136, 136)))[0])
    return files


@pytest.fixture(scope="module")
def cheap():
    return {"at": cheap_state(at_net_shapes()), "vg": cheap_state(vg_net_shapes())}


@pytest.fixture
def cheap_files(cheap, tmp_path):
    files = {kind: tmp_path / f"{kind}.pth" for kind in cheap}
    for kind, path in files.items():
        torch.save(cheap[kind], path)
    return files
