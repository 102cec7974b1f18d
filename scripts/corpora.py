"""The drawn clips that the book's weights are trained and measured on."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.corpus.revoicing import revoice
from talkface_lite.corpus.synthesis import clip_seed, draw_clip, write_corpus
from talkface_lite.data.features import Features, read_clips, save_features
from talkface_lite.data.needs import Needs
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.runtime import cores

TEXT_SEED = 77
PAUSES = 0.12
"""After how many of these words somebody pauses."""
COMMON_WORDS = """
the a of to and in that it is was for on are as with they at be this from have or by one had not but
what all were when we there can an your which their said if do will each about how up out them then
she many some so these would other into has more her two like him see time could no make than first
been its who now people my made over did down only way find use may water long little very after
words called just where most know get through back much before go good new write our me man too any
day same right look think also around another came come work three word must because does part even
place well such here take why things help put years different away again off went old number great
tell men say small every found still between name should home big give air line set own under read
last never us left end along while might next sound below saw something thought both few those
always looked show large often together asked house world going want school important until form
food keep children feet land side without boy once animals life enough took sometimes four head
above kind began almost live page got earth need far hand high year mother light parts country
father let night following picture being study second eyes soon times story boys since white days
ever paper hard near sentence better best across during today others however sure means knew it's
try told young miles sun ways thing whole hear example heard several change answer room sea against
top turned learn point city play toward five using himself usually money seen didn't car morning
"""
"""Common English words. GRID's 51 do not hold every sound of English in every company."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Clips that are drawn from a seed.

    Parameters
    ----------
    clips, seed, split, text, paint, motions, person:
        As for :func:`talkface_lite.corpus.synthesis.write_corpus`.
    still_head:
        True, False, or None: every other head.
    common_words:
        Whether five clips in eight say words drawn from :data:`COMMON_WORDS`, with pauses, instead of
        sentences of GRID's grammar.
    varied, nods, view, size:
        As for :func:`talkface_lite.corpus.synthesis.draw_clip`; heads that are held do not nod.
    """

    clips: int
    seed: int
    split: str | None = "train"
    still_head: bool | None = False
    common_words: bool = False
    text: str | None = None
    paint: bool = True
    varied: bool = True
    motions: int = 1
    person: int | None = None
    nods: bool = False
    view: str = "crop"
    size: int = CROP_SIZE

    @property
    def mixed(self) -> bool:
        """Whether its clips differ by rule; such a corpus is drawn to MFCC and landmarks, in one file."""
        return self.still_head is None or self.common_words

    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        told = asdict(self)
        if self.varied:  # as they mostly are
            del told["varied"]
        usual = {"motions": 1, "nods": False, "view": "crop", "size": CROP_SIZE}
        for name, value in usual.items():
            if told[name] == value:
                del told[name]
        return {name: value for name, value in told.items() if value is not None or name == "still_head"}

    def path(self, folder: Path, name: str) -> Path:
        """Where it lies: a folder of clips, or a file of features."""
        return folder / (f"{name}.safetensors" if self.mixed else name)

    def draw(self, folder: Path, name: str, needs: Needs, workers: int | None = None) -> Path:
        """Draw it, unless it is there.

        Raises
        ------
        InputError
            When another corpus is there under this name.
        """
        path, about = self.path(folder, name), folder / f"{name}.json"
        told = self.about() | ({"needs": [needs.recipe, needs.rows]} if self.mixed else {})
        if path.exists() and about.is_file():
            if json.loads(about.read_text()) != told:
                raise InputError(path, "a corpus of other settings", "a new --work")
            return path
        print(f"drawing {self.clips} clips: {name}", file=sys.stderr)
        if self.mixed:
            save_features(path, self._features(needs, workers or cores()), needs)
        elif not path.exists():  # whole or not at all
            names = ("split", "still_head", "text", "paint", "varied", "person", "nods", "view", "size")
            settings = {"motions": self.motions} | {name: getattr(self, name) for name in names}
            write_corpus(path, self.clips, self.seed, workers=workers, **settings)
        write_json(about, told)
        return path

    def _features(self, needs: Needs, workers: int) -> list[Features]:
        draw = partial(_draw_features, self, needs)
        if workers == 1:
            drawn = list(map(draw, range(self.clips)))
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                drawn = list(pool.map(draw, range(self.clips), chunksize=20))
        return [features for features in drawn if features is not None]


@dataclass(frozen=True, kw_only=True)
class FromRecordings:
    """Clips that are made from prepared recordings of one speaker, those that may be learned from.

    Parameters
    ----------
    recordings:
        Folder of prepared recordings with word times, in the folder of the runs.
    licence:
        Whose they are, for the record.
    clips:
        So many.
    """

    recordings: str
    licence: str
    clips: int

    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        return asdict(self)

    def path(self, folder: Path, name: str) -> Path:
        """Where it lies: a file of features."""
        return folder / f"{name}.safetensors"

    def draw(self, folder: Path, name: str, needs: Needs, workers: int | None = None) -> Path:
        """Make it, unless it is there; one process.

        Raises
        ------
        InputError
            When the recordings are not there, or another corpus is there under this name.
        """
        path, about = self.path(folder, name), folder / f"{name}.json"
        told = self.about() | {"needs": [needs.recipe, needs.rows]}
        if path.exists() and about.is_file():
            if json.loads(about.read_text()) != told:
                raise InputError(path, "a corpus of other settings", "a new --work")
            return path
        source = folder.parent / self.recordings
        if not source.is_dir():
            raise InputError(source, "no recordings", f"{self.licence}, prepared (talkface prepare)")
        clips, _ = divide([clip for clip in read_clips(source) if clip.words])
        print(f"{self.clips} clips from {len(clips)} recordings: {name}", file=sys.stderr)
        save_features(path, self.features(clips, needs), needs)
        write_json(about, told)
        return path

    def features(self, clips: Sequence[Clip], needs: Needs) -> list[Features]:
        """What is made of these recordings."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Revoiced(FromRecordings):
    """Real voices with drawn lips, see :mod:`talkface_lite.corpus.revoicing`.

    Parameters
    ----------
    seed:
        The recordings come in turns, each time by another face and in another room, all from this seed.
    still_head:
        True, False, or None: every other head.
    view:
        As for :func:`talkface_lite.corpus.revoicing.revoice`.
    """

    seed: int
    still_head: bool | None = None
    view: str = "crop"

    def about(self) -> dict[str, Any]:
        """What a record says of it."""
        usual = {"still_head": None, "view": "crop"}
        return {name: value for name, value in super().about().items() if usual.get(name, ...) != value}

    def features(self, clips: Sequence[Clip], needs: Needs) -> list[Features]:
        """Drawn lips for recordings, in turns."""
        drawn = []
        for index in range(self.clips):
            seed, still = clip_seed(self.seed, index), is_still(self.still_head, index)
            clip = revoice(clips[index % len(clips)], seed, still_head=still, view=self.view)
            drawn.append(Features.of(clip, needs))
        return drawn


@dataclass(frozen=True, kw_only=True)
class Filmed(FromRecordings):
    """A real speaker's own lips. For figures; never shipped.

    Parameters
    ----------
    times:
        How often each is there, so that few of them are a share of what is learned.
    """

    times: int = 1

    def features(self, clips: Sequence[Clip], needs: Needs) -> list[Features]:
        """Those of the first recordings."""
        return [Features.of(clip, needs) for clip in clips[: self.clips]] * self.times


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Prepared recordings that something is measured on.

    Parameters
    ----------
    folder:
        In the folder of the runs.
    held_back:
        Whether they are only those that nothing is learned from, see :func:`divide`.
    without:
        Speakers that are left out.
    """

    folder: str
    held_back: bool = False
    without: tuple[str, ...] = ()

    def read(self, work: Path, *, frames: bool) -> Iterator[Clip]:
        """One at a time."""
        kept = None
        if self.held_back:
            kept = {clip.source for clip in divide(list(read_clips(work / self.folder)))[1]}
        for clip in read_clips(work / self.folder, frames=frames):
            if clip.identity not in self.without and (kept is None or clip.source in kept):
                yield clip


AnyCorpus = Corpus | FromRecordings


HELD_BACK = 40
"""Recordings of GRID's speaker s1 that nothing is fitted to or learned from."""


def divide(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Recordings to learn from, and those held back: whose names come first by SHA-256 of `split` and name.

    Raises
    ------
    InputError
        When too few are left to learn from.
    """

    def order(clip: Clip) -> str:
        name = Path(json.loads(clip.source)["recording"]).stem
        return hashlib.sha256(f"split{name}".encode()).hexdigest()

    if len(clips) <= HELD_BACK:
        raise InputError("recordings", f"{len(clips)} with word times", f"more than {HELD_BACK}")
    ordered = sorted(clips, key=order)
    return ordered[HELD_BACK:], ordered[:HELD_BACK]


def draw_all(
    corpora: dict[str, AnyCorpus], folder: Path, needs: Needs, workers: int | None = None
) -> list[Path]:
    """Draw several corpora into a folder, those that are not there."""
    return [corpus.draw(folder, name, needs, workers) for name, corpus in corpora.items()]


def is_still(still_head: bool | None, index: int) -> bool:
    """Whether the head of clip ``index`` is held; None: every other is."""
    return index % 2 == 0 if still_head is None else still_head


def text_of(corpus: Corpus, index: int) -> str | None:
    """What clip ``index`` says; None: a sentence of GRID's grammar."""
    if corpus.common_words and index % 8 < 5:
        rng = np.random.default_rng([TEXT_SEED, index])
        words = rng.choice(COMMON_WORDS.split(), size=rng.integers(5, 14))
        return " ".join(word + ("," if rng.random() < PAUSES else "") for word in words)
    return corpus.text


def _draw_features(corpus: Corpus, needs: Needs, index: int) -> Features | None:
    still = is_still(corpus.still_head, index)
    seed, text = clip_seed(corpus.seed, index), text_of(corpus, index)
    draw: Callable = partial(
        draw_clip,
        split=corpus.split,
        still_head=still,
        paint=False,
        varied=corpus.varied,
        person=corpus.person,
        nods=corpus.nods and not still,
        view=corpus.view,
    )
    try:
        return Features.of(draw(seed, text=text), needs)
    except InputError as error:
        print(f"clip {index} left out: {error}", file=sys.stderr)
        return None
