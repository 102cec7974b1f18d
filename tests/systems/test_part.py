"""A part's weights file, whatever the part: what it says, what it holds, what is refused."""

import hashlib
import json
from dataclasses import asdict, dataclass, field

import pytest
import torch
from safetensors.torch import load_file
from small_networks import SMALL_AT_NET, SMALL_VG_NET
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.files import write_tensors
from talkface_lite.systems import load_part, part_class
from talkface_lite.systems.atvg import ATNetPart, ATNetPartConfig, VGNetPart, VGNetPartConfig
from talkface_lite.systems.part import FORMAT, Part, read_weights, shipped_weights, weights_files
from talkface_lite.systems.training_settings import TrainingSettings

torch.set_num_threads(1)


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Of a network of two layers."""

    widths: tuple[int, ...] = (3, 4, 2)

    @classmethod
    def of_size(cls, size: str, **changes: object) -> "Widths":
        return cls(**({"widths": (3, 40, 2)} if size == "full" else {}) | changes)

    def network(self) -> nn.Sequential:
        layers = zip(self.widths, self.widths[1:])
        return nn.Sequential(*(nn.Linear(a, b) for a, b in layers), nn.BatchNorm1d(self.widths[-1]))


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """A generator, and a critic that need not be there."""

    generator: Widths = field(default_factory=Widths)
    critic: Widths | None = None


class Toy(Part):
    """Two networks of which the file keeps one, and a third that is only asked."""

    system = "toys"
    name = "toy"
    config_class = ToyConfig
    network_names = ("generator", "critic")
    kept = ("generator",)

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.generator = config.generator.network()
        self.critic = config.critic and config.critic.network()
        self.reader = nn.Linear(2, 1).requires_grad_(False)

    def losses(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.generator(batch).square().mean()}


class Hoarder(Toy):
    """The same, but the file keeps everything."""

    kept = None


def toy(seed=0, kind=Toy, size="lite", **settings):
    torch.manual_seed(seed)
    part = kind.of_size(size, **settings)
    part.generator(torch.rand(5, 3))  # so that its running means are not those of a fresh one
    return part.eval()


def halves(module):
    return {
        name: value.half().float()
        if value.is_floating_point() and name in dict(module.named_parameters())
        else value
        for name, value in module.state_dict().items()
    }


def assert_equal_states(module, expected):
    assert module.state_dict().keys() == expected.keys()
    for name, value in module.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_what_a_file_says_about_itself(tmp_path):
    part = toy()
    about, _ = read_weights(part.save(tmp_path / "a.safetensors", {"seed": 3, "metrics": {"loss": 0.5}}))
    assert about == {
        "format": FORMAT,
        "system": "toys",
        "part": "toy",
        "config": json.loads(json.dumps(asdict(part.config))),
        "record": {"seed": 3, "metrics": {"loss": 0.5}},
    }
    assert read_weights(part.save(tmp_path / "b.safetensors"))[0]["record"] == {}


def test_networks_that_are_not_kept_are_not_in_the_file(tmp_path):
    part = toy(seed=1)
    assert part.critic is not None
    path = part.save(tmp_path / "w.safetensors")
    assert {name.split(".")[0] for name in load_file(path)} == {"generator", "reader"}
    torch.manual_seed(7)
    again = Toy.load(path)
    assert again.config == part.config
    assert not again.training
    assert_equal_states(again.generator, halves(part.generator))
    assert again.generator[-1].running_mean.any(), "running means are kept in full"
    assert_equal_states(again.reader, halves(part.reader))
    torch.manual_seed(7)
    assert_equal_states(again.critic, Toy(part.config).critic.state_dict())
    everything = toy(seed=1, kind=Hoarder)
    path = everything.save(tmp_path / "all.safetensors")
    assert {name.split(".")[0] for name in load_file(path)} == {"generator", "critic", "reader"}
    assert_equal_states(Hoarder.load(path).critic, halves(everything.critic))
    without = toy(critic=False)
    assert Toy.load(without.save(tmp_path / "without.safetensors")).critic is None


def rewritten(path, tensors=None, **changes):
    about, found = read_weights(path)
    about.pop("format")
    about = {key: value for key, value in (about | changes).items() if value is not None}
    return write_tensors(
        path, found if tensors is None else tensors(found), about, key="talkface_lite", text=FORMAT
    )


@pytest.mark.parametrize(
    ("tensors", "got"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "generator.0.bias"}, "no generator.0.bias"),
        (lambda t: {k: v for k, v in t.items() if not k.startswith("reader")}, "no reader.weight"),
        (lambda t: t | {"extra.weight": torch.zeros(1)}, "extra.weight unknown"),
        (lambda t: t | {"generator.0.bias": torch.zeros(9)}, "size mismatch for generator.0.bias"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, tensors, got):
    path = rewritten(toy().save(tmp_path / "w.safetensors"), tensors)
    with pytest.raises(InputError, match="weights that do not fit") as refused:
        Toy.load(path)
    assert got in refused.value.got
    assert refused.value.what == str(path)
    assert refused.value.expected == "toy of toys"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [{"generator": {"depth": 3}}, {"painter": 1}, {"generator": 5}, [], None, {"critic": {"widths": 3}}],
)
def test_configurations_that_do_not_fit(tmp_path, config):
    path = rewritten(toy().save(tmp_path / "w.safetensors"), config=config)
    with pytest.raises(InputError, match="weights that do not fit"):
        Toy.load(path)


def test_a_part_of_another_name_or_system_is_refused(tmp_path):
    path = toy().save(tmp_path / "w.safetensors")
    other = rewritten(toy().save(tmp_path / "other.safetensors"), system="trains")
    old = rewritten(toy().save(tmp_path / "old.safetensors"), part=None)
    for load in (Toy.load, toy().start_from):
        with pytest.raises(
            InputError, match="weights of 'toy' of 'trains', expected weights of 'toy' of 'toys'"
        ):
            load(other)
        with pytest.raises(InputError, match="got weights of 'toys', expected weights of 'toy' of 'toys'"):
            load(old)  # it has no name from before parts had names
        with pytest.raises(InputError, match="no such file"):
            load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="of 'toy' of 'toys', expected weights of 'at-net' of 'atvg'"):
        ATNetPart.load(path)


SMALL = {
    "at-net": lambda: ATNetPart(ATNetPartConfig(at_net=SMALL_AT_NET)),
    "vg-net": lambda: VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET)),
}


@pytest.mark.parametrize(("name", "formerly"), [("at-net", "atvg"), ("vg-net", "atvg_video")])
def test_weights_from_before_parts_had_names(tmp_path, name, formerly):
    """Nobody's weights are lost: such a file says ``atvg`` or ``atvg_video``, and no part."""
    part = SMALL[name]().eval()
    path = rewritten(part.save(tmp_path / "w.safetensors", {"seed": 5}), part=None, system=formerly)
    about = read_weights(path)[0]
    assert "part" not in about
    assert about["record"] == {"seed": 5}
    assert_equal_states(load_part("atvg", name, weights=path), halves(part))
    fresh = SMALL[name]()
    fresh.start_from(path)
    assert_equal_states(fresh, halves(part))
    (other,) = SMALL.keys() - {name}
    with pytest.raises(
        InputError, match=f"got weights of '{formerly}', expected weights of '{other}' of 'atvg'"
    ):
        load_part("atvg", other, weights=path)


def test_starting_from_a_file_takes_what_both_have(tmp_path):
    first = toy(seed=1, kind=Hoarder, critic=False)
    path = first.save(tmp_path / "first.safetensors")
    second = toy(seed=2, kind=Hoarder)
    assert second.started == ""
    critic, reader = (dict(module.state_dict()) for module in (second.critic, second.reader))
    second.start_from(path)
    assert_equal_states(second.generator, halves(first.generator))
    assert_equal_states(second.critic, critic)
    assert_equal_states(second.reader, reader)
    assert second.started == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    both = toy(seed=3, kind=Hoarder)
    second.start_from(both.save(tmp_path / "both.safetensors"))
    assert_equal_states(second.critic, halves(both.critic))
    wider = toy(kind=Hoarder, size="full")
    with pytest.raises(InputError, match="generator of other widths, expected the generator asked for"):
        wider.start_from(path)
    assert wider.started == ""


def test_only_networks_are_trained():
    part = toy()
    assert list(part.networks()) == ["generator", "critic"]
    assert list(toy(critic=False).networks()) == ["generator"]
    assert part.parameter_counts() == {"generator": 3 * 4 + 4 + 4 * 2 + 2 + 4, "critic": 30}
    (adam,) = part.optimizers(TrainingSettings(learning_rate=0.25, betas=(0.1, 0.2))).values()
    (group,) = adam.param_groups
    assert (group["lr"], group["betas"]) == (0.25, (0.1, 0.2))
    trained = {id(parameter) for parameter in group["params"]}
    expected = [*part.generator.parameters(), *part.critic.parameters()]
    assert trained == {id(parameter) for parameter in expected}


def test_a_step_lowers_what_it_is_told_to_and_returns_it_detached():
    part, batch = toy(critic=False).train(), torch.rand(6, 3)
    before = [parameter.clone() for parameter in part.generator.parameters()]
    for parameter in part.generator.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)  # of a step before
    losses = part.training_step(batch, part.optimizers(TrainingSettings(learning_rate=1e-2)))
    assert not losses["loss"].requires_grad
    assert any(not torch.equal(a, b) for a, b in zip(before, part.generator.parameters()))
    assert all(parameter.grad.abs().max() < 100 for parameter in part.generator.parameters())
    assert part.held_out(batch).keys() == {"loss"}


def test_names_sizes_and_files():
    assert part_class("atvg") is ATNetPart
    assert part_class("atvg", "vg-net") is VGNetPart
    with pytest.raises(InputError, match="part: got 'painter', expected at-net or vg-net, the parts of atvg"):
        part_class("atvg", "painter")
    with pytest.raises(InputError, match="size: got 'huge', expected lite or full"):
        Toy.of_size("huge")
    with pytest.raises(InputError, match="setting: got volume, expected a field of ToyConfig"):
        Toy.of_size("lite", volume=11)
    assert shipped_weights("toys", "a-b", "full", "loud").name == "toys_a_b_full_loud.safetensors"
    assert shipped_weights("toys", "a-b").name == "toys_a_b_lite.safetensors"
    assert [path.name for path in weights_files("x/a")] == ["a"]
    assert [path.name for path in weights_files(["x/a", "b"])] == ["a", "b"]
    assert weights_files(None) == []
    with pytest.raises(InputError, match="weights of vg-net of atvg full: got none in the package"):
        load_part("atvg", "vg-net", "full")


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_gives_the_mode_back_as_it_was_whatever_happened(training):
    part = Toy(ToyConfig()).train(training)
    with part.evaluating():
        assert not part.training
        assert not part.generator.training
    assert part.training == part.generator.training == training
    with pytest.raises(InputError), part.evaluating():
        raise InputError("film", "torn", "whole")
    assert part.training == part.generator.training == training


def test_evaluating_leaves_gradients_alone():
    part = Toy(ToyConfig())
    with part.evaluating():
        assert torch.is_grad_enabled()
    with torch.inference_mode(), part.evaluating():
        assert torch.is_inference_mode_enabled()
