import numpy as np
import pytest

from talkface_lite.corpus.acoustics import NOISES, Microphone, add_noise
from talkface_lite.corpus.voice import speak
from talkface_lite.errors import InputError
from talkface_lite.speech import mfcc_windows


@pytest.fixture(scope="module")
def speech():
    return speak("bin blue at f two now", "arthur").speech.astype(np.float64)


def share_above(sound, hertz):
    power = np.abs(np.fft.rfft(sound)) ** 2
    return power[np.fft.rfftfreq(len(sound), 1 / 16000) > hertz].sum() / power.sum()


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("decibels", [5, 20])
def test_noise_of_any_kind_is_as_loud_as_asked(speech, kind, decibels):
    noise = add_noise(speech, decibels, np.random.default_rng(1), kind) - speech
    sounding = speech[speech != 0]
    got = 10 * np.log10(np.mean(sounding**2) / np.mean(noise**2))
    assert got == pytest.approx(decibels, abs=0.1)


def test_noises_have_their_colours(speech):
    high = {k: share_above(add_noise(speech, -60, np.random.default_rng(1), k), 2000) for k in NOISES}
    assert high["white"] > 0.7 > high["pink"] > high["brown"]
    assert high["hum"] < 0.5
    with pytest.raises(InputError, match="noise"):
        add_noise(speech, 20, np.random.default_rng(1), "rain")


def test_a_plain_microphone_changes_next_to_nothing(speech):
    heard = Microphone(low=1e-3).record(speech)
    np.testing.assert_allclose(heard, speech - speech.mean(), atol=1e-3)  # but for what does not vary


def test_a_telephone_hears_nothing_high_or_low(speech):
    heard = Microphone(low=300, high=3400).record(speech)
    assert share_above(speech, 4500) > 20 * share_above(heard, 4500)
    assert 1 - share_above(heard, 100) < 0.2 * (1 - share_above(speech, 100))


def test_what_a_codec_drops_is_what_lies_far_below_the_loudest(speech):
    mild, harsh = (Microphone(kept=kept).record(speech) for kept in (60.0, 15.0))
    lost = [np.mean((heard - speech) ** 2) / np.mean(speech**2) for heard in (mild, harsh)]
    assert lost[0] < 1e-3 < lost[1] < 0.5


def test_eight_bits_are_256_levels(speech):
    assert len(np.unique(Microphone(mu_law=True).record(speech))) <= 256


@pytest.mark.parametrize("seed", range(12))
def test_a_drawn_microphone_moves_no_sound_in_time_and_stays_within_one(speech, seed):
    microphone = Microphone.draw(np.random.default_rng(seed))
    heard = microphone.record(speech)
    assert heard.shape == speech.shape
    assert np.abs(heard).max() <= 1
    envelopes = [np.convolve(np.abs(sound), np.ones(320), "same") for sound in (speech, heard)]
    lags = range(-160, 161, 40)
    close = [np.corrcoef(envelopes[0], np.roll(envelopes[1], lag))[0, 1] for lag in lags]
    assert abs(list(lags)[int(np.argmax(close))]) <= 40


def test_another_throat_says_the_same_at_the_same_pace():
    plain, short = (speak("bin blue at f two now", "arthur", tract=tract) for tract in (1.0, 1.15))
    assert [word.label for word in plain.words] == [word.label for word in short.words]
    assert short.words[-1].end == pytest.approx(plain.words[-1].end, rel=0.04)
    high = [share_above(said.speech.astype(np.float64), 3000) for said in (plain, short)]
    assert high[1] > high[0]
    assert np.abs(mfcc_windows(plain.speech)[:40] - mfcc_windows(short.speech)[:40]).mean() > 0.5
    with pytest.raises(InputError, match="tract"):
        speak("no", "arthur", tract=2.0)


def test_tilt_and_colour_raise_what_they_say():
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000)
    at = np.fft.rfftfreq(len(noise), 1 / 16000)

    def gain(hertz, **settings):
        near = np.abs(at - hertz) < 60
        before, after = (
            np.abs(np.fft.rfft(sound))[near].mean() for sound in (noise, Microphone(**settings).record(noise))
        )
        return 20 * np.log10(after / before)

    octave = gain(2000, tilt=3.0) - gain(1000, tilt=3.0)  # apart: the level is set afterwards
    assert octave == pytest.approx(3, abs=0.3)
    coloured = (0.0, 0.0, 0.0, 6.0, 0.0)
    assert gain(2000, colour=coloured) - gain(1000, colour=coloured) == pytest.approx(6, abs=0.4)
