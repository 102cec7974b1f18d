"""The film that shows how it is made: what lies where, frame by frame."""

import numpy as np
import pytest

from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, GROUPS, TEMPLATE, warp_crop
from talkface_lite.systems.base import Painted, Stretch
from talkface_lite.talking.scene import INK, LOUD, ON_DARK, PANEL, QUIET, ZOOM, talking_scene, waveform

SIDE, GAP, STRIP, FRAMES = 128, 4, 20, 5
LEFT, RIGHT = slice(GAP, GAP + SIDE), slice(2 * GAP + SIDE, 2 * GAP + 2 * SIDE)
UP = slice(GAP, GAP + SIDE)
MATRIX = np.array([[0.5, 0.0, -20.0], [0.0, 0.5, -6.0]])
CURSOR = (235, 235, 235)


def face(opening: float = 0.0) -> np.ndarray:
    """(68, 2): a plain face in the crop whose lips are ``opening`` px apart."""
    points = np.zeros((68, 2), np.float32)
    turn = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([64 + 44 * np.cos(turn), 60 + 56 * np.sin(turn)], -1)
    points[17:22], points[22:27] = np.linspace((30, 40), (54, 38), 5), np.linspace((74, 38), (98, 40), 5)
    points[ANCHORS] = TEMPLATE
    outer, inner = np.linspace(np.pi, -np.pi, 13)[:12], np.linspace(np.pi, -np.pi, 9)[:8]
    points[48:60] = np.stack([64 + 16 * np.cos(outer), 95 - (9 + opening / 2) * np.sin(outer)], -1)
    points[60:] = np.stack([64 + 11 * np.cos(inner), 95 - (1 + opening / 2) * np.sin(inner)], -1)
    return points


def photograph() -> np.ndarray:
    y, x = np.mgrid[:280, :320]
    return np.stack([x * 0.7, y * 0.8, 120 + 60 * np.sin(x / 20)], -1).astype(np.uint8)


def stretch(faces: np.ndarray, alpha: float = 0.0, colour: float = 0.0) -> Stretch:
    """Some frames of a film, everywhere of one colour and one share."""
    n = len(faces)
    painted = Painted(
        np.full((n, 128, 128, 3), colour, np.float32), np.full((n, 128, 128), alpha, np.float32)
    )
    return Stretch(np.full((n, 128, 128, 3), 200, np.uint8), faces, painted)


def film(alpha: float = 0.0, colour: float = 1.0, marked: bool = False, faces: list | None = None) -> list:
    faces = np.stack([face()] * FRAMES if faces is None else faces)
    n = len(faces)
    made = [stretch(faces[part], alpha, colour) for part in (slice(0, 2), slice(2, n))]
    speech = np.concatenate([np.full(640 * n // 2, 0.1), np.full(640 * n - 640 * n // 2, 0.4)])
    sizes = {"panel": SIDE, "gap": GAP, "strip": STRIP}
    return list(
        talking_scene(photograph(), MATRIX, speech.astype(np.float32), iter(made), marked=marked, **sizes)
    )


def close(a: np.ndarray, colour: tuple[int, int, int], by: int = 12) -> np.ndarray:
    return (np.abs(a.astype(int) - colour) <= by).all(-1)


def test_one_frame_for_each_of_the_film_and_each_its_own():
    frames = film()
    assert len(frames) == FRAMES
    assert len({id(frame) for frame in frames}) == FRAMES
    assert all(
        f.shape == (SIDE + STRIP + 3 * GAP, 2 * SIDE + 3 * GAP, 3) and f.dtype == np.uint8 for f in frames
    )
    # by itself it is a film of 944 x 568: two panels of 448 over a strip of 72
    whole = next(talking_scene(photograph(), MATRIX, np.zeros(640, np.float32), [stretch(face()[None])]))
    assert whole.shape == (448 + 72 + 48, 2 * 448 + 48, 3)


def test_without_a_painted_part_the_whole_face_is_laid_in():
    frames = np.full((1, 128, 128, 3), 200, np.uint8)
    frames[:, :, 64:] = 50
    sound, sizes = np.zeros(640, np.float32), {"panel": SIDE, "gap": GAP, "strip": STRIP, "marked": False}
    whole = next(talking_scene(photograph(), MATRIX, sound, [Stretch(frames, face()[None])], **sizes))
    middle = whole[UP, LEFT][55:75]
    assert (middle[:, 40:60] == 200).all()
    assert (middle[:, 70:90] == 50).all()
    with_drawing = film()[0][UP, RIGHT]
    assert np.array_equal(whole[UP, RIGHT], with_drawing)
    # where a system has no landmarks, its face stands beside the photograph
    (bare,) = talking_scene(photograph(), MATRIX, sound, [Stretch(frames)], **sizes)
    assert np.array_equal(bare[UP, RIGHT], frames[0])
    with pytest.raises(InputError, match="weights that paint: got none"):
        next(talking_scene(photograph(), MATRIX, sound, [Stretch(None, face()[None])], **sizes))


def test_between_panels_and_strip_there_is_ground():
    for frame in film():
        ground = np.ones(frame.shape[:2], bool)
        ground[UP, LEFT] = ground[UP, RIGHT] = False
        ground[2 * GAP + SIDE : 2 * GAP + SIDE + STRIP, GAP:-GAP] = False
        assert (frame[ground] == INK).all()
        assert ground.sum() == frame[..., 0].size - 2 * SIDE**2 - STRIP * (2 * SIDE + GAP)


def zoomed() -> np.ndarray:
    """From the photograph to the left panel: the crop at 0.74 of its size, about (64, 0.52 * 128)."""
    about = np.array([64, 0.52 * 128])
    return np.column_stack([ZOOM * MATRIX[:, :2], about + ZOOM * (MATRIX[:, 2] - about)])


def test_the_photograph_shows_the_crop_and_what_is_around_it():
    plain = warp_crop(photograph(), zoomed(), SIDE)
    for frame in film(alpha=0):
        assert np.array_equal(frame[UP, LEFT], plain)


def test_what_is_painted_lies_where_the_crop_is():
    white, plain = film(alpha=1, colour=1)[0][UP, LEFT], film(alpha=0)[0][UP, LEFT]
    changed = (white != plain).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    low = np.array([64, 0.52 * 128]) * (1 - ZOOM)
    assert abs(columns[0] - low[0]) < 10
    assert abs(rows[0] - low[1]) < 10
    assert abs(columns[-1] - (low[0] + ZOOM * 128)) < 10
    assert abs(rows[-1] - (low[1] + ZOOM * 128)) < 10
    middle = white[50:80, 50:80]
    assert (middle == 255).all()
    assert (film(alpha=1, colour=-1)[0][50 + GAP : 80 + GAP, 50 + GAP : 80 + GAP] == 0).all()


def test_the_mark_is_on_the_photograph_that_talks_and_only_there():
    for bare, marked in zip(film(), film(marked=True)):
        where = np.argwhere((bare != marked).any(-1))
        assert len(where) > 20
        assert where.min(0)[0] > GAP + SIDE // 2
        assert (where.max(0) < GAP + SIDE).all()
    assert np.array_equal(film()[0], film(marked=False)[0])


def test_the_drawing_follows_the_landmarks():
    panel = film(faces=[face(10)])[0][UP, RIGHT]
    about = np.array([64, 0.52 * 128])
    there = lambda points: about + ZOOM * (np.asarray(points) - about)  # noqa: E731
    points = there(face(10))
    for group, part in GROUPS.items():
        x, y = np.rint(points[part][1]).astype(int)
        near = panel[y - 2 : y + 3, x - 2 : x + 3]
        assert close(near, ON_DARK[group], 60).any(), group
    # fills: skin, the whites of the eyes, the lips, and what is between them
    for place, colour in [
        ((64, 112), (41, 46, 58)), ((40, 80), (41, 46, 58)), ((64, 42), (41, 46, 58)),
        (face()[36:42].mean(0), (52, 72, 92)), (face()[42:48].mean(0), (52, 72, 92)),
        ((64, 95), (14, 10, 12)), ((64, 105), (110, 58, 44)), ((64, 85), (110, 58, 44)),
    ]:  # fmt: skip
        x, y = np.rint(there(place)).astype(int)
        assert close(panel[y - 1 : y + 2, x - 1 : x + 2], colour, 25).any(), place
    # around the face, and above the brows' height, nothing
    assert (panel[:12] == PANEL).all()
    assert (panel[-8:] == PANEL).all()
    assert (panel[:, :12] == PANEL).all()
    assert (panel[:, -12:] == PANEL).all()
    # the forehead reaches a tenth of the way from the chin above the brows
    column = np.flatnonzero(close(panel[:, 64], (41, 46, 58), 8))
    brow, chin = face()[17:27, 1].min(), face()[8, 1]
    assert abs(column[0] - there((64, brow - 0.10 * (chin - brow)))[1]) < 3
    assert abs(column[-1] - there((64, chin))[1]) < 5


def test_a_mouth_that_opens_is_seen():
    shut, wide = (film(faces=[face(opening)])[0][UP, RIGHT] for opening in (0, 16))
    dark = [close(panel, (14, 10, 12), 10).sum() for panel in (shut, wide)]
    assert dark[1] > dark[0] + 60


def test_the_strip_shows_how_far_the_sound_has_played():
    frames = film()
    wide = 2 * SIDE + GAP
    n = 640 * FRAMES
    speech = np.concatenate([np.full(n // 2, 0.1), np.full(n - n // 2, 0.4)]).astype(np.float32)
    wave = waveform(speech, wide, STRIP)
    for t, frame in enumerate(frames, start=1):
        strip = frame[2 * GAP + SIDE : 2 * GAP + SIDE + STRIP, GAP:-GAP]
        now = round(t / FRAMES * wide)
        assert (strip[:, now - 2 : now] == CURSOR).all()
        assert (strip[:, : now - 2][wave[:, : now - 2]] == LOUD).all()
        assert (strip[:, now:][wave[:, now:]] == QUIET).all()
        bare = ~wave
        bare[:, now - 2 : now] = False
        assert (strip[bare] == INK).all()


@pytest.mark.parametrize("height", [20, 21])
def test_the_waveform_is_the_envelope_at_full_height(height):
    speech = np.repeat([0.0, 0.1, -0.2, 0.4], 50).astype(np.float32)
    speech[60] = 0.2  # the peak of a column counts
    wave = waveform(speech, 4, height)
    assert wave.shape == (height, 4)
    assert wave.dtype == bool
    full = height / 2 - 2
    middle = np.abs(np.arange(height) - (height - 1) / 2)
    for column, level in enumerate([0.0, 0.5, 0.5, 1.0]):
        assert np.array_equal(wave[:, column], middle <= max(1, level * full)), column


def test_the_waveform_of_silence_and_of_less_sound_than_columns():
    assert (waveform(np.zeros(640, np.float32), 8, 20).sum(0) == 2).all()
    few = waveform(np.array([0.5, 0.25], np.float32), 6, 40)
    assert few.shape == (40, 6)
    assert np.array_equal(few.sum(0), [36] * 3 + [18] * 3)
