"""A report for people: one short table, or several by subject."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from talkface_lite.measuring.pairs import middle

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


class Group(NamedTuple):
    """Columns of one subject: figure → title. ``seen`` figures begin with ``seen_``, see :func:`tables`."""

    title: str
    columns: Mapping[str, str]
    seen: Mapping[str, str] | None = None


_NEAR = {
    "lip_opening_correlation": "opening, r",
    "opening_error": "opening off, px",
    "opening_error_over_copy": "over the copy's",
    "motion_distance_over_still": "motion, over still",
}
_FAR = {
    "opening_mean": "opening, px",
    "opening_mean_over_real": "over real",
    "opening_spread": "spread, px",
    "opening_spread_over_real": "over real",
    "opening_p95": "95 %, px",
    "opening_p95_over_real": "over real",
    "width_mean_over_real": "width, over real",
    "width_spread": "spread, px",
    "width_spread_over_real": "over real",
}
_MANNER = {
    "onset_jump": "jump at onset, px",
    "onset_jump_over_real": "over real",
    "share_of_onsets_within_real": "within real",
    "silence_movement": "in silence, px",
    "silence_movement_over_real": "over real",
    "share_back_at_rest": "back at rest",
    "seconds_to_rest": "after, s",
}


def _seen(columns: Mapping[str, str]) -> dict[str, str]:
    return {f"seen_{name}": title for name, title in columns.items()}


GROUPS: tuple[Group, ...] = (
    Group(
        "Lips",
        {
            "mouth_landmark_distance": "mouth distance, px",
            "mouth_landmark_distance_over_copy": "over the copy's",
            **_NEAR,
            "landmark_distance": "68 points, px",
        },
        {"lmd": "LMD, px", "lmd_over_copy": "over the copy's", **_seen(_NEAR), "missed": "missed"},
    ),
    Group("Amplitude", _FAR, _seen(_FAR)),
    Group("Onset, silence, rest", _MANNER, _seen(_MANNER)),
    Group(
        "Pictures",
        {
            "psnr": "PSNR, dB",
            "ssim": "SSIM",
            "mouth_psnr": "mouth box, dB",
            "mouth_gain": "over the copy, dB",
            "gain_over_mean_picture": "over its mean, dB",
            "gain_over_warp": "over the warp, dB",
            "share_above_warp": "above it",
            "mouth_sharpness_over_real": "mouth sharp, over real",
            "change_over_real": "change, over real",
            "jitter_over_real": "jitter, over real",
            "drift": "drift in 10 s",
            "seen_zoom_spread": "zoom, %",
            "lra_top1": "LRA, first guess",
            "lra_top5": "among five",
        },
    ),
)
"""The tables of :func:`tables`."""

SPEAKERS: Mapping[str, str] = {
    "lip_opening_correlation": "r",
    "mouth_landmark_distance_over_copy": "distance/copy",
    "opening_error_over_copy": "opening/copy",
    "motion_distance_over_still": "motion/still",
    "lmd_over_copy": "LMD/copy",
    "mouth_gain": "gain, dB",
    "gain_over_warp": "over warp, dB",
}
"""The columns of a speaker's row: medians alone."""

AGAINST: Mapping[str, str] = {
    "lip_opening_correlation": "lip opening, r",
    "mouth_landmark_distance": "mouth distance, px",
    "opening_error": "opening off, px",
    "motion_distance_over_still": "motion, over still",
    "seen_lip_opening_correlation": "lip opening seen, r",
    "lmd": "LMD, px",
    "seen_opening_error": "opening seen off, px",
    "seen_motion_distance_over_still": "motion seen, over still",
    "mouth_psnr": "mouth box, dB",
}
"""The rows of a comparison with an earlier run."""

_FIGURE = 48
_SHARES = ("share_", "missed")
_PLAIN = ("opening_mean", "opening_spread", "opening_p95", "width_spread")
"""Figures that stand without interval, because the next column has their ratio."""


def table(report: Mapping[str, Any]) -> str:
    """The report of ``evaluate`` in short: one row a system's row or baseline, one column a figure."""
    rows = _rows(report)
    columns = {name: title for name, title in TITLES.items() if any(name in row for row in rows.values())}
    cells = {"": list(columns.values())}
    for name, row in rows.items():
        cells[name] = [_long(row[metric]) if metric in row else "-" for metric in columns]
    width = max(map(len, rows)) + 2
    widths = [max(24, *(len(cell) + 2 for cell in column)) for column in zip(*cells.values())]
    lines = [f"{report['clips']} clips, {report['frames']} frames; median over clips [95 % interval]"]
    for name, its in cells.items():
        lines.append(f"{name:{width}}" + "".join(f"{cell:>{n}}" for cell, n in zip(its, widths)))
    return "\n".join(lines)


def tables(report: Mapping[str, Any]) -> str:
    """The report of :func:`talkface_lite.measuring.evaluation.evaluate`, a table a subject.

    Figures of landmarks first, then what a detector saw in film and clip alike, where one looked.
    """
    photograph = {"rest": "the one with the least lip opening", "random": "drawn at random"}
    example = report.get("example", 0)
    lines = [
        f"{report['clips']} clips, {report['frames']} frames; median over clips [95 % interval]",
        f"the photograph is frame {example}" + (", in shorter clips the last" if example else "")
        if isinstance(example, int)
        else f"the photograph is a frame of the clip, {photograph[example]}",
        *(f"{name}: {how}" for name, how in report.get("how", {}).items() if how),
    ]
    rows = _rows(report)
    for group in GROUPS:
        title = group.title if group.seen is None else f"{group.title}: landmarks"
        lines += _group(title, group.columns, rows, report.get("real", {}))
        if group.seen is not None:
            lines += _group(f"{group.title}: seen in film and clip", group.seen, rows, report.get("real", {}))
    return "\n".join([*lines, *_speakers(report), *_against(report)])


def _rows(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    rows = dict(report["baselines"])
    for system, its in report["systems"].items():
        rows |= {f"{system}: {name}": row for name, row in its.items()}
    return rows


def _group(
    title: str, titles: Mapping[str, str], rows: Mapping[str, Mapping], real: Mapping[str, Any]
) -> Iterator[str]:
    columns = {name: it for name, it in titles.items() if any(name in row for row in rows.values())}
    shown = {name: row for name, row in rows.items() if columns.keys() & row.keys()}
    if not shown:
        return
    if columns.keys() & real.keys():
        shown = {"real": real, **shown}
    cells = {title: list(columns.values())}
    cells |= {name: [_short(metric, row) for metric in columns] for name, row in shown.items()}
    width = max(map(len, cells)) + 2
    widths = [max(map(len, column)) + 2 for column in zip(*cells.values())]
    yield ""
    for name, its in cells.items():
        yield f"{name:{width}}" + "".join(f"{cell:>{n}}" for cell, n in zip(its, widths))


def _speakers(report: Mapping[str, Any]) -> Iterator[str]:
    speakers = report.get("speakers", {})
    rows = {
        (speaker, name): (its["clips"], row)
        for speaker, its in speakers.items()
        for name, row in _rows(its).items()
        if ":" in name
    }
    columns = {name: it for name, it in SPEAKERS.items() if any(name in row for _, row in rows.values())}
    if not columns:
        return
    width = max(len(name) for _, name in rows) + 2
    longest = max(8, *(len(speaker) for speaker in speakers)) + 2
    yield ""
    yield f"{'speaker':{longest}}{'clips':>6}  {'':{width}}" + "".join(f"{it:>15}" for it in columns.values())
    before = None
    for (speaker, name), (clips, row) in rows.items():
        head = f"{speaker:{longest}}{clips:>6}" if speaker != before else " " * (longest + 6)
        cells = [_median(row[metric]) if metric in row else "-" for metric in columns]
        yield f"{head}  {name:{width}}" + "".join(f"{cell:>15}" for cell in cells)
        before = speaker


def _against(report: Mapping[str, Any]) -> Iterator[str]:
    for system, rows in report.get("against", {}).items():
        for row, figures in rows.items():
            shown = {name: figures[name] for name in AGAINST if name in figures}
            if not any(it["median"] is not None for it in shown.values()):
                continue
            yield ""
            head = f"{system}: {row}, more than before"
            yield f"{head:{_FIGURE}}{'median of pairs':>30}{'more in':>10}{'pairs':>8}"
            for name, it in shown.items():
                more = "-" if it["more"] is None else f"{100 * it['more']:.0f} %"
                yield f"  {AGAINST[name]:{_FIGURE - 2}}{_long(it):>30}{more:>10}{it['clips']:>8}"


def _long(value: Mapping[str, float | None]) -> str:
    if value["median"] is None:
        return "-"
    return f"{value['median']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _short(metric: str, row: Mapping[str, Any]) -> str:
    if metric not in row:
        return "-"
    value, bare = row[metric], metric.removeprefix("seen_")
    if bare.startswith(_SHARES):
        share = middle(value)
        return "-" if share is None else f"{100 * share:.0f} %"
    if "share" in value:
        shares = [value[name] for name in ("share", "low", "high")]
        return "-" if None in shares else "{:.0f} [{:.0f}, {:.0f}] %".format(*(100 * it for it in shares))
    if bare in _PLAIN:
        return _median(value)
    if value["median"] is None:
        return "-"
    digits = 4 if metric == "ssim" else 2
    return "{:.{n}f} [{:.{n}f}, {:.{n}f}]".format(*(value[k] for k in ("median", "low", "high")), n=digits)


def _median(value: Mapping[str, float | None]) -> str:
    return "-" if value["median"] is None else f"{value['median']:.2f}"
