"""Block diagrams of networks, drawn from what a forward pass does.

A layout says what a paper calls the parts of a network and where they stand on the page. Everything else is
measured (:mod:`talkface_lite.shapes`), so a diagram cannot disagree with its network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from talkface_lite.errors import InputError
from talkface_lite.figures import FIGURE_WIDTH, PALETTE
from talkface_lite.shapes import Measured, measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

ARROW = "#555555"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One part of a diagram.

    Parameters
    ----------
    symbol:
        What the paper calls it; matplotlib's mathematics between dollars.
    at:
        Its middle, x to the right and y down. A diagram 6.4 wide stands on the page in inches.
    after:
        Names of the blocks whose outputs go in.
    kind:
        ``"network"``, a box with layers and parameters; ``"tensor"``, what goes in or comes out; or
        ``"operation"``, a small circle that has no parameters.
    measure:
        Where its shape is read, a place of :func:`~talkface_lite.shapes.measure`; its own name where None.
    role:
        Colour, a role of :data:`~talkface_lite.figures.PALETTE`.
    note:
        One more line under the symbol, such as an equation's number.
    loop:
        What a recurrent block hands to its own next step.
    """

    symbol: str
    at: tuple[float, float]
    after: tuple[str, ...] = ()
    kind: Literal["network", "tensor", "operation"] = "network"
    measure: str | None = None
    role: str = "baseline"
    note: str = ""
    loop: str = ""


def draw_network(
    network: "nn.Module",
    layout: Mapping[str, Block],
    given: Mapping[str, Sequence[int | str]],
    *,
    width: float = FIGURE_WIDTH,
) -> "Figure":
    """Draw a network from left to right: blocks with their layers and parameters, shapes on the arrows.

    A solid arrow carries something for every frame, a dashed one something for the whole film. ``8²`` is
    short for ``8×8``.

    Parameters
    ----------
    network, given:
        As for :func:`~talkface_lite.shapes.measure`.
    layout:
        Block by name.
    width:
        Of the figure, inches.

    Returns
    -------
    The figure; each shape in it is a text whose ``gid`` is the block's name.

    Raises
    ------
    InputError
        When a block comes after one that does not exist, or is none of the network.
    """
    import matplotlib.pyplot as plt

    missing = sorted({before for block in layout.values() for before in block.after} - set(layout))
    if missing:
        raise InputError(
            "layout", f"blocks after {', '.join(missing)}", "names of other blocks of the layout"
        )
    places = {name: name if block.measure is None else block.measure for name, block in layout.items()}
    measured = measure(network, places, given)
    boxes = {name: _Box.around(block, measured[name]) for name, block in layout.items()}
    left, right = min(b.x - b.w / 2 for b in boxes.values()), max(b.x + b.w / 2 for b in boxes.values())
    top, bottom = min(b.y - b.h / 2 for b in boxes.values()), max(b.y + b.h / 2 for b in boxes.values())
    top = min([top, *(boxes[n].y - boxes[n].h / 2 - 0.27 for n, block in layout.items() if block.loop)])
    bottom += 0.36
    scale = width / (right - left + 0.1)
    figure = plt.figure(figsize=(width, (bottom - top + 0.1) * scale), dpi=200, layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left - 0.05, right + 0.05), ylim=(bottom + 0.05, top - 0.05))
    ax.set_axis_off()
    for name, block in layout.items():
        _draw_arrows(ax, name, layout, boxes, measured)
        _draw_block(ax, name, block, boxes[name])
    styles = {measured[before].each_frame for block in layout.values() for before in block.after}
    _draw_key(ax, left, bottom - 0.06, styles)
    return figure


def short(shape: Sequence[int]) -> str:
    """A shape as an arrow carries it: square maps in short, one number as 1.

    >>> short((64, 32, 32)), short((28, 12)), short(())
    ('64×32²', '28×12', '1')
    """
    shape = [str(n) for n in shape]
    if len(shape) > 2 and shape[-1] == shape[-2]:
        shape[-2:] = [f"{shape[-1]}²"]
    return "×".join(shape) or "1"


def rounded(count: int) -> str:
    """A number of parameters to three digits.

    >>> rounded(774), rounded(81_920), rounded(999_800)
    ('774', '81.9 k', '1 M')
    """
    for size, letter in ((1_000_000, " M"), (1_000, " k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return str(count)


# ---- drawing


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    w: float
    h: float
    lines: tuple[str, ...] = ()

    @classmethod
    def around(cls, block: Block, measured: Measured) -> "_Box":
        if block.kind == "operation":
            is_word = len(block.symbol) > 1 and "$" not in block.symbol
            return cls(*block.at, 0.5 if is_word else 0.24, 0.24)
        if block.kind == "tensor":
            return cls(*block.at, 0.64, 0.42, () if measured.shape is None else (short(measured.shape),))
        rows: list[str] = []
        for name, n in measured.layers:
            name = "layer" if (name, n) == ("layers", 1) else name
            text = name if name in ("tanh", "σ") else f"{n} {name}"
            if rows and len(rows[-1]) + len(text) < 14:
                rows[-1] += f", {text}"
            else:
                rows.append(text)
        rows = [*filter(None, [block.note]), *rows, rounded(measured.parameters)]
        return cls(*block.at, 0.9, 0.36 + 0.135 * len(rows), tuple(rows))


def _draw_block(ax: "Axes", name: str, block: Block, box: _Box) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

    colour, operation, tensor = PALETTE[block.role], block.kind == "operation", block.kind == "tensor"
    style = {"ha": "center", "va": "center", "color": PALETTE["ink"], "zorder": 4}
    fill = {"fc": _tint(colour) if block.kind == "network" else "white", "ec": colour, "zorder": 3}
    fill["lw"] = 1.0 if tensor else 1.3
    corner = {"network": 0.07, "tensor": 0.2, "operation": 0.11}[block.kind]
    if operation and box.w == box.h:
        ax.add_patch(Circle((box.x, box.y), box.w / 2, **fill))
    else:
        at = (box.x - box.w / 2 + corner, box.y - box.h / 2 + corner)
        form = f"round,pad={corner},rounding_size={corner}"
        ax.add_patch(FancyBboxPatch(at, box.w - 2 * corner, box.h - 2 * corner, boxstyle=form, **fill))
    y = box.y if operation else box.y - box.h / 2 + (0.13 if tensor else 0.17)
    ax.text(box.x, y, block.symbol, fontsize=10.5 if block.kind == "network" else 9, **style)
    for n, line in enumerate(box.lines):
        weight = "normal" if tensor or n < len(box.lines) - 1 else "bold"
        text = ax.text(box.x, y + 0.175 + 0.135 * n, line, fontsize=7.5, fontweight=weight, **style)
        text.set_gid(name if tensor else f"{name}: line {n + 1}")
    if operation and block.note:
        ax.text(box.x + 0.15, box.y + 0.2, block.note, fontsize=7.5, **(style | {"ha": "left"}))
    if block.loop:
        at = [(box.x + side, box.y - box.h / 2) for side in (0.2, -0.2)]
        curve = {"connectionstyle": "arc3,rad=0.9", "arrowstyle": "-|>", "mutation_scale": 8}
        ax.add_patch(FancyArrowPatch(*at, shrinkA=0, shrinkB=0, color=ARROW, lw=1.1, zorder=2, **curve))
        ax.text(box.x + 0.26, at[0][1] - 0.14, block.loop, fontsize=8.5, color=PALETTE["ink"], va="center")


def _draw_arrows(ax: "Axes", name: str, layout: Mapping[str, Block], boxes: dict, measured: dict) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path

    for before in layout[name].after:
        path = _route(boxes[before], boxes[name], layout[name], boxes)
        neck = _towards(path[-2], path[-1])
        line = {"ls": "-" if measured[before].each_frame else (0, (3, 1.5)), "lw": 1.2, "ec": ARROW}
        ax.add_patch(PathPatch(Path([*path[:-1], neck]), fc="none", capstyle="butt", zorder=1, **line))
        tip = {"arrowstyle": "-|>", "mutation_scale": 8, "color": ARROW, "lw": 0, "zorder": 2}
        ax.add_patch(FancyArrowPatch(neck, path[-1], shrinkA=0, shrinkB=0, **tip))
    box, then = boxes[name], [other for other in layout.values() if name in other.after]
    said_by_its_end = all(other.kind == "tensor" for other in then)
    if measured[name].shape is None or layout[name].kind == "tensor" or said_by_its_end:
        return
    up = any(other.at[1] < box.y - 0.05 for other in then)
    down = any(other.at[1] > box.y + 0.05 for other in then)
    y = box.y + (0.08 if up and not down else -0.08)  # on the side away from the bend of the arrow
    text = {"fontsize": 7.5, "color": PALETTE["ink"], "va": "center", "zorder": 4}
    ax.text(box.x + box.w / 2 + 0.03, y, short(measured[name].shape), gid=name, **text)


def _route(start: _Box, end: _Box, block: Block, boxes: Mapping[str, _Box]) -> list[tuple[float, float]]:
    """Corners of an arrow: out to the right; in from the left, or into an operation from above or below."""
    side = (start.x + start.w / 2, start.y)
    if block.kind == "operation" and abs(start.y - end.y) > 0.05:
        edge = end.y + (end.h if start.y > end.y else -end.h) / 2
        return [side, (end.x, start.y), (end.x, edge)]
    order = sorted(boxes[before].y for before in block.after)
    spread = 0.6 * end.h / len(order)
    port = end.y + (order.index(start.y) - (len(order) - 1) / 2) * spread
    if abs(start.y - port) < 0.3 * end.h:
        port = start.y
    left = end.x - end.w / 2
    return [side, (left - 0.13, start.y), (left - 0.13, port), (left, port)]


def _draw_key(ax: "Axes", x: float, y: float, styles: set[bool]) -> None:
    text = {"fontsize": 7.5, "va": "center", "color": PALETTE["ink"]}
    for each_frame, meaning in ((True, "for every frame"), (False, "once for the film")):
        if each_frame in styles:
            ax.plot([x, x + 0.3], [y, y], ls="-" if each_frame else (0, (3, 1.5)), lw=1.2, color=ARROW)
            ax.text(x + 0.36, y, meaning, **text)
            x += 1.5
    ax.text(x, y, "bold: how many parameters", **text)


def _towards(start: tuple[float, float], end: tuple[float, float], short_by: float = 0.05) -> tuple:
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1e-9)
    return tuple(b + min(short_by / length, 1) * (a - b) for a, b in zip(start, end))


def _tint(colour: str, share: float = 0.16) -> tuple[float, ...]:
    """The colour mixed with white, so that text on it stays dark on light."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))
