"""The pictures of a finished film: the face alone, the whole photograph, or the face beside its landmarks."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from operator import itemgetter

import numpy as np

from talkface_lite.clip import HEAD
from talkface_lite.errors import InputError
from talkface_lite.systems.base import Stretch
from talkface_lite.talking.mark import Mark
from talkface_lite.talking.paste import Paster, crop_canvas
from talkface_lite.talking.scene import ZOOM, painted_in, talking_scene
from talkface_lite.talking.talker import Portrait, Talker

FACE_SIDE = 256
"""Side of the film of a face alone, pixels."""

VIEWS: tuple[str, ...] = ("face", "photograph", "scene")
"""The aligned face; the photograph it was taken from; face, landmarks and sound side by side."""


def pictures(
    talker: Talker,
    portrait: Portrait,
    speech: np.ndarray,
    rng: np.random.Generator | None = None,
    *,
    view: str = "face",
    marked: bool = True,
) -> Iterator[np.ndarray]:
    """Let a portrait speak, one picture of the film at a time.

    Parameters
    ----------
    talker:
        With weights that paint.
    portrait:
        Whose face.
    speech:
        float32 ``(640·T,)``, 16 kHz.
    rng:
        As for :meth:`talkface_lite.talking.talker.Talker.film`.
    view:
        One of :data:`VIEWS`.
    marked:
        Whether a small word in a corner says that the face is generated.

    Yields
    ------
    uint8 RGB ``(H, W, 3)``, T of them.

    Raises
    ------
    InputError
        For another view, or where there are no weights that paint.
    """
    rngs = [rng or np.random.default_rng(0)]
    return (
        picture for (picture,) in pictures_of_all(talker, portrait, speech, rngs, view=view, marked=marked)
    )


def pictures_of_all(
    talker: Talker,
    portrait: Portrait,
    speech: np.ndarray,
    rngs: Sequence[np.random.Generator],
    *,
    view: str = "face",
    marked: bool = True,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Several films of one speech, as :func:`pictures` makes one: the next picture of each.

    Parameters
    ----------
    talker, portrait, speech, view, marked:
        As there.
    rngs:
        Of each film its own.

    Yields
    ------
    As many uint8 RGB ``(H, W, 3)`` as films, T times.
    """
    if view not in VIEWS:
        raise InputError("view", repr(view), " or ".join(VIEWS))
    portrait = portrait.on(talker.system.template)
    together = tee(talker.films(portrait, speech, rngs), len(rngs))  # holds a stretch of each film at most
    columns = (map(itemgetter(number), films) for number, films in enumerate(together))
    yield from zip(*(_shown(talker, portrait, speech, film, view, marked) for film in columns), strict=True)


def _shown(
    talker: Talker,
    portrait: Portrait,
    speech: np.ndarray,
    stretches: Iterable[Stretch],
    view: str,
    marked: bool,
) -> Iterator[np.ndarray]:
    image, matrix, side = portrait.image, portrait.matrix, talker.side
    if view == "scene":
        zoom = 1.0 if talker.system.framing == HEAD else ZOOM
        yield from talking_scene(image, matrix, speech, stretches, side=side, zoom=zoom, marked=marked)
        return
    if view == "face":
        image, matrix = crop_canvas(image, matrix, FACE_SIDE)
    paster = Paster(image, matrix, side=side)
    mark = Mark(*image.shape[:2]) if marked else None
    for made in stretches:
        for painted in painted_in(made):
            picture = paster.paste(*painted)
            yield mark(picture) if mark else picture
