"""Files of several parts: what goes in comes out by every door; what does not fit together is one line."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_networks import SMALL_AT_NET, SMALL_VG_NET

from talkface_lite.errors import InputError
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import describe_file, load, load_part
from talkface_lite.systems.atvg import ATNetPart, ATNetPartConfig, VGNetPart, VGNetPartConfig
from talkface_lite.systems.part import save_parts
from talkface_lite.systems.weights_file import read_parts, read_weights

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    return ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET), basis), VGNetPart(
        VGNetPartConfig(vg_net=SMALL_VG_NET, mouth_weight=3.0)
    )


@pytest.fixture
def several(parts, tmp_path):
    told = [(part, {"step": number}) for number, part in enumerate(parts)]
    return save_parts(tmp_path / "both.safetensors", told, {"notice": "mine"})


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) or torch.equal(value, theirs[name].half().float())
        for name, value in ours.items()
    )


def test_each_part_is_what_it_was(parts, several):
    for part in parts:
        found = type(part).load(several)
        assert found.config == part.config
        assert same(found, part)
        assert same(load_part("atvg", part.name, weights=several), part)
        assert same(load("atvg", weights=several).part(part.name), part)
    fresh = ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET))
    fresh.start_from(several)
    assert same(fresh, parts[0]), "the shape basis comes along"
    assert len(fresh.started) == 16


def test_what_is_said_of_them(several, parts, tmp_path):
    packed, record = read_parts(several)
    assert record == {"notice": "mine"}
    assert [one.about["record"] for one in packed] == [{"step": 0}, {"step": 1}]
    about = describe_file(several)
    assert [(one["system"], one["part"]) for one in about["parts"]] == [
        ("atvg", "at-net"),
        ("atvg", "vg-net"),
    ]
    assert about["parts"][1]["config"]["mouth_weight"] == 3.0
    assert about["bytes"] == several.stat().st_size
    again = save_parts(
        tmp_path / "again.safetensors", [(p, {"step": i}) for i, p in enumerate(parts)], record
    )
    assert again.read_bytes() == several.read_bytes()
    one = parts[0].save(tmp_path / "one.safetensors", {"step": 9})
    assert read_parts(one)[1] == {}
    assert read_parts(one)[0][0].about == read_weights(one)[0]
    with pytest.raises(InputError, match="another kind"):
        read_weights(several)


def test_a_part_twice_or_not_at_all(several, parts, tmp_path):
    one = parts[0].save(tmp_path / "one.safetensors")
    with pytest.raises(InputError, match="at-net once more"):
        load("atvg", weights=[several, one])
    with pytest.raises(InputError, match="'no_lstm' beside weights of at-net"):
        load("atvg", weights=several, variant="no_lstm")
    video = save_parts(tmp_path / "video.safetensors", [(parts[1], {})])
    with pytest.raises(InputError, match="got weights of 'vg-net' of 'atvg', expected weights of 'at-net'"):
        ATNetPart.load(video)
    assert load("atvg", weights=video).has("at-net"), "the package's"


def changed(path, change, tensors=lambda found: found):
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["talkface_lite"])
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    change(about)
    save_file(tensors(found), path, {"talkface_lite": json.dumps(about)})


@pytest.mark.parametrize(
    ("change", "tensors", "fragment"),
    [
        (lambda about: about.pop("parts"), None, "do not fit together"),
        (lambda about: about.update(parts=[]), None, "do not fit together"),
        (lambda about: about.update(parts=7), None, "do not fit together"),
        (lambda about: about.update(parts=["at-net", "vg-net"]), None, "do not fit together"),
        (lambda about: about["parts"].pop(), None, "do not fit together"),
        (lambda about: about["parts"].append(about["parts"][0]), None, "3 parts of 2 names"),
        (lambda about: about["parts"][0].update(part=["at-net"]), None, "do not fit together"),
        (lambda about: about["parts"][0].pop("part"), None, "do not fit together"),
        (lambda about: about.update(record="mine"), None, "do not fit together"),
        (lambda about: about["parts"][0].pop("config"), None, "weights that do not fit"),
        (lambda about: about["parts"][0].update(system="other"), None, "'at-net' of 'other'"),
        (lambda about: about.update(format="talkface_lite parts 2"), None, "another kind"),
        (lambda _: None, lambda found: {"loose": next(iter(found.values()))}, "do not fit together"),
        (lambda _: None, lambda found: dict(list(found.items())[1:]), "weights that do not fit"),
    ],
)
def test_what_does_not_fit_together_is_one_line(several, change, tensors, fragment):
    changed(several, change, tensors or (lambda found: found))
    with pytest.raises(InputError, match=fragment) as refused:
        load("atvg", weights=several)
    assert len(str(refused.value).splitlines()) == 1
    assert str(several) in str(refused.value)
