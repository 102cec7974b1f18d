"""What sound and frames each say of latent matching's hidden variable (Eq. 3), and what follows from a draw.

Yadav, Sardana, Namboodiri, Hegde: Stochastic Talking Face Generation Using Latent Distribution Matching,
Interspeech 2020.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from talkface_lite.networks.at_net import WINDOW
from talkface_lite.networks.layers import FrameNorm, conv_block, full_precision, linear_relu, normed, plus

LOGVAR_RANGE = (-10.0, 10.0)
"""Of every log-variance: σ from 0.007 to 148."""


class Gaussian(NamedTuple):
    """A normal distribution with diagonal covariance: ``mean`` and ``logvar``, ln σ², float32, alike."""

    mean: Tensor
    logvar: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """``z = μ + σ ⊙ ε`` (the reparameterisation trick of Kingma and Welling, 2014)."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise


State = tuple[Tensor, Tensor]
"""Hidden and cell units of an LSTM, each ``(layers, N, hidden)``."""


class GaussianLSTM(nn.Module):
    """A posterior ``q(z_t | ·)`` of Eq. 3: codes over time to means and log-variances.

    In float32 whatever precision is around: a step takes little time, and a variance is an exponential.

    Parameters
    ----------
    n_in, hidden, z:
        Lengths of what comes in, of the memory, and of the hidden variable.
    memory:
        False: a fully connected layer in the LSTM's place.
    norm_codes, norm_means, around:
        Batch normalisation, over people and time, of what comes in and of the means; a path round the memory:
        see :class:`~talkface_lite.networks.latent_matching.LatentMatchingConfig`.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        z: int,
        *,
        memory: bool = True,
        norm_codes: bool = False,
        norm_means: bool = False,
        around: bool = False,
    ) -> None:
        super().__init__()
        self.norm_codes = FrameNorm(n_in, affine=False) if norm_codes else None
        self.norm_means = FrameNorm(z, affine=False) if norm_means else None
        self.embed = nn.Linear(n_in, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True) if memory else None
        self.on = None if memory else nn.Sequential(nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.mean, self.logvar = nn.Linear(hidden, z), nn.Linear(hidden, z)
        self.around = nn.Linear(n_in, z, bias=False) if around else None

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Gaussian, State | None]:
        """``(B, T, n_in)`` and what an earlier stretch left → ``(B, T, z)`` twice, and the state after it."""
        with full_precision(codes.device):
            codes = normed(codes.float(), self.norm_codes)  # (B, T, n_in)
            x = self.embed(codes)  # → (B, T, hidden)
            if self.lstm is None:
                x = self.on(x)
            else:
                x, state = self.lstm(x, state)
            mean = plus(self.mean(x), self.around, codes)  # (B, T, hidden) → (B, T, z)
            logvar = self.logvar(x).clamp(*LOGVAR_RANGE)  # (B, T, hidden) → (B, T, z)
            return Gaussian(normed(mean, self.norm_means), logvar), state


class FramePredictor(nn.Module):
    """The LSTM between ``z_t`` and the decoder: ``g_t = tanh(LSTM(h ⊕ z_t))``, ``h`` the code of a picture.

    Parameters
    ----------
    code, z, hidden, layers:
        Lengths and depth.
    around:
        A path for ``z`` round the LSTM, under the same tanh: ``g_t = tanh(LSTM(h ⊕ z_t) + W z_t)``.
    """

    def __init__(self, code: int, z: int, hidden: int, layers: int, *, around: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(code + z, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
        self.last = nn.Sequential(nn.Linear(hidden, code), nn.Tanh())
        self.around = nn.Linear(z, code, bias=False) if around else None

    def forward(self, codes: Tensor, z: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """``(B, T, code)``, ``(B, T, z)`` and a state → ``(B, T, code)`` in [-1, 1] and the next state."""
        with full_precision(codes.device):
            x = self.embed(torch.cat((codes.float(), z), dim=-1))  # → (B, T, hidden)
            x, state = self.lstm(x, state)
            x = plus(self.last[0](x), self.around, z)  # → (B, T, code)
            return self.last[1](x), state


class AudioEncoder(nn.Module):
    """``h_a = Enc_a(a_t)`` (Eq. 3): a window of MFCC to a vector.

    ReLU after every convolution and, ours, batch normalisation before it: the released code has neither, so
    that each pair of its convolutions, before a pooling, is but one linear map.

    MFCC are standardised per coefficient by two fixed buffers, as AT-net's.

    Parameters
    ----------
    channels, hidden, code:
        Outputs of the four convolutions and of the two fully connected layers.
    """

    def __init__(self, channels: tuple[int, int, int, int], hidden: int, code: int) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.register_buffer("mfcc_mean", torch.zeros(WINDOW[1]))
        self.register_buffer("mfcc_std", torch.ones(WINDOW[1]))
        self.layers = nn.Sequential(
            conv_block(1, c1),
            conv_block(c1, c2),
            nn.MaxPool2d(kernel_size=3, stride=(1, 2)),  # 28×12 → 26×5
            conv_block(c2, c3),
            conv_block(c3, c4),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 26×5 → 12×2
            nn.Flatten(),
            linear_relu((12 * 2 * c4, hidden, code)),
        )

    def forward(self, mfcc: Tensor) -> Tensor:
        """``(B, T, 28, 12)`` → ``(B, T, code)``."""
        windows = (mfcc - self.mfcc_mean) / self.mfcc_std  # (B, T, 28, 12)
        return self.layers(windows.flatten(0, 1).unsqueeze(1)).unflatten(0, mfcc.shape[:2])  # (B, T, code)
