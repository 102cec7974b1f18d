"""Self-checks of the chapter "Landmarks and PCA"."""

from collections.abc import Callable
from functools import cache

import numpy as np

from talkface_lite.check import Verdict, Wrong, array_from, verify, whole_number
from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.landmarks import lip_opening
from talkface_lite.metrics import mouth_landmark_distance
from talkface_lite.shape_pca import N_COMPONENTS, ShapePCA

SHARE = 0.5
"""Of the package's own error on the mouth, which exercise 3 asks to get under."""


def exercise_1(answer: Callable[[np.ndarray], np.ndarray] | None) -> Verdict:
    """Check ``answer(landmarks)``: lip opening ``(...)`` over the distance of the eyes' outer corners."""

    def test(relative_opening: Callable[[np.ndarray], np.ndarray]) -> None:
        faces = draw_clip(4, paint=False, view="camera").landmarks
        eyes = np.linalg.norm(faces[:, 45] - faces[:, 36], axis=-1)
        wanted = lip_opening(faces) / eyes
        # the gap is the mean of three pairs; the middle pair, upright or as a distance, is a definition too
        middle = faces[:, 66] - faces[:, 62]
        right = [wanted, middle[:, 1] / eyes, np.linalg.norm(middle, axis=-1) / eyes]

        def opening(landmarks: np.ndarray, called: str) -> np.ndarray:
            got = array_from(relative_opening(landmarks), "the relative opening")
            if got.shape != landmarks.shape[:-2]:
                raise Wrong(f"{called} should give {landmarks.shape[:-2]}; yours gives {got.shape}.")
            return got

        got = opening(faces, f"A film of {len(faces)} faces")
        if np.allclose(got, lip_opening(faces) / np.linalg.norm(faces[:, 42] - faces[:, 39], axis=-1)):
            raise Wrong("Those are the inner corners of the eyes; the outer ones are points 36 and 45.")
        if np.allclose(got, -wanted):
            raise Wrong("An open mouth should give a positive number: y runs down.")
        if not np.allclose(opening(3 * faces + 50, "The film"), got, atol=1e-5):
            raise Wrong("The same photograph at three times the size should give the same number.")
        if not any(np.allclose(got, one, atol=1e-5) for one in right):
            t = int(np.argmax(wanted))
            raise Wrong(f"The widest mouth gives {got[t]:.5f}; it should give {wanted[t]:.5f}.")
        for some, called in ((faces[0], "One face"), (faces[:6].reshape(2, 3, 68, 2), "Two films")):
            if not np.allclose(opening(some, called).ravel(), got[: some.size // 136], atol=1e-5):
                raise Wrong(f"{called} should give what the same faces give in a film.")

    return verify(1, answer, test)


def exercise_2(answer: Callable[[np.ndarray, float], int] | None) -> Verdict:
    """Check ``answer(shapes, share)``: how few components of ``(n, d)`` carry that share of variance."""

    def test(components_for: Callable[[np.ndarray, float], int]) -> None:
        shapes = four_directions()
        for share in (0.5, 0.6, 0.83, 0.9, 0.96, 0.99):
            got = whole_number(components_for(shapes, share), "a count of components")
            wanted = count(shapes, share)
            if got == wanted:
                continue
            if got == count(shapes, share, centred=False):
                raise Wrong("Distance from 0 is not variance: subtract the mean shape first.")
            if got == count(shapes, share, power=1):
                raise Wrong("Variance is the square of a singular value.")
            if got == wanted - 1:
                raise Wrong(f"{got} components carry less than {share:.0%}: an index counts from 0.")
            if got < wanted:
                raise Wrong(f"{got} components carry less than {share:.0%} of the variance.")
            raise Wrong(f"For {share:.0%} yours takes {got} of {shapes.shape[1]} components, and fewer do.")

    return verify(2, answer, test)


def exercise_3(answer: Callable[[np.ndarray, np.ndarray], np.ndarray] | None) -> Verdict:
    """Check ``answer(faces, people)``: six directions ``(6, 68, 2)`` that hold strangers' lips better."""

    def test(lip_directions: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        seen = clips("train", 40)
        faces = np.concatenate([clip.landmarks for clip in seen])
        people = np.concatenate([[clip.identity] * len(clip) for clip in seen])
        directions = array_from(lip_directions(faces, people), "the directions")
        if directions.shape != (N_COMPONENTS, 68, 2) or not np.isfinite(directions).all():
            raise Wrong(f"Give six directions, shape (6, 68, 2); yours has {directions.shape}.")
        ours, got = mouth_error(ShapePCA.pretrained().components), mouth_error(directions)
        if got > SHARE * ours:
            raise Wrong(
                f"Mouths of strangers come back with {got:.3f} px of error; the package's basis has "
                f"{ours:.3f} px, and half of that is asked. What else of a face do your six numbers pay for?"
            )

    return verify(3, answer, test)


def four_directions() -> np.ndarray:
    """200 shapes in ten dimensions around 7, with variances 16, 9, 4 and 1 along four directions."""
    rng = np.random.default_rng(0)
    along, _ = np.linalg.qr(np.column_stack([np.ones(200), rng.normal(size=(200, 4))]))
    directions, _ = np.linalg.qr(rng.normal(size=(10, 4)))
    return along[:, 1:] * (4, 3, 2, 1) @ directions.T + 7


def count(shapes: np.ndarray, share: float, *, power: int = 2, centred: bool = True) -> int:
    """Components that carry a share of the variance, or of what wrong answers take for it."""
    singular = np.linalg.svd(shapes - shapes.mean(0) * centred, compute_uv=False) ** power
    return int(np.argmax(np.cumsum(singular) >= share * singular.sum())) + 1


@cache
def clips(split: str, n: int) -> tuple[Clip, ...]:
    """Clips of one side of the split, every other one with a still head."""
    seeds = (clip_seed(3, index) for index in range(n))
    return tuple(
        draw_clip(seed, still_head=i % 2 == 0, paint=False, split=split, clean=True)
        for i, seed in enumerate(seeds)
    )


def mouth_error(directions: np.ndarray) -> float:
    """Pixels lost when held-out films may leave their first frame only along six directions.

    Each mouth is centred; the mean over the 20 points and over 12 clips.
    """
    basis, _ = np.linalg.qr(directions.reshape(len(directions), -1).T.astype(np.float64))
    errors = []
    for clip in clips("test", 12):
        film = clip.landmarks.reshape(len(clip), -1).astype(np.float64)
        kept = film[:1] + (film - film[:1]) @ basis @ basis.T
        errors.append(mouth_landmark_distance(kept.reshape(-1, 68, 2), clip.landmarks).mean())
    return float(np.mean(errors))
