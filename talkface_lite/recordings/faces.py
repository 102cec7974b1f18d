"""One face followed through a film: shots with points in every frame, and the gaps between them.

Each frame is looked at once. The whole picture is searched where a shot begins, three times a second, and
where the face was lost; in between only the place where the face was. Which face: the largest at the
beginning of a shot, then the one whose box lies over the last.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.faces.boxes import SAME_FACE, Face, overlap, width
from talkface_lite.faces.detection import SMALLEST_FACE, FilmFaces
from talkface_lite.landmarks import align, warp_crop
from talkface_lite.recordings.cuts import Change, changes
from talkface_lite.recordings.smoothing import POINTS_REACH, smooth

LONGEST_BRIDGE = 5
"""Frames. So many in a row without a face are filled in where the face is back at about the same place."""

ALIKE = 0.8
"""Likeness of a face to itself one frame ago, below which a strong change is a cut though the points fit: two
people may have been framed alike. In seven films of real speakers from frame to frame: at least 0.92, and
0.97 where a hard light comes from the side; between any two of them: at most 0.68."""

SHORTEST_SHOT = 5
"""Frames."""

LOOK_AROUND = 8
"""Frames from one search of the whole picture to the next, while no other face is known: one that comes from
the side gets no further than about its width."""

LOOK_CLOSELY = 12
"""Frames from one search for small faces to the next where there is no face. What such a search finds is
followed backwards to the last one."""

REMEMBERED = 25
"""Frames for which another face that has gone out of sight is expected back."""

LET_GO = 0.9
"""A face that is followed may shrink to this share of the smallest that is taken up: at the limit itself the
error of its width would break the shot again and again."""

JUMP = 0.045
"""Mean way of the points from one frame to the next, in distances between the outer corners of the eyes,
from which a changed picture is a cut. Seven speakers: at most 0.025, and 0.026 where the light is halved
or doubled; from one to another at the same place 0.064 or more."""

HELD_BYTES = 200_000_000
"""Most memory for the frames that are kept to be followed backwards."""

NO_FACE, HIDDEN = "no face", "the face is hidden"
TOO_SMALL = f"a face under {SMALLEST_FACE} px"
TOO_SHORT = f"a shot of under {SHORTEST_SHOT} frames"


@dataclass(frozen=True, eq=False)
class Shot:
    """One face, seen without a break.

    Parameters
    ----------
    start, stop:
        Frames ``[start, stop)`` of the film.
    landmarks:
        float32 ``(stop - start, 68, 2)``: pixels of the picture, smoothed over five frames without lag.
    bridged:
        Frames, counted from ``start``, without a face, whose points were drawn straight from those before to
        those after; never more than 5 in a row.
    others:
        Most other faces seen beside this one at once.
    """

    start: int
    stop: int
    landmarks: np.ndarray
    bridged: tuple[int, ...]
    others: int


@dataclass(frozen=True)
class Gap:
    """Frames ``[start, stop)`` of the film that belong to no shot, and why."""

    start: int
    stop: int
    reason: str


def follow(frames: Iterable[np.ndarray], detector: str = "auto") -> tuple[list[Shot], list[Gap]]:
    """Follow one face through each shot of a film.

    A shot begins with the largest face of the picture. It ends at a cut, where the face is gone for more than
    5 frames, and where it is under 40 px wide. Where another face passes in front, the shot ends too: the
    other one is never taken for it.

    Parameters
    ----------
    frames:
        uint8 RGB ``(H, W, 3)`` at 25 frames/s, at least 40 px each way; a generator will do. Each frame is
        asked for once, and at most 15 (or 200 MB of them) are held.
    detector:
        As in :func:`talkface_lite.faces.detection.detect_landmarks`.

    Returns
    -------
    shots, gaps:
        Both in order of time; together they cover every frame exactly once. Reasons of gaps: no face, a face
        under 40 px, the face is hidden (others are seen, but not the one that was followed), a shot of under
        5 frames.

    Raises
    ------
    InputError
        When a frame is not such a picture, or the detector cannot be had.
    """
    tracker = _Tracker(FilmFaces(detector))
    for frame, change in changes(_checked(frames)):
        tracker.see(frame, change)
    return _assemble(tracker.seen)


def _checked(frames: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    for frame in frames:
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
            got = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise InputError("frame", got, "a uint8 RGB array (H, W, 3)")
        if min(frame.shape[:2]) < SMALLEST_FACE:
            got = f"a picture of {frame.shape[1]} x {frame.shape[0]} px"
            raise InputError("frame", got, f"at least {SMALLEST_FACE} px each way")
        yield frame


@dataclass
class _Seen:
    """What one frame showed: the points of the followed face, or why there are none."""

    points: np.ndarray | None = None
    reason: str = NO_FACE
    others: int = 0
    begins: bool = False


@dataclass
class _Other:
    """A face beside the followed one, where it was last seen, and how many frames ago."""

    box: np.ndarray
    unseen: int = 0


class _Tracker:
    """Goes through a film frame by frame; ``seen`` has an entry for each."""

    def __init__(self, faces: FilmFaces) -> None:
        self.seen: list[_Seen] = []
        self._faces = faces
        self._face: Face | None = None
        self._frame: np.ndarray | None = None
        self._missed = 0
        self._others: list[_Other] = []
        self._looked = 0
        self._searched = 0
        self._why = NO_FACE
        self._held: deque[np.ndarray] = deque()

    def see(self, frame: np.ndarray, change: Change) -> None:
        followed = None if self._face is None else self._follow(frame, change)
        if followed is None:
            if self._face is not None or change.cut:
                self._forget()
            followed = self._search(frame, change)
        self.seen.append(followed)
        if followed.points is not None:
            if followed.begins:
                self._go_back()
            self._held.clear()
        else:
            self._held.append(frame)
            while len(self._held) > max(1, min(LOOK_CLOSELY, HELD_BYTES // frame.nbytes)):
                self._held.popleft()

    def _forget(self) -> None:
        self._face, self._frame, self._missed, self._others, self._searched = None, None, 0, [], 0

    def _follow(self, frame: np.ndarray, change: Change) -> _Seen | None:
        """What became of the face; None where it is given up, and the frame has to be searched afresh."""
        found, boxes = None, np.empty((0, 4), np.float32)
        now = len(self.seen)
        if not change.odd:
            found = self._faces.again(frame, self._face)
            if found is None or self._others or now - self._looked >= LOOK_AROUND:
                boxes, self._looked = self._faces.find(frame, small=False), now
                if found is None:
                    same = overlap(boxes, self._face.box)
                    if (same >= SAME_FACE).any():
                        found = self._faces.first(frame, boxes[same.argmax()])
                if change.cut == "" and not self._is_mine(found, boxes):
                    found = None
        jumped = found is not None and _shift(self._face, found) > JUMP * (1 + self._missed)
        if found is not None and change.cut == "strong" and not jumped:
            jumped = likeness(self._frame, self._face.points, frame, found.points) < ALIKE
        if (jumped and change.cut) or (found is None and change.cut == "strong"):
            self._held.clear()
            return None
        if found is None:
            self._missed += 1
            if self._missed > LONGEST_BRIDGE:
                return None
            return _Seen(reason=HIDDEN if len(boxes) else NO_FACE)
        if width(found.box) < LET_GO * SMALLEST_FACE:
            return None
        self._face, self._frame, self._missed = found, frame, 0
        return _Seen(found.points, others=int((overlap(boxes, found.box) < SAME_FACE).sum()))

    def _is_mine(self, found: Face | None, boxes: np.ndarray) -> bool:
        """Give the boxes to the faces that are known; False where ``found`` lies in a box of another's.

        The nearest come first. A face that was not seen in the last frame comes after those that were: where
        one has gone behind another, the box at its place is the other's.
        """
        known = [(other.box, other.unseen, other) for other in self._others]
        known.append((self._face.box, self._missed, None))
        near = [
            (unseen > 0, -share, i, j)
            for i, (box, unseen, _) in enumerate(known)
            for j, share in enumerate(overlap(boxes, box))
            if share >= SAME_FACE
        ]
        taken: dict[int, int] = {}
        for _, _, i, j in sorted(near):
            if j not in taken and i not in taken.values():
                taken[j] = i
        me = len(known) - 1
        for other in self._others:
            other.unseen += 1
        for j, i in taken.items():
            if i != me:
                known[i][2].box, known[i][2].unseen = boxes[j], 0
        here = self._face.box if found is None else found.box
        same = overlap(boxes, here)
        self._others = [other for other in self._others if other.unseen <= REMEMBERED] + [
            _Other(boxes[j]) for j in range(len(boxes)) if j not in taken and same[j] < SAME_FACE
        ]
        return found is None or not (same >= SAME_FACE).any() or taken.get(int(same.argmax()), me) == me

    def _search(self, frame: np.ndarray, change: Change) -> _Seen:
        if change.cut:
            self._held.clear()
        if change.odd:
            return _Seen()
        closely = self._searched % LOOK_CLOSELY == 0
        self._searched += 1
        boxes = self._faces.find(frame, small=closely)
        face = self._faces.first(frame, boxes[0]) if len(boxes) and width(boxes[0]) >= SMALLEST_FACE else None
        if closely or face is not None:
            small = width(boxes[0] if face is None else face.box) < SMALLEST_FACE if len(boxes) else False
            self._why = TOO_SMALL if small else NO_FACE
        if face is None or self._why == TOO_SMALL:
            # a face too small for a quick look is still there in the frames until the next close one
            return _Seen(reason=self._why)
        self._forget()
        self._face, self._frame, self._looked = face, frame, len(self.seen)
        self._others = [_Other(box) for box in boxes if overlap(box[None], face.box)[0] < SAME_FACE]
        return _Seen(face.points, others=len(self._others), begins=True)

    def _go_back(self) -> None:
        """Follow a face that was found back into frames that were searched less closely."""
        face = self._face
        for back, frame in enumerate(reversed(self._held), 2):
            at = len(self.seen) - back
            face = self._faces.again(frame, face) if self.seen[at].points is None else None
            if face is None or width(face.box) < SMALLEST_FACE:
                return
            self.seen[at] = _Seen(face.points, begins=True)
            self.seen[at + 1].begins = False


def _shift(before: Face, after: Face) -> float:
    """Mean way of the points, in distances between the outer corners of the eyes."""
    eyes = np.linalg.norm(before.points[45] - before.points[36])
    return float(np.linalg.norm(after.points - before.points, axis=-1).mean() / max(eyes, 1e-6))


def likeness(before: np.ndarray, its: np.ndarray, after: np.ndarray, points: np.ndarray) -> float:
    """Correlation of two aligned faces, in [-1, 1]; their light does not matter.

    Parameters
    ----------
    before, after:
        uint8 ``(H, W, 3)``.
    its, points:
        ``(68, 2)``: the face's points in each.
    """
    one, other = (
        _without_light(warp_crop(frame, align(face)[1], 32).mean(-1, dtype=np.float32))
        for frame, face in ((before, its), (after, points))
    )
    return float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-6))


def _without_light(crop: np.ndarray, spread: float = 4.0, noise: float = 9.0) -> np.ndarray:
    """A grey picture in deviations from its neighbourhood, so that neither shade nor contrast is left."""
    detail = crop - cv2.GaussianBlur(crop, (0, 0), spread)
    detail /= np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), spread) + noise)
    return detail - detail.mean()


def _assemble(seen: list[_Seen]) -> tuple[list[Shot], list[Gap]]:
    """Shots from one beginning to the last points before the next, and gaps for the rest."""
    shots: list[Shot] = []
    reasons: list[str | None] = [each.reason for each in seen]
    begins = [t for t, each in enumerate(seen) if each.begins]
    for start, until in zip(begins, [*begins[1:], len(seen)]):
        stop = max(t for t in range(start, until) if seen[t].points is not None) + 1
        if stop - start < SHORTEST_SHOT:
            reasons[start:stop] = [TOO_SHORT] * (stop - start)
        else:
            shots.append(_shot(start, seen[start:stop]))
            reasons[start:stop] = [None] * (stop - start)
    gaps: list[Gap] = []
    for t, reason in enumerate(reasons):
        if reason is None:
            continue
        if gaps and gaps[-1].stop == t and gaps[-1].reason == reason:
            gaps[-1] = Gap(gaps[-1].start, t + 1, reason)
        else:
            gaps.append(Gap(t, t + 1, reason))
    return shots, gaps


def _shot(start: int, seen: list[_Seen]) -> Shot:
    there = [t for t, each in enumerate(seen) if each.points is not None]
    known = np.array([seen[t].points for t in there], np.float64).reshape(len(there), -1)
    every = np.stack([np.interp(np.arange(len(seen)), there, values) for values in known.T], -1)
    landmarks = smooth(every.reshape(len(seen), -1, 2), POINTS_REACH).astype(np.float32)
    bridged = tuple(t for t, each in enumerate(seen) if each.points is None)
    return Shot(start, start + len(seen), landmarks, bridged, max(each.others for each in seen))
