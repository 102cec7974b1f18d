"""Clips of several people, where one was asked for."""

import warnings

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.measuring import adaptation


def write(folder, *people):
    """A clip of 3 s of each; a person may come more than once."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(people):
        landmarks = rng.uniform(20, 100, (75, 68, 2)).astype(np.float32)
        speech = (0.1 * rng.standard_normal(75 * 640)).astype(np.float32)
        clip = Clip(frames=None, landmarks=landmarks, speech=speech, identity=name, source=str(number))
        clip.save(folder / f"{number}.safetensors")
    return folder


@pytest.mark.parametrize(
    ("people", "said"),
    [("abcbac", r"clips of 3 people \(a, b, c\): "), ("edcba", r"clips of 5 people \(e, d, c, b, …\): ")],
)
def test_they_draw_one_remark(tmp_path, people, said):
    with pytest.warns(UserWarning, match=said + "what is learned is what they share") as caught:
        adaptation._cut(write(tmp_path / "clips", *people), tmp_path / "pieces")
    assert len(caught) == 1


@pytest.mark.parametrize("people", [["a"] * 6, [""] * 6, ["", "a"] * 3])
def test_one_person_or_somebody_unnamed_draws_none(tmp_path, people):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pieces = adaptation._cut(write(tmp_path / "clips", *people), tmp_path / "pieces")
    assert pieces.counts["learn"] + pieces.counts["judge"] == 6
