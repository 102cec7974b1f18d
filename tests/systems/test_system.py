"""A paper as a whole: which weights it finds, the film its parts make together, the rows it is judged by."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import SMALL_AT_NET, SMALL_VG_NET
from toy_systems import Lamp, SmallLamp

from talkface_lite.clip import VIEW_OF, Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import SYSTEMS, default_system, describe, load, system_class
from talkface_lite.systems.atvg import (
    ATNetPart,
    ATNetPartConfig,
    ATVGnet,
    ATVGnetSettings,
    VGNetPart,
    VGNetPartConfig,
)
from talkface_lite.systems.base import Face, Stretch
from talkface_lite.systems.part import shipped_weights

torch.set_num_threads(1)


def make_parts(seed=0):
    torch.manual_seed(seed)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    at_net = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET), basis)
    return {"at-net": at_net.eval(), "vg-net": VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET)).eval()}


@pytest.fixture(scope="module")
def parts():
    return make_parts()


@pytest.fixture
def files(parts, tmp_path):
    return {name: part.save(tmp_path / f"{name}.safetensors") for name, part in parts.items()}


@pytest.fixture(scope="module")
def clip():
    """Pictures, landmarks whose faces the basis does not hold, sound."""
    rng = np.random.default_rng(1)
    landmarks = rng.uniform(30, 100, (68, 2)) + rng.normal(0, 2, (4, 68, 2))
    return Clip(
        frames=rng.integers(0, 256, (4, 128, 128, 3), dtype=np.uint8),
        landmarks=landmarks.astype(np.float32),
        speech=(np.linspace(0.1, 1, 4).repeat(640) * rng.uniform(-1, 1, 4 * 640)).astype(np.float32),
    )


def rng():
    return np.random.default_rng(0)


def same_weights(a, b):
    return all(torch.equal(x, y.half().float()) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_systems_by_name():
    assert default_system() == "atvg" == next(iter(SYSTEMS))
    assert system_class("atvg") is ATVGnet
    with pytest.raises(InputError, match="system: got 'nobody', expected atvg or latent"):
        system_class("nobody")
    with pytest.raises(InputError, match="system: got 'nobody', expected atvg or latent"):
        load("nobody")
    with pytest.raises(TypeError):
        SYSTEMS["latent"] = "a:B"


def test_the_registry_the_systems_and_their_parts_agree_on_names():
    for name in SYSTEMS:
        kind = system_class(name)
        assert kind.name == name
        assert {part.system for part in kind.parts} == {name}
        assert len({part.name for part in kind.parts}) == len(kind.parts)


def test_a_system_says_how_it_makes_its_film_by_the_weights_that_are_there(parts):
    assert Lamp().how == ""
    assert ATVGnet({"at-net": parts["at-net"]}).how == ""
    assert ATVGnet(parts).how == "VG-net paints alone (the paper's)"
    warps = VGNetPart(VGNetPartConfig(vg_net=replace(SMALL_VG_NET, warp=True)))
    warping = ATVGnet({"at-net": parts["at-net"], "vg-net": warps})
    assert warping.how == warping.for_inference().how == "VG-net warps, then paints (ours)"
    said = {variant: ATVGnet.build(variant=variant).how for variant in ("", *ATVGnet.variants)}
    assert said[""] == warping.how
    assert said["paper"] == ATVGnet(parts).how
    assert said["no_lstm"].startswith("AT-net without memory; VG-net ")


@pytest.mark.parametrize("order", [("at-net", "vg-net"), ("vg-net", "at-net")])
def test_weights_say_themselves_which_part_they_are(parts, files, order):
    system = ATVGnet.load(weights=[files[name] for name in order])
    assert system.has("at-net")
    assert system.has("vg-net")
    assert not system.has("painter")
    assert same_weights(system.at_net, parts["at-net"])
    assert same_weights(system.vg_net, parts["vg-net"])
    assert not system.at_net.training
    assert not system.vg_net.training


def test_what_no_file_was_given_for_is_the_packages(parts, files):
    """One file, and the rest of the system as it is shipped; a path alone is as good as a list of one."""
    for name, other in (("at-net", "vg-net"), ("vg-net", "at-net")):
        system = load("atvg", weights=files[name])
        assert same_weights(system.part(name), parts[name])
        shipped = type(parts[other]).load(shipped_weights("atvg", other))
        expected = shipped.state_dict()
        for key, value in system.part(other).state_dict().items():
            assert torch.equal(value, expected[key]), key


def test_weights_that_are_refused(parts, files, tmp_path):
    with pytest.raises(
        InputError, match="got weights of at-net once more, expected each part once"
    ) as refused:
        ATVGnet.load(weights=[files["at-net"], files["vg-net"], files["at-net"]])
    assert refused.value.what == str(files["at-net"])
    foreign = parts["at-net"].save(tmp_path / "foreign.safetensors")
    about = foreign.read_bytes().replace(b'\\"part\\": \\"at-net\\"', b'\\"part\\": \\"lipnet\\"')
    foreign.write_bytes(about)
    expected = "got weights of 'lipnet' of 'atvg', expected weights of at-net or vg-net of atvg"
    with pytest.raises(InputError, match=expected):
        ATVGnet.load(weights=[files["vg-net"], foreign])
    with pytest.raises(InputError, match=r"none\.safetensors: got no such file"):
        ATVGnet.load(weights=tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(files["vg-net"].read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut\.safetensors: got an unreadable file"):
        ATVGnet.load(weights=[files["at-net"], cut])
    with pytest.raises(
        InputError, match=r"weights of at-net of atvg full: got none in the package, expected --weights FILE"
    ):
        ATVGnet.load("full", weights=files["vg-net"])
    with pytest.raises(InputError, match="weights of at-net of atvg full no_lstm: got none"):
        ATVGnet.load("full", variant="no_lstm")
    with pytest.raises(InputError, match="variant: got 'loud', expected no_lstm"):
        ATVGnet.load(variant="loud")
    with pytest.raises(
        InputError, match="variant: got 'no_lstm' beside weights of at-net, expected one of the"
    ):
        ATVGnet.load(weights=files["at-net"], variant="no_lstm")
    assert ATVGnet.load(weights=files["vg-net"], variant="no_lstm").has("vg-net"), "which has no variant"
    released = ATVGnetSettings(basis=(tmp_path / "mean.npy", tmp_path / "basis.npy"))
    with pytest.raises(InputError, match="variant: got 'no_lstm' beside released weights"):
        ATVGnet.load(weights=[tmp_path / "a.pth"] * 2, variant="no_lstm", settings=released)


def test_a_system_can_do_without_its_later_parts(files, clip):
    system = ATVGnet.load("full", weights=files["at-net"])
    assert not system.has("vg-net")
    with pytest.raises(InputError, match="weights of vg-net: got none, expected vg-net of atvg, trained"):
        system.part("vg-net")
    (made,) = system.film(system.face_of(clip, 0), clip.speech, rng())
    assert made.frames is None
    assert made.painted is None
    np.testing.assert_array_equal(made.landmarks, system.speak(clip.speech, clip.landmarks[0]))
    assert system.for_inference() is system
    assert set(system.rows(clip, 0, rng(), pictures=False)) == {"from_speech", "best_possible"}
    with pytest.raises(InputError, match="weights of vg-net"):
        system.rows(clip, 0, rng(), pictures=True)


@pytest.mark.parametrize("variant", ["", "no_lstm", "paper"])
def test_a_variant_changes_the_parts_that_it_names(variant):
    system = load("atvg", variant=variant)
    assert system.at_net.config.at_net.recurrent is (variant != "no_lstm")
    assert system.vg_net.config.vg_net.warp is (variant != "paper")
    of_at_net = "no_lstm" if variant == "no_lstm" else ""
    expected = ATNetPart.load(shipped_weights("atvg", "at-net", "lite", of_at_net))
    assert torch.equal(system.at_net.at_net.phi_lmark.weight, expected.at_net.phi_lmark.weight)
    assert system.has("vg-net")
    with torch.device("meta"):
        built = ATVGnet.build("full", variant=variant)
    assert built.at_net.config.at_net == replace(ATNetConfig.full(), recurrent=variant != "no_lstm")
    vg_net = 58_355_781 if variant == "paper" else 58_366_501
    assert built.vg_net.parameter_counts() == {"vg_net": vg_net, "discriminator": 21_491_473}


def test_to_a_device_is_to_evaluation_mode_too():
    system = ATVGnet(make_parts())
    system.at_net.train()
    system.vg_net.train()
    assert system.to("cpu") is system
    assert not system.at_net.training
    assert not system.vg_net.training


@pytest.mark.parametrize("paper_decoding", [False, True])
def test_the_film_is_that_of_the_two_halves(parts, clip, paper_decoding):
    """Longer than VG-net paints at once; each stretch has the landmarks of its own frames."""
    system = ATVGnet(parts, ATVGnetSettings(paper_decoding=paper_decoding))
    speech = np.random.default_rng(2).uniform(-0.1, 0.1, 120 * 640).astype(np.float32)
    face = Face(clip.frames[0], clip.landmarks[0])
    stretches = list(system.film(face, speech, rng()))
    assert [len(made.frames) for made in stretches] == [50, 50, 20]
    assert all(len(made.landmarks) == len(made.frames) for made in stretches)
    said = parts["at-net"].generate(speech, face.landmarks, keep_identity=not paper_decoding)
    other = parts["at-net"].generate(speech, face.landmarks, keep_identity=paper_decoding)
    assert np.abs(said - other).max() > 1
    np.testing.assert_array_equal(np.concatenate([made.landmarks for made in stretches]), said)
    frames = np.concatenate([made.frames for made in stretches])
    np.testing.assert_array_equal(frames, parts["vg-net"].generate(face.picture, face.landmarks, said))
    assert (frames != parts["vg-net"].generate(face.picture, face.landmarks, other)).any()
    photo = face.picture / 127.5 - 1
    for made in stretches:
        colour, alpha, _ = made.painted
        assert colour.dtype == alpha.dtype == np.float32
        assert colour.shape == (*made.frames.shape[:3], 3)
        mixed = alpha[..., None] * colour + (1 - alpha[..., None]) * photo
        np.testing.assert_allclose((mixed + 1) * 127.5, made.frames, atol=0.51)


@pytest.mark.parametrize("paper_decoding", [False, True])
def test_rows_say_where_the_error_lies(parts, clip, paper_decoding):
    """And the paper's decoding reaches pictures as well as landmarks."""
    system = ATVGnet(parts, ATVGnetSettings(paper_decoding=paper_decoding))
    at_net, vg_net, shown = parts["at-net"], parts["vg-net"], 2
    photo, example = clip.frames[shown], clip.landmarks[shown]
    rows = system.rows(clip, shown, rng(), pictures=True)
    assert list(rows) == ["from_speech", "best_possible", "with_truth"]
    said = at_net.generate(clip.speech, example, keep_identity=not paper_decoding)
    np.testing.assert_array_equal(rows["from_speech"].landmarks, said)
    np.testing.assert_array_equal(rows["from_speech"].frames, vg_net.generate(photo, example, said))
    # best possible: each true face less what six components cannot hold, plus, for ours, what the
    # photograph's own face has of that
    mean, u = at_net.shape_pca.mean, at_net.shape_pca.components
    held = ((clip.landmarks - 64) / 64).reshape(4, 136)
    held = (mean + (held - mean) @ u.T @ u).reshape(4, 68, 2) * 64 + 64
    residual = example - held[shown]
    assert np.abs(residual).max() > 5
    expected = held if paper_decoding else held + residual
    best = rows["best_possible"]
    np.testing.assert_allclose(best.landmarks, expected, atol=1e-3)
    if not paper_decoding:
        np.testing.assert_allclose(best.landmarks[shown], example, atol=1e-3)
    assert best.frames is None
    assert rows["with_truth"].landmarks is None
    np.testing.assert_array_equal(rows["with_truth"].frames, vg_net.generate(photo, example, clip.landmarks))
    without = system.rows(clip, shown, rng(), pictures=False)
    assert list(without) == ["from_speech", "best_possible"]
    assert without["from_speech"].frames is None
    np.testing.assert_array_equal(without["from_speech"].landmarks, said)


def test_the_copy_for_inference_films_the_same_with_the_same_settings(parts, clip):
    settings = ATVGnetSettings(paper_decoding=True)
    system = ATVGnet(parts, settings)
    fast = system.for_inference("32")
    assert type(fast) is ATVGnet
    assert fast.settings is settings
    assert fast.vg_net is not system.vg_net
    face = system.face_of(clip, 0)
    for a, b in zip(system.film(face, clip.speech, rng()), fast.film(face, clip.speech, rng())):
        np.testing.assert_array_equal(a.landmarks, b.landmarks)
        assert np.abs(a.frames.astype(int) - b.frames).max() <= 1


def test_a_frame_of_a_clip_as_a_photograph(parts, clip):
    system = ATVGnet(parts)
    face = system.face_of(clip, 3)
    np.testing.assert_array_equal(face.picture, clip.frames[3])
    np.testing.assert_array_equal(face.landmarks, clip.landmarks[3])
    grey = Clip(frames=None, landmarks=clip.landmarks, speech=clip.speech)
    assert (system.face_of(grey, 0).picture == np.full((128, 128, 3), 128, np.uint8)).all()
    assert Lamp().face_of(grey, 0).picture.shape == (256, 256, 3)
    with pytest.raises(InputError, match="pictures of 128×128, expected 256×256"):
        Lamp().face_of(clip, 0)


def test_rows_of_any_other_system_are_its_film(clip):
    """Joined from its stretches; pictures only where they are asked for."""
    lamp = SmallLamp(chunk=3)
    rows = lamp.rows(clip, 1, rng(), pictures=True)
    assert list(rows) == ["from_speech"]
    assert rows["from_speech"].landmarks is None
    levels = lamp.levels(clip.speech, rng())
    expected = clip.frames[1] + levels[:, None, None, None]
    np.testing.assert_array_equal(rows["from_speech"].frames, expected)
    bare = Clip(frames=None, landmarks=clip.landmarks, speech=clip.speech)
    assert lamp.rows(bare, 1, rng(), pictures=False) == {"from_speech": (None, None)}

    class Still(SmallLamp):
        def film(self, face, speech, rng):
            for made in super().film(face, speech, rng):
                yield Stretch(made.frames, np.repeat(face.landmarks[None], len(made.frames), axis=0))

    (row,) = Still().rows(bare, 1, rng(), pictures=False).values()
    np.testing.assert_array_equal(row.landmarks, np.repeat(clip.landmarks[1:2], 4, axis=0))
    assert row.frames is None


def test_describe_counts_without_building():
    about = describe(["atvg"])
    assert about["atvg"]["full"]["networks"] == {
        "at_net": 30_071_750,
        "at_net_no_lstm": 27_833_862,
        "vg_net": 58_366_501,  # the paper's, and one convolution that sees the moved photograph
        "discriminator": 21_491_473,
        "vg_net_paper": 58_355_781,
        "discriminator_paper": 21_491_473,
    }
    lite = about["atvg"]["lite"]["networks"]
    assert lite["at_net"] + lite["vg_net"] < 4_000_000
    assert about["atvg"]["full"]["weights"] == []
    found = about["atvg"]["lite"]["weights"]
    assert {(one["part"], one["variant"]) for one in found} == {
        ("at-net", ""),
        ("vg-net", ""),
        ("at-net", "no_lstm"),
        ("vg-net", "paper"),
    }
    assert sum(one["bytes"] for one in found if one["part"] == "vg-net") < 10e6
    for one in found:
        path = shipped_weights("atvg", one["part"], "lite", one["variant"])
        assert (one["file"], one["bytes"]) == (path.name, path.stat().st_size)
        assert one["record"]["settings"]["seed"] is not None
    json.dumps(about)


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_ready_may_be_made_ready_again(name):
    kind = system_class(name)
    weights = [shipped_weights(name, part.name) for part in kind.parts[: kind.required]]
    torch.manual_seed(0)
    system = load(name) if all(path.is_file() for path in weights) else kind.build()
    clip = draw_clip(3, still_head=True, text="now", view=VIEW_OF[kind.framing], size=system.side)
    once = system.for_inference("32")
    twice = once.for_inference("32")
    first, second = (
        np.concatenate(
            [one.frames for one in its.film(its.face_of(clip, 0), clip.speech, np.random.default_rng(0))]
        )
        for its in (once, twice)
    )
    assert np.abs(first.astype(int) - second).max() <= 1
