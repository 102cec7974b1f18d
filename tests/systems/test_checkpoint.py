"""Files as ATVGnet's authors released them are read as numbers by name, and what is wrong has one line."""

import os
import pickle
import re
import zipfile
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.systems.atvg import checkpoint
from talkface_lite.systems.atvg.checkpoint import LARGEST_FILE
from talkface_lite.systems.atvg.released import load_released

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore:without --template")


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
    assert not system.at_net.training
    assert not system.vg_net.training
    ours = dict(system.at_net.at_net.named_parameters())
    assert (ours["phi_lmark.weight"] == cheap["at"]["lstm_fc.0.weight"]).all()
    ours = dict(system.vg_net.vg_net.named_parameters())
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
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 1_000_000)
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
    shape_pca = system.at_net.shape_pca
    np.testing.assert_allclose(shape_pca.mean, mean, atol=1e-3)
    np.testing.assert_allclose(shape_pca.components, basis[:, :6].T, atol=1e-6)
