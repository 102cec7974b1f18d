"""Papers that need no network, for tests of what can be done with any paper."""

from collections.abc import Iterator, Mapping

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.systems.base import Face, Shown, Stretch, System


class Lamp(System):
    """Knows of no landmarks and paints everything, in pictures of 256×256: the louder, the brighter.

    How bright it is in silence, it draws at random.
    """

    name = "lamp"
    parts = ()
    side = 256

    def __init__(self, *, chunk: int = 3) -> None:
        super().__init__({})
        self.chunk = chunk

    @staticmethod
    def levels(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 ``(T,)``: by how much each frame is brighter than the photograph."""
        loud = np.abs(speech.reshape(-1, 640)).max(axis=1)
        return (rng.integers(1, 20) + 60 * loud).astype(np.uint8)

    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        levels = self.levels(speech, rng)
        for start in range(0, len(levels), self.chunk):
            yield Stretch(face.picture + levels[start : start + self.chunk, None, None, None])


class SmallLamp(Lamp):
    """The same in pictures of 128×128."""

    name = "small-lamp"
    side = 128


class Oracle(System):
    """Answers with rows that it is given, and remembers what it was asked."""

    name = "oracle"
    parts = ()

    def __init__(self, answer: object) -> None:
        super().__init__({})
        self.answer, self.asked = answer, []

    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        raise NotImplementedError

    def rows(
        self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool
    ) -> Mapping[str, Shown]:
        self.asked.append((clip, shown, int(rng.integers(2**31)), pictures))
        return self.answer(clip, pictures)
