"""Following one face: by a detector that sees coloured squares, and by dlib on real and drawn people.

The squares make the logic exact: where each one is in each frame is known, and the detector never errs unless
told to. What is asked of the pictures themselves is asked of dlib.
"""

import gc
import weakref
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkface_lite.errors import InputError
from talkface_lite.faces import detection as fd
from talkface_lite.faces.backends import Backend
from talkface_lite.faces.boxes import SAME_FACE, Face, overlap
from talkface_lite.landmarks import TEMPLATE
from talkface_lite.recordings import faces
from talkface_lite.recordings.cuts import difference
from talkface_lite.recordings.faces import Gap, Shot, follow

HEIGHT, WIDTH = 120, 200
RED, GREEN, BLUE = (230, 30, 30), (30, 230, 30), (30, 30, 230)
UNSEEN = (90, 90, 90)
"""As bright as RED: the detector misses the square, and the picture looks uncut."""
CORNERS = [36, 39, 42, 45]


def scene(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(90, 160, (6, 10, 3), dtype=np.uint8)
    grey = np.repeat(noise[..., :1], 3, -1)
    return cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def paint(*people: tuple, background: np.ndarray | None = None) -> np.ndarray:
    """A frame with squares ``(colour, middle x, side)``, the last one in front; ``None`` for nobody there."""
    frame = (scene() if background is None else background).copy()
    for colour, x, side in (person for person in people if person is not None):
        left, top = round(x - side / 2), HEIGHT // 2 - side // 2
        frame[max(0, top) : top + side, max(0, left) : left + side] = colour
    return frame


def see_squares(frame: np.ndarray) -> np.ndarray:
    """Whole squares of pure colour, as left, top, right, bottom, score."""
    found = []
    for channel in range(3):
        others = [c for c in range(3) if c != channel]
        there = (frame[..., channel] > 200) & (frame[..., others] < 70).all(-1)
        ys, xs = np.nonzero(there)
        if len(xs) and 0.8 < np.ptp(xs) / max(1, np.ptp(ys)) < 1.25:
            found.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 1))
    return np.array(found, float).reshape(-1, 5)


def points_in(box: np.ndarray) -> np.ndarray:
    """68 points that lie in a box as a face does in dlib's."""
    unit = np.zeros((68, 2))
    unit[:] = np.stack([np.linspace(20, 108, 68), 90 + 10 * np.sin(np.arange(68))], -1)
    unit[27:48] = TEMPLATE
    scale = (box[2] - box[0]) / 98
    return (unit - (64, 71)) * scale + (box[:2] + box[2:]) / 2


@pytest.fixture
def squares(monkeypatch):
    backend = Backend("squares", see_squares, lambda image, box: points_in(np.asarray(box)))
    monkeypatch.setattr(fd, "_backend", lambda detector: backend)
    return backend


def middles(shot: Shot) -> np.ndarray:
    """(n,): where the middle of the followed square is said to be, pixels from the left."""
    unit = points_in(np.array([0, 0, 98, 98.0]))[27:48].mean(0)[0] - 49
    wide = np.linalg.norm(shot.landmarks[:, 45] - shot.landmarks[:, 36], axis=-1) / 56 * 98
    return shot.landmarks[:, 27:48, 0].mean(-1) - unit * wide / 98


def spans(result: tuple[list[Shot], list[Gap]]) -> list[tuple]:
    shots, gaps = result
    found = [(shot.start, shot.stop, "shot") for shot in shots]
    return sorted(found + [(gap.start, gap.stop, gap.reason) for gap in gaps])


# --- squares: one face ---


def test_one_face_in_every_frame_is_one_shot(squares):
    xs = 60 + 2 * np.arange(40)
    shots, gaps = follow(paint((RED, x, 60)) for x in xs)
    assert gaps == []
    assert [(s.start, s.stop, s.bridged, s.others) for s in shots] == [(0, 40, (), 0)]
    assert shots[0].landmarks.dtype == np.float32
    assert shots[0].landmarks.shape == (40, 68, 2)
    assert abs(middles(shots[0]) - xs).max() < 0.6


def test_nothing_and_nobody(squares):
    assert follow([]) == ([], [])
    assert follow([paint()] * 7) == ([], [Gap(0, 7, "no face")])
    assert follow([np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 40) == ([], [Gap(0, 40, "no face")])


@pytest.mark.parametrize("missing", [1, 2, 5, 6, 9])
def test_up_to_five_frames_without_the_face_are_bridged(squares, missing):
    there = [True] * 10 + [False] * missing + [True] * 10
    xs = 70 + 0.5 * np.arange(len(there))
    shots, gaps = follow([paint((RED if here else UNSEEN, x, 60)) for x, here in zip(xs, there)])
    if missing <= 5:
        assert [(s.start, s.stop) for s in shots] == [(0, 20 + missing)]
        assert shots[0].bridged == tuple(range(10, 10 + missing))
        assert abs(middles(shots[0]) - xs).max() < 0.8
        assert gaps == []
    else:
        assert [(s.start, s.stop, s.bridged) for s in shots] == [
            (0, 10, ()),
            (10 + missing, 20 + missing, ()),
        ]
        assert gaps == [Gap(10, 10 + missing, "no face")]


def test_a_face_back_at_another_place_is_not_bridged(squares):
    frames = [paint((RED, 40, 60))] * 10 + [paint()] * 3 + [paint((RED, 150, 60))] * 20
    shots, gaps = follow(frames)
    assert len(shots) == 2
    assert (shots[0].start, shots[0].stop) == (0, 10)
    assert not any(shot.bridged for shot in shots)
    assert abs(middles(shots[1]) - 150).max() < 1
    assert gaps[0].start == 10


def test_a_face_that_leaves_and_returns_is_two_shots(squares):
    there = [True] * 12 + [False] * 30 + [True] * 8
    result = follow([paint((GREEN, 100, 60) if here else None) for here in there])
    assert spans(result) == [(0, 12, "shot"), (12, 42, "no face"), (42, 50, "shot")]


def test_a_face_under_40_pixels_and_one_that_grows(squares):
    small = follow([paint((RED, 100, 36))] * 20)
    assert small == ([], [Gap(0, 20, "a face under 40 px")])
    sides = np.linspace(30, 70, 41).round().astype(int)
    shots, gaps = follow([paint((RED, 100, side)) for side in sides])
    first = int(np.argmax(sides >= 40))
    assert gaps == [Gap(0, first, "a face under 40 px")]
    assert (shots[0].start, shots[0].stop) == (first, 41)
    shots, gaps = follow([paint((RED, 100, side)) for side in sides[::-1]])
    assert gaps == [Gap(shots[0].stop, 41, "a face under 40 px")]
    assert sides[::-1][shots[0].stop - 1] >= 36


def test_a_face_seen_in_four_frames_is_no_shot(squares):
    there = [False] * 4 + [True] * 4 + [False] * 8 + [True] * 5
    assert spans(follow([paint((BLUE, 100, 60) if here else None) for here in there])) == [
        (0, 4, "no face"),
        (4, 8, "a shot of under 5 frames"),
        (8, 16, "no face"),
        (16, 21, "shot"),
    ]


# --- squares: several faces ---


def test_of_two_faces_side_by_side_the_first_larger_one_is_kept(squares):
    # the other one becomes the larger, and both sway
    frames = [
        paint((RED, 55 + 8 * np.sin(t / 4), 64), (BLUE, 145 + 8 * np.sin(t / 3), 50 + t // 2))
        for t in range(50)
    ]
    shots, gaps = follow(frames)
    assert gaps == []
    assert [(s.start, s.stop, s.others) for s in shots] == [(0, 50, 1)]
    assert abs(middles(shots[0]) - 55).max() < 10


@pytest.mark.parametrize("missing", [3, 5, 6, 15])
def test_the_other_face_does_not_fill_in_for_one_that_goes(squares, missing):
    colours = [RED] * 20 + [UNSEEN] * missing + [RED] * 10
    shots, gaps = follow([paint((colour, 55, 64), (BLUE, 145, 50)) for colour in colours])
    assert gaps == []
    assert abs(middles(shots[0]) - 55).max() < 1
    if missing <= 5:
        assert [(s.start, s.stop) for s in shots] == [(0, 30 + missing)]
    else:
        assert [(s.start, s.stop) for s in shots] == [(0, 20), (20, 30 + missing)]
        assert abs(middles(shots[1]) - 145).max() < 1


def told(monkeypatch, script: list[list[tuple[int, int]]]) -> list[np.ndarray]:
    """Frames that all look alike, and a detector told what to see in each: faces ``(middle x, side)``."""

    def find(image: np.ndarray) -> np.ndarray:
        seen = script[int(image[0, 0, 0])]
        return np.array([(x - s / 2, 60 - s / 2, x + s / 2, 60 + s / 2, 1) for x, s in seen]).reshape(-1, 5)

    def again(image: np.ndarray, face: Face) -> Face | None:
        boxes = find(image)[:, :4]
        same = overlap(boxes, face.box)
        if not (same >= SAME_FACE).any():
            return None
        return Face(boxes[same.argmax()], points_in(boxes[same.argmax()]).astype(np.float32))

    backend = Backend("told", find, lambda image, box: points_in(np.asarray(box)), None, again)
    monkeypatch.setattr(fd, "_backend", lambda detector: backend)
    frames = [scene() for _ in script]
    for t, frame in enumerate(frames):
        frame[0, 0] = t
    return frames


@pytest.mark.parametrize("speed", [3, 5, 8, 12, 16])
@pytest.mark.parametrize("in_front", ["passer", "followed"])
@pytest.mark.parametrize("to", [1, -1])
def test_a_face_that_passes_by_is_never_taken_for_the_one_followed(monkeypatch, speed, in_front, to):
    # like a real detector, this one gives one box where two faces overlap by half
    others = [120 + to * (speed * t - 130) for t in range(260 // speed)]
    script = []
    for x in others:
        seen = {"followed": (120, 64), "passer": (x, 60)}
        script.append([seen[in_front]] if abs(x - 120) < 32 else list(seen.values()))
    shots, gaps = follow(told(monkeypatch, script))
    assert spans((shots, gaps))[-1][1] == len(script)
    for shot in shots:
        where = middles(shot)
        away = abs(np.stack([where - 120, where - others[shot.start : shot.stop]]))
        assert (away.max(1) < 3).any(), (shot.start, shot.stop, where)
    assert abs(middles(shots[0]) - 120).max() < 3
    hidden = sum(abs(x - 120) < 32 for x in others)
    if in_front == "followed" or hidden <= 5:
        assert len(shots) == 1
        assert len(shots[0].bridged) == (0 if in_front == "followed" else hidden)
        assert shots[0].others == 1
    else:
        assert len(shots) > 1


def test_two_faces_that_cross_stay_who_they_are(squares):
    xs = [(50 + 4 * t, 170 - 4 * t) for t in range(30)]
    shots, _ = follow([paint((RED, a, 64), (BLUE, b, 60)) for a, b in xs])
    assert shots[0].start == 0
    for shot in shots:
        away = abs(middles(shot)[:, None] - np.array(xs[shot.start : shot.stop]))
        assert (away.max(0) < 5).any()


# --- squares: faces that a quick look does not see ---


def test_what_a_close_look_finds_is_followed_back_to_where_it_began(squares, monkeypatch):
    def glance(image: np.ndarray) -> np.ndarray:
        boxes = see_squares(image)
        return boxes[boxes[:, 2] - boxes[:, 0] > 55]

    short_sighted = Backend("squares", see_squares, squares.points, glance)
    monkeypatch.setattr(fd, "_backend", lambda detector: short_sighted)
    for first in range(1, 26):
        frames = [paint((RED, 100, 48) if t >= first else None) for t in range(50)]
        assert spans(follow(frames)) == [(0, first, "no face"), (first, 50, "shot")]
    # too small to be followed, and between close looks not seen at all
    assert follow([paint((RED, 100, 38))] * 30) == ([], [Gap(0, 30, "a face under 40 px")])


# --- squares: cuts ---


def test_a_cut_to_another_place_begins_a_shot_at_its_first_frame(squares):
    frames = [paint((RED, 70, 60))] * 12 + [paint((BLUE, 90, 66), background=scene(5))] * 12
    assert (
        difference(*(cv2.resize(frame[..., 0], (48, 29)).astype(np.float32) for frame in frames[11:13])) > 0.1
    )
    assert spans(follow(frames)) == [(0, 12, "shot"), (12, 24, "shot")]


def test_one_frame_of_something_else_is_bridged_and_two_shots_of_it_are_not(squares):
    here, there = paint((RED, 70, 60)), paint((BLUE, 90, 66), background=scene(5))
    assert spans(follow([here] * 8 + [there] + [here] * 8)) == [(0, 17, "shot")]
    parts = spans(follow([here] * 8 + [there] * 6 + [here] * 8))
    assert parts == [(0, 8, "shot"), (8, 14, "shot"), (14, 22, "shot")]


# --- squares: every frame is accounted for, whatever happens ---

PERSON = st.one_of(
    st.none(), st.tuples(st.sampled_from([RED, BLUE]), st.integers(30, 170), st.sampled_from([30, 50, 64]))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PERSON, PERSON, st.integers(0, 2), st.integers(1, 9)), max_size=8))
def test_shots_and_gaps_cover_every_frame_once(runs):
    frames = [paint(a, b, background=scene(look)) for a, b, look, n in runs for _ in range(n)]
    backend = Backend("squares", see_squares, lambda image, box: points_in(np.asarray(box)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fd, "_backend", lambda detector: backend)
        shots, gaps = follow(iter(frames))
    parts = spans((shots, gaps))
    assert [part[0] for part in parts] + [len(frames)] == [0] + [part[1] for part in parts]
    for before, after in pairwise(gaps):
        assert before.stop < after.start or before.reason != after.reason
    for shot in shots:
        assert shot.stop - shot.start >= faces.SHORTEST_SHOT
        assert np.isfinite(shot.landmarks).all()
        assert shot.landmarks.shape == (shot.stop - shot.start, 68, 2)
        here = [t not in shot.bridged for t in range(shot.stop - shot.start)]
        assert here[0]
        assert here[-1]
        longest = max(map(len, "".join("x" if not t else " " for t in here).split()), default=0)
        assert longest <= faces.LONGEST_BRIDGE


def test_few_frames_are_held(squares):
    alive: list[weakref.ref] = []
    most = 0

    def frames():
        nonlocal most
        for t in range(120):
            frame = paint((RED, 100, 60) if t % 60 < 20 else None)
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            most = max(most, sum(ref() is not None for ref in alive))

    gc.collect()
    follow(frames())
    assert most <= 16


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((39, 300, 3), np.uint8), "a picture of 300 x 39 px"),
        (np.zeros((2, 2, 3), np.uint8), "a picture of 2 x 2 px"),
        (np.zeros((90, 90), np.uint8), r"uint8 \(90, 90\)"),
        (np.zeros((90, 90, 3)), r"float64 \(90, 90, 3\)"),
        ("frame", "str"),
    ],
)
def test_what_is_not_a_frame_is_named(squares, frame, message):
    with pytest.raises(InputError, match=f"^frame: got {message}, expected "):
        follow([paint((RED, 100, 60)), frame])


def test_unknown_detector_is_named():
    with pytest.raises(InputError, match="detector: got 'mtcnn'"):
        follow([], "mtcnn")
