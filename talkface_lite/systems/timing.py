"""Timing: ways to do the same thing take turns, because other work on a machine makes every rate wrong."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from talkface_lite.clip import CROP_SIZE, VIEW_OF
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.needs import Batch, Needs
from talkface_lite.metrics import psnr
from talkface_lite.networks.fast import fast_precision
from talkface_lite.runtime import device as choose_device

if TYPE_CHECKING:
    from talkface_lite.systems.part import Part, Workload


def now() -> float:
    """Seconds, when all that was asked of the device is done."""
    if choose_device().startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def alternate(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, in turns, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, work in ways.items():
            began = now()
            work()
            if repeat:
                seconds[name].append(now() - began)
    return seconds


def times(slow: list[float], fast: list[float]) -> float:
    """How many times faster, the median of the turns."""
    return round(statistics.median(a / b for a, b in zip(slow, fast)), 2)


def drawn_batch(needs: Needs, size: int, device: str, window: int | None = None) -> Batch:
    """A batch as a part needs it, from one drawn clip; pictures of another side than 128 are grey noise."""
    clip = draw_clip(clip_seed(0, 0), view=VIEW_OF[needs.framing])
    window = window or needs.window
    dataset = Dataset([clip], needs=needs, window=window)
    last = max(len(clip) - window, 0)
    places = [(0, i * last // max(size - 1, 1), 0) for i in range(size)]
    batch = dataset.batch(places)
    if needs.pictures:
        starts = [start for _, start, _ in places]
        at = torch.tensor(starts)[:, None] + torch.arange(window)
        frames = torch.from_numpy(clip.frames)
        if needs.side != CROP_SIZE:
            frames = torch.randint(0, 256, (len(clip), needs.side, needs.side, 3), dtype=torch.uint8)
        pictures = {"pictures": frames[at.clamp(max=len(clip) - 1)], "photograph": frames[[0] * size]}
        if needs.previous:
            pictures["previous"] = frames[[max(start - 1, 0) for start in starts]]
        batch = Batch(**(batch.present() | pictures))
    return batch.to(device)


def part_to_time(kind: type["Part"], size: str, **settings: Any) -> tuple["Part", str]:
    """A part with the package's weights, where it has some of this size, or else with random ones and these
    settings; and which of the two."""
    from talkface_lite.systems.part import shipped_weights

    path = shipped_weights(kind.system, kind.name, size)
    if path.is_file():
        return kind.load(path), "the package's"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind.of_size(size, **settings), "random, seed 0"


def three_ways(
    wanted: "Workload.Wanted",
    n_frames: int,
    *,
    fast: Callable[[], Tensor],
    float32: Callable[[], Tensor],
    frame_by_frame: Callable[[], Tensor],
    operations: int | None = None,
    **about: Any,
) -> "Workload":
    """One film, made three ways, none of which asks for gradients.

    Parameters
    ----------
    wanted:
        The device is what the precision of ``fast`` is told from.
    n_frames:
        Of the film.
    fast, float32, frame_by_frame:
        Each makes its frames, colours -1 to 1: the copy for inference, the network as it is, and one frame
        after the other, in float32 too.
    operations:
        Multiplications and additions; None counts those of ``frame_by_frame``.
    about:
        What else is known.

    Returns
    -------
    Workload
        ``about`` has ``psnr_db`` beside what was given: of the frames of ``fast`` to those of ``float32``.
    """
    from talkface_lite.systems.part import Workload

    ways = {"fast": fast, "float32": float32, "frame_by_frame": frame_by_frame}
    ways = {name: torch.inference_mode()(way) for name, way in ways.items()}
    if operations is None:
        with FlopCounterMode(display=False) as counter:
            ways["frame_by_frame"]()
        operations = counter.get_total_flops()
    pair = (ways[way]().cpu().numpy() for way in ("fast", "float32"))
    return Workload(
        frames=n_frames,
        operations=operations,
        ways=ways,
        precision={"fast": fast_precision(wanted.device), "float32": "32", "frame_by_frame": "32"},
        about={**about, "psnr_db": round(psnr(*pair, data_range=2), 1)},
    )


def own_step(kind: type["Part"], wanted: "Workload.Wanted") -> "Workload":
    """A part's own training step, at its own settings: as it is trained; and in float32, too, where that
    multiplies in bfloat16."""
    from talkface_lite.systems.part import Workload
    from talkface_lite.systems.training_settings import TrainingSettings

    settings = TrainingSettings(**kind.defaults)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        part = kind.of_size(wanted.size).to(wanted.device).train()
    batch = drawn_batch(part.needs, settings.batch_size, wanted.device)
    optimizers = part.optimizers(settings)

    def step(precision: str) -> None:
        with torch.autocast(torch.device(wanted.device).type, torch.bfloat16, precision == "bf16"):
            part.training_step(batch, optimizers)

    with FlopCounterMode(display=False) as counter:
        step("32")
    precisions = {"step": fast_precision(wanted.device), "float32": "32"}
    if precisions["step"] == "32":
        del precisions["float32"]
    return Workload(
        frames=settings.batch_size * part.needs.window,
        operations=counter.get_total_flops(),
        ways={way: partial(step, precision) for way, precision in precisions.items()},
        precision=precisions,
        about={"batch": settings.batch_size},
    )
