"""What ``talkface talk`` does: one film of one system, several of one that draws, or one of all of them."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from talkface_lite.commands.shared import BAR, say, settings_of, whole_or_nothing
from talkface_lite.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from talkface_lite.talking.talker import Portrait, Talker


def talk(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a photograph talk; what ``talkface talk`` does."""
    from tqdm import tqdm

    from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLE_RATE
    from talkface_lite.media import write_videos
    from talkface_lite.systems import SYSTEMS
    from talkface_lite.talking.mark import provenance
    from talkface_lite.talking.talker import Portrait

    if arguments.out.suffix.lower() != ".mp4":
        raise InputError("--out", arguments.out, "a name that ends in .mp4")
    alone = arguments.system in SYSTEMS
    if not alone:
        _refuse_what_one_has(arguments)
    speech = _speech(arguments)
    talkers = {arguments.system: _talker(arguments)} if alone else _talkers(arguments)
    portrait = Portrait.of(arguments.photo, detector=arguments.detector)
    portrait.warn_of_open_mouth()
    n_frames = len(speech) * FRAMES_PER_SECOND // SAMPLE_RATE
    with whole_or_nothing(arguments.out):
        frames = _pictures(arguments, talkers, portrait, speech)
        frames = tqdm(frames, total=n_frames, unit="frame", delay=1, **BAR)
        films = [arguments.out]
        if arguments.samples > 1:
            names = (f"{arguments.out.stem}-{number}" for number in range(1, arguments.samples + 1))
            films = [arguments.out.with_stem(name) for name in names]
        first, *more = talkers
        write_videos(films, frames, speech, metadata=provenance(first, portrait.name, *more))
    seconds, how = n_frames / FRAMES_PER_SECOND, {name: one.system.how for name, one in talkers.items()}
    told = how[arguments.system] if alone else ", ".join(talkers)
    for film in films:
        say(arguments, f"{film}: {n_frames} frames, {seconds:.1f} s" + (f"; {told}" if told else ""))
    return {
        "out": str(arguments.out),
        "films": [str(film) for film in films],
        "frames": n_frames,
        "seconds": seconds,
        "system": arguments.system,
        **({} if alone else {"systems": list(talkers)}),
        "how": told if alone else how,
        "marked": not arguments.no_mark,
    }


def _refuse_what_one_has(arguments: argparse.Namespace) -> None:
    """Flags of ``talk`` that mean nothing to a film of every system."""
    given = {
        "--samples": arguments.samples > 1,
        "--weights": arguments.weights,
        "--variant": arguments.variant,
        "--paste-back": arguments.paste_back,
        "--scene": arguments.scene,
    }
    if beside := [flag for flag, typed in given.items() if typed]:
        expected = "one system, or the package's own weights side by side"
        raise InputError(f"--system {arguments.system}", f"{' and '.join(beside)} beside it", expected)


def _speech(arguments: argparse.Namespace) -> "np.ndarray":
    """What ``talk`` lets a photograph say, float32 ``(640·T,)``."""
    from talkface_lite.speech import fit_to_frames

    if arguments.speech is not None:
        from talkface_lite.media import read_speech

        return fit_to_frames(read_speech(arguments.speech, convert=arguments.convert))
    from talkface_lite.corpus.voice import speak

    return fit_to_frames(speak(arguments.text, arguments.voice).speech)


def _talker(arguments: argparse.Namespace) -> "Talker":
    """The system that is named, as it was asked for."""
    from talkface_lite.talking.talker import Talker

    talker = Talker.load(
        arguments.system,
        size=arguments.size,
        weights=arguments.weights,
        variant=arguments.variant,
        settings=settings_of(arguments),
    )
    if arguments.paste_back:
        talker.system, why = talker.system.for_pasting()
        if why:
            print(f"talkface: {why}", file=sys.stderr)
    if arguments.samples > 1 and not talker.system.random:
        raise InputError("--samples", arguments.samples, f"1: {arguments.system} draws nothing at random")
    return talker


def _talkers(arguments: argparse.Namespace) -> dict[str, "Talker"]:
    """Every system that the package has weights of, by name; those that it has none of are told."""
    from talkface_lite.measuring.evaluation import shipped
    from talkface_lite.systems import SYSTEMS
    from talkface_lite.talking.talker import Talker

    found = shipped(list(SYSTEMS), arguments.size)
    if not found:
        got, expected = f"no {arguments.size} weights in the package", "--system S --weights FILE"
        raise InputError(f"--system {arguments.system}", got, expected)
    for name in (name for name in SYSTEMS if name not in found):
        print(f"talkface: without {name}: no {arguments.size} weights in the package", file=sys.stderr)
    return {name: Talker(system) for name, system in found.items()}


def _pictures(
    arguments: argparse.Namespace,
    talkers: Mapping[str, "Talker"],
    portrait: "Portrait",
    speech: "np.ndarray",
) -> Iterator[tuple["np.ndarray", ...]]:
    """The next picture of each film that ``talk`` writes."""
    import numpy as np

    from talkface_lite.systems import SYSTEMS
    from talkface_lite.talking.film import pictures_of_all
    from talkface_lite.talking.side_by_side import side_by_side

    marked = not arguments.no_mark
    if arguments.system not in SYSTEMS:
        return zip(side_by_side(talkers, portrait, speech, arguments.seed, marked=marked))
    view = "scene" if arguments.scene else "photograph" if arguments.paste_back else "face"
    seeds = [arguments.seed, *([arguments.seed, number] for number in range(1, arguments.samples))]
    rngs = [np.random.default_rng(seed) for seed in seeds]
    talker = talkers[arguments.system]
    return pictures_of_all(talker, portrait, speech, rngs, view=view, marked=marked)
