"""What a part asks of a batch, and the one way to open data."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from talkface_lite.clip import Clip
from talkface_lite.data import opening
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import Features, digest_of, read_clips, save_features
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.opening import StreamedDataset, open_dataset
from talkface_lite.data.pictures import PictureDataset
from talkface_lite.data.streaming import ClipStream
from talkface_lite.errors import InputError
from talkface_lite.landmarks import mirror
from talkface_lite.shards import write_shard
from talkface_lite.speech import mfcc_windows, recipe

torch.set_num_threads(1)

SAID = (("bin", 0.0, 0.2), ("blue", 0.2, 0.52), ("at", 0.52, 0.6), ("blue", 0.6, 0.8))
N_FRAMES = 20


def make_clip(seed=0, side=8, n=N_FRAMES, words=SAID):
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(10, 110, (n, 68, 2)).astype(np.float32)
    landmarks[:, 0, 0], landmarks[:, 0, 1] = np.arange(n), seed
    return Clip(
        frames=rng.integers(0, 256, (n, side, side, 3), np.uint8),
        landmarks=landmarks,
        speech=(0.2 * rng.standard_normal(640 * n)).clip(-1, 1).astype(np.float32),
        words=words,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(3):
        make_clip(seed).save(folder / f"{seed}.safetensors")
    write_shard(folder / "more.tar", [("a", make_clip(3)), ("b", make_clip(4))])
    return folder


def starts(batch):
    return batch.landmarks[:, 0, 0, 0].int().tolist()


def test_windows_are_laid_around_a_word_of_the_vocabulary():
    needs = Needs(words=("blue", "red"), window=10)
    dataset = Dataset([make_clip()], needs=needs)
    seen = set()
    for batch in islice(dataset.batches(4, seed=0), 40):
        assert (batch.word == 0).all()
        for start, spoken in zip(starts(batch), batch.spoken.tolist()):
            seen.add(start)
            times = (start + np.arange(10) + 0.5) / 25
            inside = [((a <= times) & (times < b)) for label, a, b in SAID if label == "blue"]
            assert spoken in [frames.tolist() for frames in inside]
            assert sum(spoken) in (5, 8), "the whole word"
    # frames 5 to 12 within ten frames, or 15 to 19
    assert seen == {3, 4, 5} | {10}


def test_a_word_longer_than_the_window_and_clips_without_one():
    needs = Needs(words=("blue",), window=4)
    dataset = Dataset([make_clip(words=(("blue", 0.2, 0.52),))], needs=needs)
    for batch in islice(dataset.batches(4, seed=0), 10):
        assert all(5 <= start <= 9 for start in starts(batch))
        assert batch.spoken.all()
    silent = Dataset([make_clip(words=(("red", 0.2, 0.5),))], needs=needs)
    batch = next(silent.batches(4, seed=0))
    assert batch.word.tolist() == [-1] * 4
    assert not batch.spoken.any()
    assert Dataset([make_clip()]).batch([(0, 0, 0)]).word is None


def test_the_picture_before_the_window(folder):
    needs = Needs(pictures=True, previous=True, side=8, window=5)
    dataset = open_dataset(folder, needs)
    assert isinstance(dataset, PictureDataset)
    batch = dataset.batch([(1, 7, 2), (2, 0, 3), (3, 4, 0)])
    for i, (seed, before) in enumerate(((1, 6), (2, 0), (3, 3))):
        np.testing.assert_array_equal(batch.previous[i], make_clip(seed).frames[before])
    with pytest.raises(InputError, match="pictures, too"):
        Needs(previous=True)


def test_mirroring_and_camera_take_the_previous_picture_along(folder):
    needs = Needs(pictures=True, previous=True, side=8, window=5)
    plain = open_dataset(folder, needs)
    mirrored = open_dataset(folder, needs, DataSettings(mirrored=True, camera=1.0))
    turned = 0
    for a, b in islice(zip(plain.batches(4, seed=0), mirrored.batches(4, seed=0)), 8):
        for i in range(4):
            if torch.equal(b.pictures[i], a.pictures[i].flip(-2)):
                assert torch.equal(b.previous[i], a.previous[i].flip(-2))
                turned += 1
    assert turned > 2


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_windows_without_pictures_are_mirrored_too(folder, streaming):
    settings = DataSettings(mirrored=True, streaming=streaming)
    batches = list(islice(open_dataset(folder, Needs(window=5), settings).batches(4, seed=0), 8))
    truth = np.concatenate([clip.landmarks for clip in read_clips(folder)])
    mirrored = 0
    for batch in batches:
        for points, example, mask in zip(batch.landmarks, batch.example, batch.mask):
            shown = np.concatenate([points[mask].numpy(), example.numpy()[None]])
            plain, turned = (
                [(one == known).all((1, 2)).any() for one in shown] for known in (truth, mirror(truth))
            )
            assert all(plain) != all(turned), "a window and its example, as they are or all of them mirrored"
            mirrored += all(turned)
    assert 8 <= mirrored <= 24, "one time in two of 32"


@pytest.mark.parametrize(("rows", "name"), [(35, "psf"), (28, "librosa"), (20, "syncnet")])
def test_a_part_hears_the_windows_that_it_asks_for(rows, name):
    clip = make_clip()
    dataset = Dataset([clip], needs=Needs(rows=rows, recipe=name, window=3))
    expected = mfcc_windows(clip.speech, rows=rows, settings=recipe(name))[4:7]
    np.testing.assert_array_equal(dataset.batch([(0, 4, 0)]).mfcc[0], expected)


def test_saved_features_for_other_needs_are_refused(tmp_path):
    clip = make_clip()
    path = save_features(tmp_path / "f.safetensors", [Features.of(clip)], Needs())
    again = open_dataset(path)
    np.testing.assert_array_equal(again.clips[0].rows, Features.of(clip).rows)
    assert again.clips[0].words == clip.words
    for needs, message in (
        (Needs(rows=35), "28 MFCC rows a frame, expected 35"),
        (Needs(recipe="librosa"), "MFCC of psf, expected MFCC of librosa"),
        (Needs(pictures=True, side=8), "a file of another kind"),
    ):
        with pytest.raises(InputError, match=message):
            open_dataset(path, needs, DataSettings(streaming="never"))


def test_pictures_of_another_side_are_refused(folder):
    def first_batch(streaming):
        opened = open_dataset(folder, Needs(pictures=True), DataSettings(streaming=streaming))
        return next(iter(opened.batches(2, seed=0)))

    for streaming in ("never", "always"):
        with pytest.raises(InputError, match="pictures of 8×8, expected 128×128"):
            first_batch(streaming)


@pytest.mark.parametrize("needs", [Needs(window=6), Needs(window=6, pictures=True, side=8)])
def test_workers_give_the_same_batches(folder, needs):
    settings = DataSettings(mfcc_shift=0.2, mirrored=True, closed_examples=0.3)
    alone = open_dataset(folder, needs, settings)
    shared = open_dataset(folder, needs, replace(settings, workers=2))
    for a, b in islice(zip(alone.batches(3, 1, first_step=2), shared.batches(3, 1, first_step=2)), 7):
        assert a.present().keys() == b.present().keys()
        assert all(torch.equal(value, getattr(b, name)) for name, value in a.present().items())


def test_an_error_in_a_worker_is_one_line(tmp_path):
    make_clip().save(tmp_path / "a.safetensors")
    dataset = open_dataset(tmp_path, Needs(pictures=True, side=8), DataSettings(workers=1))
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="a file that is not cut short") as caught:
        next(dataset.batches(2, seed=0))
    assert "\n" not in str(caught.value)


def test_streamed_data_are_the_same_windows(folder):
    needs = Needs(window=5, pictures=True, previous=True, side=8, words=("blue",))
    streamed = open_dataset(folder, needs, DataSettings(streaming="always"))
    whole = open_dataset(folder, needs)
    assert isinstance(streamed, StreamedDataset)
    assert (len(streamed), streamed.n_frames, streamed.digest) == (5, 5 * N_FRAMES, whole.digest)
    for name, value in whole.statistics().items():
        np.testing.assert_allclose(streamed.statistics()[name], value, rtol=1e-6)
    seen = {}
    for batch in islice(streamed.batches(4, seed=0), 5):  # 20 windows: one epoch
        for i in range(4):
            one = {name: value[i] for name, value in batch.present().items()}
            seen[int(one["landmarks"][0, 0, 1]), int(one["landmarks"][0, 0, 0])] = one
    assert len(seen) == 20
    for (seed, start), one in seen.items():
        expected = whole.batch([(seed, start, int(one["example"][0, 0]))])
        for name, value in one.items():
            assert torch.equal(value, getattr(expected, name)[0]), name


def test_a_streamed_run_goes_on_at_its_epoch(folder):
    streamed = open_dataset(folder, Needs(window=5), DataSettings(streaming="always"))
    stream = ClipStream(folder, batch_size=4, seed=0, window=5, first_epoch=2)
    second = next(iter(streamed.batches(4, seed=0, first_step=11)))  # 20 windows an epoch, 5 batches
    assert torch.equal(second.landmarks, next(iter(stream)).landmarks)


def test_streaming_is_chosen_by_size(folder, monkeypatch):
    assert isinstance(open_dataset(folder), Dataset)
    monkeypatch.setattr(opening, "IN_MEMORY", 1000)
    assert isinstance(open_dataset(folder), StreamedDataset)
    assert isinstance(open_dataset(folder, settings=DataSettings(streaming="never")), Dataset)


def test_varied_microphone_in_a_stream(folder):
    settings = DataSettings(streaming="always", mfcc_shift=0.5, window=N_FRAMES)
    plain = open_dataset(folder, settings=replace(settings, mfcc_shift=0.0))
    varied = next(iter(open_dataset(folder, settings=settings).batches(5, seed=0)))
    by_clip = {int(b.landmarks[0, 0, 0, 1]): b.mfcc[0] for b in islice(plain.batches(1, seed=0), 5)}
    for landmarks, mfcc in zip(varied.landmarks, varied.mfcc):
        shift = mfcc - by_clip[int(landmarks[0, 0, 1])]
        torch.testing.assert_close(shift, shift[:1, :1].expand_as(shift), atol=1e-4, rtol=0)
        assert shift.abs().max() > 0.05


def test_a_streamed_microphone_varies_as_much_as_one_in_memory(folder):
    settings = DataSettings(streaming="always", mfcc_shift=0.5, window=N_FRAMES)
    plain, varied = (
        open_dataset(folder, settings=replace(settings, mfcc_shift=strength)) for strength in (0.0, 0.5)
    )
    by_clip = {int(b.landmarks[0, 0, 0, 1]): b.mfcc[0, 0, 0] for b in islice(plain.batches(1, seed=0), 5)}
    shifts = [
        (b.mfcc[0, 0, 0] - by_clip[int(b.landmarks[0, 0, 0, 1])]).numpy()
        for b in islice(varied.batches(1, seed=0), 200)
    ]
    np.testing.assert_allclose(np.std(shifts, axis=0), 0.5 * varied.statistics()["mfcc_std"], rtol=0.2)


def test_the_digest_is_of_names_and_sizes(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / "same" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "same" / path.name).write_bytes(path.read_bytes())
    assert digest_of(tmp_path / "same") == digest_of(folder), "wherever the folder lies"
    (tmp_path / "same" / "0.safetensors").rename(tmp_path / "same" / "9.safetensors")
    assert digest_of(tmp_path / "same") != digest_of(folder)
    assert digest_of([folder, folder]) != digest_of(folder)
    assert Dataset([make_clip(0)]).digest == Dataset([make_clip(0)]).digest != Dataset([make_clip(1)]).digest


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window": 0}, "window: got 0"),
        ({"mfcc_shift": -0.1}, "mfcc_shift"),
        ({"mfcc_shift": float("nan")}, "mfcc_shift"),
        ({"closed_examples": 1.5}, "closed_examples"),
        ({"camera": 2.5}, "camera"),
        ({"streaming": "perhaps"}, "auto, always or never"),
        ({"workers": -1}, "workers"),
    ],
)
def test_wrong_settings(wrong, message):
    with pytest.raises(InputError, match=message):
        DataSettings(**wrong)


def test_a_batch_travels_and_joins():
    batch = Dataset([make_clip()], window=3).batch([(0, 0, 1), (0, 3, 2)])
    assert batch.to("cpu").present().keys() == {"mfcc", "landmarks", "example", "mask"}
    both = Batch.together([batch, batch])
    assert both.mfcc.shape[0] == 4
    assert both.pictures is None
    with pytest.raises(InputError, match="each word once"):
        Needs(words=("a", "a"))


def test_clips_are_read_without_their_pictures_unless_asked(folder):
    assert [clip.frames for clip in read_clips(folder)] == [None] * 5
    assert all(clip.frames.shape == (N_FRAMES, 8, 8, 3) for clip in read_clips(folder, frames=True))


def test_processes_share_a_streamed_epoch(folder):
    streamed = open_dataset(folder, Needs(window=5), DataSettings(streaming="always"))
    seen = []
    for rank in (0, 1):
        for batch in islice(streamed.batches(2, seed=0, rank=rank, ranks=2), 5):  # ten of the twenty windows
            seen += list(zip(batch.landmarks[:, 0, 0, 1].tolist(), starts(batch)))
    assert len(set(seen)) >= 18, "files are not of one length, so a rank may begin its second epoch"
    later = next(iter(streamed.batches(2, seed=0, first_step=12, rank=1, ranks=2)))  # 48 windows: epoch 2
    stream = ClipStream(folder, batch_size=2, seed=0, window=5, first_epoch=2, rank=1, ranks=2)
    assert torch.equal(later.landmarks, next(iter(stream)).landmarks)


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_landmarks_are_missed_by_as_much_as_asked(folder, streaming):
    """Each coordinate by itself, of the example and of each frame."""
    needs, settings = Needs(window=5), DataSettings(landmark_noise=0.5, streaming=streaming)
    truth = np.concatenate([clip.landmarks for clip in read_clips(folder)])
    noisy = open_dataset(folder, needs, settings)
    missed = {"landmarks": [], "example": []}
    for batch in islice(noisy.batches(4, seed=0), 6):
        for name, faces in (("landmarks", batch.landmarks[batch.mask]), ("example", batch.example)):
            off = faces.numpy()[:, None] - truth  # (N, frames, 68, 2)
            nearest = np.abs(off).mean((2, 3)).argmin(axis=1)
            missed[name].append(off[np.arange(len(off)), nearest])
    for found in missed.values():
        off = np.concatenate(found)
        assert off.std() == pytest.approx(0.5, rel=0.05)
        assert abs(off.mean()) < 0.03
        assert off.mean(axis=(1, 2)).std() < 0.1, "not the whole face together"
    again = open_dataset(folder, needs, settings)
    assert torch.equal(next(noisy.batches(4, seed=0)).landmarks, next(again.batches(4, seed=0)).landmarks)


def test_without_noise_the_windows_are_the_same_and_less_than_none_is_refused(folder):
    plain, noisy = (open_dataset(folder, Needs(), DataSettings(landmark_noise=n)) for n in (0.0, 0.5))
    for a, b in islice(zip(plain.batches(4, seed=0), noisy.batches(4, seed=0)), 3):
        assert torch.equal(a.mfcc, b.mfcc)
        assert torch.equal(a.mask, b.mask)
    with pytest.raises(InputError, match="landmark_noise: got -1, expected 0 or more"):
        DataSettings(landmark_noise=-1)
