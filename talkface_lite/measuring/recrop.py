"""Systems whose weights learned from other crops than ours, measured on our clips."""

from dataclasses import replace

import numpy as np

from talkface_lite.clip import ALIGNED, CROP_SIZE, HEAD, Clip
from talkface_lite.framing import aligned_film, in_frame
from talkface_lite.landmarks import (
    OURS,
    align,
    apply_transform,
    compose,
    invert_transform,
    magnify,
    warp_crop,
)
from talkface_lite.systems.base import Shown, System
from talkface_lite.talking.paste import Paster


def rows_in_own_crop(
    system: System,
    clip: Clip,
    shown: int,
    rng: np.random.Generator,
    *,
    pictures: bool,
    measured: Clip | None = None,
) -> dict[str, Shown]:
    """:meth:`System.rows <talkface_lite.systems.base.System.rows>`, each system in the crop it learned from.

    One transform, that of the frame which is the photograph, takes the whole clip to the system's crop. What
    comes out is laid where it belongs in the clip's: landmarks moved back, pictures pasted into the
    photograph. Where the system's crop is ours, nothing is moved.

    A system that moves the head is handed the frame in which it moves. Its film is then aligned, each frame
    by its own landmarks, as the clip is by its: held against each other are faces, and not where they are.

    Parameters
    ----------
    system, clip, shown, rng, pictures:
        As there; of a clip that shows the whole head the aligned face is what is measured.
    measured:
        That face, see :func:`measured_of`, where it was cut already; None cuts it where a system wants it.

    Returns
    -------
    Rows by name, in pixels and pictures of the aligned clip.

    Raises
    ------
    InputError
        When the system needs the whole head and the clip does not show it.
    """
    if system.framing == HEAD:
        return _aligned_rows(system, in_frame(clip, HEAD, system.side), shown, rng, pictures)
    clip = measured or measured_of(clip)
    if system.template is OURS:
        return system.rows(clip, shown, rng, pictures=pictures)
    _, matrix = align(clip.landmarks[shown], system.template)
    moved = replace(clip, landmarks=apply_transform(clip.landmarks, matrix))
    if clip.frames is not None:
        from_picture = compose(matrix, magnify(CROP_SIZE / clip.frames.shape[2]))
        frames = [warp_crop(frame, from_picture, system.side) for frame in clip.frames]
        moved = replace(moved, frames=np.stack(frames))
    rows, back = system.rows(moved, shown, rng, pictures=pictures), invert_transform(matrix)
    found = {}
    for name, row in rows.items():
        points = None if row.landmarks is None else apply_transform(row.landmarks, back)
        film = None
        if row.frames is not None:
            paster = Paster(clip.frames[shown], from_picture, side=system.side)
            whole = np.ones(row.frames.shape[1:3], np.float32)
            film = np.stack([paster.paste(np.float32(frame / 127.5 - 1), whole) for frame in row.frames])
        found[name] = Shown(points, film)
    return found


def measured_of(clip: Clip) -> Clip:
    """The clip that figures are taken from: aligned, at 128 pixels where it was cut otherwise."""
    return clip if clip.framing == ALIGNED else in_frame(clip, ALIGNED, CROP_SIZE)


def _aligned_rows(
    system: System, clip: Clip, shown: int, rng: np.random.Generator, pictures: bool
) -> dict[str, Shown]:
    found = {}
    for name, row in system.rows(clip, shown, rng, pictures=pictures).items():
        film, points = aligned_film(row.frames, clip.landmarks if row.landmarks is None else row.landmarks)
        found[name] = Shown(None if row.landmarks is None else points, film)
    return found
