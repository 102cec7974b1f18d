"""The front page's picture and film: people who do not exist say one sentence.

``python book/_ext/front.py`` makes ``front.jpg``, ``front.mp4`` and its still ``front-film.jpg`` in ``book/_static`` again.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter import paint, paint_clip
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import speak
from talkface_lite.landmarks import draw_landmarks
from talkface_lite.media import write_video

STATIC = Path(__file__).resolve().parents[1] / "_static"
SENTENCE = "Nobody here has ever spoken a word."
VOICE = "felicity"
PEOPLE = (17, 46, 81, 89, 41, 25, 91, 34)
POSES = (
    (0.16, 0.0),
    (-0.1, 0.03),
    (0.12, -0.02),
    (-0.16, 0.02),
    (0.08, 0.0),
    (-0.06, 0.0),
    (0.16, 0.02),
    (-0.14, 0.0),
)
WANTED = np.array(
    [[1, 0, 0, 0, 0, 0, 0.5], [0, -0.5, 1, 0, 0, 0, 0], [-1, 0.5, 0, 0, 0, 0, 0]]
)
"""Which mouths to show in turn: open, round, shut; weights of the seven channels."""
CELL, GAP, WAVE, FACE = 208, 6, 92, slice(42, 208)
SPEAKER, SIDE, STRIP = 89, 360, 72
BEFORE, AFTER = 0.2, 0.4
"""The person of the film, sides of its pictures in pixels, and seconds of rest around the sentence."""
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def main(argv: Sequence[str] | None = None) -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=STATIC)
    parser.add_argument("--no-film", action="store_true", help="the picture alone")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    picture(arguments.out)
    if not arguments.no_film:
        film(arguments.out)


def picture(out: Path) -> None:
    """Eight people, each at another moment of the sentence, above their landmarks."""
    said = speak(SENTENCE, VOICE)
    n_frames = len(said.speech) // (SAMPLE_RATE // FRAMES_PER_SECOND)
    mouth = articulation(said.phonemes, n_frames, strength=1.25)
    first, last = said.phonemes[0].start, said.phonemes[-1].end
    columns = []
    for k, (seed, (yaw, pitch)) in enumerate(zip(PEOPLE, POSES)):
        begin = first + (last - first) * k / len(PEOPLE)
        end = begin + (last - first) / len(PEOPLE)
        frames = np.arange(round(begin * FRAMES_PER_SECOND), round(end * FRAMES_PER_SECOND))
        t = int(frames[np.argmax(mouth[frames] @ WANTED[k % len(WANTED)])])
        columns.append((t, portrait(seed, mouth[t : t + 1], yaw, pitch)))
    width = len(columns) * (CELL + GAP) - GAP
    sheet = np.full(
        (CELL + FACE.stop - FACE.start + WAVE + 2 * GAP, width, 3), 255, np.uint8
    )
    for k, (_, (photo, drawing)) in enumerate(columns):
        left = k * (CELL + GAP)
        sheet[:CELL, left : left + CELL] = photo
        sheet[CELL + GAP + WAVE + GAP :, left : left + CELL] = drawing
    sheet[CELL + GAP : CELL + GAP + WAVE] = wave(
        said.speech, first, last, width, [t for t, _ in columns]
    )
    save(out / "front.jpg", sheet)


def film(out: Path) -> None:
    """One person says the sentence, beside the landmarks and above the sound; its end leads into its beginning."""
    said = speak(SENTENCE, VOICE)
    sample = SAMPLE_RATE // FRAMES_PER_SECOND
    mouth = articulation(said.phonemes, len(said.speech) // sample, strength=1.25)
    begin = round((said.phonemes[0].start - BEFORE) * FRAMES_PER_SECOND)
    end = round((said.phonemes[-1].end + AFTER) * FRAMES_PER_SECOND)
    mouth = np.pad(mouth, ((max(0, -begin), max(0, end - len(mouth))), (0, 0)), mode="edge")
    mouth = mouth[max(0, begin) : max(0, begin) + end - begin]
    person = Identity.draw(SPEAKER)
    geometry = face_points(person, mouth, swing(len(mouth)))
    side, rows, columns = closer(SIDE)
    photos = paint_clip(person, geometry, "camera", side)[:, rows, columns]
    drawings = draw_landmarks(geometry.landmarks, SIDE)
    first, last = begin / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND
    strips = [
        wave(said.speech, first, last, 2 * SIDE, [begin + t], STRIP)
        for t in range(len(mouth))
    ]
    frames = np.concatenate(
        [np.concatenate([photos, drawings], axis=2), np.stack(strips)], axis=1
    )
    write_video(
        out / "front.mp4",
        frames,
        quality=21,
        metadata={"comment": "generated: a drawn face that belongs to no one"},
    )
    save(out / "front-film.jpg", frames[int(np.argmax(mouth @ WANTED[0]))])


def swing(n_frames: int) -> Motion:
    """Head, eyes and brows that move a little and end where they began."""
    turn = 2 * np.pi * np.arange(n_frames) / n_frames
    lid = np.exp(-(((np.arange(n_frames) - 0.62 * n_frames) / 1.6) ** 2))
    pose = [0.11 * np.sin(turn), 0.035 * np.sin(2 * turn), 0.025 * np.sin(turn + 1)]
    shift = [1.2 * np.sin(turn), 0.6 * np.sin(2 * turn)]
    brows = 0.35 * np.sin(turn - 0.7)
    parts = {
        "pose": np.stack(pose, axis=1),
        "shift": np.stack(shift, axis=1),
        "blink": np.stack([lid, lid], axis=1),
        "gaze": np.zeros((n_frames, 2)),
        "brows": np.stack([brows, brows], axis=1),
    }
    return Motion(**{name: part.astype(np.float32) for name, part in parts.items()})


def save(path: Path, image: np.ndarray) -> None:
    """Save uint8 RGB as a JPEG of the pages."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    cv2.imwrite(str(path), image[..., ::-1], quality)


def portrait(
    seed: int, mouth: np.ndarray, yaw: float, pitch: float
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGB, head and shoulders ``(CELL, CELL, 3)``, and the same moment's landmarks in the crop."""
    person = Identity.draw(seed)
    geometry = face_points(person, mouth, Motion.hold(1, yaw=yaw, pitch=pitch))
    side, rows, columns = closer(CELL)
    photo = paint(person, geometry, 0, "camera", side)[rows, columns]
    return photo, draw_landmarks(geometry.landmarks[0], CELL)[FACE]


def closer(size: int) -> tuple[int, slice, slice]:
    """Cut head and shoulders of ``size`` from the camera view: the side to paint it at, rows, columns."""
    side = -(-round(size / 0.70) // 4) * 4
    left, top = (side - size) // 2, round(0.10 * side)
    return side, slice(top, top + size), slice(left, left + size)


def wave(
    speech: np.ndarray,
    first: float,
    last: float,
    width: int,
    frames: list[int],
    tall: int = WAVE,
) -> np.ndarray:
    """uint8 RGB ``(tall, width, 3)``: the sentence as bars; the bars of the moments shown are orange."""
    fine, pitch, bar = 4, 8, 4
    strip = np.full((tall * fine, width * fine, 3), 255, np.uint8)
    count = width // pitch
    edges = np.linspace(first * SAMPLE_RATE, last * SAMPLE_RATE, count + 1).astype(int)
    spans = [speech[max(0, a) : max(0, b)] for a, b in pairwise(edges)]
    level = np.array([np.sqrt(np.mean(span**2)) if len(span) else 0 for span in spans])
    height = np.maximum(4, (tall - 8) * np.sqrt(level / level.max()))
    centres = (edges[:-1] + edges[1:]) / 2 / SAMPLE_RATE
    shown = [int(np.abs(centres - (t + 0.5) / FRAMES_PER_SECOND).argmin()) for t in frames]
    for i in range(count):
        x, colour = int((i + 0.5) * pitch * fine), ORANGE if i in shown else BLUE
        half = int(height[i] / 2 * fine)
        top, bottom = (x, tall * fine // 2 - half), (x, tall * fine // 2 + half)
        cv2.line(strip, top, bottom, colour, bar * fine, cv2.LINE_AA)
    return cv2.resize(strip, (width, tall), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
