"""STL nets, LTV nets and windows of moving heads, small, for the tests of attentional landmarks."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from small_networks import SMALL_LTV_NET, SMALL_PATCHES, SMALL_STL_NET

from talkface_lite.data.needs import Batch
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import align
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.attentional import LTVNetPart, LTVNetPartConfig, STLNetPart, STLNetPartConfig
from talkface_lite.systems.training_settings import TrainingSettings

SETTINGS = TrainingSettings(steps=6, batch_size=2, learning_rate=1e-2, checkpoint_every=2, log_every=1)
FACE: np.ndarray = align(ShapePCA.pretrained().decode(np.zeros(6, np.float32)), WHOLE_HEAD)[0].astype(float)
"""The mean face in the head's frame, as a photograph is cut, float64 ``(68, 2)``."""


def moved_heads(n, seed=0):
    """float32 ``(n, 68, 2)``: the mean face turned, scaled, shifted, and each point by itself."""
    rng = np.random.default_rng(seed)
    angles, sizes = rng.uniform(-0.15, 0.15, n), rng.uniform(0.9, 1.1, n)
    turn = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    places = 64 + rng.normal(0, 3, (n, 1, 2)) + sizes[:, None, None] * ((FACE - 64) @ turn)
    return (places + rng.normal(0, 0.7, (n, 68, 2))).astype(np.float32)


def photograph(side=128, seed=0):
    """uint8: soft colours."""
    rough = np.random.default_rng(seed).uniform(0, 255, (8, 8, 3)).astype(np.float32)
    return cv2.resize(rough, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def some_speech(n_frames, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(640 * n_frames)).astype(np.float32)


def alive(module):
    """Its normalisations are not those of the beginning."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
    return module.eval()


def make_stl(seed=3, memory=2.0, **options):
    """What it hears moves a face by pixels."""
    torch.manual_seed(seed)
    names = [name for name in options if hasattr(SMALL_STL_NET, name)]
    net = replace(SMALL_STL_NET, **{name: options.pop(name) for name in names})
    part = STLNetPart(STLNetPartConfig(stl_net=net, **options))
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            for layer, factor in ((".f_a.", 3), (".f_template.", 3), (".gru.", memory), (".out.", 8)):
                if layer in name and (parameter.dim() > 1 or "f_" not in layer):
                    parameter.mul_(factor)
    return alive(part)


def make_ltv(seed=0, **options):
    """With a discriminator, unless it is left out."""
    torch.manual_seed(seed)
    names = [name for name in options if hasattr(SMALL_LTV_NET, name)]
    net = replace(SMALL_LTV_NET, **{name: options.pop(name) for name in names})
    options = {"discriminator": SMALL_PATCHES} | options
    return alive(LTVNetPart(LTVNetPartConfig(ltv_net=net, **options)))


def make_batch(n=2, frames=4, side=None):
    """Windows of heads; the last is short, and where it ends there is nothing."""
    rng = np.random.default_rng(0)
    heads = torch.from_numpy(moved_heads(n * (frames + 1))).reshape(n, frames + 1, 68, 2)
    heads[:, 0] = torch.from_numpy(align(heads[:, 0], WHOLE_HEAD)[0])  # as photographs are cut
    mask = torch.ones(n, frames, dtype=torch.bool)
    mask[-1, -2:] = False
    landmarks = heads[:, 1:].clone()
    landmarks[~mask] = 0
    batch = {"landmarks": landmarks, "example": heads[:, 0].contiguous(), "mask": mask}
    batch["mfcc"] = torch.from_numpy(rng.standard_normal((n, frames, 28, 12)).astype(np.float32))
    if side:
        seen = [[photograph(side, 9 * i + t) for t in range(frames)] for i in range(n)]
        batch["pictures"] = torch.from_numpy(np.array(seen))
        batch["pictures"][~mask] = 0
        batch["photograph"] = torch.from_numpy(np.array([photograph(side, 77 + i) for i in range(n)]))
    return Batch(**batch)


def changed_where_nothing_is(batch, by=float("nan")):
    """The same batch with other numbers behind the ends of its films."""
    landmarks = batch.landmarks.clone()
    landmarks[~batch.mask] = by
    changes = {"landmarks": landmarks}
    if batch.pictures is not None:
        changes["pictures"] = batch.pictures.clone()
        changes["pictures"][~batch.mask] = 200
    return replace(batch, **changes)


def weights_of(module):
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])
