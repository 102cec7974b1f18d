"""Latent matching: pictures and sound each say what a hidden variable is, and learn to say the same.

Yadav, Sardana, Namboodiri, Hegde: Stochastic Talking Face Generation Using Latent Distribution Matching,
Interspeech 2020, Eqs. 1 to 3 and Fig. 2. Sizes, which the paper does not give, are those of its released
code.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from talkface_lite.errors import InputError
from talkface_lite.networks.frame_codec import Decoded, FrameDecoder, FrameEncoder
from talkface_lite.networks.layers import picked
from talkface_lite.networks.posteriors import AudioEncoder, FramePredictor, Gaussian, GaussianLSTM, State
from talkface_lite.networks.sizes import TwoSizes

Sees = Literal["previous", "first"]


@dataclass(frozen=True, kw_only=True)
class LatentMatchingConfig(TwoSizes):
    """Widths of latent matching; the defaults are the released code's (``full``).

    Parameters
    ----------
    image:
        Channels of the frame encoder at 128, 64, 32, 16 and 8 pixels; the decoder has the same.
    code:
        Length of a frame's and of a sound's code.
    audio:
        Outputs of the audio encoder's four convolutions.
    audio_hidden:
        Outputs of its first fully connected layer; those of its second are the code.
    hidden:
        Units of every LSTM.
    layers:
        Depth of the frame predictor's LSTM; the posteriors' have one layer.
    z:
        Length of the hidden variable.
    sees:
        Which picture the frame predictor sees beside ``z_t``: ``"previous"``, x_{t-1} as in the released code
        (when it talks, its own last one); or ``"first"``, the photograph (ours): nothing is fed back, all
        frames are painted at once.
    photo_prior:
        Ours: the audio posterior sees the photograph's code beside the sound's, and the frame posterior how
        far a frame's code is from it. How a head is held, no sound can say; the photograph can.
    memory:
        False makes both posteriors functions of one moment: no LSTM in them.
    skips:
        False leaves out the photograph's maps in the decoder.
    first_logvar:
        Ours: where every log-variance begins. From 0, as PyTorch initialises, z is noise at first, of
        deviation 1 about means near 0; the decoder learns to look past it, and then no gradient tells the
        encoder to put anything there.
    gain:
        Ours: what the weight matrices of both posteriors and the predictor are multiplied by at the start. As
        PyTorch initialises them, what moves in a film comes out of the three layers of LSTM some hundred
        times smaller than it went in.
    normalised:
        Ours: batch normalisation, without factors of its own, of what both posteriors are given and of the
        means that the frames' gives (Zhu et al., ACL 2020). Then z cannot fall silent: over people and time
        each of its numbers has deviation 1. And no LSTM is driven to where it no longer moves: without it the
        codes of the sound grow while the decoder learns, until nothing of what is said comes through.
    around:
        Ours: a linear path round every LSTM, from what comes in to what goes out: from codes to means, from z
        to the code that is painted. The released code's three layers of LSTM in a row, each of units in
        [-1, 1], carry the turn of a head and the lips through; a lid shuts for three frames, and little of it
        arrives.
    warp:
        Ours: the decoder moves the photograph and paints on it, see
        :class:`~talkface_lite.networks.frame_codec.FrameDecoder`. What only moves need not be painted anew.
    """

    image: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    code: int = 128
    audio: tuple[int, int, int, int] = (64, 128, 256, 256)
    audio_hidden: int = 2048
    hidden: int = 256
    layers: int = 2
    z: int = 24
    sees: Sees = "previous"
    photo_prior: bool = False
    memory: bool = True
    skips: bool = True
    first_logvar: float = 0.0
    gain: float = 1.0
    normalised: bool = False
    around: bool = False
    warp: bool = False

    def __post_init__(self) -> None:
        if self.sees not in get_args(Sees):
            raise InputError("sees", repr(self.sees), " or ".join(get_args(Sees)))

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 36,990,691 parameters, 704 more than that has. Its audio encoder has no
        batch normalisation; ours has, and no biases before it."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        widths = {
            "image": (16, 32, 64, 96, 128),
            "code": 64,
            "audio": (16, 32, 64, 64),
            "audio_hidden": 256,
            "hidden": 128,
        }
        return cls(**(widths | changes))


class Photograph(NamedTuple):
    """What a film takes from its photographs, computed once: the ``picture`` ``(B, 3, 128, 128)``, its
    ``code`` ``(B, code)``, and for each frame ``looked``, see
    :meth:`talkface_lite.networks.frame_codec.FrameDecoder.look`."""

    picture: Tensor
    code: Tensor
    looked: list[Tensor]


class Matched(NamedTuple):
    """A window as it was learned: the audio posterior ``(B, T, z)``; where frames were looked at theirs;
    where something was painted the draws ``z`` from it, the codes ``g`` ``(B, T, code)`` that these gave and
    the frames ``painted`` ``(B, P, 3, 128, 128)``; ``spoken``, as many, from the means of the audio
    posterior, and their codes ``said``."""

    of_frames: Gaussian | None
    of_audio: Gaussian
    z: Tensor | None = None
    g: Tensor | None = None
    painted: Tensor | None = None
    spoken: Tensor | None = None
    said: Tensor | None = None


class LatentMatching(nn.Module):
    """The whole model of Fig. 2.

    Parameters
    ----------
    config:
        Widths and what is wired to what.
    """

    def __init__(self, config: LatentMatchingConfig) -> None:
        super().__init__()
        self.config = c = config
        self.frame_encoder = FrameEncoder(c.image, c.code)
        self.frame_decoder = FrameDecoder(c.code, c.image, skips=c.skips, warp=c.warp)
        self.audio_encoder = AudioEncoder(c.audio, c.audio_hidden, c.code)
        n_in = c.code * (2 if c.photo_prior else 1)
        how = {"memory": c.memory, "norm_codes": c.normalised, "around": c.around}
        self.frame_posterior = GaussianLSTM(c.code, c.hidden, c.z, **how, norm_means=c.normalised)
        self.audio_posterior = GaussianLSTM(n_in, c.hidden, c.z, **how)
        self.frame_predictor = FramePredictor(c.code, c.z, c.hidden, c.layers, around=c.around)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        posteriors = self.frame_posterior, self.audio_posterior
        for part in (*posteriors, self.frame_predictor):
            for parameter in part.parameters():
                if parameter.dim() == 2:
                    parameter.mul_(self.config.gain)
        for posterior in posteriors:
            posterior.logvar.weight.div_(self.config.gain)
            posterior.logvar.bias.add_(self.config.first_logvar)

    def look(self, photo: Tensor) -> Photograph:
        """What every frame takes of its photograph: ``(B, 3, 128, 128)`` in [-1, 1]."""
        code, maps = self.frame_encoder(photo)
        return Photograph(photo, code, self.frame_decoder.look(maps))

    def watch(
        self, codes: Tensor, seen: Photograph, state: State | None = None
    ) -> tuple[Gaussian, State | None]:
        """``q(z_t | f_1 … f_t)``: the codes of frames ``(B, T, code)`` → ``(B, T, z)``."""
        if self.config.photo_prior:
            codes = codes - seen.code[:, None]  # what moved
        return self.frame_posterior(codes, state)

    def listen(
        self, mfcc: Tensor, seen: Photograph, state: State | None = None
    ) -> tuple[Gaussian, State | None]:
        """``q(z_t | a_1 … a_t)``: windows of MFCC ``(B, T, 28, 12)`` → ``(B, T, z)``."""
        return self.audio_posterior(self._beside(self.audio_encoder(mfcc), seen), state)

    def _beside(self, codes: Tensor, seen: Photograph) -> Tensor:
        if not self.config.photo_prior:
            return codes
        photo = seen.code[:, None].expand(len(codes), codes.shape[1], -1)  # (B, code) → (B, T, code)
        return torch.cat((codes, photo), dim=-1)

    def predict(
        self, z: Tensor, seen: Photograph, previous: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """``z`` ``(B, T, z)``, and the codes of x_{t-1} where it is seen, → ``g`` ``(B, T, code)``."""
        return self.frame_predictor(self._before(previous, seen, z), z, state)

    def _before(self, previous: Tensor | None, seen: Photograph, z: Tensor) -> Tensor:
        return seen.code[:, None].expand(len(z), z.shape[1], -1) if previous is None else previous

    def paint(self, g: Tensor, seen: Photograph) -> Decoded:
        """``g`` ``(B, T, code)`` → frames, float32 ``(B, T, 3, 128, 128)`` in [-1, 1]."""
        made = self.frame_decoder(g.flatten(0, 1), seen.looked, seen.picture)
        return Decoded(*(part if part is None else part.unflatten(0, g.shape[:2]) for part in made))

    def encode(self, frames: Tensor) -> Tensor:
        """``(B, T, 3, 128, 128)`` → ``(B, T, code)``."""
        return self.frame_encoder(frames.flatten(0, 1))[0].unflatten(0, frames.shape[:2])

    def forward(
        self,
        photo: Tensor,
        frames: Tensor | None,
        mfcc: Tensor,
        previous: Tensor | None = None,
        *,
        true_share: float = 1.0,
        chosen: Tensor | None = None,
        spoken: bool = False,
        watcher: "LatentMatching | None" = None,
    ) -> Matched:
        """Learn a window: both posteriors, and the frames painted from draws of the frames' own.

        Parameters
        ----------
        photo:
            x_0, ``(B, 3, 128, 128)`` in [-1, 1].
        frames:
            ``(B, T, 3, 128, 128)``; None, with a watcher: nothing but the photograph is looked at.
        mfcc:
            ``(B, T, 28, 12)``.
        previous:
            The picture before the window, ``(B, 3, 128, 128)``; None: the photograph.
        true_share:
            Where x_{t-1} is seen: the share of frames that see the true one (teacher forcing), and not the
            one that was painted. Each frame of each film is drawn by itself.
        chosen:
            int64 ``(B, P)``: which frames of each window to paint; None: all.
        spoken:
            Paint them once more from the means of the audio posterior, true frames fed back; with a watcher,
            codes alone.
        watcher:
            A copy that only looks ahead
            (:func:`~talkface_lite.networks.fast_matching.for_inference`). With it the audio posterior alone
            learns: what this makes of the pictures is taken as it is, and nothing is painted.
        """
        fed = self.config.sees == "previous"
        if fed:
            before = photo if previous is None else previous
            frames = torch.cat((before[:, None], frames), dim=1)  # (B, 1 + T, 3, 128, 128)
        if watcher is not None:
            return self._listened(photo, frames, mfcc, spoken, watcher)
        seen, codes = self._seen_together(photo, frames)
        if fed:
            true, codes = codes[:, :-1], codes[:, 1:]  # (B, T, code): of the picture before each, and its own
        of_frames, _ = self.watch(codes, seen)  # (B, T, z)
        of_audio, _ = self.listen(mfcc, seen)  # (B, T, z)
        z = of_frames.sample(torch.randn_like(of_frames.mean))
        if fed and true_share < 1:
            taught = torch.rand(*z.shape[:2], 1, device=z.device) < true_share
            return Matched(of_frames, of_audio, z, *self._fed_back(z, seen, true, taught, chosen))
        g, _ = self.predict(z, seen, true if fed else None)  # (B, T, code)
        if not spoken:
            return Matched(of_frames, of_audio, z, g, self.paint(picked(g, chosen), seen).frames)
        said, _ = self.predict(of_audio.mean, seen, true if fed else None)  # (B, T, code)
        both = torch.cat((picked(g, chosen), picked(said, chosen)), dim=1)  # (B, 2P, code)
        return Matched(of_frames, of_audio, z, g, *self.paint(both, seen).frames.chunk(2, dim=1), said)

    def _listened(
        self, photo: Tensor, frames: Tensor | None, mfcc: Tensor, spoken: bool, watcher: "LatentMatching"
    ) -> Matched:
        """The audio posterior alone learns; ``frames`` ``(B, T, …)``, or one more where x_{t-1} is seen."""
        of_frames, true, said = None, None, None
        with torch.no_grad():
            seen = Photograph(photo, watcher.encode(photo[:, None])[:, 0], [])
            if frames is not None:
                codes = watcher.encode(frames)
                if self.config.sees == "previous":
                    true, codes = codes[:, :-1], codes[:, 1:]
                of_frames, _ = watcher.watch(codes, seen)  # (B, T, z)
        of_audio, _ = self.listen(mfcc, seen)  # (B, T, z)
        if spoken:
            before = self._before(true, seen, of_audio.mean)
            said, _ = frozen(self.frame_predictor, before, of_audio.mean)
        return Matched(of_frames, of_audio, said=said)

    def _seen_together(self, photo: Tensor, frames: Tensor) -> tuple[Photograph, Tensor]:
        """Photographs and their frames ``(B, T, …)`` in one pass, so that while training all are normalised
        alike: what moved is the difference of their codes."""
        both = torch.cat((photo[:, None], frames), dim=1)  # (B, 1 + T, 3, 128, 128)
        codes, maps = self.frame_encoder(both.flatten(0, 1))
        codes = codes.unflatten(0, both.shape[:2])  # (B, 1 + T, code)
        of_photo = [one.unflatten(0, both.shape[:2])[:, 0] for one in maps]  # each (B, width, S, S)
        return Photograph(photo, codes[:, 0], self.frame_decoder.look(of_photo)), codes[:, 1:]

    def _fed_back(
        self, z: Tensor, seen: Photograph, true: Tensor, taught: Tensor, chosen: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Frame by frame: where ``taught`` ``(B, T, 1)`` is False, what was painted is seen."""
        code, state, codes, frames = true[:, :1], None, [], []
        for t in range(z.shape[1]):
            code = torch.where(taught[:, t : t + 1], true[:, t : t + 1], code)
            g, state = self.predict(z[:, t : t + 1], seen, code, state)
            codes.append(g)
            frames.append(self.paint(g, seen).frames)
            code = self.encode(frames[-1].detach())
        return torch.cat(codes, dim=1), picked(torch.cat(frames, dim=1), chosen)


def frozen(module: nn.Module, *arguments: Tensor) -> Any:
    """What a module makes of its arguments; a gradient reaches these and nothing that it learned."""
    return functional_call(module, {name: one.detach() for name, one in module.named_parameters()}, arguments)


def generated(
    network: LatentMatching, z: Tensor, seen: Photograph, code: Tensor | None, state: State | None
) -> tuple[Decoded, Tensor | None, State]:
    """Paint a stretch from given draws, its own frames fed back where x_{t-1} is seen.

    Parameters
    ----------
    z:
        ``(N, T, z)``: of N films of one photograph, or of one each.
    seen:
        The photographs.
    code:
        Of the frame before, ``(N, 1, code)``; None at the beginning of a film: the photograph's.
    state:
        Of the predictor.

    Returns
    -------
    made, code, state:
        With ``frames`` ``(N, T, 3, 128, 128)``; what the next stretch takes.
    """
    if network.config.sees == "first":
        g, state = network.predict(z, seen, state=state)
        return network.paint(g, seen), None, state
    made = []
    code = seen.code[:, None].expand(len(z), 1, -1) if code is None else code
    for one in z.split(1, dim=1):
        g, state = network.predict(one, seen, code, state)
        made.append(network.paint(g, seen))
        code = network.encode(made[-1].frames)
    joined = (None if part[0] is None else torch.cat(part, dim=1) for part in zip(*made))
    return Decoded(*joined), code, state
