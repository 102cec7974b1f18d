"""The folder of a run: its lock, its checkpoints, its log, and what makes a resumed run the same run."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from talkface_lite.data.needs import TrainingData
from talkface_lite.errors import InputError
from talkface_lite.files import held, read_tensors, write_atomically, write_tensors
from talkface_lite.systems.part import Part
from talkface_lite.systems.training_settings import MAY_CHANGE, TrainingSettings

FORMAT = "talkface_lite checkpoint 2"
KEPT = 2
"""Checkpoints left on disk: the newest, and one before it should the newest turn out unreadable."""


@dataclass
class Progress:
    """How far a run is: updates, seconds, the best held-out figure so far, and of which clips that is."""

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    validation: str = ""


@contextmanager
def folder_of_run(out: Path, *, resume: bool) -> Iterator[None]:
    """Hold the folder, when it may be written to.

    Raises
    ------
    InputError
        When another process trains in it, it holds a run that is not to be resumed, or weights that nothing
        is left to resume from.
    """
    with held(out, "another training run"):
        checkpoints = list((out / "checkpoints").glob("step-*.safetensors"))
        weights = [path for path in (out / "weights.safetensors", out / "best.safetensors") if path.exists()]
        if (checkpoints or weights) and not resume:
            raise InputError(out, "a folder with a run in it", "an empty folder, or --resume")
        if weights and not checkpoints:
            raise InputError(weights[0], "weights without a checkpoint to go on from", "a new folder")
        yield


def identity_of(part: Part, data: TrainingData, settings: TrainingSettings) -> dict[str, Any]:
    """Everything that decides what a run learns, as JSON holds it."""
    told = {
        "part": f"{part.system} {part.name}",
        "config": asdict(part.config),
        "settings": asdict(settings),
        "data": data_of(data),
        "start_from": part.started,
    }
    return json.loads(json.dumps(told))


def data_of(data: TrainingData) -> dict[str, Any]:
    """What a run is trained on: the files' fingerprint, the settings, what the part needs of a batch."""
    settings = {name: value for name, value in asdict(data.settings).items() if name != "workers"}
    settings["window"] = data.window
    settings["streaming"] = type(data).__name__ == "StreamedDataset"
    return {"digest": data.digest, "settings": settings, "needs": asdict(data.needs)}


def refuse_other_run(path: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of a run that would have learned something else.

    Raises
    ------
    InputError
        Naming the first difference.
    """
    for name in ("part", "config", "start_from"):
        if there.get(name) != now[name]:
            got = {"part": there.get("part"), "config": "another network or loss"}.get(name)
            what = got or there.get(name) or "none"
            raise InputError(f"{name} of the run to resume, {path}", what, "as asked now")
    changeable = MAY_CHANGE - ({"steps"} if now["settings"]["schedule"] == "cosine" else set())
    both = [(there.get("settings", {}), now["settings"], changeable)]
    both.append((there.get("data", {}).get("settings", {}), now["data"]["settings"], set()))
    both.append((there.get("data", {}).get("needs", {}), now["data"]["needs"], set()))
    for before, after, free in both:
        for name in sorted(after.keys() - free):
            if before.get(name) != after[name]:
                raise InputError(
                    f"{name} of the run to resume", before.get(name), f"{after[name]} as asked now"
                )
    if there.get("data", {}).get("digest") != now["data"]["digest"]:
        raise InputError("data of the run to resume", "other files", "those asked for now")


def save_checkpoint(
    out: Path,
    part: Part,
    optimizers: Mapping[str, Optimizer],
    identity: Mapping[str, Any],
    progress: Progress,
    random: Mapping[str, Tensor],
) -> None:
    """Write all that a resumed run needs, whole or not at all, and drop all but the newest :data:`KEPT`.

    Raises
    ------
    InputError
        When a weight is not finite.
    """
    tensors = {f"system.{name}": value for name, value in part.state_dict().items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(
                f"{name} at step {progress.step}", "values that are not finite", "a lower learning rate"
            )
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{key}": torch.as_tensor(v) for key, v in state.items()}
    folder, about = out / "checkpoints", dict(identity) | asdict(progress)
    about["best"] = None if math.isinf(progress.best) else progress.best
    path = folder / f"step-{progress.step:08d}.safetensors"
    write_tensors(path, {**tensors, **random}, about, key="checkpoint", text=FORMAT)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEPT]:
        old.unlink()


def restore(
    out: Path, part: Part, optimizers: Mapping[str, Optimizer], identity: Mapping[str, Any]
) -> tuple[Progress, dict[str, Tensor]]:
    """Load the newest readable checkpoint: how far it is, and its random streams; empty without one.

    Raises
    ------
    InputError
        When it is of another run, or holds other things than a run writes.
    """
    for path in sorted((out / "checkpoints").glob("step-*.safetensors"), reverse=True):
        try:
            about, tensors = read_tensors(
                path, key="checkpoint", text=FORMAT, what="a checkpoint", framework="pt"
            )
        except InputError as error:
            if error.got == "a file of another kind":
                raise
            print(f"talkface: {path} is unreadable; trying the checkpoint before it", file=sys.stderr)
            continue
        try:
            refuse_other_run(path, about, identity)
            return _taken(about, tensors, part, optimizers)
        except InputError:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            got = f"a checkpoint that does not fit ({type(error).__name__}: {str(error).splitlines()[0]})"
            raise InputError(path, got, "one of this run; remove it to go on from the one before") from error
    return Progress(), {}


def _taken(
    about: Mapping[str, Any], tensors: Mapping[str, Tensor], part: Part, optimizers: Mapping[str, Optimizer]
) -> tuple[Progress, dict[str, Tensor]]:
    own = {name.removeprefix("system."): v for name, v in tensors.items() if name.startswith("system.")}
    part.load_state_dict(own)
    for name, optimizer in optimizers.items():
        _restore_optimizer(optimizer, f"optimizer.{name}.", tensors)
    best = math.inf if about["best"] is None else float(about["best"])
    random = {name: value for name, value in tensors.items() if name.startswith("random")}
    for name, state in random.items():
        if name.startswith("random."):
            torch.Generator().set_state(state)  # to see that it is one
    validation = str(about.get("validation", ""))  # none in checkpoints from before it was kept
    return Progress(int(about["step"]), float(about["seconds"]), best, validation), random


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


class Log:
    """A CSV file whose lines up to the step of a resume are kept, the rest rewritten.

    Parameters
    ----------
    path:
        ``log.csv`` of the run.
    first_step:
        Lines of later steps are dropped.

    Raises
    ------
    InputError
        When the file is no such log.
    """

    OWN = ("step", "seconds", "learning_rate")

    def __init__(self, path: Path, first_step: int) -> None:
        self.path = path
        try:
            self.rows = [row for row in _read_log(path) if int(row["step"]) <= first_step]
            for row in self.rows:
                _ = [float(value) for value in row.values() if value]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(path, "no log of a run", "log.csv as the run left it, or none") from error

    def add(self, step: int, seconds: float, rate: float, values: Mapping[str, float]) -> None:
        """The line of a step, ``values`` by the names of their columns; it replaces an earlier one."""
        self.rows = [row for row in self.rows if int(row["step"]) != step]
        row = {"step": step, "seconds": f"{seconds:.1f}", "learning_rate": f"{rate:.3g}"}
        self.rows.append(row | {name: f"{value:.6g}" for name, value in values.items()})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())

    def last(self) -> dict[str, float]:
        """The losses of the last line."""
        row: Mapping[str, str] = self.rows[-1] if self.rows else {}
        return {name: float(value) for name, value in row.items() if name not in self.OWN and value}


def _read_log(path: Path) -> Sequence[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
