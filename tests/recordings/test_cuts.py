"""Where a film may have been cut, on drawn scenes: cuts, flashes, black pictures, motion, light and noise."""

import gc
import weakref
from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest

from talkface_lite.recordings import cuts
from talkface_lite.recordings.cuts import STRONG, WEAK, Change, changes, difference

HEIGHT, WIDTH, ROOM = 144, 192, 60
"""A frame's sides, and how far a view may move over its scene; 4 px of a frame are one of those compared."""
SAME, ODD = Change("", False), Change("", True)


def scene(seed: int) -> np.ndarray:
    """Soft grey blobs, larger than a frame by ``ROOM`` on each side."""
    size = (HEIGHT + 2 * ROOM, WIDTH + 2 * ROOM)
    blobs = np.random.default_rng(seed).integers(50, 206, (size[0] // 12, size[1] // 12), dtype=np.uint8)
    return cv2.cvtColor(cv2.resize(blobs, size[::-1], interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)


def view(of: int, right: float = 0, down: float = 0, noise: float = 0, seed: int = 0) -> np.ndarray:
    """A frame of scene ``of``, seen from a place moved by so many pixels, with noise of so many levels."""
    x, y = ROOM + round(right), ROOM + round(down)
    frame = scene(of)[y : y + HEIGHT, x : x + WIDTH]
    rough = np.random.default_rng(seed).normal(0, noise, frame.shape) if noise else 0
    return np.clip(frame + rough, 0, 255).astype(np.uint8)


def lit(frame: np.ndarray, gain: float, offset: float) -> np.ndarray:
    return np.clip(frame * float(gain) + offset, 0, 255).astype(np.uint8)


def small(frame: np.ndarray) -> np.ndarray:
    size = (48, 36) if frame.shape[0] < frame.shape[1] else (36, 48)
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return grey.astype(np.float32)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return difference(small(a), small(b))


def judged(frames: list[np.ndarray]) -> list[Change]:
    passed = list(changes(iter(frames)))
    assert [id(frame) for frame, _ in passed] == [id(frame) for frame in frames]
    return [change for _, change in passed]


# --- two pictures ---


@pytest.mark.parametrize("right", [-12, -8, -4, 0, 4, 8, 12])
@pytest.mark.parametrize("down", [-12, 0, 12])
def test_what_moved_by_three_thumbnail_pixels_either_way_is_the_same(right, down):
    assert apart(view(0), view(0, right, down)) < 0.07


@pytest.mark.parametrize("move", [(-24, 0), (24, 0), (0, -24), (0, 24), (24, 24)])
def test_what_moved_further_is_another_picture(move):
    assert apart(view(0), view(0, *move)) > 0.2


@pytest.mark.parametrize(("gain", "offset"), [(1, 25), (0.5, 0), (0.5, 60), (0.2, 0), (1, -25)])
def test_light_is_no_change(gain, offset):
    assert apart(view(0), lit(view(0), gain, offset)) < WEAK
    # nor does it hide one
    assert apart(view(0), lit(view(1), gain, offset)) > 2 * STRONG


@pytest.mark.parametrize("noise", [5, 15, 30])
def test_noise_is_no_change(noise):
    assert apart(view(0), view(0, noise=noise)) < WEAK
    assert apart(view(0), view(1, noise=noise)) > 2 * STRONG


def test_the_scale_of_a_change():
    assert apart(view(0), view(0)) == 0
    # blocks may move: what is left of two unrelated pictures is a part of 1, and so it is both ways
    for a, b in [(0, 1), (1, 0), (2, 3)]:
        assert 0.2 < apart(view(a), view(b)) < 0.6
    assert difference(small(view(0)), small(view(0).transpose(1, 0, 2))) == 2
    # the change of a part counts by its share
    part = view(0)
    part[:, : WIDTH // 2] = view(1)[:, : WIDTH // 2]
    assert 0.3 < apart(view(0), part) / apart(view(0), view(1)) < 0.7
    # blocks without contrast say nothing: where both pictures are plain, nothing changed
    plain = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    assert apart(plain, plain + np.uint8(40)) == 0
    half, other = plain.copy(), plain.copy()
    half[:, : WIDTH // 2], other[:, : WIDTH // 2] = view(0)[:, : WIDTH // 2], view(1)[:, : WIDTH // 2]
    assert apart(half, other) > 0.5 * apart(view(0), view(1))


@pytest.mark.parametrize("plain", [0, 8])
def test_a_reference_of_explicit_loops_gives_the_same_number(plain):
    rng = np.random.default_rng(3)
    before, after = (rng.integers(0, 255, (9, 12)).astype(np.float32) for _ in range(2))
    before[:, :plain] = after[:, :plain] = 100
    noise, reach, block = 9.0, 3, 6

    def windows(picture: np.ndarray) -> np.ndarray:
        # a box of an even side begins half a side before the pixel; edges are reflected about themselves
        padded = np.pad(picture.astype(np.float64), ((3, 2), (3, 2)), mode="reflect")
        return np.lib.stride_tricks.sliding_window_view(padded, (block, block))

    edged = np.pad(after, reach, mode="edge")
    ours, theirs = windows(before), windows(after)
    moved = {(d, r): windows(edged[d : d + 9, r : r + 12]) for d in range(7) for r in range(7)}
    total = weight = 0.0
    for y, x in np.ndindex(before.shape):
        a = ours[y, x]
        best = -1.0
        for there in moved.values():
            b = there[y, x]
            both = ((a - a.mean()) * (b - b.mean())).mean() + noise
            best = max(best, both / np.sqrt((a.var() + noise) * (b.var() + noise)))
        contrast = a.std() + theirs[y, x].std()
        total, weight = total + (1 - best) * contrast, weight + contrast + noise / 4
    assert difference(before, after) == pytest.approx(total / weight, rel=1e-3)


@pytest.mark.parametrize(("share", "counts"), [(0.0045, False), (0.0056, True)])
def test_nearly_equal_is_half_a_percent_of_the_contrast(share, counts):
    rng = np.random.default_rng(0)
    before, other = (rng.normal(128, 40, (36, 48)) for _ in range(2))
    # mixed so that half the mean squared difference of the two, levelled, is the share
    before, other = ((picture - picture.mean()) / picture.std() for picture in (before, other))
    other -= (before * other).mean() * before
    after = (1 - share) * before + np.sqrt(1 - (1 - share) ** 2) * other / other.std()
    assert (difference(*((128 + 40 * p).astype(np.float32) for p in (before, after))) > 0) == counts


def test_frames_are_compared_at_48_pixels(monkeypatch):
    seen = []
    monkeypatch.setattr(cuts, "difference", lambda a, b: seen.append((a.shape, b.shape)) or 0.0)
    for shape in [(240, 320), (320, 240), (48, 48), (24, 32), (400, 20)]:
        list(changes(scene(0)[:1, :1].repeat(shape[0], 0).repeat(shape[1], 1) for _ in range(2)))
    assert [a for a, b in seen if a == b] == [(36, 48), (48, 36), (48, 48), (36, 48), (48, 6)]


# --- films ---


@pytest.mark.parametrize("at", [1, 2, 3, 7])
@pytest.mark.parametrize("upright", [False, True])
def test_a_cut_is_found_at_its_first_frame(at, upright):
    frames = [view(0, noise=3, seed=t) for t in range(at)] + [view(1, noise=3, seed=t) for t in range(6)]
    if upright:
        frames = [frame.transpose(1, 0, 2) for frame in frames]
    assert judged(frames) == [SAME] * at + [Change("strong", False)] + [SAME] * 5


def test_no_frame_and_one_frame():
    assert judged([]) == []
    assert judged([view(0)]) == [SAME]


def test_two_cuts_close_to_each_other_are_both_found():
    frames = [view(0)] * 6 + [view(1)] * 4 + [view(2)] * 6
    found = judged(frames)
    assert [t for t, change in enumerate(found) if change.cut] == [6, 10]
    assert not any(change.odd for change in found)


@pytest.mark.parametrize("plain", [0, 128, 255])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_an_empty_picture_is_odd_and_what_comes_after_is_compared_with_what_was_before(plain, n):
    empty = [np.full((HEIGHT, WIDTH, 3), plain, np.uint8)] * n
    back = judged([view(0)] * 5 + empty + [view(0)] * 5)
    assert back == [SAME] * 5 + [ODD] * n + [SAME] * 5
    away = judged([view(0)] * 5 + empty + [view(1)] * 5)
    assert away[:5] + away[6 + n :] == [SAME] * 9
    assert away[5 : 5 + n] == [ODD] * n
    assert away[5 + n].cut
    # at the beginning there is nothing to compare with
    assert judged(empty + [view(1)] * 5) == [ODD] * n + [SAME] * 5


@pytest.mark.parametrize(("n", "cut"), [(1, False), (2, False), (3, True)])
def test_a_flash_is_odd_until_it_lasts(n, cut):
    found = judged([view(0)] * 6 + [view(1)] * n + [view(0)] * 6)
    if cut:
        assert [t for t, change in enumerate(found) if change.cut == "strong"] == [6, 6 + n]
    else:
        assert found == [SAME] * 6 + [ODD] * n + [SAME] * 6


@pytest.mark.parametrize("speed", [4, 8, 12])
def test_a_view_that_moves_is_one_shot(speed):
    swing = [view(0, 50 * np.sin(speed * t / 50), 20 * np.sin(speed * t / 30)) for t in range(20)]
    assert judged(swing) == [SAME] * 20


def test_a_whirl_faster_than_the_search_is_no_row_of_strong_cuts():
    # each frame differs by more than STRONG from the next; only a change that stands out is a cut
    whirl = [view(0, 20 * (t % 6) - 50, 9 * (t % 5) - 20) for t in range(16)]
    steps = [apart(a, b) for a, b in pairwise(whirl)]
    assert min(steps) > STRONG
    assert not any(change.cut for change in judged(whirl)[4:-4])


def test_light_that_is_switched_is_no_cut():
    assert judged([view(0)] * 5 + [lit(view(0), 0.4, 5)] * 5) == [SAME] * 10


def test_a_piece_cut_out_of_one_scene_is_a_weak_cut():
    # most of the picture stays; a part of it jumps, as a face does
    def still(seed: int) -> np.ndarray:
        frame = view(0)
        frame[40:90, 60:110] = scene(seed)[40:90, 60:110]
        return frame

    assert WEAK < apart(still(5), still(6)) < STRONG
    assert judged([still(5)] * 5 + [still(6)] * 5) == [SAME] * 5 + [Change("weak", False)] + [SAME] * 4


def test_three_frames_are_held():
    alive: list[weakref.ref] = []
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for t in range(12):
            frame = view(t // 6)
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            most = max(most, sum(ref() is not None for ref in alive))

    gc.collect()
    for frame, _ in changes(frames()):
        del frame
    assert most <= 3
