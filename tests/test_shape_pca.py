"""ShapePCA against scikit-learn, its algebra, torch and its file."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.decomposition import PCA

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening
from talkface_lite.metrics import correlation
from talkface_lite.networks.at_net import ATVGNET_BOOST
from talkface_lite.shape_pca import N_COMPONENTS, ShapePCA

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """150 + 50 faces in the crop that differ along 9 directions, and a little everywhere."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(9, 136)) * np.linspace(4, 1, 9)[:, None]
    shapes = (
        64
        + rng.normal(size=136) * 15
        + rng.normal(size=(200, 9)) @ directions
        + rng.normal(0, 0.1, (200, 136))
    )
    return shapes.reshape(4, 50, 68, 2).astype(np.float32)


@pytest.fixture(scope="module")
def pca(faces) -> ShapePCA:
    return ShapePCA.fit(faces)


def test_fit_equals_scikit_learn(faces, pca):
    shapes = (faces.reshape(200, 136).astype(np.float64) - 64) / 64
    reference = PCA(N_COMPONENTS, svd_solver="full").fit(shapes)
    assert np.abs(pca.mean - reference.mean_).max() < 1e-6
    assert np.abs(pca.components - reference.components_).max() < 1e-6
    assert np.allclose(pca.variance, reference.explained_variance_, rtol=1e-5)
    assert np.allclose(pca.explained, reference.explained_variance_ratio_, rtol=1e-5)
    h = pca.encode(faces)
    assert h.shape == (4, 50, 6)
    assert np.abs(h.reshape(200, 6) - reference.transform(shapes)).max() < 1e-5
    again = reference.inverse_transform(reference.transform(shapes)) * 64 + 64
    assert np.abs(pca.decode(h).reshape(200, 136) - again).max() < 1e-3


def test_people_are_taken_out_of_the_components(faces):
    rng = np.random.default_rng(4)
    people = rng.integers(0, 5, 200)
    looks = rng.normal(0, 20, (5, 68, 2)).astype(np.float32)
    flat = faces.reshape(200, 68, 2)
    pca = ShapePCA.fit((flat + looks[people]).reshape(faces.shape), people=people.reshape(4, 50))
    centred = (
        np.stack([flat[i] - flat[people == people[i]].mean(0) for i in range(200)]).reshape(200, 136) / 64
    )
    reference = PCA(N_COMPONENTS, svd_solver="full").fit(centred)
    assert np.abs(pca.components - reference.components_).max() < 1e-4
    assert np.allclose(pca.explained, reference.explained_variance_ratio_, rtol=1e-3)
    assert np.abs(pca.mean * 64 + 64 - (flat + looks[people]).reshape(200, 136).mean(0)).max() < 1e-3
    assert (
        np.abs(ShapePCA.fit(flat, people=["one"] * 200).components - ShapePCA.fit(flat).components).max()
        < 1e-5
    )


def test_signs_do_not_depend_on_the_order_of_the_faces(faces, pca):
    shuffled = faces.reshape(200, 68, 2)[np.random.default_rng(1).permutation(200)]
    assert np.abs(ShapePCA.fit(shuffled).components - pca.components).max() < 1e-5
    largest = np.abs(pca.components).argmax(1)
    assert (pca.components[np.arange(6), largest] > 0).all()


def test_all_components_give_every_face_back_and_fewer_give_less(faces):
    errors = []
    for k in (1, 6, 9, 136):
        pca = ShapePCA.fit(faces, k)
        errors.append(np.abs(pca.decode(pca.encode(faces)) - faces).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4
    assert errors[2] < 0.1 < errors[0]


def test_encode_undoes_decode(pca):
    h = np.random.default_rng(2).normal(size=(3, 5, 6)).astype(np.float32)
    assert np.abs(pca.encode(pca.decode(h)) - h).max() < 1e-5
    assert pca.decode(h).dtype == np.float32
    assert np.allclose(pca.decode(np.zeros(6)).reshape(-1), pca.mean * 64 + 64)


def test_boost_is_equation_4(pca):
    h = np.random.default_rng(3).normal(size=(7, 6))
    by_hand = (h * np.array(ATVGNET_BOOST)) @ pca.components + pca.mean
    assert np.allclose((pca.decode(h, ATVGNET_BOOST).reshape(7, 136) - 64) / 64, by_hand)
    assert np.allclose(pca.encode(pca.decode(h, ATVGNET_BOOST)), h * ATVGNET_BOOST)
    assert np.array_equal(pca.decode(h, np.ones(6)), pca.decode(h))
    assert ATVGNET_BOOST == (1, 2.2, 2.4, 2.6, 2.8, 3.0)


def test_torch_gives_the_same_numbers_and_gradients(faces, pca):
    points = torch.from_numpy(faces)
    h = pca.encode(points)
    assert h.dtype == torch.float32
    assert np.abs(h.numpy() - pca.encode(faces)).max() < 1e-5
    assert np.abs(pca.decode(h, ATVGNET_BOOST).numpy() - pca.decode(h.numpy(), ATVGNET_BOOST)).max() < 1e-3
    h = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(pca.decode, (h,))
    assert torch.autograd.gradcheck(pca.encode, (pca.decode(h).detach().requires_grad_(),))


def test_basis_cannot_be_changed_in_place(pca):
    with pytest.raises(ValueError):
        pca.mean[0] = 1


def test_file_gives_the_same_basis_and_the_same_bytes(faces, tmp_path):
    pca = ShapePCA.fit(faces, origin={"seed": 3, "source": "drawn", "clips": 200})
    first = pca.save(tmp_path / "a.safetensors")
    again = ShapePCA.load(first)
    for name in ("mean", "components", "variance"):
        assert np.array_equal(getattr(again, name), getattr(pca, name))
    assert again.total_variance == pca.total_variance
    assert again.origin == {"seed": 3, "source": "drawn", "clips": 200}
    assert again.save(tmp_path / "b.safetensors").read_bytes() == first.read_bytes()
    same = ShapePCA.fit(faces, origin={"clips": 200, "source": "drawn", "seed": 3})
    assert same.save(tmp_path / "c.safetensors").read_bytes() == first.read_bytes()


def test_shipped_basis_is_of_faces():
    pca = ShapePCA.pretrained()
    assert len(pca.components) == N_COMPONENTS
    assert np.abs(pca.components @ pca.components.T - np.eye(N_COMPONENTS)).max() < 1e-5
    assert (np.diff(pca.variance) <= 0).all()
    mean = pca.decode(np.zeros(6))
    assert np.linalg.norm(mean[45] - mean[36]) == pytest.approx(56, abs=3)
    assert mean[8, 1] > mean[57, 1] > mean[51, 1] > mean[33, 1] > mean[27, 1] > mean[19, 1]
    assert pca.origin["seed"] >= 0


def test_shipped_basis_holds_the_movements_of_people_it_has_not_seen():
    pca = ShapePCA.pretrained()
    residual, spread = 0.0, 0.0
    for seed in range(12):
        truth = draw_clip(seed, still_head=seed % 2 == 0, paint=False, split="test").landmarks
        outside = truth[0] - pca.decode(pca.encode(truth[0]))
        rebuilt = pca.decode(pca.encode(truth)) + outside
        residual += float(((rebuilt - truth) ** 2).mean())
        spread += float(((truth[0] - truth) ** 2).mean())
        assert correlation(lip_opening(rebuilt), lip_opening(truth)) > 0.95
    assert residual < 0.05 * spread


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda pca, _: ShapePCA.fit(np.zeros((6, 68, 2))), "n_components"),
        (lambda pca, _: ShapePCA.fit(np.zeros((200, 68, 2)), 137), "n_components"),
        (lambda pca, _: ShapePCA.fit(np.zeros((200, 68, 2)), 0), "n_components"),
        (lambda pca, _: ShapePCA.fit(np.full((200, 68, 2), np.inf)), "landmarks"),
        (lambda pca, _: ShapePCA.fit(np.zeros((200, 136))), "landmarks"),
        (lambda pca, _: ShapePCA.fit(np.zeros((200, 68, 2)), people=[1] * 199), "people"),
        (lambda pca, _: pca.encode(np.zeros((5, 136))), "landmarks"),
        (lambda pca, _: pca.decode(np.zeros((5, 7))), "h"),
        (lambda pca, _: pca.decode(np.zeros((5, 6)), boost=(1, 2)), "h"),
        (lambda pca, path: ShapePCA.load(path / "none"), "none"),
        (lambda pca, path: ShapePCA.load(path / "other.safetensors"), "other.safetensors"),
        (lambda pca, path: ShapePCA.load(path / "broken.safetensors"), "broken.safetensors"),
    ],
)
def test_bad_input_is_named_on_one_line(pca, tmp_path, call, name):
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"not a basis")
    with pytest.raises(InputError) as error:
        call(pca, tmp_path)
    assert f"{name}: got " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_basis_need_not_say_where_it_comes_from():
    parts = {"mean": np.zeros(136), "components": np.eye(6, 136), "variance": np.ones(6)}
    one, other = (ShapePCA(**parts, total_variance=8.0) for _ in range(2))
    assert one.origin == {}
    assert one.origin is not other.origin
    np.testing.assert_allclose(one.explained, 1 / 8)
