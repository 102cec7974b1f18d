"""The conditional recurrent generator: sound and an identity image, through one memory, to frames.

Song, Zhu, Li, Wang, Qi: Talking Face Generation by Conditional Recurrent Adversarial Network, IJCAI 2019,
Figs. 1 and 2. Sizes, which the paper does not give, are those of its released code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from talkface_lite.errors import InputError
from talkface_lite.networks.frame_codec import GRID, Decoded, begin_moving, painted_on
from talkface_lite.networks.layers import FrameNorm, normed, picked, plus
from talkface_lite.networks.recurrent_modules import (
    COARSEST,
    KERNEL,
    ROWS,
    AudioEncoder,
    ImageEncoder,
    UpConvTranspose,
    convolution,
)
from talkface_lite.networks.sizes import TwoSizes

Scheme = Literal["recurrent", "frame", "sequential", "fed back"]


@dataclass(frozen=True, kw_only=True)
class RecurrentGeneratorConfig(TwoSizes):
    """Widths of the generator; the defaults are the released code's (``full``).

    Parameters
    ----------
    audio:
        Outputs of the audio encoder's five convolutions; the second and the fifth halve.
    image:
        Outputs of the image encoder's four convolutions, at 64, 32, 16 and 8 pixels.
    code:
        Length of a sound's and of an image's feature.
    first:
        Maps of 8×8 that the decoder begins with.
    decoder:
        Outputs of its four transposed convolutions, at 16, 32, 64 and 128 pixels.
    last:
        Of the convolution before the one that gives colours.
    scheme:
        Fig. 1. "recurrent": sound and identity image pass a memory. "frame": the same without a memory, each
        frame by itself. "sequential": the last frames in the place of the identity image, and no memory. "fed
        back": section 5, the last frame beside the identity image, and the memory.
    previous:
        L of the sequential scheme: how many frames each is made from.
    rows:
        Of MFCC that a frame hears, 10 ms each.
    batch_norm:
        Ours: batch normalisation after the image encoder's and the decoder's convolutions.
    normalised:
        Ours: batch normalisation over people and time, without factors of its own, of the hybrid feature. As
        the released code begins, an image's feature is larger than a sound's, and what is said does not
        arrive.
    around:
        Ours: a linear path round the memory, from the hybrid feature to what the decoder is given.
    warp:
        Ours: the decoder moves the photograph and paints on it, see
        :class:`~talkface_lite.networks.frame_codec.FrameDecoder`.
    """

    audio: tuple[int, int, int, int, int] = (16, 32, 64, 128, 256)
    image: tuple[int, int, int, int] = (16, 32, 64, 128)
    code: int = 512
    first: int = 256
    decoder: tuple[int, int, int, int] = (196, 128, 80, 48)
    last: int = 16
    scheme: Scheme = "recurrent"
    previous: int = 2
    rows: int = ROWS
    batch_norm: bool = False
    normalised: bool = False
    around: bool = False
    warp: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise InputError("scheme", repr(self.scheme), " or ".join(get_args(Scheme)))
        for name, least in (("previous", 1), ("rows", 4)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"at least {least}")

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 34,922,375 parameters, or without the memory 28,624,775."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        widths = {
            "audio": (16, 32, 32, 64, 64),
            "image": (16, 32, 64, 96),
            "code": 128,
            "first": 64,
            "decoder": (96, 64, 32, 16),
            "last": 8,
        }
        return cls(**(widths | changes))

    @property
    def in_turn(self) -> bool:
        """Whether a frame is made from the one before it."""
        return self.scheme in ("sequential", "fed back")

    @property
    def pictures(self) -> int:
        """How many pictures the image encoder sees at once."""
        return self.previous if self.scheme == "sequential" else 1

    @property
    def memory(self) -> int:
        """Units of the memory, and length of what the decoder is given."""
        return 2 * self.code


class Decoder(nn.Module):
    """``Dec``: what the memory holds to pictures, with the photograph's maps at every size.

    Parameters
    ----------
    config:
        Of the whole generator.
    """

    def __init__(self, config: RecurrentGeneratorConfig) -> None:
        super().__init__()
        c = config
        self.first = nn.Sequential(nn.Linear(c.memory, c.first * COARSEST**2), nn.ReLU())
        self.up = nn.ModuleList()
        n_in = c.first
        for n_skip, n_out in zip(reversed(c.image), c.decoder, strict=True):
            norm = [nn.BatchNorm2d(n_out)] if c.batch_norm else []
            self.up.append(nn.Sequential(UpConvTranspose(n_in, n_skip, n_out), *norm, nn.ReLU()))
            n_in = n_out
        self.on = convolution(n_in, c.last, c.batch_norm)
        self.colour = nn.Conv2d(c.last, 6 if c.warp else 3, KERNEL, padding=KERNEL // 2)
        self.coarse = nn.Linear(c.memory, 2 * GRID**2) if c.warp else None
        if c.warp:
            begin_moving(self.colour.weight[4:], self.colour.bias[3:], self.coarse)

    def look(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What the encoder's maps of B photographs give to every frame, from 8 to 64 pixels."""
        return [stage[0].of_photo(skip) for stage, skip in zip(self.up, reversed(maps), strict=True)]

    def forward(self, h: Tensor, looked: Sequence[Tensor], photo: Tensor) -> Decoded:
        """To pictures.

        Parameters
        ----------
        h:
            ``(B·T, memory)``, those of a photograph in a row.
        looked:
            What :meth:`look` gave of B photographs.
        photo:
            The photographs ``(B, 3, 128, 128)`` in [-1, 1].
        """
        x = self.first(h).unflatten(1, (-1, COARSEST, COARSEST))  # (B·T, memory) → (B·T, first, 8, 8)
        for up, of_photo in zip(self.up, looked, strict=True):
            x = up((x, of_photo))  # → (B·T, width, 2S, 2S), S = 8 … 64
        x = self.colour(self.on(x)).float()  # → (B·T, last, 128, 128) → (B·T, 3 or 6, 128, 128)
        colour = torch.tanh(x[:, :3].contiguous())
        if self.coarse is None:
            return Decoded(colour, colour)
        return painted_on(photo, colour, x[:, 3:], self.coarse(h))


class Seen(NamedTuple):
    """What a film takes from its photographs, computed once: the ``picture`` ``(B, 3, 128, 128)``, its
    ``code`` ``(B, code)``, and for each frame ``looked``, see :meth:`Decoder.look`. The sequential scheme
    has a picture alone."""

    picture: Tensor
    code: Tensor | None = None
    looked: list[Tensor] | None = None


class Made(NamedTuple):
    """A film: its frames ``made``, float32 ``(B, T, 3, 128, 128)`` in [-1, 1], None where nothing is painted;
    what the memory held of each, ``h`` ``(B, T, memory)``; and the ``state`` that the next stretch takes."""

    made: Decoded | None
    h: Tensor
    state: "State"


class State(NamedTuple):
    """What the next frame takes from those before it: the memory ``(1, B, memory)``, and the last ``frames``
    ``(B, L, 3, 128, 128)`` where they are seen."""

    memory: Tensor | None = None
    frames: Tensor | None = None


class RecurrentGenerator(nn.Module):
    """``Ĩ_t = G(A, I*)``, in one of the schemes of Fig. 1.

    Parameters
    ----------
    config:
        Widths and scheme.
    """

    def __init__(self, config: RecurrentGeneratorConfig) -> None:
        super().__init__()
        self.config = c = config
        self.audio_encoder = AudioEncoder(c.audio, c.code, c.rows)
        self.image_encoder = ImageEncoder(3 * c.pictures, c.image, c.code, norm=c.batch_norm)
        n_in = c.code * (3 if c.scheme == "fed back" else 2)
        remembers = c.scheme in ("recurrent", "fed back")
        self.norm = FrameNorm(n_in, affine=False) if c.normalised else None
        self.memory = nn.GRU(n_in, c.memory, batch_first=True) if remembers else None
        self.around = nn.Linear(n_in, c.memory, bias=False) if c.around else None
        self.decoder = Decoder(c)

    def look(self, photo: Tensor) -> Seen:
        """What every frame takes of its photograph: ``(B, 3, 128, 128)`` in [-1, 1]."""
        if self.config.scheme == "sequential":
            return Seen(photo)
        code, maps = self.image_encoder(photo)
        return Seen(photo, code, self.decoder.look(maps))

    def forward(
        self,
        photo: Tensor | Seen,
        mfcc: Tensor,
        state: State | None = None,
        *,
        true: Tensor | None = None,
        taught: Tensor | None = None,
        chosen: Tensor | None = None,
        listening: bool = False,
    ) -> Made:
        """Sound and photographs to frames.

        Parameters
        ----------
        photo:
            I*, ``(B, 3, 128, 128)`` in [-1, 1], or what :meth:`look` made of it.
        mfcc:
            ``(B, T, rows, 12)``.
        state:
            Where the stretch before left off; None: nothing was said, and the photograph was all that was
            seen.
        true, taught:
            While learning, where frames are seen: the true ones ``(B, T, 3, 128, 128)``, and bool
            ``(B, T)``, after which of them the true one is seen and not the one that was made. None: none.
        chosen:
            Where none are seen: int64 ``(B, P)``, which frames to paint. None: all.
        listening:
            Paint nothing. Where frames are seen, the photograph is what is seen all the time.
        """
        if listening:
            pictures = photo.repeat(1, self.config.pictures, 1, 1)  # (B, 3, 128, 128) → (B, 3 or 3L, …)
            h, state = self.hear(Seen(photo, self.image_encoder(pictures)[0]), mfcc, state)
            return Made(None, h, state)
        seen = photo if isinstance(photo, Seen) else self.look(photo)
        state = state or State()
        if self.config.in_turn:
            return self._in_turn(self.audio_encoder(mfcc), seen, state, true, taught)
        h, state = self.hear(seen, mfcc, state)
        return Made(self.paint(picked(h, chosen), seen), h, state)

    def hear(self, seen: Seen, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the decoder is given, where no frame is seen but the photograph: windows of MFCC
        ``(B, T, rows, 12)`` and what was seen of the photographs → ``(B, T, memory)``, and what the next
        stretch takes."""
        sound = self.audio_encoder(mfcc)  # (B, T, rows, 12) → (B, T, code)
        image = seen.code[:, None].expand(-1, sound.shape[1], -1)  # (B, code) → (B, T, code)
        last = (image,) if self.config.scheme == "fed back" else ()
        hybrid = torch.cat((sound, image, *last), dim=-1)  # (B, T, 2 or 3 code)
        h, memory = self._remember(hybrid, (state or State()).memory)
        return h, State(memory)

    def _remember(
        self, hybrid: Tensor, memory: Tensor | None, *, known: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """``(B, T, 2 or 3 code)`` → ``(B, T, memory)``; without a memory as it is."""
        hybrid = normed(hybrid, self.norm, known=known)
        if self.memory is None:
            return hybrid, None
        h, memory = self.memory(hybrid, memory)
        return plus(h, self.around, hybrid), memory

    def paint(self, h: Tensor, seen: Seen) -> Decoded:
        """``(B, T, memory)`` → frames ``(B, T, 3, 128, 128)``."""
        made = self.decoder(h.flatten(0, 1), seen.looked, seen.picture)
        return Decoded(*(part if part is None else part.unflatten(0, h.shape[:2]) for part in made))

    def _in_turn(
        self, sound: Tensor, seen: Seen, state: State, true: Tensor | None, taught: Tensor | None
    ) -> Made:
        """Frame by frame, ``sound`` ``(B, T, code)``: each sees the last L."""
        last, frames = self.config.pictures, state.frames
        if frames is None:
            frames = seen.picture[:, None].expand(-1, last, -1, -1, -1)  # (B, L, 3, 128, 128)
        memory, made, held = state.memory, [], []
        for t, one in enumerate(sound.split(1, dim=1)):  # (B, 1, code)
            code, maps = self.image_encoder(frames.flatten(1, 2))  # (B, 3L, 128, 128) → (B, code)
            if last == 1 and seen.code is not None:
                hybrid = torch.cat((one[:, 0], seen.code, code), dim=-1)  # (B, 3 code)
                source = seen
            else:
                hybrid = torch.cat((one[:, 0], code), dim=-1)  # (B, 2 code)
                source = Seen(frames[:, -1], code, self.decoder.look(maps))
            # one frame of few people has no statistics: those of listening
            h, memory = self._remember(hybrid[:, None], memory, known=True)  # (B, 1, memory)
            held.append(h)
            made.append(self.paint(h, source))
            shown = made[-1].frames.detach()  # (B, 1, 3, 128, 128)
            if taught is not None:
                shown = torch.where(taught[:, t, None, None, None, None], true[:, t : t + 1], shown)
            frames = torch.cat((frames[:, 1:], shown), dim=1)
        joined = (None if part[0] is None else torch.cat(part, dim=1) for part in zip(*made, strict=True))
        return Made(Decoded(*joined), torch.cat(held, dim=1), State(memory, frames))
