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
from talkface_lite.landmarks import denormalise
from talkface_lite.networks.conv_gru import ConvGRU
from talkface_lite.networks.layers import (
    ConvOfStack,
    Everywhere,
    ResidualBlock,
    at_once,
    conv_block,
    each_frame,
    up_block,
)
from talkface_lite.networks.sizes import TwoSizes
from talkface_lite.networks.thin_plate import (
    WINDOW,
    between_the_lips,
    displacement,
    in_the_crop,
    unlike_gap,
    unrest,
    warp,
)

Recurrence = Literal["time", "batch", "off"]
RECURRENCES: tuple[str, ...] = get_args(Recurrence)
_GUIDES = 5
"""Maps that the last layers see: the moved photograph, where lips are apart, where not as far as in it."""


@dataclass(frozen=True, kw_only=True)
class VGNetConfig(TwoSizes):
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
    warp:
        Ours: the photograph is moved to the landmarks first, by thin plates, and VG-net paints on that. See
        :meth:`VGNet.paint_on_moved`.
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
    warp: bool = False

    def __post_init__(self) -> None:
        if self.warp and not self.pixel_attention:
            raise InputError("pixel_attention", "off, with a warp", "on: nobody would see what is moved")
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
        """The same structure for a laptop: 2.7 M parameters, with a warp 1.7 M."""
        widths = {
            "image": (16, 32, 64, 96, 128),
            "landmark": (64, 128),
            "attention": (64, 32),
            "fused": 96,
            "memory": 96,
            "decoder": (96, 64, 32, 16),
            "dropout": 0.0,
        }
        if changes.get("warp"):
            widths["blocks"] = 3
        return cls(**(widths | changes))


class Frames(NamedTuple):
    """What VG-net gives, all float.

    Parameters
    ----------
    frames:
        ``(B, T, 3, 128, 128)`` in [-1, 1]: ``α·colour + (1 - α)·photo``, the photograph moved by ``flow``.
    alpha:
        ``(B, T, 1, 128, 128)`` in [0, 1]: how far each pixel is painted and not copied.
    colour:
        ``(B, T, 3, 128, 128)`` in [-1, 1]: what is painted.
    attention:
        ``(B, T, 1, 32, 32)`` in [0, 1]: Eq. 6, where the memory speaks and not the photograph.
    flow:
        ``(B, T, 2, 128, 128)``, pixels: how far from each pixel, in x and y, it is found in the photograph.
        Zeros in the paper's way.
    """

    frames: Tensor
    alpha: Tensor
    colour: Tensor
    attention: Tensor
    flow: Tensor


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
    points: Tensor
    """``p_p``, (B, 68, 2), pixels of the crop."""


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
        if config.warp:
            self.refine = conv_block(d4 + _GUIDES, d4)
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
        return Photograph(
            photo, middle, deep, *self.read(example), denormalise(example).unflatten(-1, (68, 2))
        )

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
        shape_p, deep_p = (
            each_frame(part, n_frames) for part in (seen.shape, seen.deep_shape)
        )  # → (B·T, ...)
        shape_t, deep_t = self.read(landmarks.flatten(0, 1))  # (B·T, 136) → (B·T, l1 and l2, 8, 8)

        # Eq. 5; the photograph's part has no time
        v2 = self.fuse((seen.deep, deep_t - deep_p))  # (B, i5, 8, 8) ⊕ (B·T, l2, 8, 8) → (B·T, fused, 8, 8)
        memory, state = self.remember(v2.unflatten(0, (n_batch, n_frames)), state)  # → (B, T, memory, 8, 8)
        crnn = self.decode_middle(memory.flatten(0, 1))  # (B·T, memory, 8, 8) → (B·T, d2, 32, 32)
        # Eq. 6
        att = self.attention(torch.cat((shape_t, shape_p), dim=1))  # (B·T, l1 + l1, 8, 8) → (B·T, 1, 32, 32)
        if self.config.warp:
            return self.paint_on_moved(seen, landmarks, crnn, att), state
        # Eq. 7
        middle = each_frame(seen.middle, n_frames)  # (B, d2, 32, 32) → (B·T, d2, 32, 32)
        v1 = crnn * att + middle * (1 - att)  # (B·T, d2, 32, 32)

        features = self.decode(v1)  # (B·T, d2, 32, 32) → (B·T, d4, 128, 128)
        heads = at_once(features, self.colour, self.alpha)  # → (B·T, 3 and 1, 128, 128)
        colour, alpha, att = (m.unflatten(0, (n_batch, n_frames)) for m in (*heads, att.float()))
        frames = alpha * colour + (1 - alpha) * seen.image[:, None]  # (B, T, 3, 128, 128)
        unmoved = frames.new_zeros(1).expand(n_batch, n_frames, 2, *frames.shape[3:])
        return Frames(frames, alpha, colour, att, unmoved), state

    def paint_on_moved(self, seen: Photograph, landmarks: Tensor, crnn: Tensor, att: Tensor) -> Frames:
        """Eq. 7 and what follows it, on a photograph that has been moved to the landmarks (ours).

        A face that is painted over another leaves it behind: a ghost of the old lip, a chin that stays. So
        lips and chin are moved as they are, by :mod:`~talkface_lite.networks.thin_plate`, and painted is what
        no photograph with closed lips can show. ``i′_p`` of Eq. 7 moves along. The last layers are shown the
        moved photograph and where the frame's lips are apart.

        Colours are told as differences to the moved photograph, so that its light and its lips are in them:
        a network that has seen drawings alone does not know how dark a mouth is in someone's kitchen.

        Between lips that part there is nothing that could be moved, and where an open mouth closes there is
        too much: there α begins at 1, or as near to it as the gaps of photograph and frame are unlike, see
        :func:`~talkface_lite.networks.thin_plate.unlike_gap`. The network adds to that where it likes. Left
        free it soon finds that next to nothing is wrong with the photograph, and learns no mouth.

        α is zero outside the region where a mouth and a chin can be, so only the window around that is
        decoded; and it is zero while the lips lie where the photograph has them, see
        :func:`~talkface_lite.networks.thin_plate.unrest`: in silence the film is the photograph.

        Parameters
        ----------
        seen:
            The photograph.
        landmarks:
            ``p_t``, ``(B, T, 136)``.
        crnn, att:
            ``(B·T, d2, 32, 32)`` and Eq. 6, ``(B·T, 1, 32, 32)``.
        """
        n_batch, n_frames = landmarks.shape[:2]
        points = denormalise(landmarks.float()).view(-1, 68, 2)  # (B, T, 136) → (B·T, 68, 2)
        example = each_frame(seen.points, n_frames)
        flow, region = displacement(example, points)  # (B·T, 2 and 1, h, w)
        moved = warp(seen.image, flow)  # (B, 3, 128, 128) → (B·T, 3, h, w)
        middle = warp(seen.middle, flow).to(crnn.dtype)  # (B, d2, 32, 32) → (B·T, d2, h/4, w/4)

        rows, columns = (slice(s.start // 4, s.stop // 4) for s in WINDOW)
        share = att[..., rows, columns]
        v1 = crnn[..., rows, columns] * share + middle * (1 - share)  # (B·T, d2, h/4, w/4)
        features = self.decode(v1)  # (B·T, d2, h/4, w/4) → (B·T, d4, h, w)
        wrong = unlike_gap(example, points)  # (B·T, 1, h, w)
        guides = torch.cat((moved, between_the_lips(points), wrong), dim=1).to(
            features.dtype
        )  # → (…, 5, h, w)
        features = self.refine(torch.cat((features, guides), dim=1))  # (B·T, d4, h, w)
        colour, alpha = at_once(features, self.colour, self.alpha)  # → (B·T, 3 and 1, h, w)
        colour = (moved + colour).clamp(-1, 1)
        alpha = (wrong + (1 - wrong) * alpha) * region * unrest(example, points)[:, None, None, None]
        painted = moved + alpha * (colour - moved)  # (B·T, 3, h, w)

        frames = each_frame(seen.image, n_frames).clone()
        frames[..., *WINDOW] = painted
        whole = (frames, in_the_crop(alpha), in_the_crop(colour), att.float(), in_the_crop(flow))
        return Frames(*(maps.unflatten(0, (n_batch, n_frames)) for maps in whole))

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
