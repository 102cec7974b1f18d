"""What the commands of ``talkface`` share."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from talkface_lite.errors import InputError

BAR: Mapping[str, Any] = MappingProxyType({"file": None, "leave": False, "mininterval": 0.5, "disable": None})
"""Settings of progress bars: on standard error, gone when done, and only for people (a terminal)."""


def say(arguments: argparse.Namespace, text: str) -> None:
    """A line for people: on standard output, unless that is to hold JSON."""
    print(text, file=sys.stderr if arguments.json else sys.stdout)


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[None]:
    """Take back the folders that were made for a file that then could not be written."""
    made = [folder for folder in out.parents if not folder.exists()]
    try:
        yield
    except BaseException as error:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError):
            raise InputError(out, error.strerror or error, "room and leave to write it") from error
        raise


def settings_of(arguments: argparse.Namespace) -> Any:
    """The named system's own settings, as far as they were typed."""
    from talkface_lite.flags import chosen
    from talkface_lite.systems import system_class

    return system_class(arguments.system).settings_class(**chosen(arguments, arguments.flags))
