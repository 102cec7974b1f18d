import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import Features, clip_files, read_clips, read_features, rows_of
from talkface_lite.errors import InputError
from talkface_lite.shards import write_shard
from talkface_lite.speech import fit_to_frames, mfcc_windows

torch.set_num_threads(1)


def make_clip(n_frames, seed):
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(10, 110, (n_frames, 68, 2)).astype(np.float32)
    landmarks[:, 0, 0], landmarks[:, 0, 1] = np.arange(n_frames), seed
    speech = (0.2 * rng.standard_normal(640 * n_frames)).clip(-1, 1).astype(np.float32)
    return Clip(frames=None, landmarks=landmarks, speech=speech, identity=f"person {seed}", source="made")


@pytest.fixture(scope="module")
def clips():
    return [make_clip(n, seed) for seed, n in enumerate((5, 40, 16, 33))]


@pytest.fixture(scope="module")
def dataset(clips):
    return Dataset(clips, window=16)


def test_windows_survive_being_stored_as_rows(clips):
    for clip in (*clips, make_clip(1, 9)):
        windows = mfcc_windows(clip.speech)
        features = Features.of(clip)
        assert features.rows.shape == (4 * (len(clip) - 1) + 28, 12)
        np.testing.assert_array_equal(features.windows(), windows)
        np.testing.assert_array_equal(features.windows(2, 4), windows[2:4])
        np.testing.assert_array_equal(rows_of(windows), features.rows)


def test_a_batch_holds_what_its_places_say(dataset, clips):
    batch = dataset.batch([(1, 7, 3), (0, 0, 4)])
    assert batch.mfcc.shape == (2, 16, 28, 12)
    assert batch.landmarks.shape == (2, 16, 68, 2)
    np.testing.assert_array_equal(batch.landmarks[0], clips[1].landmarks[7:23])
    np.testing.assert_array_equal(batch.mfcc[0], mfcc_windows(clips[1].speech)[7:23])
    np.testing.assert_array_equal(batch.example, [clips[1].landmarks[3], clips[0].landmarks[4]])
    assert batch.mask.tolist() == [[True] * 16, [True] * 5 + [False] * 11]
    np.testing.assert_array_equal(batch.landmarks[1, :5], clips[0].landmarks)


def test_a_pass_holds_every_frame_once(dataset, clips):
    seen = []
    for batch in dataset.passes(3):
        for landmarks, mask in zip(batch.landmarks, batch.mask):
            seen += [(int(y), int(x)) for x, y in landmarks[mask][:, 0].tolist()]
    assert sorted(seen) == [(i, t) for i, clip in enumerate(clips) for t in range(len(clip))]


def test_one_epoch_visits_every_clip_in_proportion_and_drops_none(dataset, clips):
    assert dataset.items_per_epoch == 1 + 3 + 1 + 3
    one_by_one = list(islice(dataset.batches(1, seed=0), 8))
    people = sorted(int(batch.landmarks[0, 0, 0, 1]) for batch in one_by_one)
    assert people == [0, 1, 1, 1, 2, 3, 3, 3]
    # batches of 3 run on over the end of an epoch of 8
    in_threes = torch.cat([batch.landmarks for batch in islice(dataset.batches(3, seed=0), 4)])
    in_ones = torch.cat([batch.landmarks for batch in islice(dataset.batches(1, seed=0), 12)])
    assert torch.equal(in_threes, in_ones)


def test_the_stream_depends_on_seed_and_step_alone(dataset):
    full = list(islice(dataset.batches(4, seed=7), 10))
    later = list(islice(dataset.batches(4, seed=7, first_step=6), 4))
    for a, b in zip(full[6:], later):
        assert all(torch.equal(x, y) for x, y in zip(a.present().values(), b.present().values()))
    other = next(dataset.batches(4, seed=8))
    assert not torch.equal(full[0].landmarks, other.landmarks)


def test_windows_start_anywhere_and_examples_come_from_the_same_clip(dataset):
    starts, shown = set(), set()
    for batch in islice(dataset.batches(4, seed=0), 60):
        for landmarks, example in zip(batch.landmarks, batch.example):
            assert landmarks[0, 0, 1] == example[0, 1]
            if landmarks[0, 0, 1] == 1:
                starts.add(int(landmarks[0, 0, 0]))
                shown.add(int(example[0, 0]))
    assert min(starts) == 0
    assert max(starts) == 40 - 16
    assert len(shown) > 30


def test_processes_share_each_pass(dataset):
    whole = list(islice(dataset.batches(2, seed=3), 4))
    parts = [list(islice(dataset.batches(2, seed=3, rank=r, ranks=2), 2)) for r in (0, 1)]
    for step in range(2):
        for rank in (0, 1):
            assert torch.equal(parts[rank][step].landmarks, whole[2 * step + rank].landmarks)


def test_statistics(dataset):
    rows = np.concatenate([clip.rows for clip in dataset.clips])
    statistics = dataset.statistics()
    np.testing.assert_allclose(statistics["mfcc_mean"], rows.mean(0), atol=1e-4)
    np.testing.assert_allclose(statistics["mfcc_std"], rows.std(0), rtol=1e-4)
    faces = np.concatenate([clip.landmarks for clip in dataset.clips]).reshape(-1, 136)
    assert statistics["landmark_mean"].dtype == statistics["landmark_std"].dtype == np.float32
    np.testing.assert_allclose(statistics["landmark_mean"], faces.mean(0) / 64 - 1, atol=1e-5)
    np.testing.assert_allclose(statistics["landmark_std"], faces.std(0) / 64, rtol=1e-4)
    still = Dataset([replace(dataset.clips[0], landmarks=np.full((5, 68, 2), 64, np.float32))])
    assert (still.statistics()["landmark_std"] == np.float32(1e-3)).all()


def test_folders_of_clips_and_saved_features_hold_the_same(tmp_path, clips, dataset):
    for i, clip in enumerate(clips):
        clip.save(tmp_path / "clips" / f"{i:03d}.safetensors")
    dataset.save(tmp_path / "features" / "all.safetensors")
    for part in (0, 1):
        keyed = [(f"{i:03d}", clip) for i, clip in enumerate(clips)][2 * part :][:2]
        write_shard(tmp_path / "shards" / f"{part}.tar", keyed)
    shutil.copytree(tmp_path / "shards", tmp_path / "both")
    (tmp_path / "both" / "1.tar").unlink()
    for i in (2, 3):
        shutil.copy(tmp_path / "clips" / f"{i:03d}.safetensors", tmp_path / "both")
    for folder in ("shards", "both", "clips"):
        for clip, expected in zip(read_clips(tmp_path / folder), clips, strict=True):
            np.testing.assert_array_equal(clip.speech, expected.speech)
    for folder in ("clips", "features", "features/all.safetensors", "shards", "both"):
        read = read_features(tmp_path / folder)
        assert [f.identity for f in read] == [c.identity for c in clips]
        for features, expected in zip(read, dataset.clips):
            np.testing.assert_array_equal(features.rows, expected.rows)
            np.testing.assert_array_equal(features.landmarks, expected.landmarks)


def test_bad_folders(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Dataset.from_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no clip in it"):
        clip_files(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"not a clip")
    with pytest.raises(InputError, match="broken"):
        Dataset.from_folder(tmp_path)
    (tmp_path / "broken.safetensors").rename(tmp_path / "broken.tar")
    with pytest.raises(InputError, match=r"broken\.tar"):
        Dataset.from_folder(tmp_path)
    with pytest.raises(InputError, match="0 clips"):
        Dataset([])


def test_padding_to_whole_frames():
    assert len(fit_to_frames(np.ones(641, np.float32))) == 1280
    assert len(fit_to_frames(np.ones(640, np.float32))) == 640
    with pytest.raises(InputError):
        fit_to_frames(np.zeros(0, np.float32))


def test_another_microphone_shifts_all_rows_of_a_window_alike(dataset):
    plain = next(dataset.batches(4, seed=5))
    moved = Dataset(dataset.clips, window=16, mfcc_shift=0.3)
    shifted = next(moved.batches(4, seed=5))
    shift = shifted.mfcc - plain.mfcc
    assert torch.equal(plain.landmarks, shifted.landmarks)
    torch.testing.assert_close(shift, shift[:, :1, :1].expand_as(shift), atol=1e-4, rtol=0)
    many = torch.cat([b.mfcc[:, 0, 0] for b in islice(moved.batches(50, seed=5), 20)])
    many -= torch.cat([b.mfcc[:, 0, 0] for b in islice(dataset.batches(50, seed=5), 20)])
    np.testing.assert_allclose(many.std(0), 0.3 * dataset.statistics()["mfcc_std"], rtol=0.15)


def test_examples_with_closed_lips(dataset):
    from talkface_lite.landmarks import lip_opening

    def share(closed_examples):
        shown = []
        drawn = Dataset(dataset.clips, window=16, closed_examples=closed_examples)
        for batch in islice(drawn.batches(8, seed=1), 30):
            for example in batch.example.numpy():
                faces = dataset.clips[int(example[0, 1])].landmarks
                shown.append(lip_opening(example) == lip_opening(faces).min())
        return np.mean(shown)

    assert share(0.0) < 0.15
    assert 0.4 < share(0.5) < 0.7
    assert share(1.0) == 1
