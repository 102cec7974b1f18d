"""Clips that are cut otherwise than a part needs are refused, wherever they come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkface_lite.clip import FRAMINGS, Clip
from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import FORMAT, Features, check_framing, read_features, save_features
from talkface_lite.data.needs import DataSettings, Needs
from talkface_lite.data.opening import open_dataset
from talkface_lite.data.streaming import ClipStream
from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors
from talkface_lite.framing import CUT_LOOSER
from talkface_lite.shards import write_shard

torch.set_num_threads(1)


def make_clip(framing, n=6, seed=0, **changes):
    rng = np.random.default_rng(seed)
    clip = Clip(
        frames=rng.integers(0, 256, (n, 8, 8, 3), np.uint8),
        landmarks=rng.uniform(10, 110, (n, 68, 2)).astype(np.float32),
        speech=rng.uniform(-0.5, 0.5, 640 * n).astype(np.float32),
        identity="ida",
        framing=framing,
    )
    return replace(clip, **changes)


def wanted(framing):
    return CUT_LOOSER if framing == "head" else f"clips cut '{framing}'"


def refused(what, has, needs, asked):
    with pytest.raises(InputError) as caught:
        asked()
    assert str(caught.value) == f"{what}: got a clip cut '{has}', expected {wanted(needs)}"


@pytest.mark.parametrize("has", FRAMINGS)
@pytest.mark.parametrize("needs", FRAMINGS)
def test_a_clip_is_taken_where_it_is_cut_so(has, needs):
    if has == needs:
        check_framing("a clip", has, Needs(framing=needs))
        found = Features.of(make_clip(has), Needs(framing=needs))
        np.testing.assert_array_equal(found.landmarks, make_clip(has).landmarks)
        return
    refused("a clip", has, needs, lambda: check_framing("a clip", has, Needs(framing=needs)))
    refused("clip of ida", has, needs, lambda: Features.of(make_clip(has), Needs(framing=needs)))


def test_the_face_alone_is_needed_unless_told_otherwise():
    assert Needs().framing == "aligned"
    assert len(Features.of(make_clip("aligned"))) == 6
    refused("clip of someone", "head", "aligned", lambda: Features.of(make_clip("head", identity="")))
    with pytest.raises(InputError) as caught:
        Needs(framing="crop")
    assert str(caught.value) == "needs.framing: got 'crop', expected aligned or head or camera"


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("streaming", ["never", "always"])
@pytest.mark.parametrize("kind", ["clips", "shard"])
def test_the_second_clip_of_a_folder_is_looked_at_too(tmp_path, kind, streaming, pictures):
    def fill(folder, framings):
        clips = [(str(i), make_clip(framing, seed=i)) for i, framing in enumerate(framings)]
        if kind == "shard":
            write_shard(folder / "a.tar", clips)
        for name, clip in clips if kind == "clips" else ():
            clip.save(folder / f"{name}.safetensors")
        return folder

    settings = DataSettings(streaming=streaming)
    needs = Needs(pictures=pictures, side=8, window=4, framing="head")
    opened = open_dataset(fill(tmp_path / "heads", ["head", "head"]), needs, settings)
    assert next(iter(opened.batches(2, seed=0))).landmarks.shape == (2, 4, 68, 2)
    mixed = fill(tmp_path / "mixed", ["head", "aligned"])
    first, second = ("a.tar",) * 2 if kind == "shard" else ("0.safetensors", "1.safetensors")
    refused(mixed / second, "aligned", "head", lambda: open_dataset(mixed, needs, settings))
    refused(mixed / first, "head", "aligned", lambda: open_dataset(
        mixed, replace(needs, framing="aligned"), settings
    ))  # fmt: skip
    stream = ClipStream(mixed, batch_size=1, seed=0, needs=needs, epochs=1)
    named = f"{mixed / second}, clip 1" if kind == "shard" else mixed / second
    refused(named, "aligned", "head", lambda: list(stream))


def test_saved_features_say_how_they_were_cut(tmp_path):
    for framing in FRAMINGS:
        needs = Needs(framing=framing)
        path = save_features(
            tmp_path / f"{framing}.safetensors", [Features.of(make_clip(framing), needs)], needs
        )
        about, _ = read_tensors(path, key="features", text=FORMAT, what="features")
        # those of the face alone are as they were before there was another framing
        assert about.get("framing") == (None if framing == "aligned" else framing)
        for other in FRAMINGS:
            if other == framing:
                (found,) = read_features(path, needs)
                np.testing.assert_array_equal(found.landmarks, make_clip(framing).landmarks)
                assert len(open_dataset(path, needs)) == 1
            else:
                refused(path, framing, other, lambda: list(read_features(path, Needs(framing=other))))  # noqa: B023
                refused(path, framing, other, lambda: open_dataset(path, Needs(framing=other)))  # noqa: B023
        again = Dataset.from_folder(path, needs=needs).save(tmp_path / "again" / "a.safetensors")
        assert again.read_bytes() == path.read_bytes()


def test_where_there_is_no_frame_stands_the_examples_face():
    clips = [Features.of(make_clip("aligned", n, seed=n)) for n in (3, 6)]
    batch = Dataset(clips, window=5).batch([(0, 0, 1), (1, 1, 5)])
    faces = batch.faces
    assert faces.shape == (2, 5, 68, 2)
    np.testing.assert_array_equal(faces[0, :3], clips[0].landmarks)
    np.testing.assert_array_equal(faces[0, 3:], np.stack(2 * [clips[0].landmarks[1]]))
    np.testing.assert_array_equal(faces[1], clips[1].landmarks[1:6])
    assert not batch.landmarks[0, 3:].any(), "which stays as it was"
