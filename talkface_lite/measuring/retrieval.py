"""Do two encoders say the same of a moment? Each looks for the other's."""

import numpy as np

from talkface_lite.errors import InputError


def retrieval(asked: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """How well each moment's code finds its own among all moments' other codes, by Euclidean distance.

    Parameters
    ----------
    asked, known:
        ``(T, n)``, T at least 2: of the same moments.

    Returns
    -------
    dict
        ``first``: the share of moments whose nearest is their own; by chance 1/T. ``nearer``: the mean share
        of other moments that are farther away than their own, ties counted by half; by chance one half.

    Raises
    ------
    InputError
        When the shapes differ, or there is but one moment.
    """
    asked, known = np.asarray(asked, np.float64), np.asarray(known, np.float64)
    if asked.shape != known.shape or asked.ndim != 2 or len(asked) < 2:
        raise InputError("codes", f"shapes {asked.shape} and {known.shape}", "(T, n) twice, T at least 2")
    distance = np.linalg.norm(asked[:, None] - known[None], axis=-1)  # (T, T)
    own = np.diagonal(distance)[:, None]
    farther, as_far = (distance > own).sum(axis=1), (distance == own).sum(axis=1) - 1
    return {
        "first": float((distance.argmin(axis=1) == np.arange(len(asked))).mean()),
        "nearer": float(((farther + as_far / 2) / (len(asked) - 1)).mean()),
    }
