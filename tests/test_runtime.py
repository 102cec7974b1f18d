"""The budget table and the device."""

import numpy as np
import pytest

from talkface_lite import runtime
from talkface_lite.check import steps
from talkface_lite.errors import InputError


def test_budget_follows_the_environment(monkeypatch):
    monkeypatch.setenv("TALKFACE_BUDGET", "full")
    assert steps.steps("at_net.training_steps") == steps.CHAPTER_STEPS["at_net.training_steps"].full
    monkeypatch.setenv("TALKFACE_BUDGET", "quick")
    assert steps.steps("at_net.training_steps") == steps.CHAPTER_STEPS["at_net.training_steps"].quick
    monkeypatch.setenv("TALKFACE_BUDGET", "slow")
    with pytest.raises(InputError, match="quick or full"):
        runtime.budget()


def test_budget_without_a_gpu_is_quick(monkeypatch):
    monkeypatch.delenv("TALKFACE_BUDGET", raising=False)
    monkeypatch.setenv("TALKFACE_DEVICE", "cpu")
    assert runtime.budget() == "quick"
    monkeypatch.setenv("TALKFACE_DEVICE", "cuda")
    assert runtime.budget() == "full"


def test_every_experiment_is_quicker_when_quick():
    assert all(0 < s.quick < s.full for s in steps.CHAPTER_STEPS.values())


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="experiment: got 'nonsense'"):
        steps.steps("nonsense")
    with pytest.raises(InputError, match="device: got 'warp'"):
        runtime.device("warp")


def test_seed_everything_seeds_numpy_and_torch():
    import torch

    runtime.seed_everything(3)
    first = np.random.rand(), torch.rand(1).item()  # noqa: NPY002 - the global state is what is tested
    runtime.seed_everything(3)
    assert first == (np.random.rand(), torch.rand(1).item())  # noqa: NPY002
