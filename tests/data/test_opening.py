"""One way to open data: in memory or as a stream, by size or as asked, with the same facts of the clips."""

import numpy as np
import pytest

from talkface_lite.clip import Clip, Interval
from talkface_lite.data import opening
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import FORMAT, Features, digest_of
from talkface_lite.data.needs import DataSettings, Needs
from talkface_lite.data.opening import StreamedDataset, open_dataset
from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_tensors

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


def spoken_clip(*words: tuple[str, float, float], n: int = 20) -> Features:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4 * (n - 1) + 28, 12)).astype(np.float32)
    landmarks = rng.uniform(20, 100, (n, 68, 2)).astype(np.float32)
    return Features(rows=rows, landmarks=landmarks, words=tuple(Interval(*word) for word in words))


def test_the_word_of_a_window_is_the_one_most_of_it_is_spoken_in():
    clip = spoken_clip(("one", 0.04, 0.16), ("other", 0.16, 0.2), ("two", 0.2, 0.44))
    data = Dataset([clip], needs=Needs(window=8, words=("two", "one")))
    batch = data.batch([(0, 0, 0), (0, 4, 0), (0, 12, 0)])
    # frames 1-3 are "one", 5-10 are "two"; what is not in the vocabulary is no word
    assert batch.word.tolist() == [1, 0, -1]  # in the first window three frames of each: the first counts
    assert batch.spoken[0].nonzero().flatten().tolist() == [1, 2, 3]
    assert batch.spoken[1].nonzero().flatten().tolist() == [1, 2, 3, 4, 5, 6]
    assert not batch.spoken[2].any()
    assert Dataset([clip], needs=Needs(window=8)).batch([(0, 0, 0)]).word is None


@pytest.mark.parametrize(("window", "starts"), [(8, range(3, 6)), (4, range(5, 8))])
def test_windows_are_laid_around_a_word(window, starts):
    # the word is frames 5-10, six of them: a window of 8 holds it whole, one of 4 lies within it
    data = Dataset([spoken_clip(("two", 0.2, 0.44))], needs=Needs(window=window, words=("two",)))
    seen = {data._draw(0, np.random.default_rng(seed))[1] for seed in range(60)}
    assert seen == set(starts)


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_a_clip_without_pictures_is_refused_when_the_data_are_opened(tmp_path, streaming):
    fill(tmp_path, frames=True)
    path = tmp_path / "1.safetensors"
    clip = Clip.load(path)
    Clip(frames=None, landmarks=clip.landmarks, speech=clip.speech).save(path)
    with pytest.raises(InputError, match=r"1\.safetensors: got no pictures"):
        open_dataset(tmp_path, Needs(pictures=True), DataSettings(streaming=streaming))
    assert len(open_dataset(tmp_path, Needs(), DataSettings(streaming=streaming))) == 3


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_pictures_of_another_side_anywhere_are_refused_when_the_data_are_opened(tmp_path, streaming):
    fill(tmp_path, frames=True)
    clip = Clip.load(tmp_path / "1.safetensors")
    small = Clip(frames=clip.frames[:, ::2, ::2].copy(), landmarks=clip.landmarks, speech=clip.speech)
    small.save(tmp_path / "1.safetensors")
    with pytest.raises(InputError, match=r"1\.safetensors: got pictures of"):
        open_dataset(tmp_path, Needs(pictures=True), DataSettings(streaming=streaming))


def test_saved_features_are_not_streamed(tmp_path, monkeypatch):
    data = Dataset.from_folder(fill(tmp_path / "clips"))
    path = data.save(tmp_path / "features" / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors: got saved features, expected clips or shards"):
        open_dataset(path.parent, settings=DataSettings(streaming="always"))
    monkeypatch.setattr(opening, "IN_MEMORY", 1)
    opened = open_dataset(path.parent)
    assert isinstance(opened, Dataset), "however large they are"
    np.testing.assert_array_equal(opened.batch([(0, 0, 0)]).mfcc, data.batch([(0, 0, 0)]).mfcc)
    path.rename(tmp_path / "clips" / "9.safetensors")
    with pytest.raises(InputError, match=r"9\.safetensors: got saved features"):
        open_dataset(tmp_path / "clips")


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        ({"clips": 3}, {}),
        ({"clips": []}, {}),
        ({"clips": [[1]]}, {}),
        ({"clips": [["a", "b", "c", "d"]]}, {}),
        ({"clips": [[0, 0, "", ""]]}, {}),
        ({"clips": [[10_000, 2_494, "", ""]]}, {}),
        ({"clips": [[84, 15, "", "", [["two"]]]]}, {}),
        ({"clips": None}, {}),
        ({}, {"rows": np.zeros((84, 5), np.float32)}),
        ({}, {"rows": np.zeros((84, 12), np.int32)}),
        ({}, {"landmarks": np.zeros((15, 60, 2), np.float32)}),
        ({}, {"landmarks": np.zeros((10, 68, 2), np.float32)}),
        ({}, {"landmarks": None}),
    ],
)
def test_saved_features_of_odd_contents(tmp_path, about, tensors):
    clip = spoken_clip(n=15)
    path = Dataset([clip]).save(tmp_path / "a.safetensors")
    told, found = read_tensors(path, key="features", text=FORMAT, what="features")
    found = {name: value for name, value in (found | tensors).items() if value is not None}
    write_tensors(path, found, told | about, key="features", text=FORMAT)
    with pytest.raises(InputError, match=r"a\.safetensors: got features that do not fit together"):
        open_dataset(path)


@pytest.mark.parametrize("bad", [{"rows": 3}, {"window": 0}, {"side": 0}])
def test_needs_that_nothing_can_meet(bad):
    (name,) = bad
    with pytest.raises(InputError, match=rf"needs\.{name}: got {bad[name]}, expected at least"):
        Needs(**bad)
    assert Needs(rows=4, window=1, side=1)


@pytest.mark.parametrize("streaming", ["never", "always"])
@pytest.mark.parametrize("frames", [False, True])
def test_clips_that_say_no_word_of_the_vocabulary(tmp_path, streaming, frames):
    settings = DataSettings(streaming=streaming)
    fill(tmp_path, frames)
    path = tmp_path / "1.safetensors"
    clip = Clip.load(path)
    for said, known in (("two", False), ("one", True)):
        words = (Interval(said, 0.04, 0.2),)
        Clip(frames=clip.frames, landmarks=clip.landmarks, speech=clip.speech, words=words).save(path)
        needs = Needs(pictures=frames, words=("one", "three"), otherwise=", or nobody who reads")
        if known:
            assert len(open_dataset(tmp_path, needs, settings)) == 3, "one clip with one word will do"
            continue
        line = f"{tmp_path}: got no clip with a word of the vocabulary, expected 'one', for one, or nobody"
        with pytest.raises(InputError, match=line):
            open_dataset(tmp_path, needs, settings)
