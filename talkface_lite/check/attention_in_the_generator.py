"""Self-checks of the chapter on attention in the generator."""

from collections.abc import Callable

import numpy as np

from talkface_lite.check import Verdict, Wrong, array_from, verify


def exercise_1(answer: Callable | None) -> Verdict:
    """``meet(f_img, f_bg, x)``: face and ground of one level."""

    def test(meet: Callable) -> None:
        rng = np.random.default_rng(0)
        f_img, f_bg, x = rng.normal(size=(3, 4, 5, 5))
        share = 1 / (1 + np.exp(-x))
        met = meet(f_img, f_bg, x)
        if not isinstance(met, tuple | list) or len(met) != 2:
            raise Wrong("Give two stacks of maps: face and ground.")
        face, ground = (array_from(one, "each of face and ground", shape=x.shape) for one in met)
        if np.allclose(face, f_img * share) and np.allclose(ground, f_bg * (1 - share)):
            return
        if np.allclose(face, f_bg * (1 - share)) and np.allclose(ground, f_img * share):
            raise Wrong("These are ground and face; the face comes first.")
        if np.allclose(face, f_img * x):
            raise Wrong("The sigmoid is missing: a share lies between 0 and 1.")
        softmax = np.exp(x) / np.exp(x).sum(axis=0)
        if np.allclose(face, f_img * softmax):
            raise Wrong("That is a softmax over channels; each channel has a share of its own.")
        if np.allclose(face, f_img * share.mean(axis=0)):
            raise Wrong("That is one share for all channels; each channel has its own.")
        if not np.allclose(face, f_img * share):
            raise Wrong("The face is not the photograph's features times the sigmoid of x.")
        if np.allclose(ground, f_bg * share):
            raise Wrong("The ground has what the face leaves: 1 - A.")
        if np.allclose(ground, f_bg):
            raise Wrong("The ground passes whole; it has what the face leaves.")
        if np.allclose(ground, f_img * (1 - share)):
            raise Wrong("The ground has a branch of its own: f_bg.")
        raise Wrong("The face is right. The ground is not f_bg times 1 - A.")

    return verify(1, answer, test)


def exercise_2(answer: Callable | None) -> Verdict:
    """``moved_by(picture, flow)``: a picture moved backward, by whole pixels."""

    def test(moved_by: Callable) -> None:
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (6, 8, 3))
        flow = rng.integers(-2, 3, (6, 8, 2))
        got = array_from(moved_by(picture, flow), "the moved picture", shape=picture.shape)
        if np.array_equal(got, _looked_up(picture, flow)):
            return
        if np.array_equal(got, _looked_up(picture, -flow)):
            raise Wrong("Looks the other way: at (x - u, y - v).")
        if np.array_equal(got, _looked_up(picture, flow[..., ::-1])):
            raise Wrong("Takes u for v: the first is to the right, the second down.")
        if np.array_equal(got, _looked_up(picture, flow, wrapped=True)):
            raise Wrong("What leaves at one edge comes in at the other; beyond the edge the edge goes on.")
        if np.array_equal(got[2:-2, 2:-2], _looked_up(picture, flow)[2:-2, 2:-2]):
            raise Wrong("Right inside. Beyond the edge of the picture its edge goes on.")
        raise Wrong("Pixel (x, y) does not show what the picture has at (x + u, y + v).")

    return verify(2, answer, test)


def exercise_3(answer: Callable | None) -> Verdict:
    """``pull(z, as_one_sum)``: slopes of the discriminator's loss, and of the sum, at a generated patch."""

    def test(pull: Callable) -> None:
        z = np.array([-2.0, -0.3, 0.0, 0.7, 3.0])
        sigma = 1 / (1 + np.exp(-z))
        for as_one_sum, wanted in ((False, sigma), (True, 2 * sigma - 1)):
            what = "the slope of L_d + L_g" if as_one_sum else "the slope of L_d"
            got = array_from([pull(one, as_one_sum) for one in z], what, shape=z.shape)
            if np.allclose(got, wanted):
                continue
            if np.allclose(got, -wanted):
                raise Wrong(f"What you give is minus {what}.")
            if np.allclose(got, sigma - 1):
                raise Wrong("That is the slope of L_g alone.")
            if np.allclose(got, -np.log(1 - sigma) - (np.log(sigma) if as_one_sum else 0)):
                raise Wrong("That is the loss; its slope is asked for.")
            if np.allclose(got, sigma if as_one_sum else 2 * sigma - 1):
                raise Wrong("The two are the other way round.")
            raise Wrong(f"{what[0].upper()}{what[1:]} at z = {z[0]:g} is not {got[0]:.3g}.")
        with np.errstate(over="ignore", invalid="ignore"):
            ends = [float(pull(end, True)) for end in (-1000.0, 1000.0)]
        if not np.allclose(ends, (-1, 1)):
            raise Wrong(f"At logits of -1000 and 1000 the sum pulls by -1 and 1; yours by {ends}.")

    return verify(3, answer, test)


def exercise_4(answer: Callable | None) -> Verdict:
    """``explained(maps, carried)``: how much of what changes in maps is a motion that they are carried by."""

    def test(explained: Callable) -> None:
        rng = np.random.default_rng(0)
        maps = 3 + rng.normal(size=(5, 2, 4, 4))
        carried = maps + 0.3 * rng.normal(size=maps.shape)
        carried[0] = maps[0]
        left, change = ((maps - carried) ** 2).sum(), ((maps - maps[:1]) ** 2).sum()
        got = float(explained(maps, carried))
        if not np.isclose(got, 1 - left / change):
            if np.isclose(got, left / change):
                raise Wrong("That is the share which is left; what is explained is asked for.")
            if np.isclose(got, 1 - left / ((maps - maps.mean(axis=0)) ** 2).sum()):
                raise Wrong("Takes the change from the mean map; it is counted from the first.")
            if np.isclose(got, 1 - left / (maps**2).sum()):
                raise Wrong("Divides by the maps themselves; divide by how they change.")
            if np.isclose(got, 1 - np.sqrt(left / change)):
                raise Wrong("Takes roots; squares are compared.")
            raise Wrong(f"Gives {got:.3f} for maps of which {1 - left / change:.3f} is explained.")
        with np.errstate(invalid="ignore", divide="ignore"):
            nothing = float(explained(np.ones((3, 1, 2, 2)), np.ones((3, 1, 2, 2))))
        if nothing != 0:
            raise Wrong(f"Maps that do not change have nothing to explain: 0, not {nothing}.")

    return verify(4, answer, test)


def _looked_up(picture: np.ndarray, flow: np.ndarray, *, wrapped: bool = False) -> np.ndarray:
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    x, y = x + flow[..., 0], y + flow[..., 1]
    if wrapped:
        return picture[y % height, x % width]
    return picture[y.clip(0, height - 1), x.clip(0, width - 1)]
