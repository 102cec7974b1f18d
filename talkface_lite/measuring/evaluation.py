"""Systems and clips with known truth → one table: landmarks, pictures, and baselines that need no network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform, magnify
from talkface_lite.measuring.landmarks import LANDMARK_METRICS, measure_landmarks
from talkface_lite.measuring.pictures import (
    PICTURE_METRICS,
    FindPoints,
    measure_pictures,
    points_distance,
    points_in,
)
from talkface_lite.measuring.recrop import rows_in_own_crop
from talkface_lite.metrics import bootstrap_interval
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import load, system_class
from talkface_lite.systems.base import Shown, System
from talkface_lite.systems.part import shipped_weights

COPY, MEAN_MOUTH = "copy_photo", "mean_mouth"
"""The baselines: the photograph, unmoved; and for landmarks the mean face of the training corpus."""

TITLES: Mapping[str, str] = {
    "mouth_landmark_distance": "mouth distance, px",
    "landmark_distance": "68 points, px",
    "lip_opening_correlation": "lip opening, r",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "mouth_psnr": "mouth box, dB",
    "mouth_gain": "over the copy, dB",
    "lmd": "LMD, px",
}
"""The columns of :func:`table`, those of them that were measured."""


def evaluate(
    systems: System | Mapping[str, System],
    clips: Iterable[Clip],
    *,
    pictures: bool = False,
    find_points: FindPoints | None = None,
    example: int | None = 0,
    frame_step: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Let systems say what each clip says, from one frame of it, and compare with what the clip shows.

    Parameters
    ----------
    systems:
        Trained; several by name, or one, which then has its own.
    clips:
        With true landmarks in the aligned crop, and with pictures where these are to be measured; one at a
        time is held in memory.
    pictures:
        Whether to measure pictures too.
    find_points:
        A detector; with it, ``lmd`` is the distance of the mouth points it sees in a film from those that it
        sees in the clip, each mouth centred, and ``missed`` the share of frames where it sees no face in one
        of them.
    example:
        Which frame of each clip is the photograph; None draws one at random.
    frame_step:
        SSIM and LMD look at every such frame.
    seed:
        Of that draw, of what a system draws at random, and of the bootstrap.

    Returns
    -------
    dict
        ``clips``, ``frames``, ``frame_step``, ``seed``; ``baselines`` with the rows ``copy_photo`` and
        ``mean_mouth``; ``systems``, and in it for each system its rows, as
        :meth:`~talkface_lite.systems.base.System.rows` names them:
        ``from_speech`` is the system as it is used. A row has, for each figure that was measured
        (:data:`~talkface_lite.measuring.landmarks.LANDMARK_METRICS`,
        :data:`~talkface_lite.measuring.pictures.PICTURE_METRICS`), the ``median`` over clips and its 95 %
        bootstrap interval ``low``, ``high``, None where no clip has a finite value. In the rows of systems,
        beside them, ``mouth_gain``: PSNR of the mouth box over the copy's, clip by clip; and
        ``share_of_mean_mouth``: the median mouth distance over the mean mouth's.

    Raises
    ------
    InputError
        When there is no clip, or a clip has no pictures where they are asked for.
    """
    named = {systems.name: systems} if isinstance(systems, System) else dict(systems)
    rng = np.random.default_rng(seed)
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    n_clips = n_frames = 0
    basis = ShapePCA.pretrained()
    mean_face = basis.decode(np.zeros(len(basis.components), np.float32))
    for clip in clips:
        if pictures and clip.frames is None:
            raise InputError(f"clip {n_clips}", "no pictures", "clips with pictures")
        shown = int(rng.integers(len(clip))) if example is None else min(example, len(clip) - 1)
        rows = {("", name): row for name, row in _baselines(clip, shown, mean_face, pictures).items()}
        for name, system in named.items():
            own = np.random.default_rng([seed, n_clips])
            made = rows_in_own_crop(system, clip, shown, own, pictures=pictures)
            rows |= {(name, row): it for row, it in made.items()}
        seen = points_in(clip.frames[::frame_step], find_points) if pictures else []
        for key, row in rows.items():
            for metric, value in _measure(row, clip, seen, find_points, frame_step).items():
                values.setdefault(key, {}).setdefault(metric, []).append(value)
        n_clips, n_frames = n_clips + 1, n_frames + len(clip)
    if not n_clips:
        raise InputError("clips", "none", "at least one clip")
    _add_gains(values)
    found = {"clips": n_clips, "frames": n_frames, "frame_step": frame_step, "seed": seed}
    report: dict[str, Any] = found | {"baselines": {}, "systems": {name: {} for name in named}}
    for (system, name), metrics in values.items():
        row = {metric: summary(np.array(got), np.random.default_rng(seed)) for metric, got in metrics.items()}
        (report["systems"][system] if system else report["baselines"])[name] = row
    _add_shares(report)
    return report


def shipped(
    names: Sequence[str], size: str = "lite", *, settings: Any = None, variants: bool = False
) -> dict[str, System]:
    """The systems that the package has weights of, and their variants as ``name variant``."""
    found: dict[str, System] = {}
    for name in names:
        kind = system_class(name)
        for variant in ("", *(kind.variants if variants else ())):
            changed = kind.variants.get(variant, {})
            needed = [
                shipped_weights(name, part.name, size, variant if part.name in changed else "")
                for part in kind.parts[: kind.required]
            ]
            if all(path.is_file() for path in needed):
                key = f"{name} {variant}" if variant else name
                found[key] = load(name, size, variant=variant, settings=settings)
    return found


def _baselines(clip: Clip, shown: int, mean_face: np.ndarray, pictures: bool) -> dict[str, Shown]:
    copied = Shown(
        np.broadcast_to(clip.landmarks[shown], clip.landmarks.shape),
        np.broadcast_to(clip.frames[shown], clip.frames.shape) if pictures else None,
    )
    return {MEAN_MOUTH: Shown(np.broadcast_to(mean_face, clip.landmarks.shape)), COPY: copied}


def _measure(
    row: Shown, clip: Clip, seen: list, find_points: FindPoints | None, frame_step: int
) -> dict[str, float]:
    found: dict[str, float] = {}
    if row.landmarks is not None:
        found |= measure_landmarks(row.landmarks, clip.landmarks)
    if row.frames is not None:
        places = apply_transform(clip.landmarks, magnify(clip.frames.shape[2] / CROP_SIZE))
        found |= measure_pictures(row.frames, clip.frames, places, frame_step=frame_step)
        if find_points is not None:
            found |= points_distance(points_in(row.frames[::frame_step], find_points), seen)
    return found


def _add_gains(values: Mapping[tuple[str, str], dict[str, list[float]]]) -> None:
    copied = np.array(values["", COPY].get("mouth_psnr", []))
    for (system, _), metrics in values.items():
        if system and "mouth_psnr" in metrics:
            with np.errstate(invalid="ignore"):  # both infinite
                metrics["mouth_gain"] = list(np.array(metrics["mouth_psnr"]) - copied)


def _add_shares(report: Mapping[str, Any]) -> None:
    distance = "mouth_landmark_distance"
    mean_mouth = report["baselines"][MEAN_MOUTH][distance]["median"]
    for rows in report["systems"].values():
        for row in rows.values():
            median = row[distance]["median"] if distance in row else None
            if median is not None and mean_mouth:  # None: a network that gives no numbers any more
                row["share_of_mean_mouth"] = round(median / mean_mouth, 4)


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


def table(report: Mapping[str, Any]) -> str:
    """The report of :func:`evaluate` for people: one row a system's row or baseline, one column a figure."""
    rows = dict(report["baselines"])
    for system, its in report["systems"].items():
        rows |= {f"{system}: {name}": row for name, row in its.items()}
    columns = [metric for metric in TITLES if any(metric in row for row in rows.values())]
    width = max(map(len, rows)) + 2
    cells = {"": [TITLES[metric] for metric in columns]}
    for name, row in rows.items():
        cells[name] = [_cell(row[metric]) if metric in row else "-" for metric in columns]
    widths = [max(24, *(len(cell) + 2 for cell in column)) for column in zip(*cells.values())]
    lines = [f"{report['clips']} clips, {report['frames']} frames; median over clips [95 % interval]"]
    for name, its in cells.items():
        lines.append(f"{name:{width}}" + "".join(f"{cell:>{n}}" for cell, n in zip(its, widths)))
    return "\n".join(lines)


def _cell(value: Mapping[str, float | None]) -> str:
    if value["median"] is None:
        return "-"
    return f"{value['median']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


METRICS: tuple[str, ...] = (*LANDMARK_METRICS, *PICTURE_METRICS)
"""All figures that a row can have."""
