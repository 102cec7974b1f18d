"""The loop: batches in, weights, record, log and checkpoints out."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.multiprocessing import ProcessRaisedException
from torch.optim import Optimizer
from tqdm import tqdm

from talkface_lite.data.loading import StreamError
from talkface_lite.data.needs import Batch, TrainingData
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems.part import Part
from talkface_lite.systems.training_settings import PRECISIONS, TrainingSettings
from talkface_lite.training.record import run_record
from talkface_lite.training.run_folder import (
    Log,
    Progress,
    folder_of_run,
    identity_of,
    restore,
    save_checkpoint,
)

if TYPE_CHECKING:
    from talkface_lite.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run left: ``weights`` (half precision), the record of the run, and the last logged losses."""

    weights: Path
    record: dict[str, Any]
    losses: dict[str, float]


def train(
    part: Part,
    data: TrainingData,
    out: str | os.PathLike,
    settings: TrainingSettings,
    *,
    validation: "Dataset | None" = None,
    resume: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Train a part of a system on clips.

    Writes ``checkpoints/step-*.safetensors`` (whole or not at all, the last two kept), ``log.csv``,
    ``weights.safetensors`` and ``record.json`` into ``out``. On a CPU, a run that was killed and resumed ends
    in the same weights as one that was not, unless its data are streamed.

    Parameters
    ----------
    part:
        With fresh weights, made under the same seed; build it after ``torch.manual_seed(settings.seed)``.
    data:
        What to train on.
    out:
        Folder of the run.
    settings:
        How.
    validation:
        Held-out clips: at each checkpoint the figures of
        :meth:`~talkface_lite.systems.part.Part.held_out` over all of them are logged as ``held_out_…``, and
        ``best.safetensors`` keeps the weights whose :attr:`~talkface_lite.systems.part.Part.figure` is
        lowest; ``weights.safetensors`` stays the last. With other clips than before a resume, the lowest
        from there on.
    resume:
        Go on from the newest readable checkpoint in ``out``; where there is none, start.
    progress:
        Draw a bar on standard error.

    Raises
    ------
    InputError
        When ``out`` holds another run or is another run's at this moment, the checkpoint is of other data,
        settings or networks, or the loss is not finite any more. The last good checkpoint stays.
    """
    out = Path(out)
    chosen = choose_device()
    with folder_of_run(out, resume=resume):
        fabric = Fabric(
            accelerator="cuda" if chosen.startswith("cuda") else "cpu",
            devices=settings.devices,
            strategy="auto" if settings.devices == 1 else "ddp_spawn",
            precision=PRECISIONS[settings.precision],
        )
        run = _Run(part, data, out, settings, validation, progress)
        if settings.devices == 1:
            run(fabric)
        else:
            try:
                fabric.launch(_spawned, *run.packed())
            except ProcessRaisedException as error:
                raise StreamError.found_in(str(error)) or error from None
        record = json.loads((out / "record.json").read_text())
    return TrainingResult(weights=out / "weights.safetensors", record=record, losses=record["losses"])


def _spawned(fabric: Fabric, part: Part, data: TrainingData, out: Path, settings: dict, *rest: Any) -> None:
    """Lightning refuses to hand a frozen dataclass to the processes it starts; a dictionary it takes."""
    _Run(part, data, out, TrainingSettings(**settings), *rest)(fabric)


@dataclass
class _Run:
    """One process's share of a run."""

    part: Part
    data: TrainingData
    out: Path
    settings: TrainingSettings
    validation: "Dataset | None"
    show: bool
    done: Progress = field(default_factory=Progress)
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)

    def packed(self) -> tuple:
        """What another process needs to make it again."""
        return self.part, self.data, self.out, asdict(self.settings), self.validation, self.show

    def __call__(self, fabric: Fabric) -> None:
        part, settings, first_process = self.part, self.settings, fabric.is_global_zero
        part.train()
        part.to(fabric.device)
        if not part.started:
            part.prepare(self.data.statistics())
        optimizers = part.optimizers(settings)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        self.identity = identity_of(part, self.data, settings)
        _seed(fabric, settings.seed)
        self.done, random = restore(self.out, part, optimizers, self.identity)
        if self.validation is not None:
            if self.done.validation not in ("", self.validation.digest):
                self.done.best = math.inf  # a figure of other clips says nothing about these
            self.done.validation = self.validation.digest
        _set_random(fabric, random)
        self.plain = part.networks()
        wrapped = {name: fabric.setup_module(network) for name, network in self.plain.items()}
        self._put(wrapped)
        self.optimizers = {name: fabric.setup_optimizers(one) for name, one in optimizers.items()}
        log = Log(self.out / "log.csv", self.done.step) if first_process else None
        batches = self.data.batches(
            settings.batch_size,
            settings.seed,
            first_step=self.done.step,
            rank=fabric.global_rank,
            ranks=fabric.world_size,
        )
        began, losses = time.monotonic() - self.done.seconds, {}
        saved_at = -1
        with self._bar(first_process) as bar:
            while not self._finished(fabric):
                scale = settings.scale_at(self.done.step)
                losses = self._update(fabric, next(batches), scale)
                self.done.step += 1
                self.done.seconds = time.monotonic() - began
                bar.update()
                step = self.done.step
                found: dict[str, float] = {}
                if step % settings.checkpoint_every == 0:
                    found, saved_at = self._look(fabric, wrapped), step
                    self._save(fabric)
                if first_process and (step % settings.log_every == 0 or step == settings.steps or found):
                    values = _finite(step, losses)
                    log.add(step, self.done.seconds, settings.learning_rate * scale, values | found)
                    bar.set_postfix({name: f"{value:.4g}" for name, value in _short(values, found).items()})
            if losses and saved_at != self.done.step:
                found = self._look(fabric, wrapped)
                if found and first_process:
                    rate = settings.learning_rate * settings.scale_at(self.done.step - 1)
                    log.add(self.done.step, self.done.seconds, rate, _finite(self.done.step, losses) | found)
        self._put(self.plain)  # Fabric's wrappers rename parameters
        if saved_at != self.done.step:
            self._save(fabric)
        if first_process:
            values = {name: float(loss) for name, loss in losses.items()} or log.last()
            self._conclude(values, log.last())
        fabric.barrier()

    def _update(self, fabric: Fabric, batch: Batch, scale: float) -> dict[str, Tensor]:
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * scale
        with fabric.autocast():
            return self.part.training_step(batch.to(fabric.device), self.optimizers, fabric.backward)

    def _finished(self, fabric: Fabric) -> bool:
        if self.settings.steps is not None and self.done.step >= self.settings.steps:
            return True
        if self.settings.minutes is None:
            return False
        # every process must stop at the same step, so the first one's clock counts
        return bool(fabric.broadcast(self.done.seconds > 60 * self.settings.minutes))

    def _look(self, fabric: Fabric, wrapped: Mapping[str, nn.Module]) -> dict[str, float]:
        """The held-out figures, with the networks out of their wrappers; the first process alone looks."""
        if self.validation is None:
            return {}
        found: dict[str, float] = {}
        if fabric.is_global_zero:
            self._put(self.plain)
            with self.part.evaluating(), fabric.autocast():
                found = held_out_figures(self.part, self.validation, self.settings.batch_size, fabric.device)
            figure = self.part.figure
            if figure not in found:
                raise InputError(f"figure of {self.part.name}", repr(figure), " or ".join(found))
            if found[figure] < self.done.best:
                self.done.best = found[figure]
                record = self._record() | {"held_out": found}
                self.part.save(self.out / "best.safetensors", record)
            self._put(wrapped)
        fabric.barrier()
        return {f"held_out_{name}": value for name, value in found.items()}

    def _save(self, fabric: Fabric) -> None:
        random = _random(fabric)
        if fabric.is_global_zero:
            wrapped = self.part.networks()
            self._put(self.plain)
            save_checkpoint(self.out, self.part, self.optimizers, self.identity, replace(self.done), random)
            self._put(wrapped)

    def _put(self, networks: Mapping[str, nn.Module]) -> None:
        for name, network in networks.items():
            setattr(self.part, name, network)

    def _record(self) -> dict[str, Any]:
        return run_record(self.part, self.data, self.settings, self.done.step, self.done.seconds)

    def _conclude(self, losses: Mapping[str, float], last: Mapping[str, float]) -> None:
        record = self._record() | {"losses": dict(losses)}
        if self.validation is not None:
            found = {name: value for name, value in last.items() if name.startswith("held_out_")}
            record["validation"] = {"digest": self.validation.digest, "clips": len(self.validation)} | found
        self.part.save(self.out / "weights.safetensors", record)
        write_json(self.out / "record.json", record)

    def _bar(self, first_process: bool) -> tqdm:
        return tqdm(
            total=self.settings.steps,
            initial=self.done.step,
            unit="step",
            file=sys.stderr,
            mininterval=1 if sys.stderr.isatty() else 30,
            disable=not (self.show and first_process),
        )


@torch.no_grad()
def held_out_figures(
    part: Part, data: "Dataset", batch_size: int, device: str | torch.device
) -> dict[str, float]:
    """The figures of :meth:`~talkface_lite.systems.part.Part.held_out` over every frame of every clip.

    Batches are weighed by their frames.
    """
    sums: dict[str, float] = {}
    n_frames = 0
    for batch in data.passes(batch_size):
        n = int(batch.mask.sum())
        for name, value in part.held_out(batch.to(device)).items():
            sums[name] = sums.get(name, 0.0) + n * float(value)
        n_frames += n
    return {name: total / n_frames for name, total in sums.items()}


def _finite(step: int, losses: Mapping[str, Tensor]) -> dict[str, float]:
    values = {name: float(loss) for name, loss in losses.items()}
    if not all(map(math.isfinite, values.values())):
        raise InputError(f"loss of step {step}", values["loss"], "a finite loss; lower the learning rate")
    return values


def _short(values: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """What fits beside a bar."""
    return {"loss": values["loss"], **found} if "loss" in values else dict(found)


def _seed(fabric: Fabric, seed: int) -> None:
    """Give each process a random stream of its own; the weights are made before."""
    torch.manual_seed(seed + 1_000_003 * fabric.global_rank)


def _random(fabric: Fabric) -> dict[str, Tensor]:
    """The random streams of all processes, to be saved by the first."""
    states = {"random": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        states["random_cuda"] = torch.cuda.get_rng_state(fabric.device)
    if fabric.world_size == 1:
        return {f"{name}.0": state for name, state in states.items()}
    gathered = {name: fabric.all_gather(state).cpu() for name, state in states.items()}
    return {f"{name}.{rank}": one for name, all_ in gathered.items() for rank, one in enumerate(all_)}


def _set_random(fabric: Fabric, states: Mapping[str, Tensor]) -> None:
    rank = fabric.global_rank
    if f"random.{rank}" in states:
        torch.set_rng_state(states[f"random.{rank}"])
    if f"random_cuda.{rank}" in states and fabric.device.type == "cuda":
        torch.cuda.set_rng_state(states[f"random_cuda.{rank}"], fabric.device)
