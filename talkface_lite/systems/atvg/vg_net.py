"""The second half of ATVGnet (Chen et al., CVPR 2019): landmarks and a photograph to video."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from talkface_lite.clip import check_photograph
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.landmarks import normalise
from talkface_lite.losses import dynamic_pixel_loss, landmark_mask, masked_mse, mouth_map, pixel_loss
from talkface_lite.networks.fast import for_inference
from talkface_lite.networks.regression_discriminator import (
    RegressionDiscriminator,
    RegressionDiscriminatorConfig,
)
from talkface_lite.networks.vg_net import Frames, VGNet, VGNetConfig
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.config import above_zero, not_negative, one_of
from talkface_lite.systems.filmed import frames_of
from talkface_lite.systems.part import Part, Workload, adam, plain_module
from talkface_lite.systems.training_settings import TrainingSettings

PixelLoss = Literal["dynamic", "l1"]

CHUNK_FRAMES = 50
"""Frames that are painted at once, 2 s: bounded memory for any speech."""


@dataclass(frozen=True, kw_only=True)
class VGNetPartConfig:
    """Settings of the second half.

    Parameters
    ----------
    vg_net:
        Widths of VG-net.
    discriminator:
        Widths of the regression discriminator; None trains without a discriminator.
    loss:
        ``"dynamic"``: Eq. 8. ``"l1"``: every pixel alike.
    base_weight:
        β of Eq. 8.
    stop_gradient:
        False lets the gradient through ᾱ of Eq. 8, too; in the paper ᾱ carries none.
    colour_weight:
        Ours, and of no help: weight of the plain L1 of the colour before it is mixed with the photograph.
        With α near zero, as it soon is, what is painted is not seen and hardly learns, and this term would
        have it learn. It learns a whole face, and the mouth last: in the ablation that the package holds
        (``Ablation.shipped("vg_net")``) no network with it had begun to speak when those that lacked it, and
        were the same otherwise, all had.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in the pixel losses; 0 is the paper's. In the
        same ablation 4 more than doubled what the film gains over a copy at the mouth.
    pixel_weight:
        Factor of the pixel loss in what the generator minimises; the released code has 10.
    score_weight:
        Factor of ``D_s`` in what the generator minimises; the released code has 1.
    landmark_weight:
        Factor of ``D_p`` in what the generator minimises; the released code has 1.
    discriminator_rate:
        The discriminator's learning rate; None takes VG-net's, as the paper does.
    landmark_mask:
        ``M_p`` of Eq. 9: ``"plain"`` weighs every coordinate alike, ``"released"`` y of the mouth's points
        more, ``"lips"`` (ours) x and y of them, see :func:`talkface_lite.losses.landmark_mask`.
    lip_weight:
        What ``M_p`` weighs the points of the mouth by. The released code has 100, which the square makes
        10,000: so much that the discriminator learns points and nothing else.
    """

    vg_net: VGNetConfig = field(default_factory=VGNetConfig)
    discriminator: RegressionDiscriminatorConfig | None = None
    loss: PixelLoss = "dynamic"
    base_weight: float = 0.5
    stop_gradient: bool = True
    colour_weight: float = 0.0
    mouth_weight: float = 0.0
    pixel_weight: float = 10.0
    score_weight: float = 1.0
    landmark_weight: float = 1.0
    landmark_mask: Literal["plain", "released", "lips"] = "lips"
    lip_weight: float = 10.0
    discriminator_rate: float | None = None

    def __post_init__(self) -> None:
        one_of(self, "loss", PixelLoss)
        not_negative(
            self,
            "base_weight",
            "colour_weight",
            "mouth_weight",
            "pixel_weight",
            "score_weight",
            "landmark_weight",
            "lip_weight",
        )
        above_zero(self, "discriminator_rate", optional=True)


class VGNetPart(Part):
    """VG-net, and while it trains the regression discriminator.

    Trained on true landmarks, apart from AT-net, so that AT-net's errors do not add to its own.

    Parameters
    ----------
    config:
        Widths and losses.
    """

    system: ClassVar[str] = "atvg"
    name: ClassVar[str] = "vg-net"
    formerly: ClassVar[str] = "atvg_video"
    config_class: ClassVar[type] = VGNetPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("vg_net", "discriminator")
    needs: Needs = Needs(pictures=True)
    figure: ClassVar[str] = "mouth_l1"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(
            steps=200, batch_size=4, learning_rate=1e-3, betas=(0.9, 0.999), schedule="cosine"
        ),
        data=DataSettings(window=8, closed_examples=0.5),
        config={"discriminator": None, "mouth_weight": 4.0},
        share=1.5,
    )
    """Short windows and no discriminator, as it was trained at first: a new judge has nothing to say yet. On
    ten sentences of one speaker of GRID a rate of 3e-4 gained less."""

    def __init__(self, config: VGNetPartConfig) -> None:
        super().__init__(config)
        self.vg_net = VGNet(config.vg_net)
        self.discriminator = config.discriminator and RegressionDiscriminator(config.discriminator)
        self.register_buffer(
            "landmark_mask", landmark_mask(config.landmark_mask, config.lip_weight), persistent=False
        )
        self.to(memory_format=torch.channels_last)

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise landmarks by the training set's ``landmark_mean`` and ``landmark_std``, ``(136,)``."""
        names = ("landmark_mean", "landmark_std")
        self.vg_net.standardise(*(torch.as_tensor(statistics[name]) for name in names))

    def optimizers(self, settings: TrainingSettings) -> dict[str, Optimizer]:
        """One Adam for each network; the discriminator's rate is its own."""
        rates = {"vg_net": settings.learning_rate, "discriminator": self.config.discriminator_rate}
        return {
            name: adam(network, rates[name] or settings.learning_rate, settings.betas)
            for name, network in self.networks().items()
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The pixel loss of a batch, without the discriminator; ``"pixel"`` is the plain L1."""
        truth, photo = to_network(batch.pictures), to_network(batch.photograph)
        made, _ = self.vg_net(photo, flat(batch.example), flat(batch.landmarks))
        return self._pixel_losses(made, truth, batch)

    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """L1 of the film over all pixels (``pixel``) and over those of the true mouth (``mouth_l1``)."""
        truth, photo = to_network(batch.pictures), to_network(batch.photograph)
        made, _ = self.vg_net(photo, flat(batch.example), flat(batch.landmarks))
        mouth = mouth_map(batch.landmarks)
        return {
            "pixel": pixel_loss(made.frames, truth, batch.mask),
            "mouth_l1": pixel_loss(made.frames, truth, batch.mask, counts=mouth)
            / pixel_loss(torch.ones_like(truth), torch.zeros_like(truth), batch.mask, counts=mouth),
        }

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update of the discriminator, then one of VG-net (Eq. 9, in turn).

        The discriminator learns: real film → 1, generated → 0, landmarks of both → the true ones. VG-net
        learns Eq. 8, to be taken for real, and that the discriminator finds the true landmarks in its film.
        """
        if self.discriminator is None:
            return super().training_step(batch, optimizers, backward)
        truth, photo, mask = to_network(batch.pictures), to_network(batch.photograph), batch.mask
        example, landmarks = flat(batch.example), flat(batch.landmarks)
        made, _ = self.vg_net(photo, example, landmarks)

        judge = self.discriminator
        real, real_points = judge(truth, example, mask)
        fake, fake_points = judge(made.frames.detach(), example, mask)
        told = {
            "d_real": F.binary_cross_entropy_with_logits(real, torch.ones_like(real)),
            "d_fake": F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
            "d_points_real": self._regression(real_points, landmarks, mask),
            "d_points_fake": self._regression(fake_points, landmarks, mask),
        }
        optimizers["discriminator"].zero_grad(set_to_none=True)
        backward(sum(told.values()))
        optimizers["discriminator"].step()

        losses = self._pixel_losses(made, truth, batch)
        judge = plain_module(self.discriminator)  # nothing of it is to be shared between devices now
        trainable = [parameter for parameter in judge.parameters() if parameter.requires_grad]
        for parameter in trainable:
            parameter.requires_grad_(False)
        score, points = judge(made.frames, example, mask)
        losses["g_score"] = F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
        losses["g_points"] = self._regression(points, landmarks, mask)
        losses["loss"] = (
            losses["loss"]
            + self.config.score_weight * losses["g_score"]
            + self.config.landmark_weight * losses["g_points"]
        )
        optimizers["vg_net"].zero_grad(set_to_none=True)
        backward(losses["loss"])
        optimizers["vg_net"].step()
        for parameter in trainable:
            parameter.requires_grad_(True)
        return {name: loss.detach() for name, loss in (losses | told).items()}

    def _pixel_losses(self, made: Frames, truth: Tensor, batch: Batch) -> dict[str, Tensor]:
        plain, mask = pixel_loss(made.frames, truth, batch.mask), batch.mask
        counts = None
        if self.config.mouth_weight:
            counts = 1 + self.config.mouth_weight * mouth_map(batch.landmarks)
        if self.config.loss == "dynamic":
            loss = dynamic_pixel_loss(
                made.frames,
                truth,
                made.alpha,
                mask,
                base_weight=self.config.base_weight,
                stop_gradient=self.config.stop_gradient,
                counts=counts,
            )
        else:
            loss = pixel_loss(made.frames, truth, mask, counts=counts)
        if self.config.colour_weight:
            loss = loss + self.config.colour_weight * pixel_loss(made.colour, truth, mask, counts=counts)
        return {
            "loss": self.config.pixel_weight * loss,
            "pixel": plain.detach(),
            "alpha": pixel_loss(made.alpha.detach(), torch.zeros_like(made.alpha), mask),
        }

    def _regression(self, points: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The last two lines of Eq. 9, ``(B, T, 136)`` against ``(B, T, 136)``."""
        return masked_mse(points, truth, mask, weight=self.landmark_mask**2)

    @torch.inference_mode()
    def film(
        self,
        photo: np.ndarray,
        example: np.ndarray,
        landmarks: np.ndarray,
        *,
        chunk_frames: int = CHUNK_FRAMES,
    ) -> Iterator[Frames]:
        """Move the face of a photograph to landmarks, some frames at a time.

        Parameters
        ----------
        photo:
            uint8 RGB ``(128, 128, 3)``: the aligned crop.
        example:
            ``(68, 2)``: the landmarks in it, pixels of the crop.
        landmarks:
            ``(T, 68, 2)``: where they are to go.
        chunk_frames:
            Frames computed at once; the memory is carried from chunk to chunk, so the result does not depend
            on it, up to rounding.

        Yields
        ------
        Frames
            With ``B = 1``, on the weights' device, ``chunk_frames`` at a time.

        Raises
        ------
        InputError
            When the photograph is not a crop, or landmarks are not 68 points a frame of at least one frame.
        """
        check_photograph(photo, example, landmarks)
        if chunk_frames < 1:
            raise InputError("chunk_frames", chunk_frames, "at least 1")
        with self.evaluating():
            device = next(self.vg_net.parameters()).device
            image = to_network(torch.tensor(photo)[None].to(device))
            points = [np.asarray(p, np.float32) for p in (example[None], landmarks[None])]
            p_p, p_t = (flat(torch.from_numpy(p)).to(device) for p in points)
            seen, state = self.vg_net.look(image, p_p), None
            for start in range(0, p_t.shape[1], chunk_frames):
                made, state = self.vg_net(seen, None, p_t[:, start : start + chunk_frames], state)
                yield made

    def for_inference(self, precision: str = "auto") -> Self:
        """The same for :meth:`film` alone, faster; see :func:`talkface_lite.networks.fast.for_inference`."""
        fast = copy.copy(self)  # the configuration is shared, the networks are not
        vg_net = for_inference(self.vg_net, precision)
        fast._modules = {"vg_net": vg_net, "discriminator": None}
        return fast.eval()

    def generate(self, photo: np.ndarray, example: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As :meth:`film`, all at once: uint8 RGB ``(T, 128, 128, 3)``."""
        return frames_of(self.film(photo, example, landmarks))

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload:
        """Three ways to film, or two to train, see :mod:`talkface_lite.systems.atvg.timing`."""
        from talkface_lite.systems.atvg import timing

        return timing.training(wanted) if wanted.training else timing.filming(wanted)


def flat(landmarks: Tensor) -> Tensor:
    """Landmarks in pixels ``(..., 68, 2)`` → ``(..., 136)``, what networks see."""
    return normalise(landmarks).flatten(-2)
