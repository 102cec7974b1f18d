"""Where and how long to compute: the device, the seed, and whether there is time for much or for little."""

import os
import random

import numpy as np

from talkface_lite.errors import InputError

BUDGETS = ("quick", "full")


def device(name: str | None = None) -> str:
    """Name the device to compute on: ``name``, else ``$TALKFACE_DEVICE``, else ``"cuda"`` if there is one."""
    import torch

    chosen = name or os.environ.get("TALKFACE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.device(chosen)
    except RuntimeError as error:
        raise InputError("device", repr(chosen), "cpu, cuda or cuda:N") from error
    return chosen


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def budget() -> str:
    """``"quick"`` or ``"full"``: ``$TALKFACE_BUDGET`` where set, else full on a GPU and quick without one."""
    chosen = os.environ.get("TALKFACE_BUDGET") or ("full" if device().startswith("cuda") else "quick")
    if chosen not in BUDGETS:
        raise InputError("$TALKFACE_BUDGET", repr(chosen), " or ".join(BUDGETS))
    return chosen


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch. Library code takes generators instead; this is for notebooks and runs."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - notebooks may use it
    torch.manual_seed(seed)
