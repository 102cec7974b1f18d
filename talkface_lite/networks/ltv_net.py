"""LTV net: landmarks of a head that moves, and one photograph, to video.

Wang et al. ({cite}`wang2020attentional`, section 3.2, Eqs. 8 and 9): a U-Net in which a sigmoid of the
landmarks' features decides what is face, and a second branch brings the ground. The paper gives no sizes and
no code. The U-Net here is pix2pix's (Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional
Adversarial Networks, CVPR 2017); what else had to be chosen is ours and said where it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.clip import CROP_SIZE, N_POINTS, SIDES
from talkface_lite.errors import InputError
from talkface_lite.networks.frame_codec import FLOW, LITTLE, MOSTLY_MOVED, SLOPE
from talkface_lite.networks.head_warp import head_displacement, moved
from talkface_lite.networks.landmark_drawing import CHANNELS, drawn
from talkface_lite.networks.layers import Dropout, each_frame, looked_up
from talkface_lite.networks.sizes import TwoSizes

DROPPED = 3
"""Steps up, from the bottom, that dropout disturbs."""
SMALLEST_MOVED = 8
"""Side of the smallest maps that a warp moves: below that a head is two or three places wide."""


@dataclass(frozen=True, kw_only=True)
class LTVNetConfig(TwoSizes):
    """Widths of LTV net; the defaults are ``full`` at 128 pixels: pix2pix's, with fewer levels.

    Parameters
    ----------
    side:
        Of photograph and frames: 128 or 256 pixels. Landmarks are in pixels of the 128×128 frame with either.
    widths:
        Channels of the maps at ``side/2``, ``side/4``, ... in each branch; the smallest map is 2×2 or larger.
    dropout:
        In the first three steps up, while training.
    attention:
        False leaves out Eq. 9 and the branch of the ground: the paper's "w/o attention".
    warp:
        Ours: the photograph is moved to the landmarks first, and painted on. See :meth:`LTVNet.forward`.

    Raises
    ------
    InputError
        When the side is neither, or there are fewer than two levels or too many.
    """

    side: int = 128
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    dropout: float = 0.5
    attention: bool = True
    warp: bool = False

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise InputError("side", self.side, " or ".join(map(str, SIDES)))
        most = self.side.bit_length() - 2
        if not 2 <= len(self.widths) <= most:
            raise InputError("widths", f"{len(self.widths)} levels", f"2 to {most} at {self.side} pixels")

    @classmethod
    def full(cls, **changes: object) -> Self:
        """pix2pix's widths: 63.6 M parameters, without attention 51.5 M; at 256 pixels 89.0 M and 72.5 M."""
        deeper = (512,) if changes.get("side") == SIDES[1] else ()
        return cls(**({"widths": (64, 128, 256, 512, 512, 512, *deeper)} | changes))

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop: 1.9 M parameters, without attention 1.5 M; at 256 pixels 3.4 M and
        2.7 M."""
        deeper = (128,) if changes.get("side") == SIDES[1] else ()
        return cls(**({"widths": (16, 32, 64, 96, 128, *deeper), "dropout": 0.0} | changes))


class LTVFrames(NamedTuple):
    """What LTV net gives, all float32; S is the side of the pictures.

    Parameters
    ----------
    frames:
        ``(B, T, 3, S, S)`` in [-1, 1]: the finished pictures.
    colour:
        ``(B, T, 3, S, S)`` in [-1, 1]: what is painted. Without a warp that is the frames.
    alpha:
        ``(B, T, 1, S, S)`` in [0, 1]: how far each pixel is painted; None without a warp.
    flow:
        ``(B, T, 2, S, S)``: how far from each pixel, in x and y, lies what it shows of the photograph, pixels
        of these pictures; None without a warp.
    attention:
        ``(B, T, 1, S/2, S/2)`` in [0, 1]: the sigmoid of Eq. 9 at the first level, mean over the channels:
        where the face is taken from. None without attention.
    """

    frames: Tensor
    colour: Tensor
    alpha: Tensor | None
    flow: Tensor | None
    attention: Tensor | None


class Seen(NamedTuple):
    """What LTV net needs of B photographs, once for any number of frames."""

    image: Tensor
    """``(B, 3, S, S)`` in [-1, 1]."""
    points: Tensor
    """Its landmarks, ``(B, 68, 2)``, pixels of the 128×128 frame."""
    face: tuple[Tensor, ...]
    """``f_img`` at each level, ``(B, width, S/2, S/2)`` and so on downwards."""
    ground: tuple[Tensor, ...]
    """The same of the branch of the ground; empty without attention."""


class LevelEncoder(nn.Module):
    """The way down of a U-Net: 4×4 convolutions that halve, batch normalisation but in the first, LeakyReLU.

    Parameters
    ----------
    n_in:
        Channels of the picture.
    widths:
        Those of each level.
    """

    def __init__(self, n_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 4, 2, 1, bias=not level),
                *([nn.BatchNorm2d(b)] if level else []),
                nn.LeakyReLU(SLOPE),
            )
            for level, (a, b) in enumerate(pairwise((n_in, *widths)))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, n_in, S, S)`` → for each level ``(N, width, s, s)``, s = S/2, S/4, ..."""
        maps = []
        for level in self.levels:
            x = level(x)  # (N, width, s, s) → (N, next width, s/2, s/2)
            maps.append(x)
        return tuple(maps)


class UpOfStack(nn.ConvTranspose2d):
    """A 4×4 transposed convolution to twice the size, of maps laid on top of each other.

    Maps that many others share, as frames share a photograph, pass once and not for each of them.

    Parameters
    ----------
    n_in, n_out:
        Channels of the whole stack, and of what comes out.
    bias:
        Whether a number is added to each map.
    """

    def __init__(self, n_in: int, n_out: int, *, bias: bool = False) -> None:
        super().__init__(n_in, n_out, 4, 2, 1, bias=bias)

    def forward(self, stack: Sequence[Tensor]) -> Tensor:
        """Parts of the stack, ``(n, C, s, s)`` with an ``n`` that divides ``N`` → ``(N, n_out, 2s, 2s)``.

        A part with ``n < N`` counts ``N / n`` times in a row, as in
        :func:`~talkface_lite.networks.layers.each_frame`.
        """
        n_maps = max(map(len, stack))
        parts = list(zip(stack, self.weight.split([maps.shape[1] for maps in stack])))
        maps, weights = zip(*(part for part in parts if len(part[0]) == n_maps))
        total = self.of(torch.cat(maps, dim=1), torch.cat(weights), self.bias)  # (N, n_out, 2s, 2s)
        for maps, weight in parts:
            if len(maps) < n_maps:
                total = total + each_frame(self.of(maps, weight), n_maps // len(maps))  # (n, …) → (N, …)
        return total

    @staticmethod
    def of(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A part by itself, ``(n, C, s, s)`` → ``(n, n_out, 2s, 2s)``."""
        return F.conv_transpose2d(maps, weight, bias, stride=2, padding=1)


class LTVNet(nn.Module):
    """Landmarks and one photograph to video (Eqs. 8 and 9).

    Three branches go down level by level: ``f_img`` sees the photograph and a drawing of its landmarks, ``f``
    the drawing of a frame's landmarks ``L_t``, and ``f_bg`` the photograph again. At each level

    ``A = σ(conv(f(L_t)))``, ``face = f_img ⊙ A``, ``ground = f_bg ⊙ (1 - A)``

    with a 1×1 convolution, and ``face ⊕ ground`` is what the way up sees, at the bottom and beside each step.
    Without attention it sees ``f_img ⊕ f(L_t)``. Here ``⊕`` lays maps on top of each other, and ``⊙``
    multiplies place by place and channel by channel. The paper has one such product; that there is one at
    every level, and ``1 - A`` for the ground, is ours.

    There is no memory: each frame is a function of its own landmarks, whatever came before it.

    Parameters
    ----------
    config:
        The widths; :meth:`LTVNetConfig.full` and :meth:`LTVNetConfig.lite`.
    """

    def __init__(self, config: LTVNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.f_img = LevelEncoder(3 + CHANNELS, widths)
        self.f_landmarks = LevelEncoder(CHANNELS, widths)
        if config.attention:
            self.f_background = LevelEncoder(3, widths)
            self.attention = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths)
        self.up = nn.ModuleList()
        n_in = 2 * widths[-1]
        for step, width in enumerate(reversed(widths[:-1])):
            dropout = [Dropout(config.dropout)] if config.dropout and step < DROPPED else []
            self.up.append(nn.Sequential(UpOfStack(n_in, width), nn.BatchNorm2d(width), *dropout, nn.ReLU()))
            n_in = 3 * width
        self.last = UpOfStack(n_in, 6 if config.warp else 3, bias=True)
        if config.warp:
            with torch.no_grad():  # mostly moved, and by the landmarks alone, as in frame_codec.begin_moving
                self.last.weight[:, 4:].mul_(LITTLE)
                self.last.bias[3:].copy_(torch.tensor([MOSTLY_MOVED, 0.0, 0.0]))

    def look(self, photo: Tensor, example: Tensor) -> Seen:
        """All that depends on the photograph alone.

        Parameters
        ----------
        photo:
            ``(B, 3, S, S)`` in [-1, 1].
        example:
            The landmarks in it, ``(B, 68, 2)``, pixels of the 128×128 frame.

        Raises
        ------
        InputError
            When a shape is wrong, or a landmark not finite.
        """
        side = self.config.side
        if photo.ndim != 4 or photo.shape[1:] != (3, side, side):
            raise InputError("photo", f"shape {tuple(photo.shape)}", f"shape (B, 3, {side}, {side})")
        if example.shape != (len(photo), N_POINTS, 2):
            raise InputError("example", f"shape {tuple(example.shape)}", f"shape ({len(photo)}, 68, 2)")
        both = torch.cat((photo, drawn(example, side)), dim=1)  # (B, 3, S, S) ⊕ (B, 3, S, S) → (B, 6, S, S)
        face = self.f_img(both)  # (B, 6, S, S) → (B, width, s, s) of each level
        ground = self.f_background(photo) if self.config.attention else ()  # the same
        return Seen(photo, example, face, ground)

    def forward(self, photo: Tensor | Seen, example: Tensor | None, landmarks: Tensor) -> LTVFrames:
        """Frames of the head in the photograph, moved to each of the landmarks.

        With a warp (ours) the maps of ``f_img`` are moved by
        :func:`~talkface_lite.networks.head_warp.head_displacement` at each level down to 8×8, so that the
        face is where the frame has it before anything is decoded; those of the ground stay. The last layer
        gives a colour, α, and a fine flow that is added to the head's, and a frame is
        ``α ⊙ colour + (1 - α) ⊙ photograph moved by both``. Without one, all is painted.

        Parameters
        ----------
        photo, example:
            As for :meth:`look`; or what it gave, and None.
        landmarks:
            ``(B, T, 68, 2)``, pixels of the 128×128 frame.

        Raises
        ------
        InputError
            As :meth:`look`; and when the landmarks are not of as many films as there are photographs.
        """
        seen = photo if isinstance(photo, Seen) else self.look(photo, example)
        n_batch, side = len(seen.image), self.config.side
        if landmarks.ndim != 4 or landmarks.shape[0] != n_batch or landmarks.shape[2:] != (N_POINTS, 2):
            raise InputError("landmarks", f"shape {tuple(landmarks.shape)}", f"shape ({n_batch}, T, 68, 2)")
        points, head = landmarks.flatten(0, 1), None  # (B, T, 68, 2) → (B·T, 68, 2)
        if self.config.warp:
            example = each_frame(seen.points, landmarks.shape[1])  # (B, 68, 2) → (B·T, 68, 2)
            head = head_displacement(example, points, side)  # (B·T, 2, S, S)
        shape = self.f_landmarks(drawn(points, side))  # (B·T, 3, S, S) → (B·T, width, s, s) of each level
        stacks, attention = self.meet(seen, shape, head)  # 2 × (B·T, width, s, s) of each level

        x, *beside = reversed(stacks)
        for up, skip in zip(self.up, beside):
            x = (up(x), *skip)  # (B·T, width, s, s) → (B·T, next width, 2s, 2s) ⊕ 2 × (…) beside it
        # map after map in memory: of maps that lie pixel by pixel, tanh of three takes four times as long
        x = self.last(x).float().contiguous()  # 3 × (B·T, widths[0], S/2, S/2) → (B·T, 3 or 6, S, S)
        if head is None:
            colour = torch.tanh(x)  # (B·T, 3, S, S)
            made = LTVFrames(colour, colour, None, None, attention)
        else:
            made = self.paint_on_moved(seen.image, head, x)._replace(attention=attention)
        return LTVFrames(*(m if m is None else m.unflatten(0, (n_batch, -1)) for m in made))

    def meet(
        self, seen: Seen, shape: Sequence[Tensor], head: Tensor | None
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor | None]:
        """What the way up sees at each level: face and ground (Eq. 9), or face and landmarks.

        Parameters
        ----------
        seen:
            The photographs.
        shape:
            ``f(L_t)`` at each level, ``(B·T, width, s, s)``.
        head:
            Flow of the head, ``(B·T, 2, S, S)``, or None.

        Returns
        -------
        stacks, attention:
            For each level two maps ``(B·T, width, s, s)``, or ``(B, …)`` where all frames share it; and the
            sigmoid of Eq. 9 at the first level, its mean ``(B·T, 1, S/2, S/2)``, or None.
        """
        faces = []
        for face in seen.face:
            if head is not None and face.shape[-1] >= SMALLEST_MOVED:
                head = F.avg_pool2d(head, 2) / 2  # (B·T, 2, 2s, 2s) → (B·T, 2, s, s), pixels of this level
                face = moved(face, head).to(face.dtype)  # (B, width, s, s) → (B·T, width, s, s)
            faces.append(face)
        if not self.config.attention:
            return list(zip(faces, shape)), None
        # (B·T, width, s, s) of each level
        shares = [torch.sigmoid(conv(maps)) for conv, maps in zip(self.attention, shape)]
        # Eq. 9: 2 × (B·T, width, s, s) of each level
        stacks = [
            (times_each(face, share), times_each(ground, 1 - share))
            for face, ground, share in zip(faces, seen.ground, shares)
        ]
        return stacks, shares[0].float().mean(dim=1, keepdim=True)

    def paint_on_moved(self, photo: Tensor, head: Tensor, x: Tensor) -> LTVFrames:
        """``α ⊙ colour + (1 - α) ⊙ photograph moved by the head's and a fine flow``.

        Parameters
        ----------
        photo:
            ``(B, 3, S, S)`` in [-1, 1].
        head:
            ``(B·T, 2, S, S)``, pixels.
        x:
            Of the last layer, ``(B·T, 6, S, S)``: colour before its tanh, logit of α, and the fine flow, of
            which 1 is four pixels of the 128×128 frame.

        Returns
        -------
        All of ``(B·T, …)``, and without the attention.
        """
        colour, alpha = torch.tanh(x[:, :3]), torch.sigmoid(x[:, 3:4])  # (B·T, 3, S, S), (B·T, 1, S, S)
        flow = head + FLOW * self.config.side / CROP_SIZE * x[:, 4:]  # (B·T, 2, S, S)
        frames = alpha * colour + (1 - alpha) * looked_up(photo, flow)  # (B·T, 3, S, S)
        return LTVFrames(frames, colour, alpha, flow, None)


def times_each(maps: Tensor, shares: Tensor) -> Tensor:
    """A photograph's maps ``(B, C, s, s)`` times those of each of its frames → ``(B·T, C, s, s)``."""
    return (maps[:, None] * shares.unflatten(0, (len(maps), -1))).flatten(0, 1)  # (B, 1, …) · (B, T, …)
