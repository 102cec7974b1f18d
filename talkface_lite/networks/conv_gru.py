"""A recurrent unit that remembers maps and not vectors (Ballas et al., ICLR 2016)."""

import torch
from torch import Tensor, nn


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are 3×3 convolutions of dilation 2.

    ``r, z = σ(W x + U h)``, ``n = tanh(W_n x + r ⊙ U_n h)``, ``h′ = (1 - z) ⊙ n + z ⊙ h``. The input's
    convolutions are done for all steps at once; only those of the memory walk through time.

    Parameters
    ----------
    n_in, n_memory:
        Channels of the input and of the memory.
    """

    def __init__(self, n_in: int, n_memory: int) -> None:
        super().__init__()
        self.from_input = nn.Conv2d(n_in, 3 * n_memory, kernel_size=3, padding=2, dilation=2)
        self.from_memory = nn.Conv2d(n_memory, 3 * n_memory, kernel_size=3, padding=2, dilation=2)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Input ``(B, T, n_in, H, W)``, state ``(B, n_memory, H, W)`` → memory of each step, the last one."""
        n_batch, n_steps = x.shape[:2]
        inputs = self.from_input(x.flatten(0, 1))  # (B, T, n_in, H, W) → (B·T, 3·n_memory, H, W)
        inputs = inputs.unflatten(0, (n_batch, n_steps))
        if state is None:
            state = inputs.new_zeros(n_batch, inputs.shape[2] // 3, *inputs.shape[3:])
        memory = []
        for t in range(n_steps):
            state = self.step(inputs[:, t], state)  # (B, 3·n_memory, H, W) → (B, n_memory, H, W)
            memory.append(state.movedim(1, -1))
        return torch.stack(memory, dim=1).movedim(-1, 2), state  # (B, T, n_memory, H, W), channels last

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step: ``W x`` ``(B, 3·n_memory, H, W)``, the memory ``h`` → ``h′``, ``(B, n_memory, H, W)``."""
        reset_x, update_x, new_x = inputs.chunk(3, dim=1)  # (B, 3·n_memory, H, W) → 3 of (B, n_memory, H, W)
        reset_h, update_h, new_h = self.from_memory(state).chunk(3, dim=1)  # (B, n_memory, H, W) → 3 of these
        r = torch.sigmoid(reset_x + reset_h)
        z = torch.sigmoid(update_x + update_h)
        n = torch.tanh(new_x + r * new_h)
        return (1 - z) * n + z * state  # (B, n_memory, H, W)
