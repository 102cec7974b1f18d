"""A critic and a generator, each with its own loss; what both are conditioned on is beside either."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.systems.adversaries import Criticism, asked

torch.set_num_threads(1)


class Critic(nn.Module):
    """Weighs what it is shown, and remembers beside what."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -0.25]))
        self.seen = []

    def forward(self, shown, *given):
        self.seen.append((shown.detach().clone(), *given))
        return shown @ self.weight + sum(one.sum() for one in given)


def criticism(critic, rate=0.1):
    return Criticism({"c": torch.optim.SGD(critic.parameters(), rate)}, lambda loss: loss.backward())


TRUTH = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
GIVEN = (torch.tensor([0.25]), torch.tensor([[0.5, -0.125]]))


@pytest.mark.parametrize("given", [(), GIVEN])
def test_it_learns_to_tell_them_apart_and_the_generator_to_be_taken_for_real(given):
    critic = Critic()
    made = torch.tensor([[0.3, 0.1], [2.0, 1.0], [-1.0, 0.0]], requires_grad=True)
    shift = sum(one.sum() for one in given)
    weight = critic.weight.detach().clone().requires_grad_()
    real, fake = TRUTH @ weight + shift, made.detach() @ weight + shift
    expected = F.softplus(-real).mean() + F.softplus(fake).mean()  # real → 1, made → 0
    expected.backward()
    judge = criticism(critic)
    cost = judge.judged("c", critic, TRUTH, made, given)
    assert judge.told["c_d"].item() == pytest.approx(expected.item(), rel=1e-6)
    # one step down its own slope, and then it is asked
    after = weight.detach() - 0.1 * weight.grad
    torch.testing.assert_close(critic.weight.detach(), after)
    score = made.detach() @ after + shift
    assert cost.item() == pytest.approx(F.softplus(-score).mean().item(), rel=1e-6)
    assert judge.told["c_g"] == cost.detach()
    assert set(judge.told) == {"c_d", "c_g"}
    assert made.grad is None, "the critic's loss is not the generator's"
    critic.weight.grad = None
    cost.backward()
    by_hand = -torch.sigmoid(-score)[:, None] * after / 3
    torch.testing.assert_close(made.grad, by_hand)
    assert critic.weight.grad is None
    assert critic.weight.requires_grad


def test_each_step_goes_down_the_slope_of_its_own_loss():
    critic, made = Critic(), torch.tensor([[0.3, 0.1], [2.0, 1.0]])
    judge = criticism(critic)
    for _ in range(2):
        weight = critic.weight.detach().clone().requires_grad_()
        (F.softplus(-TRUTH @ weight).mean() + F.softplus(made @ weight).mean()).backward()
        judge.judged("c", critic, TRUTH, made.requires_grad_()).backward()
        torch.testing.assert_close(critic.weight.detach(), weight.detach() - 0.1 * weight.grad)
    assert not any(value.requires_grad for value in judge.told.values())


class Wrapped(nn.Module):
    """As training on several devices wraps a network."""

    def __init__(self, module):
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, *shown):
        self.calls += 1
        return self.module(*shown)


def test_it_learns_inside_its_wrapper_and_is_asked_without():
    wrapped = Wrapped(Critic())
    criticism(wrapped).judged("c", wrapped, TRUTH, torch.zeros(3, 2), GIVEN)
    assert (wrapped.calls, len(wrapped.module.seen)) == (2, 3)


def test_what_is_given_lies_beside_the_truth_and_beside_what_was_made():
    critic, made = Critic(), torch.zeros(3, 2)
    criticism(critic).judged("c", critic, TRUTH, made, given=GIVEN)
    assert len(critic.seen) == 3
    for (shown, *given), expected in zip(critic.seen, (TRUTH, made, made)):
        assert torch.equal(shown, expected)
        assert all(a is b for a, b in zip(given, GIVEN, strict=True))
    critic.seen.clear()
    criticism(critic).judged("c", critic, TRUTH, made)
    assert [len(one) for one in critic.seen] == [1, 1, 1]


def test_what_is_asked_does_not_learn_and_what_was_held_stays_held():
    critic = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    critic[0].requires_grad_(False)
    with asked(critic) as plain:
        assert plain is critic
        assert not any(parameter.requires_grad for parameter in critic.parameters())
    assert [parameter.requires_grad for parameter in critic.parameters()] == [False, False, True, True]
