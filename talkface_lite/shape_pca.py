"""Principal components of face shapes: 136 coordinates to a handful of numbers and back.

ATVGnet (Chen et al. 2019, eq. 4) lets its audio network predict the numbers ``h`` and builds the face from
them: ``p = (h * boost) U^T + M``, on landmarks in network units ``(px - 64) / 64``.
"""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from talkface_lite.clip import N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_tensors
from talkface_lite.landmarks import denormalise, normalise

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

N_COMPONENTS = 6
"""Components that ATVGnet keeps, and that every network of the package uses."""

FORMAT = "talkface_lite shape pca 1"


@dataclass(frozen=True, eq=False, kw_only=True)
class ShapePCA:
    """Mean shape and principal components of a set of faces, in network units ``(px - 64) / 64``.

    Parameters
    ----------
    mean:
        float32 ``(136,)``: M, in the order x0, y0, x1, y1, ...
    components:
        float32 ``(K, 136)``: rows of U^T, orthonormal, largest variance first. The entry of largest magnitude
        of each row is positive, which settles the sign (scikit-learn's convention).
    variance:
        float32 ``(K,)``: variance of each coefficient over the faces of :meth:`fit`, with ``n - 1``.
    total_variance:
        Sum of the variances of all 136 coordinates.
    origin:
        How the basis was made; saved with it.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    total_variance: float
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size, k = 2 * N_POINTS, len(self.components)
        for name, shape in (("mean", (size,)), ("components", (k, size)), ("variance", (k,))):
            array = np.array(getattr(self, name), np.float32)
            if array.shape != shape or not np.isfinite(array).all():
                raise InputError(
                    f"ShapePCA.{name}", f"shape {array.shape}", f"finite numbers of shape {shape}"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def explained(self) -> np.ndarray:
        """float64 ``(K,)``: the share of the total variance that each component carries."""
        return self.variance.astype(np.float64) / self.total_variance

    @classmethod
    def fit(
        cls,
        landmarks: np.ndarray,
        n_components: int = N_COMPONENTS,
        *,
        people: Sequence[Hashable] | np.ndarray | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Self:
        """Find mean and components of a set of faces by singular value decomposition.

        Parameters
        ----------
        landmarks:
            ``(..., 68, 2)`` aligned landmarks in pixels of the 128 x 128 crop; all leading axes are faces.
        n_components:
            How many components to keep, K.
        people:
            Who each face is, one label a face. Where given, each person's mean is first replaced by the mean
            of all, so that the components describe how faces move and not how people differ. (ATVGnet's own
            normaliser takes the person out of every frame too.)
        origin:
            Text and numbers to be kept with the basis.

        Raises
        ------
        InputError
            When there are fewer than ``n_components + 1`` faces, a value is not finite, or the labels do not
            fit.
        """
        shapes = normalise(np.asarray(landmarks, np.float64).reshape(-1, *np.shape(landmarks)[-2:]))
        if shapes.shape[1:] != (N_POINTS, 2) or not np.isfinite(shapes).all():
            raise InputError(
                "landmarks", f"shape {np.shape(landmarks)}", f"finite numbers (..., {N_POINTS}, 2)"
            )
        if not 1 <= n_components <= min(len(shapes) - 1, 2 * N_POINTS):
            raise InputError(
                "n_components",
                n_components,
                f"1..{min(len(shapes) - 1, 2 * N_POINTS)} for {len(shapes)} faces",
            )
        shapes = shapes.reshape(len(shapes), -1)
        mean = shapes.mean(0)
        if people is not None:
            shapes = shapes - _means_of(people, shapes) + mean
        _, singular, components = np.linalg.svd(shapes - mean, full_matrices=False)
        variance = singular**2 / (len(shapes) - 1)
        components = components[:n_components]
        largest = np.abs(components).argmax(1)
        components = components * np.sign(components[np.arange(n_components), largest])[:, None]
        return cls(
            mean=mean,
            components=components,
            variance=variance[:n_components],
            total_variance=float(variance.sum()),
            origin=origin or {},
        )

    def encode(self, landmarks: Array) -> Array:
        """Landmarks to coefficients: ``h = (p - M) U``.

        Parameters
        ----------
        landmarks:
            ``(..., 68, 2)`` in pixels of the crop, NumPy or torch (differentiable, on any device).

        Returns
        -------
        ``(..., K)``, in network units.
        """
        if tuple(landmarks.shape[-2:]) != (N_POINTS, 2):
            raise InputError("landmarks", f"shape {tuple(landmarks.shape)}", f"shape (..., {N_POINTS}, 2)")
        mean, components = _like(landmarks, self.mean, self.components)
        shapes = normalise(landmarks).reshape(*landmarks.shape[:-2], 2 * N_POINTS)
        return (shapes - mean) @ components.T

    def decode(self, h: Array, boost: Sequence[float] | None = None) -> Array:
        """Coefficients to landmarks: ``p = (h * boost) U^T + M`` (ATVGnet, eq. 4).

        Parameters
        ----------
        h:
            ``(..., K)``, NumPy or torch (differentiable, on any device).
        boost:
            ω, K factors such as the paper's; None leaves the coefficients as they are.

        Returns
        -------
        ``(..., 68, 2)`` in pixels of the crop.
        """
        k = len(self.components)
        if h.shape[-1] != k or (boost is not None and len(boost) != k):
            got = f"shape {tuple(h.shape)}" + ("" if boost is None else f" and a boost of {len(boost)}")
            raise InputError("h", got, f"{k} coefficients")
        mean, components = _like(h, self.mean, self.components)
        if boost is not None:
            h = h * _like(h, np.asarray(boost))[0]
        return denormalise(h @ components + mean).reshape(*h.shape[:-1], N_POINTS, 2)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the basis to one file (safetensors: numbers and text, no code); equal bases, equal bytes."""
        tensors = {"mean": self.mean, "components": self.components, "variance": self.variance}
        record = {"total_variance": self.total_variance, "origin": dict(self.origin)}
        return write_tensors(path, tensors, record, key="shape_pca", text=FORMAT)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a basis written by :meth:`save`.

        Raises
        ------
        InputError
            When the file is missing or is not a basis.
        """
        record, arrays = read_tensors(path, key="shape_pca", text=FORMAT, what="a shape basis")
        missing = {"mean", "components", "variance"} - arrays.keys()
        if missing:
            raise InputError(path, f"no {' and '.join(sorted(missing))}", "a shape basis")
        return cls(**arrays, total_variance=record["total_variance"], origin=record["origin"])

    @classmethod
    def pretrained(cls) -> Self:
        """The basis of the package's own corpus; ``.origin`` says how it was made."""
        return cls.load(Path(str(files("talkface_lite") / "weights" / "shape_pca.safetensors")))


def _means_of(people: Sequence[Hashable] | np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """For each of ``(n, 136)`` shapes the mean over all shapes of the same person."""
    _, person, counts = np.unique(np.asarray(people).reshape(-1), return_inverse=True, return_counts=True)
    if len(person) != len(shapes):
        raise InputError("people", f"{len(person)} labels", f"{len(shapes)}, one a face")
    sums = np.zeros((len(counts), shapes.shape[1]))
    np.add.at(sums, person, shapes)
    return (sums / counts[:, None])[person]


def _like(example: Array, *arrays: np.ndarray) -> tuple[Array, ...]:
    """The arrays in the type, precision and place of ``example``."""
    if isinstance(example, np.ndarray):
        return tuple(array.astype(np.result_type(example, np.float32)) for array in arrays)
    import torch

    kind = example.dtype if example.is_floating_point() else torch.float32
    return tuple(torch.tensor(array, dtype=kind, device=example.device) for array in arrays)
