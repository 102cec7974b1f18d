"""Self-checks of the chapter on head motion and the wing loss."""

import math
from collections.abc import Callable

import numpy as np
import torch

from talkface_lite.check import Verdict, Wrong, array_from, verify, whole_number
from talkface_lite.corpus.nods import NOD_SECONDS
from talkface_lite.losses import wing_loss

_LONGEST = 12
"""Frames: as far as exercise 3 looks for a lag."""


def exercise_1(answer: Callable | None) -> Verdict:
    """``join(w, epsilon)``: the constant that joins the branches of the wing loss."""

    def test(join: Callable) -> None:
        for w, epsilon in ((10.0, 2.0), (5.0, 0.5), (15.0, 3.0)):
            got, logarithm = float(join(w, epsilon)), w * math.log1p(w / epsilon)
            where = f"for w = {w:g} and ε = {epsilon:g}"
            if math.isclose(got, w - logarithm, abs_tol=1e-6):
                continue
            if math.isclose(got, w - w * math.log((1 + w) / epsilon), abs_tol=1e-6):
                raise Wrong(f"has a bracket in the wrong place {where}: ln(1 + w/ε), not ln((1 + w)/ε).")
            if math.isclose(got, logarithm - w, abs_tol=1e-6):
                raise Wrong(f"has the wrong sign {where}: the straight branch is |x| - C.")
            if math.isclose(got, logarithm, abs_tol=1e-6):
                raise Wrong(f"gives what both branches are to give at w {where}; C is what is taken off |x|.")
            if math.isclose(got, w - w * math.log10(1 + w / epsilon), abs_tol=1e-6):
                raise Wrong("takes the logarithm to base 10; the loss has the natural one.")
            raise Wrong(
                f"gives {got:.4g} {where}: there the straight branch is {w - got:.4g} at |x| = w, "
                f"the curved one {logarithm:.4g}."
            )

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``lay_on(points, three, places)``: points moved by the affine map of three points to three places."""

    def test(lay_on: Callable) -> None:
        rng = np.random.default_rng(0)
        three = np.array([[60.0, 52.0], [47.0, 71.0], [75.0, 66.0]])
        places = np.array([[64.0, 74.0], [52.0, 88.0], [76.0, 88.0]])
        points = np.concatenate([three, rng.uniform(40, 80, (6, 2))])
        ones = np.ones((3, 1))
        A = np.linalg.solve(np.hstack([three, ones]), places)
        wanted = points @ A[:2] + A[2]
        got = array_from(lay_on(points.copy(), three.copy(), places.copy()), "the moved points", shape=(9, 2))
        if np.allclose(got, wanted, atol=1e-6):
            return
        back = np.linalg.solve(np.hstack([places, ones]), three)
        if np.allclose(got, points @ back[:2] + back[2], atol=1e-6):
            raise Wrong("lays the places on the three points; it is the other way round.")
        if np.allclose(got, points + (places - three).mean(axis=0), atol=1e-6):
            raise Wrong("shifts and neither stretches nor turns.")
        if np.allclose(got, points @ A[:2].T + A[2], atol=1e-6):
            raise Wrong("has the linear part transposed: what belongs to x and what to y?")
        if np.allclose(got, points @ A[:2], atol=1e-6):
            raise Wrong("forgets the shift.")
        off = np.linalg.norm(got[:3] - places, axis=1).max()
        if off > 1e-3:
            raise Wrong(f"leaves one of the three {off:.3g} px from its place; the map meets all of them.")
        raise Wrong("meets the three places and moves other points by another map.")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``frames_late(nose, stress)``: by how many frames a nose comes after the stress."""

    def test(frames_late: Callable) -> None:
        for lag in (-6, 0, 4):
            nose, stress = _wandering_and_nodding(lag)
            got = whole_number(frames_late(nose.copy(), stress.copy()), "a lag in frames")
            if got == lag:
                continue
            if got == -lag:
                raise Wrong("has its sign turned round: positive is a nose that comes after the stress.")
            if got == _best_of(nose - nose.mean(), stress - stress.mean()):
                raise Wrong("correlates places: a head that wanders far agrees with anything. Try speeds.")
            if abs(got) > _LONGEST:
                raise Wrong(f"gives {got}: look no further than {_LONGEST} frames before and after.")
            raise Wrong(f"gives {got} for a nose that comes {lag} frames after the stress.")

    return verify(3, answer, test)


def exercise_4(answer: Callable | None) -> Verdict:
    """``weighted(x, weights)``: the mean wing loss where each point has its weight."""

    def test(weighted: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        x = 12 * torch.randn(3, 4, 5, 2, generator=generator, dtype=torch.float64)
        weights = torch.rand(5, generator=generator, dtype=torch.float64) + 0.2
        cost = wing_loss(x)
        wanted = float((cost * weights[:, None]).mean() / weights.mean())
        got = float(weighted(x.clone(), weights.clone()))
        if math.isclose(got, wanted, rel_tol=1e-5):
            again = float(weighted(x.clone(), 3 * weights))
            if not math.isclose(again, wanted, rel_tol=1e-5):
                raise Wrong("changes when all weights are three times as large.")
            return
        if math.isclose(got, float((cost * weights[:, None]).mean()), rel_tol=1e-5):
            raise Wrong("grows with the weights; divide by their mean.")
        if math.isclose(got, float((cost * weights[:, None]).sum()), rel_tol=1e-5):
            raise Wrong("adds up; a mean is asked for.")
        if math.isclose(got, float(wing_loss(x * weights[:, None]).mean() / weights.mean()), rel_tol=1e-5):
            raise Wrong("weighs the differences: the wing is no straight line, so weigh what they cost.")
        if math.isclose(got, float(cost.mean()), rel_tol=1e-5):
            raise Wrong("does not use the weights.")
        raise Wrong(f"gives {got:.4g} where {wanted:.4g} is asked for.")

    return verify(4, answer, test)


def _wandering_and_nodding(lag: int) -> tuple[np.ndarray, np.ndarray]:
    """``(nose, stress)`` of 110 frames: a nose that nods so many frames after the stress, and wanders."""
    frames = np.arange(110)
    stressed = np.array([22.0, 41.0, 53.0, 78.0, 90.0])

    def bumps(times: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((frames[:, None] - times) / (25 * NOD_SECONDS)) ** 2).sum(axis=1)

    wander = 60 + 9 * np.sin(2 * np.pi * frames / 140 + 1) + 0.04 * frames
    return wander + 2.5 * bumps(stressed + lag), bumps(stressed)


def _best_of(nose: np.ndarray, stress: np.ndarray) -> int:
    agree = np.correlate(nose, stress, "full")[len(nose) - 1 - _LONGEST : len(nose) + _LONGEST]
    return int(agree.argmax()) - _LONGEST
