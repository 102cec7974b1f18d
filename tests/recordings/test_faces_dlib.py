"""Following one face with dlib: seven real speakers, and drawn people whose points are known."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.faces import detection as fd
from talkface_lite.landmarks import align, apply_transform, lip_opening
from talkface_lite.media import read_video
from talkface_lite.recordings.faces import ALIKE, Gap, Shot, follow, likeness
from talkface_lite.recordings.smoothing import crop_matrices
from talkface_lite.talking.talker import Portrait

CORNERS = [36, 39, 42, 45]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def speakers(real) -> dict[str, np.ndarray]:
    return {path.parent.name: read_video(path).frames for path in sorted(real.glob("grid/s*/*.mpg"))}


@pytest.fixture(scope="module")
def followed(speakers) -> dict[str, tuple[list[Shot], list[Gap]]]:
    return {name: follow(iter(frames), "dlib") for name, frames in speakers.items()}


@pytest.fixture(scope="module")
def people() -> dict[int, np.ndarray]:
    return {seed: draw_clip(seed, view="camera").frames for seed in (1, 2, 3)}


def spans(result: tuple[list[Shot], list[Gap]]) -> list[tuple]:
    shots, gaps = result
    return sorted(
        [(shot.start, shot.stop, shot.bridged) for shot in shots]
        + [(gap.start, gap.stop, gap.reason) for gap in gaps]
    )


def tremble(points: np.ndarray) -> float:
    """Mean standard deviation of what a mean over five frames takes away from eye corners, pixels."""
    points = points[:, CORNERS].reshape(len(points), -1)
    calm = np.stack([np.convolve(column, np.ones(5) / 5, "valid") for column in points.T], -1)
    return float((points[2:-2] - calm).std(0).mean())


# --- real speakers ---


@pytest.mark.real
def test_seven_speakers_are_one_shot_each_with_no_gap(followed):
    assert len(followed) == 7
    for name, (shots, gaps) in followed.items():
        assert [(s.start, s.stop, s.bridged, s.others) for s in shots] == [(0, 75, (), 0)], name
        assert gaps == [], name


@pytest.mark.real
def test_eye_corners_stand_still_in_the_crops(followed):
    for name, (shots, _) in followed.items():
        aligned = apply_transform(shots[0].landmarks, crop_matrices(shots[0].landmarks))
        assert tremble(aligned) < 0.25, name


@pytest.mark.real
def test_points_are_those_of_the_photograph(speakers, followed):
    for name, frames in speakers.items():
        for t in (5, 40, 70):
            alone = fd.detect_landmarks(frames[t], "dlib")
            difference = np.linalg.norm(followed[name][0][0].landmarks[t] - alone, axis=-1).mean()
            assert difference < 0.012 * np.linalg.norm(alone[45] - alone[36]), (name, t)


@pytest.mark.real
@pytest.mark.parametrize(("first", "second"), [("s2", "s3"), ("s32", "s2"), ("s1", "s20"), ("s5", "s23")])
def test_a_cut_between_two_speakers_is_found_at_its_frame(speakers, first, second):
    # the first two sit at the same place before the same backdrop
    frames = np.concatenate([speakers[first][20:31], speakers[second][30:38]])
    assert spans(follow(frames, "dlib")) == [(0, 11, ()), (11, 19, ())]


@pytest.mark.real
def test_a_piece_cut_out_of_one_take_is_found_where_the_head_jumps(speakers):
    frames = np.concatenate([speakers["s1"][:12], speakers["s1"][50:62]])
    assert spans(follow(frames, "dlib")) == [(0, 12, ()), (12, 24, ())]


def side_light(frame: np.ndarray, t: int) -> np.ndarray:
    return np.clip(frame * np.linspace(0.2, 1.6, frame.shape[1])[None, :, None], 0, 255) if t > 9 else frame


def half_light(frame: np.ndarray, t: int) -> np.ndarray:
    return frame * 0.5 if t > 9 else frame


def too_much_light(frame: np.ndarray, t: int) -> np.ndarray:
    return np.clip(frame * 1.8 + 20, 0, 255) if t > 9 else frame


def swaying(frame: np.ndarray, t: int) -> np.ndarray:
    # up to 10 px a frame, an eighth of the distance between the eyes
    matrix = np.float32([[1, 0, 20 * np.sin(t / 2)], [0, 1, 6 * np.sin(t / 2)]])
    return cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def grainy(frame: np.ndarray, t: int) -> np.ndarray:
    return np.clip(frame + np.random.default_rng(t).normal(0, 12, frame.shape), 0, 255)


@pytest.mark.real
@pytest.mark.parametrize("change", [side_light, half_light, too_much_light, swaying, grainy])
def test_light_and_motion_are_no_cut(speakers, change: Callable):
    for name in ("s1", "s23"):
        frames = [change(frame, t).astype(np.uint8) for t, frame in enumerate(speakers[name][:24])]
        assert spans(follow(frames, "dlib")) == [(0, 24, ())], name


@pytest.mark.real
def test_flashes_and_black_frames_are_bridged_or_a_gap(speakers):
    def film(first: int, stop: int, value: int) -> list[np.ndarray]:
        return [np.full_like(f, value) if first <= t < stop else f for t, f in enumerate(speakers["s3"][:26])]

    assert spans(follow(film(9, 10, 255), "dlib")) == [(0, 26, (9,))]
    assert spans(follow(film(9, 12, 0), "dlib")) == [(0, 26, (9, 10, 11))]
    assert spans(follow(film(9, 17, 0), "dlib")) == [(0, 9, ()), (9, 17, "no face"), (17, 26, ())]


@pytest.mark.real
def test_two_speakers_side_by_side(speakers):
    left, right = speakers["s2"][:20, :, 60:300], speakers["s23"][:20, :, 60:300]
    shots, gaps = follow(np.concatenate([left, right], axis=2), "dlib")
    assert gaps == []
    assert [(s.start, s.stop, s.others) for s in shots] == [(0, 20, 1)]
    # the one on the right is the larger
    assert (shots[0].landmarks[..., 0] > 240).all()


# --- drawn people, whose points are known ---


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_points_of_drawn_people_are_true_and_lips_open_on_time(seed):
    clip = draw_clip(seed, view="camera")
    shots, gaps = follow(clip.frames, "dlib")
    assert gaps == []
    assert [(s.start, s.stop) for s in shots] == [(0, len(clip.frames))]
    eyes = np.linalg.norm(clip.landmarks[:, 45] - clip.landmarks[:, 36], axis=-1)
    error = np.linalg.norm(shots[0].landmarks - clip.landmarks, axis=-1).mean(1) / eyes
    assert error.mean() < 0.035
    seen, true = (np.diff(lip_opening(align(each)[0])) for each in (shots[0].landmarks, clip.landmarks))
    agree = {k: np.corrcoef(seen[3 + k : len(seen) - 3 + k], true[3:-3])[0, 1] for k in range(-3, 4)}
    assert max(agree, key=agree.get) == 0
    assert agree[0] > 0.6


def test_a_cut_between_drawn_people_is_found_at_its_frame(people):
    frames = np.concatenate([people[3][:9], people[1][10:21], people[2][:8]])
    assert spans(follow(frames, "dlib")) == [(0, 9, ()), (9, 20, ()), (20, 28, ())]


def test_a_small_face_is_followed_and_a_smaller_one_named(people):
    def film(side: int) -> list[np.ndarray]:
        small = [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in people[1][:10]]
        return [cv2.copyMakeBorder(f, 30, 170 - side, 40, 190 - side, cv2.BORDER_REPLICATE) for f in small]

    (shot,), gaps = follow(film(128), "dlib")
    assert gaps == []
    whole = follow(people[1][:10], "dlib")[0][0].landmarks
    eyes = np.linalg.norm(whole[0, 45] - whole[0, 36])
    assert np.linalg.norm((shot.landmarks - (40, 30)) * 2 - whole, axis=-1).mean() < 0.03 * eyes
    assert follow(film(64), "dlib") == ([], [Gap(0, 10, "a face under 40 px")])


# --- two people framed alike ---


def test_a_cut_between_two_people_framed_alike_is_found():
    people = [Portrait.of(name, detector="dlib") for name in ("hopper", "collins")]
    frames = []
    for person in people:
        view = 1.3 * person.matrix
        view[:, 2] += (320 - 1.3 * 128) / 2
        for t in range(25):
            sway = view.copy()
            sway[:, 2] += (2 * np.sin(t / 4), 1.5 * np.cos(t / 5))
            frames.append(cv2.warpAffine(person.image, sway, (320, 320), borderMode=cv2.BORDER_REFLECT))
    assert spans(follow(iter(frames), "dlib")) == [(0, 25, ()), (25, 50, ())]


@pytest.mark.real
def test_a_face_is_like_itself_and_unlike_others(followed, speakers):
    def face(name, t):
        return speakers[name][t], followed[name][0][0].landmarks[t]

    for name in speakers:
        same = [likeness(*face(name, t), *face(name, t + 1)) for t in range(0, 74, 3)]
        assert min(same) > ALIKE + 0.05
    others = [likeness(*face(a, 0), *face(b, 0)) for a in speakers for b in speakers if a < b]
    assert max(others) < ALIKE - 0.05
    frame, points = face("s1", 0)
    for light in (half_light, side_light):
        assert likeness(frame, points, light(frame, 10).astype(np.uint8), points) > 0.95
