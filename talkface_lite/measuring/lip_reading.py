"""What a reader of lips makes of a film: LRA, the share of words that it reads right.

The judge is a network of its own: it learned from true clips of people that no system of the package learned
from, with its own seed, and never sees a generated picture but to judge it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch

from talkface_lite.clip import CROP_SIZE, Clip, Interval, frame_times
from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.networks.lip_reader import LipReader, LipReaderConfig, mouths_of
from talkface_lite.systems.config import from_json
from talkface_lite.systems.part import shipped_weights
from talkface_lite.systems.weights_file import read_weights

TOP = (1, 5)
"""LRA counts a word as read when it is among so many guesses."""


@dataclass(frozen=True, eq=False)
class LipJudge:
    """A trained reader of lips.

    Parameters
    ----------
    reader:
        In evaluation mode.
    words:
        What it knows, in its order.
    """

    reader: LipReader
    words: tuple[str, ...] = field(default=GRID_WORDS)

    def __post_init__(self) -> None:
        if self.reader.config.words != len(self.words):
            raise InputError("words", len(self.words), f"{self.reader.config.words}, as the reader has")

    @classmethod
    @functools.cache
    def pretrained(cls) -> Self | None:
        """The package's own; None where it has none."""
        path = judge_weights()
        return cls.load(path) if path.is_file() else None

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a file of weights.

        Raises
        ------
        InputError
            When it is missing, broken, or of something else.
        """
        about, tensors = read_weights(path)
        try:
            (config,) = (value for value in about["config"].values() if isinstance(value, dict))
            reader = LipReader(from_json(LipReaderConfig, config))
            reader.load_state_dict({name.partition(".")[2]: value for name, value in tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(path, f"weights that do not fit ({error})", "those of a lip reader") from error
        return cls(reader.eval().requires_grad_(False))

    @torch.inference_mode()
    def guesses(self, frames: np.ndarray, said: Sequence[Interval]) -> np.ndarray:
        """What it takes words of a film for.

        Parameters
        ----------
        frames:
            uint8 RGB ``(T, side, side, 3)``, aligned crops.
        said:
            Words and their times, see :func:`known_words`.

        Returns
        -------
        int ``(words said, words known)``: places in ``words``, from the likeliest to the least.
        """
        if not said:
            return np.zeros((0, len(self.words)), int)
        mouths = mouths_of(to_network(torch.from_numpy(in_crop(frames)))[None])  # (1, T, 3, 40, 40)
        spoken = torch.from_numpy(np.stack([frames_of(word, len(frames)) for word in said]))  # (words, T)
        logits = self.reader(mouths.expand(len(said), -1, -1, -1, -1), spoken)
        return logits.argsort(dim=1, descending=True, stable=True).numpy()

    def ranks(self, frames: np.ndarray, said: Sequence[Interval]) -> np.ndarray:
        """How many guesses come before the right one, int ``(words said,)``."""
        return self.ranks_in(self.guesses(frames, said), said)

    def ranks_in(self, guesses: np.ndarray, said: Sequence[Interval]) -> np.ndarray:
        """:meth:`ranks`, of what :meth:`guesses` gave."""
        places = np.array([self.words.index(word.label) for word in said], int)
        return (guesses == places[:, None]).argmax(axis=1)


class WordsRead:
    """How many words of a clip are read off a film that is to say the same.

    Parameters
    ----------
    judge:
        Who reads.
    clip:
        With words and their times.
    """

    def __init__(self, judge: LipJudge, clip: Clip) -> None:
        self._judge, self._said = judge, known_words(clip, judge.words)

    def of(self, frames: np.ndarray) -> dict[str, float]:
        """``lra_top1`` and ``lra_top5`` of a film ``(T, side, side, 3)``: the share of the words that are
        among so many guesses; NaN where the clip says none that the judge knows."""
        ranks = self._judge.ranks(frames, self._said)
        return {f"lra_top{n}": float((ranks < n).mean()) if len(ranks) else float("nan") for n in TOP}


def judge_weights() -> Path:
    """Where the package keeps the judge's weights."""
    return shipped_weights("lip", "judge", size="")


def in_crop(film: np.ndarray) -> np.ndarray:
    """A film at the side of the aligned crop, 128 pixels."""
    side = film.shape[1]
    if side == CROP_SIZE:
        return np.ascontiguousarray(film)
    import cv2

    how = cv2.INTER_AREA if side > CROP_SIZE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (CROP_SIZE, CROP_SIZE), interpolation=how) for frame in film])


def frames_of(word: Interval, n_frames: int) -> np.ndarray:
    """bool ``(T,)``: the frames whose middle lies in a word; of a shorter one the nearest."""
    spoken = word.holds(times := frame_times(n_frames))
    if not spoken.any():
        spoken[np.abs(times - (word.start + word.end) / 2).argmin()] = True
    return spoken


def known_words(clip: Clip, words: Sequence[str] = GRID_WORDS) -> list[Interval]:
    """The words of a clip that a judge knows, with their times."""
    return [word for word in clip.words if word.label in words]
