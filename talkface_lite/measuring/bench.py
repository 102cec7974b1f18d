"""How fast this machine draws clips and runs the systems, beside how fast it multiplies matrices."""

import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME, VIEW_OF, Clip
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter import paint_clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, speak
from talkface_lite.data.features import Features
from talkface_lite.errors import InputError
from talkface_lite.media import read_speech, write_speech, write_video
from talkface_lite.networks.sizes import SIZES
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import SYSTEMS, load, system_class
from talkface_lite.systems.base import Face, System
from talkface_lite.systems.part import Workload
from talkface_lite.systems.timing import alternate, now, times
from talkface_lite.talking.film import pictures
from talkface_lite.talking.talker import Portrait, Talker

STAGES = ("voice", "visemes", "geometry", "painting", "mfcc", "save")
SENTENCE = "place blue by u two please"
SPOKEN_S = 10
"""Seconds of sound that a film is timed on."""


def bench(
    *,
    workers: int | None = None,
    clips: int = 8,
    repeats: int = 3,
    training: bool = False,
    systems: Sequence[str] | None = None,
    sizes: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure everything; on two cores a minute or two for each system in each size.

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
    systems, sizes:
        Which; None is all.

    Returns
    -------
    dict
        ``machine`` (with its measured ``matmul_gflops``, and those in bfloat16), ``corpus`` (``frames_per_s``
        with sound, MFCC and saving, the processes already started; ``share_of_time`` of each stage in one
        process), and ``systems``: for each system and size what :func:`bench_system` gives.
    """
    matmul = {"32": matmul_gflops(repeats), "bf16": matmul_gflops(repeats, dtype=torch.bfloat16)}
    report: dict[str, Any] = {
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
        "systems": {},
    }
    for name in systems or SYSTEMS:
        report["systems"][name] = {
            size: bench_system(name, size, repeats, matmul, training=training) for size in sizes or SIZES
        }
    return report


def matmul_gflops(repeats: int, side: int = 1024, dtype: torch.dtype = torch.float32) -> float:
    """Matrix products of ``side``: the most that a plain network could reach here, 10⁹ operations/s."""
    a, b = torch.rand(2, side, side, device=choose_device()).to(dtype)
    seconds = statistics.median(alternate({"": lambda: a @ b}, max(repeats, 5))[""])
    return 2 * side**3 / seconds / 1e9


def bench_system(
    name: str, size: str, repeats: int, matmul: Mapping[str, float], *, training: bool = False
) -> dict[str, Any]:
    """Films of a system, and whatever its parts ask to have timed.

    Parameters
    ----------
    name, size:
        Which.
    repeats:
        The median counts.
    matmul:
        Rate of matrix products in ``"32"`` and ``"bf16"``, 10⁹ operations/s.
    training:
        Steps of training as well.

    Returns
    -------
    dict
        ``weights``: the package's, or random. ``film``: frames/s from a face and 10 s of sound to frames.
        ``talk``, where the package has weights: the same from a photograph to the finished file, or what is
        ``missing``. ``parts``: for each that asks for it, and under ``training`` for its training step, what
        :func:`rates` gives.
    """
    kind, device = system_class(name), choose_device()
    try:
        system, weights = load(name, size), "the package's"
    except InputError:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            system, weights = kind.build(size), "random, seed 0"
    found: dict[str, Any] = {"weights": weights, "film": bench_film(system, repeats)}
    if weights != "random, seed 0":
        try:
            found["talk"] = bench_talk(name, size, repeats)
        except InputError as error:  # no detector of faces; the rest is worth having
            found["talk"] = {"missing": str(error)}
    found["parts"] = {}
    for part in kind.parts:
        rows: dict[str, Any] = {}
        workload = part.workload(Workload.Wanted(size, device, repeats, training=False))
        if workload is not None:
            rows |= rates(workload, repeats, matmul)
        if training:
            workload = part.workload(Workload.Wanted(size, device, min(repeats, 2), training=True))
            rows["training"] = rates(workload, min(repeats, 2), matmul)
        if rows:
            found["parts"][part.name] = rows
    return found


def rates(workload: Workload, repeats: int, matmul: Mapping[str, float]) -> dict[str, Any]:
    """How fast each way of a workload is, the ways in turns.

    Returns
    -------
    dict
        ``frames``, ``gflop_per_frame``; ``ways``: for each ``frames_per_s``, ``gflops`` and its share of the
        matrix product in its precision; ``times``: how many times faster the first way is than each of the
        others; and what the workload knows about itself.
    """
    seconds = alternate(workload.ways, repeats)
    first = next(iter(workload.ways))
    ways = {}
    for way, spent in seconds.items():
        median = statistics.median(spent)
        gflops, precision = workload.operations / median / 1e9, workload.precision[way]
        ways[way] = {
            "frames_per_s": round(workload.frames / median, 1),
            "gflops": round(gflops, 1),
            "precision": precision,
            "share_of_matmul": round(gflops / matmul[precision], 3),
        }
    return {
        "frames": workload.frames,
        "gflop_per_frame": round(workload.operations / workload.frames / 1e9, 4),
        "ways": ways,
        "times": {way: times(spent, seconds[first]) for way, spent in seconds.items() if way != first},
        **workload.about,
    }


def bench_film(system: System, repeats: int) -> dict[str, Any]:
    """A system's film of a drawn face that says 10 s, as it is used; the median."""
    clip = draw_clip(clip_seed(0, 0), view=VIEW_OF[system.framing])
    side = system.side
    picture = clip.frames[0] if side == clip.frames.shape[1] else np.full((side, side, 3), 128, np.uint8)
    face, speech = Face(picture, clip.landmarks[0]), _ten_seconds()
    fast = system.to(choose_device()).for_inference()
    seconds, n_frames = [], len(speech) // SAMPLES_PER_FRAME
    for _ in range(repeats + 1):
        began = now()
        for _ in fast.film(face, speech, np.random.default_rng(0)):
            pass
        seconds.append(now() - began)
    return _rate(n_frames, seconds[1:])  # the first one warms up


def bench_talk(name: str, size: str, repeats: int) -> dict[str, Any]:
    """From a photograph and 10 s of sound to the finished film, all of it in this process; the median."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        sound = write_speech(Path(folder) / "speech.wav", _ten_seconds())
        for _ in range(repeats + 1):
            began = time.perf_counter()
            talker = Talker.load(name, size=size)
            portrait, speech = Portrait.of("hopper"), read_speech(sound)
            write_video(Path(folder) / "film.mp4", pictures(talker, portrait, speech), speech)
            seconds.append(time.perf_counter() - began)
    return _rate(len(speech) // SAMPLES_PER_FRAME, seconds[1:])


def _ten_seconds() -> np.ndarray:
    said = speak("Where are we going, and how shall we know?", "felicity").speech
    return np.resize(said, SPOKEN_S * SAMPLE_RATE)


def _rate(n_frames: int, seconds: Sequence[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    rate = n_frames / median
    return {
        "frames": n_frames,
        "seconds": round(median, 3),
        "frames_per_s": round(rate, 1),
        "times_real_time": round(rate / FRAMES_PER_SECOND, 1),
    }


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
        + _shares(corpus["share_of_time"], digits=1),
    ]
    for name, sizes in report["systems"].items():
        for size, found in sizes.items():
            lines.append(f"{name} {size}, weights {found['weights']}")
            lines.append(f"  10 s of sound to frames: {found['film']['frames_per_s']:g} frames/s")
            if "talk" in found:
                rate = found["talk"].get("missing") or f"{found['talk']['frames_per_s']:g} frames/s"
                lines.append(f"  photograph and 10 s of sound to the finished film: {rate}")
            for part, row in found["parts"].items():
                lines += _part_lines(part, row) if "ways" in row else []
                lines += _part_lines(f"{part}, training", row["training"]) if "training" in row else []
    return "\n".join(lines)


def _part_lines(name: str, row: Mapping[str, Any]) -> list[str]:
    lines = []
    for way, rate in row["ways"].items():
        line = (
            f"  {name}, {way} ({ {'32': 'float32', 'bf16': 'bfloat16'}[rate['precision']] }): "
            f"{rate['frames_per_s']:g} frames/s, {rate['gflops']:g} GFLOP/s, "
            f"{100 * rate['share_of_matmul']:.0f} % of the matrix product"
        )
        if way in row["times"]:
            line += f"; the first is {row['times'][way]:g} times as fast"
        lines.append(line)
    if "psnr_db" in row:
        lines.append(f"  {name}: {row['psnr_db']:g} dB between the first two ways")
    if "share_of_time" in row:
        lines.append(f"  {name}: {_shares(row['share_of_time'])}")
    return lines


def _shares(shares: Mapping[str, float], digits: int = 0) -> str:
    return ", ".join(f"{stage} {100 * share:.{digits}f} %" for stage, share in shares.items())
