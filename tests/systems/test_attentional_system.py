"""Attentional landmarks talks: films of heads that move, how they are measured, where they are pasted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from attentional_parts import make_ltv, make_stl, moved_heads, photograph, some_speech

from talkface_lite import cli
from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.data.tensors import to_pictures
from talkface_lite.errors import InputError
from talkface_lite.framing import CUT_LOOSER, WHOLE_HEAD
from talkface_lite.landmarks import align, apply_transform, draw_landmarks, invert_transform
from talkface_lite.measuring import evaluation
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.media import read_video, write_image, write_speech
from talkface_lite.systems import SYSTEMS, describe, system_class
from talkface_lite.systems.attentional import AttentionalSettings, AttentionalSystem
from talkface_lite.systems.base import Face, Painted
from talkface_lite.talking.film import pictures
from talkface_lite.talking.scene import talking_scene
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)

HELD = AttentionalSettings(still_head=True)
HEADS = moved_heads(20, seed=1)


def make_system(settings=None, *, paints=True, split=True, calibration="affine", **options):
    parts = {"stl-net": make_stl(split=split, calibration=calibration)}
    if paints:
        parts["ltv-net"] = make_ltv(discriminator=None, **options)
    return AttentionalSystem(parts, settings)


def face_of(side=128):
    return Face(photograph(side), HEADS[0])


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def speech():
    return some_speech(18)


@pytest.fixture(scope="module")
def drawn(one_thread):
    """A short text, as the whole head and as the face alone."""
    return {view: draw_clip(5, view=view, text="bin", clean=True) for view in ("head", "crop")}


@pytest.mark.parametrize("side", [128, 256])
@pytest.mark.parametrize("warp", [True, False])
def test_a_film_is_what_the_two_halves_make_one_after_the_other(side, warp):
    speech = some_speech(34 if side == 128 else 18)
    system = make_system(side=side, widths=(2, 3, 4), warp=warp)
    assert system.side == system.for_inference().side == side
    face = face_of(side)
    stretches = list(system.checked_film(face, speech, rng()))
    assert [len(made.frames) for made in stretches] == ([16, 16, 2] if side == 128 else [16, 2])
    said = system.stl_net.generate(speech, face.landmarks)
    np.testing.assert_array_equal(np.concatenate([made.landmarks for made in stretches]), said)
    for made, expected in zip(
        stretches, system.ltv_net.film(face.picture, face.landmarks, said), strict=True
    ):
        np.testing.assert_array_equal(made.frames, to_pictures(expected.frames[0]))
        if warp:
            n = len(made.frames)
            assert isinstance(made.painted, Painted)
            np.testing.assert_allclose(made.painted.colour, expected.colour[0].permute(0, 2, 3, 1))
            np.testing.assert_allclose(made.painted.alpha, expected.alpha[0, :, 0])
            np.testing.assert_allclose(made.painted.flow, expected.flow[0].permute(0, 2, 3, 1))
            assert made.painted.alpha.shape == (n, side, side)
            assert all(one.flags.c_contiguous for one in made.painted)
        else:
            assert made.painted is None
    with pytest.raises(InputError, match=f"expected uint8 \\({side}, {side}, 3\\)"):
        next(system.checked_film(face_of(384 - side), speech, rng()))


@pytest.mark.parametrize("settings", [None, HELD])
def test_without_weights_that_paint_there_are_landmarks(speech, settings):
    system = make_system(settings, paints=False)
    (made,) = system.checked_film(face_of(), speech, rng())
    assert made.frames is made.painted is None
    still = settings is HELD
    np.testing.assert_array_equal(made.landmarks, system.stl_net.generate(speech, HEADS[0], still_head=still))
    assert system.side == 128
    assert system.for_inference() is system
    with pytest.raises(InputError, match="weights of ltv-net: got none, expected ltv-net of attentional"):
        _ = system.ltv_net


def test_a_held_head_is_a_setting_of_the_film(speech):
    moves, held = make_system(warp=True), make_system(HELD, warp=True)
    assert held.for_inference().settings is HELD
    assert not moves.settings.still_head
    far = []
    for system in (moves, held, moves.with_settings(HELD)):
        landmarks = np.concatenate([made.landmarks for made in system.checked_film(face_of(), speech, rng())])
        far.append(np.square(landmarks[:, 27:48] - HEADS[0, 27:48]).sum())
    assert far[2] == far[1] < 0.9 * far[0]


@pytest.mark.parametrize(("settings", "options", "how"), [
    (None, {"warp": True}, "LTV net warps, then paints (ours); head moves"),
    (HELD, {}, "LTV net paints alone (the paper's); head held"),
    (None, {"attention": False}, "LTV net paints alone (the paper's); no attention; head moves"),
    (HELD, {"split": False, "paints": False}, "lips and head in one branch; head held"),
    (None, {"split": False, "attention": False, "warp": True},
     "lips and head in one branch; LTV net warps, then paints (ours); no attention; head moves"),
])  # fmt: skip
def test_it_says_how(settings, options, how):
    assert make_system(settings, **options).how == how


def test_the_fast_copy_talks_alike(speech):
    system = make_system(HELD, warp=True)
    fast = system.for_inference("32")
    films = [list(one.checked_film(face_of(), speech[: 640 * 3], rng())) for one in (system, fast)]
    assert np.abs(films[0][0].frames.astype(int) - films[1][0].frames).max() <= 1
    assert fast.stl_net is system.stl_net
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in fast.ltv_net.modules())
    assert fast.for_inference("32").ltv_net.ltv_net is fast.ltv_net.ltv_net


def test_rows_say_where_the_error_lies(speech):
    frames = np.stack([photograph(seed=t) for t in range(18)])
    clip = Clip(frames=frames, landmarks=HEADS[:18], speech=speech, framing="head")
    system = make_system(HELD)
    rows = system.rows(clip, 3, rng(), pictures=True)
    assert list(rows) == ["from_speech", "with_truth"]
    said = system.stl_net.generate(speech, HEADS[3], still_head=True)
    np.testing.assert_array_equal(rows["from_speech"].landmarks, said)
    for row, landmarks in (("from_speech", said), ("with_truth", HEADS[:18])):
        wanted = [to_pictures(one.frames[0]) for one in system.ltv_net.film(frames[3], HEADS[3], landmarks)]
        np.testing.assert_array_equal(rows[row].frames, np.concatenate(wanted))
    assert rows["with_truth"].landmarks is None
    (row,) = system.rows(replace(clip, frames=None), 3, rng(), pictures=False).values()
    np.testing.assert_array_equal(row.landmarks, said)
    assert row.frames is None
    with pytest.raises(InputError, match="ltv-net"):
        make_system(paints=False).rows(clip, 3, rng(), pictures=True)


def test_it_is_measured_on_clips_of_the_whole_head(drawn):
    system = make_system(warp=True)
    report = evaluate(system, [drawn["head"]], pictures=True, warp=False)
    rows = report["systems"]["attentional"]
    assert {"from_speech", "with_truth"} <= set(rows)
    assert rows["from_speech"]["landmark_distance"]["median"] > 0
    assert np.isfinite(rows["with_truth"]["psnr"]["median"])
    assert report["how"] == {"attentional": system.how}
    with pytest.raises(InputError) as caught:
        evaluate(system, [drawn["crop"]])
    assert str(caught.value) == f"clip: got pictures of the aligned face alone, expected {CUT_LOOSER}"
    assert "--view head" in CUT_LOOSER


def test_all_systems_on_aligned_clips_are_all_but_this(drawn, tmp_path, monkeypatch, capsys):
    atvg = system_class("atvg").load()
    found = {"atvg": atvg, "attentional": make_system(paints=False)}
    monkeypatch.setattr(evaluation, "shipped", lambda names, size, **_: {n: found[n] for n in found})
    for view, there in (("crop", ["atvg"]), ("head", ["atvg", "attentional"])):
        folder = tmp_path / view
        replace(drawn[view], frames=None).save(folder / "a.safetensors")
        assert cli.main(["evaluate", "--system", "all", "--data", str(folder), "--json"]) == 0
        streams = capsys.readouterr()
        assert list(json.loads(streams.out)["systems"]) == there
        line = f"talkface: without attentional: it needs {CUT_LOOSER}"
        assert (line in streams.err.splitlines()) == (view == "crop")
        for name in set(SYSTEMS) - set(found):
            assert f"talkface: without {name}: no lite weights in the package" in streams.err.splitlines()
    found.pop("atvg")
    assert cli.main(["evaluate", "--system", "all", "--data", str(tmp_path / "crop")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("talkface: --system all --size lite: got none")


@pytest.fixture(scope="module")
def portrait():
    """Somebody in a photograph of 300×320, half again as large as the head's frame has her."""
    image = photograph(320)[:300]
    landmarks, matrix = align(apply_transform(HEADS[0], np.array([[1.5, 0.1, 40], [-0.1, 1.5, 60]])))
    return Portrait(image=image, landmarks=landmarks, matrix=matrix, name="nobody")


def test_a_portrait_talks(portrait, speech):
    clip = Talker(make_system(warp=True), device="cpu", precision="32").talk(portrait, speech)
    assert (clip.framing, clip.source, clip.identity) == ("head", "talkface_lite attentional", "nobody")
    assert clip.frames.shape == (18, 128, 128, 3)
    own = portrait.on(WHOLE_HEAD)
    assert np.abs(own.landmarks[27:48] - WHOLE_HEAD.places).mean() < 2
    system = make_system(warp=True)
    np.testing.assert_allclose(clip.landmarks, system.speak(speech, own.landmarks), atol=1e-4)
    lines = Talker(make_system(paints=False), device="cpu").talk(portrait, speech)
    expected = draw_landmarks(lines.landmarks, image=np.repeat(own.crop()[None], 18, axis=0))
    np.testing.assert_array_equal(lines.frames, expected)
    assert lines.framing == "head"


@pytest.mark.parametrize("side", [128, 256])
def test_pasted_back_nothing_changes_at_the_border_of_the_heads_frame(portrait, side):
    said = some_speech(3)
    talker = Talker(make_system(side=side, widths=(2, 3, 4), warp=True), device="cpu")
    own = portrait.on(WHOLE_HEAD)
    y, x = np.mgrid[: portrait.image.shape[0], : portrait.image.shape[1]]
    places = apply_transform(np.stack([x, y], -1).astype(float), own.matrix)
    inside = ((places > 8) & (places < 119)).all(axis=-1)
    outside = ((places < 0) | (places > 127)).any(axis=-1)
    border = ((places < 1) | (places > 126)).any(axis=-1) & ~outside
    assert min(inside.sum(), outside.sum(), border.sum()) > 300
    # where the frame hangs over the photograph's edge there is no border
    corners = apply_transform(
        np.array([[0, 0], [127, 0], [0, 127], [127, 127.0]]), invert_transform(own.matrix)
    )
    assert (corners > 0).all()
    assert (corners < [320, 300]).all()
    made = list(pictures(talker, portrait, said, view="photograph", marked=False))
    assert len(made) == 3
    for picture in made:
        changed = np.abs(picture.astype(int) - portrait.image).max(axis=-1)
        assert not changed[outside].any()
        assert changed[border].max() <= 12
        assert changed[inside].mean() > 3


def test_faces_and_scenes(portrait, monkeypatch):
    said, talker = some_speech(2), Talker(make_system(warp=True), device="cpu", precision="32")
    (first, _) = pictures(talker, portrait, said, view="face", marked=False)
    assert first.shape == (256, 256, 3)
    (scene, _) = pictures(talker, portrait, said, view="scene", marked=False)
    own = portrait.on(WHOLE_HEAD)
    stretches = list(talker.film(portrait, said))
    whole = next(talking_scene(own.image, own.matrix, said, stretches, side=128, zoom=1.0, marked=False))
    np.testing.assert_array_equal(scene, whole)
    smaller = next(talking_scene(own.image, own.matrix, said, stretches, side=128, marked=False))
    assert not np.array_equal(scene, smaller)


def test_talk_from_the_command_line(portrait, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Portrait, "of", classmethod(lambda *_, **__: portrait))
    write_image(tmp_path / "me.png", portrait.image)
    write_speech(tmp_path / "a.wav", some_speech(3))
    system = make_system(warp=True)
    files = [str(system.part(part).save(tmp_path / f"{part}.safetensors")) for part in ("stl-net", "ltv-net")]
    words = ["talk", "--system", "attentional", "--photo", str(tmp_path / "me.png"), "--weights", *files]
    words += ["--speech", str(tmp_path / "a.wav"), "--json"]
    for flags, shape, how in (
        ([], (256, 256), "head moves"),
        (["--still-head"], (256, 256), "head held"),
        (["--paste-back"], (300, 320), "head moves"),
        (["--scene"], (568, 944), "head moves"),
    ):
        out = tmp_path / "v.mp4"
        assert cli.main([*words, "--out", str(out), *flags]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["frames"], report["system"]) == (3, "attentional")
        assert report["how"] == f"LTV net warps, then paints (ours); {how}"
        assert read_video(out).frames.shape == (3, *shape, 3)


def test_how_the_packages_weights_are_wired():
    assert AttentionalSystem.shipped == {"ltv-net": {"warp": True}}
    assert (AttentionalSystem.framing, AttentionalSystem.template) == ("head", WHOLE_HEAD)
    assert [part.name for part in AttentionalSystem.parts] == ["stl-net", "ltv-net"]
    built = AttentionalSystem.build()
    assert built.how == "LTV net warps, then paints (ours); head moves"
    networks = describe(["attentional"], ["lite"])["attentional"]["lite"]["networks"]
    assert set(networks) == {"stl_net", "ltv_net", "discriminator"}
    assert networks["stl_net"] == 2_003_822


def test_pasted_back_a_head_holds_still_where_all_of_it_is_painted(portrait, tmp_path, capsys, monkeypatch):
    for settings, warp, wanted in ((None, True, False), (HELD, True, True), (HELD, False, True)):
        system = make_system(settings, warp=warp)
        assert system.for_pasting() == (system, "")
        assert system.settings.still_head == wanted
    system = make_system(warp=False)
    held, why = system.for_pasting()
    assert (held.settings.still_head, system.settings.still_head) == (True, False)
    assert why == "the head holds still: LTV net paints all of it, and it would tear off at the neck"
    monkeypatch.setattr(Portrait, "of", classmethod(lambda *_, **__: portrait))
    monkeypatch.setattr(Talker, "load", classmethod(lambda *_, **__: Talker(system, precision="32")))
    write_image(tmp_path / "me.png", portrait.image)
    write_speech(tmp_path / "a.wav", some_speech(3))
    words = ["talk", "--system", "attentional", "--photo", str(tmp_path / "me.png")]
    words += ["--speech", str(tmp_path / "a.wav"), "--out", str(tmp_path / "v.mp4")]
    for flags, said in (([], False), (["--paste-back"], True)):
        assert cli.main([*words, *flags]) == 0
        assert (f"talkface: {why}\n" in capsys.readouterr().err) == said
