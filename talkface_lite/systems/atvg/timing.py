"""What there is to time in ATVGnet: each network as it is used, beside the way of the released code."""

import statistics
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from talkface_lite.clip import FRAMES_PER_SECOND
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.tensors import to_network
from talkface_lite.networks.at_net import WINDOW, ATNet, ATNetConfig
from talkface_lite.networks.fast import fast_precision, for_inference
from talkface_lite.networks.vg_net import Frames, Photograph, VGNet, VGNetConfig
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems.atvg.vg_net import CHUNK_FRAMES, VGNetPart, flat
from talkface_lite.systems.part import Workload, adam
from talkface_lite.systems.timing import now, part_to_time, three_ways

AT_NET_FRAMES = 3 * FRAMES_PER_SECOND
"""Frames of the clip that AT-net is timed on: 3 s."""
TRAINING_BATCH, TRAINING_FRAMES = 4, 16
"""What a step of training is timed on: films, and frames of each, the paper's."""
VG_NET_STAGES = ("look", "landmarks and attention", "memory", "decode_middle", "decode and heads")
"""Where VG-net's time goes: the photograph, Eqs. 5 and 6, the conv-GRU, from there to 32×32, the rest."""


def speaking(wanted: Workload.Wanted) -> Workload:
    """AT-net on one clip of 3 s, MFCC given, float32."""
    network = ATNet(ATNetConfig.of_size(wanted.size)).to(wanted.device).eval()
    mfcc = torch.rand(1, AT_NET_FRAMES, *WINDOW, device=wanted.device)
    h_p = torch.rand(1, network.config.components, device=wanted.device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(mfcc, h_p)
    return Workload(
        frames=AT_NET_FRAMES,
        operations=counter.get_total_flops() + _lstm_operations(network.config),
        ways={"float32": torch.inference_mode()(lambda: network(mfcc, h_p))},
        precision={"float32": "32"},
    )


def _lstm_operations(config: ATNetConfig) -> int:
    """Multiplications and additions of the LSTM over a clip, which torch's counter does not see."""
    inputs = config.audio[-1] + config.landmark[-1]
    sizes = [inputs] + [config.hidden] * (config.layers - 1)
    return 2 * AT_NET_FRAMES * sum(4 * config.hidden * (size + config.hidden) for size in sizes)


class FrameByFrame(VGNet):
    """VG-net as the released code runs it: one frame after the other, colour and α each by itself.

    Its weights are float32 in torch's usual order. The photograph is looked at once a film.
    """

    def forward(
        self,
        photo: Tensor | Photograph,
        example: Tensor | None,
        landmarks: Tensor,
        state: Tensor | None = None,
    ) -> tuple[Frames, Tensor]:
        """As for :class:`~talkface_lite.networks.vg_net.VGNet`."""
        seen = photo if isinstance(photo, Photograph) else self.look(photo, example)
        if self.config.warp:  # no released code has it: the same, with nothing done at once
            steps = []
            for points in landmarks.split(1, dim=1):
                frame, state = super().forward(seen, None, points, state)
                steps.append(frame)
            return Frames(*(torch.cat(part, dim=1) for part in zip(*steps))), state
        if state is None:
            state = seen.image.new_zeros(len(landmarks), self.config.memory, 8, 8)
        made = []
        for points in landmarks.unbind(1):
            frame, state = self.one(seen, points, state)
            made.append(frame)
        return Frames(*(torch.stack(part, dim=1) for part in zip(*made))), state

    def one(self, seen: Photograph, points: Tensor, state: Tensor) -> tuple[Frames, Tensor]:
        """One frame of each film, landmarks ``(B, 136)``; nothing of it has a time axis."""
        shape, deep = self.read(points)
        fused = self.fuse(torch.cat((seen.deep, deep - seen.deep_shape), dim=1))
        state = self.conv_gru.step(self.conv_gru.from_input(fused), state)
        attention = self.attention(torch.cat((shape, seen.shape), dim=1))
        middle = self.decode_middle(state) * attention + seen.middle * (1 - attention)
        features = self.decode(middle)
        colour, alpha = self.colour(features), self.alpha(features)
        frame = colour * alpha + seen.image * (1 - alpha)
        return Frames(frame, alpha, colour, attention, torch.zeros_like(frame[:, :2])), state


def filming(wanted: Workload.Wanted, *, n_frames: int = CHUNK_FRAMES) -> Workload:
    """VG-net on one film, photograph and landmarks given, three ways.

    ``fast`` is :func:`~talkface_lite.networks.fast.for_inference`; ``float32`` the network as it is, all
    frames at once, channels last; ``frame_by_frame`` the way of the released code. The operations are those
    of the released way, so a way that spares some can have a share of the matrix product above 1.

    Returns
    -------
    Workload
        ``about`` has the origin of the ``weights``, ``psnr_db`` of the frames of ``fast`` to those of
        ``float32``, and the ``share_of_time`` of each of :data:`VG_NET_STAGES` in ``fast``.
    """
    network, weights = _vg_net(wanted.size)
    network = network.to(wanted.device, memory_format=torch.channels_last).eval()
    released, copied = _released(network), for_inference(network)
    photo, example, landmarks = _film(n_frames)
    with torch.inference_mode():
        operations = _operations(released, photo, example, landmarks)
        shares = vg_net_stages(copied, photo, example, landmarks, wanted.repeats)
    made = three_ways(
        wanted,
        n_frames,
        fast=lambda: copied(photo, example, landmarks)[0].frames,
        float32=lambda: network(photo, example, landmarks)[0].frames,
        frame_by_frame=lambda: released(photo, example, landmarks)[0].frames,
        operations=operations,
        weights=weights,
    )
    told = {stage: round(share, 4) for stage, share in shares.items()}
    return replace(made, about={**made.about, "share_of_time": told})


def _vg_net(size: str) -> tuple[VGNet, str]:
    """VG-net with the package's weights where it has some, and which those are."""
    part, weights = part_to_time(VGNetPart, size)
    return part.vg_net, weights


def _released(network: VGNet) -> FrameByFrame:
    released = FrameByFrame(network.config)
    released.load_state_dict(network.state_dict())
    return released.to(choose_device()).train(network.training)


def _film(n_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """A drawn clip, over and over: its first frame, the landmarks in that, the landmarks of each frame."""
    clip = draw_clip(clip_seed(0, 0))
    points = flat(torch.from_numpy(clip.landmarks))[torch.arange(n_frames) % len(clip)]
    parts = to_network(torch.from_numpy(clip.frames[:1])), points[:1], points[None]
    photo, example, landmarks = (part.to(choose_device(), torch.float32) for part in parts)
    return photo, example, landmarks


def _operations(network: FrameByFrame, photo: Tensor, example: Tensor, landmarks: Tensor) -> int:
    """Multiplications and additions of a film: the photograph once, then each frame."""
    with FlopCounterMode(display=False) as counter:
        seen = network.look(photo, example)
    once = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        network(seen, None, landmarks[:, :1])
    return once + landmarks.shape[1] * counter.get_total_flops()


def vg_net_stages(
    network: VGNet, photo: Tensor, example: Tensor, landmarks: Tensor, repeats: int
) -> dict[str, float]:
    """Share of each of :data:`VG_NET_STAGES` in the time of a film; the last has the mixing of the frame."""
    marks: dict[str, float] = {}

    def mark(name: str) -> Callable[..., None]:
        return lambda *_: marks.__setitem__(name, now())

    hooks = []
    for name in ("conv_gru", "decode_middle", "decode"):
        part = getattr(network, name)
        hooks += [
            part.register_forward_pre_hook(mark(name)),
            part.register_forward_hook(mark(f"{name} done")),
        ]
    rounds = []
    for _ in range(repeats):
        mark("start")()
        seen = network.look(photo, example)
        mark("looked")()
        network(seen, None, landmarks)
        mark("end")()
        m = marks
        spent = (
            m["looked"] - m["start"],
            m["conv_gru"] - m["looked"] + m["decode"] - m["decode_middle done"],
            m["conv_gru done"] - m["conv_gru"],
            m["decode_middle done"] - m["conv_gru done"],
            m["end"] - m["decode"],
        )
        rounds.append([part / (m["end"] - m["start"]) for part in spent])
    for hook in hooks:
        hook.remove()
    medians = [statistics.median(shares) for shares in zip(*rounds)]
    return {stage: share / sum(medians) for stage, share in zip(VG_NET_STAGES, medians)}


def training(
    wanted: Workload.Wanted, *, batch: int = TRAINING_BATCH, n_frames: int = TRAINING_FRAMES
) -> Workload:
    """One step of training of VG-net alone: forward, L1, backward, Adam.

    ``step`` sees all frames of all films at once, channels last, in mixed precision where bfloat16 is fast.
    ``frame_by_frame``, the released way, is float32, so that its normalisations too see one frame of each
    film. The operations are three times those of looking ahead.

    Parameters
    ----------
    wanted:
        As for :func:`filming`.
    batch, n_frames:
        Films, and frames of each.
    """
    device, precision = wanted.device, fast_precision(wanted.device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = VGNet(VGNetConfig.of_size(wanted.size)).to(device, memory_format=torch.channels_last).train()
        photo = torch.rand(batch, 3, 128, 128, device=device) * 2 - 1
        truth = torch.rand(batch, n_frames, 3, 128, 128, device=device) * 2 - 1
        points = torch.rand(batch, n_frames, 136, device=device) - 0.5
    released = _released(ours.eval())
    with torch.inference_mode():
        operations = 3 * batch * _operations(released, photo[:1], points[:1, 0], points[:1])
    rate, betas = 2e-4, (0.5, 0.999)
    theirs = torch.optim.Adam(released.train().parameters(), rate, betas)
    trained = {
        "step": (ours.train(), adam(ours, rate, betas), precision == "bf16"),
        "frame_by_frame": (released, theirs, False),
    }
    ways = {}
    for way, (network, optimizer, mixed) in trained.items():

        def step(network: nn.Module = network, optimizer: Optimizer = optimizer, mixed: bool = mixed) -> None:
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
                made, _ = network(photo, points[:, 0], points)
            optimizer.zero_grad(set_to_none=True)
            F.l1_loss(made.frames, truth).backward()
            optimizer.step()

        ways[way] = step
    return Workload(
        frames=batch * n_frames,
        operations=operations,
        ways=ways,
        precision={"step": precision, "frame_by_frame": "32"},
        about={"batch": batch, "frames_of_each": n_frames},
    )
