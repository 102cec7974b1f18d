"""What is not a film is refused, nothing else is opened on its account, and no ffmpeg is left behind."""

import ctypes
import gc
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import pytest

from talkface_lite.errors import InputError
from talkface_lite.recordings import decode, ffmpeg
from talkface_lite.recordings.decode import Film

NAMES = [
    "with a space.mp4",
    'it\'s "quoted".mp4',
    "two\nlines.mp4",
    "%03d.mp4",
    "-i.mp4",
    "file:film.mp4",
    "concat:a|b.mp4",
    "http:example.mp4",
    "говорит 話す مرحبا.mp4",
    "no ending",
    "film.m3u8",
    "\n  Duration: 99:00:00.00, start: 0.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_plays_no_part(films, tmp_path, name, monkeypatch):
    made = films.clock_film(tmp_path / "made.mp4", seconds=0.2)
    made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name), name):
        film = Film(path)
        assert len(list(film.frames())) == 5
        assert film.facts["seconds_stated"] == 0.2


def test_a_name_that_is_not_text(films, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    films.clock_film(tmp_path / "made.mp4", seconds=0.2).rename(path)
    assert len(list(Film(path).frames())) == 5
    path.write_text("no film")
    with pytest.raises(InputError) as caught:
        Film(path)
    str(caught.value).encode()  # the message can be written anywhere


def test_a_link_is_followed(films, tmp_path):
    films.clock_film(tmp_path / "made.mp4", seconds=0.2)
    (tmp_path / "link.mp4").symlink_to("made.mp4")
    assert len(list(Film(tmp_path / "link.mp4").frames())) == 5


def _sound_only(films, path: Path) -> None:
    films.ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", path)


def _with_cover(films, path: Path) -> None:
    inputs = ["-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "testsrc=s=64x64:d=0.04"]
    films.ffmpeg(*inputs, "-c:a", "aac", "-c:v", "png", "-disposition:v", "attached_pic", path)


def _picture(codec: str) -> Callable:
    def make(films, path: Path) -> None:
        film = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=0.04", "-frames:v", "1", "-c:v", codec]
        films.ffmpeg(*film, "-f", "image2pipe", path)

    return make


def _without_index(films, path: Path) -> None:
    films.cut_short(films.clock_film(path.with_name("whole.mp4")), path, 0.5)  # the index is at the end


def _of_size(size: str) -> Callable:
    def make(films, path: Path) -> None:
        films.ffmpeg("-f", "lavfi", "-i", f"color=s={size}:d=0.08", "-c:v", "ffv1", "-f", "matroska", path)

    return make


def _text(text: str) -> Callable:
    return lambda films, path: path.write_text(text)


STRANGE = {
    "missing": (lambda films, path: None, "no such file"),
    "empty": (_text(""), "an empty file"),
    "text": (_text("It was a dark and stormy night.\n" * 100), "not a video"),
    "subtitles": (_text("1\n00:00:00,000 --> 00:00:02,000\nGood evening.\n" * 20), "not a video"),
    "folder": (lambda films, path: path.mkdir(), "a folder"),
    "pipe": (lambda films, path: os.mkfifo(path), "a pipe or a device"),
    "device": (lambda films, path: path.symlink_to("/dev/zero"), "a pipe or a device"),
    "noise": (lambda films, path: path.write_bytes(os.urandom(100_000)), "not a video"),
    "png": (_picture("png"), "not a video"),
    "jpeg": (_picture("mjpeg"), "not a video"),
    "sound only": (_sound_only, "without a picture track"),
    "cover art": (_with_cover, "without a picture track"),
    "no index": (_without_index, "not a whole one"),
    "2 pixels": (_of_size("2x2"), "2x2 pixels"),
    "a strip": (_of_size("64x38"), "64x38 pixels"),
    "a long strip": (_of_size("8200x64"), "8200x64 pixels"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_not_a_film_is_refused(films, tmp_path, kind):
    make, reason = STRANGE[kind]
    make(films, tmp_path / "film.mp4")
    began = time.monotonic()
    with pytest.raises(InputError, match=reason) as caught:
        Film(tmp_path / "film.mp4")
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)


def test_no_right_to_read(films, tmp_path, monkeypatch):
    path = films.clock_film(tmp_path / "film.mp4", seconds=0.2)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(decode.os, "open", refuse)  # rights do not hold for root
    with pytest.raises(InputError, match="Permission denied"):
        Film(path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="cannot be opened"):
        Film("a\0b")


def test_a_file_that_goes_away(films, tmp_path):
    film = Film(films.clock_film(tmp_path / "film.mp4", seconds=0.2))
    film.path.unlink()
    with pytest.raises(InputError, match="no such file"):
        list(film.frames())


def test_sound_that_changes_on_the_way(films, tmp_path):
    for n, channels in enumerate((1, 2)):
        output = ["-c:v", "libx264", "-c:a", "aac", "-ac", channels, "-output_ts_offset", n]
        films.clock_film(tmp_path / f"{n}.ts", *output, seconds=1, sound="0.3*sin(440*2*PI*t)")
    (tmp_path / "film.ts").write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    with pytest.raises(InputError, match="changes"):
        Film(tmp_path / "film.ts").speech()


@contextmanager
def _opened(path: Path) -> Iterator[Callable[[], bool]]:
    """Tells whether anything has opened the file since."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def opened() -> bool:
        try:
            return len(os.read(watch, 4096)) >= struct.calcsize("iIII")
        except BlockingIOError:
            return False

    try:
        yield opened
    finally:
        os.close(watch)


@contextmanager
def _listener() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A port, and whether anything has called it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def called() -> bool:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                return False
            connection.close()
            return True

        yield server.getsockname()[1], called


PLAYLISTS = {
    "hls of a file": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "hls of a file:": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{target}\n#EXT-X-ENDLIST\n",
    "hls of an address": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "concat of a file": "ffconcat version 1.0\nfile '{target}'\n",
    "concat of an address": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>
        <AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9" width="64" height="48">
        <BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>""",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
}


@pytest.mark.skipif(sys.platform != "linux", reason="watches files with inotify")
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_nothing(films, tmp_path, kind):
    target = films.clock_film(tmp_path / "secret.ts", seconds=0.2)
    playlist = tmp_path / "film.mp4"
    with _listener() as (port, called), _opened(target) as opened:
        url = f"http://127.0.0.1:{port}/film.ts"
        playlist.write_text(PLAYLISTS[kind].format(target=target, url=url))
        for name in ("film.mp4", "film.m3u8"):
            playlist = playlist.rename(tmp_path / name)
            with pytest.raises(InputError, match="not a video"):
                Film(playlist)
        assert not opened()
        assert not called()
        if kind == "sdp":
            return
        # the same file in careless hands: it does reach out, and the traps do shut
        careless = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-protocol_whitelist", "file,http,tcp"]
        careless += {"hls": ["-f", "hls", "-allowed_extensions", "ALL"], "con": ["-safe", "0"]}.get(
            kind[:3], []
        )
        running = subprocess.Popen([*careless, "-i", playlist, "-f", "null", "-"], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not (caught := opened() or called()) and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            running.kill()
            running.wait()
        assert caught


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch) -> Callable[[str], None]:
    """Puts a shell script in ffmpeg's place."""

    def put(script: str) -> None:
        path = tmp_path / "stand-in"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(decode.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(path))

    return put


@pytest.mark.parametrize("script", ["exec sleep 60", "exec >&-; exec sleep 60"])
def test_an_ffmpeg_that_stands_still_is_killed(films, tmp_path, stand_in, monkeypatch, script):
    path = films.clock_film(tmp_path / "film.mp4", seconds=0.2)
    film = Film(path)
    monkeypatch.setattr(ffmpeg, "STALL_S", 0.4)
    stand_in(script)
    for use in (lambda: Film(path), lambda: list(film.frames()), lambda: next(film.frames())):
        began = time.monotonic()
        with pytest.raises(InputError, match="stands still"):
            use()
        assert time.monotonic() - began < 5


def test_a_slow_reader_is_not_a_stall(films, tmp_path, monkeypatch):
    film = Film(films.clock_film(tmp_path / "film.mp4", seconds=0.4, size="640x480"))
    monkeypatch.setattr(ffmpeg, "STALL_S", 0.4)
    n_frames = 0
    for _ in film.frames():
        if n_frames == 2:
            time.sleep(1)
        n_frames += 1
    assert n_frames == 10


def test_a_crash_is_an_error(films, tmp_path, stand_in):
    film = Film(films.clock_film(tmp_path / "film.mp4", seconds=0.2))
    stand_in(f"head -c {2 * 64 * 48 * 3} /dev/zero; kill -SEGV $$")
    frames = film.frames()
    assert [next(frames).shape, next(frames).shape] == [(48, 64, 3)] * 2
    with pytest.raises(InputError, match="signal 11"):
        next(frames)
    stand_in("exit 1")
    with pytest.raises(InputError, match="no frame"):
        list(film.frames())


def _close(frames: Iterator) -> None:
    frames.close()


def _throw(frames: Iterator) -> None:
    with pytest.raises(KeyboardInterrupt):
        frames.throw(KeyboardInterrupt)


def _forget(frames: Iterator) -> None:
    pass


@pytest.mark.parametrize("leave", [_close, _throw, _forget])
def test_leaving_early_ends_ffmpeg(films, tmp_path, monkeypatch, leave):
    film = Film(films.clock_film(tmp_path / "film.mp4", size="640x480"))
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", Recorded)
    before, n_files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    frames = film.frames()
    next(frames)
    (process,) = started
    assert process.poll() is None  # it has much left to write
    leave(frames)
    del frames
    gc.collect()
    assert process.returncode is not None  # waited for: no zombie is left
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/fd")) == n_files
