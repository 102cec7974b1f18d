"""One photograph and one sentence, said by several systems in one film: panels side by side.

Systems cut a photograph in different ways: the aligned face, or the whole head. Here all are shown in one cut
of it, the head's frame (:mod:`talkface_lite.framing`), and what each paints is pasted there by its own crop.
So what differs between two panels is what the systems made, and never how close one looks.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkface_lite.errors import InputError
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import compose, invert_transform
from talkface_lite.talking.mark import Mark
from talkface_lite.talking.paste import Paster, crop_canvas
from talkface_lite.talking.scene import INK, painted_in
from talkface_lite.talking.talker import Portrait, Talker

STILL = "photograph"
"""What stands under the first panel: the photograph, held still, which every system is held against."""

PANEL = 256
"""Side of a panel, pixels."""

GAP = 8
"""Between panels, and around them, pixels."""

LETTERS = (222, 225, 232)
"""Colour of the captions."""


def side_by_side(
    talkers: Mapping[str, Talker],
    portrait: Portrait,
    speech: np.ndarray,
    seed: int = 0,
    *,
    marked: bool = True,
    panel: int = PANEL,
    columns: int | None = None,
) -> Iterator[np.ndarray]:
    """Let one portrait say one thing, as several systems make it; one picture of the film at a time.

    The first panel is the photograph, which does nothing. Whatever is under way is a stretch of each film, so
    memory does not grow with the speech.

    Parameters
    ----------
    talkers:
        By the names that stand under their panels, in the order of the panels; with weights that paint.
    portrait:
        Whose face.
    speech:
        float32 ``(640·T,)``, 16 kHz.
    seed:
        Of what systems draw at random; each has a generator of its own.
    marked:
        Whether a small word in a corner of each panel but the first says that it is generated.
    panel:
        Side of a panel, pixels.
    columns:
        Panels to a row; the last row stands in the middle. None: all in one row.

    Yields
    ------
    uint8 RGB ``(H, W, 3)``, T of them, all of one size and their sides even; where each panel lies in them,
    :func:`panel_places` tells.

    Raises
    ------
    InputError
        When there is no system, one has no weights that paint, or a size is none.
    """
    if not talkers:
        raise InputError("systems", "none", "at least one")
    canvas, to_head = crop_canvas(portrait.image, portrait.on(WHOLE_HEAD).matrix, panel)
    to_photograph = compose(invert_transform(portrait.on(WHOLE_HEAD).matrix), to_head)
    names = (STILL, *talkers)
    places = panel_places(len(names), panel, columns)
    ground = _ground(names, places, panel)
    ground[places[0]] = canvas
    mark = Mark(panel, panel) if marked else None
    films = [
        _pasted(talker, portrait, speech, np.random.default_rng(seed), canvas, to_photograph)
        for talker in talkers.values()
    ]
    for pictures in zip(*films, strict=True):
        sheet = ground.copy()
        for place, picture in zip(places[1:], pictures, strict=True):
            sheet[place] = mark(picture) if mark else picture
        yield sheet


def panel_places(count: int, panel: int = PANEL, columns: int | None = None) -> list[tuple[slice, slice]]:
    """Rows and columns of each panel in a picture of :func:`side_by_side`.

    Parameters
    ----------
    count:
        Panels, the photograph's among them.
    panel, columns:
        As there.

    Raises
    ------
    InputError
        When ``columns`` is less than 1.
    """
    columns = count if columns is None else columns
    if columns < 1:
        raise InputError("columns", columns, "at least 1")
    columns = min(columns, count)
    places = []
    for number in range(count):
        row, column = divmod(number, columns)
        missing = columns - min(columns, count - row * columns)
        top = GAP + row * (panel + _caption(panel))
        left = GAP + column * (panel + GAP) + missing * (panel + GAP) // 2
        places.append((slice(top, top + panel), slice(left, left + panel)))
    return places


def _pasted(
    talker: Talker,
    portrait: Portrait,
    speech: np.ndarray,
    rng: np.random.Generator,
    canvas: np.ndarray,
    to_photograph: np.ndarray,
) -> Iterator[np.ndarray]:
    """One film in the common cut: the canvas with each frame's face in it."""
    portrait = portrait.on(talker.system.template)
    paster = Paster(canvas, compose(portrait.matrix, to_photograph), side=talker.side)
    for made in talker.film(portrait, speech, rng):
        for painted in painted_in(made):
            yield paster.paste(*painted)


def _caption(panel: int) -> int:
    """Height of a caption, pixels."""
    return max(18, round(0.13 * panel))


def _ground(names: Sequence[str], places: Sequence[tuple[slice, slice]], panel: int) -> np.ndarray:
    """The picture without its panels: a dark sheet with the names under where they go."""
    height = places[-1][0].stop + _caption(panel)
    width = max(columns.stop for _, columns in places) + GAP
    sheet = Image.new("RGB", (width + width % 2, height + height % 2), INK)
    draw = ImageDraw.Draw(sheet)
    for name, (rows, columns) in zip(names, places, strict=True):
        size = round(0.55 * _caption(panel))
        font = ImageFont.load_default(size)
        if (length := font.getlength(name)) > panel:
            font = ImageFont.load_default(max(6, int(size * panel / length)))
        middle = ((columns.start + columns.stop) / 2, rows.stop + _caption(panel) / 2)
        draw.text(middle, name, fill=LETTERS, font=font, anchor="mm")
    return np.array(sheet)
