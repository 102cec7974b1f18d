"""Films made on the spot, most of them strange: what each one shows and sounds at any time is known."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

LUMA_PER_SECOND = 100
"""A clock film's brightness (Y, from 16) rises so much a second: up to 2.1 s can be told."""

FLASH_S = 0.4
"""In a flash film, picture and sound flash and click at this part of every second, for 40 ms."""

CLOCK = f"geq=lum=16.5+{LUMA_PER_SECOND}*T:cb=128:cr=128"


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg; raises when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def clock_film(
    path: Path,
    *output: object,
    seconds: float = 2.0,
    rate: str = "25",
    size: str = "64x48",
    filters: str = "",
    sound: str | None = None,
) -> Path:
    """A grey film whose brightness is the time; ``sound`` is a formula in ``t`` (48 kHz), None for none."""
    picture = f"color=black:s={size}:r={rate}:d={seconds},{CLOCK}" + (f",{filters}" if filters else "")
    inputs = ["-f", "lavfi", "-i", picture]
    if sound is not None:
        inputs += ["-f", "lavfi", "-i", f"aevalsrc='{sound}':s=48000:d={seconds}"]
    ffmpeg(*inputs, *(output or ["-c:v", "libx264", "-pix_fmt", "yuv420p"]), path)
    return path


def clock_times(frames: list[np.ndarray]) -> np.ndarray:
    """float64 (n,): the time, seconds, that each frame of a clock film shows; good to about 10 ms."""
    level = np.array([frame.mean() for frame in frames])
    return (level + 0.5) * 219 / 255 / LUMA_PER_SECOND


def flash_film(
    path: Path, *, late_picture: float = 0.0, late_sound: float = 0.0, seconds: float = 3.0
) -> Path:
    """White for a frame, and a click of 1 kHz, 0.4 s into each second of the file, whichever begins late.

    Both delays must be whole frames.
    """
    video, audio = ("mpeg2video", "mp2") if path.suffix == ".mpg" else ("libx264", "aac")
    flash = f"between(mod(T+{late_picture}+0.001,1),{FLASH_S},{FLASH_S + 0.04})"
    click = f"between(mod(t+{late_sound},1),{FLASH_S},{FLASH_S + 0.04})"
    picture = f"color=black:s=64x48:r=25:d={seconds - late_picture},geq=lum='16+219*{flash}':cb=128:cr=128"
    sound = f"aevalsrc='{click}*sin(2*PI*1000*t)':s=48000:d={seconds - late_sound}"
    inputs = ["-itsoffset", late_picture, "-f", "lavfi", "-i", picture]
    inputs += ["-itsoffset", late_sound, "-f", "lavfi", "-i", sound]
    ffmpeg(*inputs, "-fps_mode", "passthrough", "-c:v", video, "-c:a", audio, "-pix_fmt", "yuv420p", path)
    return path


def flash_times(frames: list[np.ndarray]) -> np.ndarray:
    """float64 (n,): where white begins, seconds from the first frame."""
    white = np.array([frame.mean() > 128 for frame in frames])
    return np.flatnonzero(white & ~np.r_[False, white[:-1]]) / 25


def click_times(speech: np.ndarray) -> np.ndarray:
    """float64 (n,): where clicks begin, seconds from the first sample."""
    loud = np.flatnonzero(np.abs(speech) > 0.3)
    return loud[np.r_[True, np.diff(loud) > 1600]] / 16000


def turned_film(path: Path, degrees: int) -> Path:
    """A film as a phone stores it: 96x64 pixels, and a flag that says to turn it ``degrees`` clockwise.

    Once upright, it is red at the upper left, green at the upper right and blue below.
    """
    upright = (64, 96) if degrees in (90, 270) else (96, 64)
    width, height = upright
    picture = (
        f"color=blue:s={width}x{height}:r=25:d=0.4"
        f",drawbox=0:0:{width // 2}:{height // 2}:red:fill"
        f",drawbox={width // 2}:0:{width}:{height // 2}:lime:fill"
    )
    back = {0: "null", 90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}[degrees]
    stored = path.with_name("stored-" + path.name)
    ffmpeg("-f", "lavfi", "-i", f"{picture},{back}", "-c:v", "libx264", "-pix_fmt", "yuv420p", stored)
    ffmpeg("-display_rotation", -degrees, "-i", stored, "-c", "copy", path)
    stored.unlink()
    return path


def cut_short(path: Path, out: Path, share: float) -> Path:
    """The first ``share`` of the bytes of a film."""
    content = path.read_bytes()
    out.write_bytes(content[: int(len(content) * share)])
    return out


def damaged(path: Path, out: Path, seed: int, share: float = 0.02) -> Path:
    """A film with random bytes in ``share`` of its places, its first 200 bytes left whole."""
    rng = np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = rng.integers(200, len(content), max(1, int(len(content) * share)))
    content[places] = rng.integers(0, 256, len(places))
    out.write_bytes(content.tobytes())
    return out
