import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from vg_net_parts import JUDGE, VG_NET, make_part, parameters

from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.errors import InputError
from talkface_lite.systems import build_part, describe, load_part
from talkface_lite.systems.atvg.at_net import ATNetPart
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig, flat
from talkface_lite.systems.part import shipped_weights

torch.set_num_threads(1)


def test_pictures_to_network_and_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(2, 1, 1, 3)
    every[..., 1] = 7
    values = to_network(every)
    assert values.shape == (2, 3, 16, 16)
    assert (values.min(), values.max()) == (-1, 1)
    np.testing.assert_array_equal(to_pictures(values), every)
    np.testing.assert_array_equal(
        to_pictures(torch.tensor([[[[-3.0]], [[0.0]], [[3.0]]]])), [[[[0, 128, 255]]]]
    )
    points = torch.tensor([[[0.0, 64.0], [128.0, 96.0]]])
    assert flat(points).tolist() == [[-1, 0, 1, 0.5]]


@pytest.mark.parametrize("discriminator", [JUDGE, None])
def test_saved_and_loaded(tmp_path, face, discriminator):
    part = make_part(discriminator=discriminator, loss="l1", mouth_weight=2.0)
    part.vg_net.standardise(torch.full((136,), 0.1), torch.full((136,), 0.7))
    path = part.save(tmp_path / "w.safetensors", {"seed": 3})
    again = VGNetPart.load(path)
    assert again.config == part.config
    assert (again.discriminator is None) == (discriminator is None)
    assert not again.training
    stored = load_file(path)
    assert stored["vg_net.colour.0.weight"].dtype == np.float16
    assert stored["vg_net.landmark_mean"].dtype == np.float32
    assert "landmark_mask" not in stored
    assert any(name.startswith("discriminator.") for name in stored) == (discriminator is not None)
    for name, value in again.state_dict().items():
        kept = part.state_dict()[name]
        exact = kept.half().float() if name in dict(part.named_parameters()) else kept
        assert torch.equal(value, exact), name
    before, after = part.generate(*face), again.generate(*face)
    assert 0 < np.abs(before - after.astype(int)).max() <= 3  # half precision
    assert path.read_bytes() == part.save(tmp_path / "again.safetensors", {"seed": 3}).read_bytes()


def test_broken_and_foreign_weights(tmp_path):
    path = make_part().save(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"weights of 'vg-net'.*expected weights of 'at-net' of 'atvg'"):
        ATNetPart.load(path)
    with pytest.raises(InputError, match="no such file"):
        VGNetPart.load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="unreadable"):
        load_part("atvg", "vg-net", weights=tmp_path / "cut.safetensors")
    assert load_part("atvg", "vg-net", weights=path).config == make_part().config


@pytest.mark.parametrize("discriminator", [JUDGE, None])
def test_a_configuration_survives_json(discriminator):
    """JSON has lists where the configuration has tuples."""
    config = VGNetPartConfig(
        vg_net=VG_NET, discriminator=discriminator, landmark_mask="released", lip_weight=100.0
    )
    written = json.loads(json.dumps(asdict(config)))
    assert written["vg_net"]["image"] == [4, 4, 8, 8, 8]
    part = VGNetPart.from_config(written)
    assert part.config == config
    hash(part.config)
    assert part.landmark_mask[97] == 100
    assert part.landmark_mask[96] == 1


def test_starting_from_the_weights_of_a_first_stage(tmp_path):
    first = make_part(seed=1, discriminator=None)
    path = first.save(tmp_path / "first.safetensors")
    second = make_part(seed=2)
    judge = parameters(second.discriminator)
    second.start_from(path)
    for name, value in second.vg_net.state_dict().items():
        expected = first.vg_net.state_dict()[name]
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-3, msg=name)
    assert all(torch.equal(value, judge[name]) for name, value in parameters(second.discriminator).items())
    wider = VGNetPart(VGNetPartConfig(vg_net=replace(VG_NET, fused=9)))
    with pytest.raises(InputError, match="vg_net of other widths"):
        wider.start_from(path)


@pytest.mark.parametrize("chunk_frames", [1, 3, 7, 50])
def test_a_film_does_not_depend_on_its_chunks(face, chunk_frames):
    part = make_part()
    photo, example, landmarks = face
    with torch.no_grad():
        images = to_network(torch.from_numpy(photo)[None])
        points = (flat(torch.from_numpy(p)[None]) for p in (example, landmarks))
        whole, _ = part.vg_net(images, *points)
    stretches = list(part.film(*face, chunk_frames=chunk_frames))
    assert [made.frames.shape[1] for made in stretches] == [
        min(chunk_frames, 7 - start) for start in range(0, 7, chunk_frames)
    ]
    for name in whole._fields:
        joined = torch.cat([getattr(made, name) for made in stretches], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(part.generate(*face), to_pictures(whole.frames[0]))


def test_filming_leaves_the_mode_as_it_was_and_repeats_itself(face):
    part = make_part().train()
    first = part.generate(*face)
    assert part.training
    assert part.vg_net.training
    np.testing.assert_array_equal(part.generate(*face), first)
    assert first.shape == (7, 128, 128, 3)
    assert first.dtype == np.uint8
    unfinished = part.film(*face, chunk_frames=2)
    next(unfinished)
    unfinished.close()
    assert part.training
    part.eval()
    np.testing.assert_array_equal(part.generate(*face), first)
    assert not part.training


def test_wrong_input_to_film(face):
    part = make_part().train()
    photo, example, landmarks = face
    for wrong in (
        (photo[:100], example, landmarks),
        (photo.astype(np.float32), example, landmarks),
        (photo[..., 0], example, landmarks),
        (photo, example[:20], landmarks),
        (photo, example, landmarks[:, :20]),
        (photo, example, landmarks[0]),
        (photo, example, landmarks[:0]),
    ):
        with pytest.raises(InputError, match=r"photo|example|landmarks"):
            part.generate(*wrong)
    with pytest.raises(InputError, match="chunk_frames"):
        next(part.film(*face, chunk_frames=0))
    assert part.training


def test_build_and_describe():
    with torch.device("meta"):
        full = build_part("atvg", "vg-net", "full")
        lite = build_part("atvg", "vg-net", "lite", discriminator=False, recurrence="batch", base_weight=0.0)
    assert full.parameter_counts() == {"vg_net": 58_355_781, "discriminator": 21_491_473}
    assert lite.parameter_counts().keys() == {"vg_net"}
    assert (lite.config.vg_net.recurrence, lite.config.base_weight) == ("batch", 0.0)
    about = describe(["atvg"], ["full"])["atvg"]["full"]["networks"]
    assert (about["vg_net_paper"], about["discriminator_paper"]) == (58_355_781, 21_491_473)
    with pytest.raises(InputError, match="system"):
        build_part("nobody")
    with pytest.raises(InputError, match="lite or full"):
        build_part("atvg", "vg-net", "huge")
    with pytest.raises(InputError, match=r"channels.*a field of VGNetPartConfig"):
        build_part("atvg", "vg-net", "lite", channels=3)


def test_shipped_weights(face):
    path = shipped_weights("atvg", "vg-net", "lite")
    if not path.is_file():
        with pytest.raises(InputError, match="none in the package"):
            load_part("atvg", "vg-net", "lite")
        pytest.skip(f"{path.name} is not shipped yet")
    assert path.stat().st_size < 8e6
    frames = load_part("atvg", "vg-net", "lite").generate(*face)
    assert frames.shape == (7, 128, 128, 3)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_copy_for_inference_films_the_same(face, precision):
    part = make_part().eval()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    fast = part.for_inference(precision)
    films = [one.generate(*face).astype(float) for one in (part, fast)]
    assert np.abs(films[0] - films[1]).max() <= (1 if precision == "32" else 6)
    assert part.discriminator is not None
    assert fast.discriminator is None
    for name, value in part.state_dict().items():
        assert torch.equal(value, before[name])
