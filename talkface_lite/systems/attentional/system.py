"""Attentional landmarks (Wang et al., Interspeech 2020) as it talks: lips and head, and their film."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from talkface_lite.clip import HEAD, Clip
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import Template
from talkface_lite.systems.attentional.ltv_net import LTVNetPart
from talkface_lite.systems.attentional.stl_net import STLNetPart
from talkface_lite.systems.base import FROM_SPEECH, WITH_TRUTH, Face, Shown, Stretch, System
from talkface_lite.systems.filmed import frames_of, stretches
from talkface_lite.systems.part import Part

SHIPPED: Mapping[str, Mapping[str, Any]] = MappingProxyType({"ltv-net": {"warp": True}})
"""How the package's weights are wired, other than in the paper."""


@dataclass(frozen=True, kw_only=True)
class AttentionalSettings:
    """How attentional landmarks talks.

    Parameters
    ----------
    still_head:
        Hold the head as it is in the photograph; lips and jaw move.
    """

    still_head: bool = False


class AttentionalSystem(System):
    """Speech to the landmarks of lips and head (STL net), landmarks and a photograph to pictures (LTV net).

    Its pictures show the whole head, which moves (:mod:`talkface_lite.framing`). LTV net may be missing: the
    landmarks then speak alone.
    """

    name: ClassVar[str] = "attentional"
    parts: ClassVar[tuple[type[Part], ...]] = (STLNetPart, LTVNetPart)
    shipped: ClassVar[Mapping[str, Mapping[str, Any]]] = SHIPPED
    settings_class: ClassVar[type] = AttentionalSettings
    framing: ClassVar[str] = HEAD
    template: Template = WHOLE_HEAD

    @property
    def side(self) -> int:
        """Of its pictures, pixels: LTV net's."""
        return self.ltv_net.config.ltv_net.side if self.has("ltv-net") else System.side

    @property
    def stl_net(self) -> STLNetPart:
        """Speech to landmarks."""
        return self.part("stl-net")

    @property
    def ltv_net(self) -> LTVNetPart:
        """Landmarks and a photograph to pictures."""
        return self.part("ltv-net")

    @property
    def how(self) -> str:
        """Whether lips and head are apart, how pictures are made, and whether the head is held."""
        said = [] if self.stl_net.config.stl_net.split else ["lips and head in one branch"]
        if self.has("ltv-net"):
            net = self.ltv_net.config.ltv_net
            said.append(
                "LTV net warps, then paints (ours)" if net.warp else "LTV net paints alone (the paper's)"
            )
            said += [] if net.attention else ["no attention"]
        said.append("head held" if self.settings.still_head else "head moves")
        return "; ".join(said)

    def speak(self, speech: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Let one face say something: ``(n,)`` and ``(68, 2)`` → ``(ceil(n / 640), 68, 2)``, pixels of the
        head's frame."""
        return self.stl_net.generate(speech, landmarks, still_head=self.settings.still_head)

    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """As for every system; nothing here is random."""
        landmarks = self.speak(speech, face.landmarks)
        if not self.has("ltv-net"):
            yield Stretch(None, landmarks)
            return
        yield from stretches(self.ltv_net.film(face.picture, face.landmarks, landmarks), landmarks)

    def rows(self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool) -> dict[str, Shown]:
        """What the two halves make of a clip, together and apart.

        Returns
        -------
        ``from_speech``: from the sound and the photograph. ``with_truth``: LTV net's pictures of the true
        landmarks, where pictures are asked for.
        """
        face = self.face_of(clip, shown)
        said = self.speak(clip.speech, face.landmarks)
        rows = {FROM_SPEECH: Shown(said, self._frames(face, said) if pictures else None)}
        if pictures:
            rows[WITH_TRUTH] = Shown(None, self._frames(face, clip.landmarks))
        return rows

    def for_pasting(self) -> tuple[Self, str]:
        """Held still where all is painted: only a photograph that is moved fits where it was cut out."""
        moves = self.has("ltv-net") and self.ltv_net.config.ltv_net.warp
        if moves or self.settings.still_head:
            return self, ""
        why = "the head holds still: LTV net paints all of it, and it would tear off at the neck"
        return self.with_settings(AttentionalSettings(still_head=True)), why

    def _frames(self, face: Face, landmarks: np.ndarray) -> np.ndarray:
        return frames_of(self.ltv_net.film(face.picture, face.landmarks, landmarks))

    def for_inference(self, precision: str = "auto") -> Self:
        """With a copy of LTV net that is faster, see
        :func:`talkface_lite.networks.fast_attentional.for_inference`."""
        if not self.has("ltv-net"):
            return self
        parts = {"stl-net": self.stl_net, "ltv-net": self.ltv_net.for_inference(precision)}
        return type(self)(parts, self.settings)
