"""From a seed to a clip, and from a seed to a corpus: voice → visemes → face → painter.

What a clip holds is drawn from its seed alone, so any clip can be drawn again by itself, and a corpus has the
same bytes whether one process draws it or sixteen.

Held out by rule: the SHA-256 of its name puts each identity, each voice and each sentence on the side
``"train"`` or ``"test"``, once and for all. A clip of ``split="test"`` has all three from the test side, so
no training clip shares the face, the voice or the sentence with it.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkface_lite.clip import FRAMING_OF, SAMPLES_PER_FRAME, Clip
from talkface_lite.corpus.acoustics import Microphone, Room, draw_noise
from talkface_lite.corpus.face import Motion, face_points
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.manner import Manner, style_of
from talkface_lite.corpus.nods import NodHabit, nodding
from talkface_lite.corpus.settings import N_IDENTITIES, CorpusSettings, name_of, split_of
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import VOICES, Voice, grid_sentence, speak
from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.runtime import cores

FORMAT = "talkface_lite corpus 2"


def draw_clip(
    seed: int, *, motion: int | None = None, settings: CorpusSettings | None = None, **changes: Any
) -> Clip:
    """Draw one clip of about 2 to 4 s: someone who does not exist says something, with known truth.

    Parameters
    ----------
    seed:
        0 or more. The same seed and settings give the same clip.
    motion:
        Seed of what speech does not determine (:class:`~talkface_lite.corpus.motion.Motion`), so that the
        same person says the same in the same manner and moves otherwise; None is the clip's own, ``seed``.
    settings:
        What it is like.
    **changes:
        Settings by name, instead of those: ``draw_clip(7, text="now", still_head=True)``; see
        :class:`~talkface_lite.corpus.settings.CorpusSettings`.

    Returns
    -------
    Clip
        ``frames`` uint8 ``(T, 128, 128, 3)`` (or another size, or None), ``landmarks`` in pixels of the view.
        ``source`` says how it was drawn; :func:`read_source` takes it apart.

    Raises
    ------
    InputError
        When a setting is not one of those named, or the text cannot be spoken.
    """
    its = replace(settings or CorpusSettings(), **changes)
    if seed < 0:
        raise InputError("seed", seed, "0 or more")
    rng = np.random.default_rng([seed, 0xC119])
    identity = draw_identity(rng, its.split) if its.person is None else Identity.draw(its.person)
    whose = rng if its.person is None else np.random.default_rng([its.person, 0x701CE])
    voice = _draw_voice(whose, identity, its.split, its.varied)
    sentence = its.text if its.text is not None else _draw_sentence(rng, its.split)
    sound = _draw_sound(rng, its.clean, its.varied)
    utterance = speak(sentence, voice, seed=seed, **sound)
    n_frames = len(utterance.speech) // SAMPLES_PER_FRAME
    manner = Manner.draw(identity, seed)
    moves = Motion.draw(seed if motion is None else motion, n_frames, still=its.still_head)
    habit = NodHabit.draw(identity) if its.nods else None
    geometry = face_points(
        identity,
        articulation(utterance.phonemes, n_frames, strength=manner.strength, rest=manner.rest),
        nodding(moves, utterance.phonemes, habit) if habit else moves,
    )
    frames = None
    if its.paint:
        from talkface_lite.corpus.painter.layers import paint_clip

        frames = paint_clip(identity, geometry, its.view, None if its.view == "camera" else its.size)
    sides = {"identity": identity.name, "voice": voice.name, "sentence": sentence}
    source = {
        "drawn": seed,
        "split": its.split or "both",
        **{f"{kind}_split": split_of(kind, name) for kind, name in sides.items()},
        "voice": voice.name,
        "strength": f"{style_of(identity):.3f}",
        "rest": manner.at_rest,
        "view": its.view,
        "still_head": int(its.still_head),
        "noise": "none" if sound["signal_to_noise"] is None else f"{sound['signal_to_noise']:.1f}dB",
        "room": "none" if sound["room"] is None else f"{sound['room'].decay:.2f}s",
    }
    if habit:
        source |= {"nod_lag": f"{habit.lag:+.3f}s", "nod_depth": f"{np.rad2deg(habit.depth):.2f}deg"}
    if motion is not None:
        source["motion"] = motion
    points = {
        "crop": geometry.landmarks,
        "head": geometry.head_landmarks,
        "camera": geometry.camera_landmarks,
    }
    return Clip(
        frames=frames,
        landmarks=points[its.view],
        speech=utterance.speech,
        words=utterance.words,
        phonemes=utterance.phonemes,
        identity=identity.name,
        source=" ".join(f"{key}={value}" for key, value in source.items()),
        framing=FRAMING_OF[its.view],
    )


def read_source(source: str) -> dict[str, str]:
    """The parts of a drawn clip's ``source``: drawn (its seed), split, voice, noise ..., all as text."""
    return dict(part.split("=", 1) for part in source.split() if "=" in part)


def clip_seed(seed: int, index: int) -> int:
    """The seed of a corpus' clip number ``index``: 0 .. 2**48, unlike that of any neighbour."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:6], "big")


def motion_seed(seed: int, film: int) -> int | None:
    """Of the films in which the person of a seed says the same: what number ``film`` moves by; 0 as the clip
    itself does."""
    return clip_seed(seed, film) if film else None


def write_corpus(
    out: str | os.PathLike,
    clips: int,
    seed: int,
    *,
    motions: int = 1,
    workers: int | None = None,
    settings: CorpusSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> list[Path]:
    """Draw a corpus into a folder, whole or not at all: ``clip-000000.safetensors`` ... and ``corpus.json``.

    Parameters
    ----------
    out:
        The folder; new or empty.
    clips:
        How many, at least 1. About 3.5 MB each with pictures.
    seed:
        Of the corpus. The same seed and settings give the same bytes with any number of workers.
    motions:
        So many clips that follow one another are films of one person who says one thing: they differ in what
        speech does not determine, see ``motion`` of :func:`draw_clip`.
    workers:
        Processes; None takes one for each core. A script that asks for several needs the usual
        ``if __name__ == "__main__":``.
    settings, **changes:
        As for :func:`draw_clip`.
    progress:
        Called with (clips done, clips in all).

    Returns
    -------
    The files of the clips, in order.

    Raises
    ------
    InputError
        When a setting is wrong, the folder is not empty or cannot be written, the disk is full or a worker
        dies. Nothing that this call wrote is left then.
    """
    its = replace(settings or CorpusSettings(), **changes)
    if clips < 1:
        raise InputError("clips", clips, "at least 1")
    if seed < 0:
        raise InputError("seed", seed, "0 or more")
    if workers is not None and workers < 1:
        raise InputError("workers", workers, "at least 1")
    if motions < 1:
        raise InputError("motions", motions, "at least 1")
    if motions > 1 and its.still_head:
        raise InputError("motions", f"{motions} with still heads", "heads that move: films would be alike")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, "something already there", "a new or an empty folder")
    made = [folder for folder in (out.parent, *out.parent.parents) if not folder.exists()]
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
        names = [f"clip-{index:06d}.safetensors" for index in range(clips)]
        films = ((clip_seed(seed, index // motions), index % motions) for index in range(clips))
        jobs = ((temporary / name, s, motion_seed(s, k)) for name, (s, k) in zip(names, films, strict=True))
        _draw_all(jobs, clips, its, min(workers or cores(), clips), progress)
        # by way of sys.modules: the package's front door is above this floor
        version = sys.modules["talkface_lite"].__version__
        about = {"format": FORMAT, "version": version, "clips": clips, "seed": seed, "motions": motions}
        about |= asdict(its)
        write_atomically(temporary / "corpus.json", (json.dumps(about, indent=1) + "\n").encode())
        os.chmod(temporary, 0o755)
        if out.exists():
            out.rmdir()
        os.replace(temporary, out)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise InputError(
                out, reason, f"room and leave to write {clips} clips; nothing was kept"
            ) from error
        if isinstance(error, BrokenProcessPool):
            raise InputError("workers", "one that died", "more memory or fewer workers") from error
        raise
    return [out / name for name in names]


def _draw_all(
    jobs: Iterable[tuple[Path, int, int | None]],
    clips: int,
    settings: CorpusSettings,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    report = progress or (lambda done, clips: None)
    if workers == 1:
        for done, job in enumerate(jobs, start=1):
            _draw_and_save(*job, settings)
            report(done, clips)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        waiting: set[Future] = set()
        done = 0
        try:
            for job in jobs:
                waiting.add(pool.submit(_draw_and_save, *job, settings))
                while len(waiting) >= 4 * workers:
                    done, waiting = _collect(waiting, done, clips, report)
            while waiting:
                done, waiting = _collect(waiting, done, clips, report)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _collect(
    waiting: set[Future], done: int, clips: int, report: Callable[[int, int], None]
) -> tuple[int, set[Future]]:
    finished, rest = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
    for future in finished:
        future.result()
        done += 1
        report(done, clips)
    return done, rest


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _draw_and_save(path: Path, seed: int, motion: int | None, settings: CorpusSettings) -> None:
    draw_clip(seed, motion=motion, settings=settings).save(path)


def draw_identity(rng: np.random.Generator, split: str | None) -> Identity:
    """Someone at random, from one side (:func:`~talkface_lite.corpus.settings.split_of`); None: from both."""
    while True:
        number = int(rng.integers(N_IDENTITIES))
        if split in (None, split_of("identity", name_of(number))):
            return Identity.draw(number)


def _draw_voice(rng: np.random.Generator, identity: Identity, split: str | None, varied: bool) -> Voice:
    feminine = identity.femininity > 0.5
    names = [
        name
        for name, voice in VOICES.items()
        if voice.feminine == feminine and split in (None, split_of("voice", name))
    ]
    voice = VOICES[names[rng.integers(len(names))]]
    # nobody speaks twice at quite the same pace and pitch
    pace = voice.words_per_minute * (rng.uniform(0.8, 1.5) if varied else rng.uniform(0.9, 1.12))
    pitch = voice.pitch + (rng.integers(-15, 16) if varied else rng.integers(-5, 6))
    return replace(voice, words_per_minute=round(pace), pitch=int(np.clip(pitch, 0, 99)))


def _draw_sentence(rng: np.random.Generator, split: str | None) -> str:
    while True:
        sentence = grid_sentence(rng)
        if split in (None, split_of("sentence", sentence)):
            return sentence


def _draw_sound(rng: np.random.Generator, clean: bool, varied: bool) -> dict[str, Any]:
    lead, tail = rng.uniform(0.16, 0.48, 2)
    noise = rng.uniform(12, 40) if rng.random() < 0.6 else None
    heard_in = Room.draw(rng)
    room = heard_in if rng.random() < 0.5 else None
    sound = {"lead": lead, "tail": tail, "signal_to_noise": noise, "room": room}
    if varied:
        sound |= _draw_variety(rng)
    return sound | {"signal_to_noise": None, "room": None, "microphone": None} if clean else sound


def _draw_variety(rng: np.random.Generator) -> dict[str, Any]:
    """Another throat, longer silences, any noise, any microphone."""
    lead, tail = np.where(rng.random(2) < 0.75, rng.uniform(0.16, 0.48, 2), rng.uniform(0.48, 1.5, 2))
    noisy, recorded = rng.random(2)
    return {
        "lead": lead,
        "tail": tail,
        "tract": float(np.clip(np.exp(rng.normal(0, 0.07)), 0.84, 1.2)),
        "signal_to_noise": float(rng.uniform(5, 45)) if noisy < 0.75 else None,
        "noise": draw_noise(rng),
        "microphone": Microphone.draw(rng) if recorded < 0.85 else None,
    }
