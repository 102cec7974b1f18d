"""A photograph and a recording in, a clip out, for any system."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.errors import InputError
from talkface_lite.faces.detection import detect_landmarks
from talkface_lite.landmarks import (
    OURS,
    Template,
    align,
    apply_transform,
    draw_landmarks,
    invert_transform,
    lip_opening,
    warp_crop,
)
from talkface_lite.media import read_image, read_speech
from talkface_lite.runtime import device as choose_device
from talkface_lite.speech import fit_to_frames
from talkface_lite.systems import default_system, load
from talkface_lite.systems.base import Face, Stretch, System
from talkface_lite.systems.part import Weights


def _hopper() -> np.ndarray:
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as file:
        return read_image(file.name)


def _collins() -> np.ndarray:
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise InputError("photo 'collins'", "no scikit-image", "pip install scikit-image") from error
    return astronaut()


PHOTOGRAPHS: Mapping[str, Callable[[], np.ndarray]] = MappingProxyType(
    {"hopper": _hopper, "collins": _collins}
)
"""Public-domain photographs by name: Grace Hopper (matplotlib carries it), Eileen Collins (scikit-image)."""

OPEN_MOUTH = 0.07
"""Lips farther apart than this, as a share of the distance between the outer corners of the eyes, are an open
mouth.

dlib reads closed lips as up to 3 px apart in our crop, 0.054 of that distance: the least opening in the first
half second is at most 0.06 in 95 % of the clips of GRID's s1, who closes his lips. Hopper's, closed, are at
0.01; Collins, who smiles with her teeth, is at 0.11, and GRID's s5, whose mouth hangs open, at 0.12."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Portrait:
    """A photograph with the face in it found.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)``.
    landmarks:
        float32 ``(68, 2)`` in pixels of the aligned 128×128 crop.
    matrix:
        float64 ``(2, 3)``, photograph to crop.
    name:
        What to call it.
    template:
        What nose and eyes lie on in the crop.
    """

    image: np.ndarray
    landmarks: np.ndarray
    matrix: np.ndarray
    name: str
    template: Template = OURS

    @classmethod
    def of(cls, photo: str | os.PathLike | np.ndarray | Self, *, detector: str = "auto") -> Self:
        """Find the largest face of a photograph.

        Parameters
        ----------
        photo:
            A file, ``"hopper"`` or ``"collins"``, or uint8 RGB ``(H, W, 3)``.
        detector:
            As for :func:`talkface_lite.faces.detection.detect_landmarks`.

        Raises
        ------
        InputError
            When it is not a picture, or no face is found.
        """
        if isinstance(photo, cls):
            return photo
        if isinstance(photo, np.ndarray):
            name, image = "photo", photo
        elif str(photo) in PHOTOGRAPHS and not Path(photo).exists():
            name, image = str(photo), PHOTOGRAPHS[str(photo)]()
        else:
            name, image = str(photo), read_image(photo)
        try:
            landmarks, matrix = align(detect_landmarks(image, detector))
        except InputError as error:
            raise InputError(f"{name}: {error.what}", error.got, error.expected) from error
        return cls(image=image, landmarks=landmarks, matrix=matrix, name=name)

    def on(self, template: Template) -> Self:
        """The same face in the crop of another template."""
        if template is self.template:
            return self
        found = apply_transform(self.landmarks, invert_transform(self.matrix))
        landmarks, matrix = align(found, template)
        return replace(self, landmarks=landmarks, matrix=matrix, template=template)

    @property
    def opening(self) -> float:
        """How far the lips are apart, as a share of the distance between the outer corners of the eyes."""
        right, left = self.landmarks[[36, 45]]
        return float(lip_opening(self.landmarks) / np.linalg.norm(left - right))

    def warn_of_open_mouth(self) -> None:
        """Warn, in a line, where the mouth is open (:data:`OPEN_MOUTH`): the film will rest with it."""
        if self.opening > OPEN_MOUTH:
            apart = f"lips apart by {100 * self.opening:.0f} % of the distance between the eyes"
            text = f"{self.name}: the mouth is open ({apart}), and so it stays where the film rests; "
            warnings.warn(text + "a photograph with closed lips gives the better film", stacklevel=2)

    def crop(self, size: int = CROP_SIZE) -> np.ndarray:
        """uint8 ``(size, size, 3)``: the aligned face."""
        return warp_crop(self.image, self.matrix, size)


class Talker:
    """A trained system that makes photographs talk.

    Examples
    --------
    >>> from talkface_lite import Talker                        # doctest: +SKIP
    >>> clip = Talker.load().talk("me.jpg", "hello.wav")        # doctest: +SKIP

    Parameters
    ----------
    system:
        Trained.
    device:
        Where to compute; None as :func:`talkface_lite.runtime.device` chooses.
    precision:
        Of the pictures: ``"32"``, ``"bf16"``, or ``"auto"``, bfloat16 where that is fast.
    """

    def __init__(self, system: System, *, device: str | None = None, precision: str = "auto") -> None:
        self.system = system.to(choose_device(device)).for_inference(precision)

    @classmethod
    def load(
        cls,
        system: str | None = None,
        *,
        size: str = "lite",
        weights: Weights = None,
        variant: str = "",
        settings: Any = None,
        device: str | None = None,
    ) -> Self:
        """Load a system by name, with the package's weights or those of files.

        Parameters
        ----------
        system:
            Which; None is the first of :data:`talkface_lite.systems.SYSTEMS`.
        size, weights, variant, settings:
            See :meth:`talkface_lite.systems.base.System.load`.
        device:
            See above.

        Raises
        ------
        InputError
            When a file is missing, broken, or of another network.
        """
        name = system or default_system()
        return cls(load(name, size, weights=weights, variant=variant, settings=settings), device=device)

    @property
    def side(self) -> int:
        """Side of the system's pictures, pixels."""
        return self.system.side

    def film(
        self, portrait: Portrait, speech: np.ndarray, rng: np.random.Generator | None = None
    ) -> Iterator[Stretch]:
        """The film some frames at a time, in memory that does not grow with the speech.

        Parameters
        ----------
        portrait:
            Who.
        speech:
            float32 ``(n,)`` at 16 kHz.
        rng:
            Of what the speech does not determine; None is seed 0.

        Raises
        ------
        InputError
            When the system does not keep what :meth:`~talkface_lite.systems.base.System.film` promises.
        """
        rngs = [rng or np.random.default_rng(0)]
        return (stretch for (stretch,) in self.films(portrait, speech, rngs))

    def films(
        self, portrait: Portrait, speech: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> Iterator[Sequence[Stretch]]:
        """Several films of one speech, of each its next stretch; otherwise as :meth:`film`."""
        portrait = portrait.on(self.system.template)
        face = Face(portrait.crop(self.side), portrait.landmarks)
        return self.system.checked_films(face, fit_to_frames(speech), rngs)

    def talk(
        self,
        photo: str | os.PathLike | np.ndarray | Portrait,
        speech: str | os.PathLike | np.ndarray,
        seed: int = 0,
        *,
        detector: str = "auto",
        convert: bool = False,
    ) -> Clip:
        """Let the face in a photograph say something.

        Parameters
        ----------
        photo:
            A file, ``"hopper"`` or ``"collins"``, uint8 RGB ``(H, W, 3)``, or a :class:`Portrait`.
        speech:
            A file, or float32 ``(n,)`` at 16 kHz.
        seed:
            Of what the speech does not determine; systems that draw nothing at random do not look at it.
        detector:
            Which face detector.
        convert:
            Accept sound files of another rate, depth or number of channels.

        Returns
        -------
        Clip
            ``ceil(n / 640)`` frames of the system's crop, with the landmarks that moved them; where
            there are no weights that paint, the landmarks are drawn on the photograph. Where a system knows
            of no landmarks, those of the photograph stand in every frame. It holds the whole film; for long
            speech take :meth:`film`.

        Raises
        ------
        InputError
            When photograph or sound cannot be used.
        """
        if not isinstance(speech, np.ndarray):
            speech = read_speech(speech, convert=convert)
        speech = fit_to_frames(speech)
        portrait = Portrait.of(photo, detector=detector).on(self.system.template)
        landmarks, frames = [], []
        for made in self.film(portrait, speech, np.random.default_rng(seed)):
            n = len(made.frames if made.landmarks is None else made.landmarks)
            still = np.broadcast_to(portrait.landmarks, (n, *portrait.landmarks.shape))
            landmarks.append(still if made.landmarks is None else made.landmarks)
            if made.frames is None:
                copied = np.broadcast_to(portrait.crop(), (n, CROP_SIZE, CROP_SIZE, 3))
                frames.append(draw_landmarks(made.landmarks, image=copied))
            else:
                frames.append(made.frames)
        return Clip(
            frames=np.concatenate(frames),
            landmarks=np.concatenate(landmarks).astype(np.float32),
            speech=speech,
            identity=portrait.name,
            source=f"talkface_lite {self.system.name}",
            framing=self.system.framing,
        )
