"""ATVGnet (Chen et al., CVPR 2019): its two halves, and the film that they make together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.networks.vg_net import Frames
from talkface_lite.systems.atvg.at_net import ATNetPart
from talkface_lite.systems.atvg.vg_net import VGNetPart
from talkface_lite.systems.base import Face, Shown, Stretch, System
from talkface_lite.systems.filmed import frames_of, stretches
from talkface_lite.systems.part import Part, Weights, weights_files

RELEASED_SUFFIXES = (".pth", ".pt", ".pkl", ".tar")
"""What torch's own files are called; the package's end in .safetensors."""


@dataclass(frozen=True, kw_only=True)
class ATVGnetSettings:
    """How ATVGnet talks.

    Parameters
    ----------
    paper_decoding:
        The paper's Eq. 4 alone: a face out of the basis, without what the photograph's own face has outside
        of it.
    basis:
        With the two checkpoints that the authors released: the .npy files of their mean face (136) and of
        their components (136, 6 or more).
    template:
        Beside the basis: the .npy file (68, 2) of the face that the authors' crops are laid on; None lays
        their crop out from the mean face, as large as theirs, and about where theirs is.
    """

    paper_decoding: bool = False
    basis: tuple[Path, Path] | None = None
    template: Path | None = None


class ATVGnet(System):
    """Speech to landmarks (AT-net), landmarks and a photograph to pictures (VG-net).

    VG-net may be missing: the landmarks then speak alone.
    """

    name: ClassVar[str] = "atvg"
    parts: ClassVar[tuple[type[Part], ...]] = (ATNetPart, VGNetPart)
    variants: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = MappingProxyType(
        {"no_lstm": {"at-net": {"recurrent": False}}, "paper": {"vg-net": {"warp": False}}}
    )
    shipped: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"vg-net": {"warp": True}})
    settings_class: ClassVar[type] = ATVGnetSettings

    @property
    def at_net(self) -> ATNetPart:
        """Speech to landmarks."""
        return self.part("at-net")

    @property
    def vg_net(self) -> VGNetPart:
        """Landmarks and a photograph to pictures."""
        return self.part("vg-net")

    @property
    def how(self) -> str:
        """Whether VG-net warps before it paints, and whether AT-net has no memory."""
        said = [] if self.at_net.config.at_net.recurrent else ["AT-net without memory"]
        if self.has("vg-net"):
            warps = self.vg_net.config.vg_net.warp
            said.append("VG-net warps, then paints (ours)" if warps else "VG-net paints alone (the paper's)")
        return "; ".join(said)

    @classmethod
    def load(
        cls, size: str = "lite", *, weights: Weights = None, variant: str = "", settings: Any = None
    ) -> Self:
        """As for every system; with ``settings.basis``, the two files that the authors released."""
        if settings is not None and settings.template is not None and settings.basis is None:
            raise InputError("template", settings.template, "--basis MEAN U beside it")
        released = [path for path in weights_files(weights) if path.suffix in RELEASED_SUFFIXES]
        if settings is not None and settings.basis is not None:
            from talkface_lite.systems.atvg.released import ReleasedATVGnet

            if variant:
                raise InputError("variant", f"{variant!r} beside released weights", "one of the two")
            return ReleasedATVGnet.load(size, weights=weights, settings=settings)
        if released:
            raise InputError(released[0], "released weights alone", "--basis MEAN U beside them")
        return super().load(size, weights=weights, variant=variant, settings=settings)

    def speak(self, speech: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Let one face say something: ``(n,)`` and ``(68, 2)`` → ``(ceil(n / 640), 68, 2)``, pixels.

        Raises
        ------
        InputError
            When the speech or the landmarks are not of these shapes.
        """
        return self.at_net.generate(speech, landmarks, keep_identity=not self.settings.paper_decoding)

    def paint(
        self, photo: np.ndarray, example: np.ndarray, landmarks: np.ndarray, **options: int
    ) -> Iterator[Frames]:
        """Move a face to landmarks, see :meth:`talkface_lite.systems.atvg.vg_net.VGNetPart.film`."""
        return self.vg_net.film(photo, example, landmarks, **options)

    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """As for every system; nothing here is random."""
        landmarks = self.speak(speech, face.landmarks)
        if not self.has("vg-net"):
            yield Stretch(None, landmarks)
            return
        film = self.paint(face.picture, face.landmarks, landmarks)
        yield from stretches(film, landmarks, moved=self.vg_net.config.vg_net.warp)

    def rows(self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool) -> dict[str, Shown]:
        """What the two halves make of a clip, together and apart.

        Returns
        -------
        ``from_speech``: from the sound and the photograph. ``best_possible``: the true landmarks through
        AT-net's six components, as near as it could come. ``with_truth``: VG-net's pictures of the true
        landmarks, where pictures are asked for.
        """
        face = self.face_of(clip, shown)
        said = self.speak(clip.speech, face.landmarks)
        rows = {
            "from_speech": Shown(said, self._frames(face, said) if pictures else None),
            "best_possible": Shown(self.nearest(face.landmarks, clip.landmarks)),
        }
        if pictures:
            rows["with_truth"] = Shown(None, self._frames(face, clip.landmarks))
        return rows

    def nearest(self, example: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """The best that :meth:`speak` could give, ``(68, 2)`` and ``(T, 68, 2)`` → ``(T, 68, 2)``."""
        basis = self.at_net.shape_pca
        outside = example - basis.decode(basis.encode(example))
        return basis.decode(basis.encode(landmarks)) + (0 if self.settings.paper_decoding else outside)

    def _frames(self, face: Face, landmarks: np.ndarray) -> np.ndarray:
        return frames_of(self.paint(face.picture, face.landmarks, landmarks))

    def for_inference(self, precision: str = "auto") -> Self:
        """With a copy of VG-net that is faster, see :func:`talkface_lite.networks.fast.for_inference`."""
        if not self.has("vg-net"):
            return self
        parts = {"at-net": self.at_net, "vg-net": self.vg_net.for_inference(precision)}
        return type(self)(parts, self.settings)
