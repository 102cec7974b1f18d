"""Talking-face generation you can read, run and check.

The package behind the executable book: a corpus with known truth, speech and shape features, and the
systems of the papers. Start with :class:`talkface_lite.clip.Clip`, the one record everything takes.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("talkface_lite")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"


def __getattr__(name: str):
    if name == "Talker":
        from talkface_lite.talking.talker import Talker

        return Talker
    if name == "Clip":
        from talkface_lite.clip import Clip

        return Clip
    raise AttributeError(f"module 'talkface_lite' has no attribute {name!r}")
