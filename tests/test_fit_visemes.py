"""The script that fits the viseme table: on drawn recordings, whose words are known in time."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talkface_lite.clip import frame_times
from talkface_lite.corpus import visemes
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import corpora
import fit_visemes

torch.set_num_threads(1)
SENTENCES = ("bin blue at f two now", "place red by m four soon", "set white with p nine again",
             "lay green in w six please", "bin red in v one now")  # fmt: skip
STEPS = 100


@pytest.fixture(scope="module")
def clips():
    """As recordings are: words with their times, no phonemes, a name."""
    drawn = (
        draw_clip(clip_seed(1, i), text=text, still_head=True, paint=False, clean=True, varied=False)
        for i, text in enumerate(SENTENCES)
    )
    return [
        replace(clip, phonemes=(), source=json.dumps({"recording": f"s1/clip{i}.mpg"}))
        for i, clip in enumerate(drawn)
    ]


@pytest.fixture(autouse=True)
def two_held_back(monkeypatch):
    monkeypatch.setattr(corpora, "HELD_BACK", 2)


@pytest.fixture
def fitted(tmp_path, capsys):
    """What the script prints of some clips."""

    def run(clips, steps=STEPS):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for i, clip in enumerate(clips):
            clip.save(folder / f"{i}.safetensors")
        fit_visemes.main([str(folder), "--steps", str(steps)])
        return capsys.readouterr().out

    return run


def judged(printed):
    """Before and after the fit, on the clips held back."""
    before, after = (re.search(pattern, printed).group(1) for pattern in (r"before: (.*)", r"others: (.*)"))
    return tuple(json.loads(text.replace("'", '"')) for text in (before, after))


def table_in(printed):
    """The two blocks that are to go into the package's table, as text."""
    rows = [line if line.startswith("          ") else "" for line in printed.splitlines()]
    blocks = "\n".join(rows).strip("\n").split("\n\n")
    assert len(blocks) == 2
    return blocks


def parsed(printed, monkeypatch):
    """The same as the package reads it."""
    families, targets = table_in(printed)
    monkeypatch.setattr(visemes, "FAMILIES", families)
    monkeypatch.setattr(visemes, "TARGETS", targets)
    return visemes._table()


def test_what_is_printed_is_a_table_that_the_package_reads(clips, fitted, monkeypatch):
    printed = fitted(clips)
    found = parsed(printed, monkeypatch)
    assert set(found) == set(visemes.VISEMES)
    for symbol, viseme in found.items():
        assert viseme.kind == visemes.VISEMES[symbol].kind
        assert (viseme.target >= visemes.LOWEST).all()
        assert (viseme.target <= 1).all()
        assert (viseme.alpha > 0).all()
        assert (viseme.before > 0).all()
        assert (viseme.before < 0.2).all()
        np.testing.assert_array_equal(viseme.target[5:], visemes.VISEMES[symbol].target[5:])
    assert not found["_"].target.any()
    jaw, _, rounding, upper, lower = range(5)
    for symbol, viseme in found.items():
        if viseme.kind in visemes.CLOSURES:
            texts = visemes.VISEMES[symbol]
            for channel in (jaw, upper, lower):
                assert viseme.target[channel] == texts.target[channel], "lips that close, close"
                assert viseme.alpha[channel] == texts.alpha[channel]
            assert (viseme.before[0], viseme.after[0]) == (texts.before[0], texts.after[0])
    assert found["u"].target[rounding] == pytest.approx(fit_visemes.ROUNDED), "one man does not speak for all"
    counts = {
        symbol: int(line.split()[8])
        for line in table_in(printed)[1].splitlines()
        for symbol in line.split()[9:]
    }
    assert counts["_"] > 0
    assert counts["ʒ"] == 0, "which no sentence has"
    numbers = np.array([viseme.target for viseme in parsed(fitted(clips, steps=1), monkeypatch).values()])
    assert np.abs(numbers - [viseme.target for viseme in found.values()]).max() > 0.1, "it learned"


def test_the_fit_comes_nearer_to_the_mouths(clips, fitted):
    printed = fitted(clips)
    losses = [float(loss) for loss in re.findall(r"step \d+ of \d+: (\S+) px²", printed)]
    assert len(losses) == STEPS // 50
    assert losses[-1] < losses[0]
    before, after = judged(printed)
    assert after["px"] < 0.9 * before["px"]
    assert after["rest_px"] == before["rest_px"]
    assert "3 clips" in printed
    assert "on 2 others" in printed


def test_clips_that_are_held_back_are_judged_and_not_learned_from(clips, fitted):
    learned, held = corpora.divide(clips)
    printed = fitted(clips, steps=3)

    def spoiled(some):
        """Mouths that go elsewhere than anybody's."""
        shift = 3 * np.sin(20 * frame_times(max(map(len, some))))[:, None]
        landmarks = [clip.landmarks.copy() for clip in some]
        for points in landmarks:
            points[:, 55:60, 1] += shift[: len(points)].astype(np.float32)
        return [replace(clip, landmarks=points) for clip, points in zip(some, landmarks)]

    others = fitted(learned + spoiled(held), steps=3)
    assert table_in(others) == table_in(printed)
    assert judged(others) != judged(printed)
    assert table_in(fitted(spoiled(learned) + held, steps=3)) != table_in(printed)


def test_clips_without_words_are_left_out_and_too_few_are_refused(clips, fitted):
    printed = fitted(clips, steps=1)
    silent = replace(clips[0], words=(), source=json.dumps({"recording": "s1/other.mpg"}))
    assert fitted([*clips, silent], steps=1) == printed
    with pytest.raises(InputError, match="2 with word times"):
        fitted([*clips[:2], silent], steps=1)
