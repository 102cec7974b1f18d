"""A video file to pictures and sound on the one clock: 25 frames/s and 16 kHz mono, by time stamps.

Frame ``t`` is the picture that the film shows at ``(t + 1/2) * 40 ms`` after the file's zero, which is where
the earlier of picture and sound begins. Sound counts from the same zero.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError
from talkface_lite.faces.detection import SMALLEST_FACE
from talkface_lite.media import CONTAINERS
from talkface_lite.recordings.ffmpeg import Ffmpeg

LONGEST_S = 3600
"""Longer films are refused, seconds: a wrong time stamp would otherwise ask for years of frames."""

MAX_SIDE = 8192
"""Longest side of a picture, pixels: a longer one strains the memory."""

TOLERATED_END_S = 0.1
"""A container states its length to about a frame of picture and a packet of sound; less is not missing."""

_BLOCK = 1 << 20


class Film:
    """One local video file on the clock of a :class:`~talkface_lite.clip.Clip`.

    The file is handed to ffmpeg as an open file, and ffmpeg may open nothing else: no address, no playlist,
    no other file that this one names. Its name plays no part.

    Parameters
    ----------
    path:
        The file. Links are followed.

    Attributes
    ----------
    width, height:
        Size of the frames in pixels: upright (a phone's rotation flag is obeyed) and with square pixels.
    facts:
        From the start: ``codec``; ``rotation`` (degrees clockwise that the flag asked for); ``stated_fps``
        and ``seconds_stated`` (of the container; None where it does not say); ``picture_late_s`` (the picture
        begins so long after the sound: until then, its first frame stands); ``sound`` (whether there is a
        track). Once :meth:`frames` has run to its end, also ``n_frames``; ``frames_in`` (decoded),
        ``dropped`` and ``doubled`` (to get to 25 frames/s); ``decode_errors``; ``missing_s`` (the container
        promised so much more). Once :meth:`speech` has run, ``bad_samples`` (were NaN or infinite).

    Raises
    ------
    InputError
        When the file is missing, cannot be read, is empty or not a plain file, is not a video in one of
        :data:`~talkface_lite.media.CONTAINERS`, has no picture that can be decoded, is longer than 60
        minutes, or has a side under 40 or over 8192 pixels.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._name = os.fsencode(path).decode("utf-8", "backslashreplace")
        self.facts: dict[str, object] = {}
        self.width, self.height = self._probe()

    def frames(self) -> Iterator[np.ndarray]:
        """The picture at 25 frames/s, one frame at a time.

        Interlaced frames are deinterlaced. A picture that changes size on the way is brought to the size it
        began with. Where the film stands still for longer than 40 ms, the last frame is given again. Each
        call begins from the start and gives the same frames. Closing the iterator ends ffmpeg.

        Yields
        ------
        numpy.ndarray
            uint8 RGB ``(height, width, 3)``; each its own memory.

        Raises
        ------
        InputError
            When nothing can be decoded, ffmpeg stalls or crashes, or there are over 60 minutes of frames.
        """
        # scale comes first so that a change of size is seen by it alone: with filters made anew, fps would
        # count from zero again
        filters = (
            f"scale=w={self.width}:h={self.height},bwdif=deint=interlaced"
            f",fps={FRAMES_PER_SECOND}:start_time=0,format=rgb24"
        )
        picture = ["-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough", "-c:v", "rawvideo"]
        n_frames = 0
        with self._ffmpeg(["-reinit_filter", "0"], [*picture, "-f", "rawvideo", "pipe:1"]) as ffmpeg:
            while True:
                frame = np.empty((self.height, self.width, 3), np.uint8)
                if ffmpeg.read_into(memoryview(frame).cast("B")) < frame.nbytes:
                    break
                if n_frames == LONGEST_S * FRAMES_PER_SECOND:
                    raise self._too_long(f"more than {LONGEST_S // 60} minutes of frames")
                n_frames += 1
                yield frame
            log = ffmpeg.end()
        if not n_frames:
            raise InputError(self._name, f"no frame that can be decoded ({_reason(log)})", "a video file")
        self.facts.update(_counts(log, n_frames), n_frames=n_frames)
        self.facts["missing_s"] = self._missing(n_frames / FRAMES_PER_SECOND, log)

    def speech(self) -> np.ndarray | None:
        """The first sound track at 16 kHz, from the zero of the picture.

        Channels are averaged. Sound that starts late is preceded by silence; holes of more than 20 ms are
        filled with silence, and so kept in step with the picture.

        Returns
        -------
        numpy.ndarray | None
            float32 ``(n,)``, clipped to [-1, 1], with 0 for samples that are NaN or infinite. None where
            there is no track, or an empty one.

        Raises
        ------
        InputError
            When the sound cannot be decoded, is longer than 60 minutes, or changes its sampling rate or
            channels on the way (its time would be lost).
        """
        if not self.facts["sound"]:
            return None
        sound = bytearray()
        log = self._read_sound(sound.extend)[1]
        if not sound:
            if re.search(r"Input stream #\S+ \(audio\): 0 packets read", log):
                return None
            raise InputError(self._name, f"sound that cannot be decoded ({_reason(log)})", "sound or none")
        speech = np.frombuffer(sound, np.float32, len(sound) // 4)
        bad = ~np.isfinite(speech)
        speech[bad] = 0
        self.facts["bad_samples"] = int(bad.sum())
        return np.clip(speech, -1, 1, out=speech)

    def _read_sound(self, take: Callable[[bytes], object]) -> tuple[int, str]:
        """Hand float32 samples, as blocks of bytes, to ``take``; gives their number and the log."""
        # rematrix_maxval: without it, floating-point stereo is added up with 0.71 each, which clips
        # min_hard_comp: a time stamp may be off by half a frame before silence is put in or sound is cut
        filters = (
            f"aresample={SAMPLE_RATE}:async=1:first_pts=0:min_hard_comp=0.02"
            ":rematrix_maxval=1:ochl=mono:osf=flt"
        )
        sound = ["-map", "0:a:0", "-af", filters, "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"]
        n_samples = 0
        with self._ffmpeg([], sound) as ffmpeg:
            while block := ffmpeg.read(_BLOCK):
                take(block)
                n_samples += len(block) // 4
                if n_samples > SAMPLE_RATE * (LONGEST_S + 1):
                    raise self._too_long(f"more than {LONGEST_S // 60} minutes of sound")
            log = ffmpeg.end()
        if "Reconfiguring filter graph because audio" in log:
            # the filters were made anew, and their time began again at zero
            raise InputError(
                self._name,
                "sound that changes its sampling rate or channels on the way",
                "one format throughout; convert it first",
            )
        return n_samples, log

    def _probe(self) -> tuple[int, int]:
        """Decode one frame; fills in the facts and returns width and height."""
        square = "showinfo,scale=w=max(1\\,round(iw*sar)):h=ih"
        first = ["-map", "0:V:0", "-vf", square, "-frames:v", "1", "-c:v", "ppm"]
        first += ["-f", "image2pipe", "pipe:1"]
        with self._ffmpeg([], first, more=["-frames:v", "1", "-frames:a", "1"], level="info") as ffmpeg:
            picture = ffmpeg.read(_BLOCK)
            while ffmpeg.read(_BLOCK):
                pass
            log = ffmpeg.end()
        header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+\d+\s", picture)
        if header is None:
            raise InputError(self._name, _why_not(log), "a video file")
        self.facts.update(_about(self._name, log))
        width, height = int(header[1]), int(header[2])
        if min(width, height) < SMALLEST_FACE or max(width, height) > MAX_SIDE:
            raise InputError(
                self._name,
                f"a picture of {width}x{height} pixels",
                f"sides of {SMALLEST_FACE} to {MAX_SIDE} pixels",
            )
        seconds = self.facts["seconds_stated"]
        if seconds is not None and seconds > LONGEST_S:
            raise self._too_long(f"{seconds / 60:.0f} minutes")
        return width, height

    def _missing(self, seconds: float, log: str) -> float:
        stated = self.facts["seconds_stated"]
        if stated is None or stated - seconds < TOLERATED_END_S:
            return 0.0
        if self.facts["sound"] and "partial file" not in log:
            # the stated length is that of the longest track, and sound may outlast the picture
            with contextlib.suppress(InputError):
                seconds = max(seconds, self._read_sound(len)[0] / SAMPLE_RATE)
        missing = stated - seconds
        return round(missing, 3) if missing >= TOLERATED_END_S else 0.0

    def _too_long(self, got: str) -> InputError:
        return InputError(self._name, got, f"at most {LONGEST_S // 60} minutes")

    def _ffmpeg(
        self, before: list[str], output: list[str], *, more: list[str] | None = None, level: str = "verbose"
    ) -> Ffmpeg:
        # fd: is the file that is open as standard input; with no other protocol allowed, nothing else can be
        # opened, whatever the file says
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", "-v", level]
        command += ["-protocol_whitelist", "fd", "-format_whitelist", ",".join(CONTAINERS)]
        command += ["-threads", "1", "-filter_threads", "1", "-max_pixels", str(MAX_SIDE**2), *before]
        # an MPEG stream does not list its tracks: without a long look, sound that starts late goes unseen
        command += ["-analyzeduration", "60M", "-probesize", "50M", "-i", "fd:", *output]
        if more is not None or self.facts["sound"]:
            # in MPEG streams, zero is where the first track *in use* begins: both are used in every run
            command += ["-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", *(more or []), "-f", "null", "-"]
        return Ffmpeg(self._name, self._open(), command)

    def _open(self) -> int:
        """A descriptor of the file, known to be a plain one; a pipe or a device is never waited for."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        wanted = "a video file"
        try:
            file = os.open(self.path, flags)
        except FileNotFoundError:
            raise InputError(self._name, "no such file", wanted) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(self._name, f"a file that cannot be opened ({reason})", wanted) from error
        about = os.fstat(file)
        if stat.S_ISREG(about.st_mode) and about.st_size > 0:
            return file
        os.close(file)
        if stat.S_ISDIR(about.st_mode):
            raise InputError(self._name, "a folder", wanted)
        raise InputError(
            self._name, "an empty file" if stat.S_ISREG(about.st_mode) else "a pipe or a device", wanted
        )


def fit_speech(speech: np.ndarray | None, n_frames: int) -> tuple[np.ndarray, float]:
    """Make sound as long as the picture, at its end.

    Parameters
    ----------
    speech:
        float ``(n,)`` at 16 kHz, or None for no sound.
    n_frames:
        Length of the picture, frames.

    Returns
    -------
    tuple[numpy.ndarray, float]
        float32 ``(640 * n_frames,)`` and the seconds of silence that were added (> 0) or of sound that were
        cut off (< 0).

    Examples
    --------
    >>> fitted, added = fit_speech(np.zeros(600, np.float32), 1)
    >>> len(fitted), added
    (640, 0.0025)
    """
    wanted = SAMPLES_PER_FRAME * n_frames
    fitted = np.zeros(wanted, np.float32)
    n_given = 0 if speech is None else len(speech)
    if speech is not None:
        fitted[: min(n_given, wanted)] = speech[:wanted]
    return fitted, (wanted - n_given) / SAMPLE_RATE


def _about(name: str, log: str) -> dict[str, object]:
    """What ffmpeg says of the file before it decodes."""
    # text from inside the file is indented further than these lines, so it cannot pass for one of them
    source, _, rest = log.partition("\nStream mapping:\n")
    mapped = re.match(r"  Stream #0:(\d+) -> #0:0 \((\w+)", rest)
    stream = mapped and re.search(rf"^  Stream #0:{mapped[1]}\b.*(?:\n {{4,}}.*)*", source, re.M)
    if not stream:
        raise InputError(name, "a file whose tracks ffmpeg does not describe", "a video file")
    told = stream[0]
    fps = re.search(r", ([\d.]+)(k?) fps", told.split("\n")[0])
    turned = re.search(r"^ {6}display ?matrix: rotation of (-?[\d.]+) degrees", told, re.M | re.I)
    length = re.search(r"^  Duration: (\d+):(\d+):(\d+\.\d+)", source, re.M)
    late = re.search(r"Parsed_showinfo.* n: +0 .*pts_time: *(-?[\d.]+)", rest)
    hours, minutes, seconds = (float(part) for part in length.groups()) if length else (0.0, 0.0, 0.0)
    return {
        "codec": mapped[2],
        "rotation": round(-float(turned[1])) % 360 if turned else 0,
        "stated_fps": float(fps[1]) * (1000 if fps[2] else 1) if fps else None,
        "seconds_stated": 3600 * hours + 60 * minutes + seconds if length else None,
        "picture_late_s": max(0.0, round(float(late[1]), 3)) if late else 0.0,
        "sound": re.search(r"^  Stream #0:\d+\S*: Audio: ", source, re.M) is not None,
    }


def _counts(log: str, n_frames: int) -> dict[str, int]:
    """How many frames were decoded, dropped and doubled."""
    told = re.findall(
        r"(\d+) frames in, (\d+) frames out; (\d+) frames dropped, (\d+) frames duplicated", log
    )
    frames_in, _, dropped, doubled = map(int, told[-1]) if told else (n_frames, n_frames, 0, 0)
    errors = re.findall(r"\(video\): .*; (\d+) decode errors", log)
    return {
        "frames_in": frames_in,
        "dropped": dropped,
        "doubled": doubled,
        "decode_errors": int(errors[-1]) if errors else 0,
    }


def _why_not(log: str) -> str:
    """Why there was not one frame."""
    if "matches no streams" in log:
        return "a file without a picture track"
    if "\nStream mapping:\n" in log:
        return f"a picture that cannot be decoded ({_reason(log)})"
    return "a file that is not a video in a known container, or not a whole one"


def _reason(log: str) -> str:
    """ffmpeg's last complaint, without the addresses of its parts."""
    lines = [re.sub(r"^(\[[^]]*\] *)+", "", line).strip() for line in log.splitlines()]
    complaints = [line for line in lines if re.search("error|invalid|not |no ", line, re.I)]
    return complaints[-1][:120] if complaints else "ffmpeg gives no reason"
