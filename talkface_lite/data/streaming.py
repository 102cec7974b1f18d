"""Training windows from more clips than memory holds, for several loader workers and several devices.

A stream visits every window of every clip exactly once an epoch, wherever the work is done: files are shared
out among all loader workers of all devices, and the files that do not come out even are shared clip by clip.
Windows come out of a buffer of clips in random order, and no clip beyond that buffer is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import Features, Folders, files_of
from talkface_lite.data.loading import StreamError
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.pictures import vary_pictures
from talkface_lite.data.points import vary_points
from talkface_lite.errors import InputError
from talkface_lite.shards import SUFFIX as SHARD_SUFFIX
from talkface_lite.shards import read_shard


class ClipStream(IterableDataset):
    """Batches of windows, read from clip files and shards as they are needed.

    Each clip of N frames is cut into ``ceil(N / T)`` windows that begin at frames 0, T, 2T, ...; the last is
    padded and masked. Each window comes with a random example frame of its clip. One epoch holds each window
    once, over all ranks and workers together. The order is a function of the seed, the epoch, and the numbers
    of ranks and workers alone. Batches run on from one epoch into the next; where ``epochs`` ends the stream,
    the last batch of each worker may be smaller.

    Iterate it as it is, or through ``torch.utils.data.DataLoader(stream, batch_size=None, num_workers=n)``.

    Parameters
    ----------
    source:
        A folder, a file, or several of them: clips and shards.
    batch_size:
        Windows in a batch.
    seed:
        Equal seeds give equal streams.
    needs:
        What the batches are to hold. With pictures, all must have one size.
    settings:
        How the windows are varied.
    mfcc_std:
        ``(12,)``: the deviation of each coefficient, where the settings vary the microphone.
    first_epoch:
        Where to begin. May be set anew before each iteration.
    epochs:
        How many epochs to give; None goes on without end.
    rank, ranks:
        Which of several processes (devices) this one is.
    shuffle_buffer:
        Clips that a rank holds at most, all its loader workers together (one for each worker at least).
    shuffle_bytes:
        No further clip is loaded while a rank holds this much; pictures of 75 frames of 128x128 are 3.7 MB.
    **changes:
        Settings by name, instead of those in ``settings``.

    Raises
    ------
    InputError
        When an argument is out of range or the folder holds no clip; while reading, when a file is broken,
        or a clip has no pictures where they are needed, or pictures of another size. In a loader worker it
        is a :class:`~talkface_lite.data.loading.StreamError`, so that the same line arrives in the main
        process.
    """

    def __init__(
        self,
        source: Folders,
        *,
        batch_size: int,
        seed: int,
        needs: Needs | None = None,
        settings: DataSettings | None = None,
        mfcc_std: np.ndarray | None = None,
        first_epoch: int = 0,
        epochs: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        shuffle_buffer: int = 256,
        shuffle_bytes: int = 2**30,
        **changes: Any,
    ) -> None:
        self.files = files_of(source)
        self.needs, self.settings = needs or Needs(), replace(settings or DataSettings(), **changes)
        self.window, self.mfcc_std = self.settings.window_of(self.needs), mfcc_std
        for name, value in (
            ("batch_size", batch_size),
            ("ranks", ranks),
            ("shuffle_buffer", shuffle_buffer),
            ("shuffle_bytes", shuffle_bytes),
        ):
            if value < 1:
                raise InputError(name, value, "at least 1")
        if not 0 <= rank < ranks:
            raise InputError("rank", rank, f"0 to {ranks - 1}")
        self.batch_size, self.seed = batch_size, seed
        self.first_epoch, self.epochs = first_epoch, epochs
        self.rank, self.ranks = rank, ranks
        self.shuffle_buffer, self.shuffle_bytes = shuffle_buffer, shuffle_bytes

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        if info is None:
            yield from self._batches(0, 1)
            return
        try:
            yield from self._batches(info.id, info.num_workers)
        except InputError as error:
            raise StreamError(str(error)) from None

    def _batches(self, worker: int, workers: int) -> Iterator[Batch]:
        windows: list[Batch] = []
        epoch, size = self.first_epoch, None
        while self.epochs is None or epoch < self.first_epoch + self.epochs:
            for name, one in self._windows(epoch, worker, workers):
                if one.photograph is not None:
                    got = tuple(one.photograph.shape[1:3])
                    size = size or got
                    if got != size:
                        raise InputError(name, f"pictures of {got}", f"{size} (height, width), as before")
                windows.append(one)
                if len(windows) == self.batch_size:
                    yield Batch.together(windows)
                    windows = []
            epoch += 1
        if windows:
            yield Batch.together(windows)

    def _windows(self, epoch: int, worker: int, workers: int) -> Iterator[tuple[str, Batch]]:
        """This worker's windows of one epoch: the clip's name, and a batch of one."""
        part = self.rank * workers + worker
        rng = np.random.default_rng([self.seed, epoch, self.ranks, workers, part])
        clips = self._clips(epoch, part, self.ranks * workers)
        most_clips = max(self.shuffle_buffer // workers, 1)
        most_bytes = max(self.shuffle_bytes // workers, 1)
        waiting: list[tuple[_Held, int]] = []
        n_clips, n_bytes, more = 0, 0, True
        while True:
            while more and n_clips < most_clips and n_bytes < most_bytes:
                held = next(clips, None)
                if held is None:
                    more = False
                    break
                waiting += [(held, start) for start in range(0, len(held.features), self.window)]
                n_clips, n_bytes = n_clips + 1, n_bytes + held.n_bytes
            if not waiting:
                return
            at = int(rng.integers(len(waiting)))
            waiting[at], waiting[-1] = waiting[-1], waiting[at]
            held, start = waiting.pop()
            held.windows_left -= 1
            if held.windows_left == 0:
                n_clips, n_bytes = n_clips - 1, n_bytes - held.n_bytes
            named = held.name, self._cut(held, start, rng)
            held = None  # or a clip that is used up would stay in memory while the next one is read
            yield named

    def _cut(self, held: "_Held", start: int, rng: np.random.Generator) -> Batch:
        """A batch of one window, varied; copies, so that the clip can be let go."""
        shown = held.features.example_drawn(self.settings, rng)
        dataset = Dataset([held.features], needs=self.needs, settings=self.settings)
        batch = dataset.batch([(0, start, shown)])
        if self.settings.mfcc_shift:
            shift = self.settings.mfcc_shift * self.mfcc_std * rng.standard_normal(len(self.mfcc_std))
            batch.mfcc.add_(torch.tensor(shift, dtype=torch.float32))
        if held.pictures is None:
            vary_points(batch, 0, rng, self.settings)
            return batch
        found = held.pictures[start : start + self.window]
        pictures = np.zeros((1, self.window, *found.shape[1:]), np.uint8)
        pictures[0, : len(found)] = found
        single = {"photograph": shown} | ({"previous": max(start - 1, 0)} if self.needs.previous else {})
        seen = {name: torch.from_numpy(held.pictures[t : t + 1].copy()) for name, t in single.items()}
        batch = replace(batch, pictures=torch.from_numpy(pictures), **seen)
        vary_pictures(batch, 0, rng, self.settings)
        return batch

    def _clips(self, epoch: int, part: int, parts: int) -> Iterator["_Held"]:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.files)).tolist()
        # where there are fewer clips than parts, turning lets each part have one in time
        part = (part + epoch) % parts
        n_whole = len(order) // parts * parts
        shares = [(self.files[at], (0, 1)) for at in order[part:n_whole:parts]]
        if rest := order[n_whole:]:
            at, turn = part % len(rest), part // len(rest)
            shares.append((self.files[rest[at]], (turn, -(-(parts - at) // len(rest)))))
        return chain.from_iterable(self._open(path, share) for path, share in shares)

    def _open(self, path: Path, share: tuple[int, int]) -> Iterator["_Held"]:
        if path.suffix == SHARD_SUFFIX:
            clips = read_shard(path, frames=self.needs.pictures, share=share)
        else:
            clips = (("", Clip.load(one, frames=self.needs.pictures)) for one in [path][share[0] :: share[1]])
        # map, and no loop: a loop's variable would keep one clip more than the buffer
        return map(partial(self._hold, path), clips)

    def _hold(self, path: Path, key_and_clip: tuple[str, Clip]) -> "_Held":
        key, clip = key_and_clip
        name = f"{path}, clip {key}" if key else str(path)
        if self.needs.pictures and clip.frames is None:
            raise InputError(name, "no pictures", "a clip with pictures")
        return _Held(name, Features.of(clip, self.needs, name), clip.frames, -(-len(clip) // self.window))


@dataclass(eq=False)
class _Held:
    """A clip in the buffer."""

    name: str
    features: Features
    pictures: np.ndarray | None
    windows_left: int

    @property
    def n_bytes(self) -> int:
        arrays = (self.features.rows, self.features.landmarks, self.pictures)
        return sum(array.nbytes for array in arrays if array is not None)
