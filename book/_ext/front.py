"""The picture on the front page: eight people who do not exist share one sentence.

``python book/_ext/front.py`` paints ``book/_static/front.jpg`` again.
"""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.painter.layers import paint
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import speak
from talkface_lite.landmarks import draw_landmarks

OUT = Path(__file__).resolve().parents[1] / "_static" / "front.jpg"
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
BLUE, ORANGE, GREY = (0, 114, 178), (213, 94, 0), (150, 158, 166)


def main() -> None:
    """Paint the picture."""
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
    cv2.imwrite(
        str(OUT),
        sheet[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    )


def portrait(
    seed: int, mouth: np.ndarray, yaw: float, pitch: float
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGB, head and shoulders ``(CELL, CELL, 3)``, and the same moment's landmarks in the crop."""
    person = Identity.draw(seed)
    geometry = face_points(person, mouth, Motion.hold(1, yaw=yaw, pitch=pitch))
    side = -(-round(CELL / 0.70) // 4) * 4
    left, top = (side - CELL) // 2, round(0.10 * side)
    photo = paint(person, geometry, 0, "camera", side)[top : top + CELL, left : left + CELL]
    return photo, draw_landmarks(geometry.landmarks[0], CELL)[FACE]


def wave(
    speech: np.ndarray, first: float, last: float, width: int, frames: list[int]
) -> np.ndarray:
    """uint8 RGB ``(WAVE, width, 3)``: the sentence as bars; the bars of the moments shown are orange."""
    fine, pitch, bar = 4, 8, 4
    strip = np.full((WAVE * fine, width * fine, 3), 255, np.uint8)
    count = width // pitch
    edges = np.linspace(first * SAMPLE_RATE, last * SAMPLE_RATE, count + 1).astype(int)
    level = np.array([np.sqrt(np.mean(speech[a:b] ** 2)) for a, b in pairwise(edges)])
    height = np.maximum(4, (WAVE - 8) * np.sqrt(level / level.max()))
    centres = (edges[:-1] + edges[1:]) / 2 / SAMPLE_RATE
    shown = [int(np.abs(centres - (t + 0.5) / FRAMES_PER_SECOND).argmin()) for t in frames]
    for i in range(count):
        x, colour = int((i + 0.5) * pitch * fine), ORANGE if i in shown else BLUE
        half = int(height[i] / 2 * fine)
        top, bottom = (x, WAVE * fine // 2 - half), (x, WAVE * fine // 2 + half)
        cv2.line(strip, top, bottom, colour, bar * fine, cv2.LINE_AA)
    return cv2.resize(strip, (width, WAVE), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
