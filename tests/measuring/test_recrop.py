"""Systems that move the head: handed the frame in which it moves, and measured where the face is aligned."""

from dataclasses import replace

import numpy as np
import pytest
from toy_systems import Oracle

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.framing import CUT_LOOSER, WHOLE_HEAD, in_frame
from talkface_lite.measuring import recrop
from talkface_lite.measuring.evaluation import evaluate, photographs
from talkface_lite.measuring.lips import rest_frame
from talkface_lite.measuring.recrop import measured_of, rows_in_own_crop
from talkface_lite.systems.base import Shown

SAYS = {"text": "bin", "clean": True}
RNG = np.random.default_rng(0)


class Heads(Oracle):
    """Answers with heads that move."""

    name, framing, template = "heads", "head", WHOLE_HEAD


class LargeHeads(Heads):
    side = 256


def knows(clip, pictures):
    return {"from_speech": Shown(clip.landmarks, clip.frames if pictures else None)}


@pytest.fixture(scope="module")
def heads(one_thread):
    """The same clip as pictures of 128 and of 256 show it."""
    return {size: draw_clip(5, view="head", size=size, **SAYS) for size in (128, 256)}


@pytest.fixture(scope="module")
def aligned(one_thread):
    return draw_clip(5, **SAYS)


def psnr(frames, truth):
    return 10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2))


@pytest.mark.parametrize("system", [Heads, LargeHeads])
@pytest.mark.parametrize("size", [128, 256])
def test_a_film_that_copies_the_head_is_the_aligned_truth(heads, aligned, system, size):
    system = system(knows)
    rows = rows_in_own_crop(system, heads[size], 3, np.random.default_rng(7), pictures=True)
    ((asked, shown, drawn, pictures),) = system.asked
    assert (asked.framing, asked.frames.shape[1:], shown) == ("head", (system.side, system.side, 3), 3)
    assert (drawn, pictures) == (int(np.random.default_rng(7).integers(2**31)), True)
    np.testing.assert_array_equal(asked.landmarks, heads[size].landmarks)
    row = rows["from_speech"]
    assert row.frames.shape == aligned.frames.shape
    np.testing.assert_allclose(row.landmarks, aligned.landmarks, atol=1e-3)
    assert psnr(row.frames, aligned.frames) > (40 if size == system.side == 256 else 33)


def test_rows_without_landmarks_are_laid_by_the_true_ones(heads, aligned):
    rows = rows_in_own_crop(
        Heads(lambda clip, _: {"a": Shown(None, clip.frames), "b": Shown(clip.landmarks, None)}),
        heads[128],
        0,
        RNG,
        pictures=True,
    )
    assert list(rows) == ["a", "b"]
    assert rows["a"].landmarks is rows["b"].frames is None
    assert psnr(rows["a"].frames, aligned.frames) > 33
    np.testing.assert_allclose(rows["b"].landmarks, aligned.landmarks, atol=1e-3)


def test_each_frame_is_laid_by_its_own_landmarks(heads, aligned):
    """Another movement of the head, by whole pixels, is no error of the face."""
    moves = (np.arange(len(aligned)) % 5) - 2

    def elsewhere(clip, pictures):
        landmarks = clip.landmarks.copy()
        landmarks[..., 0] += moves[:, None]
        frames = np.stack([np.roll(frame, move, axis=1) for frame, move in zip(clip.frames, moves)])
        return {"from_speech": Shown(landmarks, frames)}

    row = rows_in_own_crop(Heads(elsewhere), heads[128], 0, RNG, pictures=True)["from_speech"]
    np.testing.assert_allclose(row.landmarks, aligned.landmarks, atol=1e-3)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    assert psnr(row.frames[inner], aligned.frames[inner]) > 33


def test_a_clip_of_the_face_alone_is_refused(aligned):
    for clip in (aligned, replace(aligned, frames=None)):
        system = Heads(knows)
        with pytest.raises(InputError) as caught:
            rows_in_own_crop(system, clip, 0, RNG, pictures=False)
        assert str(caught.value) == f"clip: got pictures of the aligned face alone, expected {CUT_LOOSER}"
        assert not system.asked
    with pytest.raises(InputError, match="--view head"):
        evaluate(Heads(knows), [aligned])


@pytest.mark.parametrize("size", [128, 256])
def test_systems_of_the_face_are_handed_the_face(heads, aligned, size):
    system = Oracle(knows)
    row = rows_in_own_crop(system, heads[size], 2, RNG, pictures=True)["from_speech"]
    asked = system.asked[0][0]
    assert (asked.framing, asked.frames.shape) == ("aligned", aligned.frames.shape)
    np.testing.assert_allclose(asked.landmarks, aligned.landmarks, atol=1e-3)
    assert row.frames is asked.frames
    rows_in_own_crop(system, aligned, 2, RNG, pictures=True)
    assert system.asked[1][0] is aligned


def test_figures_are_taken_from_the_aligned_face_at_128(heads, aligned):
    assert measured_of(aligned) is aligned
    large = draw_clip(5, size=256, **SAYS)
    assert measured_of(large) is large, "as it was"
    for clip in heads.values():
        measured = measured_of(clip)
        assert (measured.framing, measured.frames.shape) == ("aligned", aligned.frames.shape)
        np.testing.assert_array_equal(measured.frames, in_frame(clip, "aligned", 128).frames)
    assert measured_of(replace(heads[256], frames=None)).frames is None


def test_the_face_is_cut_once_for_all_systems_that_want_it(heads, monkeypatch):
    cut = []

    def counted(clip, framing, side=None):
        cut.append(framing)
        return in_frame(clip, framing, side)

    monkeypatch.setattr(recrop, "in_frame", counted)
    systems = {"one": Oracle(knows), "heads": Heads(knows), "other": Oracle(knows)}
    evaluate(systems, [heads[128]])
    assert cut == ["aligned", "head"]
    assert systems["one"].asked[0][0] is systems["other"].asked[0][0]


def test_heads_in_the_table(heads, aligned):
    """Who copies the head has the figures of who copies the face, and the baselines are those of the face."""
    systems = {"small": Heads(knows), "large": LargeHeads(knows), "face": Oracle(knows)}
    report = evaluate(systems, [heads[256]], pictures=True, warp=False)
    for name in systems:
        row = report["systems"][name]["from_speech"]
        assert row["landmark_distance"]["median"] < 1e-3
        assert row["mouth_landmark_distance"]["median"] < 1e-3
        if name == "small":
            assert 30 < row["mouth_psnr"]["median"] < 40
        else:
            assert row["mouth_psnr"]["median"] is None, "not a pixel differs"
    baselines = evaluate(Oracle(knows), [aligned], pictures=True, warp=False)["baselines"]
    for metric, rel in (("mouth_landmark_distance", 1e-3), ("mouth_psnr", 0.05)):
        found = report["baselines"]["copy_photo"][metric]["median"]
        assert found == pytest.approx(baselines["copy_photo"][metric]["median"], rel=rel)
    still = Heads(lambda clip, _: {"from_speech": Shown(np.repeat(clip.landmarks[:1], len(clip), axis=0))})
    row = evaluate(still, [heads[128]])["systems"]["heads"]["from_speech"]
    assert row["mouth_landmark_distance"]["median"] == pytest.approx(
        baselines["copy_photo"]["mouth_landmark_distance"]["median"], rel=1e-3
    )


def test_the_photograph_is_the_same_wherever_it_is_asked(aligned, heads):
    """Lips that are closed far away are no nearer for a head that is small."""
    landmarks = aligned.landmarks.copy()
    landmarks[:, 65:68, 1] += 6  # open in all frames
    size = np.linspace(1, 0.5, len(aligned))[:, None, None]
    small = replace(heads[128], frames=None, landmarks=(64 + size * (landmarks - 64)).astype(np.float32))
    face = rest_frame(in_frame(small, "aligned").landmarks)
    assert face != rest_frame(small.landmarks)
    (told,) = photographs([small], "rest")
    report = evaluate(Oracle(knows), [small], example="rest", per_clip=True)
    assert told["photograph"] == face
    assert told in report["per_clip"]["clips"]
