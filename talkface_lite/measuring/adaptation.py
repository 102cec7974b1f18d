"""From half a minute of one person: the parts of a system that learned from it, judged on the rest.

Each part starts from the weights that it has, learns as it says itself (:attr:`Part.adapting
<talkface_lite.systems.part.Part.adapting>`), and stays if its own figure, on a fifth of the clips, is better
than before.
"""

import copy
import hashlib
import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, Clip, Interval
from talkface_lite.data.features import Folders, read_clips
from talkface_lite.data.needs import DataSettings, TrainingData
from talkface_lite.data.opening import open_dataset
from talkface_lite.errors import InputError
from talkface_lite.measuring.evaluation import REST, evaluate
from talkface_lite.measuring.tables import TITLES
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import load, system_class
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.base import System
from talkface_lite.systems.part import Part, Weights, save_parts
from talkface_lite.training import train
from talkface_lite.training.loop import held_out_figures

NOTICE = (
    "learned from the face and the voice in these clips: if they are a real person's, for that person's own "
    "use; do not pass it on, and let nobody take what it makes for a recording"
)
"""What is printed, and what the file says of itself."""

PIECE_FRAMES = 3 * FRAMES_PER_SECOND
"""Clips are cut into pieces of about so many frames: half a minute may be filmed in one go."""

LEAST_PIECES = 5
"""Four to learn from and one to judge."""

MOST_FRAMES = 240 * FRAMES_PER_SECOND
"""What is beyond four minutes is not read: who has more trains, see ``talkface train --start-from``."""

ONE_IN = 5
"""One piece in so many judges."""

RULE = "pieces sorted by the SHA-256 of their source and first frame: the first fifth, rounded down"
"""Which pieces judge."""

LEAST_GAIN = 0.01
"""Share by which a figure must fall: less is chance."""

LEAST_STEPS = 10
"""Updates below which a part is left as it was."""

FILMED = 4
"""Of the pieces that judge, so many are filmed before and after."""

FILM_FIGURES = ("mouth_landmark_distance", "lip_opening_correlation", "mouth_gain")
"""What is told of these films, those that were measured."""


class Pieces(NamedTuple):
    """Where the pieces lie, and what they are."""

    learn: Path
    judge: Path
    counts: dict[str, int | bool]
    side: int | None
    """Of their pictures, pixels; None: not all have some."""


def adapt(
    system: str,
    source: Folders,
    out: str | os.PathLike,
    *,
    size: str = "lite",
    weights: Weights = None,
    minutes: float = 3.0,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Let the parts of a system learn from clips of one person; keep those that gained.

    Parameters
    ----------
    system, size, weights:
        What to begin with, see :meth:`talkface_lite.systems.base.System.load`.
    source:
        Clips, as ``talkface prepare`` or ``talkface corpus`` writes them; what is beyond four minutes is not
        read.
    out:
        File to write, ``.safetensors``; it must not be there. Nothing is written where no part gained.
    minutes:
        At most; on a slower machine the parts learn less in them.
    seed:
        Of the training.
    progress:
        Draw bars on standard error.

    Returns
    -------
    dict
        ``out`` (None where nothing gained); ``clips`` (how many pieces ``learn`` and ``judge``, of how many
        ``frames``, how many were ``silent`` and left out, and whether there is something ``beyond`` four
        minutes); ``rule``, which pieces judge; ``parts``: of each its ``figure``, that ``before`` and
        ``after``, ``steps``, ``seconds``, ``kept``, or why it was ``skipped``; ``film``: of the row
        ``from_speech`` the median of each figure ``before`` and ``after``; ``seconds``; ``notice``.

    Raises
    ------
    InputError
        When the file is there or is misnamed, no time is given, there are no weights to begin with, or the
        clips are missing, broken, silent, fewer than five pieces, or unlike what every part needs.
    """
    began, out = time.monotonic(), Path(out)
    _check(out, minutes)
    kind, start = system_class(system), load(system, size, weights=weights)
    parts = [start.part(part.name) for part in kind.parts if start.has(part.name) and part.adapting]
    if not parts:
        raise InputError(f"--system {system}", "no part that learns from one person", "another system")
    with tempfile.TemporaryDirectory(prefix="talkface-adapt-") as folder:
        pieces = _cut(source, Path(folder))
        filming = time.monotonic()
        film = {"before": _film(start, pieces, seed)}
        filming = time.monotonic() - filming
        until = began + 60 * minutes - 1.2 * filming
        told: dict[str, dict[str, Any]] = {}
        made: dict[str, tuple[Part, dict[str, Any]]] = {}
        refusals: list[InputError] = []
        for number, part in enumerate(parts):
            shares = sum(other.adapting.share for other in parts[number:])
            seconds = (until - time.monotonic()) * part.adapting.share / shares
            try:
                learner = _Learner(part, pieces, Path(folder) / part.name)
            except InputError as error:  # not clips for this part; another may take them
                refusals.append(error)
                told[part.name] = {"skipped": f"{error.got}, expected {error.expected}"}
                continue
            told[part.name], better = learner.learn(seconds, seed, progress)
            if better is not None:
                made[part.name] = better
        if len(refusals) == len(parts):
            raise InputError(_named(source), refusals[0].got, refusals[0].expected)
        if made:
            now = {part.name: start.part(part.name) for part in kind.parts if start.has(part.name)}
            now |= {name: part for name, (part, _) in made.items()}
            film["after"] = _film(type(start)(now, start.settings), pieces, seed)
    report = {"system": system, "clips": pieces.counts, "rule": RULE, "parts": told, "film": film}
    report |= {"seconds": round(time.monotonic() - began, 1), "notice": NOTICE}
    if made:
        save_parts(out, list(made.values()), report)
    return {"out": str(out) if made else None} | report


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report of :func:`adapt` for people."""
    clips, film = report["clips"], report["film"]
    yield f"{clips['learn']} pieces to learn from, {clips['judge']} to judge by ({report['rule']})"
    if clips["silent"]:
        yield f"{clips['silent']} pieces without sound left out"
    if clips["beyond"]:
        yield f"what is beyond {clips['frames']} frames left out"
    for name, told in report["parts"].items():
        if "skipped" in told:
            yield f"{name}: left as it was ({told['skipped']})"
        elif told["after"] is None:
            yield f"{name}: left as it was (no number any more)"
        else:
            verdict = "kept" if told["kept"] else "left as it was"
            numbers = f"{told['before']:.4g} before, {told['after']:.4g} after {told['steps']} updates"
            yield f"{name}: {told['figure']} {numbers}: {verdict}"
    for figure, before in film["before"].items():
        after = film.get("after", {}).get(figure)
        if before is not None and after is not None:
            yield f"film from speech, {TITLES[figure]}: {before:.3f} before, {after:.3f} after"
    if report["out"] is None:
        yield f"nothing gained in {report['seconds']:.0f} s, nothing written"
    else:
        yield f"{report['out']}, in {report['seconds']:.0f} s: {report['notice']}"


def _check(out: Path, minutes: float) -> None:
    if out.suffix != ".safetensors":
        raise InputError("--out", out, "a name that ends in .safetensors")
    if out.exists():
        raise InputError("--out", f"{out}, which is there already", "a new name")
    if any(folder.exists() and not folder.is_dir() for folder in out.parents):
        raise InputError("--out", out, "a name in a folder")
    if not 0 < minutes < math.inf:
        raise InputError("--minutes", minutes, "a number above 0")


def _named(source: Folders) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else ", ".join(map(str, source))


# ---- the clips


def pieces_of(clip: Clip, length: int = PIECE_FRAMES) -> Iterator[tuple[int, Clip]]:
    """A clip in equal pieces of about ``length`` frames: the first frame of each, and the piece.

    A word or a phoneme goes with its middle.
    """
    n = max(1, round(len(clip) / length))
    edges = [len(clip) * i // n for i in range(n + 1)]
    for start, stop in pairwise(edges):
        yield (
            start,
            replace(
                clip,
                frames=None if clip.frames is None else clip.frames[start:stop],
                landmarks=clip.landmarks[start:stop],
                speech=clip.speech[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME],
                words=_between(clip.words, start, stop),
                phonemes=_between(clip.phonemes, start, stop),
            ),
        )


def _between(intervals: tuple[Interval, ...], start: int, stop: int) -> tuple[Interval, ...]:
    first, last = start / FRAMES_PER_SECOND, stop / FRAMES_PER_SECOND
    kept = (one for one in intervals if first <= (one.start + one.end) / 2 < last)
    return tuple(Interval(one.label, max(one.start - first, 0.0), min(one.end, last) - first) for one in kept)


def judges(names: list[str]) -> set[int]:
    """Which of some pieces judge: sorted by the SHA-256 of their names, the first fifth, rounded down.

    Parameters
    ----------
    names:
        Of all pieces, at least five.
    """
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).hexdigest())
    return set(order[: len(names) // ONE_IN])


def _cut(source: Folders, folder: Path) -> Pieces:
    """Write the pieces of all clips, one clip in memory at a time, and part them."""
    names: list[str] = []
    counts, n_frames = {"silent": 0, "beyond": False}, 0
    sides: set[tuple[int, ...] | None] = set()
    people: dict[str, None] = {}
    every = (found for clip in read_clips(source, frames=True) for found in pieces_of(clip))
    for start, piece in every:
        if n_frames + len(piece) > MOST_FRAMES:
            counts["beyond"] = True
            break
        if not piece.speech.any():
            counts["silent"] += 1
            continue
        piece.save(folder / "all" / f"{len(names):05d}.safetensors")
        names.append(f"{piece.source} {start}")
        if piece.identity:
            people[piece.identity] = None
        n_frames += len(piece)
        sides.add(None if piece.frames is None else piece.frames.shape[1:3])
    if len(names) < LEAST_PIECES:
        got = f"{len(names)} pieces of 3 s with sound in them"
        if not names and counts["silent"]:
            got = f"no sound in {counts['silent']} pieces of 3 s"
        raise InputError(_named(source), got, f"{LEAST_PIECES} or more: half a minute of somebody who speaks")
    if len(people) > 1:
        text = f"clips of {len(people)} people ({', '.join(list(people)[:4])}{', …' * (len(people) > 4)}): "
        warnings.warn(text + "what is learned is what they share, and nobody in particular", stacklevel=3)
    chosen = judges(names)
    for number in range(len(names)):
        part = folder / ("judge" if number in chosen else "learn")
        part.mkdir(exist_ok=True)
        name = f"{number:05d}.safetensors"
        (folder / "all" / name).rename(part / name)
    counts |= {"learn": len(names) - len(chosen), "judge": len(chosen), "frames": n_frames}
    known = {side[0] for side in sides if side is not None and side[0] == side[1]}
    side = known.pop() if len(sides) == len(known) == 1 else None
    return Pieces(folder / "learn", folder / "judge", counts, side)


# ---- one part


class _Learner:
    """A part, what it learns from, and what it is judged on.

    Raises
    ------
    InputError
        When the clips are not what it needs.
    """

    def __init__(self, part: Part, pieces: Pieces, folder: Path) -> None:
        adapting: Adapting = part.adapting
        if part.needs.pictures and pieces.side != part.needs.side:
            got = "no pictures" if pieces.side is None else f"pictures of {pieces.side} pixels a side"
            raise InputError("clips", got, f"pictures of {part.needs.side}")
        self.part, self.folder, self.adapting = part, folder, adapting
        self.data = open_dataset(pieces.learn, part.needs, adapting.data)
        looking = DataSettings(window=self.data.window, streaming="never")
        self.judge: TrainingData = open_dataset(pieces.judge, part.needs, looking)

    def learn(
        self, seconds: float, seed: int, progress: bool
    ) -> tuple[dict[str, Any], tuple[Part, dict[str, Any]] | None]:
        """What is told of it, and where it gained the part with its record."""
        began, wanted = time.monotonic(), self.adapting.training
        learner = self.part.changed(**self.adapting.config)
        learner.started = fingerprint(self.part)
        before = self._figure(self.part)
        looking = time.monotonic() - began
        a_step = self._seconds_of_a_step(learner, seed)
        left = seconds - (time.monotonic() - began) - 1.2 * looking
        steps = int(min(wanted.steps, max(left, 0) / a_step))
        told = {"figure": self.part.figure, "before": before}
        if steps < LEAST_STEPS:
            return told | {"skipped": f"time for {steps} updates, expected {LEAST_STEPS} or more"}, None
        settings = replace(
            wanted, steps=steps, minutes=left / 60, seed=seed, checkpoint_every=steps + 1, devices=1
        )
        try:
            result = train(learner, self.data, self.folder, settings, progress=progress)
        except InputError as error:  # a loss that is not finite any more
            return told | {"skipped": str(error)}, None
        made = type(self.part).load(result.weights)
        after = self._figure(made)
        kept = after <= (1 - LEAST_GAIN) * before  # not where it is NaN
        told |= {"after": after if math.isfinite(after) else None}
        told |= {"steps": result.record["step"], "seconds": result.record["seconds"]}
        told["kept"] = kept
        return told, (made, result.record | {"adapted": dict(told), "notice": NOTICE}) if kept else None

    def _figure(self, part: Part) -> float:
        device = choose_device()
        looking = copy.deepcopy(part).to(device).eval()
        batch_size = self.adapting.training.batch_size
        return held_out_figures(looking, self.judge, batch_size, device)[part.figure]

    def _seconds_of_a_step(self, learner: Part, seed: int) -> float:
        """Of the second of two updates of a copy; the first makes the buffers."""
        trial = copy.deepcopy(learner).to(choose_device()).train()
        optimizers = trial.optimizers(self.adapting.training)
        torch.manual_seed(seed)
        batches = self.data.batches(self.adapting.training.batch_size, seed)
        for _ in range(2):
            began = time.monotonic()
            losses = trial.training_step(next(batches).to(choose_device()), optimizers)
            float(losses["loss"])  # waits for the device
        return time.monotonic() - began


def fingerprint(part: Part) -> str:
    """16 hex digits of a part's weights: what a run that started from them says that it started from."""
    digest = hashlib.sha256()
    for name, value in part.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()[:16]


# ---- the film


def _film(system: System, pieces: Pieces, seed: int) -> dict[str, float]:
    """What the whole system makes of some pieces that judge, from their sound and a resting mouth."""
    paints = pieces.side == system.side and all(system.has(part.name) for part in system.parts)
    clips = islice(read_clips(pieces.judge, frames=paints), FILMED)
    ready = system.to(choose_device()).for_inference("32")
    looks = {"pictures": paints, "frame_step": PIECE_FRAMES, "warp": False}
    report = evaluate({"film": ready}, clips, example=REST, seed=seed, **looks)
    row: Mapping[str, Any] = report["systems"]["film"]["from_speech"]
    return {name: row[name]["median"] for name in FILM_FIGURES if name in row}
