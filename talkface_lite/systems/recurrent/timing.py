"""What ``talkface bench`` times of the recurrent network: a film from given sound."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.tensors import to_network
from talkface_lite.networks.fast_recurrent import for_inference
from talkface_lite.networks.frame_codec import painted_on
from talkface_lite.networks.recurrent_generator import RecurrentGenerator, Seen, State
from talkface_lite.networks.recurrent_modules import COARSEST, KERNEL
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.part import Workload
from talkface_lite.systems.recurrent.config import CHUNK_FRAMES, SHIPPED
from talkface_lite.systems.recurrent.generator import GeneratorPart
from talkface_lite.systems.timing import part_to_time, three_ways

N_FRAMES = 50
"""Of a film that is timed: 2 s."""


def frame_by_frame(network: RecurrentGenerator, photo: Tensor, mfcc: Tensor) -> Tensor:
    """A film as the released code makes it, one frame after the other: the photograph is encoded for each
    anew, and its maps are convolved with each frame's.

    Parameters
    ----------
    network:
        In the scheme "recurrent" or "frame".
    photo:
        ``(1, 3, 128, 128)``.
    mfcc:
        ``(1, T, rows, 12)``.

    Returns
    -------
    ``(1, T, 3, 128, 128)``
    """
    decoder, state, frames = network.decoder, State(), []
    for one in mfcc.split(1, dim=1):
        code, maps = network.image_encoder(photo)
        h, state = network.hear(Seen(photo, code), one, state)
        x = decoder.first(h[:, 0]).unflatten(1, (-1, COARSEST, COARSEST))
        for (up, *rest), skip in zip(decoder.up, reversed(maps), strict=True):
            both = torch.cat((x, skip), dim=1)
            x = F.conv_transpose2d(both, up.weight, up.bias, 2, KERNEL // 2, 1)
            for layer in rest:
                x = layer(x)
        x = decoder.colour(decoder.on(x))
        colour = torch.tanh(x[:, :3])
        if decoder.coarse is not None:
            colour = painted_on(photo, colour, x[:, 3:], decoder.coarse(h[:, 0])).frames
        frames.append(colour)
    return torch.stack(frames, dim=1)


def in_stretches(network: RecurrentGenerator, photo: Tensor, mfcc: Tensor) -> Tensor:
    """A film as the system makes it; arguments and result as for :func:`frame_by_frame`."""
    seen, state, made = network.look(photo), State(), []
    for some in mfcc.split(CHUNK_FRAMES, dim=1):
        film, _, state = network(seen, some, state)
        made.append(film.frames)
    return torch.cat(made, dim=1)


def filming(wanted: Workload.Wanted) -> Workload:
    """One film of a drawn person, three ways.

    ``fast`` is :func:`~talkface_lite.networks.fast_recurrent.for_inference`; ``float32`` the network as it
    is; ``frame_by_frame`` the way of the released code. The operations are those of the last.

    Returns
    -------
    Workload
        ``about`` has the origin of the ``weights``; and ``psnr_db`` of the frames of ``fast`` to those of
        ``float32``.
    """
    network, weights = _network(wanted.size)
    network = network.to(wanted.device, memory_format=torch.channels_last).eval()
    fast, clip = for_inference(network), draw_clip(clip_seed(0, 0))
    photo = to_network(torch.from_numpy(clip.frames[:1])).to(wanted.device)
    windows = mfcc_windows(clip.speech, rows=network.config.rows)
    windows = windows[np.arange(N_FRAMES) % len(windows)]  # a short sentence begins anew
    mfcc = torch.from_numpy(windows)[None].to(wanted.device)
    return three_ways(
        wanted,
        N_FRAMES,
        fast=lambda: in_stretches(fast, photo, mfcc),
        float32=lambda: in_stretches(network, photo, mfcc),
        frame_by_frame=lambda: frame_by_frame(network, photo, mfcc),
        weights=weights,
    )


def _network(size: str) -> tuple[RecurrentGenerator, str]:
    part, weights = part_to_time(GeneratorPart, size, **SHIPPED)
    return part.generator, weights
