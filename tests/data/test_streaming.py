import multiprocessing
import weakref
from itertools import islice, zip_longest
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from talkface_lite.clip import Clip
from talkface_lite.data import streaming
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.needs import Needs
from talkface_lite.data.streaming import ClipStream
from talkface_lite.errors import InputError
from talkface_lite.shards import write_shard

torch.set_num_threads(1)

LENGTHS = (5, 40, 16, 33, 1, 64, 17, 8, 20, 31, 32)
WINDOWS = {(clip, start) for clip, n in enumerate(LENGTHS) for start in range(0, n, 16)}


def make_clip(number, n_frames, side=0):
    """Frame t of clip i carries (t, i) in its first landmark and in the first pixel."""
    rng = np.random.default_rng(number)
    landmarks = rng.uniform(10, 110, (n_frames, 68, 2)).astype(np.float32)
    landmarks[:, 0, 0], landmarks[:, 0, 1] = np.arange(n_frames), number
    speech = rng.uniform(-0.5, 0.5, 640 * n_frames).astype(np.float32)
    frames = None
    if side:
        frames = rng.integers(1, 256, (n_frames, side, side, 3), np.uint8)
        frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.arange(n_frames), number
    return Clip(frames=frames, landmarks=landmarks, speech=speech, identity=f"person {number}")


def write(folder, n_shards, lengths=LENGTHS, side=0):
    clips = [(f"clip{i:03d}", make_clip(i, n, side)) for i, n in enumerate(lengths)]
    for shard in range(n_shards):
        write_shard(folder / f"{shard:03d}.tar", clips[shard::n_shards])
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {n: write(tmp_path_factory.mktemp(f"shards{n}"), n) for n in (1, 2, 5)}


def places(batch):
    found = [(int(i), int(start)) for start, i in batch.landmarks[:, 0, 0].tolist()]
    assert batch.example[:, 0, 1].tolist() == [i for i, _ in found]
    return found


def places_of_all(batches):
    return [place for batch in batches for place in places(batch)]


def as_worker(monkeypatch, number, of):
    monkeypatch.setattr(streaming, "get_worker_info", lambda: SimpleNamespace(id=number, num_workers=of))


@pytest.mark.parametrize("n_shards", [1, 2, 5])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_epoch_holds_every_window_once_over_all_ranks_and_workers(
    monkeypatch, folders, n_shards, ranks, workers
):
    epochs = []
    for epoch in (0, 1):
        seen = []
        for rank in range(ranks):
            for worker in range(workers):
                as_worker(monkeypatch, worker, workers)
                stream = ClipStream(
                    folders[n_shards],
                    batch_size=4,
                    seed=3,
                    rank=rank,
                    ranks=ranks,
                    first_epoch=epoch,
                    epochs=1,
                    shuffle_buffer=3,
                )
                share = places_of_all(stream)
                assert share  # nobody is idle where there are clips for all
                assert share == places_of_all(stream)
                seen += share
        assert len(seen) == len(WINDOWS)
        assert set(seen) == WINDOWS
        epochs.append(seen)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_with_two_workers_gives_every_window_once(monkeypatch, folders, method):
    options = {"batch_size": 4, "seed": 3, "epochs": 1, "shuffle_buffer": 4}
    streams = [ClipStream(folders[5], rank=rank, ranks=2, **options) for rank in (0, 1)]
    seen, alone = [], []
    for stream in streams:
        context = multiprocessing.get_context(method)
        loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=context)
        seen += places_of_all(loader)
    for stream in streams:
        shares = []
        for worker in (0, 1):
            as_worker(monkeypatch, worker, 2)
            shares.append([places(batch) for batch in stream])
        alone += [place for pair in zip_longest(*shares, fillvalue=()) for batch in pair for place in batch]
    assert len(seen) == len(WINDOWS)
    assert set(seen) == WINDOWS
    assert seen == alone


def test_windows_are_those_of_a_dataset(folders):
    clips = [make_clip(i, n) for i, n in enumerate(LENGTHS)]
    wanted = {}
    for batch in Dataset(clips).passes(1):
        wanted[places(batch)[0]] = batch
    stream = ClipStream(folders[2], batch_size=3, seed=0, epochs=1)
    for batch in stream:
        for i, place in enumerate(places(batch)):
            for name in ("mfcc", "landmarks", "mask"):
                assert torch.equal(getattr(batch, name)[i], getattr(wanted[place], name)[0])
            t = int(batch.example[i, 0, 0])
            np.testing.assert_array_equal(batch.example[i], clips[place[0]].landmarks[t])


def test_order_is_a_matter_of_the_seed(folders):
    def order(seed):
        return places_of_all(ClipStream(folders[2], batch_size=4, seed=seed, epochs=1))

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != sorted(order(1))
    assert sorted(order(1)) == sorted(order(2))


def test_every_epoch_goes_through_the_files_in_another_order(folders):
    options = {"batch_size": 1, "seed": 0, "epochs": 1, "shuffle_buffer": 1}
    streams = [ClipStream(folders[5], first_epoch=epoch, **options) for epoch in range(8)]
    assert len({places(next(iter(stream)))[0][0] % 5 for stream in streams}) > 2


def test_batches_run_on_from_epoch_to_epoch(folders):
    whole = ClipStream(folders[2], batch_size=7, seed=1)
    endless = places_of_all(islice(whole, 9))
    assert len(endless) == 9 * 7
    n = len(WINDOWS)
    by_epoch = [endless[:n], endless[n : 2 * n]]
    for epoch, seen in enumerate(by_epoch):
        assert set(seen) == WINDOWS
        assert seen == places_of_all(
            ClipStream(folders[2], batch_size=4, seed=1, first_epoch=epoch, epochs=1)
        )
    two = [places(batch) for batch in ClipStream(folders[2], batch_size=7, seed=1, epochs=2)]
    assert [len(batch) for batch in two] == [7] * (2 * n // 7) + [2 * n % 7]


def test_more_workers_than_clips_do_not_starve(monkeypatch, tmp_path):
    write(tmp_path, 1, lengths=(20, 20))
    for rank in range(5):
        stream = ClipStream(tmp_path, batch_size=3, seed=0, rank=rank, ranks=5)
        assert len(places_of_all(islice(stream, 2))) == 6


def test_example_frames_come_from_all_over_the_clip(tmp_path):
    write(tmp_path, 1, lengths=(64,))
    stream = ClipStream(tmp_path, batch_size=4, seed=0, epochs=40)
    shown = {t for batch in stream for t in batch.example[:, 0, 0].tolist()}
    assert len(shown) > 40
    assert max(shown) > 58


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_clips_are_held_than_the_buffer(monkeypatch, tmp_path, frames, workers):
    write(tmp_path, 2, lengths=(40,) * 24, side=4)
    alive, most = weakref.WeakValueDictionary(), 0
    load = streaming.Features.of

    def counted(clip, needs, where):
        nonlocal most
        kept = clip.frames if frames else clip.landmarks
        alive[id(kept)] = kept
        most = max(most, len(alive))
        return load(clip, needs, where)

    monkeypatch.setattr(streaming.Features, "of", counted)
    as_worker(monkeypatch, 0, workers)
    stream = ClipStream(
        tmp_path, batch_size=8, seed=0, epochs=2, shuffle_buffer=6, needs=Needs(pictures=frames)
    )
    assert len(places_of_all(stream)) == 2 * 24 * 3 // workers
    assert most == 6 // workers


def test_the_buffer_can_be_bounded_by_bytes(monkeypatch, tmp_path):
    write(tmp_path, 1, lengths=(16,) * 12, side=8)
    alive, most = weakref.WeakValueDictionary(), 0
    load = streaming.Features.of

    def counted(clip, needs, where):
        nonlocal most
        alive[id(clip.frames)] = clip.frames
        most = max(most, len(alive))
        return load(clip, needs, where)

    monkeypatch.setattr(streaming.Features, "of", counted)
    one = 16 * 8 * 8 * 3 + 16 * 68 * 2 * 4 + (4 * 15 + 28) * 12 * 4
    stream = ClipStream(
        tmp_path, batch_size=1, seed=0, epochs=1, needs=Needs(pictures=True), shuffle_bytes=3 * one
    )
    assert len(places_of_all(stream)) == 12
    assert most == 3


def test_pictures_come_with_their_windows(tmp_path):
    write(tmp_path, 2, side=6)
    seen = []
    for batch in ClipStream(tmp_path, batch_size=4, seed=0, epochs=1, needs=Needs(pictures=True)):
        batch = batch.to("cpu")
        assert batch.pictures is not None
        n = len(batch.mask)
        assert batch.pictures.shape == (n, 16, 6, 6, 3)
        assert batch.photograph.shape == (n, 6, 6, 3)
        assert batch.pictures.dtype == batch.photograph.dtype == torch.uint8
        for i, (clip, start) in enumerate(places(batch)):
            frames = make_clip(clip, LENGTHS[clip], side=6).frames
            found = frames[start : start + 16]
            np.testing.assert_array_equal(batch.pictures[i, : len(found)], found)
            assert not batch.pictures[i, len(found) :].any()
            np.testing.assert_array_equal(batch.photograph[i], frames[int(batch.example[i, 0, 0])])
        seen += places(batch)
    assert sorted(seen) == sorted(WINDOWS)


def test_folders_of_clip_files_and_lists_of_files_are_streamed_too(tmp_path):
    for i, n in enumerate(LENGTHS):
        make_clip(i, n).save(tmp_path / f"{i:03d}.safetensors")
    for source in (tmp_path, sorted(tmp_path.iterdir())):
        seen = []
        for rank in (0, 1, 2):
            seen += places_of_all(ClipStream(source, batch_size=4, seed=0, epochs=1, rank=rank, ranks=3))
        assert sorted(seen) == sorted(WINDOWS)


def broken(folder):
    write(folder, 2)
    path = folder / "001.tar"
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    return ClipStream(folder, batch_size=4, seed=0, epochs=1)


def test_a_broken_shard_is_one_line_in_the_main_process(tmp_path):
    stream = broken(tmp_path)
    with pytest.raises(InputError) as alone:
        list(stream)
    line = str(alone.value)
    assert "001.tar, clip clip009" in line
    with pytest.raises(InputError) as from_worker:
        list(DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="fork"))
    assert str(from_worker.value) == line
    assert from_worker.value.expected == alone.value.expected


def test_bad_arguments_and_clips(tmp_path):
    write(tmp_path / "plain", 1, lengths=(20,))
    with pytest.raises(InputError, match="no pictures"):
        list(ClipStream(tmp_path / "plain", batch_size=1, seed=0, epochs=1, needs=Needs(pictures=True)))
    write_shard(tmp_path / "a.tar", [("a", make_clip(0, 20, side=4)), ("b", make_clip(1, 20, side=6))])
    with pytest.raises(InputError, match=r"a\.tar, clip .: got pictures of"):
        list(ClipStream(tmp_path / "a.tar", batch_size=1, seed=0, epochs=1, needs=Needs(pictures=True)))
    for name, value in (("batch_size", 0), ("window", 0), ("rank", 1), ("ranks", 0), ("shuffle_buffer", 0)):
        with pytest.raises(InputError, match=name):
            ClipStream(tmp_path, **{"batch_size": 1, "seed": 0, name: value})
    with pytest.raises(InputError, match="no such folder"):
        ClipStream(tmp_path / "nowhere", batch_size=1, seed=0)
    with pytest.raises(InputError, match="0 files"):
        ClipStream([], batch_size=1, seed=0)
