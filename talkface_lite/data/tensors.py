"""Pictures as networks see them, and back."""

import numpy as np
import torch
from torch import Tensor


def to_network(pictures: Tensor) -> Tensor:
    """uint8 ``(..., H, W, 3)`` → float32 ``(..., 3, H, W)`` in [-1, 1]."""
    return (pictures.float() / 127.5 - 1).movedim(-1, -3)


def to_pictures(frames: Tensor) -> np.ndarray:
    """float ``(..., 3, H, W)`` in [-1, 1] → uint8 ``(..., H, W, 3)``."""
    levels = ((frames.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.movedim(-3, -1).to(torch.uint8).cpu().numpy()
