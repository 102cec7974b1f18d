"""Files that appear whole or not at all, tensors with a text beside them, folders that one process holds."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError, safe_open

from talkface_lite.errors import InputError


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A file to write into that appears under its name whole, or not at all.

    Even if the disk fills or the process dies: what is written lies under another name in the same folder
    until all of it is on the disk. The folder is made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: str | os.PathLike, content: bytes) -> Path:
    """Write bytes to a file that appears whole or not at all, see :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(content)
    return Path(path)


def write_json(path: str | os.PathLike, content: Mapping[str, Any]) -> Path:
    """Write a mapping as indented JSON, whole or not at all."""
    return write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def write_tensors(
    path: str | os.PathLike, tensors: Mapping[str, Any], about: Mapping[str, Any], *, key: str, text: str
) -> Path:
    """Write arrays or tensors, and what they are, to one file without pickle (safetensors).

    Equal content gives equal bytes: what they are is one text under one key, since safetensors keeps several
    keys in no fixed order.

    Parameters
    ----------
    path:
        Where to.
    tensors:
        numpy arrays, or torch tensors on any device.
    about:
        What JSON can hold.
    key:
        The name of the text in the file.
    text:
        Name and number of the format.
    """
    metadata = {key: json.dumps({"format": text, **about}, sort_keys=True)}
    if all(hasattr(value, "__array_interface__") for value in tensors.values()):
        import numpy as np
        from safetensors.numpy import save

        return write_atomically(
            path, save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, metadata)
        )
    from safetensors.torch import save

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return write_atomically(path, save(plain, metadata))


def read_tensors(
    path: str | os.PathLike,
    *,
    key: str,
    text: str,
    what: str,
    framework: str = "np",
    wanted: Callable[[str], bool] = lambda name: True,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What :func:`write_tensors` wrote: the mapping and the tensors by name.

    Parameters
    ----------
    path, key, text:
        As they were written.
    what:
        What is expected, for people: "a clip file".
    framework:
        ``"np"`` for numpy arrays, ``"pt"`` for torch tensors.
    wanted:
        Which names to read.

    Raises
    ------
    InputError
        When the file is missing, is not such a file, or is of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", what)
    try:
        with safe_open(path, framework=framework) as file:
            about = json.loads((file.metadata() or {}).get(key, "{}"))
            if not isinstance(about, dict) or about.get("format") != text:
                raise InputError(path, "a file of another kind", f"'{text}'")
            names = [name for name in file.keys() if wanted(name)]  # noqa: SIM118 - not a dict
            return about, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise InputError(path, f"an unreadable file ({error})", what) from error


@contextmanager
def held(folder: str | os.PathLike, who: str) -> Iterator[Path]:
    """Have a folder for oneself: a second process that asks for it is refused.

    The folder is made where it is missing, and ``.lock`` lies in it as long as it is held. A process that
    dies, however rudely, holds it no longer. A folder that was made goes again if an error leaves it empty.

    Parameters
    ----------
    folder:
        Which.
    who:
        What the other process is, for people: "another preparation".

    Raises
    ------
    InputError
        When another process holds it, or it is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "a file", "a folder")
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        with _locked(folder, who):
            yield folder
    except BaseException:
        for one in made:
            if one.is_dir() and not any(one.iterdir()):
                one.rmdir()
        raise


@contextmanager
def _locked(folder: Path, who: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("a") as lock:
        try:
            import fcntl
        except ImportError:  # Windows, where two at once are not kept apart
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(folder, f"{who} at work in it", "one at a time") from None
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(lock.fileno())):
            # who held it took the file away between opening and locking: a third may have made it anew
            raise InputError(folder, f"{who} that ends just now", "one at a time; try again")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
