"""Several systems in one film: one cut of the photograph, panels in step, the photograph beside them."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from toy_systems import Lamp, SmallLamp

from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.errors import InputError
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import (
    OURS,
    align,
    apply_transform,
    compose,
    invert_transform,
    magnify,
    warp_crop,
)
from talkface_lite.systems.base import Painted, Stretch
from talkface_lite.talking.film import pictures
from talkface_lite.talking.paste import FEATHER
from talkface_lite.talking.scene import INK
from talkface_lite.talking.side_by_side import GAP, PANEL, STILL, panel_places, side_by_side
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)


class HeadLamp(Lamp):
    """The same in the head's frame, and in pictures of 64×64."""

    name = "head-lamp"
    side = 64
    template = WHOLE_HEAD


class Swing(Lamp):
    """Moves the photograph by a flow, and paints nothing."""

    name = "swing"

    def film(self, face, speech, rng):
        for made in super().film(face, speech, rng):
            n, side = len(made.frames), self.side
            flow = np.full((n, side, side, 2), 5, np.float32)
            alpha = np.zeros((n, side, side), np.float32)
            yield Stretch(made.frames, None, Painted(np.zeros((n, side, side, 3), np.float32), alpha, flow))


class Mute(Lamp):
    """Has no weights that paint."""

    name = "mute"

    def film(self, face, speech, rng):
        yield Stretch(None, np.repeat(face.landmarks[None], len(speech) // 640, axis=0))


@pytest.fixture(scope="module")
def portrait():
    """A soft picture with a face laid out in it, a little turned."""
    noise = np.random.default_rng(0).uniform(0, 255, (420, 460, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 12)
    image = np.clip((soft - 127.5) * 16 + 100, 20, 160).astype(np.uint8)
    face = face_points(Identity.draw(1), np.zeros((1, 7)), Motion.hold(1)).landmarks[0]
    angle = np.deg2rad(8)
    linear = 1.4 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed = apply_transform(face, np.hstack([linear, [[140], [120]]]))
    landmarks, matrix = align(placed)
    return Portrait(image=image, landmarks=landmarks, matrix=matrix, name="nobody")


@pytest.fixture(scope="module")
def speech():
    """Seven frames, each louder than the one before."""
    loud = np.linspace(0.1, 1, 7).repeat(640)
    return (loud * np.random.default_rng(1).uniform(-1, 1, 640 * 7)).astype(np.float32)


def talkers(*systems):
    return {system.name: Talker(system, device="cpu") for system in systems}


def film(*arguments, **options):
    return np.stack(list(side_by_side(*arguments, **options)))


def the_cut(portrait, panel=PANEL):
    return warp_crop(portrait.image, portrait.on(WHOLE_HEAD).matrix, panel)


def test_panels_are_what_pasting_into_the_photograph_gives(portrait, speech):
    """Of a photograph that is the cut itself, nothing is cut: then both are one and the same."""
    landmarks = portrait.on(WHOLE_HEAD).landmarks
    whole = replace(
        portrait,
        image=the_cut(portrait),
        landmarks=landmarks,
        matrix=magnify(128 / PANEL),
        template=WHOLE_HEAD,
    )
    together = talkers(Lamp(), SmallLamp(), HeadLamp(), Swing())
    for marked in (False, True):
        made = film(together, whole, speech, 4, marked=marked)
        assert len(made) == 7
        places = panel_places(5)
        for (name, talker), place in zip(together.items(), places[1:]):
            alone = pictures(
                talker, whole, speech, np.random.default_rng(4), view="photograph", marked=marked
            )
            np.testing.assert_array_equal(made[:, *place], np.stack(list(alone)), err_msg=name)
        np.testing.assert_array_equal(made[:, *places[0]], np.repeat(whole.image[None], 7, 0))


def test_every_system_is_where_its_own_crop_lies_in_the_one_cut(portrait, speech):
    """So much brighter in its crop, of whatever size and template; outside it the photograph."""
    made = film(talkers(Lamp(), SmallLamp(), HeadLamp()), portrait, speech, 4, marked=False).astype(int)
    cut, levels = the_cut(portrait).astype(int), Lamp.levels(speech, np.random.default_rng(4))
    y, x = np.mgrid[:PANEL, :PANEL]
    panel = np.stack([x, y], -1).astype(float)
    head = compose(portrait.on(WHOLE_HEAD).matrix, np.eye(2, 3))
    back = compose(invert_transform(head), magnify(128 / PANEL))
    for place, template in zip(panel_places(4)[1:], (OURS, OURS, WHOLE_HEAD)):
        places = apply_transform(panel, compose(portrait.on(template).matrix, back))
        edge = FEATHER if template is OURS else 0
        inside = ((places >= edge) & (places <= 127 - edge)).all(-1)
        outside = ((places < -0.5) | (places > 127.5)).any(-1)
        assert inside.sum() > 10_000
        assert outside.any() == (template is OURS)
        for frame, level in zip(made, levels):
            np.testing.assert_array_equal(frame[place][outside], cut[outside])
            off = np.abs(frame[place] - cut - level)[inside]
            assert off.max() <= (12 if template is WHOLE_HEAD else 4), "enlarged four times; else as it is"
            assert off.mean() < 1.5


def test_the_photograph_does_nothing(portrait, speech):
    made = film(talkers(Lamp(), Swing()), portrait, speech)
    first, *others = panel_places(3)
    np.testing.assert_array_equal(made[:, *first], np.repeat(the_cut(portrait)[None], 7, 0))
    for place in others:
        assert (made[:, *place] != the_cut(portrait)).any(axis=(1, 2, 3)).all()
    assert (made[1:] == made[:-1])[:, *first].all()
    assert not (made[1:] == made[:-1])[:, *others[0]].all()


def test_systems_of_other_stretches_stay_in_step(portrait, speech):
    first, second = Lamp(chunk=3), Lamp(chunk=2)
    made = film({"three": Talker(first, device="cpu"), "two": Talker(second, device="cpu")}, portrait, speech)
    _, left, right = panel_places(3)
    assert len(made) == 7
    np.testing.assert_array_equal(made[:, *left], made[:, *right])


def test_no_more_than_a_stretch_is_under_way(portrait):
    asked = []

    class Counting(Lamp):
        def film(self, face, speech, rng):
            for made in super().film(face, speech, rng):
                asked.append(len(made.frames))
                yield made

    shown = side_by_side(talkers(Counting(chunk=5)), portrait, np.full(640 * 100, 0.1, np.float32))
    next(shown)
    assert asked == [5]
    assert sum(1 for _ in shown) == 99


@pytest.mark.parametrize("panel", [PANEL, 131])
@pytest.mark.parametrize("columns", [None, 3, 1, 9])
def test_panels_lie_apart_with_a_name_under_each(portrait, speech, panel, columns):
    names = ("a", "b", "c", "a-name-that-is-too-long-for-its-panel")
    together = {name: Talker(SmallLamp(), device="cpu") for name in names}
    sheet = next(side_by_side(together, portrait, speech, marked=False, panel=panel, columns=columns))
    places = panel_places(5, panel, columns)
    height, width = sheet.shape[:2]
    assert height % 2 == width % 2 == 0
    rows = len({rows.start for rows, _ in places})
    assert rows == {None: 1, 3: 2, 1: 5, 9: 1}[columns]
    taken = np.zeros(sheet.shape[:2], int)
    for place in places:
        taken[place] += 1
        assert taken[place].shape == (panel, panel)
    assert taken.max() == 1
    assert taken[:, GAP].any()
    assert taken[:, width - GAP - 2].any(), "no more ground on one side than on the other"
    assert not taken[:GAP].any()
    assert not taken[:, :GAP].any()
    assert not taken[:, width - GAP :].any()
    letters = (sheet != INK).any(-1) & (taken == 0)
    caption = max(18, round(0.13 * panel))
    for rows_of, columns_of in places:
        under = letters[rows_of.stop : rows_of.stop + caption, columns_of]
        assert under.sum() > 20
        under[:] = False
    assert not letters.any(), "every letter stands under its panel"
    tops = sorted({rows_of.start for rows_of, _ in places})
    assert {low - high for high, low in pairwise(tops)} <= {panel + caption}
    assert height - (tops[-1] + panel + caption) in (0, 1), "and nothing under the last"
    if columns == 3:
        middle = [(c.start + c.stop) / 2 for _, c in places]
        assert abs((middle[3] + middle[4]) / 2 - middle[1]) <= 1


def test_captions_are_the_names(portrait, speech):
    def captions(*names):
        return next(side_by_side({name: Talker(SmallLamp()) for name in names}, portrait, speech))[
            GAP + PANEL :
        ]

    one, other = captions("atvg", "latent"), captions("latent", "atvg")
    first, second, third = (columns for _, columns in panel_places(3))
    assert STILL == "photograph"
    np.testing.assert_array_equal(one[:, first], other[:, first])
    np.testing.assert_array_equal(one[:, second], other[:, third])
    assert (one[:, second] != one[:, third]).any()


def test_what_is_generated_is_marked_and_the_photograph_is_not(portrait, speech):
    together = talkers(Lamp(), SmallLamp())
    marked, bare = (film(together, portrait, speech, marked=marked) for marked in (True, False))
    first, *others = panel_places(3)
    differs = (marked != bare).any(-1)
    assert not differs[:, *first].any()
    for place in others:
        assert differs[:, *place].any(axis=(1, 2)).all()
        assert differs[:, *place].mean() < 0.05


def test_the_seed_is_of_what_systems_draw(portrait, speech):
    first, again, other = (film(talkers(Lamp()), portrait, speech, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("systems", "options", "message"),
    [
        ((), {}, "systems: got none, expected at least one"),
        ((Lamp(), Mute()), {}, "weights that paint: got none"),
        ((Lamp(),), {"panel": 0}, "side: got 0, expected 1 pixel or more"),
        ((Lamp(),), {"columns": 0}, "columns: got 0, expected at least 1"),
    ],
)
def test_what_is_no_film_is_refused(portrait, speech, systems, options, message):
    with pytest.raises(InputError, match=message):
        next(side_by_side(talkers(*systems), portrait, speech, **options))
