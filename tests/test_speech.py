"""MFCC: equal to the reference libraries, on the clock, and reaching no further than it says."""

import warnings

import librosa
import numpy as np
import pytest
import python_speech_features
import soundfile

from talkface_lite.clip import ROWS_PER_FRAME, SAMPLES_PER_FRAME, frame_times
from talkface_lite.errors import InputError
from talkface_lite.speech import (
    CHUNK_ROWS,
    HOP_LENGTH,
    LIBROSA,
    LOUDNESS_FLOOR,
    PSF,
    SYNCNET,
    MFCCSettings,
    fit_to_frames,
    hz_from_mel,
    loudness,
    mel_filter_bank,
    mel_from_hz,
    mfcc,
    mfcc_stretches,
    mfcc_windows,
    mfcc_windows_between,
    window_reach,
)


def murmur(n: int, seed: int = 0) -> np.ndarray:
    """Something between a vowel and a hiss: harmonics that come and go over noise, float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / 16_000
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(5 * t)) / 16_000
    voice = sum(np.sin(k * pitch) / k for k in range(1, 20)) * np.clip(np.sin(6 * t + seed), 0, 1)
    return (0.15 * voice + 0.003 * rng.standard_normal(n)).astype(np.float32)


RECORDINGS = {
    "murmur": murmur(24_123),
    "noise": 0.1 * np.random.default_rng(1).standard_normal(16_000).astype(np.float32),
    "fade over 130 dB": (
        np.random.default_rng(2).standard_normal(16_000) * 10 ** np.linspace(-7, -0.5, 16_000)
    ).astype(np.float32),
    "impulse": (np.arange(8_000) == 4_000).astype(np.float32),
    "silence": np.zeros(4_000, np.float32),
    "one sample": np.array([0.25], np.float32),
    "399 samples": murmur(399),
    "400 samples": murmur(400),
    "401 samples": murmur(401),
    "560 samples": murmur(560),
}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_python_speech_features(name, dtype):
    speech = RECORDINGS[name].astype(dtype)
    theirs = python_speech_features.mfcc(speech, 16_000, winstep=0.01)
    np.testing.assert_allclose(mfcc(speech), theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, speech in RECORDINGS.items() if len(speech) > 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (LIBROSA, {}),
        (MFCCSettings(**{**vars(LIBROSA), "top_db": 40.0, "n_cepstra": 20}), {"top_db": 40.0, "n_mfcc": 20}),
        (MFCCSettings(**{**vars(LIBROSA), "lifter": 22.0}), {"lifter": 22}),
        (
            MFCCSettings(
                **{**vars(LIBROSA), "mel_scale": "htk", "equal_area": False, "f_min": 300.0, "f_max": 3_700.0}
            ),
            {"htk": True, "mel_norm": None, "fmin": 300.0, "fmax": 3_700.0},
        ),
        (
            MFCCSettings(
                **{
                    **vars(LIBROSA),
                    "window_length": 512,
                    "hop_length": 256,
                    "window": "rectangular",
                    "n_filters": 20,
                }
            ),
            {"win_length": 512, "hop_length": 256, "window": "boxcar", "n_mels": 20},
        ),
        (MFCCSettings(**{**vars(LIBROSA), "power": 1.0}), {"power": 1.0}),
    ],
    ids=["the constant", "top_db", "lifter", "htk scale", "other lengths", "magnitude"],
)
def test_equals_librosa(name, dtype, settings, options):
    speech = RECORDINGS[name].astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns of recordings shorter than its window
        theirs = librosa_mfcc(speech, **options)
    # librosa computes float32 sound in float32: its rounding is up to 1e-4, times what the lifter enlarges
    tolerance = 1e-4 * (1 + settings.lifter / 2) if dtype == np.float32 else 1e-5
    np.testing.assert_allclose(mfcc(speech, settings), theirs, rtol=0, atol=tolerance)


def librosa_mfcc(speech, **options):
    """``librosa.feature.mfcc`` at the settings of LIBROSA but for ``options``."""
    top_db = options.pop("top_db", 80.0)
    cepstral = {"n_mfcc": options.pop("n_mfcc", 13), "lifter": options.pop("lifter", 0)}
    norm = {"norm": options.pop("mel_norm", "slaney")}
    lengths = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
    if top_db == 80.0:
        return librosa.feature.mfcc(
            y=speech, sr=16_000, mel_norm=norm["norm"], **cepstral, **(lengths | options)
        ).T
    mel = librosa.feature.melspectrogram(y=speech, sr=16_000, **norm, **(lengths | options))
    return librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=top_db), **cepstral).T


def test_librosa_with_its_own_defaults():
    speech = murmur(20_000).astype(np.float64)
    defaults = {"window_length": 2048, "n_fft": 2048, "hop_length": 512, "n_filters": 128, "n_cepstra": 20}
    theirs = librosa.feature.mfcc(y=speech, sr=16_000).T
    np.testing.assert_allclose(mfcc(speech, MFCCSettings(**{**vars(LIBROSA), **defaults})), theirs, atol=1e-4)


def test_the_recipe_of_syncnet_written_out():
    """The MATLAB steps in the order of its script, one row at a time, against the settings."""
    speech = murmur(16_000).astype(np.float64)
    x = 32768 * speech
    x = np.concatenate([x[:1], x[1:] - 0.97 * x[:-1]])
    corners = 1127 * np.log(1 + np.array([300, 3700]) / 700)
    corners = 700 * np.exp(np.linspace(*corners, 15) / 1127) - 700
    bins = np.linspace(0, 8000, 257)
    triangles = [np.interp(bins, corners[m : m + 3], [0, 1, 0], left=0, right=0) for m in range(13)]
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
    k, m = np.arange(13), np.arange(1, 14)
    transform = np.sqrt(2 / 13) * np.cos(np.pi * np.outer(k, m - 0.5) / 13)
    rows = []
    for start in range(0, 16_000 - 400 + 1, 160):
        magnitude = np.abs(np.fft.fft(x[start : start + 400] * hamming, 512))[:257]
        rows.append((1 + 11 * np.sin(np.pi * k / 22)) * (transform @ np.log(np.array(triangles) @ magnitude)))
    ours = mfcc(speech, SYNCNET)
    assert ours.shape == (98, 13)
    # the published script's mel constant is 1127 ln, ours 2595 log10: they agree to 6e-5
    np.testing.assert_allclose(ours, rows, atol=2e-3)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_scale(scale):
    hz = np.linspace(0, 8_000, 801)
    np.testing.assert_allclose(mel_from_hz(hz, scale), librosa.hz_to_mel(hz, htk=scale == "htk"), atol=1e-9)
    np.testing.assert_allclose(hz_from_mel(mel_from_hz(hz, scale), scale), hz, atol=1e-8)


def test_filter_bank_of_the_published_recipe():
    theirs = python_speech_features.get_filterbanks(26, 512, 16_000)
    np.testing.assert_allclose(mel_filter_bank(PSF), theirs, atol=1e-12)
    # 40 filters in 512 points: neighbouring corners fall into one bin
    crowded = MFCCSettings(n_filters=60)
    np.testing.assert_allclose(
        mel_filter_bank(crowded), python_speech_features.get_filterbanks(60, 512, 16_000), atol=1e-12
    )


@pytest.mark.parametrize("rows", [28, 35])
@pytest.mark.parametrize(
    "n_samples", [640, 641, 1_279, 1_280, 3_200, 3 * 16_000 - 1, 3 * 16_000, 640 * 1_100 + 17]
)
def test_n_frames_give_n_windows(n_samples, rows):
    windows = mfcc_windows(murmur(n_samples), rows=rows)
    assert windows.shape == (n_samples // 640, rows, 12)
    assert windows.dtype == np.float32
    assert windows.flags.c_contiguous
    assert np.isfinite(windows).all()


def test_ten_minutes():
    speech = np.tile(murmur(16_000), 600)
    windows = mfcc_windows(speech)
    assert windows.shape == (15_000, 28, 12)
    # one second repeats itself: so do its windows, also across the seams of the chunks
    assert CHUNK_ROWS < 60_000
    np.testing.assert_allclose(windows[25:50], windows[7_500:7_525], atol=1e-5)
    inner = windows[25 : 15_000 - 25].reshape(-1, 25, 28, 12)
    np.testing.assert_allclose(inner, np.broadcast_to(inner[0], inner.shape), atol=1e-5)


@pytest.mark.parametrize("rows", [28, 35])
def test_windows_of_a_part_equal_windows_of_the_whole(rows):
    speech = murmur(640 * 40)
    whole = mfcc_windows(speech, rows=rows)
    for start, stop in ((0, 5), (3, 4), (12, 30), (33, 40)):
        part = mfcc_windows_between(speech, start, stop, rows=rows)
        np.testing.assert_allclose(part, whole[start:stop], atol=1e-4)
    for step, first, lengths in ((15, 0, [15, 15, 10]), (15, 10, [15, 15]), (None, 0, [40]), (50, 3, [37])):
        parts = list(mfcc_stretches(speech, step, first=first, rows=rows))
        assert [len(part) for part in parts] == lengths
        np.testing.assert_allclose(np.concatenate(parts), whole[first:], atol=1e-4)


def test_windows_are_rows_of_the_padded_recording():
    """2040 samples of silence in front put row 0 of window 0 at sample 0 of python_speech_features."""
    speech = murmur(16_000)
    silence = np.zeros(2040, np.float32)
    rows = python_speech_features.mfcc(np.concatenate([silence, speech, silence]), 16_000, winstep=0.01)
    for t, window in enumerate(mfcc_windows(speech)):
        np.testing.assert_allclose(window, rows[4 * t : 4 * t + 28, 1:], atol=1e-4)


@pytest.mark.parametrize("rows", [28, 35])
@pytest.mark.parametrize("t", [0, 7, 24])
def test_window_is_centred_on_its_frame(rows, t):
    """An impulse moves row j while it lies in the 400 samples about that row's centre, and not one beyond."""
    centre = 640 * t + 320
    speech = np.zeros(16_000)
    quiet = mfcc_windows(speech, rows=rows)[t]
    settings = MFCCSettings(pre_emphasis=0.0, window="hamming")
    for j in range(rows):
        row_centre = centre + (2 * j - rows + 1) * HOP_LENGTH // 2
        for sample, heard in ((-201, False), (-200, True), (199, True), (200, False)):
            if not 0 <= row_centre + sample < len(speech):
                continue
            speech[:] = 0
            speech[row_centre + sample] = 0.5
            changed = mfcc_windows(speech, rows=rows, settings=settings)[t, j] != quiet[j]
            assert changed.any() == heard, (j, sample)


def test_rows_are_on_the_clock():
    """Energy (C0 of the recipe) weighs an impulse most where the window's peak is: at (r + 1/2) * 10 ms."""
    r = 40
    speech = np.zeros(16_000)
    speech[round((r + 0.5) * 160)] = 1.0
    # rows on the clock are those of mfcc after 120 samples of silence
    energy = mfcc(np.concatenate([np.zeros(120), speech]), MFCCSettings(window="hann", pre_emphasis=0.0))[
        :, 0
    ]
    assert energy.argmax() == r
    assert energy[r - 1] == pytest.approx(energy[r + 1], abs=1e-9)
    # window t holds rows 4 (t - 3) to 4 (t + 4): row 40 is row 12 of window 10
    windows = mfcc_windows(speech)
    t = r // ROWS_PER_FRAME
    np.testing.assert_array_equal(windows[t, 12], windows[t - 1, 16])
    assert frame_times(25)[t] == pytest.approx((r + 2) * 0.010)


@pytest.mark.parametrize("settings", [PSF, SYNCNET, MFCCSettings(window="hann", pre_emphasis=0.0)])
@pytest.mark.parametrize("rows", [1, 28, 35])
@pytest.mark.parametrize("t", [0, 12, 24])
def test_window_reach_is_exact(settings, rows, t):
    speech = murmur(16_000).astype(np.float64)
    before = mfcc_windows(speech, rows=rows, settings=settings)[t]
    start, stop = window_reach(t, rows=rows, settings=settings)

    def after_touching(sample: int) -> np.ndarray:
        touched = speech.copy()
        touched[sample] += 0.3
        return mfcc_windows(touched, rows=rows, settings=settings)[t]

    for sample in (start - 1, stop, start - 300, stop + 300):
        if 0 <= sample < len(speech):
            assert np.array_equal(after_touching(sample), before), sample
    weightless = settings.window == "hann"  # the outermost weight is 6e-5: below float32 unless we shout
    for sample in (start + 2 * weightless, (start + stop) // 2, stop - 1 - 2 * weightless):
        if 0 <= sample < len(speech):
            assert not np.array_equal(after_touching(sample), before), sample


def test_reach_of_the_published_recipe():
    assert window_reach(0) == (-2041, 2680)
    assert window_reach(10) == (6400 - 2041, 6400 + 2680)
    assert window_reach(0, rows=35) == (320 - 17 * 160 - 200 - 1, 320 + 17 * 160 + 200)


def test_top_db_reaches_everywhere():
    with pytest.raises(InputError, match="every window"):
        window_reach(0, settings=LIBROSA)
    speech = 0.001 * murmur(16_000)
    loud = speech.copy()
    loud[-100:] = 0.9
    assert not np.array_equal(
        mfcc_windows(speech, settings=LIBROSA)[0], mfcc_windows(loud, settings=LIBROSA)[0]
    )
    without = MFCCSettings(**{**vars(LIBROSA), "top_db": None})
    np.testing.assert_array_equal(
        mfcc_windows(speech, settings=without)[0], mfcc_windows(loud, settings=without)[0]
    )


def test_a_longer_recording_begins_alike():
    speech = murmur(32_000)
    short, long = mfcc_windows(speech[:16_000]), mfcc_windows(speech)
    unaffected = [t for t in range(25) if window_reach(t)[1] <= 16_000]
    assert unaffected[-1] == 20
    np.testing.assert_allclose(short[unaffected], long[unaffected], atol=1e-5)


def test_samples_after_the_last_whole_frame_are_heard():
    speech = murmur(6_400 + 500)
    assert not np.array_equal(mfcc_windows(speech)[-1], mfcc_windows(speech[:6_400])[-1])


def test_silence_is_zero():
    np.testing.assert_allclose(mfcc_windows(np.zeros(6_400, np.float32)), 0, atol=1e-11)


def test_amplitude_moves_c0_only():
    speech = murmur(16_000).astype(np.float64)
    shift = mfcc(speech, MFCCSettings(full_scale=32768.0)) - mfcc(speech)
    np.testing.assert_allclose(shift[:, 0], 2 * np.log(32768), atol=1e-9)  # 20.79
    np.testing.assert_allclose(shift[:, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(mfcc_windows(speech / 8)[5:20], mfcc_windows(speech)[5:20], atol=1e-5)


def test_loudness():
    t = np.arange(640) / 16_000
    sine = np.sin(2 * np.pi * 1_000 * t)
    speech = np.concatenate([np.ones(640), sine, 0.1 * sine, np.zeros(640), np.full(640, 1e-9), sine[:99]])
    expected = [0, -3.0103, -23.0103, LOUDNESS_FLOOR, LOUDNESS_FLOOR]
    decibels = loudness(speech.astype(np.float32))
    assert decibels.dtype == np.float32
    np.testing.assert_allclose(decibels, expected, atol=1e-3)


def test_fit_to_frames():
    speech = murmur(1_300)
    filled, cut, longer = fit_to_frames(speech), fit_to_frames(speech, 1), fit_to_frames(speech, 5)
    assert [len(x) for x in (filled, cut, longer)] == [3 * SAMPLES_PER_FRAME, 640, 3_200]
    np.testing.assert_array_equal(filled[:1_300], speech)
    np.testing.assert_array_equal(cut, speech[:640])
    assert not longer[1_300:].any()
    assert fit_to_frames(speech[:1_280]).base is not speech
    with pytest.raises(InputError, match="n_frames"):
        fit_to_frames(speech, 0)


@pytest.mark.parametrize("function", [mfcc, mfcc_windows, loudness, fit_to_frames])
@pytest.mark.parametrize(
    ("speech", "message"),
    [
        ([0.0] * 16_000, "list"),
        (np.zeros(16_000, np.int16), "int16.*32768"),
        (np.zeros(16_000, np.float16), "float16"),
        (np.zeros((2, 16_000), np.float32), "shape"),
        (np.zeros(0, np.float32), "0 samples"),
        (np.where(np.arange(16_000) == 5, np.nan, 0), "1 samples that are NaN"),
        (np.where(np.arange(16_000) == 5, np.inf, 0), "NaN or infinite"),
    ],
)
def test_bad_sound(function, speech, message):
    with pytest.raises(InputError, match=message):
        function(speech)


@pytest.mark.parametrize("function", [mfcc_windows, loudness])
def test_less_than_a_frame(function):
    with pytest.raises(InputError, match=r"639 samples.*640"):
        function(np.zeros(639, np.float32))


def test_impossible_requests():
    speech = murmur(6_400)
    with pytest.raises(InputError, match="rows"):
        mfcc_windows(speech, rows=0)
    with pytest.raises(InputError, match="rows"):
        mfcc_windows(speech, rows=28.0)
    with pytest.raises(InputError, match="hop_length"):
        mfcc_windows(speech, settings=MFCCSettings(hop_length=200))
    with pytest.raises(InputError, match="399 samples"):
        mfcc(speech[:399], SYNCNET)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_fft": 256},
        {"n_cepstra": 27},
        {"f_min": 4_000.0, "f_max": 300.0},
        {"f_max": 9_000.0},
        {"window": "kaiser"},
        {"hop_length": 0},
    ],
)
def test_impossible_settings(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MFCCSettings(**wrong)


@pytest.mark.real
def test_real_recordings_equal_both_libraries(real):
    for path in sorted((real / "speech").glob("librivox*.wav")):
        speech = soundfile.read(path, dtype="float32")[0]
        np.testing.assert_allclose(mfcc(speech), python_speech_features.mfcc(speech), rtol=0, atol=1e-9)
        np.testing.assert_allclose(mfcc(speech, LIBROSA), librosa_mfcc(speech), rtol=0, atol=1e-4)
