"""The regression discriminator: real or not, and where are its landmarks? (ATVGnet, Fig. 3 and Eq. 9)

Chen, Maddox, Duan, Xu: Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss, CVPR
2019, and its workshop text "Sound to Visual".
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from talkface_lite.networks.layers import conv_block, linear_relu
from talkface_lite.networks.sizes import TwoSizes


@dataclass(frozen=True, kw_only=True)
class RegressionDiscriminatorConfig(TwoSizes):
    """Widths of the discriminator; the defaults are the paper's (``full``).

    Parameters
    ----------
    image:
        Outputs of the four convolutions that halve a frame from 128×128 to 8×8.
    features:
        What a frame becomes after them.
    landmark:
        Outputs of the two layers that the example landmarks pass.
    hidden, layers:
        Units and depth of the LSTM.
    unused_decoder:
        False leaves out the two linear layers (594,568 numbers in ``full``) that the released code builds and
        never calls; with them its checkpoints fit and its parameter count agrees.
    """

    image: tuple[int, int, int, int] = (64, 128, 256, 512)
    features: int = 512
    landmark: tuple[int, int] = (256, 512)
    hidden: int = 256
    layers: int = 3
    unused_decoder: bool = True

    @classmethod
    def full(cls) -> Self:
        """The paper's widths: 21,491,473 parameters, of which 20,896,905 do anything."""
        return cls()

    @classmethod
    def lite(cls) -> Self:
        """The same structure for a laptop: 0.46 M parameters."""
        return cls(
            image=(16, 32, 64, 64),
            features=64,
            landmark=(64, 64),
            hidden=64,
            layers=2,
            unused_decoder=False,
        )


class RegressionDiscriminator(nn.Module):
    """A film and the example landmarks to a score of the whole film and landmarks of each frame (Fig. 3).

    ``D_p = tanh(W_p LSTM(...)) + p_p`` regresses the landmarks of every frame; ``D_s`` is the mean over time
    of ``W_s LSTM(...)``, a logit. The released code averages over exactly 16 frames; here over as many as
    there are.

    Parameters
    ----------
    config:
        The widths.
    """

    def __init__(self, config: RegressionDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4 = config.image
        self.f_img = nn.Sequential(
            conv_block(3, c1, stride=2, batch_norm=False),  # 128 → 64
            conv_block(c1, c2, stride=2),
            conv_block(c2, c3, stride=2),
            conv_block(c3, c4, stride=2),  # 16 → 8
            nn.Flatten(),
            linear_relu((c4 * 8 * 8, config.features)),
        )
        self.f_lmark = linear_relu((136, *config.landmark))
        self.lstm = nn.LSTM(
            config.features + config.landmark[-1], config.hidden, config.layers, batch_first=True
        )
        self.to_landmarks = nn.Sequential(nn.Linear(config.hidden, 136), nn.Tanh())
        self.to_score = nn.Linear(config.hidden, 1)
        if config.unused_decoder:
            joint = config.features + config.landmark[-1]
            self.decoder = nn.Sequential(nn.Linear(joint, joint // 2), nn.ReLU(), nn.Linear(joint // 2, 136))
            self.decoder.requires_grad_(False)

    def forward(self, frames: Tensor, example: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Judge a film.

        Parameters
        ----------
        frames:
            ``(B, T, 3, 128, 128)`` in [-1, 1].
        example:
            ``p_p``, ``(B, 136)``, ``(px - 64) / 64``.
        mask:
            bool ``(B, T)``: False marks padding behind the end of a clip; None: there is none.

        Returns
        -------
        score, landmarks:
            The logit of "real", ``(B,)``, and ``D_p``, ``(B, T, 136)`` in units of ``example``.
        """
        n_batch, n_frames = frames.shape[:2]
        seen = self.f_img(frames.flatten(0, 1))  # (B, T, 3, 128, 128) → (B·T, features)
        seen = seen.unflatten(0, (n_batch, n_frames))  # (B·T, features) → (B, T, features)
        face = self.f_lmark(example)  # (B, 136) → (B, landmark)
        face = face.unsqueeze(1).expand(-1, n_frames, -1)  # (B, landmark) → (B, T, landmark)
        memory, _ = self.lstm(torch.cat((seen, face), dim=-1))  # → (B, T, hidden)
        landmarks = self.to_landmarks(memory) + example.unsqueeze(1)  # (B, T, hidden) → (B, T, 136)
        scores = self.to_score(memory).squeeze(-1)  # (B, T, hidden) → (B, T)
        if mask is None:
            return scores.mean(dim=1), landmarks
        return (scores * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1), landmarks
