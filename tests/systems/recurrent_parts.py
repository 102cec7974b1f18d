"""Generators, critics and windows of words, small and made up, for the tests of the recurrent network."""

from dataclasses import replace

import numpy as np
import torch
from small_networks import SMALL_DISCRIMINATORS, SMALL_GENERATOR, SMALL_LIP_READER

from talkface_lite.data.needs import Batch
from talkface_lite.systems.recurrent import GeneratorPart, GeneratorPartConfig
from talkface_lite.systems.training_settings import TrainingSettings

SETTINGS = TrainingSettings(steps=6, batch_size=2, learning_rate=1e-2, checkpoint_every=2, log_every=1)


def make_part(seed=0, **options):
    """A generator with all three critics, unless some are left out."""
    torch.manual_seed(seed)
    names = [name for name in options if hasattr(SMALL_GENERATOR, name)]
    generator = replace(SMALL_GENERATOR, **{name: options.pop(name) for name in names})
    networks = {"discriminators": SMALL_DISCRIMINATORS, "lip_discriminator": SMALL_LIP_READER} | options
    part = GeneratorPart(GeneratorPartConfig(generator=generator, **networks)).train()
    with torch.no_grad():
        for parameter in part.generator.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)
    return part


def make_batch(n=3, frames=11, rows=35, seed=0):
    """Windows of people who say words; the last is short, and what it says is not known."""
    rng = np.random.default_rng(seed)
    mask = torch.ones(n, frames, dtype=torch.bool)
    mask[-1, 4:] = False
    example = torch.from_numpy(rng.uniform(30, 100, (n, 68, 2)).astype(np.float32))
    moved = torch.from_numpy(rng.normal(0, 2, (n, frames, 68, 2)).astype(np.float32))
    pictures = torch.from_numpy(rng.integers(0, 256, (n, frames, 128, 128, 3)).astype(np.uint8))
    pictures[~mask] = 0
    spoken = torch.zeros(n, frames, dtype=torch.bool)
    spoken[:-1, 2:8] = True
    word = torch.arange(n)
    word[-1] = -1
    return Batch(
        mfcc=torch.from_numpy(rng.standard_normal((n, frames, rows, 12)).astype(np.float32)),
        landmarks=example[:, None] + moved,
        example=example,
        mask=mask,
        pictures=pictures,
        photograph=pictures[:, 0].clone(),
        word=word,
        spoken=spoken,
    )
