"""What a network painted as a stretch of a film."""

import numpy as np

from talkface_lite.data.tensors import to_pictures
from talkface_lite.networks.frame_codec import Decoded
from talkface_lite.systems.base import Painted, Stretch


def stretch_of(made: Decoded, number: int = 0) -> Stretch:
    """One film of several, ``(films, T, 3, 128, 128)``: its frames, and where some of them is the photograph
    moved what was painted and where."""
    frames = to_pictures(made.frames[number])
    if made.alpha is None:
        return Stretch(frames)
    colour, alpha, flow = (
        np.ascontiguousarray(part[number].movedim(1, -1).cpu().numpy())
        for part in (made.colour, made.alpha, made.flow)
    )
    return Stretch(frames, None, Painted(colour, alpha[..., 0], flow))
