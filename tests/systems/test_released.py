"""The released weights: the networks written out from the names in a checkpoint, and ours that loads it."""

import math
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import python_speech_features
import torch
from scipy.linalg import orthogonal_procrustes
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.landmarks import normalise
from talkface_lite.shape_pca import ATVGNET_BOOST, ShapePCA
from talkface_lite.systems.atvg import released as released_module
from talkface_lite.systems.atvg.released import LARGEST_FILE, load_released, released_frame
from talkface_lite.systems.atvg.vg_net import to_pictures
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)

BN = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}


def at_net_shapes():
    """Name → shape, as the released AT-net has them."""
    shapes = {}
    for name, n_in, n_out in (("lmark_encoder.0", 6, 256), ("lmark_encoder.2", 256, 512)):
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for index, n_in, n_out in ((0, 1, 64), (1, 64, 128), (3, 128, 256), (4, 256, 256), (5, 256, 512)):
        shapes[f"audio_eocder.{index}.0.weight"] = (n_out, n_in, 3, 3)
        shapes |= {f"audio_eocder.{index}.1.{field}": (n_out,) for field in BN}
    for name, n_in, n_out in (("audio_eocder_fc.0", 12288, 2048), ("audio_eocder_fc.2", 2048, 256)):
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for layer, n_in in ((0, 768), (1, 256), (2, 256)):
        shapes |= {f"lstm.weight_ih_l{layer}": (1024, n_in), f"lstm.weight_hh_l{layer}": (1024, 256)}
        shapes |= {f"lstm.bias_ih_l{layer}": (1024,), f"lstm.bias_hh_l{layer}": (1024,)}
    return shapes | {"lstm_fc.0.weight": (6, 256), "lstm_fc.0.bias": (6,)}


def vg_net_shapes():
    """Name → shape, as the released VG-net has them."""
    shapes = {}

    def convolution(name, shape, bias=None, bn=None):
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = (bias,)
        if bn:
            before, _, last = name.rpartition(".")
            shapes.update({f"{before}.{int(last) + 1}.{field}": (bn,) for field in BN})

    convolution("image_encoder1.1.0", (64, 3, 7, 7), bn=64)
    convolution("image_encoder1.2.0", (64, 64, 3, 3), bn=64)
    convolution("image_encoder1.3.0", (128, 64, 3, 3), bn=128)
    convolution("image_encoder2.0.0", (256, 128, 3, 3), bn=256)
    convolution("image_encoder2.1.0", (512, 256, 3, 3), bn=512)
    convolution("landmark_encoder.0", (64, 136), bias=64)
    convolution("landmark_encoder_stage2.0.0", (256, 1, 3, 3), bn=256)
    convolution("lmark_att.0", (512, 256, 3, 3), bias=256, bn=256)
    convolution("lmark_att.3", (256, 128, 3, 3), bias=128, bn=128)
    convolution("lmark_att.6.0", (1, 128, 3, 3), bias=1)
    convolution("lmark_feature.0.0", (512, 256, 3, 3), bn=512)
    for block in range(9):
        convolution(f"generator1.{block}.conv_block.0", (512, 512, 3, 3), bn=512)
        convolution(f"generator1.{block}.conv_block.4", (512, 512, 3, 3), bn=512)
    convolution("generator1.9", (512, 256, 3, 3), bn=256)
    convolution("generator1.12", (256, 128, 3, 3), bn=128)
    convolution("base.0", (128, 64, 3, 3), bn=64)
    convolution("base.3", (64, 32, 3, 3), bn=32)
    convolution("generator_color.0", (3, 32, 7, 7), bias=3)
    convolution("generator_attention.0", (1, 32, 7, 7), bias=1)
    convolution("bottle_neck.0.0", (128, 1024, 3, 3), bn=128)
    for name, n_in in (("ih", 128), ("hh", 512)):
        shapes |= {f"convGRU.weight_{name}_l0": (1536, n_in, 3, 3), f"convGRU.bias_{name}_l0": (1536,)}
    return shapes


def random_state(shapes, seed):
    """Weights under which nothing saturates and everything matters; BN's statistics are random as well."""
    generator = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 1 + 0.5 * noise.tanh()
        elif len(shape) == 1:
            state[name] = 0.2 * noise + (name.endswith("weight"))
        else:
            state[name] = noise / math.sqrt(math.prod(shape[1:]))
    return state


def cheap_state(shapes):
    """A checkpoint of the right shapes in a few kB: each tensor is one number, repeated without copies."""
    return OrderedDict(
        (name, torch.tensor(0.5 + i).expand(shape)) for i, (name, shape) in enumerate(shapes.items())
    )


def batch_norm(state, name, x):
    mean, var, weight, bias = (
        state[f"{name}.{f}"] for f in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, var, weight, bias, training=False)


def conv_bn_relu(state, name, x, **options):
    return F.relu(batch_norm(state, f"{name}.1", F.conv2d(x, state[f"{name}.0.weight"], **options)))


def up_bn_relu(state, before, index, x):
    weight, bias = state[f"{before}.{index}.weight"], state.get(f"{before}.{index}.bias")
    x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
    return F.relu(batch_norm(state, f"{before}.{index + 1}", x))


def linear(state, name, x):
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


@torch.inference_mode()
def reference_at_net(state, h_p, mfcc):
    """The released AT-net, ``(B, 6)`` and ``(B, T, 28, 12)`` → ``(B, T, 6)``, one window after the other."""
    face = F.relu(linear(state, "lmark_encoder.2", F.relu(linear(state, "lmark_encoder.0", h_p))))
    hidden = [mfcc.new_zeros(len(mfcc), 256) for _ in range(3)]
    cell = [mfcc.new_zeros(len(mfcc), 256) for _ in range(3)]
    said = []
    for t in range(mfcc.shape[1]):
        x = mfcc[:, t][:, None]
        for index in (0, 1):
            x = conv_bn_relu(state, f"audio_eocder.{index}", x, padding=1)
        x = F.max_pool2d(x, 3, stride=(1, 2))
        for index in (3, 4, 5):
            x = conv_bn_relu(state, f"audio_eocder.{index}", x, padding=1)
        x = F.max_pool2d(x, 3, stride=(2, 2)).flatten(1)
        x = F.relu(linear(state, "audio_eocder_fc.2", F.relu(linear(state, "audio_eocder_fc.0", x))))
        x = torch.cat([face, x], 1)
        for layer in range(3):
            gates = F.linear(x, state[f"lstm.weight_ih_l{layer}"], state[f"lstm.bias_ih_l{layer}"])
            gates = gates + F.linear(
                hidden[layer], state[f"lstm.weight_hh_l{layer}"], state[f"lstm.bias_hh_l{layer}"]
            )
            enter, keep, new, leave = gates.split(256, 1)
            cell[layer] = keep.sigmoid() * cell[layer] + enter.sigmoid() * new.tanh()
            x = hidden[layer] = leave.sigmoid() * cell[layer].tanh()
        said.append(linear(state, "lstm_fc.0", x))
    return torch.stack(said, 1)


def reference_gru(state, x, h):
    """One step of the released conv-GRU; gates stacked reset, update, new."""
    x = F.conv2d(x, state["convGRU.weight_ih_l0"], state["convGRU.bias_ih_l0"], padding=2, dilation=2)
    u = F.conv2d(h, state["convGRU.weight_hh_l0"], state["convGRU.bias_hh_l0"], padding=2, dilation=2)
    reset = torch.sigmoid(x[:, :512] + u[:, :512])
    update = torch.sigmoid(x[:, 512:1024] + u[:, 512:1024])
    new = torch.tanh(x[:, 1024:] + reset * u[:, 1024:])
    return new + update * (h - new)


@torch.inference_mode()
def reference_vg_net(state, image, landmarks, example):
    """The released VG-net: ``(B, 3, 128, 128)``, ``(B, T, 136)``, ``(B, 136)`` → its four outputs."""
    middle = F.pad(image, (3, 3, 3, 3), mode="reflect")
    middle = conv_bn_relu(state, "image_encoder1.1", middle)
    for index in (2, 3):
        middle = conv_bn_relu(state, f"image_encoder1.{index}", middle, stride=2, padding=1)
    deep = middle
    for index in (0, 1):
        deep = conv_bn_relu(state, f"image_encoder2.{index}", deep, stride=2, padding=1)

    def look_at(points):
        shape = F.relu(linear(state, "landmark_encoder.0", points)).view(-1, 1, 8, 8)
        shape = conv_bn_relu(state, "landmark_encoder_stage2.0", shape, padding=1)
        return shape, conv_bn_relu(state, "lmark_feature.0", shape, padding=1)

    example_shape, example_deep = look_at(example)
    attentions, fused = [], []
    for t in range(landmarks.shape[1]):
        shape, deep_shape = look_at(landmarks[:, t])
        a = up_bn_relu(state, "lmark_att", 0, torch.cat([shape, example_shape], 1))
        a = up_bn_relu(state, "lmark_att", 3, a)
        a = F.conv2d(a, state["lmark_att.6.0.weight"], state["lmark_att.6.0.bias"], padding=1)
        attentions.append(a.sigmoid())
        both = torch.cat([deep, deep_shape - example_deep], 1)
        fused.append(conv_bn_relu(state, "bottle_neck.0", both, padding=1))

    # (B, T, ...) handed to a layer whose first axis is time: sample b continues sample b - 1, per frame
    fused, h, memory = torch.stack(fused, 1), image.new_zeros(landmarks.shape[1], 512, 8, 8), []
    for sample in fused:
        h = reference_gru(state, sample, h)
        memory.append(h)
    memory = torch.stack(memory)

    frames, alphas, colours = [], [], []
    for t, attention in enumerate(attentions):
        x = memory[:, t]
        for block in range(9):
            name = f"generator1.{block}.conv_block"
            y = F.conv2d(x, state[f"{name}.0.weight"], padding=1)
            y = F.relu(batch_norm(state, f"{name}.1", y))
            y = F.conv2d(y, state[f"{name}.4.weight"], padding=1)
            x = x + batch_norm(state, f"{name}.5", y)
        x = up_bn_relu(state, "generator1", 12, up_bn_relu(state, "generator1", 9, x))
        x = middle * (1 - attention) + x * attention
        x = up_bn_relu(state, "base", 3, up_bn_relu(state, "base", 0, x))
        colour = F.conv2d(
            x, state["generator_color.0.weight"], state["generator_color.0.bias"], padding=3
        ).tanh()
        alpha = F.conv2d(
            x, state["generator_attention.0.weight"], state["generator_attention.0.bias"], padding=3
        )
        alpha = alpha.sigmoid()
        frames.append(alpha * colour + (1 - alpha) * image)
        alphas.append(alpha)
        colours.append(colour)
    return [torch.stack(maps, 1) for maps in (frames, alphas, colours, attentions)]


@pytest.fixture(scope="module")
def at_state():
    return random_state(at_net_shapes(), seed=1)


@pytest.fixture(scope="module")
def vg_state():
    state = random_state(vg_net_shapes(), seed=2)
    state["landmark_encoder.0.weight"] *= 5  # landmarks of one face differ little: let it be seen
    return state


@pytest.fixture(scope="module")
def shape_files(tmp_path_factory):
    """A mean face of norm 5 and a square orthonormal basis, as .npy."""
    folder = tmp_path_factory.mktemp("shape")
    rng = np.random.default_rng(3)
    face = ShapePCA.pretrained().mean.astype(np.float64).reshape(68, 2)
    face = face - face.mean(0)
    files = {"mean": folder / "mean.npy", "basis": folder / "U.npy"}
    np.save(files["mean"], (5 * face / np.linalg.norm(face)).reshape(136))
    np.save(files["basis"], np.linalg.qr(rng.standard_normal((136, 136)))[0])
    return files


@pytest.fixture(scope="module")
def released(at_state, vg_state, shape_files, tmp_path_factory):
    """Loaded from the two formats, AT-net's the old one with ``module.`` and counters."""
    folder = tmp_path_factory.mktemp("weights")
    old = OrderedDict((f"module.{name}", value) for name, value in at_state.items())
    old["module.audio_eocder.0.1.num_batches_tracked"] = torch.tensor(7)
    torch.save(old, folder / "at.pth", _use_new_zipfile_serialization=False)
    torch.save(vg_state, folder / "vg.pth")
    system = load_released(folder / "at.pth", folder / "vg.pth", **shape_files)
    for file in folder.iterdir():
        file.unlink()
    return system


@pytest.fixture(scope="module")
def cheap():
    return {"at": cheap_state(at_net_shapes()), "vg": cheap_state(vg_net_shapes())}


@pytest.fixture
def cheap_files(cheap, tmp_path):
    files = {kind: tmp_path / f"{kind}.pth" for kind in cheap}
    for kind, path in files.items():
        torch.save(cheap[kind], path)
    return files


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(4).integers(0, 256, (128, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def face():
    """Somebody in the crop: not the mean face, tilted and off the centre."""
    rng = np.random.default_rng(5)
    mean = ShapePCA.pretrained().decode(np.zeros(6, np.float32)) - 64
    turn = np.array([[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]])
    return (0.8 * mean @ turn + rng.normal(0, 1.5, (68, 2)) + [70, 60]).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    return (0.1 * np.random.default_rng(6).standard_normal(640 * 3 - 100)).astype(np.float32)


def test_parameter_counts():
    for shapes, count in ((at_net_shapes(), 30_071_750), (vg_net_shapes(), 58_355_781)):
        assert sum(math.prod(shape) for name, shape in shapes.items() if "running" not in name) == count


@pytest.mark.parametrize("batch", [1, 2])
def test_at_net_is_the_released_one(released, at_state, batch):
    generator = torch.Generator().manual_seed(batch)
    mfcc = 4 * torch.randn(batch, 3, 28, 12, generator=generator)
    h_p = torch.randn(batch, 6, generator=generator)
    expected = reference_at_net(at_state, h_p, mfcc)
    with torch.inference_mode():
        h, _ = released.speech_to_shape.at_net(mfcc, h_p)
        other, _ = released.speech_to_shape.at_net(mfcc, -h_p)
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=1e-4)
    assert (h - other).abs().max() > 1e-3


@pytest.mark.parametrize("batch", [1, 2])
def test_vg_net_is_the_released_one(released, vg_state, batch):
    generator = torch.Generator().manual_seed(batch)
    image = 2 * torch.rand(batch, 3, 128, 128, generator=generator) - 1
    example, landmarks = (
        torch.randn(batch, 136, generator=generator),
        torch.randn(batch, 2, 136, generator=generator),
    )
    expected = reference_vg_net(vg_state, image, landmarks, example)
    with torch.inference_mode():
        made, _ = released.shape_to_film.vg_net(image, example, landmarks)
    for name, ours, theirs in zip(made._fields, made, expected):
        assert theirs.std() > 0.02, f"{name} says nothing"
        assert theirs.abs().max() < 1, f"{name} is at its bounds"
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


def test_released_frame_is_procrustes(face, shape_files):
    mean = np.load(shape_files["mean"])
    centred = face - face.mean(0)
    rotation, _ = orthogonal_procrustes(centred, mean.reshape(68, 2))
    expected = 5 * centred @ rotation / np.linalg.norm(centred)
    frame = released_frame(face, mean)
    units = normalise(face @ frame[:, :2].T + frame[:, 2])
    np.testing.assert_allclose(units, expected, atol=1e-5)
    assert 0.5 < np.abs(units).max() < 1.5
    # the place, size and tilt of a face in its picture do not matter
    moved = released_frame(0.5 * face @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 30, mean)
    np.testing.assert_allclose(
        normalise((0.5 * face @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 30) @ moved[:, :2].T + moved[:, 2]),
        units,
        atol=1e-5,
    )
    with pytest.raises(InputError, match="all coincide"):
        released_frame(np.ones((68, 2)), mean)
    for wrong in (face[:67], np.full((68, 2), np.nan)):
        with pytest.raises(InputError, match=re.escape("landmarks: got shape")):
            released_frame(wrong, mean)


def test_generate_is_the_released_demo(released, at_state, vg_state, shape_files, face, photo, speech):
    """The demo written out; it pads 120 ms on both sides and gives a frame less, so here the end has more."""
    mean, basis = np.load(shape_files["mean"]), np.load(shape_files["basis"])[:, :6]
    padded = np.concatenate([np.zeros(1920), speech, np.zeros(3000)])
    rows = python_speech_features.mfcc(padded, 16000, winstep=0.01)[:, 1:]
    windows = np.stack([rows[4 * t : 4 * t + 28] for t in range(3)])
    centred = face - face.mean(0).astype(np.float64)
    rotation, _ = orthogonal_procrustes(centred, mean.reshape(68, 2))
    p_p = (5 * centred @ rotation / np.linalg.norm(centred)).reshape(136)
    h_p = (p_p - mean) @ basis
    h = reference_at_net(at_state, torch.tensor(h_p)[None].float(), torch.tensor(windows)[None].float())[0]
    p_t = (h.numpy() * [1, 2.2, 2.4, 2.6, 2.8, 3]) @ basis.T + mean
    image = torch.tensor(photo / 127.5 - 1).float().movedim(-1, 0)[None]
    seen = torch.tensor(h_p @ basis.T + mean).float()[None]
    frames, *_ = reference_vg_net(vg_state, image, torch.tensor(p_t).float()[None], seen)
    unseen, *_ = reference_vg_net(
        vg_state, image, torch.tensor(p_t).float()[None], torch.tensor(p_p).float()[None]
    )
    assert (frames - unseen).abs().max() > 0.01
    assert (frames[:, 0] - frames[:, 2]).abs().max() > 0.002

    landmarks, film = released.generate(speech, photo, face)
    assert landmarks.shape == (3, 68, 2)
    assert landmarks.dtype == np.float32
    in_crop = p_t.reshape(3, 68, 2) / 5 * np.linalg.norm(centred) @ rotation.T + face.mean(0)
    np.testing.assert_allclose(landmarks, in_crop, atol=1e-3)
    assert film.shape == (3, 128, 128, 3)
    assert film.dtype == np.uint8
    expected = (frames[0].movedim(1, -1).numpy() + 1) * 127.5
    assert np.abs(film - expected).max() < 0.51
    (made,) = released.film(photo, face, landmarks)
    torch.testing.assert_close(made.frames, frames, atol=1e-4, rtol=0)


def test_long_speech_in_pieces(released, face, photo):
    speech = (0.1 * np.random.default_rng(7).standard_normal(640 * 5)).astype(np.float32)
    whole = released.speak(speech, face, chunk_frames=None)
    assert whole.shape == (5, 68, 2)
    np.testing.assert_allclose(released.speak(speech, face, chunk_frames=2), whole, atol=1e-4)
    pieces = list(released.film(photo, face, whole[:3], chunk_frames=2))
    assert [made.frames.shape[1] for made in pieces] == [2, 1]
    (at_once,) = released.film(photo, face, whole[:3])
    for name in at_once._fields:
        together = torch.cat([getattr(made, name) for made in pieces], 1)
        torch.testing.assert_close(together, getattr(at_once, name), atol=1e-4, rtol=0)
    assert to_pictures(at_once.frames[0]).shape == (3, 128, 128, 3)


def test_what_is_not_speech_or_photograph_is_refused(released, face, photo, speech):
    with pytest.raises(InputError, match="speech"):
        released.generate(speech[:0], photo, face)
    with pytest.raises(InputError, match="speech"):
        released.speak(np.full(640, np.nan, np.float32), face)
    with pytest.raises(InputError, match="photo"):
        list(released.film(photo[:64], face, face[None]))
    with pytest.raises(InputError, match="landmarks"):
        released.generate(speech, photo, face[None])


def python_2_pickles():
    """A pickle module that writes as Python 2 did, in which the released files were made."""

    class Pickler(pickle._Pickler):
        def save_bytes_string(self, text):
            self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode("ascii"))
            self.memoize(text)

        dispatch = pickle._Pickler.dispatch | {str: save_bytes_string}

        def reducer_override(self, obj):
            if type(obj) is OrderedDict:
                return OrderedDict, ([[key, value] for key, value in obj.items()],), vars(obj) or None
            return NotImplemented

    def dump(obj, file, protocol=2):
        Pickler(file, protocol).dump(obj)

    return SimpleNamespace(Pickler=Pickler, dump=dump, __name__="pickle")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("kind", ["zip", "legacy", "python 2"])
def test_formats_and_prefixes(cheap, shape_files, tmp_path, kind, prefix):
    options = {"_use_new_zipfile_serialization": kind == "zip"}
    if kind == "python 2":
        options |= {"pickle_module": python_2_pickles(), "pickle_protocol": 2}
    for name, state in cheap.items():
        state = OrderedDict((prefix + key, value) for key, value in state.items())
        if kind == "legacy":
            norms = [key.removesuffix("running_mean") for key in state if key.endswith("running_mean")]
            state |= {f"{norm}num_batches_tracked": torch.tensor(3) for norm in norms}
        state._metadata = OrderedDict([("", {"version": 1})])
        torch.save(state, tmp_path / name, **options)
        assert (tmp_path / name).stat().st_size < 200_000
    if kind == "python 2":
        assert b"U\x0elstm_fc.0.bias" in (tmp_path / "at").read_bytes() or prefix
    system = load_released(tmp_path / "at", tmp_path / "vg", **shape_files)
    assert not system.training
    ours = dict(system.speech_to_shape.at_net.named_parameters())
    assert (ours["phi_lmark.weight"] == cheap["at"]["lstm_fc.0.weight"]).all()
    ours = dict(system.shape_to_film.vg_net.named_parameters())
    assert (ours["conv_gru.from_memory.weight"] == cheap["vg"]["convGRU.weight_hh_l0"]).all()
    assert (ours["fuse.1.weight"] == cheap["vg"]["bottle_neck.0.1.weight"]).all()


NUMBERS = torch.full((32,), 1e300, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "got", "expected"),
    [
        (
            {"landmark_encoder.0.weight": torch.zeros(64, 130)},
            "landmark_encoder.0.weight (64, 130)",
            "(64, 136)",
        ),
        ({"base.3.weight": None}, "no base.3.weight", "base.3.weight (64, 32, 3, 3)"),
        ({"extra.weight": torch.zeros(2, 3)}, "extra.weight (2, 3)", "no such name in the released VG-net"),
        ({"base.4.bias": NUMBERS * torch.nan}, "NaN or infinity in base.4.bias (32,)", "finite"),
        ({"base.4.bias": NUMBERS}, "NaN or infinity in base.4.bias (32,)", "finite"),
        ({"base.4.bias": torch.zeros(32, dtype=torch.int64)}, "base.4.bias of torch.int64", "floating"),
        ({"base.4.bias": torch.zeros(32).to_sparse()}, "'base.4.bias': a Tensor", "a state dict"),
        ({"base.4.bias": [0.0] * 32}, "'base.4.bias': a list", "a state dict"),
        ({7: torch.zeros(1)}, "7: a Tensor", "a state dict"),
        (lambda s: {"state_dict": s, "epoch": 3}, "'state_dict': a dict", "a state dict"),
        (lambda s: list(s.values()), "a pickled list", "a state dict"),
        (lambda s: {}, "no tensors", "a state dict"),
        (
            lambda s: {"module." * ("base" in k) + k: v for k, v in s.items()},
            "no base.0.weight",
            "(128, 64, 3, 3)",
        ),
        (
            lambda s: {k.replace("GRU", "LSTM"): v for k, v in s.items()},
            "no convGRU.weight_ih_l0",
            "(1536, 128",
        ),
        (lambda s: torch.nn.Linear(1, 1), "a pickle that", "a state dict of tensors"),
    ],
)
def test_wrong_checkpoints_are_refused_by_name(cheap, cheap_files, shape_files, change, got, expected):
    state = dict(cheap["vg"])
    if callable(change):
        state = change(state)
    else:
        state = {key: value for key, value in (state | change).items() if value is not None}
    torch.save(state, cheap_files["vg"])
    with pytest.raises(InputError) as refused:
        load_released(cheap_files["at"], cheap_files["vg"], **shape_files)
    assert refused.value.what == str(cheap_files["vg"])
    assert refused.value.got.startswith(got)
    assert expected in refused.value.expected
    assert "\n" not in str(refused.value)


def test_swapped_files_and_other_networks(cheap_files, shape_files):
    at, vg = cheap_files["at"], cheap_files["vg"]
    with pytest.raises(
        InputError, match=r"at\.pth.*weights of AT-net, expected those of VG-net; are the two"
    ):
        load_released(at, at, **shape_files)
    with pytest.raises(
        InputError, match=r"vg\.pth.*weights of VG-net, expected those of AT-net; are the two"
    ):
        load_released(vg, at, **shape_files)
    # the released discriminator shares AT-net's names of the LSTM
    torch.save({"lstm.weight_ih_l0": torch.zeros(1, 1), "decision.0.weight": torch.zeros(1, 256)}, at)
    with pytest.raises(InputError, match=re.escape("got no lmark_encoder.0.weight, expected")):
        load_released(at, vg, **shape_files)


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 no archive", b"nonsense" * 99, None, "cut"])
def test_files_that_are_no_checkpoints(cheap_files, shape_files, content):
    path = cheap_files["at"]
    if content is None:
        path.unlink()
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-5000])
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="a checkpoint of AT-net") as refused:
        load_released(path, cheap_files["vg"], **shape_files)
    assert refused.value.what == str(path)
    assert "weights_only" not in str(refused.value)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_checkpoint_executes_nothing(cheap_files, shape_files, tmp_path, how):
    trace = tmp_path / "executed"
    with cheap_files["at"].open("wb") as file:
        if how == "pickle":
            pickle.dump(Malicious(trace), file, protocol=2)
        else:
            torch.save({"w": Malicious(trace)}, file, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(InputError, match="a state dict of tensors"):
        load_released(cheap_files["at"], cheap_files["vg"], **shape_files)
    assert not trace.exists()
    torch.load(cheap_files["at"], weights_only=False) if how != "pickle" else pickle.loads(
        cheap_files["at"].read_bytes()
    )
    assert trace.exists(), "the file would have done nothing anyway"


def test_files_of_absurd_size(cheap_files, shape_files):
    with cheap_files["at"].open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)  # sparse: no disk behind it
    with pytest.raises(InputError, match=r"at\.pth: got 2\.1 GB, expected at most 2\.1 GB"):
        load_released(cheap_files["at"], cheap_files["vg"], **shape_files)


def test_archives_that_grow_to_absurd_size(cheap_files, shape_files, monkeypatch):
    monkeypatch.setattr(released_module, "LARGEST_FILE", 1_000_000)
    with zipfile.ZipFile(cheap_files["at"], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(2_000_000))
    assert cheap_files["at"].stat().st_size < 10_000
    with pytest.raises(InputError, match=r"at\.pth: got 0\.0 GB, expected at most 0\.0 GB"):
        load_released(cheap_files["at"], cheap_files["vg"], **shape_files)


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        ("mean", lambda m: m[:-1], r"shape \(135,\), expected the mean shape, \(136,\)"),
        ("mean", lambda m: m.reshape(68, 2), r"shape \(68, 2\)"),
        ("mean", lambda m: m.astype(int), r"int64 \(136,\), expected the mean shape, float"),
        ("mean", lambda m: m.astype(object), "no .npy of numbers"),
        ("mean", lambda m: m * np.nan, "NaN or infinity"),
        ("mean", lambda m: 64 + 64 * m, "a face of norm [0-9.]+, expected about 5"),
        ("mean", lambda m: m / 5, "a face of norm 1, expected about 5"),
        ("basis", lambda u: u[:, :5], r"shape \(136, 5\).*K at least 6"),
        ("basis", lambda u: u[:, :6].T, r"shape \(6, 136\).*its transpose"),
        ("basis", lambda u: u[:100], r"its transpose"),
        ("basis", lambda u: u[:100, :100], r"shape \(100, 100\)"),
        ("basis", lambda u: u[:, 0], r"shape \(136,\)"),
        ("basis", lambda u: 1.01 * u, "off by 0.0201, expected orthonormal"),
        ("basis", lambda u: u + 1e-2, "orthonormal"),
        ("basis", lambda u: np.full_like(u, np.inf), "NaN or infinity"),
    ],
)
def test_wrong_shape_files_are_refused(cheap_files, shape_files, tmp_path, which, change, message):
    wrong = tmp_path / f"{which}.npy"
    np.save(wrong, change(np.load(shape_files[which])), allow_pickle=True)
    with pytest.raises(InputError, match=f"{re.escape(str(wrong))}: got .*{message}"):
        load_released(cheap_files["at"], cheap_files["vg"], **shape_files | {which: wrong})


def test_shape_files_that_are_no_arrays(cheap_files, shape_files, tmp_path):
    trace, path = tmp_path / "executed", tmp_path / "m.npy"
    header = b"\x93NUMPY\x01\x00v\x00"
    header += b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117) + b"\n"
    for content in (
        pickle.dumps(Malicious(trace)),
        b"",
        b"text",
        header,
        cheap_files["at"].read_bytes(),
        None,
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match="the mean shape, float"):
            load_released(cheap_files["at"], cheap_files["vg"], **shape_files | {"mean": path})
    assert not trace.exists()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_shape_files_of_other_layouts(cheap_files, shape_files, tmp_path, kind):
    mean, basis = (np.load(shape_files[name]) for name in ("mean", "basis"))
    basis = basis if kind is not np.float16 else np.eye(136)
    np.save(tmp_path / "m.npy", mean[None].astype(kind))
    np.save(tmp_path / "u.npy", np.asfortranarray(basis[:, :20]).astype(kind))
    files = {"mean": tmp_path / "m.npy", "basis": tmp_path / "u.npy"}
    system = load_released(cheap_files["at"], cheap_files["vg"], **files)
    shape_pca = system.speech_to_shape.shape_pca
    np.testing.assert_allclose(shape_pca.mean, mean, atol=1e-3)
    np.testing.assert_allclose(shape_pca.components, basis[:, :6].T, atol=1e-6)


def test_omega_is_the_demos():
    assert ATVGNET_BOOST == (1, 2.2, 2.4, 2.6, 2.8, 3)


def test_talker_films_with_released_files(
    at_state, vg_state, shape_files, released, photo, face, speech, tmp_path
):
    torch.save(at_state, tmp_path / "at.pth")
    torch.save(vg_state, tmp_path / "vg.pth")
    files = [tmp_path / "at.pth", tmp_path / "vg.pth"]
    talker = Talker.load("atvg", weights=files, basis=list(shape_files.values()), device="cpu")
    portrait = Portrait(image=photo, landmarks=face, matrix=np.eye(2, 3), name="somebody")
    clip = talker.talk(portrait, speech)
    landmarks, frames = released.generate(clip.speech, portrait.crop(), face)
    np.testing.assert_allclose(clip.landmarks, landmarks, atol=1e-3)
    assert np.abs(clip.frames.astype(int) - frames).mean() < 1
    with pytest.raises(InputError, match="1 files"):
        Talker.load("atvg", weights=files[:1], basis=list(shape_files.values()))
