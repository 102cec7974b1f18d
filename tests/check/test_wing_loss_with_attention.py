"""The exercises of the chapter on head motion and the wing loss tell right from wrong from not yet."""

import math

import numpy as np
import pytest
import torch
from exercises import KINDS, WHOLE, given_as, hints, passes_and_waits
from scipy.signal import correlate

from talkface_lite.check import wing_loss_with_attention as check
from talkface_lite.corpus.nods import stress_signal
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.losses import wing_loss
from talkface_lite.measuring.head_motion import nod_lag
from talkface_lite.networks.lips_and_head import fitted


def join(w, epsilon):
    # by the branches: what the curved one gives at w is what the straight one has to
    return w - float(wing_loss(torch.tensor(w - 1e-9, dtype=torch.float64), w, epsilon))


def lay_on(points, three, places):
    matrix = fitted(torch.from_numpy(three), torch.from_numpy(places)).numpy()
    return points @ matrix[:, :2].T + matrix[:, 2]


def frames_late(nose, stress):
    nose, stress = (np.gradient(curve) - np.gradient(curve).mean() for curve in (nose, stress))
    agree = correlate(nose, stress, mode="full")
    return int(np.argmax(agree[len(nose) - 13 : len(nose) + 12])) - 12


def weighted(x, weights):
    return np.average(wing_loss(x).mean(dim=(0, 1, 3)).numpy(), weights=weights.numpy())


RIGHT = {1: join, 2: lay_on, 3: frames_late, 4: weighted}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answers_pass_and_stubs_wait(number, capsys):
    passes_and_waits(check, number, RIGHT[number], capsys)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_points_may_come_as_any_kind_of_numbers(kind):
    assert check.exercise_2(given_as(kind, lay_on))


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_a_lag_may_come_as_any_whole_number(kind):
    assert check.exercise_3(given_as(kind, frames_late))


def test_a_loss_may_come_as_a_tensor():
    assert check.exercise_4(given_as(torch.tensor, weighted))


def places_only(nose, stress):
    nose, stress = nose - nose.mean(), stress - stress.mean()
    agree = np.correlate(nose, stress, "full")[len(nose) - 13 : len(nose) + 12]
    return int(agree.argmax()) - 12


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        (1, lambda w, e: w - w * math.log((1 + w) / e), "a bracket in the wrong place"),
        (1, lambda w, e: w * math.log(1 + w / e) - w, "the wrong sign"),
        (1, lambda w, e: w * math.log(1 + w / e), "what both branches are to give"),
        (1, lambda w, e: w - w * math.log10(1 + w / e), "base 10"),
        (1, lambda w, e: 0.0, r"gives 0 for w = 10 and ε = 2: .* is 10 at \|x\| = w, the curved one 17.92"),
        (1, lambda w, e: -7.917594692, "for w = 5 and ε = 0.5"),
        (2, lambda p, t, q: lay_on(p, q, t), "the other way round"),
        (2, lambda p, t, q: p + (q - t).mean(axis=0), "neither stretches nor turns"),
        (2, lambda p, t, q: p - p[:3].mean(axis=0), "from its place"),
        (2, lambda p, t, q: lay_on(p, t, q)[:3], r"The shape is \(3, 2\)"),
        (2, lambda p, t, q: np.concatenate([q, p[3:]]), "moves other points by another map"),
        (3, lambda n, s: -frames_late(n, s), "its sign turned round"),
        (3, places_only, "Try speeds"),
        (3, lambda n, s: 40, "look no further than 12"),
        (3, lambda n, s: 1, "gives 1 for a nose that comes -6 frames after"),
        (3, lambda n, s: 0.5, "A lag in frames is a whole number"),
        (4, lambda x, w: (wing_loss(x) * w[:, None]).mean(), "divide by their mean"),
        (4, lambda x, w: (wing_loss(x) * w[:, None]).sum(), "adds up"),
        (4, lambda x, w: wing_loss(x * w[:, None]).mean() / w.mean(), "weigh what they cost"),
        (4, lambda x, w: wing_loss(x).mean(), "does not use the weights"),
        (4, lambda x, w: 1.0, "gives 1 where"),
    ],
)
def test_wrong_answers_get_a_hint(number, answer, hint):
    hints(check, number, answer, hint)


def transposed(points, three, places):
    matrix = fitted(torch.from_numpy(three), torch.from_numpy(places)).numpy()
    return points @ matrix[:, :2] + matrix[:, 2]


def without_shift(points, three, places):
    return points @ fitted(torch.from_numpy(three), torch.from_numpy(places)).numpy()[:, :2].T


@pytest.mark.parametrize(
    ("answer", "hint"), [(transposed, "transposed"), (without_shift, "forgets the shift")]
)
def test_two_slips_of_matrices(answer, hint):
    hints(check, 2, answer, hint)


def test_weights_that_count_only_once_are_found_out():
    """Right for these weights and not for three times as large ones."""
    right = []

    def answer(x, weights):
        right.append(weighted(x, weights))
        return right[0] * (1 if len(right) == 1 else 3)

    hints(check, 4, answer, "three times as large")


def test_the_answer_to_exercise_3_is_that_of_the_packages_measure():
    clip = draw_clip(0, split="test", view="head", nods=True, paint=False)
    stress = stress_signal(clip.phonemes, len(clip))
    nose = clip.landmarks[:, 27:36, 1].mean(axis=1)
    lag, _ = nod_lag(clip.landmarks, stress)
    assert frames_late(nose, stress) == round(25 * lag)
