"""VG-net: one photograph and a face's landmarks over time in, video out (ATVGnet, Eqs. 5 to 7).

Chen, Maddox, Duan, Xu: Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss, CVPR
2019, and its workshop text "Sound to Visual". Its middle is the MMCRNN, a multi-modal convolutional recurrent
network.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from talkface_lite.errors import InputError
from talkface_lite.networks.layers import ConvOfStack, Dropout, at_once, conv_block, each_frame, up_block
from talkface_lite.networks.winograd import WideConv2d

Recurrence = Literal["time", "batch", "off"]
RECURRENCES: tuple[str, ...] = get_args(Recurrence)


@dataclass(frozen=True, kw_only=True)
class VGNetConfig:
    """Widths of VG-net; the defaults are the paper's (``full``).

    Parameters
    ----------
    image:
        Outputs of the five convolutions of ``f_img``: three down to 32×32 (``i′_p``), two more to 8×8.
    landmark:
        Outputs of the two convolutions of ``f_lmark`` on its 8×8 map.
    attention:
        Outputs of the two transposed convolutions of Eq. 6.
    fused:
        Channels of ``v″_t`` (Eq. 5).
    memory:
        Channels of the conv-GRU and of the residual blocks behind it.
    blocks:
        Residual blocks.
    decoder:
        Outputs of the four transposed convolutions from 8×8 to 128×128. The second meets ``i′_p`` in Eq. 7
        and must have as many channels.
    dropout:
        In the residual blocks, while training.
    recurrence:
        Along which axis the conv-GRU remembers. ``"time"`` is the paper's. ``"batch"`` is what the released
        code does: it hands ``(B, T, ...)`` to a layer that takes its first axis for time, so frame t of one
        sample continues frame t of the sample before it, and with one sample nothing is remembered at all.
        ``"off"``: every frame starts from an empty memory.
    landmark_attention:
        False leaves Eq. 6 out: ``v′_t`` is the CRNN's output alone.
    pixel_attention:
        False leaves α out: every pixel is painted, none copied from the photograph.
    """

    image: tuple[int, int, int, int, int] = (64, 64, 128, 256, 512)
    landmark: tuple[int, int] = (256, 512)
    attention: tuple[int, int] = (256, 128)
    fused: int = 128
    memory: int = 512
    blocks: int = 9
    decoder: tuple[int, int, int, int] = (256, 128, 64, 32)
    dropout: float = 0.5
    recurrence: Recurrence = "time"
    landmark_attention: bool = True
    pixel_attention: bool = True

    def __post_init__(self) -> None:
        if self.recurrence not in RECURRENCES:
            raise InputError("recurrence", repr(self.recurrence), " or ".join(RECURRENCES))
        if self.decoder[1] != self.image[2]:
            raise InputError(
                "decoder", f"{self.decoder[1]} channels at 32×32", f"{self.image[2]}, as i′_p has (Eq. 7)"
            )

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The paper's widths: 58,355,781 parameters."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop: 2.7 M parameters."""
        widths = {
            "image": (16, 32, 64, 96, 128),
            "landmark": (64, 128),
            "attention": (64, 32),
            "fused": 96,
            "memory": 96,
            "decoder": (96, 64, 32, 16),
            "dropout": 0.0,
        }
        return cls(**(widths | changes))

    @classmethod
    def of_size(cls, size: str, **changes: object) -> Self:
        """``full`` or ``lite`` by name."""
        sizes = {"full": cls.full, "lite": cls.lite}
        if size not in sizes:
            raise InputError("size", repr(size), " or ".join(sizes))
        return sizes[size](**changes)


class Frames(NamedTuple):
    """What VG-net gives, all float.

    Parameters
    ----------
    frames:
        ``(B, T, 3, 128, 128)`` in [-1, 1]: ``α·colour + (1 - α)·photo``.
    alpha:
        ``(B, T, 1, 128, 128)`` in [0, 1]: how far each pixel is painted and not copied.
    colour:
        ``(B, T, 3, 128, 128)`` in [-1, 1]: what is painted.
    attention:
        ``(B, T, 1, 32, 32)`` in [0, 1]: Eq. 6, where the memory speaks and not the photograph.
    """

    frames: Tensor
    alpha: Tensor
    colour: Tensor
    attention: Tensor


class Photograph(NamedTuple):
    """What VG-net needs of the photograph, once for any number of frames."""

    image: Tensor
    """``i_p``, (B, 3, 128, 128)."""
    middle: Tensor
    """``i′_p``, (B, image[2], 32, 32)."""
    deep: Tensor
    """``f_img(i_p)``, (B, image[4], 8, 8)."""
    shape: Tensor
    """``f_lmark(p_p)`` of Eq. 6, (B, landmark[0], 8, 8)."""
    deep_shape: Tensor
    """``f_lmark(p_p)`` of Eq. 5, (B, landmark[1], 8, 8)."""


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are 3×3 convolutions of dilation 2.

    ``r, z = σ(W x + U h)``, ``n = tanh(W_n x + r ⊙ U_n h)``, ``h′ = (1 - z) ⊙ n + z ⊙ h``. The input's
    convolutions are done for all steps at once; only those of the memory walk through time.

    Parameters
    ----------
    n_in, n_memory:
        Channels of the input and of the memory.
    """

    def __init__(self, n_in: int, n_memory: int) -> None:
        super().__init__()
        self.from_input = nn.Conv2d(n_in, 3 * n_memory, kernel_size=3, padding=2, dilation=2)
        self.from_memory = nn.Conv2d(n_memory, 3 * n_memory, kernel_size=3, padding=2, dilation=2)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Input ``(B, T, n_in, H, W)``, state ``(B, n_memory, H, W)`` → memory of each step, the last one."""
        n_batch, n_steps = x.shape[:2]
        inputs = self.from_input(x.flatten(0, 1))  # (B, T, n_in, H, W) → (B·T, 3·n_memory, H, W)
        inputs = inputs.unflatten(0, (n_batch, n_steps))
        if state is None:
            state = inputs.new_zeros(n_batch, inputs.shape[2] // 3, *inputs.shape[3:])
        memory = []
        for t in range(n_steps):
            state = self.step(inputs[:, t], state)  # (B, 3·n_memory, H, W) → (B, n_memory, H, W)
            memory.append(state.movedim(1, -1))
        return torch.stack(memory, dim=1).movedim(-1, 2), state  # (B, T, n_memory, H, W), channels last

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step: ``W x`` ``(B, 3·n_memory, H, W)``, the memory ``h`` → ``h′``, ``(B, n_memory, H, W)``."""
        reset_x, update_x, new_x = inputs.chunk(3, dim=1)  # (B, 3·n_memory, H, W) → 3 of (B, n_memory, H, W)
        reset_h, update_h, new_h = self.from_memory(state).chunk(3, dim=1)  # (B, n_memory, H, W) → 3 of these
        r = torch.sigmoid(reset_x + reset_h)
        z = torch.sigmoid(update_x + update_h)
        n = torch.tanh(new_x + r * new_h)
        return (1 - z) * n + z * state  # (B, n_memory, H, W)


class ResidualBlock(nn.Module):
    """``x + BN(conv(dropout(ReLU(BN(conv(x))))))``, 3×3, without a nonlinearity after the sum."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            WideConv2d(width, width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            Dropout(dropout),
            WideConv2d(width, width, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` → the same."""
        return x + self.layers(x)


class Everywhere(nn.Module):
    """In the place of an attention that is left out: a share of 1 at each place, none of the photograph's."""

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` → ones, ``(N, 1, scale·H, scale·W)``."""
        return x.new_ones(len(x), 1, self.scale * x.shape[2], self.scale * x.shape[3])


class VGNet(nn.Module):
    """Landmarks and one photograph to video (Eqs. 5 to 7).

    ``v″_t = f_img(i_p) ⊕ (f_lmark(p_t) - f_lmark(p_p))``

    ``att_t = σ(f_lmark(p_t) ⊕ f_lmark(p_p))``

    ``v′_t = CRNN(v″_t) ⊙ att_t + i′_p ⊙ (1 - att_t)``

    and from ``v′_t`` a colour and a pixel attention α; the frame is ``α·colour + (1 - α)·i_p``.

    Here ``⊕`` lays maps on top of each other, and ``⊙`` multiplies place by place. All but the memory of the
    conv-GRU sees the ``B·T`` frames at once.

    Ours: landmarks are standardised per coordinate by two fixed buffers, ``landmark_mean`` and
    ``landmark_std`` (zeros and ones until :meth:`standardise` is called with the training set's), which
    travel with the weights. In these units a mouth that speaks moves its points by about 0.02, and a layer
    that starts from that learns of it last.

    Parameters
    ----------
    config:
        The widths; :meth:`VGNetConfig.full` and :meth:`VGNetConfig.lite`.
    """

    def __init__(self, config: VGNetConfig) -> None:
        super().__init__()
        self.config = config
        i1, i2, i3, i4, i5 = config.image
        l1, l2 = config.landmark
        a1, a2 = config.attention
        d1, d2, d3, d4 = config.decoder
        self.register_buffer("landmark_mean", torch.zeros(136))
        self.register_buffer("landmark_std", torch.ones(136))
        self.f_img_middle = nn.Sequential(
            nn.ReflectionPad2d(3),
            conv_block(3, i1, kernel_size=7, padding=0),  # 128×128
            conv_block(i1, i2, stride=2),  # 128 → 64
            conv_block(i2, i3, stride=2),  # 64 → 32
        )
        self.f_img = nn.Sequential(conv_block(i3, i4, stride=2), conv_block(i4, i5, stride=2))  # 32 → 8
        self.f_lmark_map = nn.Sequential(nn.Linear(136, 64), nn.ReLU(), nn.Unflatten(-1, (1, 8, 8)))
        self.f_lmark_shape = conv_block(1, l1)
        self.f_lmark = conv_block(l1, l2)
        self.attention = Everywhere(scale=4)  # 8 → 32
        if config.landmark_attention:
            self.attention = nn.Sequential(
                up_block(2 * l1, a1, bias=True),  # 8 → 16
                up_block(a1, a2, bias=True),  # 16 → 32
                nn.Conv2d(a2, 1, kernel_size=3, padding=1),
                nn.Sigmoid(),
            )
        self.fuse = nn.Sequential(
            ConvOfStack(i5 + l2, config.fused, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(config.fused),
            nn.ReLU(),
        )
        self.conv_gru = ConvGRU(config.fused, config.memory)
        self.decode_middle = nn.Sequential(
            *(ResidualBlock(config.memory, config.dropout) for _ in range(config.blocks)),
            up_block(config.memory, d1),  # 8 → 16
            up_block(d1, d2),  # 16 → 32
        )
        self.decode = nn.Sequential(up_block(d2, d3), up_block(d3, d4))  # 32 → 128
        self.colour = nn.Sequential(nn.Conv2d(d4, 3, kernel_size=7, padding=3), nn.Tanh())
        self.alpha = Everywhere()
        if config.pixel_attention:
            self.alpha = nn.Sequential(nn.Conv2d(d4, 1, kernel_size=7, padding=3), nn.Sigmoid())

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Set the fixed mean and standard deviation ``(136,)`` of the landmarks that the network will see."""
        self.landmark_mean.copy_(mean)
        self.landmark_std.copy_(std)

    def read(self, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """``f_lmark(p)``: as released it is not the same in both equations, but one layer deeper in Eq. 5.

        ``(N, 136)`` → ``(N, l1, 8, 8)`` for Eq. 6, ``(N, l2, 8, 8)`` for Eq. 5.
        """
        standard = (landmarks - self.landmark_mean) / self.landmark_std  # (N, 136)
        shape = self.f_lmark_shape(self.f_lmark_map(standard))  # (N, 136) → (N, 1, 8, 8) → (N, l1, 8, 8)
        return shape, self.f_lmark(shape)  # (N, l1, 8, 8) → (N, l2, 8, 8)

    def look(self, photo: Tensor, example: Tensor) -> Photograph:
        """All that depends on the photograph alone.

        Parameters
        ----------
        photo:
            ``i_p``, ``(B, 3, 128, 128)`` in [-1, 1].
        example:
            ``p_p``, ``(B, 136)``: the landmarks in it, ``(px - 64) / 64``.
        """
        middle = self.f_img_middle(photo)  # (B, 3, 128, 128) → (B, i3, 32, 32)
        deep = self.f_img(middle)  # (B, i3, 32, 32) → (B, i5, 8, 8)
        return Photograph(photo, middle, deep, *self.read(example))

    def forward(
        self,
        photo: Tensor | Photograph,
        example: Tensor | None,
        landmarks: Tensor,
        state: Tensor | None = None,
    ) -> tuple[Frames, Tensor]:
        """Frames of the face in the photograph, moved to each of the landmarks.

        Parameters
        ----------
        photo, example:
            As for :meth:`look`; or what it gave, and None.
        landmarks:
            ``p_t``, ``(B, T, 136)``, ``(px - 64) / 64``.
        state:
            What an earlier stretch of the same film left, ``(B, memory, 8, 8)``; None starts from zeros.

        Returns
        -------
        frames, state:
            See :class:`Frames`; and the conv-GRU's memory after the last frame.
        """
        seen = photo if isinstance(photo, Photograph) else self.look(photo, example)
        n_batch, n_frames = landmarks.shape[:2]
        per_photo = (seen.middle, seen.shape, seen.deep_shape)
        middle, shape_p, deep_p = (each_frame(part, n_frames) for part in per_photo)  # (B, ...) → (B·T, ...)
        shape_t, deep_t = self.read(landmarks.flatten(0, 1))  # (B·T, 136) → (B·T, l1 and l2, 8, 8)

        # Eq. 5; the photograph's part has no time
        v2 = self.fuse((seen.deep, deep_t - deep_p))  # (B, i5, 8, 8) ⊕ (B·T, l2, 8, 8) → (B·T, fused, 8, 8)
        memory, state = self.remember(v2.unflatten(0, (n_batch, n_frames)), state)  # → (B, T, memory, 8, 8)
        crnn = self.decode_middle(memory.flatten(0, 1))  # (B·T, memory, 8, 8) → (B·T, d2, 32, 32)
        # Eq. 6
        att = self.attention(torch.cat((shape_t, shape_p), dim=1))  # (B·T, l1 + l1, 8, 8) → (B·T, 1, 32, 32)
        # Eq. 7
        v1 = crnn * att + middle * (1 - att)  # (B·T, d2, 32, 32)

        features = self.decode(v1)  # (B·T, d2, 32, 32) → (B·T, d4, 128, 128)
        heads = at_once(features, self.colour, self.alpha)  # → (B·T, 3 and 1, 128, 128)
        colour, alpha, att = (m.unflatten(0, (n_batch, n_frames)) for m in (*heads, att.float()))
        frames = alpha * colour + (1 - alpha) * seen.image[:, None]  # (B, T, 3, 128, 128)
        return Frames(frames, alpha, colour, att), state

    def remember(self, fused: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The conv-GRU along the axis of the configuration, ``(B, T, fused, 8, 8)`` → memory, last state."""
        if self.config.recurrence == "time":
            return self.conv_gru(fused, state)
        if self.config.recurrence == "batch":
            memory, _ = self.conv_gru(fused.transpose(0, 1))
            return memory.transpose(0, 1), memory[:, -1]
        memory, _ = self.conv_gru(fused.flatten(0, 1).unsqueeze(1))
        memory = memory.squeeze(1).unflatten(0, fused.shape[:2])
        return memory, memory[:, -1]
