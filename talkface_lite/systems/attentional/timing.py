"""What ``talkface bench`` times of attentional landmarks: a film of given landmarks."""

import torch
from torch import Tensor

from talkface_lite.clip import HEAD, VIEW_OF
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.tensors import to_network
from talkface_lite.networks.fast_attentional import for_inference
from talkface_lite.networks.ltv_net import LTVNet
from talkface_lite.systems.attentional.ltv_net import CHUNK_FRAMES, LTVNetPart
from talkface_lite.systems.attentional.system import SHIPPED
from talkface_lite.systems.part import Workload
from talkface_lite.systems.timing import part_to_time, three_ways

N_FRAMES = 48
"""Of a film that is timed: about 2 s, in whole stretches."""


def in_stretches(network: LTVNet, photo: Tensor, example: Tensor, landmarks: Tensor) -> Tensor:
    """A film as the system makes it: the photograph is looked at once.

    Parameters
    ----------
    network:
        Trained or not.
    photo, example, landmarks:
        ``(1, 3, S, S)``, ``(1, 68, 2)``, ``(1, T, 68, 2)``.

    Returns
    -------
    ``(1, T, 3, S, S)``
    """
    seen = network.look(photo, example)
    made = [network(seen, None, some).frames for some in landmarks.split(CHUNK_FRAMES, dim=1)]
    return torch.cat(made, dim=1)


def frame_by_frame(network: LTVNet, photo: Tensor, example: Tensor, landmarks: Tensor) -> Tensor:
    """The same frame by frame, the photograph encoded for each anew: the plain reading of Eq. 8."""
    return torch.cat([network(photo, example, one).frames for one in landmarks.split(1, dim=1)], dim=1)


def filming(wanted: Workload.Wanted) -> Workload:
    """One film of a drawn person, three ways.

    ``fast`` is :func:`~talkface_lite.networks.fast_attentional.for_inference`; ``float32`` the network as it
    is; ``frame_by_frame`` the same in float32, one frame after the other. The operations are those of the
    last.

    Returns
    -------
    Workload
        ``about`` has the origin of the ``weights``, the ``side``, and ``psnr_db`` of the frames of ``fast``
        to those of ``float32``.
    """
    part, weights = part_to_time(LTVNetPart, wanted.size, **SHIPPED["ltv-net"])
    side = part.config.ltv_net.side
    network = part.ltv_net.to(wanted.device, memory_format=torch.channels_last).eval()
    fast, clip = for_inference(network), draw_clip(clip_seed(0, 0), view=VIEW_OF[HEAD], size=side)
    photo = to_network(torch.from_numpy(clip.frames[:1])).to(wanted.device)
    points = torch.from_numpy(clip.landmarks).to(wanted.device)
    given = photo, points[:1], points[torch.arange(N_FRAMES) % len(points)][None]
    return three_ways(
        wanted,
        N_FRAMES,
        fast=lambda: in_stretches(fast, *given),
        float32=lambda: in_stretches(network, *given),
        frame_by_frame=lambda: frame_by_frame(network, *given),
        weights=weights,
        side=side,
    )
