"""STL net: speech to landmarks, lips and head in two branches (attentional landmarks, Eqs. 4 to 6).

Wang, Wang, Sun, Liu, Liang, Li: Speech Driven Talking Head Generation via Attentional Landmarks Based
Representation, Interspeech 2020. No code was published. The paper gives the 512 and 256 features, the 42 and
100 numbers and "convolution, Batch-Normalization and ReLU"; the convolutions are ATVGnet's here, the depth
and width of the GRU are ours.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.networks.at_net import WINDOW, audio_layers
from talkface_lite.networks.layers import linear_relu
from talkface_lite.networks.lips_and_head import (
    HEAD,
    LIPS,
    PAPER_PIXELS,
    PLACES,
    Calibration,
    put_together,
    take_apart,
)
from talkface_lite.networks.sizes import TwoSizes

SCALE = 16.0
"""Pixels to one unit of what a branch sees of the template."""


@dataclass(frozen=True, kw_only=True)
class STLNetConfig(TwoSizes):
    """Widths of STL net; the defaults are the paper's where it has any (``full``).

    Parameters
    ----------
    channels:
        Outputs of the five convolutions of a branch.
    speech:
        Features of what is heard: "512-dimension vectors".
    template:
        Features of the template's points: "256-dimension features".
    hidden, layers:
        Units and depth of the GRU, ours.
    split:
        False learns all 68 points in one branch, uncalibrated: the paper's "w/o Splitnet".
    calibration:
        How nose tip and corners of the mouth are laid on the template's. ``"affine"`` meets all three, and
        takes the width of the lips out of their branch; ``"similarity"`` leaves it there.
    residual:
        Ours: what comes out says how far points are from the photograph's. False says where they are.
    """

    channels: tuple[int, int, int, int, int] = (64, 128, 256, 256, 512)
    speech: int = 512
    template: int = 256
    hidden: int = 256
    layers: int = 1
    split: bool = True
    calibration: Calibration = "affine"
    residual: bool = True

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The paper's widths."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        widths = {
            "channels": (16, 32, 64, 64, 128),
            "speech": 192,
            "template": 64,
            "hidden": 192,
        }
        return cls(**(widths | changes))


class Said(NamedTuple):
    """Points of each frame as the branches give them, clip pixels; without a split all in ``whole``."""

    lips: Tensor | None
    """``(B, T, 21, 2)``, calibrated."""
    head: Tensor | None
    """``(B, T, 50, 2)``."""
    whole: Tensor | None = None
    """``(B, T, 68, 2)``."""


State = tuple[Tensor, ...]
"""The memory of each branch, ``(layers, B, hidden)``."""


class Branch(nn.Module):
    """One branch: ``FC(GRU(f_a(A) ⊕ f(template)))`` (Eq. 4; the paper's Eq. 5 has the template outside of the
    GRU, its text calls the branches similar: inside).

    Parameters
    ----------
    config:
        Widths.
    n_points:
        Of the template and of each frame.
    """

    def __init__(self, config: STLNetConfig, n_points: int) -> None:
        super().__init__()
        self.f_a = nn.Sequential(
            *audio_layers(config.channels), linear_relu((12 * 2 * config.channels[-1], config.speech))
        )
        self.f_template = linear_relu((2 * n_points, config.template))
        self.gru = nn.GRU(config.speech + config.template, config.hidden, config.layers, batch_first=True)
        self.out = nn.Linear(config.hidden, 2 * n_points)

    def forward(self, windows: Tensor, template: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Points for each window.

        Parameters
        ----------
        windows:
            Standardised MFCC ``(B, T, 28, 12)``.
        template:
            ``(B, N, 2)`` in units of :data:`SCALE` pixels.
        state:
            What an earlier stretch left, ``(layers, B, hidden)``; None starts from zeros.

        Returns
        -------
        points, state:
            ``(B, T, N, 2)``, pixels of the paper's crop of 300, and the GRU's memory after the last frame.
        """
        n_frames = windows.shape[1]
        heard = self.f_a(windows.flatten(0, 1).unsqueeze(1))  # (B·T, 1, 28, 12) → (B·T, speech)
        heard = heard.unflatten(0, (-1, n_frames))  # → (B, T, speech)
        face = self.f_template(template.flatten(1))  # (B, N, 2) → (B, 2·N) → (B, template)
        face = face.unsqueeze(1).expand(-1, n_frames, -1)  # → (B, T, template)
        memory, state = self.gru(torch.cat((heard, face), dim=-1), state)  # → (B, T, hidden)
        return self.out(memory).unflatten(-1, (-1, 2)), state  # (B, T, hidden) → (B, T, N, 2)


class STLNet(nn.Module):
    """Speech and one face's landmarks to landmarks over time (Eqs. 4 to 6).

    ``R_mouth:t = Φ(GRU(f_a1(A:t), R_template_mouth))``

    ``R_head:t = Ψ(GRU(f_a2(A:t), R_template_head))``

    ``R_full:t = R_mouth:t ⊕ R_head:t``

    The template is the photograph's own face. Ours: MFCC are standardised by two fixed buffers, as in AT-net;
    branches say how far points are from the template's (``residual``), in pixels of the paper's 300.

    Parameters
    ----------
    config:
        The widths.
    """

    def __init__(self, config: STLNetConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mfcc_mean", torch.zeros(WINDOW[1]))
        self.register_buffer("mfcc_std", torch.ones(WINDOW[1]))
        self.register_buffer("places", PLACES.float(), persistent=False)
        if config.split:
            self.lips, self.head = Branch(config, len(LIPS)), Branch(config, len(HEAD))
        else:
            self.whole = Branch(config, N_POINTS)

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Set the fixed mean and standard deviation ``(12,)`` of the MFCC that the network will see."""
        self.mfcc_mean.copy_(mean)
        self.mfcc_std.copy_(std)

    def forward(self, mfcc: Tensor, template: Tensor, state: State | None = None) -> tuple[Said, State]:
        """Points of the face for each window.

        Parameters
        ----------
        mfcc:
            ``(B, T, 28, 12)``: the window of each frame, coefficients C1..C12.
        template:
            ``(B, 68, 2)``: the photograph's landmarks, pixels of the 128×128 head's frame.
        state:
            What an earlier stretch of the same speech left; None starts from zeros.

        Returns
        -------
        said, state:
            See :class:`Said`; and the memories after the last frame.
        """
        windows = (mfcc - self.mfcc_mean) / self.mfcc_std  # (B, T, 28, 12)
        if not self.config.split:
            whole, memory = self._say(self.whole, windows, template, CROP_SIZE / 2, state and state[0])
            return Said(None, None, whole), (memory,)  # (B, T, 68, 2)
        apart = take_apart(template, self.config.calibration)  # (B, 21, 2), (B, 50, 2)
        first, second = state or (None, None)
        lips, first = self._say(self.lips, windows, apart.lips, self.places.mean(dim=0), first)
        head, second = self._say(self.head, windows, apart.head, CROP_SIZE / 2, second)
        return Said(lips, head), (first, second)  # (B, T, 21, 2), (B, T, 50, 2)

    def _say(
        self,
        branch: Branch,
        windows: Tensor,
        template: Tensor,
        middle: Tensor | float,
        state: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """A branch's points, clip pixels: those of the template moved, or where they are."""
        said, state = branch(windows, (template - middle) / SCALE, state)  # (B, T, N, 2), 300 px
        start = template[:, None] if self.config.residual else middle
        return start + said.float() / PAPER_PIXELS, state

    def joined(self, said: Said) -> Tensor:
        """Eq. 6: ``(B, T, 68, 2)``, clip pixels."""
        if said.whole is not None:
            return said.whole
        return put_together(said.lips, said.head, self.config.calibration)
