"""Sound, pictures and video survive the way out and in; strange files get one line."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkface_lite import media
from talkface_lite.clip import SAMPLE_RATE
from talkface_lite.errors import InputError


def tone(seconds: float = 1.0, hertz: float = 220.0, rate: int = SAMPLE_RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_speech_round_trip_within_one_16_bit_step(tmp_path):
    path = media.write_speech(tmp_path / "a.wav", tone())
    np.testing.assert_allclose(media.read_speech(path), tone(), atol=1.01 / 32768)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(b""), "an empty file"),
        (lambda p: p.write_bytes(b"hello, I am text"), "unreadable sound"),
        (lambda p: soundfile.write(p, tone()[:0], 16000), "0 samples"),
        (lambda p: soundfile.write(p, tone()[:100], 16000), "6 ms of sound"),
        (lambda p: soundfile.write(p, tone() * 0, 16000), "silence"),
        (lambda p: soundfile.write(p, tone() * 1e-3, 16000), "silence"),
        (lambda p: soundfile.write(p, tone(), 16000, subtype="PCM_U8"), "got 8-bit samples"),
        (lambda p: soundfile.write(p, np.stack([tone()] * 2, 1), 16000), "got stereo"),
        (lambda p: soundfile.write(p, tone(), 44100), "got 44100 Hz"),
        (
            lambda p: soundfile.write(p, np.where(np.arange(16000) == 5, np.nan, tone()), 16000, "FLOAT"),
            "1 samples",
        ),
        (
            lambda p: (soundfile.write(p, tone(), 16000), p.write_bytes(p.read_bytes()[:-999])),
            "999 bytes short",
        ),
    ],
)
def test_strange_sound_gets_one_line(tmp_path, write, message):
    path = tmp_path / "a.wav"
    write(path)
    with pytest.raises(InputError, match=message) as caught:
        media.read_speech(path)
    assert "\n" not in str(caught.value)


def test_truncated_flac_is_refused(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 32000), 16000)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(InputError):
        media.read_speech(path)


def test_convert_mixes_down_and_resamples(tmp_path):
    path = tmp_path / "a.wav"
    left = tone(rate=44100)
    soundfile.write(path, np.stack([left, 0 * left], 1), 44100)
    speech = media.read_speech(path, convert=True)
    assert speech.shape == (16000,)
    np.testing.assert_allclose(speech[800:-800], 0.5 * tone()[800:-800], atol=2e-3)


def test_image_round_trip(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(media.read_image(media.write_image(tmp_path / "a.png", image)), image)


def test_image_with_exif_rotation_stands_upright(tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (40, 20))
    exif = picture.getexif()
    exif[274] = 6  # orientation: rotate by 90 degrees clockwise to view
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert media.read_image(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_strange_pictures_get_one_line(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        media.read_image(path)
    assert "\n" not in str(caught.value)


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 64 64
%%EndComments
(written) (w) file pop showpage
%%EOF
"""


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Ghostscript is a shell script")
@pytest.mark.parametrize("name", ["portrait.jpg", "portrait.png", "portrait.eps"])
def test_a_picture_runs_no_program(tmp_path, monkeypatch, name):
    from PIL import EpsImagePlugin, Image

    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f'#!/bin/sh\ntouch "{tmp_path}/started"\n[ "$1" = --version ]\n')
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    folder = tmp_path / "handed-in"
    folder.mkdir()
    path = folder / name
    path.write_bytes(POSTSCRIPT)
    with pytest.raises(InputError, match="got a file of another kind, expected a picture") as caught:
        media.read_image(path)
    assert "\n" not in str(caught.value)
    assert [file.name for file in folder.iterdir()] == [name]
    assert not (tmp_path / "started").exists()
    with pytest.raises((OSError, subprocess.SubprocessError)), Image.open(path) as picture:
        picture.load()
    assert (tmp_path / "started").exists(), "the stand-in would have been noticed"


@pytest.mark.parametrize("kind", [kind for kind in media.PICTURE_FORMATS if kind != "AVIF"])
def test_content_decides_what_a_picture_is(tmp_path, kind):
    from PIL import Image

    Image.new("RGB", (24, 20), (200, 30, 30)).save(tmp_path / "a.txt", format=kind)
    image = media.read_image(tmp_path / "a.txt")
    assert image.shape == (20, 24, 3)
    np.testing.assert_allclose(image[10, 10], (200, 30, 30), atol=6)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_other_formats_are_refused_by_name(tmp_path, kind):
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(InputError, match=r"another kind, expected a picture \(JPEG, PNG"):
        media.read_image(tmp_path / "a.png")


def test_tiny_picture_is_refused(tmp_path):
    path = media.write_image(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="2x2 pixels"):
        media.read_image(path)


def test_video_round_trip_keeps_frames_rate_and_sound(tmp_path):
    rows = np.linspace(0, 255, 64, dtype=np.uint8)
    frames = np.stack(
        [np.roll(np.broadcast_to(rows[:, None, None], (64, 48, 3)), 4 * t, 0) for t in range(25)]
    )
    path = media.write_video(tmp_path / "a.mp4", frames, tone(), metadata={"comment": "drawn"})
    video = media.read_video(path)
    assert video.frames.shape == frames.shape
    assert video.fps == 25
    assert np.abs(video.frames.astype(int) - frames).mean() < 3
    heard = video.speech[: len(tone())]
    assert len(heard) == len(tone())
    shift = np.argmax(np.correlate(heard[1000:9000], tone()[1200:8800], "valid")) - 200
    assert abs(shift) <= 1, "sound and picture start together"
    content = path.read_bytes()
    assert b"drawn" in content
    assert content.index(b"moov") < content.index(b"mdat"), "a browser can start before the end has come"
    assert list(tmp_path.iterdir()) == [path]


def test_odd_sides_are_padded(tmp_path):
    path = media.write_video(tmp_path / "a.mp4", np.zeros((2, 33, 35, 3), np.uint8))
    assert media.read_video(path).frames.shape == (2, 34, 36, 3)
    assert media.read_video(path).speech is None


def test_files_go_into_folders_that_are_not_there_yet(tmp_path):
    deep = tmp_path / "more" / "than one" / "folder"
    path = media.write_video(str(deep / "a.mp4"), np.zeros((2, 32, 32, 3), np.uint8))
    assert path == deep / "a.mp4"
    assert len(media.read_video(str(path)).frames) == 2
    for name, made in [
        ("b.wav", media.write_speech(str(deep / "sound" / "b.wav"), tone())),
        ("c.png", media.write_image(str(deep / "picture" / "c.png"), np.zeros((32, 32, 3), np.uint8))),
    ]:
        assert made.name == name
        assert made.is_file()


def test_rate_and_quality_are_those_asked_for(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    sizes = {
        q: media.write_video(tmp_path / f"{q}.mp4", noise, quality=q).stat().st_size for q in (0, 18, 40)
    }
    assert sizes[0] > 1.3 * sizes[18] > 3 * sizes[40]
    assert media.write_video(tmp_path / "a.mp4", noise).stat().st_size == sizes[18]
    slow = media.read_video(media.write_video(tmp_path / "slow.mp4", noise, fps=12.5))
    assert slow.fps == 12.5
    assert len(slow.frames) == 6


def test_what_the_encoder_says_is_the_reason_whatever_bytes_it_says(tmp_path, monkeypatch):
    fake = tmp_path / "encoder"
    lines = [
        "#!/bin/sh",
        "cat > /dev/null",
        'for last in "$@"; do :; done',
        f'echo "$last" > {tmp_path}/asked',
    ]
    fake.write_text("\n".join([*lines, "printf '\\377 no room\\n' >&2", "exit 1", ""]))
    fake.chmod(0o755)
    monkeypatch.setattr(media.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(fake))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="no room, expected a place to write an MP4"):
        media.write_video(tmp_path / "out" / "a.mp4", np.zeros((2, 32, 32, 3), np.uint8))
    assert list((tmp_path / "out").iterdir()) == []
    # beside the film to be, hidden, and named as what is not finished
    folder = Path((tmp_path / "asked").read_text().strip()).parent
    assert folder.parent == tmp_path / "out"
    assert folder.name.startswith(".a.")
    assert folder.suffix == ".part"


def test_failing_frames_leave_nothing(tmp_path):
    def frames():
        yield np.zeros((32, 32, 3), np.uint8)
        raise RuntimeError("the painter ran dry")

    with pytest.raises(RuntimeError):
        media.write_video(tmp_path / "a.mp4", frames())
    with pytest.raises(InputError, match="0 frames"):
        media.write_video(tmp_path / "a.mp4", [])
    with pytest.raises(InputError, match="like the first"):
        media.write_video(
            tmp_path / "a.mp4", [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 34, 3), np.uint8)]
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", b"#EXTM3U\n/etc/hostname\n"])
def test_strange_videos_are_refused(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a video file"):
        media.read_video(path)


def test_a_script_that_names_another_film_is_refused(tmp_path):
    media.write_video(tmp_path / "film.mp4", np.zeros((2, 32, 32, 3), np.uint8))
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
    with pytest.raises(InputError, match="expected a video file"):
        media.read_video(tmp_path / "a.mp4")


@pytest.mark.real
def test_real_grid_clip_is_read_whole(real):
    video = media.read_video(real / "grid" / "s1" / "bbaf2n.mpg")
    assert video.frames.shape == (75, 288, 360, 3)
    assert video.fps == 25
    assert video.speech is not None
    assert np.abs(video.speech).max() > 0.01


def test_several_films_appear_together_or_not_at_all(tmp_path):
    levels = np.array([[20, 200], [60, 160], [100, 120], [140, 80]], np.uint8)  # (T, films)
    frames = [[np.full((32, 48, 3), level, np.uint8) for level in row] for row in levels]
    sound = np.zeros(4 * 640, np.float32)
    paths = [tmp_path / "new" / f"{name}.mp4" for name in "ab"]
    assert media.write_videos(paths, iter(frames), sound) == paths
    for number, path in enumerate(paths):
        found = media.read_video(path).frames
        assert len(found) == 4
        np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), levels[:, number], atol=3)
        alone = media.write_video(tmp_path / "alone.mp4", [row[number] for row in frames], sound)
        assert np.array_equal(media.read_video(alone).frames, found)

    def breaking():
        yield from frames[:2]
        yield [frames[2][0], np.zeros((8, 8, 3), np.uint8)]

    others = [tmp_path / "others" / f"{name}.mp4" for name in "ab"]
    with pytest.raises(InputError, match="like the first"):
        media.write_videos(others, breaking(), sound)
    assert list((tmp_path / "others").iterdir()) == []
    with pytest.raises(InputError, match="0 frames"):
        media.write_videos(others, iter(()), sound)
    with pytest.raises(ValueError, match="zip"):
        media.write_videos(others, iter([frames[0][:1]]), sound)
    assert list((tmp_path / "others").iterdir()) == []
