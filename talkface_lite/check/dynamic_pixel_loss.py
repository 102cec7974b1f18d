"""Self-checks of the chapter on the dynamic pixel loss."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``share_that_moves(frames, photo, levels)``: the share of pixels that differ from a photograph."""

    def test(share_that_moves: Callable) -> None:
        photo = np.full((4, 5, 3), 100, np.uint8)
        frames = np.repeat(photo[None], 2, axis=0)
        frames[0, 0, :, 0] = 110  # five pixels, redder by 10
        frames[1, 1, :, 2] = 109  # five pixels, bluer by 9
        frames[1, 2, 0] = 130  # one pixel, brighter in all colours
        got = share_that_moves(frames, photo, 9)
        if np.ndim(got) != 0:
            raise Wrong(f"gives shape {np.shape(got)}; a share is one number.")
        if np.isclose(got, 11 / 40):
            raise Wrong("a pixel that changes by exactly `levels` does not change by more.")
        if np.isclose(got, 8 / 120) or np.isclose(got, 1 / 40):
            raise Wrong("a pixel moves if one of its colours does. Which colour decides?")
        if not np.isclose(got, 6 / 40):
            raise Wrong(f"gives {float(got):.4f} where 6 of 40 pixels move.")
        frames[0, 3, :, 1] = 60  # five pixels, less green by 40
        frames[1, 3, :, 1] = 97  # five pixels, less green by 3
        got = share_that_moves(frames, photo, 9)
        if not np.isclose(got, 11 / 40):
            if np.isclose(got, 6 / 40):
                raise Wrong("a pixel moves if one of its colours does. Green changed, and was not seen.")
            raise Wrong(f"gives {float(got):.4f} where 11 of 40 pixels move. What is 97 - 100 in uint8?")
        if not np.isclose(got := share_that_moves(frames, photo, 29), 6 / 40):
            raise Wrong(
                f"gives {float(got):.4f} with 29 levels, where 6 of 40 pixels move. Is `levels` used?"
            )

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``break_even(beta)``: how far off paint may be, a copy being off by 1, to cost as much as the copy."""

    def test(break_even: Callable) -> None:
        for beta in (0.5, 1.0, 0.1, 3.0, 0.0):
            wanted = beta / (1 + beta)
            try:
                got = float(break_even(beta))
            except ZeroDivisionError:
                raise Wrong(f"β = {beta:g} divides by zero. What does a copy cost then?") from None
            if np.isclose(got, wanted):
                continue
            if beta and np.isclose(got, 1 / wanted):
                raise Wrong(
                    f"β = {beta:g} gives {got:.3f}: that is how many times better the paint must be. "
                    "How far off may it be?"
                )
            raise Wrong(f"β = {beta:g} gives {got:.3f}. What does α = 0 cost, and what α = 1?")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``gradient_at_alpha(alpha, colour, photo, truth, beta, stop_gradient)``, compared with differences."""

    def test(gradient_at_alpha: Callable) -> None:
        rng = np.random.default_rng(0)
        alpha = rng.uniform(0.1, 0.9, (6, 7))
        colour, photo, truth = rng.uniform(-1, 1, (3, 6, 7))

        def cost(mixing: np.ndarray, weight: np.ndarray, beta: float) -> np.ndarray:
            return np.abs(mixing * colour + (1 - mixing) * photo - truth) * (weight + beta)

        for beta in (0.5, 0.0, 1.0):
            for stop_gradient in (True, False):
                near = 1e-6
                high, low = alpha + near, alpha - near
                weights = (alpha, alpha) if stop_gradient else (high, low)
                wanted = (cost(high, weights[0], beta) - cost(low, weights[1], beta)) / (2 * near)
                got = np.asarray(gradient_at_alpha(alpha, colour, photo, truth, beta, stop_gradient))
                if got.shape != alpha.shape:
                    raise Wrong(f"gives shape {got.shape}, not {alpha.shape}: one number for each pixel.")
                if np.allclose(got, wanted, atol=1e-5):
                    continue
                if np.allclose(got, -wanted, atol=1e-5):
                    raise Wrong("the sign is turned round. Is the error that of v̂ - v, or of v - v̂?")
                if stop_gradient:
                    raise Wrong(
                        f"with the stop and β = {beta:g} other numbers. "
                        "α still stands in the mix: how does v̂ change with it?"
                    )
                raise Wrong(
                    f"without the stop and β = {beta:g} other numbers. A product has two derivatives: "
                    "what does the weight add?"
                )

    return verify(3, answer, test)
