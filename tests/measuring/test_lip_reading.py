"""What a reader of lips makes of a film: whole words, the right frames, a share with its interval."""

import numpy as np
import pytest
import torch
from small_networks import SMALL_LIP_READER
from toy_systems import SmallLamp

from talkface_lite.clip import Clip, Interval
from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.errors import InputError
from talkface_lite.measuring import lip_reading as module
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.lip_reading import LipJudge, WordsRead, frames_of, in_crop, known_words
from talkface_lite.measuring.tables import tables
from talkface_lite.networks.lip_reader import MOUTH_BOX, LipReader
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.recurrent import LipDiscriminatorPart, LipDiscriminatorPartConfig

torch.set_num_threads(1)
FACE = ShapePCA.pretrained().decode(np.zeros(6, np.float32)).astype(np.float32)
SAID = (Interval("blue", 0.08, 0.2), Interval("lake", 0.2, 0.3), Interval("now", 0.3, 0.4))


class Brightness(LipReader):
    """Reads the word whose place is the mean level of the mouth, in steps of 5."""

    def forward(self, mouths, spoken):
        levels = [(film[its].mean() + 1) * 127.5 / 5 for film, its in zip(mouths, spoken, strict=True)]
        return torch.stack([-(torch.arange(51) - level).abs() for level in levels])


@pytest.fixture
def judge():
    return LipJudge(Brightness(SMALL_LIP_READER).eval())


def film_of(words, side=128):
    """A film whose mouth is as bright as the word that is said; (word, frames)."""
    frames = np.full((10, side, side, 3), 200, np.uint8)
    left, top, width = (round(value * side / 128) for value in MOUTH_BOX)
    for word, where in words:
        frames[where, top : top + width, left : left + width] = 5 * GRID_WORDS.index(word)
    return frames


def make_clip(frames, words=SAID):
    landmarks = np.repeat(FACE[None], 10, axis=0)
    landmarks[:, 57, 1] += np.arange(10) % 3
    speech = np.random.default_rng(0).uniform(-1, 1, 6400).astype(np.float32)
    return Clip(frames=frames, landmarks=landmarks, speech=speech, words=words)


def test_the_frames_of_a_word():
    assert frames_of(Interval("now", 0.08, 0.2), 10).tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert frames_of(Interval("a", 0.105, 0.115), 10).tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert frames_of(Interval("a", 0.36, 0.4), 10).tolist() == [0] * 9 + [1]


def test_words_that_nobody_knows_are_not_asked_for():
    clip = make_clip(film_of([]))
    assert [word.label for word in known_words(clip)] == ["blue", "now"]
    assert [word.label for word in known_words(clip, ("lake",))] == ["lake"]


@pytest.mark.parametrize("side", [128, 256, 64])
def test_ranks_and_shares(judge, side):
    right = film_of([("blue", slice(2, 5)), ("now", slice(7, 10))], side)
    clip = make_clip(right)
    assert judge.ranks(right, known_words(clip)).tolist() == [0, 0]
    assert WordsRead(judge, clip).of(right) == {"lra_top1": 1.0, "lra_top5": 1.0}
    near = GRID_WORDS[GRID_WORDS.index("blue") + 2]
    wrong = film_of([(near, slice(2, 5)), ("bin", slice(7, 10))], side)
    assert judge.guesses(wrong, known_words(clip))[0, 0] == GRID_WORDS.index(near)
    assert WordsRead(judge, clip).of(wrong) == {"lra_top1": 0.0, "lra_top5": 0.5}


def test_a_clip_without_words_has_no_share(judge):
    clip = make_clip(film_of([]), words=())
    assert all(np.isnan(value) for value in WordsRead(judge, clip).of(clip.frames).values())
    assert judge.guesses(clip.frames, []).shape == (0, 51)


def test_a_larger_film_is_seen_at_the_size_of_the_crop():
    film = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.uint8)
    small = film.reshape(2, 128, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(in_crop(film) - small).max() <= 1
    assert np.array_equal(in_crop(film[:, :128, :128]), film[:, :128, :128])


def test_every_row_of_an_evaluation_is_read(judge):
    clips = [
        make_clip(film_of([("blue", slice(2, 5)), ("now", slice(7, 10))])),
        make_clip(film_of([("blue", slice(2, 5)), ("bin", slice(7, 10))])),
        make_clip(film_of([]), words=()),
    ]
    report = evaluate(SmallLamp(), clips, pictures=True, judge=judge, per_clip=True, warp=False)
    real = report["real"]["lra_top1"]
    assert real["share"] == 0.75
    assert 0.5 <= real["low"] < 0.75 < real["high"] <= 1.0
    for row in (report["baselines"]["copy_photo"], report["systems"]["small-lamp"]["from_speech"]):
        assert 0 <= row["lra_top1"]["share"] <= row["lra_top5"]["share"] <= 1
    assert "lra_top1" not in report["baselines"]["mean_mouth"]
    assert report["per_clip"]["real"]["lra_top1"] == [1.0, 0.5, None]
    text = tables(report)
    assert "LRA, first guess" in text
    assert "75 [50, 100] %" in text
    assert "lra_top1" not in evaluate(SmallLamp(), clips, pictures=True, warp=False)["real"]
    silent = evaluate(SmallLamp(), clips[2:], pictures=True, judge=judge, warp=False)
    assert silent["real"]["lra_top1"] == {"share": None, "low": None, "high": None}
    assert "LRA, first guess" in tables(silent)


def test_a_judge_is_a_file(tmp_path, monkeypatch):
    torch.manual_seed(0)
    part = LipDiscriminatorPart(LipDiscriminatorPartConfig(lip_discriminator=SMALL_LIP_READER)).eval()
    part.save(tmp_path / "judge.safetensors")
    judge = LipJudge.load(tmp_path / "judge.safetensors")
    clip = make_clip(film_of([("blue", slice(2, 5))]))
    wanted = LipJudge(part.lip_discriminator.half().float())
    assert np.array_equal(judge.guesses(clip.frames, SAID), wanted.guesses(clip.frames, SAID))
    assert not judge.reader.training
    monkeypatch.setattr(module, "judge_weights", lambda: tmp_path / "no.safetensors")
    LipJudge.pretrained.cache_clear()
    try:
        assert LipJudge.pretrained() is None
    finally:
        LipJudge.pretrained.cache_clear()


def test_the_package_has_a_judge():
    judge = LipJudge.pretrained()
    assert judge is LipJudge.pretrained()
    assert module.judge_weights().stat().st_size < 3_000_000
    assert judge.words == GRID_WORDS


def test_refused(tmp_path):
    with pytest.raises(InputError, match="words: got 2, expected 51, as the reader has"):
        LipJudge(LipReader(SMALL_LIP_READER), ("a", "b"))
    with pytest.raises(InputError, match="got no such file"):
        LipJudge.load(tmp_path / "none.safetensors")
    from talkface_lite.systems.part import shipped_weights

    with pytest.raises(InputError, match="weights that do not fit"):
        LipJudge.load(shipped_weights("atvg", "at-net"))
