"""The clips that the weights learn from and are measured on: drawn once, and never taken for others."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import corpora  # noqa: E402
import recipes  # noqa: E402

from talkface_lite.data.needs import Needs  # noqa: E402
from talkface_lite.errors import InputError  # noqa: E402


def test_what_the_training_clips_say():
    said = recipes.CORPORA["said"]
    assert corpora.text_of(said, 3) == "soon, point all large didn't down miles"
    assert corpora.text_of(said, 2).startswith("great")
    assert [corpora.text_of(said, index) is None for index in range(8)] == [0, 0, 0, 0, 0, 1, 1, 1]
    said = [corpora.text_of(said, index) or "" for index in range(400)]
    assert 0.08 < sum(text.count(",") for text in said) / sum(len(text.split()) for text in said) < 0.16


def test_mixed_corpus_is_one_file_of_features_every_other_head_still(tmp_path):
    from talkface_lite.corpus.synthesis import clip_seed, draw_clip
    from talkface_lite.data.features import Features, read_features

    corpus = corpora.Corpus(clips=3, seed=1000, still_head=None, common_words=True, paint=False, text="no")
    path = corpus.draw(tmp_path, "some", Needs(), workers=1)
    drawn = list(read_features(path))
    for index, still in enumerate((True, False, True)):
        text = corpora.text_of(corpus, index)
        assert len(text.split()) > 1
        clip = draw_clip(clip_seed(1000, index), split="train", still_head=still, paint=False, text=text)
        assert (drawn[index].landmarks == clip.landmarks).all()
        assert (drawn[index].rows == Features.of(clip).rows).all()


def test_real_voices_with_drawn_lips_leave_out_what_is_held_back(tmp_path, monkeypatch):
    from talkface_lite.corpus.revoicing import revoice
    from talkface_lite.corpus.synthesis import clip_seed, draw_clip
    from talkface_lite.data.features import Features, read_features

    monkeypatch.setattr(corpora, "HELD_BACK", 2)
    recordings = []
    for index in range(4):
        clip = draw_clip(index, paint=False, text="bin blue at f two now", clean=True)
        named = replace(clip, source=json.dumps({"recording": f"s1/bbaf{index}n.mpg"}))
        named.save(tmp_path / "grid_s1" / f"clip-{index}.safetensors")
        recordings.append(named)
    learned, held = corpora.divide(recordings)
    names = [hashlib.sha256(f"splitbbaf{index}n".encode()).hexdigest() for index in range(4)]
    assert [recordings.index(clip) for clip in (*held, *learned)] == np.argsort(names).tolist()
    corpus = corpora.Revoiced(recordings="grid_s1", licence="ours", clips=5, seed=7)
    drawn = list(read_features(corpus.draw(tmp_path / "corpora", "said", Needs())))
    assert len(drawn) == 5
    again = revoice(learned[1], clip_seed(7, 3), still_head=False)
    assert (drawn[3].landmarks == again.landmarks).all()
    assert (drawn[3].rows == Features.of(again).rows).all()
    assert drawn[3].identity != drawn[1].identity
    with pytest.raises(InputError, match="no recordings"):
        corpora.Revoiced(recordings="gone", licence="GRID", clips=5, seed=7).draw(
            tmp_path / "corpora", "other", Needs()
        )
    with pytest.raises(InputError, match="more than 2"):
        corpora.divide(recordings[:2])


def test_real_lips_are_those_of_clips_to_learn_from_and_judges_are_those_held_back(tmp_path, monkeypatch):
    from talkface_lite.corpus.synthesis import draw_clip
    from talkface_lite.data.features import read_features

    monkeypatch.setattr(corpora, "HELD_BACK", 2)
    recordings = []
    for index in range(5):
        clip = draw_clip(index, paint=False, text="no", clean=True)
        clip = replace(
            clip, source=json.dumps({"recording": f"s1/bbaf{index}n.mpg"}), identity=f"s{index % 2}"
        )
        clip.save(tmp_path / "grid_s1" / f"clip-{index}.safetensors")
        recordings.append(clip)
    learned, held = corpora.divide(recordings)
    filmed = corpora.Filmed(recordings="grid_s1", licence="ours", clips=2, times=3)
    drawn = list(read_features(filmed.draw(tmp_path / "corpora", "lips", Needs())))
    assert len(drawn) == 6
    for features, clip in zip(drawn, learned[:2] * 3, strict=True):
        assert (features.landmarks == clip.landmarks).all()
    judges = corpora.Recordings(folder="grid_s1", held_back=True)
    assert {clip.source for clip in judges.read(tmp_path, frames=False)} == {clip.source for clip in held}
    others = corpora.Recordings(folder="grid_s1", without=("s1",))
    assert [clip.identity for clip in others.read(tmp_path, frames=False)] == ["s0"] * 3


def test_a_corpus_is_drawn_once_and_never_taken_for_another(tmp_path):
    corpus = corpora.Corpus(clips=1, seed=3, text="no", paint=False)
    path = corpus.draw(tmp_path, "some", Needs(), workers=1)
    (clip,) = path.glob("clip-*.safetensors")
    before = clip.stat().st_mtime_ns
    assert corpus.draw(tmp_path, "some", Needs(), workers=1) == path
    assert clip.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="a corpus of other settings"):
        replace(corpus, seed=4).draw(tmp_path, "some", Needs(), workers=1)
