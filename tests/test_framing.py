"""A looser frame for a whole clip: where it lies, and that pictures and landmarks go there together."""

from dataclasses import replace

import numpy as np
import pytest

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.framing import (
    CUT_LOOSER,
    TEMPLATES,
    TO_HEAD,
    WHOLE_HEAD,
    aligned_film,
    head_frame,
    in_frame,
)
from talkface_lite.landmarks import OURS, TEMPLATE, align, apply_transform, similarity_transform
from talkface_lite.shape_pca import ShapePCA

SAYS = {"text": "bin", "clean": True}


@pytest.fixture(scope="module")
def drawn(one_thread):
    """One clip of 43 frames whose head moves, by its framing and its side."""
    views = {("aligned", 128): "crop", ("aligned", 256): "crop", ("head", 128): "head", ("head", 256): "head"}
    clips = {(kind, side): draw_clip(5, view=view, size=side, **SAYS) for (kind, side), view in views.items()}
    return clips | {("camera", 256): draw_clip(5, view="camera", **SAYS)}


def psnr(frames, truth):
    return 10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2))


def moving_heads():
    """float64 ``(6, 68, 2)``: one face turned, scaled and shifted by known amounts."""
    face = ShapePCA.pretrained().decode(np.zeros(6)).astype(np.float64) - 64
    angles, sizes = np.linspace(-0.2, 0.3, 6), np.linspace(1.4, 1.8, 6)
    turn = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    places = np.array([300, 200]) + np.linspace(0, 30, 6)[:, None] * [1, -0.5]
    return sizes[:, None, None] * (face @ turn) + places[:, None]


def test_the_head_takes_up_two_thirds_of_what_the_face_did():
    np.testing.assert_allclose(TO_HEAD, [[2 / 3, 0, 64 / 3], [0, 2 / 3, 80 / 3]], rtol=1e-15)
    assert not TO_HEAD.flags.writeable
    # (64, 56) of the aligned crop is in the middle
    np.testing.assert_allclose(apply_transform([[64, 56], [64, 72]], TO_HEAD), [[64, 64], [64, 224 / 3]])
    assert WHOLE_HEAD.points == slice(27, 48)
    np.testing.assert_allclose(WHOLE_HEAD.places, 2 / 3 * TEMPLATE + [64 / 3, 80 / 3], rtol=1e-6)
    assert TEMPLATES == {"aligned": OURS, "head": WHOLE_HEAD}
    with pytest.raises(TypeError):
        TEMPLATES["camera"] = OURS


def test_one_similarity_lays_the_mean_of_nose_and_eyes_on_the_template():
    heads = moving_heads()
    matrix = head_frame(heads)
    (c, minus_s, _), (s, also_c, _) = matrix
    assert (matrix.shape, matrix.dtype) == ((2, 3), np.float64)
    assert (c, s) == pytest.approx((also_c, -minus_s), rel=1e-12)
    mean = heads[:, 27:48].mean(axis=0)
    np.testing.assert_allclose(matrix, similarity_transform(mean, WHOLE_HEAD.places), rtol=1e-12)
    laid = apply_transform(mean[None], matrix)[0]
    np.testing.assert_allclose(laid.mean(axis=0), WHOLE_HEAD.places.mean(axis=0), atol=1e-4)
    assert np.linalg.norm(laid - WHOLE_HEAD.places, axis=-1).mean() < 1.5
    # no frame is laid there by itself, and the smaller head is seen to be smaller
    framed = apply_transform(heads, matrix)
    assert np.ptp(framed[:, 30], axis=0).min() > 5
    eyes = np.linalg.norm(framed[:, 45] - framed[:, 36], axis=-1)
    assert eyes[-1] / eyes[0] == pytest.approx(1.8 / 1.4, rel=1e-9)
    np.testing.assert_allclose(head_frame(heads[:1].astype(np.float32)), head_frame(heads[:1]), atol=1e-4)
    np.testing.assert_array_equal(head_frame(heads.tolist()), matrix)


def test_a_head_in_the_mean_pose_is_laid_as_the_aligned_crop_shrunk():
    face = np.zeros((1, 68, 2))
    face[0, 27:48] = 3 * TEMPLATE + [50, 70]
    aligned, _ = align(face[0])
    np.testing.assert_allclose(
        apply_transform(face[0], head_frame(face)), apply_transform(aligned, TO_HEAD), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(68, 2), (0, 68, 2)])
def test_a_frame_needs_a_clip(shape):
    with pytest.raises(InputError) as caught:
        head_frame(np.ones(shape))
    assert str(caught.value) == f"landmarks: got shape {shape}, expected (T, 68, 2), T at least 1"


# sides, and the figure that pictures must reach in PSNR: 0.6 dB to 3 dB below what is measured
@pytest.mark.parametrize(
    ("source", "framing", "side", "at_least"),
    [
        (("camera", 256), "head", 128, 41),
        (("camera", 256), "head", 256, 40),
        (("camera", 256), "aligned", 128, 39),
        (("head", 128), "aligned", 128, 34),
        (("head", 256), "aligned", 256, 37),
        (("head", 256), "aligned", 128, 40),
        (("head", 256), "head", 128, 41),
        (("aligned", 256), "aligned", 128, 40),
    ],
)
def test_what_is_cut_out_is_what_is_drawn(drawn, source, framing, side, at_least):
    clip, truth = drawn[source], drawn[framing, side]
    found = in_frame(clip, framing, side)
    assert found.framing == truth.framing == framing
    assert found.frames.shape == (len(clip), side, side, 3)
    assert (found.frames.dtype, found.landmarks.dtype) == (np.uint8, np.float32)
    # landmarks of drawn clips were rounded to float32 before they were laid elsewhere
    np.testing.assert_allclose(found.landmarks, truth.landmarks, atol=1e-3)
    assert psnr(found.frames, truth.frames) > at_least
    # a pixel away it is another picture
    assert psnr(found.frames[:, :, 1:], truth.frames[:, :, :-1]) < at_least - 3
    np.testing.assert_array_equal(found.speech, clip.speech)
    assert (found.words, found.identity, found.source) == (clip.words, clip.identity, clip.source)


def test_the_head_moves_in_its_frame_alone(drawn):
    head, aligned = drawn["head", 128].landmarks, drawn["aligned", 128].landmarks
    assert np.ptp(head[:, 30], axis=0).min() > 4
    assert np.abs(aligned[:, 27:48].mean(1) - TEMPLATE.mean(0)).max() < 1e-3
    assert np.abs(head[:, 27:48].mean(1) - WHOLE_HEAD.places.mean(0)).max() > 2
    np.testing.assert_allclose(head[:, 27:48].mean((0, 1)), WHOLE_HEAD.places.mean(0), atol=1e-3)


def test_a_clip_that_is_so_already_is_handed_back(drawn):
    for (framing, side), clip in drawn.items():
        if framing != "camera":
            assert in_frame(clip, framing) is in_frame(clip, framing, side) is clip
    assert in_frame(drawn["camera", 256], "head").frames.shape[1:] == (256, 256, 3)
    assert in_frame(drawn["head", 128], "aligned").frames.shape[1:] == (128, 128, 3)


def test_a_clip_without_pictures_is_moved_all_the_same(drawn):
    bare = {key: replace(clip, frames=None) for key, clip in drawn.items()}
    assert in_frame(bare["head", 128], "head") is bare["head", 128]
    for framing, side in (("head", None), ("head", 256), ("aligned", 128)):
        found = in_frame(bare["camera", 256], framing, side)
        assert found.frames is None
        np.testing.assert_allclose(found.landmarks, bare[framing, 128].landmarks, atol=1e-3)
    same = in_frame(bare["head", 128], "head", 256)
    assert (same.frames, same.framing) == (None, "head")
    np.testing.assert_array_equal(same.landmarks, bare["head", 128].landmarks)


def test_from_the_face_alone_no_head_is_cut(drawn):
    for clip in (drawn["aligned", 128], replace(drawn["aligned", 128], frames=None)):
        for side in (None, 256):
            with pytest.raises(InputError) as caught:
                in_frame(clip, "head", side)
            assert str(caught.value) == f"clip: got pictures of the aligned face alone, expected {CUT_LOOSER}"
    assert CUT_LOOSER == (
        "clips that show the whole head (talkface corpus --view head, talkface prepare --view head)"
    )


@pytest.mark.parametrize("framing", ["camera", "crop", ""])
def test_no_other_frames(drawn, framing):
    with pytest.raises(InputError) as caught:
        in_frame(drawn["camera", 256], framing)
    assert str(caught.value) == f"framing: got {framing!r}, expected aligned or head"


@pytest.mark.parametrize("side", [128, 256])
def test_a_film_is_aligned_by_its_own_landmarks(drawn, side):
    head, truth = drawn["head", side], drawn["aligned", 128]
    frames, landmarks = aligned_film(head.frames, head.landmarks)
    assert (frames.shape, frames.dtype) == (truth.frames.shape, np.uint8)
    assert landmarks.dtype == np.float32
    np.testing.assert_allclose(landmarks, truth.landmarks, atol=1e-3)
    assert psnr(frames, truth.frames) > {128: 34, 256: 40}[side]
    # other landmarks, other crops: each frame by its own
    turned = aligned_film(head.frames, np.roll(head.landmarks, 10, axis=0))
    assert psnr(turned[0], truth.frames) < 25
    nothing, same = aligned_film(None, head.landmarks)
    assert nothing is None
    np.testing.assert_array_equal(same, landmarks)
