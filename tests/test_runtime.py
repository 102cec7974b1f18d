"""The budget table and the device."""

import os
import random

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


def test_device_is_the_one_asked_for_then_the_environments_then_a_gpu_if_there_is_one(monkeypatch):
    import torch

    monkeypatch.setenv("TALKFACE_DEVICE", "cuda:1")
    assert runtime.device("cpu") == "cpu"
    assert runtime.device() == "cuda:1"
    monkeypatch.setenv("TALKFACE_DEVICE", "nowhere")
    with pytest.raises(InputError, match="device: got 'nowhere'"):
        runtime.device()
    for unset in (True, False):
        if unset:
            monkeypatch.delenv("TALKFACE_DEVICE")
        else:
            monkeypatch.setenv("TALKFACE_DEVICE", "")
        for there in (True, False):
            monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
            assert runtime.device() == ("cuda" if there else "cpu")


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0: {1, 4, 5}}[pid], raising=False)
    assert runtime.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert runtime.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert runtime.cores() == 1


@pytest.mark.parametrize(("seed", "for_numpy"), [(3, 3), (2**31 + 3, 2**31 + 3), (2**32 + 3, 3)])
def test_seed_everything_seeds_all_three_with_the_seed(seed, for_numpy):
    import torch

    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002 - the state is tested

    runtime.seed_everything(seed)
    ours = drawn()
    random.seed(seed)
    np.random.seed(for_numpy)  # noqa: NPY002
    torch.manual_seed(seed)
    assert ours == drawn()
    runtime.seed_everything(seed + 1)
    assert all(a != b for a, b in zip(ours, drawn()))
