"""The pictures of a finished film: the face alone, the whole photograph, or the face beside its landmarks."""

from collections.abc import Iterator

import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.talking.mark import Mark
from talkface_lite.talking.paste import Paster, crop_canvas
from talkface_lite.talking.scene import painted_in, talking_scene
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
    if view not in VIEWS:
        raise InputError("view", repr(view), " or ".join(VIEWS))
    portrait = portrait.on(talker.system.template)
    stretches = talker.film(portrait, speech, rng)
    if view == "scene":
        yield from talking_scene(
            portrait.image, portrait.matrix, speech, stretches, side=talker.side, marked=marked
        )
        return
    image, matrix = portrait.image, portrait.matrix
    if view == "face":
        image, matrix = crop_canvas(image, matrix, FACE_SIDE)
    paster = Paster(image, matrix, side=talker.side)
    mark = Mark(*image.shape[:2]) if marked else None
    for made in stretches:
        for painted in painted_in(made):
            picture = paster.paste(*painted)
            yield mark(picture) if mark else picture
