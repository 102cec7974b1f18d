"""The first half of attentional landmarks (Wang et al., Interspeech 2020): speech to landmarks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from talkface_lite.clip import HEAD as HEAD_FRAMING
from talkface_lite.clip import SAMPLES_PER_FRAME
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.errors import InputError
from talkface_lite.framing import HEAD_SCALE
from talkface_lite.landmarks import JAW_FOLLOWS, mouth_centred, normalise
from talkface_lite.losses import masked_mse, mean_of_frames, wing_loss
from talkface_lite.networks.lips_and_head import (
    HEAD,
    PAPER_PIXELS,
    by_photograph,
    moved_by,
    take_apart,
    undone,
)
from talkface_lite.networks.stl_net import Said, State, STLNet, STLNetConfig
from talkface_lite.speech import mfcc_stretches
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.config import above_zero, not_negative, one_of
from talkface_lite.systems.part import Part, adam
from talkface_lite.systems.settling import SILENCE_FRAMES, STILL, after_silence, settled
from talkface_lite.systems.training_settings import TrainingSettings

Loss = Literal["wing", "mse", "l1"]

CHUNK_FRAMES = 250
"""Frames that are heard at once when it generates, 10 s: bounded memory for any speech."""

EYES_AND_NOSE = slice(27, 48)
"""Of the head's 50 points, those that a held head holds by."""

LOWER_LIP = slice(65, 68)
"""Its inner edge, of 68 points."""
FOLLOWS = torch.tensor([JAW_FOLLOWS.get(point, 0.0) for point in HEAD])
"""How far each of the head's 50 points goes down with the lower lip where a head is held."""
NOSE, EYES = HEAD.index(30), slice(HEAD.index(36), HEAD.index(47) + 1)
"""Of the head's 50 points: what a nod brings together."""
NODS = torch.tensor(
    (
        0,
        0.1,
        0.2,
        0.25,
        0.2,
        0.1,
        0,
        0.45,
        0.7,
        0.75,
        0.7,
        0.45,
        0.1,
        0.35,
        0.45,
        0.35,
        0.1,
        0.45,
        0.55,
        0.45,
        0,
    )
)
"""How far each of the 21 calibrated lip points goes down in a nod that brings the nose 1 px down on the eyes.
Three points are laid in place, and the lips stand out before them. Ours, of drawn people."""


@dataclass(frozen=True, kw_only=True)
class STLNetPartConfig:
    """Settings of the first half.

    Parameters
    ----------
    stl_net:
        Widths of STL net.
    loss:
        ``"wing"``: Eq. 7. ``"mse"`` and ``"l1"``: what the paper compares it with, and what lies between.
    wing_width:
        w of Eq. 7, pixels of the paper's crop of 300; clip pixels times 300/128.
    wing_curvature:
        ε of Eq. 7, the same pixels.
    lip_weight, head_weight:
        Of the lip branch's loss and of the head branch's, each a mean over its numbers. Without a split of
        neither. A branch of weight 0 stays as it is.
    head_rate:
        Step size of the head branch over that of the lips'. Most of what a head does no voice tells, so its
        gradients are noise, and in long steps they carry features off until the memory behind them sticks.
    """

    stl_net: STLNetConfig = field(default_factory=STLNetConfig)
    loss: Loss = "wing"
    wing_width: float = 10.0
    wing_curvature: float = 2.0
    lip_weight: float = 1.0
    head_weight: float = 1.0
    head_rate: float = 1.0

    def __post_init__(self) -> None:
        one_of(self, "loss", Loss)
        above_zero(self, "wing_width", "wing_curvature", "head_rate")
        not_negative(self, "lip_weight", "head_weight")
        if not self.lip_weight + self.head_weight:
            raise InputError("lip_weight and head_weight", "0 and 0", "one of them above 0")


class STLNetPart(Part):
    """STL net as it learns and speaks.

    Parameters
    ----------
    config:
        Widths and loss.
    """

    system: ClassVar[str] = "attentional"
    name: ClassVar[str] = "stl-net"
    config_class: ClassVar[type] = STLNetPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("stl_net",)
    needs: Needs = Needs(framing=HEAD_FRAMING)
    figure: ClassVar[str] = "mouth"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(
            steps=400, batch_size=8, learning_rate=1e-3, betas=(0.9, 0.999), schedule="cosine"
        ),
        data=DataSettings(window=32, mfcc_shift=0.3, closed_examples=0.5),
        config=MappingProxyType({"lip_weight": 1.0, "head_weight": 1.0}),
    )

    def __init__(self, config: STLNetPartConfig) -> None:
        super().__init__(config)
        self.stl_net = STLNet(config.stl_net)
        self.to(memory_format=torch.channels_last)

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise MFCC by the training set's ``mfcc_mean`` and ``mfcc_std``, each ``(12,)``."""
        self.stl_net.standardise(*(torch.as_tensor(statistics[name]) for name in ("mfcc_mean", "mfcc_std")))

    def train(self, mode: bool = True) -> Self:
        """As every network's; a branch that learns nothing gathers no statistics of batches either."""
        super().train(mode)
        if self.config.stl_net.split:
            self.stl_net.lips.train(mode and self.config.lip_weight > 0)
            self.stl_net.head.train(mode and self.config.head_weight > 0)
        return self

    def optimizers(self, settings: TrainingSettings) -> dict[str, Optimizer]:
        """One Adam, or one for each branch where the head's goes at another rate."""
        net, rate = self.stl_net, self.config.head_rate
        if rate == 1 or not self.config.stl_net.split:
            return super().optimizers(settings)
        rates = {"lips": settings.learning_rate, "head": rate * settings.learning_rate}
        return {name: adam(getattr(net, name), its, settings.betas) for name, its in rates.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 7 of each branch, over its own numbers; ``"mouth"`` as everywhere, ``"head"`` in pixels. In the
        frame that the photograph is cut by, see :func:`~talkface_lite.networks.lips_and_head.by_photograph`.
        """
        to_own = by_photograph(batch.example)  # (B, 2, 3)
        faces = moved_by(batch.faces, to_own[:, None])  # (B, T, 68, 2)
        said, _ = self.stl_net(batch.mfcc, moved_by(batch.example, to_own))  # (B, T, 28, 12), (B, 68, 2)
        return self._losses(said, faces, batch)

    def _losses(self, said: Said, faces: Tensor, batch: Batch) -> dict[str, Tensor]:
        net, config = self.stl_net, self.config
        if said.whole is not None:
            loss = self._cost(said.whole, faces, batch.mask)
            whole = said.whole
        else:
            truth = take_apart(faces, config.stl_net.calibration)
            lips = self._cost(said.lips, truth.lips, batch.mask)
            head = self._cost(said.head, truth.head, batch.mask)
            weighed = ((config.lip_weight, lips), (config.head_weight, head))
            loss = sum(weight * cost for weight, cost in weighed if weight)
            with torch.no_grad():
                whole = net.joined(said)
        with torch.no_grad():
            made, true = (mouth_centred(normalise(points)).flatten(-2) for points in (whole, faces))
            far = (whole - faces)[..., EYES_AND_NOSE, :].norm(dim=-1).mean(dim=-1)  # (B, T)
            told = {"mouth": masked_mse(made, true, batch.mask), "head": mean_of_frames(far, batch.mask)}
        return {"loss": loss, **told}

    def _cost(self, points: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The loss of points ``(B, T, N, 2)``, clip pixels, in the paper's."""
        x = PAPER_PIXELS * (points - truth)
        if self.config.loss == "wing":
            cost = wing_loss(x, self.config.wing_width, self.config.wing_curvature)
        elif self.config.loss == "mse":
            cost = x.square()
        else:
            cost = x.abs()
        return mean_of_frames(cost.mean(dim=(-2, -1)), mask)

    @torch.inference_mode()
    def points(
        self,
        speech: np.ndarray,
        template: np.ndarray,
        *,
        silence: int = 0,
        chunk_frames: int | None = CHUNK_FRAMES,
    ) -> Said:
        """Speech of any length and one face to the points of both branches.

        Parameters
        ----------
        speech:
            float32 ``(n,)`` at 16 kHz; a last part of a frame is filled up with silence.
        template:
            ``(68, 2)``: the photograph's landmarks, pixels of the head's frame.
        silence:
            Frames of silence that are heard before; nothing is given for them.
        chunk_frames:
            Frames at once; memories are carried on, so the result does not depend on it. None takes all.

        Returns
        -------
        With ``B = 1`` and ``T = ceil(n / 640)``.
        """
        speech = after_silence(speech, silence)
        device = self.stl_net.mfcc_mean.device
        face = torch.as_tensor(np.asarray(template, np.float32), device=device)[None]
        state: State | None = None
        parts: list[Said] = []
        with self.evaluating():
            for windows in mfcc_stretches(speech, chunk_frames):
                said, state = self.stl_net(torch.from_numpy(windows).to(device)[None], face, state)
                parts.append(said)
        return _each(lambda *one: torch.cat(one, dim=1)[:, silence:], *parts)

    @torch.inference_mode()
    def generate(
        self,
        speech: np.ndarray,
        landmarks: np.ndarray,
        *,
        still_head: bool = False,
        anchored: bool = True,
        chunk_frames: int | None = CHUNK_FRAMES,
    ) -> np.ndarray:
        """Let one face say something and move its head as it does.

        Parameters
        ----------
        speech:
            float32 ``(n,)`` at 16 kHz.
        landmarks:
            ``(68, 2)``: the photograph's face, pixels of the head's frame.
        still_head:
            Hold the head as the photograph has it; jaw and corners of the mouth go with the lower lip, as
            :data:`~talkface_lite.landmarks.JAW_FOLLOWS` says, and affine lips lose what a nod does to them
            (:data:`NODS`).
        anchored:
            Ours: silence gives the photograph. What the network says in silence is taken as its zero, its
            memory has heard a second of it before the first frame, and lips that hardly move are still, see
            :func:`~talkface_lite.systems.settling.settled`.
        chunk_frames:
            See :meth:`points`.

        Returns
        -------
        float32 ``(ceil(n / 640), 68, 2)``, pixels of the head's frame.
        """
        shown = torch.as_tensor(np.asarray(landmarks, np.float32), device=self.stl_net.mfcc_mean.device)
        to_own = by_photograph(shown)  # (2, 3): nothing moves where the photograph was cut so
        face = moved_by(shown, to_own)
        landmarks = face.cpu().numpy()
        said = self.points(
            speech, landmarks, silence=SILENCE_FRAMES if anchored else 0, chunk_frames=chunk_frames
        )
        apart = take_apart(face, self.config.stl_net.calibration)
        zero = Said(apart.lips, apart.head, face)
        if anchored:
            quiet = self.points(
                np.zeros(SAMPLES_PER_FRAME, np.float32), landmarks, silence=2 * SILENCE_FRAMES
            )
            said = _each(lambda s, q, z: z + _settled(s - q), said, quiet, zero)
        if still_head:
            said = self._head_held(said, zero)
        made = moved_by(self.stl_net.joined(said)[0], undone(to_own))
        return made.cpu().numpy().astype(np.float32)

    def _head_held(self, said: Said, photo: Said) -> Said:
        """The same lips in the photograph's head. Of the head branch no point is taken: it learned from heads
        that move, and cannot say what a nod does to a jaw and what speech does. What its nod does to
        calibrated lips is taken out of them: who speaks nods, so the lip branch has learned it too."""
        if said.whole is not None:
            return said._replace(whole=held(said.whole, photo.whole))
        if self.config.stl_net.calibration == "affine":
            moved = (said.head - photo.head)[..., 1]  # (1, T, 50)
            nod = moved[..., NOSE] - moved[..., EYES].mean(dim=-1)  # (1, T)
            down = nod[..., None] * NODS.to(nod)  # (1, T, 21)
            said = said._replace(lips=said.lips - torch.stack((torch.zeros_like(down), down), dim=-1))
        said = said._replace(head=photo.head.expand(*said.lips.shape[:2], -1, -1))
        down = (self.stl_net.joined(said) - photo.whole)[..., LOWER_LIP, 1].mean(dim=-1)  # (1, T)
        way = torch.stack((torch.zeros_like(FOLLOWS), FOLLOWS), dim=-1).to(down)  # (50, 2)
        return said._replace(head=said.head + down[..., None, None] * way)


def _each(function: Callable[..., Tensor], *said: Said) -> Said:
    """The function of what several say, point set by point set; None where the first has none."""
    return Said(*(None if one[0] is None else function(*one) for one in zip(*said)))


def _settled(moved: Tensor) -> Tensor:
    """Lips ``(1, T, 21, 2)`` that hardly move are still; heads and whole faces as they are."""
    if moved.shape[2] != 21:
        return moved
    still = settled(moved[0].cpu().numpy(), slice(0, 20), HEAD_SCALE * STILL)
    return torch.as_tensor(still, device=moved.device)[None]


def held(head: Tensor, template: Tensor) -> Tensor:
    """Heads ``(1, T, N, 2)`` moved by affine maps so that nose and eyes lie on the template's ``(N, 2)``,
    with the least squared distance: the head stands still, and what moves in it moves on."""
    seen, wanted = head[..., EYES_AND_NOSE, :].double(), template[EYES_AND_NOSE].double()
    ones = torch.ones_like(seen[..., :1])
    solved = torch.linalg.lstsq(
        torch.cat((seen, ones), dim=-1), wanted.expand_as(seen)
    ).solution  # (.., 3, 2)
    every = torch.cat((head.double(), torch.ones_like(head[..., :1]).double()), dim=-1)
    return (every @ solved).to(head.dtype)
