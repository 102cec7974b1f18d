"""A system and clips with known truth → distances, correlations, and the baselines that need no network."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.metrics import (
    bootstrap_interval,
    landmark_distance,
    lip_opening_correlation,
    mouth_landmark_distance,
)
from talkface_lite.systems import System

METRICS: tuple[str, ...] = ("mouth_landmark_distance", "landmark_distance", "lip_opening_correlation")
"""Pixels of the 128×128 crop, pixels, and Pearson's r."""


def evaluate(
    system: System,
    clips: Iterable[Clip],
    *,
    others: Mapping[str, System] | None = None,
    keep_identity: bool = True,
    example: int | None = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Let a system say what each clip says, from one frame of it, and compare with what the clip shows.

    Parameters
    ----------
    system:
        Trained.
    clips:
        Clips with true landmarks in the aligned crop; one at a time is held in memory.
    others:
        More systems to set beside it, by name (the variant without a memory).
    keep_identity:
        See :meth:`talkface_lite.systems.atvg.at_net.ATVG.generate`.
    example:
        Which frame of each clip is the photograph; None draws one at random.
    seed:
        Of that draw, and of the bootstrap.

    Returns
    -------
    dict
        ``clips``, ``frames``, and for ``system``, each of ``others``, and the baselines ``mean_mouth`` (the
        mean face of the training corpus), ``copy_photo`` (the photograph, unmoved) and ``best_possible`` (the
        truth through the system's six components): for each of :data:`METRICS` the ``median`` over clips and
        its 95 % bootstrap interval ``low``, ``high``. ``share_of_mean_mouth`` is the system's median mouth
        landmark distance over the mean mouth's. NaN (a curve that never moves has no correlation) is None.

    Raises
    ------
    InputError
        When there is no clip.
    """
    rng = np.random.default_rng(seed)
    systems = {"system": system, **(others or {})}
    values: dict[str, dict[str, list[float]]] = {}
    n_clips = n_frames = 0
    basis = system.shape_pca
    mean_face = basis.decode(np.zeros(len(basis.components), np.float32))
    for clip in clips:
        truth = clip.landmarks
        photo = truth[int(rng.integers(len(clip))) if example is None else min(example, len(clip) - 1)]
        outside = photo - basis.decode(basis.encode(photo))
        guesses = {
            name: _generate(one, clip.speech, photo, keep_identity) for name, one in systems.items()
        } | {
            "mean_mouth": np.broadcast_to(mean_face, truth.shape),
            "copy_photo": np.broadcast_to(photo, truth.shape),
            "best_possible": basis.decode(basis.encode(truth)) + (outside if keep_identity else 0),
        }
        for name, guess in guesses.items():
            for metric, value in measure(guess, truth).items():
                values.setdefault(name, {}).setdefault(metric, []).append(value)
        n_clips, n_frames = n_clips + 1, n_frames + len(clip)
    if not n_clips:
        raise InputError("clips", "none", "at least one clip")
    report: dict[str, Any] = {"clips": n_clips, "frames": n_frames, "keep_identity": keep_identity}
    for name, metrics in values.items():
        report[name] = {metric: summary(np.array(got), rng) for metric, got in metrics.items()}
    distance = "mouth_landmark_distance"
    for name in systems:
        report[name]["share_of_mean_mouth"] = round(
            report[name][distance]["median"] / report["mean_mouth"][distance]["median"], 4
        )
    return report


def measure(generated: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The metrics of one clip: ``(T, 68, 2)`` against ``(T, 68, 2)``, distances averaged over frames."""
    return {
        "mouth_landmark_distance": float(mouth_landmark_distance(generated, truth).mean()),
        "landmark_distance": float(landmark_distance(generated, truth).mean()),
        "lip_opening_correlation": lip_opening_correlation(generated, truth),
    }


def summary(values: np.ndarray, rng: np.random.Generator) -> dict[str, float | None]:
    """Median over clips and its 95 % bootstrap interval, four decimals; None where there is no value.

    Infinite values, the PSNR of equal pictures, are none: they have no interval.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    kept = values[~np.isnan(values)]
    median = float(np.median(kept)) if len(kept) else float("nan")
    low, high = bootstrap_interval(values, rng)
    pairs = (("median", median), ("low", low), ("high", high))
    return {name: None if np.isnan(value) else round(value, 4) for name, value in pairs}


def _generate(system: System, speech: np.ndarray, photo: np.ndarray, keep_identity: bool) -> np.ndarray:
    generate: Callable[..., np.ndarray] = system.generate
    return generate(speech, photo, keep_identity=keep_identity)
