"""Many clips → one figure with its interval, and two runs compared clip by clip."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.metrics import bootstrap_interval


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


def share(values: np.ndarray, rng: np.random.Generator) -> dict[str, float | None]:
    """Mean over clips of what share of each something is, and its 95 % bootstrap interval, as
    :func:`summary`."""
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else float("nan")
    low, high = bootstrap_interval(known, rng, of="mean")
    pairs = (("share", mean), ("low", low), ("high", high))
    return {name: None if np.isnan(value) else round(value, 4) for name, value in pairs}


def middle(figure: float | Mapping[str, float | None]) -> float | None:
    """The one number of a figure of a report: its median, or the share that it is."""
    if isinstance(figure, Mapping):
        return figure["median"] if "median" in figure else figure["share"]
    return figure


def paired_difference(
    first: Sequence[float | None], second: Sequence[float | None], *, seed: int = 0
) -> dict[str, Any]:
    """By how much the first is more than the second, on the same clips.

    Clips differ more than systems do. The difference is therefore taken clip by clip, and clips are drawn
    again in pairs: an interval that lies above 0 says that the first is more, even where the intervals of the
    two alone overlap.

    Parameters
    ----------
    first, second:
        One value for each clip, in one order; None and values that are not finite leave their pair out.
    seed:
        Of the bootstrap.

    Returns
    -------
    dict
        ``median`` of the differences and its 95 % interval ``low``, ``high`` as of :func:`summary`; ``more``,
        the share of pairs in which the first is more; ``clips``, how many pairs there are.

    Raises
    ------
    InputError
        When the two are not equally long.
    """
    first, second = (np.array([np.nan if v is None else v for v in a], np.float64) for a in (first, second))
    if len(first) != len(second):
        raise InputError("pairs", f"{len(first)} and {len(second)} values", "one of each for every clip")
    with np.errstate(invalid="ignore"):  # both infinite
        difference = first - second
    kept = difference[np.isfinite(difference)]
    more = round(float((kept > 0).mean()), 4) if len(kept) else None
    return summary(difference, np.random.default_rng(seed)) | {"more": more, "clips": len(kept)}


def compare_reports(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    system: str,
    row: str = "from_speech",
    *,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Two reports of :func:`talkface_lite.measuring.evaluation.evaluate` on the same clips, figure by figure.

    Parameters
    ----------
    first, second:
        Made with ``per_clip``; from JSON, too.
    system, row:
        Which row of both.
    seed:
        Of the bootstrap.

    Returns
    -------
    For each figure that both have, the :func:`paired_difference` of the first and the second.

    Raises
    ------
    InputError
        When values of single clips are missing, the clips or their photographs are not the same, or one has
        no such row.
    """
    _check_pairs(first, second)
    rows = []
    for name, report in (("first", first), ("second", second)):
        found = report["per_clip"]["systems"].get(system, {}).get(row)
        if found is None:
            raise InputError(f"{name} report", f"no row {row} of {system}", "one that both reports have")
        rows.append(found)
    one, other = rows
    return {key: paired_difference(one[key], other[key], seed=seed) for key in one if key in other}


def compare_all(
    first: Mapping[str, Any], second: Mapping[str, Any], *, seed: int = 0
) -> dict[str, dict[str, dict[str, Any]]]:
    """:func:`compare_reports` for every row of every system that both have: system → row → figure.

    Raises
    ------
    InputError
        As :func:`compare_reports`; and when no system is in both.
    """
    _check_pairs(first, second)
    rows, others = (report["per_clip"]["systems"] for report in (first, second))
    shared = [system for system in rows if system in others]
    if not shared:
        raise InputError("reports", f"{' '.join(rows)} and {' '.join(others)}", "a system that is in both")
    return {
        system: {
            row: compare_reports(first, second, system, row, seed=seed)
            for row in rows[system]
            if row in others[system]
        }
        for system in shared
    }


def read_report(path: Path) -> dict[str, Any]:
    """A report that ``talkface evaluate --json --per-clip`` printed into a file.

    Raises
    ------
    InputError
        When it is not there, or is none.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        report["per_clip"]["systems"].items()
        report["per_clip"]["clips"][0]["source"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        why = "no values of single clips"
        if isinstance(error, OSError):
            why = error.strerror or str(error)
        elif isinstance(error, ValueError):
            why = "it is not JSON"
        expected = "what talkface evaluate --json --per-clip prints"
        raise InputError(path, f"no such report ({why})", expected) from error
    return report


def check_before(
    before: Mapping[str, Any], path: Path, clips: Sequence[Mapping[str, Any]], systems: Iterable[str]
) -> None:
    """Refuse a report of other clips, photographs or systems, before time goes into a new one.

    Parameters
    ----------
    before, path:
        The report, and the file that it is from.
    clips:
        As :func:`talkface_lite.measuring.evaluation.photographs` tells them.
    systems:
        Their names.

    Raises
    ------
    InputError
        When it cannot be compared with.
    """
    found = before["per_clip"]
    if found["clips"] != list(clips):
        got = f"{len(found['clips'])} clips or photographs that are not these {len(clips)}"
        raise InputError(f"--against {path}", got, "a run on the same --data, with the same --example")
    if not set(systems) & set(found["systems"]):
        raise InputError(f"--against {path}", " and ".join(found["systems"]), " or ".join(systems))


def _check_pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    for name, report in (("first", first), ("second", second)):
        if "per_clip" not in report:
            raise InputError(f"{name} report", "no values of single clips", "one made with --per-clip")
    if first["per_clip"]["clips"] != second["per_clip"]["clips"]:
        raise InputError("reports", "two sets of clips or photographs", "the same clips and photographs")
