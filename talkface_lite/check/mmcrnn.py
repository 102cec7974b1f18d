"""Self-checks of the chapter on the MMCRNN."""

from collections.abc import Callable

import torch
from torch import Tensor

from talkface_lite.check import Verdict, Wrong, verify
from talkface_lite.networks.conv_gru import ConvGRU
from talkface_lite.networks.vg_net import RECURRENCES


def exercise_1(answer: Callable | None) -> Verdict:
    """``multiplications(n_image, n_landmark, n_out, n_frames, split)``: the 3×3 convolution of v″."""

    def test(multiplications: Callable) -> None:
        for n_image, n_landmark, n_out, n_frames in ((2, 3, 5, 7), (512, 512, 128, 16)):
            for split in (False, True):
                n_in = n_landmark * n_frames + n_image * (1 if split else n_frames)
                wanted = 8 * 8 * 3 * 3 * n_in * n_out
                got = multiplications(n_image, n_landmark, n_out, n_frames, split)
                if got == wanted:
                    continue
                call = f"({n_image}, {n_landmark}, {n_out}, {n_frames}, {split}) gives {got}."
                if not split:
                    raise Wrong(f"{call} 8·8 places, and at each 3·3 weights for every pair of maps.")
                raise Wrong(f"{call} Which half is the same for every frame?")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``axis_of(layer)``: ``"time"``, ``"batch"`` or ``"off"``, found by disturbing what goes in."""

    def test(axis_of: Callable) -> None:
        for seed, recurrence in enumerate((*RECURRENCES, *reversed(RECURRENCES))):
            torch.manual_seed(seed)
            got = axis_of(_wired(recurrence))
            if got not in RECURRENCES:
                raise Wrong(f"gives {got!r}; it should be one of {', '.join(map(repr, RECURRENCES))}.")
            if got != recurrence:
                raise Wrong(
                    f"gives {got!r} for a layer that is {recurrence!r}. Disturb the first frame of the first "
                    "film, with at least two films and two frames. What else moved?"
                )

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``best_alpha(photo, colour, truth)``: where to paint, were the truth known."""

    def test(best_alpha: Callable) -> None:
        generator = torch.Generator().manual_seed(0)
        photo, colour, truth = torch.rand(3, 2, 3, 6, 5, generator=generator) * 2 - 1
        colour[0, :, :2] = photo[0, :, :2]
        alpha = torch.as_tensor(best_alpha(photo, colour, truth))
        if alpha.shape != (2, 1, 6, 5):
            raise Wrong(f"gives shape {tuple(alpha.shape)}, not (2, 1, 6, 5): one α for three colours.")
        if not torch.isfinite(alpha).all():
            raise Wrong("is not a number where the paint equals the photograph.")
        if alpha.min() < 0 or alpha.max() > 1:
            raise Wrong(f"reaches from {alpha.min():.2f} to {alpha.max():.2f}; α is a share.")

        def error(share: Tensor) -> Tensor:
            return (share * colour + (1 - share) * photo - truth).square().sum(1, keepdim=True)

        tried = torch.stack([error(torch.full_like(alpha, share)) for share in torch.linspace(0, 1, 101)])
        if (error(alpha) > tried.min(dim=0).values + 1e-5).any():
            raise Wrong("another α is nearer to the truth at some pixels. Set the derivative to zero.")

    return verify(3, answer, test)


def _wired(recurrence: str) -> Callable[[Tensor], Tensor]:
    """A conv-GRU with fresh weights, ``(B, T, 3, H, W)`` → ``(B, T, 4, H, W)``, along one of the axes."""
    gru = ConvGRU(3, 4).requires_grad_(False)  # an answer may also ask for the gradient at x

    def layer(x: Tensor) -> Tensor:
        if recurrence == "batch":
            return gru(x.transpose(0, 1))[0].transpose(0, 1)
        if recurrence == "off":
            return gru(x.flatten(0, 1).unsqueeze(1))[0].squeeze(1).unflatten(0, x.shape[:2])
        return gru(x)[0]

    return layer
