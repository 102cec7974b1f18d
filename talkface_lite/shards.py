"""Clips by the hundred in one file: WebDataset shards, which any tar program and numpy can read.

A shard is a plain, uncompressed tar file. The clip with the key ``KEY`` is a group of neighbouring members:

- ``KEY.json``: ``format``, ``key``, ``identity``, ``source``, ``words``, ``phonemes``, ``framing`` if not
  ``"aligned"``; under ``arrays`` the ``dtype``, ``shape`` and ``sha256`` (as ``sha256sum`` gives it) of each
  member below; and ``sha256`` of this record without it, as ``json.dumps(record, sort_keys=True)`` writes it;
- ``KEY.landmarks.npy``, ``KEY.speech.npy`` and, for a clip with pictures, ``KEY.frames.npy``: the arrays of
  :class:`~talkface_lite.clip.Clip`.

Times, owners and rights are fixed, so equal clips give equal bytes. Reading takes nothing on trust: headers,
padding and end are checked as well, so that no byte can change unnoticed; nothing is unpickled or extracted.
"""

import hashlib
import json
import math
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np

from talkface_lite.clip import ALIGNED, Clip
from talkface_lite.errors import InputError
from talkface_lite.files import whole_file

FORMAT = "talkface_lite shard 1"
SUFFIX = ".tar"
LIMITS = {"json": 2**24, "landmarks.npy": 2**26, "speech.npy": 2**28, "frames.npy": 2**31}
"""Most bytes of a member: an hour of points (49 MB) and of speech (230 MB) fits, and 2 GiB of pictures."""
LONGEST_KEY = tarfile.LENGTH_NAME - len(".landmarks.npy")
"""Bytes of a key in UTF-8 such that every member's name fits into a plain tar header."""

_ARRAYS = {"landmarks.npy": "<f4", "speech.npy": "<f4", "frames.npy": "|u1"}
_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK
_NPY_HEADER = 128
_NEEDED = {"json", "landmarks.npy", "speech.npy"}
_KINDS = {
    tarfile.REGTYPE: "member",
    tarfile.AREGTYPE: "member",
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.DIRTYPE: "folder",
    tarfile.XHDTYPE: "extended header",
    tarfile.GNUTYPE_LONGNAME: "long name",
}


def write_shard(path: str | os.PathLike, clips: Iterable[tuple[str, Clip]]) -> str:
    """Write clips to a shard that appears whole or not at all, even if the disk fills or ``clips`` raises.

    Clips are taken one at a time and not kept. The folder is made where it is missing. The same clips under
    the same keys always give the same bytes.

    Parameters
    ----------
    path:
        The file; its name ends in ``.tar``.
    clips:
        ``(key, clip)`` pairs, at least one. Keys are unique, of 1 to 86 bytes, printable, without blanks,
        dots and slashes.

    Returns
    -------
    str
        The SHA-256 of the whole file, as :func:`verify_shard` takes it.

    Raises
    ------
    InputError
        For a name that does not end in ``.tar``, a key that is not as above, a clip larger than
        :data:`LIMITS`, or no clip at all.
    OSError
        When the disk is full or refuses.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(path, f"a name ending in {path.suffix!r}", f"a name ending in '{SUFFIX}'")
    with whole_file(path) as file:
        digest = _write_samples(file, path, clips)
    return digest


def read_shard(
    path: str | os.PathLike, *, frames: bool = True, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[str, Clip]]:
    """The clips of a shard, one after the other, each checked against its checksums before it is given out.

    Parameters
    ----------
    path:
        A file that :func:`write_shard` wrote.
    frames:
        False leaves the pictures on disk, unread and unchecked (``clip.frames`` is then None).
    share:
        ``(i, n)`` gives out the clips i, i + n, i + 2n, ... of the shard and passes over the others unread.

    Yields
    ------
    tuple[str, Clip]
        Key and clip.

    Raises
    ------
    InputError
        When the file is missing, not a tar, cut short or changed in any byte that was read; when a member is
        missing, doubled, outside its group, not a plain file, larger than :data:`LIMITS`, or not named as
        write_shard names it; when an array is not what the record says. The message names shard and key.
        Clips given out before the broken place are whole.
    """
    number, of = share
    with _opened(path) as file:
        for position, (key, members) in enumerate(_groups(file, path)):
            if position % of == number:
                yield key, _read_sample(file, f"{path}, clip {key}", key, members, frames)


def picture_places(path: str | os.PathLike) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Where the pictures of each clip of a shard lie, for reading a few of them without the rest.

    Yields
    ------
    tuple[str, int, tuple[int, ...]]
        Key, offset of the first byte in the file, shape ``(T, H, W, 3)`` of the uint8 array.

    Raises
    ------
    InputError
        As :func:`read_shard`; and when a clip has no pictures. The pictures' own checksum is not looked at.
    """
    with _opened(path) as file:
        for key, members in _groups(file, path):
            what = f"{path}, clip {key}"
            if "frames.npy" not in members:
                raise InputError(what, "no pictures", "a clip with pictures")
            about = _read_record(file, what, key, *members["json"])["arrays"].get("frames.npy")
            offset, size = members["frames.npy"]
            header, shape = _check_header(file, f"{what}, frames.npy", offset, size, "|u1", about)
            yield key, offset + len(header), shape


def verify_shard(path: str | os.PathLike, sha256: str) -> None:
    """Check that a shard has the SHA-256 that :func:`write_shard` returned.

    Raises
    ------
    InputError
        When it has not, or cannot be read.
    """
    with _opened(path) as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256.lower():
        raise InputError(path, f"SHA-256 {got}", sha256)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a shard of clips")
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise InputError(path, f"an unreadable file ({error})", "a shard of clips") from error


def _write_samples(file: BinaryIO, path: Path, clips: Iterable[tuple[str, Clip]]) -> str:
    digest, keys = hashlib.sha256(), set()

    def put(content: bytes | memoryview) -> None:
        file.write(content)
        digest.update(content)

    for key, clip in clips:
        if not _is_key(key):
            got = "dots, slashes, blanks, or the wrong length"
            wanted = f"1 to {LONGEST_KEY} printable bytes without any"
            raise InputError(f"{path}, key {key!r}", got, wanted)
        if key in keys:
            raise InputError(f"{path}, clip {key}", "a second clip with this key", "unique keys")
        keys.add(key)
        _write_sample(put, f"{path}, clip {key}", key, clip)
        del clip  # or it would stay in memory while the next one is made
    if not keys:
        raise InputError(path, "0 clips", "at least 1 clip")
    put(bytes(_END))
    return digest.hexdigest()


def _write_sample(put: Callable[[bytes | memoryview], None], what: str, key: str, clip: Clip) -> None:
    for name, parts in _members(clip, key).items():
        size = sum(len(part) for part in parts)
        if size > LIMITS[name]:
            raise InputError(what, f"{name} of {size} bytes", f"at most {LIMITS[name]} bytes")
        member = tarfile.TarInfo(f"{key}.{name}")  # 1970, owner 0 and rights 0o644 if nothing is said
        member.size = size
        put(member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
        for part in parts:
            put(part)
        put(bytes(-size % _BLOCK))


def _is_key(key: str) -> bool:
    # isprintable is False for lone surrogates, which have no UTF-8
    plain = key.isprintable() and not re.search(r"[\s./\\]", key)
    return plain and 1 <= len(key.encode()) <= LONGEST_KEY


def _members(clip: Clip, key: str) -> dict[str, tuple[bytes | memoryview, ...]]:
    arrays = {"landmarks.npy": clip.landmarks, "speech.npy": clip.speech}
    if clip.frames is not None:
        arrays["frames.npy"] = clip.frames
    members, about = {}, {}
    for name, array in arrays.items():
        header, data = _npy_header(_ARRAYS[name], array.shape), _bytes_of(np.ascontiguousarray(array))
        digest = hashlib.sha256(header)
        digest.update(data)
        members[name] = header, data
        about[name] = {"dtype": _ARRAYS[name], "shape": array.shape, "sha256": digest.hexdigest()}
    record = {"format": FORMAT, "key": key, "identity": clip.identity, "source": clip.source}
    record |= {} if clip.framing == ALIGNED else {"framing": clip.framing}
    record |= {"words": clip.words, "phonemes": clip.phonemes, "arrays": about}
    record["sha256"] = hashlib.sha256(_to_json(record)).hexdigest()
    return {"json": (_to_json(record),), **members}


def _to_json(record: dict) -> bytes:
    return json.dumps(record, sort_keys=True).encode()


def _bytes_of(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))


def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What ``numpy.save`` puts before such an array; written out, since numpy may change it and files not."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    length = (_NPY_HEADER - 10).to_bytes(2, "little")
    return b"\x93NUMPY\x01\x00" + length + text.encode().ljust(_NPY_HEADER - 11) + b"\n"


Members = dict[str, tuple[int, int]]
"""Where the members of one clip lie: name without the key → offset and size."""


def _groups(file: BinaryIO, path: str | os.PathLike) -> Iterator[tuple[str, Members]]:
    """Key and members of each clip."""
    seen: set[str] = set()
    for key, group in groupby(_headers(file, path), itemgetter(0)):
        what, members = f"{path}, clip {key}", {}
        for _, name, offset, size in group:
            if key in seen:
                raise InputError(what, f"{name} outside its group", "members side by side")
            if name in members:
                raise InputError(what, f"{name} twice", "each member once")
            members[name] = offset, size
        if missing := _NEEDED - members.keys():
            raise InputError(what, f"no {', '.join(sorted(missing))}", "every member of a clip")
        seen.add(key)
        yield key, members
    if not seen:
        raise InputError(path, "0 clips", "at least 1 clip")


def _headers(file: BinaryIO, path: str | os.PathLike) -> Iterator[tuple[str, str, int, int]]:
    """Key, rest of the name, offset and size of each member, from one header to the next.

    A ``TarFile`` would take a broken header for the end, and read extended headers of any size into memory.
    """
    total, at, key = os.fstat(file.fileno()).st_size, 0, ""
    while True:
        place = f"{path} at byte {at}" + (f", in or behind clip {key}" if key else "")
        file.seek(at)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            raise _cut_short(place)
        if not any(block):
            break
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            member = None
        # the sum says nothing about the bytes in which it is itself written
        if member is None or block[148:156] != b"%06o\0 " % member.chksum:
            raise InputError(place, "a header that is broken or not of a tar", "a shard of clips")
        written, (key, _, name) = block[:100].rstrip(b"\0"), member.name.partition(".")
        kind = _KINDS.get(member.type, "member of another kind")
        known = name in LIMITS and _is_key(key) and not any(block[345:500])  # no prefix before the name
        plain = kind == "member" and known and member.name.encode() == written
        if not plain:
            got = f"a {kind} named {ascii(written)[1:]}"
            raise InputError(place, got, "plain files named KEY." + ", KEY.".join(LIMITS))
        what, offset, size = f"{path}, clip {key}", at + _BLOCK, member.size
        if not 0 <= size <= LIMITS[name]:
            raise InputError(what, f"{name} larger than sane", f"at most {LIMITS[name]} bytes")
        padding = -size % _BLOCK
        at = offset + size + padding
        if at > total:
            raise _cut_short(what)
        file.seek(offset + size)
        if file.read(padding) != bytes(padding):
            raise InputError(what, "something behind a member", "nothing but zeros")
        yield key, name, offset, size
    while chunk := file.read(2**20):
        if chunk != bytes(len(chunk)):
            raise InputError(place, "something behind the end of the tar", "nothing but zeros")
    if total - at < _END or total % _BLOCK:
        raise _cut_short(place)


def _cut_short(what: str) -> InputError:
    return InputError(what, "the end of the file", "a shard that is not cut short")


def _read_sample(file: BinaryIO, what: str, key: str, members: Members, frames: bool) -> Clip:
    record = _read_record(file, what, key, *members["json"])
    about = record["arrays"]
    if about.keys() != members.keys() - {"json"}:
        raise InputError(what, "other arrays than its record names", "the same arrays")
    arrays = {}
    for name, place in members.items():
        if name != "json" and (frames or name != "frames.npy"):
            arrays[name] = _read_array(file, f"{what}, {name}", *place, _ARRAYS[name], about[name])
    try:
        return Clip(
            frames=arrays.get("frames.npy"),
            landmarks=arrays["landmarks.npy"],
            speech=arrays["speech.npy"],
            words=tuple(record["words"]),
            phonemes=tuple(record["phonemes"]),
            identity=record["identity"],
            source=record["source"],
            framing=record.get("framing", ALIGNED),
        )
    except InputError as error:
        raise InputError(f"{what}, {error.what}", error.got, error.expected) from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(what, f"a record without {error}", "every field of a clip") from error


def _read_record(file: BinaryIO, what: str, key: str, offset: int, size: int) -> dict:
    file.seek(offset)
    content = file.read(size)
    try:
        record = json.loads(content)
        as_written = _to_json(record) == content
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what}, json", f"unreadable JSON ({error})", "unchanged bytes") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(what, "a record of another kind", f"'{FORMAT}'")
    digest = record.pop("sha256", None)
    if not as_written or hashlib.sha256(_to_json(record)).hexdigest() != digest:
        raise InputError(f"{what}, json", "another checksum than it states", "unchanged bytes")
    if record.get("key") != key:
        raise InputError(what, "the record of another clip", "its own")
    if not isinstance(record.get("arrays"), dict):
        raise InputError(what, "a record without arrays", "every field of a clip")
    return record


def _read_array(file: BinaryIO, what: str, offset: int, size: int, dtype: str, about: object) -> np.ndarray:
    """The array of the record, its bytes checked."""
    header, shape = _check_header(file, what, offset, size, dtype, about)
    array = np.empty(shape, dtype)
    if file.readinto(_bytes_of(array)) != size - len(header):
        raise _cut_short(what)
    digest = hashlib.sha256(header)
    digest.update(_bytes_of(array))
    if digest.hexdigest() != about.get("sha256"):
        raise InputError(what, "another checksum than the record states", "unchanged bytes")
    return array


def _check_header(
    file: BinaryIO, what: str, offset: int, size: int, dtype: str, about: object
) -> tuple[bytes, tuple[int, ...]]:
    """The header is compared, never parsed: what is not exactly the array of the record is refused."""
    about = about if isinstance(about, dict) else {}
    shape = about.get("shape")
    plain = (
        isinstance(shape, list) and len(shape) <= 4 and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    )
    if not plain or about.get("dtype") != dtype:
        raise InputError(what, "another dtype, or no shape", f"{dtype} and a shape")
    header = _npy_header(dtype, tuple(shape))
    wanted = len(header) + math.prod(shape) * np.dtype(dtype).itemsize
    if size != wanted:
        raise InputError(what, f"{size} bytes", f"{wanted} for shape {tuple(shape)}")
    file.seek(offset)
    if file.read(len(header)) != header:
        raise InputError(what, "another header", f"the .npy header of {dtype} {tuple(shape)}, unpickled")
    return header, tuple(shape)
