"""Figures of clips → the report: medians with intervals, shares, speakers, and each clip's own values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.measuring.baselines import MEAN_MOUTH
from talkface_lite.measuring.clips import ABOVE_WARP, REAL, SEEN, ClipFigures, Key
from talkface_lite.measuring.lip_reading import TOP
from talkface_lite.measuring.lips import IS_BACK
from talkface_lite.measuring.pairs import share, summary

READ = tuple(f"lra_top{n}" for n in TOP)
"""Which share of a clip's words a reader of lips read right."""

SHARES = {IS_BACK: "share_back_at_rest", ABOVE_WARP: "share_above_warp"}
"""Figures that are 1 or 0 in a clip, and what their mean over clips is called."""


def report_of(clips: Sequence[ClipFigures], systems: Sequence[str], seed: int) -> dict[str, Any]:
    """``clips``, ``frames``, ``real``, ``baselines``, ``systems``, as ``evaluate`` documents them."""
    values = values_of(clips)
    report = _tree({key: _row(its, seed) for key, its in values.items()}, systems)
    _add_shares_of_mean_mouth(report)
    _add_onsets(values, report)
    return {"clips": len(clips), "frames": sum(clip.frames for clip in clips)} | report


def speakers_of(clips: Sequence[ClipFigures], systems: Sequence[str], seed: int) -> dict[str, Any]:
    """:func:`report_of` the clips of each speaker, by identity in the order in which they come."""
    names = dict.fromkeys(clip.identity for clip in clips)
    return {
        name: report_of([clip for clip in clips if clip.identity == name], systems, seed) for name in names
    }


def per_clip_of(clips: Sequence[ClipFigures], systems: Sequence[str]) -> dict[str, Any]:
    """Every value of every clip: ``clips`` says which they are, and rows hold one value for each."""
    about = [about_clip(clip, clip.frames, clip.photograph) for clip in clips]
    rows = {
        key: {name: [round(v, 6) if np.isfinite(v) else None for v in values.tolist()]
              for name, values in its.items()}
        for key, its in values_of(clips).items()
    }  # fmt: skip
    return {"clips": about} | _tree(rows, systems)


def about_clip(clip: Clip | ClipFigures, frames: int, photograph: int) -> dict[str, Any]:
    """Which clip this is, how long, and which of its frames is the photograph."""
    told = {"identity": clip.identity, "source": clip.source}
    return told | {"frames": frames, "photograph": photograph}


def values_of(clips: Sequence[ClipFigures]) -> dict[Key, dict[str, np.ndarray]]:
    """Row → figure → float64 ``(clips,)``, NaN where a clip has none."""
    found: dict[Key, dict[str, np.ndarray]] = {}
    for number, clip in enumerate(clips):
        for key, its in clip.rows.items():
            for name, value in its.items():
                row = found.setdefault(key, {})
                row.setdefault(name, np.full(len(clips), np.nan))[number] = value
    return found


def _row(values: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, its in values.items():
        prefix = SEEN if name.startswith(SEEN) else ""
        called = SHARES.get(name.removeprefix(SEEN))
        if name in READ:
            row[name] = share(its, np.random.default_rng(seed))
        elif called is None:
            row[name] = summary(its, np.random.default_rng(seed))
        elif (known := its[np.isfinite(its)]).size:
            row[prefix + called] = round(float(known.mean()), 4)
    return row


def _tree(rows: dict[Key, Any], systems: Sequence[str]) -> dict[str, Any]:
    report: dict[str, Any] = {"real": rows[REAL], "baselines": {}, "systems": {name: {} for name in systems}}
    for (system, name), row in rows.items():
        if system:
            report["systems"][system][name] = row
        elif name:
            report["baselines"][name] = row
    return report


def _add_shares_of_mean_mouth(report: dict[str, Any]) -> None:
    distance = "mouth_landmark_distance"
    mean_mouth = report["baselines"][MEAN_MOUTH][distance]["median"]
    for rows in report["systems"].values():
        for row in rows.values():
            median = row[distance]["median"] if distance in row else None
            if median is not None and mean_mouth:  # None: a network that gives no numbers any more
                row["share_of_mean_mouth"] = round(median / mean_mouth, 4)


def _add_onsets(values: dict[Key, dict[str, np.ndarray]], report: dict[str, Any]) -> None:
    """How many onsets jump no farther than all but one in twenty of the real ones."""
    for prefix in ("", SEEN):
        name = f"{prefix}onset_jump"
        real = values[REAL].get(name, np.array([]))
        real = real[np.isfinite(real)]
        if not len(real):
            continue
        limit = float(np.quantile(real, 0.95))
        report["real"][f"{name}_p95"] = round(limit, 4)
        for (system, row), its in values.items():
            jumps = its.get(name, real[:0])
            jumps = jumps[np.isfinite(jumps)]
            if (system, row) != REAL and len(jumps):
                rows = report["systems"][system] if system else report["baselines"]
                rows[row][f"{prefix}share_of_onsets_within_real"] = round(float((jumps <= limit).mean()), 4)
