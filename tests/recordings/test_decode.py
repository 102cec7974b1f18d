"""Films on the one clock: what is shown when, what is heard when, and what was left out or added."""

import contextlib
import tracemalloc

import numpy as np
import pytest

from talkface_lite.clip import frame_times
from talkface_lite.errors import InputError
from talkface_lite.recordings import decode
from talkface_lite.recordings.decode import Film, fit_speech

GREY_STEP_S = 0.012
"""What can be told of the time by a clock film's brightness: a step of its RGB values, seconds."""


def test_the_seven_grid_clips(real):
    paths = sorted((real / "grid").glob("s*/*.mpg"))
    assert len(paths) == 7
    for path in paths:
        film = Film(path)
        frames = list(film.frames())
        assert {frame.shape for frame in frames} == {(288, 360, 3)}
        assert (film.width, film.height) == (360, 288)
        counts = {
            key: film.facts[key] for key in ("n_frames", "frames_in", "dropped", "doubled", "missing_s")
        }
        assert counts == {"n_frames": 75, "frames_in": 75, "dropped": 0, "doubled": 0, "missing_s": 0}
        speech, added = fit_speech(film.speech(), 75)
        assert len(speech) == 75 * 640
        assert added == pytest.approx(3 - 114 * 1152 / 44100, abs=1e-3)  # 114 packets of MPEG sound


@pytest.mark.parametrize(
    ("rate", "lasts"),
    [("25", 1 / 25), ("30000/1001", 1001 / 30000), ("24000/1001", 1001 / 24000), ("60", 1 / 60), ("10", 0.1)],
)
def test_a_frame_is_the_picture_shown_at_its_centre(films, tmp_path, rate, lasts):
    film = Film(films.clock_film(tmp_path / "film.mp4", rate=rate))
    frames = list(film.frames())
    ago = frame_times(len(frames)) - films.clock_times(frames)
    assert abs(len(frames) - 50) <= 1
    assert ago.min() > -GREY_STEP_S
    assert ago.max() < lasts + GREY_STEP_S
    facts = film.facts
    assert facts["frames_in"] - facts["dropped"] + facts["doubled"] == facts["n_frames"] == len(frames)
    assert facts["stated_fps"] == pytest.approx(1 / lasts, abs=0.01)


def test_frames_that_come_irregularly_keep_their_time(films, tmp_path):
    # 30 frames/s for a second, then one in five; every frame has its own time stamp
    thinned = "select='lt(t,1)+not(mod(n,5))'"
    output = ["-fps_mode", "vfr", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    film = Film(films.clock_film(tmp_path / "film.mp4", *output, rate="30", filters=thinned))
    frames = list(film.frames())
    ago = frame_times(len(frames)) - films.clock_times(frames)
    assert len(frames) >= 45
    assert ago.min() > -GREY_STEP_S
    assert ago[:25].max() < 1 / 30 + GREY_STEP_S
    assert ago.max() < 5 / 30 + GREY_STEP_S
    assert film.facts["doubled"] > 10


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "mpg", "mov", "flv"])
@pytest.mark.parametrize("late", [{}, {"late_sound": 0.52}, {"late_picture": 0.52}])
def test_picture_and_sound_share_a_zero(films, tmp_path, container, late):
    film = Film(films.flash_film(tmp_path / f"film.{container}", **late))
    frames = list(film.frames())
    flashes, clicks = films.flash_times(frames), films.click_times(film.speech())
    if late.get("late_sound"):
        flashes = flashes[1:]  # the first came before there was sound
    clicks = clicks[len(clicks) - len(flashes) :]
    assert len(flashes) >= 2
    assert flashes == pytest.approx(clicks, abs=0.0225)  # half a frame, and a packet of AAC cannot be cut
    # TS and FLV begin with AAC's run-in of 21 ms, and MPEG sound with one of 10 ms
    assert clicks[-1] == pytest.approx(2.4, abs=0.03)
    assert film.facts["picture_late_s"] == pytest.approx(late.get("late_picture", 0), abs=0.03)


@pytest.mark.parametrize("container", ["mpg", "ts"])
def test_sound_that_starts_very_late_is_found(films, tmp_path, container):
    film = Film(films.flash_film(tmp_path / f"film.{container}", late_sound=12, seconds=14))
    assert films.click_times(film.speech()) == pytest.approx([12.4, 13.4], abs=0.022)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rotation_flag_is_obeyed(films, tmp_path, degrees):
    film = Film(films.turned_film(tmp_path / "phone.mp4", degrees))
    frame = next(film.frames())
    width, height = (64, 96) if degrees in (90, 270) else (96, 64)
    assert (film.width, film.height) == (width, height)
    assert frame.shape == (height, width, 3)
    assert film.facts["rotation"] == degrees
    for (x, y), channel in {(0.25, 0.25): 0, (0.75, 0.25): 1, (0.5, 0.75): 2}.items():
        colour = frame[int(y * height), int(x * width)]
        assert colour.argmax() == channel
        assert np.sort(colour)[1] < 60


@pytest.mark.parametrize(
    "encoder",
    [
        ["libx265", "-x265-params", "log-level=none"],
        ["libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"],
        ["libvpx-vp9"],
        ["mpeg4"],
        ["mjpeg", "-pix_fmt", "yuvj420p"],
        ["ffv1", "-pix_fmt", "bgr0"],
    ],
)
def test_other_codecs_show_the_same(films, tmp_path, encoder):
    film = Film(films.clock_film(tmp_path / "film.mkv", "-c:v", *encoder, seconds=1))
    frames = list(film.frames())
    assert len(frames) == 25
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert films.clock_times(frames) == pytest.approx(np.arange(25) / 25, abs=0.02)


def test_no_sound_is_none(films, tmp_path):
    film = Film(films.clock_film(tmp_path / "film.mp4", seconds=0.4))
    assert film.speech() is None
    assert film.facts["sound"] is False


def test_stereo_is_averaged(films, tmp_path):
    both = Film(
        films.clock_film(
            tmp_path / "both.mkv", "-c:a", "pcm_s16le", sound="0.8*sin(440*2*PI*t)|0.8*sin(440*2*PI*t)"
        )
    )
    left = Film(films.clock_film(tmp_path / "left.mkv", "-c:a", "pcm_f32le", sound="0.8*sin(440*2*PI*t)|0"))
    for film, peak in ((both, 0.8), (left, 0.4)):
        speech = film.speech()
        assert speech.dtype == np.float32
        assert len(speech) == pytest.approx(32000, abs=16)
        assert np.abs(speech[1000:-1000]).max() == pytest.approx(peak, abs=0.01)


def test_loud_and_broken_samples(films, tmp_path):
    loud = Film(films.clock_film(tmp_path / "loud.mkv", "-c:a", "pcm_f32le", sound="3*sin(440*2*PI*t)"))
    assert np.abs(loud.speech()).max() == 1
    broken = Film(films.clock_film(tmp_path / "nan.mkv", "-c:a", "pcm_f32le", sound="if(lt(t,1),0.1,NAN)"))
    speech = broken.speech()
    assert np.isfinite(speech).all()
    assert speech[8000] == pytest.approx(0.1, abs=1e-3)
    assert broken.facts["bad_samples"] == pytest.approx(16000, abs=50)


@pytest.mark.parametrize("lasts", [0.06, 0.3])
def test_a_hole_in_the_sound_is_silence(films, tmp_path, lasts):
    # samples are missing, and the time stamps say so
    hole = ["-af", f"aselect='not(between(t,0.5,{0.5 + lasts}))'", "-c:a", "pcm_s16le", "-c:v", "libx264"]
    film = Film(films.clock_film(tmp_path / "film.mkv", *hole, sound="0.5*between(t,1,1.1)*sin(1000*2*PI*t)"))
    assert films.click_times(film.speech()) == pytest.approx([1.0], abs=0.022)


def test_black_frames_are_black(films, tmp_path):
    films.ffmpeg("-f", "lavfi", "-i", "color=black:s=64x48:r=25:d=1", tmp_path / "black.mp4")
    frames = list(Film(tmp_path / "black.mp4").frames())
    assert len(frames) == 25
    assert max(frame.max() for frame in frames) <= 2


def test_interlaced_frames_have_no_comb(films, tmp_path):
    # a white bar moves 8 pixels a field; woven fields show it at two places in alternate rows
    moving = "geq=lum='16+219*between(X-400*T,0,24)':cb=128:cr=128,tinterlace=interleave_top,setfield=tff"
    picture = f"color=black:s=256x96:r=50:d=0.5,{moving}"
    output = ["-c:v", "libx264", "-flags", "+ilme+ildct", "-x264opts", "tff=1"]
    films.ffmpeg("-f", "lavfi", "-i", picture, *output, "-pix_fmt", "yuv420p", tmp_path / "film.mp4")
    frames = list(Film(tmp_path / "film.mp4").frames())
    combs = [np.abs(np.diff(frame[8:-8, :, 1].astype(float), axis=0)).mean() for frame in frames[2:-2]]
    assert len(frames) in (12, 13)
    assert max(combs) < 2  # woven: 15 and more


def test_pixels_become_square(films, tmp_path):
    film = Film(films.clock_film(tmp_path / "film.mp4", size="72x58", filters="setsar=16/9", seconds=0.2))
    assert (film.width, film.height) == (128, 58)
    assert next(film.frames()).shape == (58, 128, 3)


def test_a_picture_that_changes_size(films, tmp_path):
    parts = [
        films.clock_film(
            tmp_path / f"{n}.ts", "-c:v", "libx264", "-output_ts_offset", n, size=size, seconds=1
        )
        for n, size in enumerate(("64x48", "128x96"))
    ]
    (tmp_path / "film.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(Film(tmp_path / "film.ts").frames())
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    shown = films.clock_times(frames)
    second = int(np.diff(shown).argmin()) + 1  # where the second part begins, whose brightness begins anew
    assert 46 <= len(frames) <= 51
    assert shown[:second] == pytest.approx(np.arange(second) / 25, abs=0.025)
    # the parts overlap by two frames
    assert shown[second:] == pytest.approx(np.arange(len(frames) - second) / 25, abs=0.05)


def test_a_film_that_is_cut_short_gives_its_beginning(films, tmp_path):
    output = ["-c:v", "libx264", "-crf", "1", "-c:a", "aac", "-movflags", "+faststart", "-pix_fmt", "yuv420p"]
    noisy = "noise=alls=40:allf=t"
    whole = films.clock_film(tmp_path / "whole.mp4", *output, filters=noisy, sound="0.5*sin(440*2*PI*t)")
    film = Film(films.cut_short(whole, tmp_path / "cut.mp4", 0.5))
    n_frames = len(list(film.frames()))
    assert 15 < n_frames < 35
    assert film.facts["missing_s"] == pytest.approx(2 - n_frames / 25, abs=0.15)
    assert 0.4 < len(film.speech()) / 16000 < 1.5


def test_sound_that_outlasts_the_picture_is_not_missing_picture(films, tmp_path):
    inputs = ["-f", "lavfi", "-i", "color=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=3"]
    films.ffmpeg(*inputs, "-c:v", "libx264", "-c:a", "aac", tmp_path / "film.mp4")
    film = Film(tmp_path / "film.mp4")
    assert len(list(film.frames())) == 25
    assert film.facts["missing_s"] == 0
    assert fit_speech(film.speech(), 25)[1] == pytest.approx(-2, abs=0.05)


def test_the_same_frames_again(films, tmp_path):
    film = Film(films.clock_film(tmp_path / "film.mp4", seconds=0.4))
    first, second = list(film.frames()), list(film.frames())
    assert np.array_equal(first, second)
    first[0][:] = 7  # each frame is the caller's own
    assert not np.array_equal(first[0], second[0])


def test_memory_does_not_grow_with_the_film(films, tmp_path):
    film = Film(films.clock_film(tmp_path / "film.mp4", size="640x480"))
    tracemalloc.start()
    try:
        n_frames = sum(1 for _ in film.frames())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_frames == 50
    assert peak < 6 * 640 * 480 * 3


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_film_gives_frames_or_an_error(films, tmp_path, seed, monkeypatch):
    monkeypatch.setattr("talkface_lite.recordings.ffmpeg.STALL_S", 5.0)
    container = ("mp4", "mkv", "ts", "mpg")[seed % 4]
    codec = ["-c:v", "mpeg2video"] if container == "mpg" else ["-c:v", "libx264"]
    whole = films.clock_film(
        tmp_path / f"whole.{container}", *codec, sound="0.5*sin(440*2*PI*t)", size="96x64"
    )
    with contextlib.suppress(InputError):
        film = Film(films.damaged(whole, tmp_path / f"film.{container}", seed))
        for frame in film.frames():
            assert frame.shape == (film.height, film.width, 3)
        speech = film.speech()
        assert speech is None or np.abs(speech).max() <= 1


def test_a_film_with_a_long_description_keeps_its_sound(films, tmp_path):
    lies = (
        "\n  Duration: 99:00:00.00, start\n  Stream #0:0: Video: none, 1 fps\nStream mapping:\n"
        + "x" * 300_000
    )
    output = ["-c:v", "libx264", "-c:a", "aac"]
    plain = films.clock_film(tmp_path / "plain.mkv", *output, seconds=0.4, sound="0.1*sin(99*t)")
    (tmp_path / "tags").write_text(
        ";FFMETADATA1\ncomment=" + lies.replace("=", "\\=").replace("#", "\\#").replace("\n", "\\\n")
    )
    films.ffmpeg(
        "-i", plain, "-i", tmp_path / "tags", "-map_metadata", 1, "-c", "copy", tmp_path / "film.mkv"
    )
    assert b"99:00:00" in (tmp_path / "film.mkv").read_bytes()
    film = Film(tmp_path / "film.mkv")
    assert film.facts["codec"] == "h264"
    assert film.facts["seconds_stated"] == pytest.approx(0.4, abs=0.05)
    assert film.speech() is not None


def test_at_most_an_hour(films, tmp_path, monkeypatch):
    film = Film(films.clock_film(tmp_path / "film.mp4"))
    monkeypatch.setattr(decode, "LONGEST_S", 1)
    with pytest.raises(InputError, match="at most"):
        Film(film.path)
    # a container may state less than it holds
    with pytest.raises(InputError, match="at most"):
        list(film.frames())


@pytest.mark.parametrize(("n_given", "added"), [(0, 0.08), (1280, 0.0), (1279, 1 / 16000), (1600, -0.02)])
def test_fit_speech(n_given, added):
    given = np.linspace(0.1, 1, n_given, dtype=np.float32)
    speech, told = fit_speech(given, 2)
    assert speech.dtype == np.float32
    assert np.array_equal(speech, np.r_[given, np.zeros(1280, np.float32)][:1280])
    assert told == pytest.approx(added)


def test_fit_speech_without_sound():
    speech, added = fit_speech(None, 3)
    assert np.array_equal(speech, np.zeros(1920, np.float32))
    assert added == pytest.approx(0.12)
