"""How fast this machine draws clips and runs the networks, beside how fast it multiplies matrices."""

import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from talkface_lite.clip import SAMPLE_RATE, SAMPLES_PER_FRAME, Clip
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter.layers import paint_clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, speak
from talkface_lite.data.dataset import Features
from talkface_lite.errors import InputError
from talkface_lite.measuring.bench_networks import bench_at_net, bench_training, bench_vg_net, matmul_gflops
from talkface_lite.media import read_speech, write_speech, write_video
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import SIZES
from talkface_lite.talking.film import pictures
from talkface_lite.talking.talker import Portrait, Talker

STAGES = ("voice", "visemes", "geometry", "painting", "mfcc", "save")
SENTENCE = "place blue by u two please"


def bench(
    *, workers: int | None = None, clips: int = 8, repeats: int = 3, training: bool = False
) -> dict[str, Any]:
    """Measure everything; about a minute and a half with the defaults on two cores.

    Parameters
    ----------
    workers:
        Processes that draw; None takes one for each core.
    clips:
        Clips drawn in each repeat.
    repeats:
        Times each thing is measured; the median counts.
    training:
        Steps of training as well: another two minutes, and 5 GB of memory.

    Returns
    -------
    dict
        ``machine`` (with its measured ``matmul_gflops``, and those in bfloat16), ``corpus`` (``frames_per_s``
        with sound, MFCC and saving, the processes already started; ``share_of_time`` of each stage in one
        process), ``at_net`` (for each size ``clips_per_s``, ``frames_per_s``, ``gflops`` and its share of the
        machine's) and ``vg_net`` (for each size what
        :func:`~talkface_lite.measuring.bench_networks.bench_vg_net` gives, and under ``training`` what
        :func:`~talkface_lite.measuring.bench_networks.bench_training` does), and ``talk`` (what
        :func:`bench_talk` gives, or what is ``missing``).
    """
    matmul = {"32": matmul_gflops(repeats), "bf16": matmul_gflops(repeats, dtype=torch.bfloat16)}
    report = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "device": choose_device(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "matmul_gflops": round(matmul["32"], 1),
            "matmul_gflops_bf16": round(matmul["bf16"], 1),
        },
        "corpus": bench_corpus(workers or os.cpu_count() or 1, clips, repeats),
        "at_net": {size: bench_at_net(size, repeats, matmul["32"]) for size in SIZES},
        "vg_net": {size: bench_vg_net(size, repeats, matmul) for size in SIZES},
    }
    if training:
        for size, row in report["vg_net"].items():
            row["training"] = bench_training(size, min(repeats, 2), matmul)
    try:
        report["talk"] = bench_talk(repeats)
    except InputError as error:  # no detector of faces; the rest is worth having
        report["talk"] = {"missing": str(error)}
    return report


def bench_talk(repeats: int) -> dict[str, Any]:
    """From a photograph and 10 s of sound to the finished film, all of it in this process; the median."""
    said = speak("Where are we going, and how shall we know?", "felicity").speech
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        sound = write_speech(Path(folder) / "speech.wav", np.resize(said, 10 * SAMPLE_RATE))
        for _ in range(repeats + 1):
            began = time.perf_counter()
            talker, portrait, speech = Talker.load("atvg"), Portrait.of("hopper"), read_speech(sound)
            write_video(Path(folder) / "film.mp4", pictures(talker, portrait, speech), speech)
            seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[1:])  # the first one warms up
    n_frames = len(speech) // SAMPLES_PER_FRAME
    return {"frames": n_frames, "seconds": round(median, 3), "frames_per_s": round(n_frames / median, 1)}


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


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    machine, corpus = report["machine"], report["corpus"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']} on {machine['device']}: "
        f"matrix product {machine['matmul_gflops']:g} GFLOP/s, bfloat16 {machine['matmul_gflops_bf16']:g}",
        f"corpus: {corpus['frames_per_s']:g} frames/s with {corpus['workers']} processes, of which "
        + ", ".join(f"{stage} {100 * share:.1f} %" for stage, share in corpus["share_of_time"].items()),
    ]
    for size, row in report["at_net"].items():
        lines.append(
            f"AT-net {size}: {row['clips_per_s']:g} clips/s of 3 s, {row['frames_per_s']:g} frames/s, "
            f"{row['gflops']:g} GFLOP/s, {100 * row['share_of_matmul']:.0f} % of the matrix product"
        )
    for size, row in report["vg_net"].items():
        lines += _vg_net_lines(size, row)
    talk = report["talk"]
    rate = talk.get("missing") or f"{talk['frames_per_s']:g} frames/s"
    lines.append(f"photograph and 10 s of sound to the finished film: {rate}")
    return "\n".join(lines)


def _vg_net_lines(size: str, row: Mapping[str, Any]) -> list[str]:
    fast, precision = row["fast"], {"32": "float32", "bf16": "bfloat16"}[row["precision"]]
    lines = [
        f"VG-net {size}, {precision}, weights {row['weights']}: {fast['frames_per_s']:g} frames/s, "
        f"{row['times_frame_by_frame']:g} times frame by frame as released, "
        f"{row['times_float32']:g} times float32 all at once; {fast['gflops']:g} GFLOP/s, "
        f"{100 * fast['share_of_matmul']:.0f} % of the matrix product; {row['psnr_db']:g} dB from float32; "
        + ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in row["share_of_time"].items())
    ]
    if "training" in row:
        step = row["training"]
        lines.append(
            f"VG-net {size}, training on {step['batch']} × {step['frames']} frames: "
            f"{step['frames_per_s']:g} frames/s, {step['times_frame_by_frame']:g} times frame by frame "
            f"as released; {100 * step['share_of_matmul']:.0f} % of the matrix product"
        )
    return lines
