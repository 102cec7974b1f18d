"""AT-net: speech and one face's PCA coefficients in, the face's coefficients over time out (ATVGnet, Eq. 3).

Chen, Maddox, Duan, Xu: Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss, CVPR
2019, and its workshop text "Sound to Visual".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor, nn

from talkface_lite.networks.layers import conv_block, linear_relu
from talkface_lite.networks.sizes import TwoSizes

State = tuple[Tensor, Tensor]
"""Hidden and cell units of the LSTM, each ``(layers, B, hidden)``: the paper's ``c_t``."""

WINDOW = (28, 12)
"""MFCC rows (280 ms) and coefficients (C1..C12) of one window."""


ATVGNET_BOOST = (1.0, 2.2, 2.4, 2.6, 2.8, 3.0)
"""The boost ω of ATVGnet's demo, chosen by hand and used when sampling, never in training. Its test script
uses (1, 2.4, 2.8, 3.2, 3.6, 4.0) instead. Ours is none: ω = 1."""


@dataclass(frozen=True, kw_only=True)
class ATNetConfig(TwoSizes):
    """Widths of AT-net; the defaults are the paper's (``full``).

    Parameters
    ----------
    components:
        PCA coefficients of a face.
    channels:
        Outputs of the five convolutions of ``f_audio``.
    audio:
        Outputs of its two fully connected layers.
    landmark:
        Outputs of the two layers of ``f_lmark`` (unused without recurrence).
    hidden, layers:
        Units and depth of the LSTM (unused without recurrence).
    recurrent:
        False gives the paper's comparison without a memory, released as ``AT_single``: the audio network
        alone, without batch normalisation and without the face; each frame is a function of its own window
        only.
    """

    components: int = 6
    channels: tuple[int, int, int, int, int] = (64, 128, 256, 256, 512)
    audio: tuple[int, int] = (2048, 256)
    landmark: tuple[int, int] = (256, 512)
    hidden: int = 256
    layers: int = 3
    recurrent: bool = field(default=True, metadata={"flag": "lstm"})

    @classmethod
    def full(cls, *, recurrent: bool = True) -> Self:
        """The paper's widths: 30,071,750 parameters (27,833,862 without recurrence)."""
        return cls(recurrent=recurrent)

    @classmethod
    def lite(cls, *, recurrent: bool = True) -> Self:
        """The same structure for a laptop: 0.90 M parameters (0.43 M without recurrence)."""
        return cls(
            channels=(8, 16, 32, 32, 64),
            audio=(256, 128),
            landmark=(64, 128),
            hidden=128,
            recurrent=recurrent,
        )


def audio_layers(channels: Sequence[int], *, batch_norm: bool = True) -> list[nn.Module]:
    """The convolutions of ``f_audio``: ``(N, 1, 28, 12)`` → ``(N, 12·2·channels[4])``."""
    c1, c2, c3, c4, c5 = channels
    return [
        conv_block(1, c1, batch_norm=batch_norm),
        conv_block(c1, c2, batch_norm=batch_norm),
        nn.MaxPool2d(kernel_size=3, stride=(1, 2)),  # 28×12 → 26×5
        conv_block(c2, c3, batch_norm=batch_norm),
        conv_block(c3, c4, batch_norm=batch_norm),
        conv_block(c4, c5, batch_norm=batch_norm),
        nn.MaxPool2d(kernel_size=3, stride=(2, 2)),  # 26×5 → 12×2
        nn.Flatten(),
    ]


class ATNet(nn.Module):
    """Speech to PCA coefficients of a face (Eq. 3).

    ``[h_t, c_t] = φ_lmark(LSTM(f_audio(a_t), f_lmark(h_p), c_{t-1}))``

    The audio network sees all ``B·T`` windows at once; only the LSTM walks through time.

    Ours: MFCC are standardised per coefficient by two fixed buffers, ``mfcc_mean`` and ``mfcc_std`` (zeros
    and ones until :meth:`standardise` is called with the training set's), which travel with the weights. The
    first convolution has no bias before its batch normalisation, so this changes the scale on which it
    starts, not what it can learn.

    Initial weights are PyTorch's defaults. The paper draws every layer from a normal distribution with
    standard deviation 0.2 (its code: 0.02 for convolutions); in the fully connected layer of 12,288 inputs
    0.2 multiplies the scale of its input by about 16.

    Parameters
    ----------
    config:
        The widths; :meth:`ATNetConfig.full` and :meth:`ATNetConfig.lite`.
    """

    def __init__(self, config: ATNetConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mfcc_mean", torch.zeros(WINDOW[1]))
        self.register_buffer("mfcc_std", torch.ones(WINDOW[1]))
        self.f_audio = nn.Sequential(
            *audio_layers(config.channels, batch_norm=config.recurrent),
            linear_relu((12 * 2 * config.channels[-1], *config.audio)),
        )
        if config.recurrent:
            self.f_lmark = linear_relu((config.components, *config.landmark))
            self.lstm = nn.LSTM(
                config.audio[-1] + config.landmark[-1], config.hidden, config.layers, batch_first=True
            )
        self.phi_lmark = nn.Linear(config.hidden if config.recurrent else config.audio[-1], config.components)

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Set the fixed mean and standard deviation ``(12,)`` of the MFCC that the network will see."""
        self.mfcc_mean.copy_(mean)
        self.mfcc_std.copy_(std)

    def listen(self, mfcc: Tensor) -> Tensor:
        """``f_audio(a_t)`` of every window: MFCC ``(B, T, 28, 12)`` → features ``(B, T, audio[-1])``."""
        n_batch, n_frames = mfcc.shape[:2]
        windows = (mfcc - self.mfcc_mean) / self.mfcc_std  # (B, T, 28, 12)
        features = self.f_audio(windows.flatten(0, 1).unsqueeze(1))  # (B·T, 1, 28, 12) → (B·T, audio)
        return features.unflatten(0, (n_batch, n_frames))  # (B·T, audio) → (B, T, audio)

    def forward(self, mfcc: Tensor, h_p: Tensor, state: State | None = None) -> tuple[Tensor, State | None]:
        """Coefficients of the face for each window.

        Parameters
        ----------
        mfcc:
            ``(B, T, 28, 12)``: the window of each frame, coefficients C1..C12.
        h_p:
            ``(B, components)``: the PCA coefficients of the example face.
        state:
            What an earlier stretch of the same speech left; None starts from zeros.

        Returns
        -------
        h, state:
            Coefficients ``(B, T, components)`` and the LSTM's state after the last frame (None without
            recurrence).
        """
        audio = self.listen(mfcc)  # (B, T, 28, 12) → (B, T, audio)
        if not self.config.recurrent:
            return self.phi_lmark(audio), None  # (B, T, audio) → (B, T, components)
        face = self.f_lmark(h_p)  # (B, components) → (B, landmark)
        face = face.unsqueeze(1).expand(-1, audio.shape[1], -1)  # (B, landmark) → (B, T, landmark)
        memory, state = self.lstm(
            torch.cat((audio, face), dim=-1), state
        )  # (B, T, audio+landmark) → (B, T, hidden)
        return self.phi_lmark(memory), state  # (B, T, hidden) → (B, T, components)
