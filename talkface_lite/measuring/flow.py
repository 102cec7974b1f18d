"""Where does a film move? The motion intensity map of the third paper."""

from itertools import pairwise

import cv2
import numpy as np

from talkface_lite.errors import InputError

SETTINGS = {"pyr_scale": 0.5, "levels": 3, "winsize": 9, "iterations": 3, "poly_n": 5, "poly_sigma": 1.1}
"""Of Farneback's flow: windows of 9 pixels, as lips are small in a picture of 128."""


def optical_flow(film: np.ndarray) -> np.ndarray:
    """How each pixel moves from frame to frame, by Farneback {cite}`farneback2003flow`.

    Parameters
    ----------
    film:
        uint8 RGB ``(T, H, W, 3)``.

    Returns
    -------
    float32 ``(T - 1, H, W, 2)``: to the right and down, pixels a frame.

    Raises
    ------
    InputError
        For fewer than two frames.
    """
    if len(film) < 2:
        raise InputError("film", f"{len(film)} frames", "at least 2")
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in film]
    return np.stack(
        [cv2.calcOpticalFlowFarneback(a, b, None, flags=0, **SETTINGS) for a, b in pairwise(grey)]
    )


def motion_map(film: np.ndarray) -> np.ndarray:
    """``u² + v²`` in the mean over a film, ``(u, v)`` being :func:`optical_flow` (Song et al. 2019, Fig. 5).

    Parameters
    ----------
    film:
        uint8 RGB ``(T, H, W, 3)``, T at least 2.

    Returns
    -------
    float32 ``(H, W)``, square pixels.
    """
    return (optical_flow(film) ** 2).sum(axis=-1).mean(axis=0)
