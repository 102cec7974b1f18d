import hashlib
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from talkface_lite.corpus import espeak
from talkface_lite.corpus.voice import (
    GRID_GRAMMAR,
    GRID_WORDS,
    VOICES,
    Room,
    Voice,
    add_noise,
    add_room,
    grid_sentence,
    is_grid_sentence,
    speak,
)
from talkface_lite.errors import InputError

SENTENCE = "place blue by u two please"


def digest(utterance):
    content = utterance.speech.tobytes() + repr((utterance.words, utterance.phonemes)).encode()
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def utterance():
    return speak(SENTENCE, "arthur")


def level(speech, start, end):
    part = speech[round(start * 16000) : round(end * 16000)]
    return 20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-9)


def test_grid_has_51_words_and_25_letters_without_w():
    assert len(GRID_WORDS) == len(set(GRID_WORDS)) == 51
    letters = GRID_GRAMMAR[3]
    assert len(letters) == 25
    assert "w" not in letters
    assert [len(choices) for choices in GRID_GRAMMAR] == [4, 4, 4, 25, 10, 4]


def test_grid_sentences_follow_the_grammar_and_reach_every_word():
    rng = np.random.default_rng(0)
    sentences = [grid_sentence(rng) for _ in range(500)]
    assert all(is_grid_sentence(sentence) for sentence in sentences)
    assert {word for sentence in sentences for word in sentence.split()} == set(GRID_WORDS)
    assert not is_grid_sentence("place blue by w two please")
    assert not is_grid_sentence("blue place by u two please")


def test_at_least_20_voices_all_different():
    assert len(VOICES) >= 20
    assert len({speak("hello", name).speech.tobytes() for name in VOICES}) == len(VOICES)
    assert all(name == voice.name for name, voice in VOICES.items())


def test_speech_is_whole_frames_in_range_with_silence_around(utterance):
    speech = utterance.speech
    assert speech.dtype == np.float32
    assert len(speech) % 640 == 0
    assert 0.5 < np.abs(speech).max() <= 1
    assert 1.5 < len(speech) / 16000 < 4
    assert not speech[: round(0.2 * 16000)].any()
    assert np.abs(speech[-round(0.2 * 16000) :]).max() < 1e-3


def test_words_are_those_of_the_text(utterance):
    assert [word.label for word in utterance.words] == SENTENCE.split()
    rng = np.random.default_rng(1)
    for i in range(30):
        sentence = grid_sentence(rng)
        spoken = speak(sentence, list(VOICES)[i % len(VOICES)])
        assert " ".join(word.label for word in spoken.words) == sentence


def test_words_that_espeak_runs_together_share_an_interval():
    words = speak("Rest in the house, 25 times!", "nancy").words
    assert [word.label for word in words] == ["rest", "in the", "house", "25", "times"]


def test_the_letter_a_is_spelled_in_a_grid_sentence_only():
    def sounds(text, word):
        utterance = speak(text, "quentin")
        start, end = next(w[1:] for w in utterance.words if word in w.label.split())
        return [p.label.strip("ˈˌ") for p in utterance.phonemes if start - 1e-6 <= p.start < end - 1e-6]

    assert sounds("lay red at a nine now", "a") == ["eɪ"]
    assert sounds("take a nine now", "a") in (["ɐ"], ["ə"])


def test_intervals_are_in_order_and_do_not_overlap(utterance):
    for intervals in (utterance.words, utterance.phonemes):
        for one, following in pairwise(intervals):
            assert one.start < one.end <= following.start + 1e-9
        assert intervals[0].start >= 0.24 - 1e-9
        assert intervals[-1].end <= len(utterance.speech) / 16000
    for word in utterance.words:
        inside = [p for p in utterance.phonemes if word.start - 1e-6 <= p.start and p.end <= word.end + 1e-6]
        assert inside
        assert inside[0].start == pytest.approx(word.start)
        assert inside[-1].end == pytest.approx(word.end)


def test_a_stop_begins_with_its_silent_closure():
    for name in ("arthur", "nancy", "tamsin", "kenroy"):
        utterance = speak("happy puppy, keep a copper top", name)
        stops = [p for p in utterance.phonemes if p.label == "p"]
        assert len(stops) >= 6
        for stop in stops:
            assert level(utterance.speech, stop.start + 0.01, stop.start + 0.03) < -60
            assert level(utterance.speech, stop.start, stop.end) > -45


def test_phoneme_times_agree_with_the_sound():
    # where voicing sets in after a voiceless fricative, against the time espeak gives for the vowel
    band = butter(4, [80, 900], "band", fs=16000, output="sos")
    offsets = []
    for name in list(VOICES)[::2]:
        utterance = speak("shasha fafa shesha", name)
        low = sosfiltfilt(band, utterance.speech)
        envelope = np.sqrt(np.convolve(low**2, np.ones(160) / 160, "same"))
        for consonant, vowel in pairwise(utterance.phonemes):
            if consonant.label in "ʃf" and vowel.label.strip("ˈˌ")[0] not in "ʃf":
                at = round(vowel.start * 16000)
                near = envelope[at - 960 : at + 960]
                offsets.append((np.argmax(near > near.max() / 4) - 960) / 16)
    assert len(offsets) >= 80
    assert abs(np.median(offsets)) < 3
    assert np.percentile(np.abs(offsets), 90) < 15


def test_nothing_sounds_outside_the_phonemes(utterance):
    time = (np.arange(len(utterance.speech)) + 0.5) / 16000
    outside = np.ones(len(time), bool)
    for phoneme in utterance.phonemes:
        outside &= ~((time > phoneme.start - 0.002) & (time < phoneme.end + 0.002))
    assert outside.mean() > 0.1
    assert np.abs(utterance.speech[outside]).max() < 0.02


def test_same_bytes_whatever_was_spoken_before():
    before = [digest(speak(SENTENCE, name)) for name in ("arthur", "joan")]
    for text, name in (("something else altogether", "vera"), ("lay white in q nine soon", "rosalind")):
        speak(text, name, signal_to_noise=10, room=Room(), seed=5)
    assert [digest(speak(SENTENCE, name)) for name in ("arthur", "joan")] == before


def test_same_bytes_in_another_process_with_other_memory():
    # MALLOC_PERTURB_ fills fresh memory with junk: voices that read unset memory would sound different
    code = (
        "from talkface_lite.corpus.voice import VOICES, speak\nimport hashlib\n"
        f"speech = [speak({SENTENCE!r}, v).speech.tobytes() for v in reversed(VOICES)]\n"
        "print(hashlib.sha256(b''.join(speech)).hexdigest())"
    )
    environment = {**os.environ, "MALLOC_PERTURB_": "85"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    here = hashlib.sha256(b"".join(speak(SENTENCE, v).speech.tobytes() for v in reversed(VOICES))).hexdigest()
    assert other.stdout.strip() == here


def test_same_bytes_in_threads_at_once():
    expected = digest(speak(SENTENCE, "nancy"))
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(digest(speak(SENTENCE, "nancy")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_no_copy_of_the_library_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(espeak.tempfile, "tempdir", str(tmp_path))
    for _ in range(3):
        speak("hello", "arthur")
    assert list(tmp_path.iterdir()) == []
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(tmp_path) not in maps.read_text()


def test_noise_has_the_level_asked_for_and_depends_on_the_seed(utterance):
    clean = utterance.speech.astype(np.float64)
    for decibels in (0, 20):
        noise = add_noise(clean, decibels, np.random.default_rng(0)) - clean
        ratio = 10 * np.log10(np.mean(clean[clean != 0] ** 2) / np.mean(noise**2))
        assert ratio == pytest.approx(decibels, abs=0.01)
    one, again, other = (speak(SENTENCE, "arthur", signal_to_noise=20, seed=s) for s in (1, 1, 2))
    assert digest(one) == digest(again) != digest(other)
    assert one.phonemes == utterance.phonemes
    assert np.abs(one.speech).max() <= 1


def test_a_room_does_not_delay_the_direct_sound():
    click = np.zeros(16000)
    click[1000] = 1
    room = Room(decay=0.3, direct_to_reverberant=6)
    wet = add_room(click, room, np.random.default_rng(0))
    assert np.abs(wet).argmax() == 1000
    assert np.abs(wet[:1000]).max() < 1e-12
    energy = wet**2
    assert 10 * np.log10(energy[1000] / energy[1001:].sum()) == pytest.approx(6, abs=0.2)
    assert energy[1000 + 3000 :].sum() < energy[1001 : 1000 + 2400].sum() / 30
    with pytest.raises(InputError, match=r"room\.decay"):
        add_room(click, Room(decay=0), np.random.default_rng(0))
    dry, echoing = speak(SENTENCE, "arthur"), speak(SENTENCE, "arthur", room=room)
    lags = range(-30, 31)
    best = max(
        lags, key=lambda lag: float(np.dot(dry.speech[100:-100], np.roll(echoing.speech, -lag)[100:-100]))
    )
    assert best == 0


@pytest.mark.parametrize("text", ["", "   ", "\n", "...", "\0", 7])
def test_a_text_without_sound_is_an_error(text):
    with pytest.raises(InputError, match=r"^text: got"):
        speak(text, "arthur")


def test_an_unknown_voice_is_an_error_that_names_the_voices():
    with pytest.raises(InputError, match=r"voice: got 'nobody', expected one of arthur"):
        speak("hello", "nobody")
    with pytest.raises(InputError, match="a language and variant"):
        speak("hello", Voice(name="x", language="xx-none"))
    with pytest.raises(InputError, match="lead and tail"):
        speak("hello", "arthur", lead=-1)


def test_closures_do_not_overtake_phonemes_of_no_length():
    phonemes = speak("both sound thing children good have school", "callum").phonemes
    starts = [phoneme.start for phoneme in phonemes]
    assert starts == sorted(starts)
