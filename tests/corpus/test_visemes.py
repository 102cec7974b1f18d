import numpy as np
import pytest

from talkface_lite.clip import Interval, frame_times
from talkface_lite.corpus.head import lip_points, neutral_head
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.visemes import (
    CHANNELS,
    KEPT_OF_REST,
    VISEMES,
    articulation,
    dominance,
    segments,
    split_symbols,
)
from talkface_lite.corpus.voice import VOICES, grid_sentence, speak
from talkface_lite.errors import InputError

JAW, WIDTH, ROUNDING, UPPER, LOWER, TONGUE, TEETH = range(7)


def said(*phonemes, length=0.12, start=0.4):
    """Phonemes of equal length, one after another."""
    return tuple(Interval(p, start + i * length, start + (i + 1) * length) for i, p in enumerate(phonemes))


def frame_at(seconds):
    return int(np.argmin(np.abs(frame_times(100) - seconds)))


def opening(mouth):
    """Of the lips of a person, pixels."""
    y = lip_points(neutral_head(Identity.draw(0)), np.atleast_2d(mouth))[..., 1]
    return (y[:, [19, 18, 17]] - y[:, [13, 14, 15]]).mean(1)


def width(mouth):
    """Of the mouth of a person, pixels."""
    x = lip_points(neutral_head(Identity.draw(0)), np.atleast_2d(mouth))[..., 0]
    return float((x[:, 6] - x[:, 0])[0])


def test_the_channels_are_the_contract():
    assert CHANNELS == ("jaw", "width", "rounding", "upper_lip", "lower_lip", "tongue", "teeth")
    low, high = np.array([0, -1, 0, -1, -1, 0, 0]), np.ones(7)
    for viseme in VISEMES.values():
        assert viseme.target.shape == viseme.alpha.shape == viseme.before.shape == viseme.after.shape == (7,)
        assert (viseme.target >= low).all()
        assert (viseme.target <= high).all()
        assert (viseme.alpha > 0).all()


def test_dominance_with_a_core_of_no_length_is_the_papers_function():
    # Cohen and Massaro (1993): D = alpha exp(-theta |tau|), theta of its own on either side
    times = np.linspace(0, 1, 41)
    got = dominance(times, 0.5, 0.5, alpha=1.7, before=0.1, after=0.04)
    expected = [
        1.7 * np.exp(-10 * abs(t - 0.5)) if t < 0.5 else 1.7 * np.exp(-25 * abs(t - 0.5)) for t in times
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_dominance_is_full_within_the_core_and_falls_to_1_over_e_at_the_reach():
    values = dominance(np.array([0.4, 0.5, 0.6, 0.7, 0.75]), 0.5, 0.7, alpha=2.0, before=0.1, after=0.05)
    np.testing.assert_allclose(values, [2 / np.e, 2, 2, 2, 2 / np.e])


def test_articulation_equals_a_plain_loop_over_frames_segments_and_channels():
    phonemes, n_frames = said("h", "ə", "l", "ˈəʊ", "b", "ɔɪ"), 40
    parts = segments(phonemes, n_frames, strength=0.9)
    expected = np.zeros((n_frames, 7))
    for t, time in enumerate(frame_times(n_frames)):
        for c in range(7):
            above = below = 0.0
            for s in range(len(parts.symbols)):
                ahead = max(parts.start[s] - time, 0) / parts.before[s, c]
                behind = max(time - parts.end[s], 0) / parts.after[s, c]
                weight = parts.alpha[s, c] * np.exp(-ahead - behind)
                above += weight * parts.target[s, c]
                below += weight
            expected[t, c] = above / below
    got = articulation(phonemes, n_frames, strength=0.9)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.clip(expected, [0, -1, 0, -1, -1, 0, 0], 1), atol=1e-6)


def test_long_speech_in_blocks_equals_one_block(monkeypatch):
    from talkface_lite.corpus import visemes

    phonemes = said(*"hɛləʊbɪgwɜːld" * 20, length=0.09)
    n_frames = int(phonemes[-1].end * 25) + 10
    assert n_frames > 2 * 256
    in_blocks = articulation(phonemes, n_frames)
    monkeypatch.setattr(visemes, "_BLOCK", 10_000)
    np.testing.assert_allclose(in_blocks, articulation(phonemes, n_frames), atol=1e-5)


@pytest.mark.parametrize("sound", ["p", "b", "m"])
@pytest.mark.parametrize("vowel", ["ɑː", "ˈiː", "uː", "æ"])
@pytest.mark.parametrize("length", [0.02, 0.06])
@pytest.mark.parametrize("shift", np.arange(0, 0.04, 0.005))
def test_bilabials_close_the_lips_wherever_the_frames_fall(sound, vowel, length, shift):
    phonemes = (
        Interval(vowel, 0.4, 0.52),
        Interval(sound, 0.52 + shift, 0.52 + length + shift),
        Interval(vowel, 0.52 + length + shift, 0.72 + shift),
    )
    mouth = articulation(phonemes, 30)
    closure = 0.52 + shift + 0.325 * length
    shut = mouth[frame_at(closure)]
    assert shut[JAW] < 0.09
    assert shut[UPPER] < -0.8
    assert opening(shut) < 0.05
    around = [mouth[frame_at(0.46)], mouth[frame_at(0.66 + shift)]]
    assert all(frame[UPPER] > -0.2 for frame in around)
    assert all(opening(frame) > 0.3 for frame in around)


def test_lips_round_before_u_sounds_and_not_before_i():
    before = frame_at(0.52)
    t_u, t_i = (articulation(said("s", "t", vowel), 40)[before] for vowel in ("uː", "iː"))
    assert t_u[ROUNDING] > 0.4
    assert t_i[ROUNDING] < 0.1
    assert width(t_i) > width(t_u) + 1


def test_anticipation_is_longer_than_carry_over_for_rounding():
    u = VISEMES["u"]
    assert u.before[ROUNDING] > 1.3 * u.after[ROUNDING]


def test_f_and_v_tuck_the_lower_lip_and_show_teeth():
    for sound in "fv":
        mouth = articulation(said("ɑː", sound, "ɑː"), 40)[frame_at(0.58)]
        assert mouth[LOWER] < -0.7
        assert mouth[UPPER] > 0
        assert mouth[TEETH] > 0.5
        assert mouth[JAW] < 0.25


def test_rows_of_vowels_differ_as_their_names_say():
    mouths = {v: articulation(said(v, length=0.3), 30)[frame_at(0.48)] for v in ("ɑː", "iː", "uː", "ə")}
    assert all(opening(mouth) > 1 for mouth in mouths.values())
    assert mouths["uː"][ROUNDING] > 0.5
    assert mouths["iː"][ROUNDING] == 0
    assert width(mouths["iː"]) > max(width(mouths["ɑː"]), width(mouths["uː"])) + 1


def test_silence_is_rest():
    assert not articulation((), 20).any()
    mouth = articulation(said("ɑː", "ɑː"), 50)
    late = articulation(tuple(Interval(p.label, p.start + 0.4, p.end + 0.4) for p in said("ɑː", "ɑː")), 60)
    assert np.abs(late[:4]).max() < 0.01
    assert np.abs(mouth[-8:]).max() < 0.01
    assert opening(mouth[frame_at(0.5)]) > 3
    pause = (Interval("ɑː", 0.2, 0.5), Interval("ɑː", 1.3, 1.6))
    assert opening(articulation(pause, 50)[frame_at(0.9)]) < 0.3
    gap = (Interval("ɑː", 0.2, 0.5), Interval("ɑː", 0.53, 0.8))
    assert opening(articulation(gap, 50)[frame_at(0.515)]) > 3


def test_who_smiles_rests_smiling_and_speaks_smiling_but_shuts_the_lips():
    smile = np.array([0.1, 0.8, 0, 0.5, 0.2, 0, 0.9])
    phonemes = said("ɑː", "b", "ɑː")
    smiling, plain = (articulation(phonemes, 45, rest=rest) for rest in (smile, None))
    np.testing.assert_allclose(smiling[-1], smile, atol=0.01)
    assert opening(smiling[-1]) > 2
    np.testing.assert_allclose(
        smiling[frame_at(0.46)] - plain[frame_at(0.46)], KEPT_OF_REST * smile, atol=0.1
    )
    assert opening(smiling[frame_at(0.555)]) < 0.1
    assert smiling[frame_at(0.555)][WIDTH] > plain[frame_at(0.555)][WIDTH] + 0.2


def test_the_mouth_is_smooth_and_in_range():
    rng = np.random.default_rng(3)
    for i in range(12):
        utterance = speak(grid_sentence(rng), list(VOICES)[i])
        mouth = articulation(utterance.phonemes, len(utterance.speech) // 640, strength=1.2)
        assert np.isfinite(mouth).all()
        assert (mouth >= [0, -1, 0, -1, -1, 0, 0]).all()
        assert (mouth <= 1).all()
        assert np.abs(np.diff(mouth[:, JAW])).max() < 0.6
        assert opening(mouth).max() > 3


def test_strength_scales_the_vowels_and_leaves_closures_shut():
    phonemes = said("ɑː", "b", "ɑː")
    weak, strong = (articulation(phonemes, 40, strength=s) for s in (0.7, 1.1))
    assert strong[frame_at(0.46)][JAW] > 1.3 * weak[frame_at(0.46)][JAW]
    jaw_alone = articulation(phonemes, 40, strength=np.array([1.1, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]))
    np.testing.assert_allclose(jaw_alone[:, JAW], strong[:, JAW], atol=1e-6)
    np.testing.assert_allclose(jaw_alone[:, 1:], weak[:, 1:], atol=1e-6)
    for mouth in (weak, strong):
        assert mouth[frame_at(0.555)][JAW] < 0.05
        assert mouth[frame_at(0.555)][UPPER] < -0.9


def test_a_stressed_vowel_opens_wider():
    stressed, plain = (articulation(said(v, length=0.2), 30)[:, JAW].max() for v in ("ˈæ", "æ"))
    assert stressed > 1.1 * plain


def test_every_sound_of_every_voice_has_its_viseme():
    text = "The quick brown fox jumps over a lazy dog; this measure of joy, church, power and poor hair."
    for name in VOICES:
        for phoneme in speak(text, name).phonemes:
            symbols = split_symbols(phoneme.label)
            assert symbols
            letters = [c for c in phoneme.label if c.isalpha() and c not in "ːˈˌʰ"]
            assert sum(len(symbol) for symbol in symbols) == len(letters), phoneme.label


@pytest.mark.parametrize(
    ("label", "symbols"),
    [
        ("ˈeɪ", ("e", "ɪ")),
        ("tʃ", ("tʃ",)),
        ("uː", ("u",)),
        ("t̪", ("t",)),
        ("n̩", ("n",)),
        ("ɔːɹ", ("ɔ", "ɹ")),
        ("ã", ("a",)),
        ("ʘ", ("ə",)),
        ("", ()),
        ("_:", ()),
    ],
)
def test_split_symbols(label, symbols):
    assert split_symbols(label) == symbols


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="n_frames"):
        articulation((), 0)
    with pytest.raises(InputError, match="strength"):
        articulation((), 5, strength=0)
    for strength in (float("nan"), 3.1, np.ones(6)):
        with pytest.raises(InputError, match="strength"):
            articulation((), 5, strength=strength)
    for rest in (np.zeros(6), np.full(7, 1.1), np.full(7, -0.5)):
        with pytest.raises(InputError, match="rest"):
            articulation((), 5, rest=rest)
