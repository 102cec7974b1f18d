"""Settings that no run could use are refused before it begins."""

import pytest

from talkface_lite.errors import InputError
from talkface_lite.systems.training_settings import TrainingSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "training: got neither steps nor minutes, expected at least one of them"),
        ({"steps": 0}, "steps: got 0, expected more than 0"),
        ({"minutes": float("nan")}, "minutes: got nan, expected more than 0"),
        ({"batch_size": -1}, "batch_size: got -1"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"betas": (0.5, 1.0)}, "betas: got 0.5 1.0, expected two numbers from 0 to below 1"),
        ({"betas": (-0.1, 0.9)}, "betas: got -0.1 0.9"),
        ({"betas": (float("nan"), 0.9)}, "betas: got nan 0.9"),
        ({"seed": -1}, "seed: got -1, expected 0 to"),
        ({"seed": 2**63}, "seed: got 9223372036854775808"),
        ({"schedule": "linear"}, "schedule: got 'linear', expected constant or cosine"),
        ({"schedule": "cosine", "steps": None, "minutes": 1.0}, "schedule: got cosine without steps"),
        ({"precision": "64"}, "precision: got '64', expected 32, bf16, 16"),
    ],
)
def test_what_no_run_could_use(changes, message):
    with pytest.raises(InputError, match=f"^{message}"):
        TrainingSettings(**changes)


def test_the_ends_of_what_is_allowed():
    TrainingSettings(betas=(0.0, 0.0), seed=2**63 - 1, steps=None, minutes=1e-9)
