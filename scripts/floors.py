"""Draw the floors of the house from the import contract: `python scripts/floors.py`.

Reads the layers in `pyproject.toml` and writes `book/_static/floors.svg`, the picture in CONTRIBUTING.md. A
test holds the picture to the contract.
"""

import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from common import ROOT, STATIC, Parser, run

from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically

OUT = STATIC / "floors.svg"
WIDTH, FLOOR, GAP, EDGE, LEFT = 560, 34, 8, 14, 96
INK, WALL, ROOM, LINE = "#1f2a33", "#ffffff", "#e7eff6", "#0072b2"


def floors(contract: Path = ROOT / "pyproject.toml") -> list[list[str]]:
    """The rooms of each floor, from the top: names without the package's own.

    Raises
    ------
    InputError
        When there is no contract of layers.
    """
    settings = tomllib.loads(contract.read_text(encoding="utf-8"))
    contracts = settings.get("tool", {}).get("importlinter", {}).get("contracts", [])
    layers = next((one["layers"] for one in contracts if one["type"] == "layers"), None)
    if not layers:
        raise InputError(contract, "no contract of layers", "one in [tool.importlinter]")
    found = []
    for layer in layers:
        names = [name.strip(" ()") for name in layer.replace(":", "|").split("|")]
        found.append([name.split(".", 1)[-1] for name in names])
    return found


def svg(rooms: Sequence[Sequence[str]]) -> str:
    """The picture: a floor a row, rooms that do not know each other side by side."""
    height = 2 * EDGE + len(rooms) * (FLOOR + GAP) - GAP
    box = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" font-family="sans-serif" font-size="14">',
        "<title>The floors of talkface_lite: imports point down only</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{WALL}"/>',
        *_arrow(height),
    ]
    for row, names in enumerate(rooms):
        top = EDGE + row * (FLOOR + GAP)
        width = (WIDTH - LEFT - EDGE - GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            left = LEFT + column * (width + GAP)
            lines.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{FLOOR}" rx="5" '
                f'fill="{ROOM}" stroke="{LINE}"/>'
            )
            lines.append(
                f'<text x="{left + width / 2:.1f}" y="{top + FLOOR / 2 + 5:.1f}" text-anchor="middle" '
                f'fill="{INK}">{escape(name)}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


def _arrow(height: int) -> list[str]:
    """From the top floor to the lowest."""
    x, tip = 56, height - EDGE - 2
    return [
        f'<path d="M{x} {EDGE + 2}V{tip}M{x - 6} {tip - 10}L{x} {tip}L{x + 6} {tip - 10}" '
        f'fill="none" stroke="{INK}" stroke-width="1.5"/>',
        f'<text transform="translate({x - 16} {height / 2:.0f}) rotate(-90)" text-anchor="middle" '
        f'fill="{INK}">imports point down only</text>',
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the picture."""
    parser = Parser(prog="floors.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args(argv)
    print(write_atomically(arguments.out, svg(floors()).encode()))


if __name__ == "__main__":
    run(main)
