"""How much each chapter of the book does, under each budget."""

from dataclasses import dataclass

from talkface_lite.errors import InputError
from talkface_lite.runtime import budget


@dataclass(frozen=True)
class Steps:
    """Work of one experiment under each budget."""

    quick: int
    full: int


CHAPTER_STEPS: dict[str, Steps] = {
    "corpus.clips": Steps(quick=40, full=200),
    "corpus.people": Steps(quick=8, full=32),
    "corpus.dlib_frames": Steps(quick=14, full=48),
    "landmarks.clips": Steps(quick=100, full=1_000),
    "landmarks.test_clips": Steps(quick=24, full=200),
    "speech.sentences_a_voice": Steps(quick=2, full=8),
    "at_net.clips": Steps(quick=40, full=1_000),
    "at_net.training_steps": Steps(quick=80, full=3_000),
    "at_net.test_clips": Steps(quick=12, full=200),
    "mmcrnn.test_clips": Steps(quick=6, full=60),
    "mmcrnn.noise_clips": Steps(quick=2, full=20),
    "mmcrnn.moving_clips": Steps(quick=2, full=60),
    "dynamic_loss.toy_steps": Steps(quick=100, full=200),
    "dynamic_loss.head_steps": Steps(quick=40, full=200),
    "dynamic_loss.clips": Steps(quick=3, full=12),
    "dynamic_loss.training_steps": Steps(quick=80, full=300),
    "discriminator.training_clips": Steps(quick=5, full=12),
    "discriminator.test_clips": Steps(quick=4, full=10),
    "discriminator.judge_steps": Steps(quick=40, full=60),
    "discriminator.rival_steps": Steps(quick=150, full=300),
    "discriminator.fooling_steps": Steps(quick=60, full=120),
    "latent.toy_steps": Steps(quick=1_500, full=4_000),
    "latent.test_clips": Steps(quick=4, full=60),
    "lips.clips": Steps(quick=8, full=40),
    "wing.clips": Steps(quick=24, full=200),
    "wing.training_steps": Steps(quick=90, full=1_500),
    "wing.people": Steps(quick=48, full=300),
    "drawn_real.clips": Steps(quick=16, full=200),
}
"""The one table of how much each chapter does; a chapter asks :func:`steps` and never looks at the device."""


def steps(experiment: str) -> int:
    """How many steps or clips an experiment of the book takes under the present budget.

    Raises
    ------
    InputError
        When the experiment is not in :data:`CHAPTER_STEPS`.
    """
    if experiment not in CHAPTER_STEPS:
        raise InputError("experiment", repr(experiment), f"one of {', '.join(CHAPTER_STEPS)}")
    return getattr(CHAPTER_STEPS[experiment], budget())
