"""VoxCeleb 1 and 2: thousands of people in interviews, tracks of one face cut from videos at 25 frames/s.

Videos lie at ``dev/mp4/id00012/21Uxsk56VDQ/00001.mp4`` (also ``vox2_dev_mp4/id00012/…``), face boxes at
``txt/id00012/21Uxsk56VDQ/00001.txt``, with ``txt`` anywhere above or in the place of ``mp4``, or beside the
video. No words.

Source: Nagrani, Chung, Zisserman, "VoxCeleb", Interspeech 2017; Chung, Nagrani, Zisserman, "VoxCeleb2",
Interspeech 2018.

Terms: the lists are CC BY 4.0; the films belong to those who made them, and nobody in them was asked.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.text import lines_of, parse_beside, parts_of, shortened, videos

_IDENTITY = re.compile(r"id[0-9]{5}")
_SPLIT = re.compile(r"(?:vox[12]_)?(dev|test)(?:_(?:mp4|txt))?")
_INTEGER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{0,20})?", re.ASCII)
_LARGEST_SHARE = 2.0


class FaceBox(NamedTuple):
    """One frame (counted in the film the track was cut from) and the box: left, top, width, height."""

    frame: int
    x: float
    y: float
    width: float
    height: float


class FaceBoxes(NamedTuple):
    """A face-box text: ``header`` (key, value) in order, ``boxes`` by frame, ``unit`` "pixels" or "share"."""

    header: tuple[tuple[str, str], ...]
    boxes: tuple[FaceBox, ...]
    unit: str


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    """Every video below ``root``, with the identity from its path and what its face-box text says.

    ``about`` holds ``reference`` (the film's YouTube name), ``offset`` (frames between sound and picture, as
    published), ``boxes`` (how many), ``boxes_unit`` and ``first_frame``. A broken text is rejected and the
    video listed without. Split is ``dev`` or ``test`` where a folder says so.
    """
    for entry in videos(root):
        if isinstance(entry, Rejection):
            yield entry
            continue
        name, path = entry
        parts = parts_of(root, name)
        found, rejections = parse_beside(root, name, _texts(parts), parse_face_boxes, "face boxes")
        yield from rejections
        at = next((i for i, part in enumerate(parts[:-1]) if _IDENTITY.fullmatch(part)), None)
        header = {key.lower(): value for key, value in found.header} if found else {}
        reference = header.get("reference") or (
            parts[at + 1] if at is not None and at + 2 < len(parts) else ""
        )
        about = {"reference": reference, "offset": header.get("offset", "")}
        if found:
            about |= {"boxes": str(len(found.boxes)), "boxes_unit": found.unit}
            about |= {"first_frame": str(found.boxes[0].frame)}
        splits = (match[1] for part in reversed(parts[:-1]) if (match := _SPLIT.fullmatch(part)))
        yield Recording(
            name=name,
            path=path,
            identity=parts[at] if at is not None else header.get("identity", ""),
            split=next(splits, ""),
            about=tuple((key, value) for key, value in about.items() if value),
        )


def parse_face_boxes(text: str, where: str) -> FaceBoxes:
    """A face-box text: lines ``key : value``, ``FRAME X Y W H``, and a line of numbers for each frame.

    VoxCeleb1 gives boxes in pixels and VoxCeleb2 as shares of width and height; a text where no box is wider
    or higher than 2 is taken for shares. A box may reach out of the picture, so x and y may be negative.

    Parameters
    ----------
    text:
        What the file holds.
    where:
        How to call it in an error.

    Raises
    ------
    InputError
        When a line is of another form, a key comes twice, the offset is no whole number, frames are not in
        ascending order, a box has no area, units are mixed, or there is no box.
    """
    header: dict[str, str] = {}
    boxes: list[FaceBox] = []
    in_table = False
    for number, line in lines_of(text):
        place, fields = f"{where}, line {number}", line.split()
        if in_table:
            boxes.append(_box(fields, place, boxes))
        elif fields == ["FRAME", "X", "Y", "W", "H"]:
            in_table = True
        else:
            key, colon, value = (" ".join(part.split()) for part in line.partition(":"))
            if not colon or not key or not (key + value).isprintable():
                raise InputError(place, shortened(line), "'key : value' or 'FRAME X Y W H'")
            if key in header:
                raise InputError(place, f"{shortened(key)} a second time", "each key once")
            if key.lower() == "offset" and not _INTEGER.fullmatch(value):
                raise InputError(place, shortened(value), "a whole number of frames")
            header[key] = value
    if not boxes:
        raise InputError(where, "no face box", "'FRAME X Y W H' and a line for each frame")
    shares = {max(box.width, box.height) <= _LARGEST_SHARE for box in boxes}
    if len(shares) > 1:
        raise InputError(where, "boxes both in pixels and in shares", "one unit")
    return FaceBoxes(tuple(header.items()), tuple(boxes), "share" if shares.pop() else "pixels")


def _box(fields: list[str], place: str, before: list[FaceBox]) -> FaceBox:
    line = " ".join(fields)
    frame, *numbers = fields
    if not frame.isascii() or not frame.isdigit() or len(frame) > 9 or len(numbers) != 4:
        raise InputError(place, shortened(line), "a frame's number and four numbers")
    if not all(_DECIMAL.fullmatch(number) for number in numbers):
        raise InputError(place, shortened(line), "x, y, width and height in plain decimals")
    box = FaceBox(int(frame), *map(float, numbers))
    if before and box.frame <= before[-1].frame:
        raise InputError(place, f"frame {box.frame} behind {before[-1].frame}", "frames in ascending order")
    if not box.width > 0 or not box.height > 0 or not math.isfinite(sum(box)):
        raise InputError(place, shortened(line), "a width and a height above 0")
    return box


def _texts(parts: tuple[str, ...]) -> Iterator[str]:
    below = (*parts[1:-1], f"{parts[-1]}.txt")
    yield "/".join(below)
    yield "/".join((*(folder.replace("mp4", "txt") for folder in below[:-1]), below[-1]))
    at = next((i for i, part in enumerate(below) if _IDENTITY.fullmatch(part)), None)
    if at is not None:
        for depth in range(at, -1, -1):
            yield "/".join((*below[:depth], "txt", *below[at:]))
