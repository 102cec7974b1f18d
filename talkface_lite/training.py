"""One training loop for every system (Lightning Fabric): seeds, precision, several devices, resumable.

Imports neither the sound nor the face libraries: where clips are already MFCC and landmarks, torch is enough.
"""

import csv
import io
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from talkface_lite.data.dataset import Batch, Dataset
from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import System

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
SCHEDULES = ("constant", "cosine")

FORMAT = "talkface_lite checkpoint 1"
KEPT = 2
"""Checkpoints left on disk: the newest, and one before it should the newest turn out unreadable."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train; the defaults of the optimiser and the batch are ATVGnet's.

    Parameters
    ----------
    steps:
        Stop after so many updates, or None.
    minutes:
        Stop after so much time, or None; whichever comes first. Time before a resume counts.
    batch_size:
        Windows per update and device.
    learning_rate, betas:
        Of Adam.
    schedule:
        ``"constant"`` is the paper's. ``"cosine"`` (ours) lets the rate fall to zero over ``steps``.
    mfcc_shift, closed_examples:
        Ours: another microphone for each window; lips nearly closed in this share of the example frames. See
        :meth:`talkface_lite.data.dataset.Dataset.batches`.
    seed:
        Of the initial weights and of the order, windows and example frames of the batches.
    precision:
        ``"32"``, ``"bf16"`` or ``"16"`` (mixed).
    devices:
        Processes, one for each device.
    checkpoint_every, log_every:
        Steps between checkpoints, and between lines of the log.
    """

    steps: int | None = 2_000
    minutes: float | None = None
    batch_size: int = 16
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    schedule: str = "constant"
    mfcc_shift: float = 0.0
    closed_examples: float = 0.0
    seed: int = 0
    precision: str = "32"
    devices: int = 1
    checkpoint_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InputError("training", "neither steps nor minutes", "at least one of them")
        for name in (
            "steps",
            "minutes",
            "batch_size",
            "learning_rate",
            "devices",
            "checkpoint_every",
            "log_every",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(name, value, "more than 0")
        if self.schedule not in SCHEDULES:
            raise InputError("schedule", repr(self.schedule), " or ".join(SCHEDULES))
        if self.schedule == "cosine" and self.steps is None:
            raise InputError("schedule", "cosine without steps", "a number of steps to fall over")
        if self.precision not in PRECISIONS:
            raise InputError("precision", repr(self.precision), ", ".join(PRECISIONS))

    def learning_rate_at(self, step: int) -> float:
        """The rate of update ``step``, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1)))


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run left: ``weights`` (half precision), the record of the run, and the last logged losses."""

    weights: Path
    record: dict[str, Any]
    losses: dict[str, float]


def train(
    system: System,
    dataset: Dataset,
    out: str | os.PathLike,
    settings: TrainingSettings,
    *,
    resume: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Train a system on clips.

    Writes ``checkpoints/step-*.safetensors`` (whole or not at all, the last two kept), ``log.csv``,
    ``weights.safetensors`` and ``record.json`` into ``out``. On a CPU, a run that was killed and resumed ends
    in the same weights as one that was not.

    Parameters
    ----------
    system:
        With fresh weights, made under the same seed; build it after ``torch.manual_seed(settings.seed)``.
    dataset:
        What to train on.
    out:
        Folder of the run.
    settings:
        How.
    resume:
        Go on from the newest readable checkpoint in ``out``; where there is none, start.
    progress:
        Draw a bar on standard error.

    Raises
    ------
    InputError
        When ``out`` holds another run, the checkpoint does not fit, or the loss is not finite any more. The
        last good checkpoint stays.
    """
    out = Path(out)
    found = sorted((out / "checkpoints").glob("step-*.safetensors"))
    if found and not resume:
        raise InputError(out, "a folder with a run in it", "an empty folder, or --resume")
    chosen = choose_device()
    fabric = Fabric(
        accelerator="cuda" if chosen.startswith("cuda") else "cpu",
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp_spawn",
        precision=PRECISIONS[settings.precision],
    )
    if settings.devices == 1:
        _run(fabric, system, dataset, out, settings, progress)
    else:
        fabric.launch(_run_spawned, system, dataset, out, asdict(settings), progress)
    record = json.loads((out / "record.json").read_text())
    return TrainingResult(weights=out / "weights.safetensors", record=record, losses=record["losses"])


def _run_spawned(
    fabric: Fabric, system: System, dataset: Dataset, out: Path, settings: dict, *rest: Any
) -> None:
    """Lightning refuses to hand a frozen dataclass to the processes it starts; a dictionary it takes."""
    _run(fabric, system, dataset, out, TrainingSettings(**settings), *rest)


def _run(
    fabric: Fabric, system: System, dataset: Dataset, out: Path, settings: TrainingSettings, progress: bool
) -> None:
    system.train()
    system.to(fabric.device)
    if not system.started:
        system.prepare(dataset.statistics())
    optimizers = system.optimizers(settings.learning_rate, settings.betas)
    first, seconds_before = _restore(out, system, optimizers, settings)
    plain = system.networks()
    for name, network in plain.items():
        setattr(system, name, fabric.setup_module(network))
    optimizers = {name: fabric.setup_optimizers(optimizer) for name, optimizer in optimizers.items()}
    log = _Log(out / "log.csv", first) if fabric.is_global_zero else None
    batches = dataset.batches(
        settings.batch_size,
        settings.seed,
        first_step=first,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
        mfcc_shift=settings.mfcc_shift,
        closed_examples=settings.closed_examples,
    )
    began, step, losses = time.monotonic() - seconds_before, first, {}
    bar = tqdm(
        total=settings.steps,
        initial=first,
        unit="step",
        file=sys.stderr,
        mininterval=1 if sys.stderr.isatty() else 30,
        disable=not (progress and fabric.is_global_zero),
    )
    with bar:
        while not _finished(fabric, step, time.monotonic() - began, settings):
            losses = _update(fabric, system, optimizers, next(batches), settings.learning_rate_at(step))
            step += 1
            bar.update()
            if fabric.is_global_zero and (step % settings.log_every == 0 or step == settings.steps):
                values = {name: float(loss) for name, loss in losses.items()}
                if not all(map(math.isfinite, values.values())):
                    raise InputError(
                        f"loss of step {step}", values["loss"], "a finite loss; lower the learning rate"
                    )
                log.add(step, time.monotonic() - began, settings.learning_rate_at(step - 1), values)
                bar.set_postfix(loss=f"{values['loss']:.4g}")
            if fabric.is_global_zero and step % settings.checkpoint_every == 0:
                _checkpoint(out, system, optimizers, settings, step, time.monotonic() - began)
    for name, network in plain.items():  # Fabric's wrappers rename parameters
        setattr(system, name, network)
    if fabric.is_global_zero:
        seconds = time.monotonic() - began
        _checkpoint(out, system, optimizers, settings, step, seconds)
        values = {name: float(loss) for name, loss in losses.items()} or log.last()
        record = run_record(system, dataset, settings, step, seconds) | {"losses": values}
        system.save(out / "weights.safetensors", record)
        write_atomically(out / "record.json", (json.dumps(record, indent=2) + "\n").encode())
    fabric.barrier()


def _update(
    fabric: Fabric, system: System, optimizers: Mapping[str, Optimizer], batch: Batch, rate: float
) -> dict[str, Tensor]:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate
    with fabric.autocast():
        return system.training_step(batch.to(fabric.device), optimizers, fabric.backward)


def _finished(fabric: Fabric, step: int, seconds: float, settings: TrainingSettings) -> bool:
    if settings.steps is not None and step >= settings.steps:
        return True
    if settings.minutes is None:
        return False
    # every process must stop at the same step, so the first one's clock counts
    return bool(fabric.broadcast(seconds > 60 * settings.minutes))


def run_record(
    system: System, dataset: Dataset, settings: TrainingSettings, step: int, seconds: float
) -> dict[str, Any]:
    """Everything needed to say where weights come from: settings, data, commit, device, time, memory."""
    return {
        "system": system.name,
        "config": asdict(system.config),
        "parameters": system.parameter_counts(),
        "settings": asdict(settings),
        "step": step,
        "seconds": round(seconds, 1),
        "clips": len(dataset),
        "frames": dataset.n_frames,
        "window": dataset.window,
        "windows_seen": step * settings.batch_size * settings.devices,
        "commit": _commit(),
        "device": _device_name(),
        "torch": torch.__version__,
        "peak_memory_mib": _peak_memory_mib(),
    }


def _checkpoint(
    out: Path,
    system: System,
    optimizers: Mapping[str, Optimizer],
    settings: TrainingSettings,
    step: int,
    seconds: float,
) -> None:
    tensors = {f"system.{name}": value for name, value in system.state_dict().items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{name} at step {step}", "values that are not finite", "a lower learning rate")
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{key}": torch.as_tensor(v) for key, v in state.items()}
    tensors["random"] = torch.get_rng_state()
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    about = {"format": FORMAT, "step": step, "seconds": seconds, "settings": asdict(settings)}
    about["config"] = asdict(system.config)
    folder = out / "checkpoints"
    content = to_safetensors(tensors, {"checkpoint": json.dumps(about, sort_keys=True)})
    write_atomically(folder / f"step-{step:08d}.safetensors", content)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEPT]:
        old.unlink()


def _restore(
    out: Path, system: System, optimizers: Mapping[str, Optimizer], settings: TrainingSettings
) -> tuple[int, float]:
    """Load the newest readable checkpoint; returns its step and the seconds spent, zeros without one."""
    for path in sorted((out / "checkpoints").glob("step-*.safetensors"), reverse=True):
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {}).get("checkpoint", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError, json.JSONDecodeError):
            print(f"talkface: {path} is unreadable; trying the checkpoint before it", file=sys.stderr)
            continue
        _refuse_other_run(path, about, system, settings)
        parts = {name.removeprefix("system."): v for name, v in tensors.items() if name.startswith("system.")}
        system.load_state_dict(parts)
        for name, optimizer in optimizers.items():
            _restore_optimizer(optimizer, f"optimizer.{name}.", tensors)
        torch.set_rng_state(tensors["random"])
        return about["step"], about["seconds"]
    return 0, 0.0


def _restore_optimizer(optimizer: Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".", 1)
            like = parameters[int(index)]
            if value.shape == like.shape:  # a fused optimizer walks along memory, so all must lie alike
                value = torch.empty_like(like, device="cpu").copy_(value)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


_MAY_CHANGE = {"steps", "minutes", "checkpoint_every", "log_every"}
"""Settings that a resumed run may set anew without leaving the path of the first one."""


def _refuse_other_run(path: Path, about: Mapping, system: System, settings: TrainingSettings) -> None:
    if about.get("format") != FORMAT:
        raise InputError(path, "a file of another kind", f"'{FORMAT}'")
    fixed = dict(json.loads(json.dumps(asdict(settings))))
    may_change = _MAY_CHANGE - ({"steps"} if settings.schedule == "cosine" else set())
    for name in fixed.keys() - may_change:
        if about["settings"].get(name) != fixed[name]:
            raise InputError(
                f"{name} of the run to resume", about["settings"].get(name), f"{fixed[name]} as asked now"
            )
    if about["config"] != json.loads(json.dumps(asdict(system.config))):
        raise InputError(path, "a run of another network", "the network asked for")


class _Log:
    """A CSV file whose lines up to the step of a resume are kept, the rest rewritten."""

    def __init__(self, path: Path, first_step: int) -> None:
        self.path = path
        self.rows = [row for row in _read_log(path) if int(row["step"]) <= first_step]
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, step: int, seconds: float, rate: float, losses: Mapping[str, float]) -> None:
        row = {"step": step, "seconds": f"{seconds:.1f}", "learning_rate": f"{rate:.3g}"}
        self.rows.append(row | {name: f"{value:.6g}" for name, value in losses.items()})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]))
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())

    def last(self) -> dict[str, float]:
        """The losses of the last line."""
        if not self.rows:
            return {}
        return {
            k: float(v) for k, v in self.rows[-1].items() if k not in ("step", "seconds", "learning_rate")
        }


def _read_log(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def _commit() -> str:
    """The commit of the source tree, ``+`` where it was changed since; empty for an installed package."""
    here = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()


def _device_name() -> str:
    if torch.cuda.is_available() and choose_device().startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _peak_memory_mib() -> int:
    if torch.cuda.is_available() and choose_device().startswith("cuda"):
        return round(torch.cuda.max_memory_allocated() / 2**20)
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
