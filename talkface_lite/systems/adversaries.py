"""Critics and a generator, each an update in turn (the conditional recurrent network's Eqs. 2 to 5)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from talkface_lite.losses import lip_reading_loss
from talkface_lite.systems.part import plain_module


@dataclass
class Criticism:
    """What the critics make of one update's films, and how they learn from it.

    Parameters
    ----------
    optimizers:
        One for each critic, by its name.
    backward:
        What is done with a loss before a step.
    told:
        Every loss, by name.
    """

    optimizers: Mapping[str, Optimizer]
    backward: Callable[[Tensor], None]
    told: dict[str, Tensor] = field(default_factory=dict)

    def judged(
        self, name: str, critic: nn.Module, truth: Tensor, made: Tensor, given: Sequence[Tensor] = ()
    ) -> Tensor:
        """Eqs. 3 and 4: real → 1, made → 0; and what it costs the generator not to be taken for real.

        Parameters
        ----------
        name:
            Of the critic, as its optimiser is named.
        critic:
            Pictures or films to logits.
        truth, made:
            What it takes.
        given:
            What both are conditioned on; the critic sees it beside either.

        Returns
        -------
        Scalar, the last term of Eq. 3 or 4 as the generator sees it: not ``log(1 - D)``, whose gradient fades
        where it is needed, but ``-log D``, as the released code has it.
        """
        real, fake = critic(truth, *given), critic(made.detach(), *given)
        loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        loss = loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        self._learn(name, loss)
        with asked(critic) as plain:
            score = plain(made, *given)
        cost = F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
        self.told[f"{name}_g"] = cost.detach()
        return cost

    def read(
        self,
        name: str,
        reader: nn.Module,
        lips: tuple[Tensor, Tensor],
        said: tuple[Tensor, Tensor],
        kind: str,
    ) -> Tensor:
        """Eq. 2, and the cross-entropy of the word that is read off the generated lips.

        Parameters
        ----------
        name, reader:
            As for :meth:`judged`.
        lips:
            Mouths as they are and as they were made, ``(B, T, 3, 40, 40)`` each.
        said:
            bool ``(B, T)``: when; int64 ``(B,)``: which word.
        kind:
            See :func:`talkface_lite.losses.lip_reading_loss`; "fixed" learns no more.
        """
        (truth, made), (spoken, word) = lips, said
        if kind != "fixed":
            loss = lip_reading_loss(reader(truth, spoken), reader(made.detach(), spoken), word, kind)
            self._learn(name, loss)
        with asked(reader) as plain:
            cost = F.cross_entropy(plain(made, spoken), word)
        self.told[f"{name}_g"] = cost.detach()
        return cost

    def _learn(self, name: str, loss: Tensor) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        self.backward(loss)
        self.optimizers[name].step()
        self.told[f"{name}_d"] = loss.detach()


@contextmanager
def asked(network: nn.Module) -> Iterator[nn.Module]:
    """The network inside its wrappers, asked and not taught: nothing of it learns from what is asked."""
    plain = plain_module(network)
    trainable = [parameter for parameter in plain.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield plain
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
