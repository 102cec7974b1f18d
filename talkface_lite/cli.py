"""The command ``talkface``: corpus, prepare, train, adapt, talk, evaluate, bench, info.

With ``--json`` standard output holds one JSON object and nothing else; progress and remarks go to standard
error. Whatever is wrong with what was handed in is one line and exit code 2, and nothing is written.

SYSTEM and PART are looked for first; the flags that follow are then made from the dataclasses of what they
name (:mod:`talkface_lite.flags`).
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from talkface_lite import __version__, commands
from talkface_lite.errors import InputError
from talkface_lite.networks.sizes import SIZES
from talkface_lite.systems import SYSTEMS, default_system, part_class, system_class

RECORDING_KINDS = ("grid", "lrw", "tcd-timit", "voxceleb", "crema-d", "folder")
"""As in :data:`talkface_lite.recordings.readers.READERS`."""

TALK_VOICE = "felicity"
"""Who speaks ``--text`` unless ``--voice`` names another."""

ALL = "all"
"""What ``--system`` of ``talk`` and ``evaluate`` takes for every system."""

DETECTORS = ("auto", "face-alignment", "dlib")
"""As in ``talkface_lite.faces.detection.DETECTORS``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = _parser(argv).parse_args(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _one_line_warning
            result = arguments.run(arguments)
        if arguments.json:
            print(json.dumps(result, allow_nan=False))
        return 0
    except InputError as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted", code=130)


def _fail(message: str, code: int = 2) -> int:
    print(f"talkface: {' '.join(message.split())}", file=sys.stderr)
    return code


def _one_line_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    if issubclass(category, UserWarning):
        print(f"talkface: {' '.join(str(message).split())}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_fail(f"{message} (see {self.prog} --help)"))


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line that begins with these words."""
    parser = _Parser(prog="talkface", description="Talking-face generation you can read, run and check.")
    parser.add_argument("--version", action="version", version=f"talkface_lite {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        return sub

    _corpus(
        command("corpus", commands.corpus, "Draw clips of people who do not exist, with known truth."), argv
    )
    _prepare(
        command("prepare", commands.prepare, "Turn filmed people into aligned clips, with every loss listed.")
    )
    _train(command("train", commands.train, "Train a part of a system on clips."), argv)
    _adapt(
        command(
            "adapt",
            commands.adapt,
            "Let a system learn from half a minute of one person, and keep what gained.",
        )
    )
    _talk(command("talk", commands.talk, "Let the face in a photograph say something."), argv)
    _evaluate(
        command("evaluate", commands.evaluate, "Compare what systems make with clips of known truth."), argv
    )
    bench = command("bench", commands.bench, "Measure frames/s and clips/s on this machine.")
    bench.add_argument("--system", metavar="S", choices=tuple(SYSTEMS), help="one alone (default: all)")
    bench.add_argument("--size", choices=SIZES, help="one alone (default: both)")
    bench.add_argument(
        "--workers",
        metavar="W",
        type=_positive,
        default=os.cpu_count() or 1,
        help="processes that draw (default: one a core)",
    )
    bench.add_argument(
        "--clips", metavar="N", type=_positive, default=8, help="drawn clips a repeat (default 8)"
    )
    bench.add_argument(
        "--repeats", metavar="R", type=_positive, default=3, help="the median counts (default 3)"
    )
    bench.add_argument("--training", action="store_true", help="steps of training too: minutes, 5 GB")
    info = command("info", commands.info, "Networks with their parameter counts, weights with their origin.")
    info.add_argument("file", metavar="FILE", nargs="?", type=Path, help="weights: what is in this file")
    info.add_argument("--system", metavar="S", choices=tuple(SYSTEMS), help="one alone (default: all)")
    info.add_argument("--size", choices=SIZES, help="one alone (default: both)")
    return parser


def _corpus(corpus: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    corpus.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    corpus.add_argument("--clips", metavar="N", type=_positive, required=True, help="how many")
    corpus.add_argument(
        "--seed", metavar="S", type=_not_negative, required=True, help="equal seeds draw equal clips"
    )
    corpus.add_argument("--workers", metavar="W", type=_positive, help="processes (default: one a core)")
    corpus.add_argument(
        "--motions", metavar="K", type=_positive, default=1, help="K clips a person and sentence (default 1)"
    )
    if argv[:1] == ["corpus"]:
        from talkface_lite.corpus.settings import CorpusSettings
        from talkface_lite.flags import add_flags, flags_of

        flags = flags_of(CorpusSettings, defaults=commands.CORPUS)
        add_flags(corpus, "what the clips are like", flags)
        corpus.set_defaults(flags=flags)


def _prepare(prepare: argparse.ArgumentParser) -> None:
    prepare.add_argument("kind", metavar="KIND", choices=RECORDING_KINDS, help=", ".join(RECORDING_KINDS))
    prepare.add_argument("source", metavar="SRC", type=Path, help="folder of the recordings; only read")
    prepare.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    where = prepare.add_mutually_exclusive_group()
    where.add_argument("--workers", metavar="N", type=_positive, help="processes (default: one a core)")
    where.add_argument("--dask", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port")
    prepare.add_argument("--size", type=int, choices=(128, 256), default=128, help="side of crops, pixels")
    view = "the face, aligned anew in each frame, or the whole head, which moves (default crop)"
    prepare.add_argument("--view", choices=("crop", "head"), default="crop", help=view)
    _detector(prepare)
    prepare.add_argument("--resume", action="store_true", help="go on with what was stopped")
    prepare.add_argument(
        "--per-shard", metavar="N", type=_positive, default=50, help="recordings to a shard (default 50)"
    )


def _train(train: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    train.add_argument("system", metavar="SYSTEM", choices=tuple(SYSTEMS), help=" or ".join(SYSTEMS))
    train.add_argument("part_word", metavar="PART", nargs="?", help="which part of it (default: its first)")
    train.add_argument("--part", metavar="PART", dest="part_flag", help="the same as the word PART")
    train.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of clips")
    train.add_argument("--out", metavar="RUN", type=Path, required=True, help="folder of the run")
    train.add_argument(
        "--validation", metavar="DIR", type=Path, help="held-out clips, which choose best.safetensors"
    )
    _size(train)
    until = train.add_mutually_exclusive_group()
    steps = until.add_argument("--steps", metavar="N", type=_positive, help="stop after so many updates")
    until.add_argument(
        "--minutes", metavar="M", type=float, help="stop after so much time, that before a --resume too"
    )
    train.add_argument("--resume", action="store_true", help="go on from the last good checkpoint")
    train.add_argument("--start-from", metavar="F", type=Path, help="weights to begin with, of the same part")
    system, part = _named_to_train(argv)
    if argv[:1] == ["train"] and system in SYSTEMS:
        from talkface_lite.data.needs import DataSettings
        from talkface_lite.flags import add_flags, flags_of
        from talkface_lite.systems.training_settings import TrainingSettings

        kind = part_class(system, part)
        steps.help += f" (default {kind.defaults.get('steps', TrainingSettings.steps)})"
        training = flags_of(TrainingSettings, skip=("steps", "minutes"), defaults=kind.defaults)
        sources = {"training": training, "data": flags_of(DataSettings), "own": flags_of(kind.config_class)}
        add_flags(train, "training", sources["training"])
        add_flags(train, "data", sources["data"])
        add_flags(train, f"{kind.name} of {system}", sources["own"])
        train.set_defaults(kind=kind, flags=sources)


def _named_to_train(argv: Sequence[str]) -> tuple[str | None, str | None]:
    """SYSTEM and PART of ``talkface train``, wherever among the flags they stand."""
    after = list(argv[1:])
    at = next((i for i, word in enumerate(after) if word in SYSTEMS), None)
    if at is None:
        return None, None
    following = after[at + 1] if len(after) > at + 1 and not after[at + 1].startswith("-") else None
    return after[at], _value_of("--part", after) or following


def _value_of(option: str, argv: Sequence[str]) -> str | None:
    """What follows an option on a command line, if it is there."""
    for word, following in zip(argv, [*argv[1:], ""]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _adapt(adapt: argparse.ArgumentParser) -> None:
    adapt.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        required=True,
        help="clips of one person (talkface prepare makes them); a fifth of them judges",
    )
    adapt.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="weights to write, for talk --weights"
    )
    _system(adapt)
    _size(adapt)
    adapt.add_argument(
        "--weights", metavar="F", type=Path, nargs="+", help="to begin with (default: the package's)"
    )
    adapt.add_argument("--minutes", metavar="M", type=float, default=3.0, help="at most (default 3)")
    _seed(adapt, "of the training")


def _talk(talk: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    talk.add_argument("--photo", metavar="P", required=True, help="a picture, or 'hopper' or 'collins'")
    said = talk.add_mutually_exclusive_group(required=True)
    said.add_argument("--speech", metavar="W", type=Path, help="a recording: 16 kHz mono WAV or FLAC")
    said.add_argument("--text", metavar="T", help="a text, spoken by espeak-ng")
    _system(talk, ALL).help += f"; {ALL}: side by side in one film, in one cut of the photograph"
    talk.add_argument("--out", metavar="V.mp4", type=Path, required=True, help="film to write")
    variant = _weights(talk)
    film = talk.add_mutually_exclusive_group()
    film.add_argument("--paste-back", action="store_true", help="the whole photograph, not the face alone")
    film.add_argument(
        "--scene", action="store_true", help="the face, its landmarks and the sound side by side"
    )
    talk.add_argument("--no-mark", action="store_true", help="leave out the small word 'generated'")
    talk.add_argument(
        "--voice", metavar="V", default=TALK_VOICE, help=f"who speaks --text (default {TALK_VOICE})"
    )
    talk.add_argument("--convert", action="store_true", help="accept sound of another rate, depth, channels")
    _detector(talk)
    _seed(talk, "of what a system draws at random")
    samples = "films of the same speech, V-1.mp4 to V-K.mp4, where a system draws at random (default 1)"
    talk.add_argument("--samples", metavar="K", type=_positive, default=1, help=samples)
    _own_flags(talk, "talk", argv, variant)


def _evaluate(evaluate: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    _system(evaluate, ALL)
    evaluate.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        required=True,
        help="clips (talkface corpus or prepare makes them)",
    )
    variant = _weights(evaluate)
    _seed(evaluate, "of what a system draws at random, and of the intervals")
    evaluate.add_argument(
        "--pictures",
        action="store_true",
        help="films, too, which takes longer: PSNR, SSIM, mouth box, LMD where dlib is installed",
    )
    evaluate.add_argument(
        "--frame-step",
        metavar="N",
        type=_positive,
        default=1,
        help="with --pictures: SSIM and LMD of every Nth frame alone, to be done sooner (default 1)",
    )
    evaluate.add_argument(
        "--example",
        metavar="E",
        type=_example,
        default=0,
        help="which frame of each clip is the photograph: a number (in shorter clips the last), 'rest' for "
        "the least lip opening within the first half second, or 'random' (default 0)",
    )
    evaluate.add_argument("--by-speaker", action="store_true", help="a table of each speaker, too")
    evaluate.add_argument(
        "--per-clip",
        action="store_true",
        help="with --json: the values of every clip, too, for a later run's --against",
    )
    evaluate.add_argument(
        "--against",
        metavar="F",
        type=Path,
        help="a file of what an earlier run on the same clips printed with --json --per-clip: says by how "
        "much this run is above it, clip by clip",
    )
    _own_flags(evaluate, "evaluate", argv, variant)


def _weights(parser: argparse.ArgumentParser) -> argparse.Action:
    """``--size``, ``--weights`` and ``--variant``, which is given back."""
    _size(parser)
    variant = parser.add_argument("--variant", metavar="V", default="", help="another way to build it")
    parser.add_argument(
        "--weights",
        metavar="F",
        type=Path,
        nargs="+",
        help="weights of your own, of one part or several, in any order (default: the package's)",
    )
    return variant


def _system(parser: argparse.ArgumentParser, *more: str) -> argparse.Action:
    known, default = (*SYSTEMS, *more), default_system()
    text = f"{' or '.join(known)} (default {default})"
    return parser.add_argument("--system", metavar="S", choices=known, default=default, help=text)


def _size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        choices=SIZES,
        default=SIZES[0],
        help="of the networks: a laptop's or the paper's (default lite)",
    )


def _seed(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--seed", metavar="N", type=_not_negative, default=0, help=f"{text} (default 0)")


def _detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default=DETECTORS[0],
        help="what finds faces; auto is face-alignment where it is installed, or dlib (default auto)",
    )


def _own_flags(
    parser: argparse.ArgumentParser, command: str, argv: Sequence[str], variant: argparse.Action
) -> None:
    """The flags of the system that is named, and of no other; which variants it has."""
    name = _value_of("--system", argv) or default_system()
    if argv[:1] == [command] and name in SYSTEMS:
        from talkface_lite.flags import add_flags, flags_of

        flags = flags_of(system_class(name).settings_class)
        add_flags(parser, name, flags)
        parser.set_defaults(flags=flags)
        variant.help += f": {' or '.join(system_class(name).variants) or 'none'}"


def _positive(text: str) -> int:
    value = _not_negative(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _example(text: str) -> int | str | None:
    if text == "random":
        return None
    if text == "rest":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected the number of a frame, rest or random")
    return int(text)


def _not_negative(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
