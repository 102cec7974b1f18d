"""A system: a paper, composed of parts that make a film together."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch

from talkface_lite.clip import ALIGNED, CROP_SIZE, SAMPLES_PER_FRAME, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import OURS, Template
from talkface_lite.systems.part import (
    NoSettings,
    Part,
    Weights,
    shipped_weights,
    weights_files,
)
from talkface_lite.systems.weights_file import Packed, read_parts, whose

FROM_SPEECH, WITH_TRUTH = "from_speech", "with_truth"
"""Rows of an evaluation that mean the same in every system: the system as it is used; and, of one that paints
landmarks, its pictures of the true ones."""


class Face(NamedTuple):
    """Who is to speak.

    Parameters
    ----------
    picture:
        uint8 RGB ``(side, side, 3)``: the aligned crop, of the system's side.
    landmarks:
        float32 ``(68, 2)``: pixels of the 128×128 crop, whatever the side.
    """

    picture: np.ndarray
    landmarks: np.ndarray


class Painted(NamedTuple):
    """What a network painted, and where; elsewhere its frames copy the photograph, moved perhaps.

    Parameters
    ----------
    colour:
        float32 ``(n, side, side, 3)`` in [-1, 1].
    alpha:
        float32 ``(n, side, side)`` in [0, 1].
    flow:
        float32 ``(n, side, side, 2)``, pixels of these maps: how far from each pixel, in x and y, what is
        copied lies in the photograph. None: where it is.
    """

    colour: np.ndarray
    alpha: np.ndarray
    flow: np.ndarray | None = None


class Stretch(NamedTuple):
    """Some frames of a film that is being made.

    Parameters
    ----------
    frames:
        uint8 RGB ``(n, side, side, 3)``: the face as the system gives it. None: this system has landmarks
        alone, for want of weights that paint.
    landmarks:
        float32 ``(n, 68, 2)``, pixels of the aligned 128×128 crop. None: the system knows of none.
    painted:
        None: everything in the frames is painted.
    """

    frames: np.ndarray | None
    landmarks: np.ndarray | None = None
    painted: Painted | None = None


class Shown(NamedTuple):
    """One row of an evaluation: what a system made of a clip; None where it makes no such thing.

    Parameters
    ----------
    landmarks:
        ``(T, 68, 2)``, pixels of the aligned 128×128 crop.
    frames:
        uint8 RGB ``(T, side, side, 3)``.
    """

    landmarks: np.ndarray | None = None
    frames: np.ndarray | None = None


class System(ABC):
    """A paper: its parts, and how they make a film together.

    Parameters
    ----------
    parts:
        Trained, by name; those that are there.
    settings:
        An instance of :attr:`settings_class`.
    """

    name: ClassVar[str]
    """The word on the command line."""
    parts: ClassVar[tuple[type[Part], ...]]
    """In the order in which they are trained. All that have weights are loaded."""
    variants: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = MappingProxyType({})
    """Other ways to build it that have weights of their own: variant → part → settings."""
    shipped: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """Settings, other than a part's defaults, that its weights without a variant have: part → settings."""
    settings_class: ClassVar[type] = NoSettings
    """A frozen dataclass of what can be chosen when it talks: flags of ``talk`` and ``evaluate``."""
    required: ClassVar[int] = 1
    """How many parts, from the first, it cannot do without."""
    side: ClassVar[int] = CROP_SIZE
    """Of its pictures, pixels."""
    random: ClassVar[bool] = False
    """Whether it draws what speech does not determine: then other seeds give other films."""
    framing: ClassVar[str] = ALIGNED
    """How the clips are cut that it learned from, and so its films: see :mod:`talkface_lite.framing`."""
    template: Template = OURS
    """Where its crops have nose and eyes. Photographs are cut by it and pasted back from it; another than
    ours is for weights that learned from other crops."""

    def __init__(self, parts: Mapping[str, Part], settings: Any = None) -> None:
        self._parts = dict(parts)
        self.settings = settings or self.settings_class()

    @abstractmethod
    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """Let a face say something, some frames at a time, in memory that does not grow with the speech.

        Parameters
        ----------
        face:
            Who.
        speech:
            float32 ``(640·T,)`` at 16 kHz; T frames in all come out.
        rng:
            Of what the speech does not determine. Equal generators give equal films.
        """

    def films(
        self, face: Face, speech: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> Iterator[Sequence[Stretch]]:
        """Several films of one speech, side by side: of each its next stretch, all as long.

        One after the other here; a system that draws at random can make them as one batch.
        """
        yield from zip(*(self.film(face, speech, rng) for rng in rngs), strict=True)

    def checked_film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """:meth:`film`, held to what it promises; whoever shows or measures a film takes it from here.

        Raises
        ------
        InputError
            When frames or landmarks are of other kinds or shapes than a :class:`Stretch` has, or the film is
            shorter or longer than the speech: silence at its end would pass for the system's own.
        """
        return (stretch for (stretch,) in self.checked_films(face, speech, [rng]))

    def checked_films(
        self, face: Face, speech: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> Iterator[Sequence[Stretch]]:
        """:meth:`films`, held to the same; raises as :meth:`checked_film`."""
        n_frames, made = len(speech) // SAMPLES_PER_FRAME, 0
        for stretches in self.films(face, speech, rngs):
            lengths = {self._length_of(stretch) for stretch in stretches}
            if len(lengths) != 1 or len(stretches) != len(rngs):
                got = f"{len(stretches)} stretches of {' and '.join(map(str, sorted(lengths)))} frames"
                raise InputError(f"films of {self.name}", got, f"{len(rngs)}, all as long")
            made += lengths.pop()
            if made > n_frames:
                break
            yield stretches
        if made != n_frames:
            got = f"{made} frames" if made < n_frames else f"at least {made} frames"
            raise InputError(f"film of {self.name}", got, f"{n_frames}, one for each 40 ms of speech")

    def _length_of(self, stretch: Stretch) -> int:
        size = (self.side, self.side, 3)
        wanted = {"frames": (np.uint8, size), "landmarks": (np.floating, (68, 2))}
        lengths = set()
        for name, (kind, shape) in wanted.items():
            value = getattr(stretch, name)
            if value is None:
                continue
            right = isinstance(value, np.ndarray) and np.issubdtype(value.dtype, kind)
            if not right or value.shape[1:] != shape:
                got = f"{getattr(value, 'dtype', type(value).__name__)} {tuple(getattr(value, 'shape', ()))}"
                expected = f"a numpy array of {kind.__name__} (n, {', '.join(map(str, shape))})"
                raise InputError(f"{name} in the film of {self.name}", got, expected)
            lengths.add(len(value))
        if len(lengths) != 1:
            got = " and ".join(map(str, sorted(lengths))) or "neither"
            raise InputError(f"frames and landmarks in the film of {self.name}", got, "as many of both")
        return lengths.pop()

    def rows(self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool) -> dict[str, Shown]:
        """What it makes of a clip of known truth, from one of its frames.

        Parameters
        ----------
        clip:
            With pictures where ``pictures`` are asked for.
        shown:
            The frame that is the photograph.
        rng:
            As for :meth:`film`.
        pictures:
            Whether frames are wanted, or landmarks will do.

        Returns
        -------
        Rows by name. ``from_speech`` is the system as it is used; further rows say where it loses:
        ``with_truth``, where there is one, its pictures of the true landmarks.
        """
        film = list(self.checked_film(self.face_of(clip, shown), clip.speech, rng))
        frames = _joined(film, "frames") if pictures else None
        return {FROM_SPEECH: Shown(_joined(film, "landmarks"), frames)}

    def face_of(self, clip: Clip, shown: int) -> Face:
        """A frame of a clip as a photograph; without pictures a grey one.

        Raises
        ------
        InputError
            When the clip's pictures have another side than the system's.
        """
        if clip.frames is None:
            return Face(np.full((self.side, self.side, 3), 128, np.uint8), clip.landmarks[shown])
        height, width = clip.frames.shape[1:3]
        if (height, width) != (self.side, self.side):
            raise InputError(
                "clip", f"pictures of {width}×{height}", f"{self.side}×{self.side}: {self.name}'s"
            )
        return Face(clip.frames[shown], clip.landmarks[shown])

    @property
    def how(self) -> str:
        """How it makes its film, in a line, where there is more than one way: ``talk`` and ``evaluate`` say
        it. Told by the weights that are there, and not by the name of a variant."""
        return ""

    def for_pasting(self) -> tuple[Self, str]:
        """The same for a film that is laid back into its photograph; and, where it then makes another film, a
        line that says what and why."""
        return self, ""

    def part(self, name: str) -> Part:
        """One of its parts.

        Raises
        ------
        InputError
            When it has no weights.
        """
        if name not in self._parts:
            raise InputError(f"weights of {name}", "none", f"{name} of {self.name}, trained")
        return self._parts[name]

    def has(self, name: str) -> bool:
        """Whether a part is there."""
        return name in self._parts

    def to(self, device: str | torch.device) -> Self:
        """Its parts on another device, in evaluation mode."""
        for part in self._parts.values():
            part.to(device).eval()
        return self

    def for_inference(self, precision: str = "auto") -> Self:
        """The same for :meth:`film` alone, faster, where there is a faster way."""
        return self

    def with_settings(self, settings: Any) -> Self:
        """The same parts, talking otherwise; settings as for the class."""
        return type(self)(self._parts, settings)

    @classmethod
    def build(cls, size: str = "lite", *, variant: str = "") -> Self:
        """With fresh weights: to count, to time, to try."""
        changes = {**cls.shipped, **cls._changes(variant)}
        return cls({part.name: part.of_size(size, **changes.get(part.name, {})) for part in cls.parts})

    @classmethod
    def load(
        cls, size: str = "lite", *, weights: Weights = None, variant: str = "", settings: Any = None
    ) -> Self:
        """With trained weights, in evaluation mode, on the CPU.

        Parameters
        ----------
        size, variant:
            Which of the package's own weights.
        weights:
            Files instead of the package's own; each says which parts it holds, so their order does not
            matter.
        settings:
            An instance of :attr:`settings_class`.

        Raises
        ------
        InputError
            When a file is missing, broken, or none of its parts, when a required part has no weights, and
            when a part is given that the variant names another of.
        """
        changes = cls._changes(variant)
        found: dict[str, Part] = {}
        for path in weights_files(weights):
            for packed in read_parts(path)[0]:
                part = cls._part_of(packed, path)
                if part.name in found:
                    raise InputError(path, f"weights of {part.name} once more", "each part once")
                if part.name in changes:
                    raise InputError(
                        "variant", f"{variant!r} beside weights of {part.name}", "one of the two"
                    )
                found[part.name] = part.unpacked(packed, path)
        for number, part in enumerate(cls.parts):
            path = shipped_weights(cls.name, part.name, size, variant if part.name in changes else "")
            if part.name in found:
                continue
            if path.is_file():
                found[part.name] = part.load(path)
            elif number < cls.required:
                what = " ".join(filter(None, (part.name, "of", cls.name, size, variant)))
                raise InputError(
                    f"weights of {what}", "none in the package", "--weights FILE (talkface train makes one)"
                )
        return cls(found, settings)

    @classmethod
    def _changes(cls, variant: str) -> Mapping[str, Mapping[str, Any]]:
        if variant and variant not in cls.variants:
            raise InputError("variant", repr(variant), " or ".join(cls.variants) or "none")
        return cls.variants[variant] if variant else {}

    @classmethod
    def _part_of(cls, packed: Packed, path: Path) -> type[Part]:
        for part in cls.parts:
            if part.is_in(packed.about):
                return part
        expected = f"weights of {' or '.join(part.name for part in cls.parts)} of {cls.name}"
        raise InputError(path, f"weights of {whose(packed.about)}", expected)


def _joined(film: Sequence[Stretch], name: str) -> np.ndarray | None:
    parts = [getattr(stretch, name) for stretch in film]
    return None if any(part is None for part in parts) else np.concatenate(parts)
