"""Films prepared so that the head is seen to move: one frame for each clip, and a plan that says so."""

import json
import shutil

import numpy as np
import pytest
from made_shards import clips_of, shards_of

from talkface_lite import cli
from talkface_lite.errors import InputError
from talkface_lite.framing import WHOLE_HEAD, head_frame
from talkface_lite.landmarks import align, apply_transform, warp_crop
from talkface_lite.recordings import prepare as module
from talkface_lite.recordings.base import Recording
from talkface_lite.recordings.pipeline import prepare
from talkface_lite.recordings.prepare import Account, from_frame, prepare_recording, read_source
from talkface_lite.recordings.summary import Plan

PLAN = {"kind": "grid", "size": 128, "detector": "dlib", "per_shard": 4, "recordings": 13, "listing": "ab"}


@pytest.fixture(scope="module")
def film(tree):
    return Recording(name="film", path=tree / "s1" / "film00.mp4")


@pytest.fixture(scope="module")
def crops(film):
    (clip,) = prepare_recording(film, Account(), detector="dlib")
    return clip


def with_matrices(monkeypatch, recording, **settings):
    """The clips of a recording, and the matrix that each of their pictures was cut by."""
    used = []

    def cut(frame, matrix, size):
        used.append(matrix)
        return warp_crop(frame, matrix, size)

    monkeypatch.setattr(module, "warp_crop", cut)
    return list(prepare_recording(recording, Account(), detector="dlib", **settings)), np.array(used)


def test_the_whole_head_is_cut_by_one_matrix(monkeypatch, film, crops, drawn):
    (clip,), used = with_matrices(monkeypatch, film, view="head")
    assert (clip.framing, crops.framing) == ("head", "aligned")
    assert used.shape == (24, 2, 3)
    assert (used == used[0]).all()
    assert clip.landmarks.dtype == np.float32
    # its landmarks are laid as the pictures are, and aligned no more
    mean = clip.landmarks[:, 27:48].mean(axis=(0, 1))
    np.testing.assert_allclose(mean, WHOLE_HEAD.places.mean(axis=0), atol=1e-3)
    places = clip.landmarks[:, 27:48].mean(axis=1)
    assert np.ptp(places, axis=0).max() > 1
    truth = apply_transform(drawn.landmarks[:24], head_frame(drawn.landmarks[:24]))
    assert np.linalg.norm(clip.landmarks - truth, axis=-1).mean() < 3
    moves = (truth - truth.mean(axis=0))[:, 27:48].mean(axis=1)
    assert np.corrcoef(places[:, 0] - places[:, 0].mean(), moves[:, 0])[0, 1] > 0.9
    # it is the same face
    np.testing.assert_allclose(align(clip.landmarks)[0], align(crops.landmarks)[0], atol=1e-3)
    for name in ("speech", "words", "identity", "source"):
        np.testing.assert_array_equal(getattr(clip, name), getattr(crops, name))


def test_crops_are_cut_anew_in_each_frame(monkeypatch, film, crops):
    (clip,), used = with_matrices(monkeypatch, film)
    assert not (used[1:] == used[:-1]).all(axis=(1, 2)).any()
    np.testing.assert_array_equal(clip.frames, crops.frames)
    (named,), _ = with_matrices(monkeypatch, film, view="crop")
    np.testing.assert_array_equal(named.frames, crops.frames)
    np.testing.assert_array_equal(named.landmarks, crops.landmarks)


def test_each_clip_of_a_long_shot_has_a_frame_of_its_own(monkeypatch, film, crops):
    monkeypatch.setattr(module, "LONGEST_CLIP", 10)
    clips, used = with_matrices(monkeypatch, film, view="head")
    assert [len(clip) for clip in clips] == [10, 10, 4]
    assert [read_source(clip.source)["frames"] for clip in clips] == [[0, 10], [10, 20], [20, 24]]
    parts = used[:10], used[10:20], used[20:]
    assert all((part == part[0]).all() for part in parts)
    assert len({part[0].tobytes() for part in parts}) == 3
    for clip in clips:
        mean = clip.landmarks[:, 27:48].mean(axis=(0, 1))
        np.testing.assert_allclose(mean, WHOLE_HEAD.places.mean(axis=0), atol=1e-3)
    joined = np.concatenate([align(clip.landmarks)[0] for clip in clips])
    np.testing.assert_allclose(joined, align(crops.landmarks)[0], atol=1e-3)


@pytest.mark.parametrize("view", ["crop", "head"])
def test_a_shot_that_begins_later_is_laid_by_its_own_frames(monkeypatch, film, crops, view):
    follow = module.follow
    monkeypatch.setattr(module, "follow", lambda *args, **options: from_frame(5, *follow(*args, **options)))
    monkeypatch.setattr(module, "LONGEST_CLIP", 10)
    clips, used = with_matrices(monkeypatch, film, view=view)
    assert [read_source(clip.source)["frames"] for clip in clips] == [[5, 15], [15, 24]]
    assert len(used) == 19
    joined = np.concatenate([align(clip.landmarks)[0] for clip in clips])
    np.testing.assert_allclose(joined, align(crops.landmarks[5:])[0], atol=1e-3)


def test_larger_pictures_show_the_same(monkeypatch, film):
    ((small,), _), ((large,), used) = (
        with_matrices(monkeypatch, film, view="head", size=size) for size in (128, 256)
    )
    assert (small.frames.shape, large.frames.shape) == ((24, 128, 128, 3), (24, 256, 256, 3))
    np.testing.assert_array_equal(large.landmarks, small.landmarks)
    halved = large.frames.reshape(24, 128, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(halved - small.frames).mean() < 3
    assert (used == used[0]).all()


def test_no_other_view(tmp_path, tree, film):
    for asked in (
        lambda: list(prepare_recording(film, Account(), view="camera")),
        lambda: prepare("grid", tree, tmp_path / "out", view="camera"),
    ):
        with pytest.raises(InputError) as caught:
            asked()
        assert str(caught.value) == "view: got 'camera', expected crop or head"
    assert list(tmp_path.iterdir()) == []


def test_plans_of_crops_are_as_they_were(prepared):
    plan = Plan(**PLAN)
    assert plan.told() == PLAN
    # computed before there was another view
    assert plan.digest == "905776e62d392c7f138945dcd26d88eb94444f64180390927ce97c5d464df01f"
    assert Plan(**PLAN, view="crop") == plan
    head = Plan(**PLAN, view="head")
    assert head.told() == {**PLAN, "view": "head"}
    assert head.digest != plan.digest
    told = json.loads((prepared[0] / "plan.json").read_text())
    assert set(told) == {"format", *PLAN}
    assert prepared[1]["view"] == "crop"


@pytest.fixture(scope="module")
def heads(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    (folder / "in").mkdir()
    shutil.copy(tree / "s1" / "film00.mp4", folder / "in")
    command = ["prepare", "folder", str(folder / "in"), "--out", str(folder / "out"), "--workers", "1"]
    assert cli.main([*command, "--detector", "dlib", "--view", "head"]) == 0
    return folder


def test_a_preparation_of_heads(heads, film):
    (clip,) = clips_of(heads / "out").values()
    (expected,) = prepare_recording(film, Account(), detector="dlib", view="head")
    assert clip.framing == "head"
    np.testing.assert_array_equal(clip.landmarks, expected.landmarks)
    np.testing.assert_array_equal(clip.frames, expected.frames)
    for name in ("plan.json", "summary.json"):
        assert json.loads((heads / "out" / name).read_text())["view"] == "head"


def test_views_are_not_mixed(tree, prepared, heads):
    settings = {"detector": "dlib", "workers": 1, "resume": True}
    for kind, source, out, begun, view, more in (
        ("grid", tree, prepared[0], "crop", "head", {"per_shard": 4}),
        ("folder", heads / "in", heads / "out", "head", "crop", {}),
    ):
        before = shards_of(out)
        with pytest.raises(InputError) as caught:
            prepare(kind, source, out, view=view, **settings, **more)
        expected = f"{out / 'plan.json'}: got view {view}, expected {begun} as at the beginning"
        assert str(caught.value) == f"{expected}, or a new folder"
        assert shards_of(out) == before
        assert prepare(kind, source, out, view=begun, **settings, **more)["view"] == begun
        assert shards_of(out) == before
