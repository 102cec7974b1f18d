"""How to train."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from talkface_lite.errors import InputError
from talkface_lite.systems.config import above_zero

PRECISIONS: Mapping[str, str] = MappingProxyType({"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"})
"""Ours → Fabric's."""

Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

MAY_CHANGE = frozenset({"steps", "minutes", "checkpoint_every", "log_every"})
"""Settings that a resumed run may set anew without leaving the path of the first one."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train; the defaults of the optimiser and the batch are ATVGnet's.

    Parameters
    ----------
    steps:
        Stop after so many updates.
    minutes:
        Stop after so much time; with steps, whichever comes first. Time before a resume counts.
    batch_size:
        Windows per update and device.
    learning_rate:
        Step size of Adam; a part with several optimisers may give some a rate of their own.
    betas:
        What Adam keeps, from step to step, of its means of the gradient and of the gradient's square.
    schedule:
        "constant" is the paper's. "cosine" (ours) lets every rate fall to zero over the steps.
    seed:
        Decides the initial weights, the order, windows and examples of the batches, and what a network
        draws; every device draws from a stream of its own.
    precision:
        "32": numbers of 32 bits. "bf16" and "16" multiply in bfloat16 or in half precision, and keep weights
        in 32 bits.
    devices:
        Processes, one for each device.
    checkpoint_every:
        Steps between checkpoints, and between looks at held-out clips.
    log_every:
        Steps between lines of the log.
    """

    steps: int | None = 2_000
    minutes: float | None = None
    batch_size: int = 16
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    schedule: Schedule = "constant"
    seed: int = 0
    precision: Literal["32", "bf16", "16"] = "32"
    devices: int = 1
    checkpoint_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InputError("training", "neither steps nor minutes", "at least one of them")
        above_zero(
            self,
            "steps",
            "minutes",
            "batch_size",
            "learning_rate",
            "devices",
            "checkpoint_every",
            "log_every",
            optional=True,
        )
        if math.isinf(self.learning_rate):
            raise InputError("learning_rate", self.learning_rate, "a finite number")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError("betas", " ".join(map(str, self.betas)), "two numbers from 0 to below 1")
        if not 0 <= self.seed < 2**63:
            raise InputError("seed", self.seed, "0 to 2^63 - 1")
        if self.schedule not in SCHEDULES:
            raise InputError("schedule", repr(self.schedule), " or ".join(SCHEDULES))
        if self.schedule == "cosine" and self.steps is None:
            raise InputError("schedule", "cosine without steps", "a number of steps to fall over")
        if self.precision not in PRECISIONS:
            raise InputError("precision", repr(self.precision), ", ".join(PRECISIONS))

    def scale_at(self, step: int) -> float:
        """What every rate is multiplied by in update ``step``, counted from 0."""
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1)))
