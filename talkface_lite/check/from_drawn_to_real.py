"""Self-checks of the chapter from drawn to real."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``over_copy(made, copy)``: the median over clips of each clip's ratio."""

    def test(over_copy: Callable) -> None:
        cases = (
            ([1, 1, 4], [2, 4, 4], 0.5),
            ([3, 1, 2, 8], [1, 2, 2, 2], 2.0),
            ([1, 1, 5, 7], [2, 4, 5, 0], 0.5),
        )
        for made, copy, wanted in cases:
            got = float(over_copy(np.array(made, float), np.array(copy, float)))
            if np.isclose(got, wanted):
                continue
            call = f"({made}, {copy}) gives {got:g}."
            if 0 in copy:
                raise Wrong(f"{call} A clip whose photograph has no error has no ratio: leave it out.")
            if np.isclose(got, np.median(made) / np.median(copy)):
                raise Wrong(f"{call} That is the ratio of the medians. Divide within each clip first.")
            raise Wrong(f"{call} It should be {wanted:g}: the median of film over photograph.")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``fit_held_back(weights, mouth, start, penalty)``: least squares that stays near a start."""

    def test(fit: Callable) -> None:
        rng = np.random.default_rng(0)
        weights = rng.random((30, 4))
        weights[:, 2] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        start, mouth = rng.standard_normal(4), rng.standard_normal(30)
        for penalty in (1e-3, 0.5, 1e4):
            got = np.asarray(fit(weights, mouth, start, penalty), float)
            if got.shape != (4,):
                raise Wrong(f"gives shape {got.shape}, not (4,): one target for each sound.")
            slope = weights.T @ (weights @ got - mouth) + penalty * (got - start)
            if np.abs(slope).max() < 1e-6 * max(1, penalty):
                continue
            if not np.isclose(got[2], start[2]):
                raise Wrong("a sound that nobody said should keep its target: hold back from θ₀, not from 0.")
            if np.abs(weights.T @ (weights @ got - mouth)).max() < 1e-6:
                raise Wrong(f"penalty {penalty:g} changes nothing: add λ to the diagonal of WᵀW.")
            raise Wrong(
                f"penalty {penalty:g}: the slope at the answer is not zero. Set the derivative to zero."
            )

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``settle(moved, still)``: a mouth that hardly moves for a while is still."""

    def test(settle: Callable) -> None:
        rng = np.random.default_rng(0)
        sizes = np.array([0, 0, 0, 0, 0, 0.05, 0.1, 0.3, 0.5, 1, 4, 1, 0.4, 0.1, 0.1, 0.05, 0.2, 0.1, 0.1, 0])
        moved = rng.standard_normal((20, 20, 2)) * sizes[:, None, None]
        for still in (0.5, 1.0):
            got = np.asarray(settle(moved.copy(), still), float)
            if got.shape != moved.shape:
                raise Wrong(f"gives shape {got.shape}, not {moved.shape}.")
            if not np.isfinite(got).all():
                raise Wrong("a frame without movement becomes something that is not a number.")
            length = np.sqrt((moved**2).sum(-1).mean(-1))
            if np.allclose(got, _settled(moved, length, still)):
                continue
            if np.allclose(got, _settled(moved, length, still, reach=0)):
                raise Wrong("each frame stands alone: take the largest r of it and the three before.")
            if np.allclose(got[::-1], _settled(moved[::-1], length[::-1], still)):
                raise Wrong("no frame should look ahead: take the three before it.")
            if np.allclose(got, _settled(moved, np.sqrt((moved**2).mean((-1, -2))), still)):
                raise Wrong("r is of the lengths of the displacements: add the squares of x and y first.")
            raise Wrong(f"δ = {still:g}: one factor ρ⁴ / (ρ⁴ + δ⁴) for all points of a frame.")

    return verify(3, answer, test)


def _settled(moved: np.ndarray, r: np.ndarray, still: float, reach: int = 3) -> np.ndarray:
    largest = np.array([r[max(0, t - reach) : t + 1].max() for t in range(len(r))])
    return moved * (largest**4 / (largest**4 + still**4))[:, None, None]
