"""Self-checks of the chapter on AT-net."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from talkface_lite.check import Verdict, Wrong, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``lstm_parameters(n_in, hidden, layers)``: what ``torch.nn.LSTM`` of that size counts."""

    def test(lstm_parameters: Callable) -> None:
        for n_in, hidden, layers in ((5, 7, 1), (5, 7, 2), (768, 256, 3)):
            wanted = sum(p.numel() for p in nn.LSTM(n_in, hidden, layers, device="meta").parameters())
            got = lstm_parameters(n_in, hidden, layers)
            if got == wanted:
                continue
            if layers > 1:
                raise Wrong(f"({n_in}, {hidden}, {layers}) gives {got}. What goes into the second layer?")
            raise Wrong(f"({n_in}, {hidden}, {layers}) gives {got}. Four gates, and two biases each.")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``run_in_chunks(lstm, x, n)``: equal to the LSTM over the whole, whatever the size of a chunk."""

    def test(run_in_chunks: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        lstm = _CountingLSTM(3, 5, 2, batch_first=True).requires_grad_(False)
        x = torch.randn(2, 10, 3, generator=generator)
        with torch.no_grad():
            whole, _ = lstm(x)
            for n in (16, 10, 5, 4, 1):
                lstm.heard.clear()
                got = run_in_chunks(lstm, x, n)
                if isinstance(got, tuple) and len(got) == 2:  # the LSTM, too, gives its state along
                    got = got[0]
                got = torch.as_tensor(got)
                if max(lstm.heard, default=0) > n:
                    raise Wrong(
                        f"chunks of {n}, and the LSTM was handed {max(lstm.heard)} frames at once. "
                        "Ten minutes do not fit: cut x first."
                    )
                if got.shape != whole.shape:
                    raise Wrong(f"chunks of {n} give shape {tuple(got.shape)}, not {tuple(whole.shape)}.")
                if not torch.allclose(got, whole, atol=1e-6):
                    raise Wrong(f"chunks of {n} give other numbers. What must one chunk hand to the next?")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``whitened_mse(h, target, variance)``: each component's error in its own standard deviations."""

    def test(whitened_mse: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        h, target = torch.randn(2, 4, 7, 6, generator=generator)
        variance = torch.tensor([9.0, 4.0, 1.0, 0.5, 0.1, 0.01])
        wanted = torch.stack([((h - target)[..., k] / variance[k].sqrt()).square().mean() for k in range(6)])
        got = torch.as_tensor(whitened_mse(h, target, variance))
        if got.numel() != 1:
            raise Wrong(f"gives shape {tuple(got.shape)}; a loss is one number.")
        got = float(got)
        if math.isclose(got, float(((h - target).square() / variance.sqrt()).mean()), rel_tol=1e-4):
            raise Wrong("the errors are squared, so what they are divided by must be squared too.")
        if not math.isclose(got, float(wanted.mean()), rel_tol=1e-4):
            raise Wrong(f"gives {got:.4f}. Divide first, then square, then average over everything.")

    return verify(3, answer, test)


class _CountingLSTM(nn.LSTM):
    """An LSTM that writes down how many frames it is handed at a time."""

    def __init__(self, *sizes: int, **options: bool) -> None:
        super().__init__(*sizes, **options)
        self.heard: list[int] = []

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple:
        self.heard.append(x.shape[-2])
        return super().forward(x, state)
