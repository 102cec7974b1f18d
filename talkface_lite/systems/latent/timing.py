"""What ``talkface bench`` times of latent matching: a film from given sound, and several at once."""

import statistics
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.tensors import to_network
from talkface_lite.networks.fast_matching import for_inference
from talkface_lite.networks.latent_matching import LatentMatching, generated
from talkface_lite.systems.latent.config import SHIPPED
from talkface_lite.systems.latent.part import LatentMatchingPart
from talkface_lite.systems.part import Workload
from talkface_lite.systems.timing import alternate, part_to_time, three_ways, times

N_FRAMES = 50
"""Of a film that is timed: 2 s."""

N_FILMS = 8
"""Made as one batch, and one after the other."""


def frame_by_frame(network: LatentMatching, z: Tensor, photo: Tensor) -> Tensor:
    """A film as the released code makes it: one frame after the other, the photograph's maps laid beside each
    frame's anew, every map enlarged before it is convolved.

    Parameters
    ----------
    z:
        ``(1, T, z)``.
    photo:
        ``(1, 3, 128, 128)``.

    Returns
    -------
    ``(1, T, 3, 128, 128)``
    """
    decoder, sees = network.frame_decoder, network.config.sees
    code, maps = network.frame_encoder(photo)
    state, frames = None, []
    for one in z.split(1, dim=1):
        g, state = network.frame_predictor(code[:, None], one, state)
        x = decoder.first(g[0, :, :, None, None])
        for level, (convolution, norm, bend) in enumerate(decoder.up):
            x = F.interpolate(x, scale_factor=2)
            if decoder.skips:
                x = torch.cat((x, maps[-1 - level]), dim=1)
            x = bend(norm(F.conv2d(x, convolution.weight, convolution.bias, padding=1)))
            if level < len(decoder.on):
                x = decoder.on[level](x)
        frames.append(decoder.finish(x, photo, g[0]).frames)
        if sees == "previous":
            code, _ = network.frame_encoder(frames[-1])
    return torch.stack(frames, dim=1)


def filming(wanted: Workload.Wanted) -> Workload:
    """One film from given draws of z, three ways.

    ``fast`` is :func:`~talkface_lite.networks.fast_matching.for_inference`; ``float32`` the network as it is;
    ``frame_by_frame`` the way of the released code. The operations are those of the last.

    Returns
    -------
    Workload
        ``about`` has the origin of the ``weights``; ``psnr_db`` of the frames of ``fast`` to those of
        ``float32``; and of :data:`N_FILMS` films as one batch, ``films_at_once_times``: how many times faster
        than one after the other.
    """
    network, weights = _network(wanted.size)
    network = network.to(wanted.device, memory_format=torch.channels_last).eval()
    fast = for_inference(network)
    photo = to_network(torch.from_numpy(draw_clip(clip_seed(0, 0)).frames[:1])).to(wanted.device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = torch.randn(N_FILMS, N_FRAMES, network.config.z).to(wanted.device)

    def film(one: LatentMatching, films: int = 1) -> Tensor:
        return generated(one, z[:films], one.look(photo), None, None)[0].frames

    def separately() -> None:
        for number in range(N_FILMS):
            generated(fast, z[number : number + 1], fast.look(photo), None, None)

    made = three_ways(
        wanted,
        N_FRAMES,
        fast=lambda: film(fast),
        float32=lambda: film(network),
        frame_by_frame=lambda: frame_by_frame(network, z[:1], photo),
        weights=weights,
    )
    without_gradients = torch.inference_mode()
    together = {
        "batch": without_gradients(lambda: film(fast, N_FILMS)),
        "one by one": without_gradients(separately),
    }
    seconds = alternate(together, wanted.repeats)
    several = {
        "films_at_once": N_FILMS,
        "films_at_once_times": times(seconds["one by one"], seconds["batch"]),
        "films_at_once_frames_per_s": round(N_FILMS * N_FRAMES / statistics.median(seconds["batch"]), 1),
    }
    return replace(made, about={**made.about, **several})


def _network(size: str) -> tuple[LatentMatching, str]:
    part, weights = part_to_time(LatentMatchingPart, size, **SHIPPED)
    return part.latent_matching, weights
