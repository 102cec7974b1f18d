"""One way to open data: a folder of clips, of shards or of saved features, in memory or as a stream."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import (
    Features,
    Folders,
    Moments,
    digest_of,
    files_of,
    folders_of,
    read_features,
    saved_features,
)
from talkface_lite.data.loading import loaded
from talkface_lite.data.needs import Batch, DataSettings, Needs, TrainingData
from talkface_lite.data.pictures import PictureDataset, features_and_places
from talkface_lite.data.streaming import ClipStream
from talkface_lite.errors import InputError

IN_MEMORY = 2 * 2**30
"""Bytes of features that are held in memory, where the user says nothing."""


def open_dataset(
    source: Folders, needs: Needs | None = None, settings: DataSettings | None = None
) -> TrainingData:
    """Open clips for training.

    Parameters
    ----------
    source:
        A folder of clips, of shards, or of saved features; a file; or several of them.
    needs:
        What a batch is to hold: a part says so in ``part.needs``.
    settings:
        How windows are drawn and varied, whether the features are streamed, and how many processes read.

    Returns
    -------
    A dataset in memory, whose pictures stay on disk, or one that is streamed; both give ``batches``.

    Raises
    ------
    InputError
        When the folder is missing, holds no clip, a clip is broken, or has not what is needed; and for a
        camera, or light in the mouth, where there are no pictures to film.
    """
    needs, settings = needs or Needs(), settings or DataSettings()
    for name in ("camera", "mouth_light"):
        if (strength := getattr(settings, name)) and not needs.pictures:
            raise InputError(name, strength, "0, where no pictures are looked at")
    if settings.streaming == "always" or (settings.streaming == "auto" and _too_large(source, needs)):
        return StreamedDataset(source, needs, settings)
    if not needs.pictures:
        dataset = Dataset.from_folder(source, needs=needs, settings=settings)
        _refuse_silence(source, any(_speaks(clip, needs) for clip in dataset.clips), needs)
        return dataset
    dataset = PictureDataset.from_folder(source, needs=needs, settings=settings)
    place = dataset.places[0]
    _refuse_other_side(place.path, place.shape[1:3], needs)
    _refuse_silence(source, any(_speaks(clip, needs) for clip in dataset.clips), needs)
    return dataset


def _speaks(clip: Features, needs: Needs) -> bool:
    return any(word.label in needs.words for word in clip.words)


def _refuse_silence(source: Folders, spoken: bool, needs: Needs) -> None:
    """Refuse clips in none of which a word of the vocabulary is spoken."""
    if needs.words and not spoken:
        what = ", ".join(map(str, folders_of(source)))
        raise InputError(
            what, "no clip with a word of the vocabulary", f"{needs.words[0]!r}, for one{needs.otherwise}"
        )


def _refuse_other_side(what: object, size: tuple[int, ...], needs: Needs) -> None:
    if tuple(size) != (needs.side, needs.side):
        height, width = size
        raise InputError(what, f"pictures of {width}×{height}", f"{needs.side}×{needs.side} pixels")


def _too_large(source: Folders, needs: Needs) -> bool:
    """Whether the features would take more than :data:`IN_MEMORY`, judged by the first file and all sizes."""
    files = files_of(source)
    if saved_features(files[0], replace(needs, pictures=False, previous=False)):
        return False  # one file that is read whole, however it is opened
    first: list[Features] = list(read_features(files[0], replace(needs, pictures=False, previous=False)))
    n_bytes = sum(clip.rows.nbytes + clip.landmarks.nbytes for clip in first)
    sizes = [path.stat().st_size for path in files]
    return n_bytes * sum(sizes) / max(sizes[0], 1) > IN_MEMORY


def _streamed(source: Folders, needs: Needs) -> Iterator[Features]:
    """The features of every clip of a stream, when each has what is needed."""
    for path in files_of(source):
        if saved_features(path, needs):
            raise InputError(path, "saved features", "clips or shards to stream; or --streaming never")
        if not needs.pictures:
            yield from read_features(path, needs)
            continue
        for features, place in features_and_places(path, needs):
            _refuse_other_side(place.path, place.shape[1:3], needs)
            yield features


class StreamedDataset:
    """Clips that stay on disk, MFCC and landmarks too; see :class:`~talkface_lite.data.streaming.ClipStream`.

    All files are read once at the beginning, for their means and deviations. A run that resumes goes on at
    the beginning of the epoch in which it stopped; what it sees from there on is not what an uninterrupted
    run would have seen.

    Parameters
    ----------
    source, needs, settings:
        As for :func:`open_dataset`.

    Raises
    ------
    InputError
        As for :func:`open_dataset`, and when files are of saved features, which are not streamed.
    """

    def __init__(self, source: Folders, needs: Needs, settings: DataSettings) -> None:
        self.source, self.needs, self.settings = source, needs, settings
        self.window = settings.window_of(needs)
        self.digest = digest_of(source)
        moments, self.n_clips, self.n_frames, self.n_windows = Moments(), 0, 0, 0
        spoken = False
        for features in _streamed(source, needs):
            spoken = spoken or _speaks(features, needs)
            moments.add(features)
            self.n_clips, self.n_frames = self.n_clips + 1, self.n_frames + len(features)
            self.n_windows += -(-len(features) // self.window)
        _refuse_silence(source, spoken, needs)
        self._statistics = moments.statistics()

    def __len__(self) -> int:
        """Number of clips."""
        return self.n_clips

    def statistics(self) -> dict[str, np.ndarray]:
        """As for :class:`~talkface_lite.data.dataset.Dataset`."""
        return self._statistics

    def batches(
        self, batch_size: int, seed: int, *, first_step: int = 0, rank: int = 0, ranks: int = 1
    ) -> Iterator[Batch]:
        """As for :class:`~talkface_lite.data.dataset.Dataset`, but for where ``first_step`` begins."""
        stream = ClipStream(
            self.source,
            batch_size=batch_size,
            seed=seed,
            needs=self.needs,
            settings=self.settings,
            mfcc_std=self._statistics["mfcc_std"],
            first_epoch=first_step * batch_size * ranks // self.n_windows,
            rank=rank,
            ranks=ranks,
        )
        for batch in loaded(stream, self.settings.workers):
            if batch.pictures is not None:
                _refuse_other_side(Path(str(self.source)), batch.pictures.shape[2:4], self.needs)
            yield batch
