"""How fast the networks run here, beside how fast this machine multiplies matrices.

Other work on a machine makes every rate of a run wrong. So ways to do the same thing take turns, and what
counts is how many times faster one of them was.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from talkface_lite.clip import FRAMES_PER_SECOND
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.errors import InputError
from talkface_lite.metrics import psnr
from talkface_lite.networks.at_net import WINDOW, ATNet, ATNetConfig
from talkface_lite.networks.fast import fast_precision, for_inference
from talkface_lite.networks.vg_net import Frames, Photograph, VGNet, VGNetConfig
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import load_video
from talkface_lite.systems.atvg.vg_net import CHUNK_FRAMES, flat, to_network
from talkface_lite.systems.base import adam

AT_NET_FRAMES = 75
"""Frames of the clips that AT-net is timed on: 3 s."""
TRAINING_BATCH, TRAINING_FRAMES = 4, 16
"""What a step of training is timed on: films, and frames of each, the paper's."""
VG_NET_STAGES = ("look", "landmarks and attention", "memory", "decode_middle", "decode and heads")
"""Where VG-net's time goes: the photograph, Eqs. 5 and 6, the conv-GRU, from there to 32×32, the rest."""


def matmul_gflops(repeats: int, side: int = 1024, dtype: torch.dtype = torch.float32) -> float:
    """Matrix products of ``side``: the most that a plain network could reach here, 10⁹ operations/s."""
    a, b = torch.rand(2, side, side, device=choose_device()).to(dtype)
    seconds = statistics.median(alternate({"": lambda: a @ b}, max(repeats, 5))[""])
    return 2 * side**3 / seconds / 1e9


def alternate(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, in turns, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, work in ways.items():
            began = _now()
            work()
            if repeat:
                seconds[name].append(_now() - began)
    return seconds


def _now() -> float:
    if choose_device().startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.inference_mode()
def bench_at_net(size: str, repeats: int, matmul: float) -> dict[str, Any]:
    """AT-net on one clip of 3 s, MFCC given, float32."""
    device = choose_device()
    network = ATNet(ATNetConfig.of_size(size)).to(device).eval()
    mfcc = torch.rand(1, AT_NET_FRAMES, *WINDOW, device=device)
    h_p = torch.rand(1, network.config.components, device=device)
    with FlopCounterMode(display=False) as counter:
        network(mfcc, h_p)
    operations = counter.get_total_flops() + _lstm_operations(network.config)
    seconds = statistics.median(alternate({"": lambda: network(mfcc, h_p)}, repeats)[""])
    gflops = operations / seconds / 1e9
    return {
        "clips_per_s": round(1 / seconds, 2),
        "frames_per_s": round(AT_NET_FRAMES / seconds, 1),
        "times_real_time": round(AT_NET_FRAMES / FRAMES_PER_SECOND / seconds, 1),
        "gflop_per_frame": round(operations / AT_NET_FRAMES / 1e9, 4),
        "gflops": round(gflops, 1),
        "share_of_matmul": round(gflops / matmul, 3),
        "clip_frames": AT_NET_FRAMES,
    }


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
        if state is None:
            state = seen.image.new_zeros(len(landmarks), self.config.memory, 8, 8)
        made = []
        for points in landmarks.unbind(1):
            frame, state = self.one(seen, points, state)
            made.append(frame)
        return Frames(*(torch.stack(part, dim=1) for part in zip(*made))), state

    def one(self, seen: Photograph, points: Tensor, state: Tensor) -> tuple[Frames, Tensor]:
        """One frame of each film, landmarks ``(B, 136)``; nothing of it has a time axis."""
        shape = self._shape_of(points)
        fused = self._fuse(self.f_lmark(shape) - seen.deep_shape, seen.fused)
        state = self.conv_gru.step(self.conv_gru.from_input(fused), state)
        attention = self._attend(shape, seen.shape)
        middle = self.decode_middle(state) * attention + seen.middle * (1 - attention)
        features = self.decode(middle)
        colour, alpha = self.colour(features), self.alpha(features)
        return Frames(colour * alpha + seen.image * (1 - alpha), alpha, colour, attention), state


def bench_vg_net(
    size: str, repeats: int, matmul: Mapping[str, float], *, n_frames: int = CHUNK_FRAMES
) -> dict[str, Any]:
    """VG-net on one film, photograph and landmarks given, three ways.

    ``fast`` is :func:`~talkface_lite.networks.fast.for_inference`; ``float32`` the network as it is, all
    frames at once, channels last; ``frame_by_frame`` the way of the released code.

    Parameters
    ----------
    size:
        Which.
    repeats:
        Turns of each way; the median counts.
    matmul:
        Rate of matrix products in ``"32"`` and ``"bf16"``.
    n_frames:
        Of the film.

    Returns
    -------
    dict
        For each way ``frames_per_s``, ``gflops`` and its share of the matrix product in its precision. The
        operations are those of the released way, so a way that spares some can have a share above 1.
        ``psnr_db`` compares the frames of ``fast`` with those of ``float32``.
    """
    network, weights = _vg_net(size)
    network = network.to(choose_device(), memory_format=torch.channels_last).eval()
    released, copied = _released(network), for_inference(network)
    photo, example, landmarks = _film(n_frames)
    with torch.inference_mode():
        operations = _operations(released, photo, example, landmarks)
        ways = {
            "frame_by_frame": lambda: released(photo, example, landmarks),
            "float32": lambda: network(photo, example, landmarks),
            "fast": lambda: copied(photo, example, landmarks),
        }
        seconds = alternate(ways, repeats)
        frames = [ways[way]()[0].frames for way in ("fast", "float32")]
        shares = vg_net_stages(copied, photo, example, landmarks, repeats)
    medians = {way: statistics.median(spent) for way, spent in seconds.items()}
    precision = fast_precision(choose_device())
    rates = {}
    for way, spent in medians.items():
        gflops = operations / spent / 1e9
        rates[way] = {
            "frames_per_s": round(n_frames / spent, 1),
            "gflops": round(gflops, 1),
            "share_of_matmul": round(gflops / matmul[precision if way == "fast" else "32"], 3),
        }
    return {
        "weights": weights,
        "precision": precision,
        "frames": n_frames,
        "gflop_per_frame": round(operations / n_frames / 1e9, 3),
        **rates,
        "times_frame_by_frame": _times(seconds["frame_by_frame"], seconds["fast"]),
        "times_float32": _times(seconds["float32"], seconds["fast"]),
        "psnr_db": round(psnr(*(part.cpu().numpy() for part in frames), data_range=2), 1),
        "share_of_time": {stage: round(share, 4) for stage, share in shares.items()},
    }


def _vg_net(size: str) -> tuple[VGNet, str]:
    """VG-net with the package's weights where it has some, and which those are."""
    try:
        return load_video(size=size).vg_net, "the package's"
    except InputError:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return VGNet(VGNetConfig.of_size(size)), "random, seed 0"


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


def _times(slow: list[float], fast: list[float]) -> float:
    """How many times faster, the median of the turns."""
    return round(statistics.median(a / b for a, b in zip(slow, fast)), 2)


def vg_net_stages(
    network: VGNet, photo: Tensor, example: Tensor, landmarks: Tensor, repeats: int
) -> dict[str, float]:
    """Share of each of :data:`VG_NET_STAGES` in the time of a film; the last has the mixing of the frame."""
    marks: dict[str, float] = {}

    def mark(name: str) -> Callable[..., None]:
        return lambda *_: marks.__setitem__(name, _now())

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


def bench_training(
    size: str,
    repeats: int,
    matmul: Mapping[str, float],
    *,
    batch: int = TRAINING_BATCH,
    n_frames: int = TRAINING_FRAMES,
) -> dict[str, Any]:
    """One step of training of VG-net alone: forward, L1, backward, Adam.

    Ours sees all frames of all films at once, channels last, in mixed precision where bfloat16 is fast. The
    released way is float32, frame by frame, so that its normalisations too see one frame of each film.

    Parameters
    ----------
    size, repeats, matmul:
        As for :func:`bench_vg_net`.
    batch, n_frames:
        Films, and frames of each.

    Returns
    -------
    dict
        ``frames_per_s`` and ``gflops`` of ours, with three times the operations of looking ahead, and how
        many times the released way's that is.
    """
    device, precision = choose_device(), fast_precision(choose_device())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = VGNet(VGNetConfig.of_size(size)).to(device, memory_format=torch.channels_last).train()
        photo = torch.rand(batch, 3, 128, 128, device=device) * 2 - 1
        truth = torch.rand(batch, n_frames, 3, 128, 128, device=device) * 2 - 1
        points = torch.rand(batch, n_frames, 136, device=device) - 0.5
    released = _released(ours.eval())
    with torch.inference_mode():
        operations = 3 * batch * _operations(released, photo[:1], points[:1, 0], points[:1])
    ways = {}
    rate, betas = 2e-4, (0.5, 0.999)
    theirs = torch.optim.Adam(released.train().parameters(), rate, betas)
    trained = {
        "frame_by_frame": (released, theirs, False),
        "ours": (ours.train(), adam(ours, rate, betas), precision == "bf16"),
    }
    for way, (network, optimizer, mixed) in trained.items():

        def step(network: nn.Module = network, optimizer: Optimizer = optimizer, mixed: bool = mixed) -> None:
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
                made, _ = network(photo, points[:, 0], points)
            optimizer.zero_grad(set_to_none=True)
            F.l1_loss(made.frames, truth).backward()
            optimizer.step()

        ways[way] = step
    seconds = alternate(ways, repeats)
    medians = {way: statistics.median(spent) for way, spent in seconds.items()}
    gflops = operations / medians["ours"] / 1e9
    return {
        "batch": batch,
        "frames": n_frames,
        "precision": precision,
        "frames_per_s": round(batch * n_frames / medians["ours"], 1),
        "frames_per_s_frame_by_frame": round(batch * n_frames / medians["frame_by_frame"], 1),
        "times_frame_by_frame": _times(seconds["frame_by_frame"], seconds["ours"]),
        "gflops": round(gflops, 1),
        "share_of_matmul": round(gflops / matmul[precision], 3),
    }
