"""What a network wants of the data, how the data are varied, and the one batch that comes out."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from talkface_lite.clip import ALIGNED, CROP_SIZE, FRAMINGS, ROWS_PER_FRAME
from talkface_lite.errors import InputError

WINDOW_FRAMES = 16
"""Frames of a training window unless a part wants others (ATVGnet, {cite}`chen2019hierarchical`)."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a part wants to find in a batch.

    Parameters
    ----------
    recipe:
        Of the MFCC: a name of :data:`talkface_lite.recipes.RECIPES`.
    rows:
        MFCC rows that a frame hears: 28 (280 ms; {cite}`chen2019hierarchical`), 35 (350 ms;
        {cite}`song2019recurrent`).
    window:
        Frames T of a training window, unless the user wants others.
    side:
        Of the pictures, pixels.
    framing:
        How they are cut, landmarks with them: ``"aligned"``, or ``"head"``, where the head moves
        (:mod:`talkface_lite.framing`).
    pictures:
        Whether the batch has ``pictures`` and ``photograph``.
    previous:
        Whether the batch has ``previous``, the picture before the window.
    words:
        A vocabulary: then each window is laid around one of these words, and the batch has ``word`` and
        ``spoken``.
    otherwise:
        What somebody may do who has no such words, after what is expected of clips.
    """

    recipe: str = "psf"
    rows: int = 28
    window: int = WINDOW_FRAMES
    side: int = CROP_SIZE
    framing: str = ALIGNED
    pictures: bool = False
    previous: bool = False
    words: tuple[str, ...] = ()
    otherwise: str = ""

    def __post_init__(self) -> None:
        for name, least in (("rows", ROWS_PER_FRAME), ("window", 1), ("side", 1)):
            if getattr(self, name) < least:
                raise InputError(f"needs.{name}", getattr(self, name), f"at least {least}")
        if self.framing not in FRAMINGS:
            raise InputError("needs.framing", repr(self.framing), " or ".join(FRAMINGS))
        if self.previous and not self.pictures:
            raise InputError("needs.previous", "without pictures", "pictures, too")
        if len(set(self.words)) < len(self.words):
            raise InputError("needs.words", "a word twice", "each word once")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How clips become training windows.

    Parameters
    ----------
    window:
        Frames of a window; None takes as many as the part wants.
    mfcc_shift:
        Ours: another microphone for each window. Adds to all MFCC of a window one random vector, normal with
        this share of each coefficient's standard deviation: a cepstrum adds what a spectrum multiplies.
    closed_examples:
        Ours: share of windows whose example is the frame of the clip whose lips are nearest together, as in
        most photographs; a network cannot tell thick closed lips from thin parted ones. In a smile that never
        closes it is the least open frame. What neither this nor ``rest_examples`` asks for is any frame.
    rest_examples:
        Ours: share of windows whose example is a frame before the first word (the first frame, where no words
        are known): a photograph then shows how this mouth stands when nothing is said, shut or open. Beside
        ``closed_examples``, which asks for the lips and not for the time; together at most 1.
    detector:
        Ours: strength, 0 to 2, of another face detector for each window, at the mouth. One finds the same
        closed lips touching and the next finds them 2 px apart; adds to example and landmarks alike what
        detectors differ by, and to the example what one detector differs by from frame to frame. The truth
        is what that detector would see; ``landmark_noise`` is what it misses, and adds to it.
    camera:
        Ours: strength, 0 to 2, of a random camera, see :class:`talkface_lite.corpus.camera.Camera`. Half of
        the windows keep the camera they were taken with.
    mirrored:
        Ours: mirror half of the training windows, left for right.
    landmark_noise:
        Ours: standard deviation of what a detector misses a point by, pixels; each coordinate of the example
        and of each frame by itself, all over the face. Drawn landmarks are exact, those of photographs are
        not. ``detector`` is what all frames of a window have in common.
    mouth_light:
        Ours, 0 to 1: light in the mouth. Of each window, photograph and pictures alike, what is seen between
        the lips goes towards the colour of the lips, by a random share up to this, as where a small picture's
        colours have run.
    streaming:
        "always" streams MFCC and landmarks from disk like the pictures, through a buffer of clips. "never"
        holds them in memory. "auto" streams what would take more than 2 GiB.
    workers:
        Processes that read ahead; 0 reads in the training process. The batches do not depend on it, unless
        they are streamed.
    """

    window: int | None = None
    mfcc_shift: float = 0.0
    closed_examples: float = 0.0
    rest_examples: float = 0.0
    detector: float = 0.0
    camera: float = 0.0
    mirrored: bool = False
    landmark_noise: float = 0.0
    mouth_light: float = 0.0
    streaming: Literal["auto", "always", "never"] = "auto"
    workers: int = 0

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise InputError("window", self.window, "at least 1 frame")
        if not self.mfcc_shift >= 0:
            raise InputError("mfcc_shift", self.mfcc_shift, "0 or more")
        if not 0 <= self.closed_examples <= 1:
            raise InputError("closed_examples", self.closed_examples, "0 to 1")
        if not 0 <= self.rest_examples <= 1:
            raise InputError("rest_examples", self.rest_examples, "0 to 1")
        if self.closed_examples + self.rest_examples > 1 + 1e-9:
            got = f"{self.closed_examples} and {self.rest_examples}"
            raise InputError("closed_examples and rest_examples", got, "at most 1 together")
        if not 0 <= self.detector <= 2:
            raise InputError("detector", self.detector, "0 to 2")
        if not 0 <= self.camera <= 2:
            raise InputError("camera", self.camera, "0 to 2")
        if not self.landmark_noise >= 0:
            raise InputError("landmark_noise", self.landmark_noise, "0 or more")
        if not 0 <= self.mouth_light <= 1:
            raise InputError("mouth_light", self.mouth_light, "0 to 1")
        if self.streaming not in ("auto", "always", "never"):
            raise InputError("streaming", repr(self.streaming), "auto, always or never")
        if self.workers < 0:
            raise InputError("workers", self.workers, "0 or more")

    def window_of(self, needs: Needs) -> int:
        """Frames of a window for a part with these needs."""
        return needs.window if self.window is None else self.window


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of T frames from B clips; what a part does not need is None.

    Parameters
    ----------
    mfcc:
        float32 ``(B, T, rows, 12)``: the window of each frame, C1..C12.
    landmarks:
        float32 ``(B, T, 68, 2)``: pixels of the 128×128 frame, whatever the side of the pictures.
    example:
        float32 ``(B, 68, 2)``: the landmarks of another frame of the same clip, the one "photograph".
    mask:
        bool ``(B, T)``: False marks padding behind the end of a clip.
    pictures:
        uint8 RGB ``(B, T, side, side, 3)``; black where ``mask`` is False.
    photograph:
        uint8 RGB ``(B, side, side, 3)``: the picture of the frame whose landmarks are ``example``.
    previous:
        uint8 RGB ``(B, side, side, 3)``: the picture before the window; at the beginning of a clip its first.
    word:
        int64 ``(B,)``: the place in the vocabulary of the word that the window is laid around; -1 for none.
    spoken:
        bool ``(B, T)``: the frames in which that word is spoken.
    """

    mfcc: Tensor
    landmarks: Tensor
    example: Tensor
    mask: Tensor
    pictures: Tensor | None = None
    photograph: Tensor | None = None
    previous: Tensor | None = None
    word: Tensor | None = None
    spoken: Tensor | None = None

    @property
    def moved(self) -> Tensor:
        """How far landmarks are from the photograph's, px, ``(B, T, 136)``."""
        return (self.landmarks - self.example[:, None]).flatten(2)

    @property
    def faces(self) -> Tensor:
        """The landmarks, and where there is no frame the example's: a face in each, ``(B, T, 68, 2)``."""
        return torch.where(self.mask[..., None, None], self.landmarks, self.example[:, None])

    def to(self, device: str | torch.device) -> Self:
        """The batch on another device."""
        return replace(self, **{name: value.to(device) for name, value in self.present().items()})

    def present(self) -> dict[str, Tensor]:
        """What is there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @classmethod
    def together(cls, batches: list[Self]) -> Self:
        """Several batches as one."""
        names = batches[0].present()
        return cls(**{name: torch.cat([getattr(one, name) for one in batches]) for name in names})


class TrainingData(Protocol):
    """What a trainer wants of data; such as :class:`~talkface_lite.data.dataset.Dataset`."""

    needs: Needs
    settings: DataSettings
    window: int
    n_frames: int
    digest: str

    def __len__(self) -> int: ...

    def statistics(self) -> dict[str, np.ndarray]: ...

    def batches(
        self, batch_size: int, seed: int, *, first_step: int = 0, rank: int = 0, ranks: int = 1
    ) -> Iterator[Batch]: ...
