"""A fifth paper, as small as one can be: speech brightens the photograph, more or less, and so does noise."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from talkface_lite.data.needs import Needs
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.base import Stretch, System
from talkface_lite.systems.part import Part


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Settings of the toy.

    Parameters
    ----------
    noise:
        How strong the noise is.
    """

    noise: float = 0.1


class ToyPart(Part):
    system, name, network_names = "toy", "speech-to-light", ("light",)
    config_class, needs, defaults = ToyConfig, Needs(pictures=True, window=4), {"batch_size": 2}

    def __init__(self, config):
        super().__init__(config)
        self.light = nn.Linear(28 * 12, 1)

    def forward(self, mfcc, photo):
        level = self.light(mfcc.flatten(2)) + self.config.noise * torch.randn(*mfcc.shape[:2], 1)
        return photo[:, None] / 255 + 0.01 * level.tanh()[..., None, None]  # (B, T, side, side, 3)

    def losses(self, batch):
        error = (self(batch.mfcc, batch.photograph) - batch.pictures / 255).square().mean((2, 3, 4))
        return {"loss": (error * batch.mask).sum() / batch.mask.sum()}


class Toy(System):
    name, parts = "toy", (ToyPart,)

    @torch.inference_mode()
    def film(self, face, speech, rng):
        torch.manual_seed(int(rng.integers(2**31)))
        mfcc, photo = torch.from_numpy(mfcc_windows(speech)), torch.from_numpy(face.picture.copy())
        for some in mfcc.split(50):
            made = self.part("speech-to-light")(some[None], photo[None])[0]
            yield Stretch((255 * made).clamp(0, 255).to(torch.uint8).numpy().astype(np.uint8))
