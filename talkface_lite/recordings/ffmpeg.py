"""One running ffmpeg: it never outlives the block that reads from it, and never hangs it."""

import os
import re
import subprocess
import tempfile
import threading
import time
from typing import Self

import imageio_ffmpeg

from talkface_lite.errors import InputError

STALL_S = 60.0
"""An ffmpeg that gives nothing for so long is killed, seconds; one 8192-pixel frame takes about one."""

OLDEST = 9
"""The oldest ffmpeg, its major version, on which the decoding of films is tested."""

_LOG_BYTES = 1 << 23


def check_ffmpeg() -> None:
    """Make sure that the ffmpeg of this machine is new enough.

    Builds between two versions, such as ``N-118193-g5f38c82536``, do not say how new they are; they pass.

    Raises
    ------
    InputError
        When there is no ffmpeg that runs, or it is older than version 9.
    """
    expected = f"ffmpeg {OLDEST} or newer (pip install 'imageio-ffmpeg>=0.8')"
    try:
        version = imageio_ffmpeg.get_ffmpeg_version()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        raise InputError("ffmpeg", "none that runs", expected) from error
    # n9.0.2-17-g2a571b6068, 7.0.2-static, 5.1.6-0+deb12u1; a commit or a date has no dot
    numbered = re.match(r"n?(\d+)\.", version)
    if numbered and int(numbered[1]) < OLDEST:
        raise InputError("ffmpeg", f"version {version}", expected)


class Ffmpeg:
    """One running ffmpeg, to be used in a ``with`` block, at whose end it is dead.

    Parameters
    ----------
    name:
        What the errors speak of.
    file:
        Descriptor of the open file that ffmpeg gets as its standard input; closed here.
    command:
        The command; what it writes to standard output is read with :meth:`read`.
    """

    def __init__(self, name: str, file: int, command: list[str]) -> None:
        self.name, self.stalled = name, False
        self._done, self._waiting_since = threading.Event(), None
        environment = {key: value for key, value in os.environ.items() if key != "FFREPORT"}
        try:
            # a file for the log, not a pipe: a pipe that nobody empties stops ffmpeg
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
            self.process = subprocess.Popen(
                command, stdin=file, stdout=subprocess.PIPE, stderr=self._log, bufsize=0, env=environment
            )
        finally:
            os.close(file)
        self._watchdog = threading.Thread(target=self._watch, name="ffmpeg watchdog", daemon=True)
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._watchdog.join()
        self._log.close()

    def read_into(self, memory: memoryview) -> int:
        """Fill ``memory``; fewer bytes than its length only where the output ends."""
        n_read = 0
        self._waiting_since = time.monotonic()
        while n_read < len(memory) and (got := self.process.stdout.readinto(memory[n_read:])):
            n_read += got
            self._waiting_since = time.monotonic()
        self._waiting_since = None
        return n_read

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only where the output ends."""
        memory = bytearray(size)
        return bytes(memory[: self.read_into(memoryview(memory))])

    def end(self) -> str:
        """Wait for the end.

        Returns
        -------
        str
            ffmpeg's log; its beginning and its end where it is over 16 MB.

        Raises
        ------
        InputError
            When ffmpeg was killed because it stood still, or crashed.
        """
        try:
            code = self.process.wait(STALL_S)
        except subprocess.TimeoutExpired:
            self.stalled = True
        if self.stalled:
            raise InputError(
                self.name, f"a film on which ffmpeg stands still for {STALL_S:g} s", "a whole video file"
            )
        if code < 0:
            raise InputError(self.name, f"a film on which ffmpeg crashes (signal {-code})", "a video file")
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(0)
        log = self._log.read(min(size, _LOG_BYTES))
        if size > _LOG_BYTES:
            self._log.seek(max(_LOG_BYTES, size - _LOG_BYTES))
            log += b"\n" + self._log.read(_LOG_BYTES)
        return log.decode("utf-8", "replace")

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, STALL_S / 4)):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > STALL_S:
                self.stalled = True
                self.process.kill()
                return
