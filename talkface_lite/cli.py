"""The command ``talkface``: corpus, prepare, train, talk, evaluate, bench, info.

With ``--json`` standard output holds one JSON object and nothing else; progress and remarks go to standard
error. Whatever is wrong with what was handed in is one line and exit code 2, and nothing is written.
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
from talkface_lite.commands import SYSTEM_NAMES
from talkface_lite.errors import InputError

RECORDING_KINDS = ("grid", "lrw", "tcd-timit", "voxceleb", "crema-d", "folder")
"""As in :data:`talkface_lite.recordings.readers.READERS`."""

TALK_VOICE = "felicity"
"""Who speaks ``--text`` unless ``--voice`` names another."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    try:
        arguments = _parser().parse_args(argv)
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="talkface", description="Talking-face generation you can read, run and check.")
    parser.add_argument("--version", action="version", version=f"talkface_lite {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        return sub

    corpus = command("corpus", commands.corpus, "Draw clips of people who do not exist, with known truth.")
    corpus.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    corpus.add_argument("--clips", metavar="N", type=_positive, required=True)
    corpus.add_argument("--seed", metavar="S", type=_not_negative, required=True)
    corpus.add_argument("--workers", metavar="W", type=_positive, help="processes (default: one a core)")
    corpus.add_argument("--still-head", action="store_true", help="hold pose, gaze and eyelids")
    corpus.add_argument(
        "--text", metavar="T", help="what everyone says (default: sentences of GRID's grammar)"
    )
    corpus.add_argument(
        "--split", choices=("train", "test"), default="train", help="which people, voices, sentences"
    )
    corpus.add_argument("--no-frames", action="store_true", help="landmarks and speech only, no pictures")

    prepare = command(
        "prepare", commands.prepare, "Turn filmed people into aligned clips, with a reason for each loss."
    )
    prepare.add_argument("kind", metavar="KIND", choices=RECORDING_KINDS, help=", ".join(RECORDING_KINDS))
    prepare.add_argument("source", metavar="SRC", type=Path, help="folder of the recordings; only read")
    prepare.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    where = prepare.add_mutually_exclusive_group()
    where.add_argument("--workers", metavar="N", type=_positive, help="processes (default: one a core)")
    where.add_argument("--dask", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port")
    prepare.add_argument(
        "--size", type=int, choices=(128, 256), default=128, help="side of the crops, pixels"
    )
    prepare.add_argument("--detector", choices=("auto", "face-alignment", "dlib"), default="auto")
    prepare.add_argument("--resume", action="store_true", help="go on with what was stopped")
    prepare.add_argument(
        "--per-shard", metavar="N", type=_positive, default=50, help="recordings to a shard (default 50)"
    )

    train = command("train", commands.train, "Train a system on clips.")
    train.add_argument("system", metavar="SYSTEM", choices=SYSTEM_NAMES, help=" or ".join(SYSTEM_NAMES))
    train.add_argument(
        "--part",
        choices=commands.PARTS,
        default="at-net",
        help="at-net: speech to landmarks (default); vg-net: landmarks and a photograph to pictures",
    )
    train.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of clips")
    train.add_argument("--out", metavar="RUN", type=Path, required=True, help="folder of the run")
    train.add_argument("--size", choices=("lite", "full"), default="lite")
    until = train.add_mutually_exclusive_group()
    until.add_argument("--steps", metavar="N", type=_positive)
    until.add_argument("--minutes", metavar="M", type=float)
    train.add_argument("--resume", action="store_true", help="go on from the last good checkpoint")
    train.add_argument("--devices", metavar="N", type=_positive, default=1)
    train.add_argument("--precision", choices=("32", "bf16", "16"), default="32")
    train.add_argument("--seed", metavar="S", type=_not_negative, default=0)
    train.add_argument("--batch-size", metavar="B", type=_positive, default=16)
    train.add_argument(
        "--window", metavar="T", type=_positive, default=16, help="frames of a window (default 16)"
    )
    train.add_argument("--learning-rate", metavar="R", type=float, default=2e-4)
    train.add_argument("--schedule", choices=("constant", "cosine"), default="constant")
    train.add_argument(
        "--loss", choices=tuple(commands.LOSSES), help="at-net: paper, whitened, mouth; vg-net: dynamic, l1"
    )
    train.add_argument(
        "--mfcc-shift", metavar="X", type=float, default=0.0, help="vary the microphone (default 0: no)"
    )
    train.add_argument(
        "--closed-examples", metavar="X", type=float, default=0.0, help="share of closed mouths (default 0)"
    )
    train.add_argument("--no-lstm", action="store_true", help="at-net: the variant without a memory")
    train.add_argument("--no-discriminator", action="store_true", help="vg-net: the pixel loss alone")
    train.add_argument(
        "--camera", metavar="X", type=float, default=0.0, help="vg-net: vary light and colour (default 0: no)"
    )
    train.add_argument(
        "--colour-weight",
        metavar="X",
        type=float,
        default=0.0,
        help="vg-net: plain L1 of the colour (default 0)",
    )
    train.add_argument(
        "--mouth-weight",
        metavar="X",
        type=float,
        default=0.0,
        help="vg-net: how much more the mouth counts (default 0)",
    )
    train.add_argument("--mirrored", action="store_true", help="vg-net: mirror half of the windows")
    train.add_argument(
        "--start-from", metavar="F", type=Path, help="weights to begin with, of the same networks"
    )
    train.add_argument("--checkpoint-every", metavar="N", type=_positive, default=500)

    talk = command("talk", commands.talk, "Let the face in a photograph say something.")
    talk.add_argument("--photo", metavar="P", required=True, help="a picture, or 'hopper' or 'collins'")
    said = talk.add_mutually_exclusive_group(required=True)
    said.add_argument("--speech", metavar="W", type=Path, help="a recording: 16 kHz mono WAV or FLAC")
    said.add_argument("--text", metavar="T", help="a text, spoken by espeak-ng")
    talk.add_argument("--system", metavar="S", choices=SYSTEM_NAMES, default="atvg")
    talk.add_argument("--out", metavar="V.mp4", type=Path, required=True)
    talk.add_argument("--size", choices=("lite", "full"), default="lite")
    talk.add_argument(
        "--weights",
        metavar="F",
        type=Path,
        nargs="+",
        help="weights of your own (default: the package's): AT-net's, VG-net's; or the two files released by "
        "the authors, with --basis",
    )
    talk.add_argument(
        "--basis",
        metavar=("MEAN", "U"),
        type=Path,
        nargs=2,
        help="with released weights: .npy of the mean face (136) and of the components (136, 6 or more)",
    )
    film = talk.add_mutually_exclusive_group()
    film.add_argument("--paste-back", action="store_true", help="the whole photograph, not the face alone")
    film.add_argument(
        "--scene", action="store_true", help="the face, its landmarks and the sound side by side"
    )
    talk.add_argument("--no-mark", action="store_true", help="leave out the small word 'generated'")
    talk.add_argument("--voice", metavar="V", default=TALK_VOICE, help=f"of --text (default {TALK_VOICE})")
    talk.add_argument("--convert", action="store_true", help="accept sound of another rate, depth, channels")
    talk.add_argument("--detector", choices=("auto", "face-alignment", "dlib"), default="auto")
    talk.add_argument("--seed", metavar="N", type=_not_negative, default=0)

    evaluate = command(
        "evaluate", commands.evaluate, "Compare what a system generates with clips of known truth."
    )
    evaluate.add_argument("--system", metavar="S", choices=SYSTEM_NAMES, default="atvg")
    evaluate.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of clips")
    evaluate.add_argument("--size", choices=("lite", "full"), default="lite")
    evaluate.add_argument(
        "--weights", metavar="W", type=Path, help="weights of your own (default: the package's)"
    )
    evaluate.add_argument("--seed", metavar="N", type=_not_negative, default=0)
    evaluate.add_argument(
        "--paper-decoding",
        action="store_true",
        help="the paper's Eq. 4 alone, without the photograph's own residual",
    )

    evaluate.add_argument(
        "--pictures",
        action="store_true",
        help="the pictures: PSNR, SSIM, mouth box, LMD where dlib is installed",
    )
    evaluate.add_argument(
        "--frame-step",
        metavar="N",
        type=_positive,
        default=1,
        help="--pictures: SSIM and LMD of every Nth frame",
    )

    bench = command("bench", commands.bench, "Measure frames/s and clips/s on this machine.")
    bench.add_argument("--workers", metavar="W", type=_positive, default=os.cpu_count() or 1)
    bench.add_argument(
        "--clips", metavar="N", type=_positive, default=8, help="drawn clips a repeat (default 8)"
    )
    bench.add_argument(
        "--repeats", metavar="R", type=_positive, default=3, help="the median counts (default 3)"
    )
    bench.add_argument("--training", action="store_true", help="steps of training too: minutes, 5 GB")

    info = command("info", commands.info, "Networks with their parameter counts, weights with their origin.")
    info.add_argument("--system", metavar="S", choices=SYSTEM_NAMES)
    info.add_argument("--size", choices=("lite", "full"))
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
