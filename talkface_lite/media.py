"""Sound, pictures and video in and out, through soundfile, imageio and imageio's ffmpeg.

Every reader checks what it was given and raises :class:`~talkface_lite.errors.InputError` in one line. Every
writer makes its file appear whole or not at all.
"""

import io
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import soundfile
import soxr
from PIL import Image, ImageOps, UnidentifiedImageError

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically

SILENCE_PEAK = 1e-3
"""A recording whose largest sample is below this (-60 dBFS) is silence."""

CONTAINERS = ("mov", "matroska", "webm", "avi", "mpeg", "mpegts", "flv", "asf", "ogg", "mxf", "dv", "nut")
"""ffmpeg's names of the containers that are opened. None of them is a playlist or names other files. Raw
streams (.h264, .m1v) are left out: they have no time stamps."""

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""Pillow's names of the formats that are opened, whatever a file is called. Pillow knows many more, and for
one of them, PostScript, it starts a program that does what the file says."""

MIN_PICTURE_SIDE = 16
"""Pictures with a shorter side, pixels, cannot hold a face."""

_FULL_PRECISION = {"PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_III"}


class Video(NamedTuple):
    """A film: ``frames`` uint8 RGB (T, H, W, 3), ``fps``, ``speech`` float32 (n,) at 16 kHz or None."""

    frames: np.ndarray
    fps: float
    speech: np.ndarray | None


def read_speech(path: str | os.PathLike, *, convert: bool = False) -> np.ndarray:
    """Read a recording of speech: 16 kHz, mono, 16 bits or more.

    Parameters
    ----------
    path:
        WAV, FLAC, OGG or MP3.
    convert:
        True accepts any sampling rate, number of channels and 8-bit samples: channels are averaged and the
        sound is resampled (soxr, high quality). False refuses them: a silent conversion hides a mistake.

    Returns
    -------
    numpy.ndarray
        float32 ``(n,)`` in [-1, 1] at 16 kHz.

    Raises
    ------
    InputError
        When the file is missing, not sound, cut short, shorter than one frame (40 ms), holds NaN, is silent
        (peak below -60 dBFS), or is in another format and ``convert`` is False.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a sound file (WAV, FLAC, OGG or MP3)")
    if path.stat().st_size == 0:
        raise InputError(path, "an empty file", "a sound file (WAV, FLAC, OGG or MP3)")
    _refuse_truncated_riff(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, subtype, declared = file.samplerate, file.channels, file.subtype, file.frames
            if not convert:
                _refuse_other_formats(path, rate, channels, subtype)
            sound = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise InputError(path, f"unreadable sound ({error})", "a WAV, FLAC, OGG or MP3 file") from error
    if len(sound) < declared and path.suffix.lower() != ".mp3":  # an MP3's header only estimates its length
        raise InputError(path, f"{len(sound)} of {declared} samples", "a file that is not cut short")
    if len(sound) == 0:
        raise InputError(path, "0 samples", "at least one frame of sound (40 ms)")
    if not np.isfinite(sound).all():
        raise InputError(
            path, f"{int((~np.isfinite(sound)).sum())} samples that are NaN or infinite", "finite samples"
        )
    mono = sound.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    if len(mono) < SAMPLES_PER_FRAME:
        raise InputError(
            path, f"{len(mono) / SAMPLE_RATE * 1000:.0f} ms of sound", "at least one frame (40 ms)"
        )
    peak = float(np.abs(mono).max())
    if peak < SILENCE_PEAK:
        raise InputError(
            path, f"silence (peak {peak:.2g})", f"speech with a peak of at least {SILENCE_PEAK:g}"
        )
    return np.clip(mono, -1, 1).astype(np.float32)


def write_speech(path: str | os.PathLike, speech: np.ndarray) -> Path:
    """Write float ``(n,)`` in [-1, 1] at 16 kHz as a 16-bit mono WAV."""
    return write_atomically(path, _wav(speech))


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a picture, upright as its EXIF orientation says.

    Its content, not its name, decides what it is: one of :data:`PICTURE_FORMATS`, or refused. Of several
    pictures in one file the first is read.

    Returns
    -------
    numpy.ndarray
        uint8 RGB ``(H, W, 3)``.

    Raises
    ------
    InputError
        When the file is missing, is not a picture of these formats, or its shorter side is under 16 px.
    """
    path = Path(path)
    Image.init()  # Pillow learns of its less common formats only when asked
    known = [name for name in PICTURE_FORMATS if name in Image.OPEN]
    expected = f"a picture ({', '.join(known)})"
    if not path.is_file():
        raise InputError(path, "no such file", expected)
    try:
        with path.open("rb") as file, Image.open(file, formats=known) as picture:
            image = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except UnidentifiedImageError as error:
        raise InputError(path, "a file of another kind", expected) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(path, f"an unreadable picture ({reason})", expected) from error
    if min(image.shape[:2]) < MIN_PICTURE_SIDE:
        height, width = image.shape[:2]
        raise InputError(
            path, f"a picture of {width}x{height} pixels", f"at least {MIN_PICTURE_SIDE} on each side"
        )
    return np.ascontiguousarray(image)


def write_image(path: str | os.PathLike, image: np.ndarray) -> Path:
    """Write uint8 RGB ``(H, W, 3)`` as the kind of picture that the file's name ends with."""
    path = Path(path)
    content = io.BytesIO()
    iio.imwrite(content, image, plugin="pillow", extension=path.suffix or ".png")
    return write_atomically(path, content.getvalue())


def read_video(path: str | os.PathLike) -> Video:
    """Read a whole video file: every frame as stored, and its sound as 16 kHz mono.

    Only plain local files are opened: no playlist, address or other file that the video names.

    Returns
    -------
    Video
        ``frames`` uint8 RGB (T, H, W, 3); ``fps`` as the file states it; ``speech`` float32 (n,) or None.

    Raises
    ------
    InputError
        When the file is missing or holds no picture that can be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a video file")
    only_local = ["-protocol_whitelist", "file", "-format_whitelist", ",".join(CONTAINERS)]
    try:
        reader = imageio_ffmpeg.read_frames(str(path.resolve()), input_params=only_local)
        about = next(reader)
        width, height = about["size"]
        pictures = [np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader]
    except (OSError, RuntimeError, StopIteration, KeyError, ValueError) as error:
        raise InputError(path, "a file without a readable picture", "a video file") from error
    if not pictures:
        raise InputError(path, "a video of 0 frames", "at least 1 frame")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *only_local, "-i", str(path.resolve())]
    command += ["-vn", "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "pipe:1"]
    decoded = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).stdout
    speech = np.clip(np.frombuffer(decoded, np.float32), -1, 1) if decoded else None
    return Video(np.stack(pictures), float(about["fps"]), speech)


def write_video(
    path: str | os.PathLike,
    frames: Iterable[np.ndarray],
    speech: np.ndarray | None = None,
    **options: Any,
) -> Path:
    """Write an MP4 that every browser plays: H.264 (yuv420p) and AAC, index at the front.

    Parameters
    ----------
    path:
        Where to; it appears only once it is whole.
    frames:
        uint8 RGB ``(T, H, W, 3)`` or any iterable of ``(H, W, 3)``; frames are taken one by one, so a
        generator keeps memory bounded. A side of odd length is padded by one pixel.
    speech, **options:
        As for :func:`write_videos`.

    Raises
    ------
    InputError
        When there is no frame, frames change size, or the encoder refuses (for example a full disk).
    """
    return write_videos([path], ((frame,) for frame in frames), speech, **options)[0]


def write_videos(
    paths: Sequence[str | os.PathLike],
    frames: Iterable[Sequence[np.ndarray]],
    speech: np.ndarray | None = None,
    *,
    fps: float = FRAMES_PER_SECOND,
    quality: int = 18,
    metadata: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write several films of one length and one sound at once, as :func:`write_video` writes one.

    Parameters
    ----------
    paths:
        Where to; all appear once all are whole.
    frames:
        The next frame of each film, uint8 RGB ``(H, W, 3)``, T times.
    speech:
        float ``(n,)`` in [-1, 1] at 16 kHz, or None for silent films.
    fps:
        Frames per second.
    quality:
        H.264 constant rate factor, 0 (lossless) to 51; 18 is visually lossless.
    metadata:
        Text for the container, for example ``{"title": ..., "comment": ...}``.

    Raises
    ------
    InputError
        As :func:`write_video`.
    """
    frames = iter(frames)
    try:
        first = next(frames)
    except StopIteration:
        raise InputError("frames", "0 frames", "at least 1 frame") from None
    paths, encoders = [Path(path) for path in paths], []
    with ExitStack() as stack:
        for path, frame in zip(paths, first, strict=True):
            encoder = _Encoder(path, frame, speech, fps, quality, metadata or {})
            encoders.append(stack.enter_context(encoder))
        for pictures in chain([first], frames):
            for encoder, frame in zip(encoders, pictures, strict=True):
                encoder.write(frame)
        for encoder in encoders:
            encoder.finish()
        for encoder in encoders:
            encoder.publish()
    return paths


class _Encoder:
    """One film that is being written, beside its place."""

    def __init__(
        self,
        path: Path,
        first: np.ndarray,
        speech: np.ndarray | None,
        fps: float,
        quality: int,
        metadata: Mapping[str, str],
    ) -> None:
        if first.ndim != 3 or first.shape[2] != 3 or first.dtype != np.uint8:
            raise InputError("frames", f"{first.dtype} {first.shape}", "uint8 (H, W, 3)")
        self.path, self.shape, self.speech = path, first.shape, speech
        self.options, self.metadata = (fps, quality), metadata

    def __enter__(self) -> Self:
        height, width, _ = self.shape
        fps, quality = self.options
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(
            prefix=f".{self.path.stem}.", suffix=".part", dir=self.path.parent
        )
        self._part = Path(self._folder.name) / "video.mp4"
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
        ]
        command += ["-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "pipe:0"]
        if self.speech is not None:
            sound = Path(self._folder.name) / "sound.wav"
            sound.write_bytes(_wav(self.speech))
            command += ["-i", str(sound), "-c:a", "aac", "-b:a", "96k"]
        command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
        command += ["-crf", str(quality), "-preset", "veryfast", "-threads", "2", "-movflags", "+faststart"]
        for key, value in self.metadata.items():
            command += ["-metadata", f"{key}={value}"]
        command.append(str(self._part))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stderr):
            with suppress(OSError):
                stream.close()
        self._folder.cleanup()

    def write(self, frame: np.ndarray) -> None:
        if frame.shape != self.shape or frame.dtype != np.uint8:
            expected = f"uint8 {self.shape} like the first"
            raise InputError("frames", f"{frame.dtype} {frame.shape}", expected)
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).tobytes())
        except BrokenPipeError:
            self.finish()  # the encoder gave up; what it says on its error stream is the reason

    def finish(self) -> None:
        _, errors = self._process.communicate()
        if self._process.returncode:
            said = errors.decode(errors="replace").strip().splitlines()
            problem = said[-1] if said else f"encoder exit {self._process.returncode}"
            raise InputError(self.path, problem, "a place to write an MP4")

    def publish(self) -> None:
        os.replace(self._part, self.path)


def _wav(speech: np.ndarray) -> bytes:
    if speech.ndim != 1 or not np.isfinite(speech).all():
        raise InputError("speech", f"{speech.dtype} {speech.shape}", "finite samples, shape (n,)")
    content = io.BytesIO()
    soundfile.write(content, np.clip(speech, -1, 1), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return content.getvalue()


def _refuse_other_formats(path: Path, rate: int, channels: int, subtype: str) -> None:
    found = []
    if rate != SAMPLE_RATE:
        found.append(f"{rate} Hz")
    if channels != 1:
        found.append("stereo" if channels == 2 else f"{channels} channels")
    if subtype not in _FULL_PRECISION:
        found.append("8-bit samples" if subtype in ("PCM_U8", "PCM_S8") else f"{subtype} samples")
    if found:
        raise InputError(
            path, ", ".join(found), f"{SAMPLE_RATE} Hz mono, 16 bits or more (--convert converts it)"
        )


def _refuse_truncated_riff(path: Path) -> None:
    """A WAV states its length twice; libsndfile believes the file's end instead, so a cut file would pass."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != b"RIFF":
            return
        while len(chunk := file.read(8)) == 8:
            length = struct.unpack("<I", chunk[4:])[0]
            missing = file.tell() + length - size
            # 0 and 0xFFFFFFFF are what a streaming writer leaves where it could not know the length
            if chunk[:4] == b"data" and missing > 0 and length not in (0, 0xFFFFFFFF):
                raise InputError(
                    path, f"a file {missing} bytes short of its header", "a file that is not cut short"
                )
            file.seek(length + length % 2, os.SEEK_CUR)
