"""The branches of STL net share no weight, and the head's may learn in shorter steps."""

import pytest
import torch
from attentional_parts import make_batch, make_stl

from talkface_lite.errors import InputError
from talkface_lite.systems.training_settings import TrainingSettings

torch.set_num_threads(1)

SETTINGS = TrainingSettings(steps=1, learning_rate=1e-3)


def steps_of(**config):
    """How far each branch's weights went in one update, and what the optimisers were called."""
    torch.manual_seed(0)
    part = make_stl(**config).train()
    before = {name: value.detach().clone() for name, value in part.stl_net.named_parameters()}
    optimizers = part.optimizers(SETTINGS)
    part.training_step(make_batch(), optimizers)
    after = dict(part.stl_net.named_parameters())
    far = {
        branch: max((after[n] - before[n]).abs().max().item() for n in before if n.startswith(branch))
        for branch in {name.partition(".")[0] for name in before}
    }
    return far, list(optimizers)


def test_the_head_branch_goes_at_its_own_rate():
    alike, one = steps_of()
    slower, two = steps_of(head_rate=0.2)
    assert (one, two) == (["adam"], ["lips", "head"])
    # the first step of Adam is as long as its rate, whatever the gradient
    assert alike["lips"] == pytest.approx(1e-3, rel=1e-2)
    assert alike["head"] == pytest.approx(1e-3, rel=1e-2)
    assert slower["lips"] == alike["lips"]
    assert slower["head"] == pytest.approx(2e-4, rel=1e-2)


def test_one_branch_has_one_rate():
    far, optimizers = steps_of(head_rate=0.2, split=False)
    assert optimizers == ["adam"]
    assert far == {"whole": pytest.approx(1e-3, rel=1e-2)}


@pytest.mark.parametrize("rate", [0, -1.0])
def test_a_rate_is_above_zero(rate):
    with pytest.raises(InputError, match="head_rate"):
        make_stl(head_rate=rate)


@pytest.mark.parametrize("rate", [1.0, 0.2])
@pytest.mark.parametrize(("branch", "other"), [("lips", "head"), ("head", "lips")])
def test_a_branch_of_weight_0_stays_as_it_is(branch, other, rate):
    """Its statistics of batches too; the other learns as it would beside it, to the bit."""
    torch.manual_seed(0)
    weight = {"lips": "lip_weight", "head": "head_weight"}[other]
    alone = make_stl(head_rate=rate, **{weight: 0.0}).train()
    torch.manual_seed(0)
    both = make_stl(head_rate=rate).train()
    before = {name: value.clone() for name, value in alone.stl_net.state_dict().items()}
    for part in (alone, both):
        part.training_step(make_batch(), part.optimizers(SETTINGS))
    after, beside = alone.stl_net.state_dict(), both.stl_net.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) == (name.partition(".")[0] != branch), name
        assert name.startswith(other) or torch.equal(after[name], beside[name]), name
    assert not alone.eval().stl_net.lips.training


def test_whose_lips_alone_learned_last_adapts_its_head_too():
    """So are the weights that ship."""
    part = make_stl(head_weight=0.0)
    learner = part.changed(**part.adapting.config).train()
    before = {name: value.clone() for name, value in learner.stl_net.named_parameters()}
    learner.training_step(make_batch(), learner.optimizers(SETTINGS))
    moved = {
        name.partition(".")[0]
        for name, value in learner.stl_net.named_parameters()
        if not torch.equal(before[name], value)
    }
    assert moved == {"lips", "head"}
