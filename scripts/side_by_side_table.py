"""The table of four papers, in README and on the front page: `python scripts/side_by_side_table.py`.

It is made from the package's numbers (`scripts/side_by_side.py` measures them) and stands between two marks
in each page; a test holds it to the numbers.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, Parser, run

from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.measuring.baselines import COPY, MEAN_PICTURE, WARP

PAGES = (ROOT / "README.md", ROOT / "book" / "index.md")
BEGIN, END = "<!-- side by side: the table -->", "<!-- side by side: end -->"
TITLES = {
    COPY: "photograph, held still",
    MEAN_PICTURE: "mean picture of the clip, held still",
    WARP: "photograph, warped to the true points",
}
"""What rows are called that are no systems."""
COLUMNS = (
    ("mouth, drawn still", "still", "mouth_gain"),
    ("drawn moving", "moving", "mouth_gain"),
    ("real, s1", "s1", "mouth_gain"),
    ("real, others", "others", "mouth_gain"),
    ("lips, drawn", "drawn", "seen_lip_opening_correlation"),
    ("lips, real", "real", "seen_lip_opening_correlation"),
    ("words, drawn", "drawn", "lra_top1"),
)
"""Title, whose clips, and which figure of them."""
NONE = "–"


def table(told: Mapping[str, Any]) -> str:
    """Markdown: a row for each thing that was measured, and a line that says on what."""
    timed = "bench" in told
    head = ["", *(title for title, _, _ in COLUMNS), *(["frames/s"] if timed else [])]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    rows = next(iter(told["clips"].values()))["rows"]
    for name in rows:
        cells = [cell(told["clips"].get(group, {}), name, figure) for _, group, figure in COLUMNS]
        if timed:
            speed = told["bench"]["systems"].get(name, {}).get("talk")
            cells.append(NONE if speed is None else f"{speed:.0f}")
        lines.append([TITLES.get(name, f"`{name}`"), *cells])
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), "", measured_on(told)])


def cell(report: Mapping[str, Any], name: str, figure: str) -> str:
    """One figure: decibels with their sign, correlations, shares in per cent."""
    value = report.get("rows", {}).get(name, {}).get(figure, [None])[0]
    if figure == "mouth_gain" and name == COPY and report:
        value = 0.0
    if value is None:
        return NONE
    if figure.startswith("lra"):
        return f"{100 * value:.0f} %"
    text = f"{value:+.1f}" if figure == "mouth_gain" else f"{value:.2f}"
    bare = text.lstrip("+-")
    return bare if not float(bare) else text.replace("-", "−")


def measured_on(told: Mapping[str, Any]) -> str:
    """A sentence: how many clips, of whom, and which machine."""
    clips = {name: its["clips"] for name, its in told["clips"].items()}
    said = f"Medians over {clips['drawn']} drawn clips that were held out"
    said += f" ({clips['still']} of heads held still, {clips['moving']} of heads that move)"
    real = [
        f"{clips[name]} of {whom}" for name, whom in (("s1", "s1"), ("others", "others")) if name in clips
    ]
    said += f" and over GRID's recordings of real people ({', '.join(real)})" if real else ""
    if "bench" not in told:
        return f"{said}."
    cores, device = told["bench"]["machine"]["cores"], told["bench"]["device"]
    return (
        f"{said}; frames/s from a photograph and ten seconds of sound to the file, {cores} cores, {device}."
    )


def with_table(page: str, text: str) -> str:
    """A page with another table between the marks.

    Raises
    ------
    InputError
        When the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError("page", "no place for the table", f"{BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def table_in(page: str) -> str:
    """What stands between the marks."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def write_pages(told: Mapping[str, Any], pages: Sequence[Path] = PAGES) -> list[Path]:
    """Put the table into pages; all of them or none."""
    texts = {page: with_table(page.read_text(), table(told)) for page in pages}
    return [write_atomically(page, text.encode()) for page, text in texts.items()]


def main(argv: Sequence[str] | None = None) -> None:
    """Put the package's numbers into the pages."""
    Parser(prog="side_by_side_table.py", description=__doc__.splitlines()[0]).parse_args(argv)
    if not (path := shipped_ablation("side_by_side")).is_file():
        raise InputError(path, "no numbers", "python scripts/side_by_side.py --work RUNS --ship")
    print(*write_pages(json.loads(path.read_text())), sep="\n")


if __name__ == "__main__":
    run(main)
