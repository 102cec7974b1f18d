"""ATVGnet with its released weights, used as the released demo uses them.

Four things differ from our own weights (:class:`~talkface_lite.systems.atvg.at_net.ATNetPart`): the crop
(:func:`released_template`), the scale of the landmarks (:func:`released_frame`), the basis, and the place of
the MFCC windows (:data:`LATE_SAMPLES`).
"""

import os
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from talkface_lite.clip import N_POINTS, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError
from talkface_lite.landmarks import (
    GROUPS,
    Template,
    align,
    apply_transform,
    denormalise,
    invert_transform,
    similarity_transform,
)
from talkface_lite.networks.at_net import ATVGNET_BOOST, ATNetConfig
from talkface_lite.networks.vg_net import Frames, VGNetConfig
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.speech import fit_to_frames
from talkface_lite.systems.atvg.at_net import CHUNK_FRAMES, ATNetPart, ATNetPartConfig
from talkface_lite.systems.atvg.checkpoint import (
    LANDMARK_SCALE,
    fill,
    read_networks,
    read_shape,
    read_template,
)
from talkface_lite.systems.atvg.system import ATVGnet
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig
from talkface_lite.systems.part import Weights, weights_files

LATE_SAMPLES = 120
"""The released code's windows start with a row of the whole recording, so each is centred 7.5 ms after its
frame; ours (:func:`talkface_lite.speech.mfcc_windows`) on the frame. The networks learned with theirs."""


CROPPED_ON = slice(27, 45)
"""The points that the released demo lays on its template: the nose, the right eye, half of the left one."""

MOUTHS_LARGER = 39.9 / 30.4
"""By how much mouths are wider in the authors' crops than the same mouths are in ours."""

EYES_AT = (63.5, 40.0)
"""Pixels: where the middle between the eyes is in the authors' crop, as far as is known. Their template is a
face in a square of half side 0.64 h about the box, h pixels high, that dlib finds; on nine portraits that
puts it at x 59 to 70, y 38 to 50."""


class ReleasedATVGnet(ATVGnet):
    """AT-net and VG-net with the released weights.

    The released VG-net's conv-GRU recurs over the batch and not over time (see
    :class:`~talkface_lite.networks.vg_net.VGNetConfig`), so with one face no frame knows of the one before.
    """

    @classmethod
    def with_basis(cls, shape_pca: ShapePCA, settings: Any = None) -> Self:
        """Both networks at the paper's widths, with fresh weights.

        Parameters
        ----------
        shape_pca:
            The released mean shape and the first six columns of the released basis.
        settings:
            As for :class:`~talkface_lite.systems.atvg.system.ATVGnet`.
        """
        film = VGNetPartConfig(vg_net=VGNetConfig.full(recurrence="batch"))
        at_net = ATNetPart(ATNetPartConfig(at_net=ATNetConfig.full()), shape_pca)
        return cls({"at-net": at_net, "vg-net": VGNetPart(film)}, settings)

    @classmethod
    def load(
        cls, size: str = "full", *, weights: Weights = None, variant: str = "", settings: Any = None
    ) -> Self:
        """Read the two files that belong to ``settings.basis``.

        Raises
        ------
        InputError
            When there are not two of them, and as for
            :func:`talkface_lite.systems.atvg.checkpoint.read_networks`.
        """
        found = weights_files(weights)
        if len(found) != 2:
            raise InputError("weights", f"{len(found)} files", "the two that belong to the basis")
        return load_released(*found, mean=settings.basis[0], basis=settings.basis[1], settings=settings)

    @cached_property
    def template(self) -> Template:
        """The authors' own: their file where the settings name it, else :func:`released_template`."""
        if self.settings.template is not None:
            return Template(CROPPED_ON, read_template(self.settings.template)[CROPPED_ON])
        return released_template(self.at_net.shape_pca.mean)

    def for_inference(self, precision: str = "auto") -> Self:
        """As for our own weights, but in 32 bits whatever is asked for: as the authors' networks compute."""
        return super().for_inference("32")

    def speak(
        self, speech: np.ndarray, landmarks: np.ndarray, *, chunk_frames: int | None = CHUNK_FRAMES
    ) -> np.ndarray:
        """Let one face say something: ``p̂_t = (h_t ⊙ ω) Uᵀ + M``, laid where the example face is.

        ``h_p = (p_p - M) U`` goes in as it is; ω = (1, 2.2, 2.4, 2.6, 2.8, 3) is for what comes out. The face
        is one of the basis: six components do not hold who somebody is.

        Parameters
        ----------
        speech:
            float32 ``(n,)`` at 16 kHz.
        landmarks:
            ``(68, 2)``: the example face, in pixels of the aligned crop.
        chunk_frames:
            Frames computed at once; the result does not depend on it.

        Returns
        -------
        float32 ``(ceil(n / 640), 68, 2)`` pixels of the aligned crop.

        Raises
        ------
        InputError
            When the speech or the landmarks are not as above.
        """
        basis = self.at_net.shape_pca
        frame = released_frame(landmarks, basis.mean)
        h_p = basis.encode(apply_transform(landmarks, frame))
        h = self.at_net.coefficients(_heard_late(speech), h_p, first_frame=1, chunk_frames=chunk_frames)
        faces = basis.decode(h, ATVGNET_BOOST)
        return apply_transform(faces, invert_transform(frame)).astype(np.float32)

    def nearest(self, example: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As for our own weights, but in the frame that the released networks see the example face in."""
        basis = self.at_net.shape_pca
        frame = released_frame(example, basis.mean)
        faces = basis.decode(basis.encode(apply_transform(landmarks, frame)))
        return apply_transform(faces, invert_transform(frame))

    def paint(
        self, photo: np.ndarray, example: np.ndarray, landmarks: np.ndarray, **options: int
    ) -> Iterator[Frames]:
        """Move the face of a photograph to landmarks, some frames at a time.

        As in the released demo, VG-net is not shown the example face but what the six components keep of it,
        ``h_p Uᵀ + M``: its ``f_lmark(p_t) - f_lmark(p_p)`` is then the motion alone, since :meth:`speak`'s
        faces are of the basis, too. Arguments as for
        :meth:`VGNetPart.film <talkface_lite.systems.atvg.vg_net.VGNetPart.film>`, the photograph being a crop
        by its ``template``: VG-net knows by heart where in it a mouth is.
        """
        basis = self.at_net.shape_pca
        frame = released_frame(example, basis.mean)
        p_p = basis.decode(basis.encode(apply_transform(example, frame)))
        return self.vg_net.film(photo, p_p, apply_transform(landmarks, frame), **options)


def released_template(mean: np.ndarray) -> Template:
    """The authors' crop without their template: nose and eyes of their mean face, as large as theirs are.

    The mean face is laid on our template, and what comes out is made larger by :data:`MOUTHS_LARGER` and
    moved so that its eyes are about :data:`EYES_AT`. So a face is as large in this crop as in the authors',
    eyes about 52 pixels apart; its place can be off by some pixels.

    Parameters
    ----------
    mean:
        ``(136,)``: M.
    """
    face, _ = align(np.reshape(mean, (N_POINTS, 2)))
    between_eyes = (face[GROUPS["right_eye"]].mean(0) + face[GROUPS["left_eye"]].mean(0)) / 2
    return Template(CROPPED_ON, MOUTHS_LARGER * (face[CROPPED_ON] - between_eyes) + EYES_AT)


def released_frame(landmarks: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The frame that the released networks see one face in.

    The face is centred, divided by its norm ``‖p - p̄‖``, turned onto the mean shape (orthogonal Procrustes
    without mirroring), and multiplied by 5, so that it spans about [-1, 1].

    This is what the released training data imply, not what the released normaliser does: it subtracts the
    last frame of what it is given, so that any single face comes out as one and the same constant.

    Parameters
    ----------
    landmarks:
        ``(68, 2)`` in pixels of the crop.
    mean:
        ``(136,)``: M.

    Returns
    -------
    float64 ``(2, 3)``: from pixels of the crop to a picture in which ``(px - 64) / 64`` is the released
    scale, so that all that works on crops works in it.

    Raises
    ------
    InputError
        When the landmarks are not one face.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (N_POINTS, 2) or not np.isfinite(landmarks).all():
        raise InputError("landmarks", f"shape {landmarks.shape}", f"finite numbers ({N_POINTS}, 2)")
    centre = landmarks.mean(0)
    norm = np.linalg.norm(landmarks - centre)
    if norm == 0:
        raise InputError("landmarks", "points that all coincide", "a face")
    turned = similarity_transform(landmarks, np.reshape(mean, (N_POINTS, 2)))[:, :2]
    # in the plane the best rotation is that of the best similarity: only its length is another
    rotation = turned / np.sqrt(np.linalg.det(turned))
    linear = denormalise(LANDMARK_SCALE / norm * rotation) - denormalise(0.0)
    return np.column_stack([linear, denormalise(0.0) - linear @ centre])


def load_released(
    at_net: str | os.PathLike,
    vg_net: str | os.PathLike,
    *,
    mean: str | os.PathLike,
    basis: str | os.PathLike,
    settings: Any = None,
) -> ReleasedATVGnet:
    """Read the released weights, in evaluation mode, on the CPU.

    Parameters
    ----------
    at_net, vg_net:
        See :func:`~talkface_lite.systems.atvg.checkpoint.read_networks`.
    mean, basis:
        See :func:`~talkface_lite.systems.atvg.checkpoint.read_shape`.
    settings:
        As for :class:`~talkface_lite.systems.atvg.system.ATVGnet`.

    Raises
    ------
    InputError
        When a file is missing or is not as it should be.
    """
    shape_pca = read_shape(mean, basis)
    system = ReleasedATVGnet.with_basis(shape_pca, settings)
    if system.settings.template is None:
        text = "without --template the place of the authors' crop is a guess; its size is theirs"
        warnings.warn(text, stacklevel=2)
    _ = system.template  # one that cannot be used is refused before the networks are read
    states = read_networks(Path(at_net), Path(vg_net))
    for network, state in zip((system.at_net.at_net, system.vg_net.vg_net), states):
        fill(network, state)
    return system.to("cpu")


def _heard_late(speech: np.ndarray) -> np.ndarray:
    """Speech with silence around it, so that our window of frame ``t + 1`` is the released one of ``t``."""
    before = SAMPLES_PER_FRAME - LATE_SAMPLES
    return np.pad(fit_to_frames(speech), (before, LATE_SAMPLES))  # (n,) → (640·(T + 1),)
