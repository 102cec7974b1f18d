"""How a part learns from half a minute of one person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from talkface_lite.data.needs import DataSettings
from talkface_lite.errors import InputError
from talkface_lite.systems.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Adapting:
    """Settings of :func:`talkface_lite.measuring.adaptation.adapt` for one part.

    Parameters
    ----------
    training:
        How; ``steps`` are as many as help, and fewer are made where the time is short.
    data:
        How clips become windows.
    config:
        Settings of the part other than those that it was trained with, by name.
    share:
        Of the time, beside those of the system's other parts.
    """

    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(steps=200, schedule="cosine"))
    data: DataSettings = field(default_factory=DataSettings)
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.training.steps is None:
            raise InputError("adapting.training", "no steps", "a number of steps")
        if not self.share > 0:
            raise InputError("adapting.share", self.share, "more than 0")
