"""The second half of attentional landmarks (Wang et al., Interspeech 2020): landmarks to video."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from talkface_lite.clip import HEAD, check_photograph
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.framing import HEAD_SCALE
from talkface_lite.losses import mean_at, mean_of_frames, mouth_map, pixel_loss
from talkface_lite.networks.landmark_drawing import drawn
from talkface_lite.networks.ltv_net import LTVFrames, LTVNet, LTVNetConfig
from talkface_lite.networks.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.adversaries import Criticism
from talkface_lite.systems.config import above_zero, not_negative, one_of
from talkface_lite.systems.part import Part, Workload, adam, plain_module
from talkface_lite.systems.training_settings import TrainingSettings

PixelLoss = Literal["mse", "l1"]

CHUNK_FRAMES = 16
"""Frames that are painted at once: bounded memory for any speech, and maps that a processor's cache holds."""

MOUTH_MARGIN = 4.0 * HEAD_SCALE
"""How far a mouth reaches beyond its points where its pixels count more, pixels of the head's frame."""


@dataclass(frozen=True, kw_only=True)
class LTVNetPartConfig:
    """Settings of the second half.

    Parameters
    ----------
    ltv_net:
        Widths of LTV net.
    discriminator:
        Widths of the patch discriminator; None trains without a discriminator.
    reconstruction:
        ``"mse"``: the paper's L_mse of Eq. 10. ``"l1"`` (ours): the mean absolute difference, which blurs
        less.
    reconstruction_weight:
        Of it. The paper adds its three losses as they are and gives no weights; 100 is that of Isola et al.
        (CVPR 2017), whose network this is.
    adversarial_weight:
        Of L_g of Eq. 10, what it costs not to be taken for real.
    discriminator_from:
        Updates of reconstruction alone before the discriminator joins.
    discriminator_rate:
        Its learning rate; None takes LTV net's, as the paper does.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in the reconstruction; 0 is the paper's.
    """

    ltv_net: LTVNetConfig = field(default_factory=LTVNetConfig)
    discriminator: PatchDiscriminatorConfig | None = field(default_factory=PatchDiscriminatorConfig)
    reconstruction: PixelLoss = "mse"
    reconstruction_weight: float = 100.0
    adversarial_weight: float = 1.0
    discriminator_from: int = 0
    discriminator_rate: float | None = None
    mouth_weight: float = 0.0

    def __post_init__(self) -> None:
        one_of(self, "reconstruction", PixelLoss)
        above_zero(self, "reconstruction_weight")
        not_negative(self, "adversarial_weight", "discriminator_from", "mouth_weight")
        above_zero(self, "discriminator_rate", optional=True)


class LTVNetPart(Part):
    """LTV net, and while it trains the patch discriminator.

    Trained on true landmarks, apart from STL net. "Modules in our framework are jointly trained", says the
    paper; landmarks that say where a head goes that nobody can foresee would then be held against a picture
    of where it went, and the network would learn to blur it.

    Parameters
    ----------
    config:
        Widths and losses.
    """

    system: ClassVar[str] = "attentional"
    name: ClassVar[str] = "ltv-net"
    config_class: ClassVar[type] = LTVNetPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("ltv_net", "discriminator")
    kept: ClassVar[tuple[str, ...]] = ("ltv_net",)
    needs: Needs = Needs(pictures=True, framing=HEAD, window=4)
    figure: ClassVar[str] = "mouth"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(
            steps=200, batch_size=8, learning_rate=1e-3, betas=(0.9, 0.999), schedule="cosine"
        ),
        data=DataSettings(closed_examples=0.5),
        config={"discriminator": None, "mouth_weight": 20.0, "reconstruction": "l1"},
        share=1.5,
    )

    def __init__(self, config: LTVNetPartConfig) -> None:
        super().__init__(config)
        self.ltv_net = LTVNet(config.ltv_net)
        asked = config.discriminator is not None and config.adversarial_weight > 0
        self.discriminator = PatchDiscriminator(config.discriminator) if asked else None
        self.needs = replace(type(self).needs, side=config.ltv_net.side)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.to(memory_format=torch.channels_last)

    def optimizers(self, settings: TrainingSettings) -> dict[str, Optimizer]:
        """One Adam for each network; the discriminator's rate is its own."""
        rates = {"ltv_net": settings.learning_rate, "discriminator": self.config.discriminator_rate}
        return {
            name: adam(network, rates[name] or settings.learning_rate, settings.betas)
            for name, network in self.networks().items()
        }

    def _made(self, batch: Batch) -> tuple[LTVFrames, Tensor]:
        """Frames of true landmarks, and the true frames, ``(B, T, 3, S, S)``."""
        made = self.ltv_net(to_network(batch.photograph), batch.example, batch.faces)
        return made, to_network(batch.pictures)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L_mse of a batch, or what stands for it; no discriminator is asked."""
        made, truth = self._made(batch)
        return self._reconstruction(made, truth, batch)

    def _reconstruction(self, made: LTVFrames, truth: Tensor, batch: Batch) -> dict[str, Tensor]:
        counts, squared = None, self.config.reconstruction == "mse"
        if self.config.mouth_weight:
            mouth = mouth_map(batch.faces, self.config.ltv_net.side, MOUTH_MARGIN)
            counts = 1 + self.config.mouth_weight * mouth
        loss = pixel_loss(made.frames, truth, batch.mask, counts=counts, squared=squared)
        plain = pixel_loss(made.frames.detach(), truth, batch.mask)
        return {"loss": self.config.reconstruction_weight * loss, "pixel": plain}

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update of the discriminator, then one of LTV net. Eq. 10 adds their losses; minimised as one
        sum, the discriminator's would have LTV net make it judge well: they learn in turns."""
        made, truth = self._made(batch)
        losses = self._reconstruction(made, truth, batch)
        if self.discriminator is not None and int(self.updates) >= self.config.discriminator_from:
            points = batch.landmarks[batch.mask]  # (N, 68, 2)
            lines = drawn(points, self.config.ltv_net.side)  # → (N, 3, S, S)
            films = truth[batch.mask], made.frames[batch.mask]  # (N, 3, S, S) each
            criticism = Criticism(optimizers, backward)
            cost = criticism.judged("discriminator", self.discriminator, *films, given=(lines,))
            losses["loss"] = losses["loss"] + self.config.adversarial_weight * cost
            losses |= criticism.told
        optimizers["ltv_net"].zero_grad(set_to_none=True)
        backward(losses["loss"])
        optimizers["ltv_net"].step()
        self.updates += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """How near its film of true landmarks is: squared error at the true ``mouth`` and everywhere,
        ``mse``, colours 0 to 1."""
        made, truth = self._made(batch)
        squared = ((made.frames - truth) / 2) ** 2
        mouth = mouth_map(batch.faces, self.config.ltv_net.side, MOUTH_MARGIN)
        return {
            "mouth": mean_at(squared, mouth, batch.mask),
            "mse": mean_of_frames(squared.mean(dim=(2, 3, 4)), batch.mask),
        }

    @torch.inference_mode()
    def film(
        self,
        photo: np.ndarray,
        example: np.ndarray,
        landmarks: np.ndarray,
        *,
        chunk_frames: int = CHUNK_FRAMES,
    ) -> Iterator[LTVFrames]:
        """Move the head of a photograph to landmarks, some frames at a time.

        Parameters
        ----------
        photo:
            uint8 RGB ``(S, S, 3)``: the head's frame, S of the configuration.
        example:
            ``(68, 2)``: the landmarks in it, pixels of the 128×128 frame.
        landmarks:
            ``(T, 68, 2)``: where they are to go.
        chunk_frames:
            Frames computed at once; nothing is remembered, so the result does not depend on it.

        Yields
        ------
        With ``B = 1``, on the weights' device, ``chunk_frames`` at a time.

        Raises
        ------
        InputError
            When the photograph has another side, landmarks are not 68 points a frame, or there is no frame.
        """
        check_photograph(photo, example, landmarks, self.config.ltv_net.side)
        if chunk_frames < 1:
            raise InputError("chunk_frames", chunk_frames, "at least 1")
        with self.evaluating():
            device = self.updates.device
            image = to_network(torch.tensor(photo)[None].to(device))
            own, points = (
                torch.from_numpy(np.asarray(p, np.float32)).to(device)
                for p in (example[None], landmarks[None])
            )
            seen = self.ltv_net.look(image, own)
            for start in range(0, points.shape[1], chunk_frames):
                yield self.ltv_net(seen, own, points[:, start : start + chunk_frames])

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload | None:
        """A film, three ways, see :mod:`talkface_lite.systems.attentional.timing`; to train, its own step."""
        if wanted.training:
            return super().workload(wanted)
        from talkface_lite.systems.attentional import timing

        return timing.filming(wanted)

    def for_inference(self, precision: str = "auto") -> Self:
        """The same for :meth:`film` alone, faster."""
        from talkface_lite.networks.fast_attentional import for_inference

        fast = copy.copy(self)  # the configuration is shared, the networks are not
        net = for_inference(plain_module(self.ltv_net), precision)
        fast._modules = {"ltv_net": net, "discriminator": None}
        return fast.eval()
