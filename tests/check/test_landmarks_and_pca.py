"""The self-checks of "Landmarks and PCA" take right answers and refuse wrong ones."""

import numpy as np
import pytest
import torch
from exercises import WHOLE, given_as

from talkface_lite.check import Wrong
from talkface_lite.check.landmarks_and_pca import exercise_1, exercise_2, exercise_3
from talkface_lite.landmarks import lip_opening
from talkface_lite.shape_pca import ShapePCA


@pytest.mark.parametrize("exercise", [exercise_1, exercise_2, exercise_3])
@pytest.mark.parametrize("stub", [None, ..., lambda *_: None, lambda *_: ...])
def test_a_stub_is_nothing_to_check_yet(exercise, stub, capsys):
    assert not exercise(stub)
    assert "nothing to check yet" in capsys.readouterr().out


def relative_opening(faces):
    return lip_opening(faces) / np.linalg.norm(faces[..., 45, :] - faces[..., 36, :], axis=-1)


def test_opening_right(capsys):
    assert exercise_1(relative_opening)
    assert capsys.readouterr().out == "Exercise 1: right.\n"


def over_eyes(gap):
    return lambda f: gap(f) / np.linalg.norm(f[..., 45, :] - f[..., 36, :], axis=-1)


@pytest.mark.parametrize(
    "gap",
    [
        lambda f: f[..., 66, 1] - f[..., 62, 1],
        lambda f: np.linalg.norm(f[..., 66, :] - f[..., 62, :], axis=-1),
        lambda f: np.mean([f[..., 67, 1] - f[..., 61, 1], f[..., 66, 1] - f[..., 62, 1],
                           f[..., 65, 1] - f[..., 63, 1]], axis=0),
    ],
)  # fmt: skip
def test_opening_right_by_any_definition_of_the_gap(gap):
    assert exercise_1(over_eyes(gap))


@pytest.mark.parametrize("kind", [lambda opening: np.asarray(opening).tolist(), torch.tensor])
def test_opening_right_in_every_type(kind):
    assert exercise_1(given_as(kind, relative_opening))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lip_opening, "three times the size"),
        (lambda f: -relative_opening(f), "y runs down"),
        (lambda f: lip_opening(f) / np.linalg.norm(f[:, 42] - f[:, 39], axis=-1), "inner corners"),
        (lambda f: relative_opening(f)[0], "A film of"),
        (lambda f: lip_opening(f) / (f[:, 45, 0] - f[:, 36, 0]), "The widest mouth gives"),
        (lambda f: 2 * relative_opening(f), "The widest mouth gives"),
        (over_eyes(lambda f: f[..., 57, 1] - f[..., 51, 1]), "The widest mouth gives"),
        (
            lambda f: lip_opening(f) / np.linalg.norm(f[:, 45] - f[:, 36], axis=-1) if f.ndim == 3 else 0.1,
            "One face should give what",
        ),
        (lambda f: relative_opening(f) if f.ndim < 4 else relative_opening(f)[0], "Two films should give"),
        (lambda f: "wide", "should be numbers"),
    ],
)
def test_opening_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_1(wrong)


def shares(shapes, *, power=2, centre=True):
    singular = np.linalg.svd(shapes - shapes.mean(0) * centre, compute_uv=False)
    return np.cumsum(singular**power) / (singular**power).sum()


def test_components_right():
    assert exercise_2(lambda shapes, share: int(np.argmax(shares(shapes) >= share)) + 1)


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_components_right_in_every_type(kind):
    assert exercise_2(lambda shapes, share: kind(int(np.searchsorted(shares(shapes), share)) + 1))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda x, share: -1, "carry less than 50% of the variance"),
        (lambda x, share: 1.5, "whole number"),
        (lambda x, share: int(np.argmax(shares(x) >= share)), "counts from 0"),
        (lambda x, share: int(np.argmax(shares(x, power=1) >= share)) + 1, "square of a singular value"),
        (lambda x, share: int(np.argmax(shares(x, centre=False) >= share)) + 1, "subtract the mean"),
        (lambda x, share: 10, "and fewer do"),
    ],
)
def test_components_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_2(wrong)


def lips_only(faces, people, *, centre_mouths=True):
    mouths = faces[:, 48:].astype(np.float64)
    if centre_mouths:
        mouths = mouths - mouths.mean(1, keepdims=True)
    for person in set(people):
        mouths[people == person] -= mouths[people == person].mean(0)
    directions = np.zeros((6, 68, 2))
    directions[:, 48:] = np.linalg.svd(mouths.reshape(len(mouths), -1), full_matrices=False)[2][:6].reshape(
        6, 20, 2
    )
    return directions


def test_lips_right():
    assert exercise_3(lips_only)


def test_lips_right_as_a_list():
    assert exercise_3(given_as(np.ndarray.tolist, lips_only))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda faces, people: ShapePCA.fit(faces).components.reshape(6, 68, 2), "half of that"),
        (lambda faces, people: lips_only(faces, people, centre_mouths=False), "half of that"),
        (lambda faces, people: ShapePCA.fit(faces).components, "shape"),
        (lambda faces, people: ShapePCA.fit(faces, 9).components.reshape(9, 68, 2), "shape"),
    ],
)
def test_lips_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_3(wrong)
