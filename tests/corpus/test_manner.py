from itertools import pairwise

import numpy as np
import pytest

from talkface_lite.clip import Interval
from talkface_lite.corpus.alignment import place_phonemes
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.manner import LEAST, MOST, ORDINARY, REST_SHARES, RESTS, Manner, style_of
from talkface_lite.corpus.revoicing import QUIET_AFTER, QUIET_BEFORE, revoice
from talkface_lite.corpus.synthesis import draw_clip, split_of
from talkface_lite.corpus.visemes import LOWEST, STRONGEST
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening


def test_people_run_from_mumblers_to_actors():
    styles = np.array([style_of(Identity.draw(seed)) for seed in range(400)])
    assert np.median(styles) == pytest.approx(ORDINARY, abs=0.06)
    assert LEAST <= styles.min() < 0.8
    assert 1.9 < styles.max() <= MOST


def test_strength_is_the_persons_and_rest_is_the_clips():
    person = Identity.draw(3)
    one, other = Manner.draw(person, 1), Manner.draw(person, 2)
    np.testing.assert_array_equal(one.strength, other.strength)
    assert len({Manner.draw(person, seed).at_rest for seed in range(40)}) == len(RESTS)
    again = Manner.draw(person, 1)
    np.testing.assert_array_equal(one.rest, again.rest)


def test_mouths_at_rest_are_as_often_shut_parted_smiling_and_open_as_said():
    drawn = [Manner.draw(Identity.draw(0), seed) for seed in range(2000)]
    shares = [np.mean([manner.at_rest == kind for manner in drawn]) for kind in RESTS]
    np.testing.assert_allclose(shares, REST_SHARES, atol=0.04)
    rests = np.stack([manner.rest for manner in drawn])
    assert (rests >= LOWEST).all()
    assert (rests <= 1).all()
    assert all((m.strength > 0).all() and (m.strength <= STRONGEST).all() for m in drawn)
    assert not np.stack([m.rest for m in drawn if m.at_rest == "closed"]).any()


def test_the_first_frames_of_a_clip_show_the_mouth_at_rest():
    opening = {kind: [] for kind in RESTS}
    for seed in range(60):
        clip = draw_clip(seed, still_head=True, paint=False)
        kind = dict(part.split("=") for part in clip.source.split())["rest"]
        opening[kind].append(lip_opening(clip.landmarks)[0])
    assert np.median(opening["closed"]) < 0.3
    assert np.median(opening["open"]) > 2


def test_phonemes_lie_between_the_times_of_their_words():
    times = {"bin": (0.6, 0.8), "blue": (0.8, 1.0), "at": (1.0, 1.1), "f": (1.1, 1.3), "two": (1.3, 1.5)}
    words = tuple(Interval(word, *when) for word, when in (times | {"now": (1.6, 2.0)}).items())
    placed = place_phonemes(words)
    assert placed[0].start == pytest.approx(0.6, abs=0.03)
    assert placed[-1].end == pytest.approx(2.0, abs=1e-4)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(placed))
    n = next(one for one in placed if one.label == "n" and one.start < 1)
    assert 0.6 < n.start < n.end <= 0.8 + 1e-4
    with pytest.raises(InputError, match="words"):
        place_phonemes(())


def test_a_recording_is_said_by_drawn_lips_in_time_with_its_words():
    real = draw_clip(5, paint=False, text="bin blue at f two now", clean=True)
    said = [revoice(real, seed) for seed in range(8)]
    assert len({clip.identity for clip in said}) == 8
    assert all(clip.frames is None and len(clip.speech) == 640 * len(clip) for clip in said)
    leads = []
    for clip in said:
        first, last = (clip.words[0], real.words[0]), (clip.words[-1], real.words[-1])
        scale = (last[0].end - first[0].start) / (last[1].end - first[1].start)
        leads.append(lead := first[0].start - scale * first[1].start)
        for mine, theirs in zip(clip.words, real.words):
            assert mine.start == pytest.approx(lead + scale * theirs.start, abs=1e-6)
        longer = len(clip) / 25 - scale * len(real) / 25
        assert lead - 0.05 < longer < lead + QUIET_AFTER + 0.05
        if lead > 0.2:
            before, within = clip.speech[: int(16000 * lead)], clip.speech[int(16000 * first[0].start) :]
            assert before.std() < 0.6 * within.std()
    assert min(leads) == pytest.approx(0, abs=1e-6)
    assert 0.2 < max(leads) <= QUIET_BEFORE
    assert any(clip.words != real.words for clip in said)
    assert all(split_of("identity", clip.identity) == "train" for clip in said)
    held = [revoice(real, seed, split="test") for seed in range(3)]
    assert all(split_of("identity", clip.identity) == "test" for clip in held)
    np.testing.assert_array_equal(revoice(real, 3).landmarks, said[3].landmarks)


def test_varied_clips_run_from_slow_to_fast_and_through_microphones():
    def pace(varied):
        clips = [
            draw_clip(seed, paint=False, varied=varied, text="bin blue at f two now") for seed in range(24)
        ]
        return np.array([clip.words[-1].end - clip.words[0].start for clip in clips]), clips

    (plain, _), (varied, clips) = pace(False), pace(True)
    assert np.std(varied) > 1.3 * np.std(plain)
    assert min(np.abs(clip.speech).max() for clip in clips) < 0.4  # somebody far from the microphone
    clean = [draw_clip(seed, paint=False, clean=True, text="no").speech for seed in range(6)]
    assert all(np.abs(speech).max() > 0.69 for speech in clean)
    assert all((speech == 0).any() for speech in clean)
