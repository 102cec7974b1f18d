"""How fast this machine draws clips and runs the networks, beside how fast it multiplies matrices."""

import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, Clip
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter import paint_clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, speak
from talkface_lite.data import Features
from talkface_lite.networks.at_net import WINDOW, ATNet, ATNetConfig
from talkface_lite.runtime import device as choose_device

STAGES = ("voice", "visemes", "geometry", "painting", "mfcc", "save")
SENTENCE = "place blue by u two please"
CLIP_FRAMES = 75
"""Frames of the clips that AT-net is timed on: 3 s."""


def bench(*, workers: int | None = None, clips: int = 8, repeats: int = 3) -> dict[str, Any]:
    """Measure everything; about a minute with the defaults on two cores.

    Parameters
    ----------
    workers:
        Processes that draw; None takes one for each core.
    clips:
        Clips drawn in each repeat.
    repeats:
        Times each thing is measured; the median counts.

    Returns
    -------
    dict
        ``machine`` (with its measured ``matmul_gflops``), ``corpus`` (``frames_per_s`` with sound, MFCC and
        saving, the processes already started; ``share_of_time`` of each stage in one process) and ``at_net``
        (for each size ``clips_per_s``, ``frames_per_s``, ``gflops`` and its share of the machine's).
    """
    matmul = matmul_gflops(repeats)
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "device": choose_device(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "matmul_gflops": round(matmul, 1),
        },
        "corpus": bench_corpus(workers or os.cpu_count() or 1, clips, repeats),
        "at_net": {size: bench_at_net(size, repeats, matmul) for size in ("lite", "full")},
    }


def matmul_gflops(repeats: int, side: int = 1024) -> float:
    """float32 matrix products of ``side``: the most that a network could reach here, 10⁹ operations/s."""
    a, b = torch.rand(2, side, side, device=choose_device())
    seconds = _median_seconds(lambda: a @ b, max(repeats, 5))
    return 2 * side**3 / seconds / 1e9


def bench_corpus(workers: int, clips: int, repeats: int) -> dict[str, Any]:
    """Drawn frames per second with all processes busy, and where the time of one goes."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            list(pool.map(_draw, [(seed, folder) for seed in range(2 * workers)]))  # start and warm up
            for repeat in range(repeats):
                jobs = [(clip_seed(repeat, index), folder) for index in range(clips)]
                began = time.perf_counter()
                n_frames = sum(pool.map(_draw, jobs))
                rates.append(n_frames / (time.perf_counter() - began))
        seconds = {stage: [] for stage in STAGES}
        for index in range(min(clips, 4)):
            for stage, spent in _stages(index, Path(folder)).items():
                seconds[stage].append(spent)
    medians = {stage: statistics.median(spent) for stage, spent in seconds.items()}
    total = sum(medians.values())
    return {
        "frames_per_s": round(statistics.median(rates), 1),
        "workers": workers,
        "clips": clips,
        "repeats": repeats,
        "ms_per_frame_in_one_process": {stage: round(1000 * s, 3) for stage, s in medians.items()},
        "share_of_time": {stage: round(s / total, 4) for stage, s in medians.items()},
    }


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _draw(job: tuple[int, str]) -> int:
    """One clip with everything: sound, pictures, MFCC, saved. Returns its frames."""
    seed, folder = job
    clip = draw_clip(seed)
    Features.of(clip)
    clip.save(Path(folder) / f"{seed}.safetensors")
    return len(clip)


def _stages(seed: int, folder: Path) -> dict[str, float]:
    """Seconds per frame of each stage of one clip, in this process."""
    clock, seconds = time.perf_counter, {}
    began = clock()
    utterance = speak(SENTENCE, list(VOICES)[seed % len(VOICES)])
    seconds["voice"] = clock() - began
    n_frames = len(utterance.speech) // SAMPLES_PER_FRAME
    began = clock()
    mouth = articulation(utterance.phonemes, n_frames)
    seconds["visemes"] = clock() - began
    began = clock()
    identity = Identity.draw(seed)
    geometry = face_points(identity, mouth, Motion.draw(seed, n_frames))
    seconds["geometry"] = clock() - began
    began = clock()
    frames = paint_clip(identity, geometry, "crop")
    seconds["painting"] = clock() - began
    clip = Clip(frames=frames, landmarks=geometry.landmarks, speech=utterance.speech)
    began = clock()
    Features.of(clip)
    seconds["mfcc"] = clock() - began
    began = clock()
    clip.save(folder / "stages.safetensors")
    seconds["save"] = clock() - began
    return {stage: spent / n_frames for stage, spent in seconds.items()}


@torch.inference_mode()
def bench_at_net(size: str, repeats: int, matmul: float) -> dict[str, Any]:
    """AT-net on one clip of 3 s, MFCC given, float32."""
    device = choose_device()
    network = ATNet(ATNetConfig.of_size(size)).to(device).eval()
    mfcc = torch.rand(1, CLIP_FRAMES, *WINDOW, device=device)
    h_p = torch.rand(1, network.config.components, device=device)
    with FlopCounterMode(display=False) as counter:
        network(mfcc, h_p)
    operations = counter.get_total_flops() + _lstm_operations(network.config)
    seconds = _median_seconds(lambda: network(mfcc, h_p), repeats)
    gflops = operations / seconds / 1e9
    return {
        "clips_per_s": round(1 / seconds, 2),
        "frames_per_s": round(CLIP_FRAMES / seconds, 1),
        "times_real_time": round(CLIP_FRAMES / FRAMES_PER_SECOND / seconds, 1),
        "gflop_per_frame": round(operations / CLIP_FRAMES / 1e9, 4),
        "gflops": round(gflops, 1),
        "share_of_matmul": round(gflops / matmul, 3),
        "clip_frames": CLIP_FRAMES,
    }


def _lstm_operations(config: ATNetConfig) -> int:
    """Multiplications and additions of the LSTM over a clip, which torch's counter does not see."""
    inputs = config.audio[-1] + config.landmark[-1]
    sizes = [inputs] + [config.hidden] * (config.layers - 1)
    return 2 * CLIP_FRAMES * sum(4 * config.hidden * (size + config.hidden) for size in sizes)


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    def finished() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    finished()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        finished()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    machine, corpus = report["machine"], report["corpus"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']} on {machine['device']}: "
        f"matrix product {machine['matmul_gflops']:g} GFLOP/s",
        f"corpus: {corpus['frames_per_s']:g} frames/s with {corpus['workers']} processes, of which "
        + ", ".join(f"{stage} {100 * share:.1f} %" for stage, share in corpus["share_of_time"].items()),
    ]
    for size, row in report["at_net"].items():
        lines.append(
            f"AT-net {size}: {row['clips_per_s']:g} clips/s of 3 s, {row['frames_per_s']:g} frames/s, "
            f"{row['gflops']:g} GFLOP/s, {100 * row['share_of_matmul']:.0f} % of the matrix product"
        )
    return "\n".join(lines)
