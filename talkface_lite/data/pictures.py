"""Windows of clips with their pictures, read from disk as they are needed.

MFCC and landmarks of all clips are held in memory; pictures stay in their files (clips and shards hold them
as plain bytes), and a window reads its own few. Batch n is a function of the seed and n alone.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.corpus.camera import Camera
from talkface_lite.data.dataset import Dataset, Place
from talkface_lite.data.features import Features, Folders, digest_of, files_of
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.points import vary_points
from talkface_lite.errors import InputError
from talkface_lite.landmarks import GROUPS, apply_transform, magnify
from talkface_lite.shards import SUFFIX as SHARD_SUFFIX
from talkface_lite.shards import picture_places, read_shard


@dataclass(frozen=True)
class PicturePlace:
    """Where the pictures of a clip lie: uint8 RGB of ``shape`` ``(T, H, W, 3)``, from byte ``offset`` on."""

    path: Path
    offset: int
    shape: tuple[int, int, int, int]

    def read(self, start: int, stop: int) -> np.ndarray:
        """uint8 ``(stop - start, H, W, 3)``.

        Raises
        ------
        InputError
            When the file is gone or cut short.
        """
        size = int(np.prod(self.shape[1:]))
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset + start * size)
                got = np.frombuffer(file.read((stop - start) * size), np.uint8)
        except OSError as error:
            raise InputError(self.path, error.strerror or error, "a readable file") from error
        if got.size != (stop - start) * size:
            raise InputError(self.path, "the end of the file", "a file that is not cut short")
        return got.reshape(stop - start, *self.shape[1:])


class PictureDataset(Dataset):
    """Clips whose pictures stay on disk, and windows of them.

    Parameters
    ----------
    clips:
        Features of each clip, and where its pictures lie.
    needs, settings, digest, **changes:
        As for :class:`~talkface_lite.data.dataset.Dataset`.

    Raises
    ------
    InputError
        When there is no clip, a clip has not one picture a frame, or pictures are not all of one size.
    """

    def __init__(
        self,
        clips: Iterable[tuple[Features, PicturePlace]],
        *,
        needs: Needs | None = None,
        settings: DataSettings | None = None,
        digest: str | None = None,
        **changes: Any,
    ) -> None:
        clips = list(clips)
        needs = needs or Needs(pictures=True)
        features = [features for features, _ in clips]
        super().__init__(features, needs=needs, settings=settings, digest=digest, **changes)
        self.places = [place for _, place in clips]
        for features, place in clips:
            n_frames, *size = place.shape
            if n_frames != len(features) or len(size) != 3 or size[2] != 3 or 0 in size:
                raise InputError(
                    place.path, f"pictures of shape {place.shape}", f"({len(features)}, height, width, 3)"
                )
            if place.shape[1:] != self.places[0].shape[1:]:
                raise InputError(
                    place.path,
                    f"pictures of {place.shape[1:3]}",
                    f"{self.places[0].shape[1:3]}, as the first",
                )

    @classmethod
    def from_folder(
        cls,
        source: Folders,
        *,
        needs: Needs | None = None,
        settings: DataSettings | None = None,
        **changes: Any,
    ) -> Self:
        """Read one or several folders of clips or shards.

        Raises
        ------
        InputError
            When a folder is missing, holds no clip, or a clip in it is broken or has no pictures.
        """
        needs = needs or Needs(pictures=True)
        clips = (pair for path in files_of(source) for pair in features_and_places(path, needs))
        return cls(clips, needs=needs, settings=settings, digest=digest_of(source), **changes)

    def batch(self, places: Sequence[Place]) -> Batch:
        """Windows at given places ``(clip, first frame, example frame)``, with their pictures."""
        size = self.places[0].shape[1:]
        pictures = np.zeros((len(places), self.window, *size), np.uint8)
        photograph, previous = (np.zeros((len(places), *size), np.uint8) for _ in range(2))
        for i, (index, start, shown) in enumerate(places):
            place = self.places[index]
            stop = min(start + self.window, place.shape[0])
            pictures[i, : stop - start] = place.read(start, stop)
            photograph[i] = place.read(shown, shown + 1)[0]
            if self.needs.previous:
                before = max(start - 1, 0)
                previous[i] = place.read(before, before + 1)[0]
        arrays = {"pictures": pictures, "photograph": photograph}
        if self.needs.previous:
            arrays["previous"] = previous
        seen = {name: torch.from_numpy(value) for name, value in arrays.items()}
        return replace(super().batch(places), **seen)

    def training_batch(self, places: Sequence[Place], generators: Sequence[np.random.Generator]) -> Batch:
        """As :meth:`batch`, each window through a camera of its own and perhaps mirrored."""
        batch = self.batch(places)
        for i, rng in enumerate(generators):
            vary_pictures(batch, i, rng, self.settings)
        return batch


def vary_pictures(batch: Batch, i: int, rng: np.random.Generator, settings: DataSettings) -> None:
    """Window ``i`` of a batch, in place: through a camera of its own, and mirrored, each one time in two."""
    if settings.mouth_light:
        light_mouth(batch, i, rng.uniform(0, settings.mouth_light))
    single = [batch.photograph] + ([] if batch.previous is None else [batch.previous])
    if settings.camera and rng.random() < 0.5:
        filmed = torch.cat([*(one[i : i + 1] for one in single), batch.pictures[i]]).numpy()
        filmed = torch.from_numpy(Camera.draw(rng, settings.camera).film(filmed))
        for one, picture in zip(single, filmed):
            one[i] = picture
        shown = batch.mask[i, :, None, None, None]
        batch.pictures[i] = filmed[len(single) :] * shown  # padding stays black
    vary_points(batch, i, rng, settings)


def light_mouth(batch: Batch, i: int, share: float) -> None:
    """Window ``i`` of a batch, in place: what is between the lips goes by a share towards the lips' colour.

    Raises
    ------
    InputError
        When the batch has the picture before the window, whose landmarks nobody knows.
    """
    if batch.previous is not None:
        raise InputError("mouth_light", share, "0 where the picture before the window is wanted")
    photo = batch.photograph[i].numpy()
    size, example = photo.shape[:2], batch.example[i].numpy()
    ring, inside = (within(example[GROUPS[lips]], size) for lips in ("outer_lips", "inner_lips"))
    lips = np.clip(ring - inside, 0, 1)[..., None]
    colour = (lips * photo).sum(axis=(0, 1)) / max(lips.sum(), 1e-6)
    pictures = [(batch.photograph[i], batch.example[i]), *zip(batch.pictures[i], batch.landmarks[i])]
    for picture, points in pictures[: 1 + int(batch.mask[i].sum())]:
        shown = picture.numpy()
        mask = share * within(points.numpy()[GROUPS["inner_lips"]], size)[..., None]
        shown[:] = np.rint(shown + mask * (colour - shown))


def within(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask of what lies within a closed line (pixels of the 128×128 crop).

    Parameters
    ----------
    points:
        ``(N, 2)``.
    size:
        Height and width of the picture, whatever it is.

    Returns
    -------
    float32 ``(height, width)``, 1 inside and 0 outside, its edge soft.
    """
    fine, shift, (height, width) = 4, 4, size
    canvas = np.zeros((fine * height, fine * width), np.uint8)
    places = apply_transform(points, magnify(fine * height / CROP_SIZE))
    cv2.fillPoly(canvas, [np.rint(places * 2**shift).astype(np.int32)], 255, cv2.LINE_8, shift)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def features_and_places(path: Path, needs: Needs) -> Iterator[tuple[Features, PicturePlace]]:
    """Of each clip of a file its features, and where its pictures lie.

    Raises
    ------
    InputError
        When the file is broken, or a clip in it has no pictures.
    """
    if path.suffix == SHARD_SUFFIX:
        for (_, clip), (_, offset, shape) in zip(read_shard(path, frames=False), picture_places(path)):
            yield Features.of(clip, needs, path), PicturePlace(path, offset, shape)
    else:
        yield Features.of(Clip.load(path, frames=False), needs, path), _in_clip_file(path)


def _in_clip_file(path: Path) -> PicturePlace:
    """Safetensors begin with the length of a JSON header that says where each array lies."""
    try:
        with safe_open(path, framework="np") as file:
            if "frames" not in file.keys():  # noqa: SIM118 - not a dict
                raise InputError(path, "no pictures", "a clip with pictures (not --no-frames)")
            frames = file.get_slice("frames")
            if frames.get_dtype() != "U8":
                raise InputError(path, f"pictures of type {frames.get_dtype()}", "U8")
            shape = tuple(frames.get_shape())
    except SafetensorError as error:
        raise InputError(path, f"an unreadable file ({error})", "a clip file") from error
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start, _ = json.loads(file.read(length))["frames"]["data_offsets"]
    return PicturePlace(path, 8 + length + start, shape)
