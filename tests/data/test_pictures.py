"""Windows with their pictures, read from disk as they are needed."""

import multiprocessing
import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.data import pictures
from talkface_lite.data.dataset import Dataset, Features
from talkface_lite.data.needs import DataSettings, Needs
from talkface_lite.data.opening import open_dataset
from talkface_lite.data.pictures import PictureDataset, PicturePlace
from talkface_lite.errors import InputError
from talkface_lite.landmarks import COLOURS, draw_landmarks, mirror
from talkface_lite.shards import picture_places, write_shard

torch.set_num_threads(1)

LENGTHS = (5, 20, 9, 8, 13)
WINDOW = 8


def make_clip(number, n_frames, side=12):
    """Frame t of clip i carries (t, i) in its first landmark and in the first pixel."""
    rng = np.random.default_rng(number)
    landmarks = rng.uniform(10, 110, (n_frames, 68, 2)).astype(np.float32)
    landmarks[:, 0, 0], landmarks[:, 0, 1] = np.arange(n_frames), number
    frames = rng.integers(1, 256, (n_frames, side, side + 2, 3), np.uint8) if side else None
    if side:
        frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.arange(n_frames), number
    speech = rng.uniform(-0.5, 0.5, 640 * n_frames).astype(np.float32)
    return Clip(frames=frames, landmarks=landmarks, speech=speech, identity=f"person {number}")


@pytest.fixture(scope="module")
def clips():
    return [make_clip(i, n) for i, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, clips):
    """The same clips as files, as two shards, and half and half."""
    root = tmp_path_factory.mktemp("pictures")
    keyed = [(f"k{i}", clip) for i, clip in enumerate(clips)]
    for key, clip in keyed:
        clip.save(root / "files" / f"{key}.safetensors")
    write_shard(root / "shards" / "0.tar", keyed[:3])
    write_shard(root / "shards" / "1.tar", keyed[3:])
    write_shard(root / "both" / "0.tar", keyed[:3])
    for key, clip in keyed[3:]:
        clip.save(root / "both" / f"{key}.safetensors")
    return root


@pytest.fixture(scope="module")
def dataset(folders):
    return PictureDataset.from_folder(folders / "files", window=WINDOW)


def assert_same_batch(a, b):
    assert type(a) is type(b)
    for name, value in a.present().items():
        assert torch.equal(value, getattr(b, name)), name


@pytest.mark.parametrize("kind", ["files", "shards", "both"])
def test_pictures_are_those_of_the_clip_at_any_window_and_example(folders, clips, kind):
    dataset = PictureDataset.from_folder(folders / kind, window=WINDOW)
    assert [features.identity for features in dataset.clips] == [clip.identity for clip in clips]
    for index, clip in enumerate(clips):
        for start in range(len(clip)):
            shown = (start * 7 + 3) % len(clip)
            batch = dataset.batch([(index, start, shown), (0, 0, 4)])
            n = min(WINDOW, len(clip) - start)
            np.testing.assert_array_equal(batch.pictures[0, :n], clip.frames[start : start + n])
            assert not batch.pictures[0, n:].any()
            assert batch.mask[0].tolist() == [True] * n + [False] * (WINDOW - n)
            np.testing.assert_array_equal(batch.photograph[0], clip.frames[shown])
            np.testing.assert_array_equal(batch.example[0], clip.landmarks[shown])
            np.testing.assert_array_equal(batch.photograph[1], clips[0].frames[4])
    assert batch.pictures is not None
    assert batch.pictures.dtype == batch.photograph.dtype == torch.uint8
    assert batch.pictures.shape == (2, WINDOW, 12, 14, 3)


def test_several_folders_are_one(folders, clips):
    parts = [folders / "shards" / "0.tar", folders / "both" / "k3.safetensors"]
    dataset = PictureDataset.from_folder(parts, window=WINDOW)
    assert [features.identity for features in dataset.clips] == [f"person {i}" for i in range(4)]
    np.testing.assert_array_equal(dataset.batch([(3, 0, 2)]).photograph[0], clips[3].frames[2])


def test_landmarks_and_speech_are_those_of_a_dataset_without_pictures(folders, dataset):
    plain = Dataset.from_folder(folders / "files", window=WINDOW)
    for ours, theirs in islice(zip(dataset.batches(3, seed=1), plain.batches(3, seed=1)), 5):
        for name, value in theirs.present().items():
            assert torch.equal(value, getattr(ours, name)), name


def varied(folders, **options):
    return PictureDataset.from_folder(folders / "files", window=WINDOW, camera=1.0, mirrored=True, **options)


def test_the_stream_depends_on_seed_and_step_alone(folders):
    dataset = varied(folders)
    full = list(islice(dataset.batches(4, seed=7), 8))
    later = list(islice(varied(folders).batches(4, seed=7, first_step=5), 3))
    for a, b in zip(full[5:], later):
        assert_same_batch(a, b)
    # nor do neighbours in the batch matter to the camera
    alone = list(islice(dataset.batches(1, seed=7), 4))
    assert torch.equal(torch.cat([batch.pictures for batch in alone]), full[0].pictures)
    assert not torch.equal(next(dataset.batches(4, seed=8)).pictures, full[0].pictures)
    # other settings of the stream leave the pictures as they are
    closed = next(dataset.batches(4, seed=7))
    assert_same_batch(closed, full[0])


def test_processes_share_each_pass(dataset):
    per_pass = dataset.items_per_epoch
    assert per_pass == sum(-(-n // WINDOW) for n in LENGTHS) == 9
    seen = []
    for rank in range(3):
        for batch in islice(dataset.batches(1, seed=3, rank=rank, ranks=3), 3):
            seen.append((int(batch.pictures[0, 0, 0, 0, 1]), rank))
    assert sorted(number for number, _ in seen) == [0, 1, 1, 1, 2, 2, 3, 4, 4]
    whole = list(islice(dataset.batches(2, seed=3), 4))
    parts = [list(islice(dataset.batches(2, seed=3, rank=r, ranks=2), 2)) for r in (0, 1)]
    for step in range(2):
        for rank in (0, 1):
            assert_same_batch(parts[rank][step], whole[2 * step + rank])


def test_a_pass_holds_every_picture_once_as_it_is(folders, clips):
    seen = []
    for batch in varied(folders).passes(2, example=3):
        for frames, mask, photograph in zip(batch.pictures, batch.mask, batch.photograph):
            seen += [(int(i), int(t)) for t, i in frames[mask][:, 0, 0, :2].tolist()]
            i = int(frames[0, 0, 0, 1])
            np.testing.assert_array_equal(photograph, clips[i].frames[3])
    assert seen == [(i, t) for i, n in enumerate(LENGTHS) for t in range(n)]


def still_dataset(tmp_path, **options):
    """One clip of two, whose pictures are all alike; its window is longer than itself."""
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 190, (1, 16, 16, 3)).astype(np.uint8)
    clip = make_clip(0, 5, side=0)
    still = Clip(frames=picture.repeat(5, 0), landmarks=clip.landmarks, speech=clip.speech)
    still.save(tmp_path / "still.safetensors")
    return PictureDataset.from_folder(tmp_path, window=7, **options), picture[0]


def test_one_camera_takes_photograph_and_film(tmp_path):
    dataset, picture = still_dataset(tmp_path, camera=1.0)
    plain, _ = still_dataset(tmp_path)
    n_filmed, looks = 0, set()
    for batch, before in islice(zip(dataset.batches(4, seed=0), plain.batches(4, seed=0)), 25):
        assert torch.equal(batch.landmarks, before.landmarks)
        assert torch.equal(batch.example, before.example)
        for frames, photograph in zip(batch.pictures, batch.photograph):
            assert (frames[:5] == photograph).all()
            assert (frames[5:] == 0).all()  # padding stays black
            n_filmed += not np.array_equal(photograph, picture)
            looks.add(photograph.numpy().tobytes())
    assert 35 <= n_filmed <= 65
    assert len(looks) == n_filmed + 1


def test_mirroring_is_exact_and_takes_picture_and_points_alike(folders, clips):
    mirroring = PictureDataset.from_folder(folders / "files", window=WINDOW, mirrored=True)
    plain = PictureDataset.from_folder(folders / "files", window=WINDOW)
    n_mirrored = 0
    for batch, before in islice(zip(mirroring.batches(4, seed=2), plain.batches(4, seed=2)), 15):
        assert torch.equal(batch.mfcc, before.mfcc)
        assert torch.equal(batch.mask, before.mask)
        for i in range(4):
            as_it_was = torch.equal(batch.photograph[i], before.photograph[i])
            if not as_it_was:
                n_mirrored += 1
                assert torch.equal(batch.photograph[i], before.photograph[i].flip(1))
                assert torch.equal(batch.pictures[i], before.pictures[i].flip(2))
                assert torch.equal(batch.landmarks[i], mirror(before.landmarks[i]))
                assert torch.equal(batch.example[i], mirror(before.example[i]))
            else:
                for name, value in batch.present().items():
                    assert torch.equal(value[i], getattr(before, name)[i]), name
    assert 18 <= n_mirrored <= 42


SIDES = dict.fromkeys(COLOURS, (0, 0, 0)) | {
    "right_eye": (255, 0, 0),
    "left_eye": (255, 0, 0),
    "right_brow": (0, 0, 255),
    "left_brow": (0, 0, 255),
}


def test_mirrored_points_lie_on_the_mirrored_face(tmp_path):
    """A drawn person whose pictures are drawings of the points: what is drawn anew must lie on them."""
    clip = draw_clip(3, paint=False)
    frames = draw_landmarks(clip.landmarks, colours=SIDES)
    Clip(frames=frames, landmarks=clip.landmarks, speech=clip.speech).save(tmp_path / "a.safetensors")
    dataset = PictureDataset.from_folder(tmp_path, window=4, mirrored=True)
    mirrored = set()
    for batch in islice(dataset.batches(2, seed=0), 6):
        drawn = draw_landmarks(batch.landmarks.numpy(), colours=SIDES)
        shown = draw_landmarks(batch.example.numpy(), colours=SIDES)
        assert np.abs(drawn - batch.pictures.numpy().astype(int)).mean() < 0.5
        assert np.abs(shown - batch.photograph.numpy().astype(int)).mean() < 0.5
        # the person's right is on the left in every picture, mirrored or not
        x = batch.landmarks[..., 0]
        assert (x[..., 36:42].mean(-1) < x[..., 42:48].mean(-1)).all()
        assert (x[..., 0] < x[..., 16]).all()
        assert (x[..., 48] < x[..., 54]).all()
        mirrored |= {not np.isin(one.numpy(), clip.landmarks).all() for one in batch.landmarks}
    assert mirrored == {True, False}


def test_a_dataset_travels_to_other_processes(folders):
    dataset = varied(folders)
    again = pickle.loads(pickle.dumps(dataset))
    for a, b in islice(zip(dataset.batches(2, seed=0), again.batches(2, seed=0)), 3):
        assert_same_batch(a, b)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        read = pool.apply(first_pictures, (dataset,))
    np.testing.assert_array_equal(read, next(dataset.batches(2, seed=0)).pictures)


def first_pictures(dataset):
    return next(dataset.batches(2, seed=0)).pictures.numpy()


def test_pictures_stay_on_disk(dataset, folders):
    assert len(pickle.dumps(dataset)) < len(pickle.dumps(Dataset.from_folder(folders / "files"))) + 4000


def refused(folder, match):
    with pytest.raises(InputError, match=match) as caught:
        PictureDataset.from_folder(folder, window=WINDOW)
    assert str(caught.value).isprintable()


def test_clips_without_pictures(tmp_path):
    make_clip(0, 3, side=0).save(tmp_path / "blind.safetensors")
    refused(tmp_path, r"blind\.safetensors: got no pictures")
    write_shard(tmp_path / "shard" / "a.tar", [("seen", make_clip(1, 3)), ("blind", make_clip(0, 3, side=0))])
    refused(tmp_path / "shard", r"a\.tar, clip blind: got no pictures")
    with pytest.raises(InputError, match=r"none\.tar: got no such file"):
        list(picture_places(tmp_path / "none.tar"))
    Dataset([make_clip(0, 3, side=0)]).save(tmp_path / "features" / "f.safetensors")
    refused(tmp_path / "features", r"f\.safetensors: got a file of another kind")


def test_files_that_are_cut_short(tmp_path):
    path = make_clip(0, 3).save(tmp_path / "cut.safetensors")
    shard = tmp_path / "cut.tar"
    write_shard(shard, [("k", make_clip(0, 3))])
    for file in (path, shard):
        whole = file.read_bytes()
        dataset = PictureDataset.from_folder(file, window=WINDOW)
        for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            refused(file, file.name.replace(".", r"\."))
        place = dataset.places[0]
        file.write_bytes(whole[: place.offset + 12 * 14 * 3 + 5])  # cut after it was opened
        np.testing.assert_array_equal(place.read(0, 1), make_clip(0, 3).frames[:1])
        with pytest.raises(InputError, match=rf"{file.name}: got the end of the file"):
            dataset.batch([(0, 0, 0)])
        file.unlink()
        with pytest.raises(InputError, match=rf"{file.name}: got No such file"):
            dataset.batch([(0, 0, 0)])


def test_pictures_of_unequal_sizes(tmp_path):
    make_clip(0, 3, side=12).save(tmp_path / "a.safetensors")
    make_clip(1, 3, side=13).save(tmp_path / "b.safetensors")
    refused(tmp_path, r"b\.safetensors: got pictures of \(13, 15\), expected \(12, 14\)")


def test_pictures_that_are_not_one_a_frame(tmp_path):
    path = make_clip(0, 3).save(tmp_path / "a.safetensors")
    with pictures.safe_open(path, framework="np") as file:
        arrays = {name: file.get_tensor(name) for name in ("frames", "landmarks", "speech")}
        about = file.metadata()
    for wrong, says in (
        (arrays["frames"][:2], r"\(2, 12, 14, 3\)"),
        (np.concatenate([arrays["frames"]] * 2), r"\(6, 12, 14, 3\)"),
        (arrays["frames"][..., :1], r"\(3, 12, 14, 1\)"),
        (arrays["frames"][..., 0], r"\(3, 12, 14\)"),
        (arrays["frames"][:, :0], r"\(3, 0, 14, 3\)"),
        (arrays["frames"].astype(np.float32), "F32"),
    ):
        save_file(arrays | {"frames": np.ascontiguousarray(wrong)}, path, about)
        refused(tmp_path, rf"a\.safetensors: got pictures of .*{says}")


def test_bad_arguments(folders):
    with pytest.raises(InputError, match="0 clips"):
        PictureDataset([])
    with pytest.raises(InputError, match="no such folder"):
        PictureDataset.from_folder([folders / "files", folders / "nowhere"])
    for camera in (-1, 2.5):
        with pytest.raises(InputError, match="camera"):
            PictureDataset.from_folder(folders / "files", camera=camera)
    features = Features.of(make_clip(0, 3))
    with pytest.raises(InputError, match="window"):
        PictureDataset([(features, PicturePlace(folders / "x", 0, (3, 2, 2, 3)))], window=0)


def test_light_in_the_mouth_goes_between_the_lips_alone(tmp_path):
    """In photograph and pictures of a window by one share, from window to window by another."""
    clip = draw_clip(3, text="no", still_head=True)
    clip.save(tmp_path / "a.safetensors")
    plain, lit = (PictureDataset.from_folder(tmp_path, window=4, mouth_light=n) for n in (0.0, 0.8))
    shares = []
    for a, b in islice(zip(plain.batches(4, seed=0), lit.batches(4, seed=0)), 12):
        assert torch.equal(a.landmarks, b.landmarks)
        for i in range(4):
            found = []
            faces = [(a.photograph[i], b.photograph[i], a.example[i])]
            faces += list(zip(a.pictures[i], b.pictures[i], a.landmarks[i]))[: int(a.mask[i].sum())]
            for before, after, points in faces:
                inside = pictures.within(points[60:68].numpy(), (128, 128))
                off = after.numpy().astype(int) - before.numpy()
                assert not off[inside == 0].any()
                if (inside == 1).sum() > 20:
                    # what was far from the lips' colour went farther: contrast falls by the share
                    spread = [one.numpy()[inside == 1].astype(float).std(axis=0) for one in (before, after)]
                    found.append(1 - float((spread[1] / spread[0])[0]))
            if found:
                assert np.ptp(found) < 0.05
                shares.append(np.mean(found))
    assert len(shares) > 3
    assert 0 <= min(shares) < 0.3 < max(shares) <= 0.82
    assert np.ptp(shares) > 0.2


def test_light_in_the_mouth_wants_landmarks_of_every_picture(folders):
    needs = Needs(pictures=True, previous=True)
    dataset = PictureDataset.from_folder(folders / "files", needs=needs, window=WINDOW, mouth_light=0.5)
    with pytest.raises(InputError, match="0 where the picture before the window is wanted"):
        next(dataset.batches(2, seed=0))
    with pytest.raises(InputError, match=r"mouth_light: got 0\.5, expected 0, where no pictures"):
        open_dataset(folders / "files", Needs(), DataSettings(mouth_light=0.5))
    with pytest.raises(InputError, match="mouth_light: got 2, expected 0 to 1"):
        PictureDataset.from_folder(folders / "files", mouth_light=2)
