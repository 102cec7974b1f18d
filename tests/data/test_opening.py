"""One way to open data: in memory or as a stream, by size or as asked, with the same facts of the clips."""

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.data import opening
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import digest_of
from talkface_lite.data.needs import DataSettings, Needs
from talkface_lite.data.opening import StreamedDataset, open_dataset
from talkface_lite.errors import InputError

LENGTHS = (5, 9, 14)


def fill(folder, frames: bool = False):
    rng = np.random.default_rng(0)
    for i, n in enumerate(LENGTHS):
        Clip(
            frames=rng.integers(0, 256, (n, 128, 128, 3), np.uint8) if frames else None,
            landmarks=rng.uniform(20, 100, (n, 68, 2)).astype(np.float32),
            speech=(0.1 * rng.standard_normal(640 * n)).astype(np.float32),
        ).save(folder / f"{i}.safetensors")
    return folder


@pytest.mark.parametrize("frames", [False, True])
def test_a_stream_knows_of_its_clips_what_a_dataset_knows(tmp_path, frames):
    needs, settings = Needs(pictures=frames, previous=frames), DataSettings(window=4, streaming="always")
    fill(tmp_path, frames)
    stream = open_dataset(tmp_path, needs, settings)
    held = open_dataset(tmp_path, needs, DataSettings(window=4, streaming="never"))
    assert isinstance(stream, StreamedDataset)
    assert isinstance(held, Dataset)
    for name in ("window", "n_frames", "digest", "needs"):
        assert getattr(stream, name) == getattr(held, name), name
    assert (len(stream), stream.n_frames) == (3, sum(LENGTHS))
    assert stream.n_windows == held.items_per_epoch == 2 + 3 + 4
    for name, value in held.statistics().items():
        np.testing.assert_array_equal(stream.statistics()[name], value)
    batch = next(stream.batches(2, 0))
    assert batch.landmarks.shape == (2, 4, 68, 2)
    assert (batch.pictures is not None) == frames


@pytest.mark.parametrize("frames", [False, True])
def test_what_is_too_large_for_memory_is_streamed(tmp_path, monkeypatch, frames):
    fill(tmp_path, frames)
    needs = Needs(pictures=frames, previous=frames)
    first = Dataset.from_folder(tmp_path / "0.safetensors").clips[0]
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    wanted = (first.rows.nbytes + first.landmarks.nbytes) * sum(sizes) / sizes[0]
    for room, streamed in [(wanted + 1, False), (wanted - 1, True)]:
        monkeypatch.setattr(opening, "IN_MEMORY", room)
        assert isinstance(open_dataset(tmp_path, needs), StreamedDataset) == streamed


def test_the_fingerprint_is_of_names_below_the_folder_and_sizes(tmp_path):
    for place in ("a", "b"):
        fill(tmp_path / place)
    same = digest_of(tmp_path / "a")
    assert same == digest_of(tmp_path / "b")
    assert len(same) == 16
    path = tmp_path / "b" / "0.safetensors"
    path.rename(tmp_path / "b" / "9.safetensors")
    assert digest_of(tmp_path / "b") != same
    (tmp_path / "b" / "deep").mkdir()
    (tmp_path / "b" / "9.safetensors").rename(tmp_path / "b" / "deep" / "0.safetensors")
    assert digest_of(tmp_path / "b") != same
    assert digest_of([tmp_path / "a", tmp_path / "a"]) != same


def test_the_ends_of_what_settings_may_be():
    for good in ({"camera": 0.0}, {"camera": 2.0}, {"closed_examples": 1.0}, {"window": 1}, {"workers": 0}):
        assert DataSettings(**good)
    wrong = ({"camera": 2.1}, {"camera": -0.1}, {"closed_examples": 1.1}, {"window": 0}, {"workers": -1})
    for bad in (*wrong, {"mfcc_shift": -1.0}, {"mfcc_shift": float("nan")}, {"streaming": "often"}):
        with pytest.raises(InputError, match=next(iter(bad))):
            DataSettings(**bad)
