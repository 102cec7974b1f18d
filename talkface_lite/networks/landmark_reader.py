"""Where the landmarks of a frame are, read off its code: a task beside painting, in the loss alone (ours)."""

import torch
from torch import Tensor, nn

from talkface_lite.clip import N_POINTS
from talkface_lite.networks.layers import full_precision

REMEMBERED = 0.99
"""Of running means, from one update to the next."""


class LandmarkReader(nn.Module):
    """How far the landmarks of a frame are from the photograph's: one linear layer.

    Its error is measured as Mahalanobis (1936) measures: in each direction in which landmarks vary, in
    standard deviations. In pixels lips and the turn of a head are all that pays: many points move far with
    them, and a few with a lid.

    Parameters
    ----------
    code:
        Length of a frame's code.
    ridge:
        px²: added to every variance by which a squared error is divided. Movements whose variance, summed
        over the points that take part, is far below it hardly count; above all variances, error is measured
        in pixels.
    """

    def __init__(self, code: int, ridge: float = 1.0) -> None:
        super().__init__()
        self.ridge = ridge
        self.read = nn.Linear(code, 2 * N_POINTS)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("products", torch.zeros(2 * N_POINTS, 2 * N_POINTS))

    def forward(self, code: Tensor) -> Tensor:
        """Codes ``(B, T, code)`` to movements from the photograph's landmarks, px, ``(B, T, 136)``."""
        return self.read(code).float()

    @property
    def variances(self) -> Tensor:
        """Of movements and between them, px², ``(136, 136)``: their products' running mean, and the ridge on
        the diagonal."""
        known = 1 - REMEMBERED ** self.updates.clamp(min=1)
        return self.products / known + self.ridge * torch.eye(len(self.products)).to(self.products)

    @torch.no_grad()
    def remember(self, moved: Tensor) -> None:
        """Movements of landmarks as they are, px, ``(N, 136)``, one update more."""
        with full_precision(moved.device):
            self.updates += 1
            self.products.mul_(REMEMBERED).add_((1 - REMEMBERED) * moved.T @ moved / len(moved))

    def error(self, read: Tensor, moved: Tensor) -> Tensor:
        """Squared Mahalanobis distance of movements ``(…, 136)`` read and true: ``(…)``.

        Of movements not read at all about as many as there are directions in which landmarks vary.
        """
        with full_precision(read.device):
            wrong = (read - moved).flatten(0, -2)  # (N, 136)
            scaled = torch.linalg.solve(self.variances, wrong.T).T  # (N, 136)
            return (wrong * scaled).sum(dim=-1).unflatten(0, read.shape[:-1])
