"""The record of a run: everything needed to say where weights come from."""

import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from talkface_lite.data.needs import TrainingData
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems.part import Part
from talkface_lite.systems.training_settings import TrainingSettings
from talkface_lite.training.run_folder import data_of


def run_record(
    part: Part, data: TrainingData, settings: TrainingSettings, step: int, seconds: float
) -> dict[str, Any]:
    """Settings, data, commit, device, time and memory of a run, as JSON holds them."""
    return {
        "system": part.system,
        "part": part.name,
        "config": asdict(part.config),
        "parameters": part.parameter_counts(),
        "settings": asdict(settings),
        "data": data_of(data),
        "start_from": part.started,
        "step": step,
        "seconds": round(seconds, 1),
        "clips": len(data),
        "frames": data.n_frames,
        "window": data.window,
        "windows_seen": step * settings.batch_size * settings.devices,
        "commit": commit(),
        "device": device_name(),
        "torch": torch.__version__,
        "peak_memory_mib": _peak_memory_mib(),
    }


def commit() -> str:
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


def device_name() -> str:
    """The GPU, or the processor with the threads that torch uses."""
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
