"""The command ``talkface``: corpus, prepare, train, talk, evaluate, bench, info.

With ``--json`` standard output holds one JSON object and nothing else; progress and remarks go to standard
error. Whatever is wrong with what was handed in is one line and exit code 2, and nothing is written.
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from talkface_lite import __version__
from talkface_lite.errors import InputError

SYSTEM_NAMES = ("atvg",)
"""As in :data:`talkface_lite.systems.SYSTEMS`, named here so that ``--help`` need not load torch."""

RECORDING_KINDS = ("grid", "lrw", "tcd-timit", "voxceleb", "crema-d", "folder")
"""As in :data:`talkface_lite.recordings.readers.READERS`."""

TALK_VOICE = "felicity"
"""Who speaks ``--text`` unless ``--voice`` names another."""

_BAR: Mapping[str, Any] = MappingProxyType(
    {"file": None, "leave": False, "mininterval": 0.5, "disable": None}
)
"""Settings of progress bars: on standard error, gone when done, and only for people (a terminal)."""


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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        return sub

    corpus = command("corpus", _corpus, "Draw clips of people who do not exist, with known truth.")
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
        "prepare", _prepare, "Turn filmed people into aligned clips, with a reason for each loss."
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

    train = command("train", _train, "Train a system on clips.")
    train.add_argument("system", metavar="SYSTEM", choices=SYSTEM_NAMES, help=" or ".join(SYSTEM_NAMES))
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
    train.add_argument("--loss", choices=("paper", "whitened", "mouth"), default="paper")
    train.add_argument(
        "--mfcc-shift", metavar="X", type=float, default=0.0, help="vary the microphone (default 0: no)"
    )
    train.add_argument(
        "--closed-examples", metavar="X", type=float, default=0.0, help="share of closed mouths (default 0)"
    )
    train.add_argument("--no-lstm", action="store_true", help="the variant without a memory")
    train.add_argument("--checkpoint-every", metavar="N", type=_positive, default=500)

    talk = command("talk", _talk, "Let the face in a photograph say something.")
    talk.add_argument("--photo", metavar="P", required=True, help="a picture, or 'hopper' or 'collins'")
    said = talk.add_mutually_exclusive_group(required=True)
    said.add_argument("--speech", metavar="W", type=Path, help="a recording: 16 kHz mono WAV or FLAC")
    said.add_argument("--text", metavar="T", help="a text, spoken by espeak-ng")
    talk.add_argument("--system", metavar="S", choices=SYSTEM_NAMES, default="atvg")
    talk.add_argument("--out", metavar="V.mp4", type=Path, required=True)
    talk.add_argument("--size", choices=("lite", "full"), default="lite")
    talk.add_argument(
        "--weights", metavar="F", type=Path, help="weights of your own (default: the package's)"
    )
    talk.add_argument("--voice", metavar="V", default=TALK_VOICE, help=f"of --text (default {TALK_VOICE})")
    talk.add_argument("--convert", action="store_true", help="accept sound of another rate, depth, channels")
    talk.add_argument("--detector", choices=("auto", "face-alignment", "dlib"), default="auto")
    talk.add_argument("--seed", metavar="N", type=_not_negative, default=0)

    evaluate = command("evaluate", _evaluate, "Compare what a system generates with clips of known truth.")
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

    bench = command("bench", _bench, "Measure frames/s and clips/s on this machine.")
    bench.add_argument("--workers", metavar="W", type=_positive, default=os.cpu_count() or 1)
    bench.add_argument(
        "--clips", metavar="N", type=_positive, default=8, help="drawn clips a repeat (default 8)"
    )
    bench.add_argument(
        "--repeats", metavar="R", type=_positive, default=3, help="the median counts (default 3)"
    )

    info = command("info", _info, "Networks with their parameter counts, weights with their origin.")
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


def _say(arguments: argparse.Namespace, text: str) -> None:
    """A line for people: on standard output, unless that is to hold JSON."""
    print(text, file=sys.stderr if arguments.json else sys.stdout)


def _corpus(arguments: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from talkface_lite.corpus.synthesis import write_corpus

    bar = tqdm(total=arguments.clips, unit="clip", delay=1, **_BAR)

    def progress(done: int, _: int) -> None:
        bar.update(done - bar.n)

    with bar:
        written = write_corpus(
            arguments.out,
            clips=arguments.clips,
            seed=arguments.seed,
            workers=arguments.workers,
            still_head=arguments.still_head,
            text=arguments.text,
            split=arguments.split,
            paint=not arguments.no_frames,
            progress=progress,
        )
    _say(arguments, f"{arguments.clips} clips in {arguments.out}")
    return {
        "out": str(arguments.out),
        "clips": arguments.clips,
        "seed": arguments.seed,
        "files": len(written),
    }


def _prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from talkface_lite.recordings.pipeline import prepare

    with tqdm(unit="shard", **_BAR) as bar:

        def progress(done: int, shards: int) -> None:
            bar.total = shards
            bar.update(done - bar.n)

        summary = prepare(
            arguments.kind,
            arguments.source,
            arguments.out,
            size=arguments.size,
            detector=arguments.detector,
            workers=arguments.workers,
            dask=arguments.dask,
            resume=arguments.resume,
            per_shard=arguments.per_shard,
            progress=progress,
        )
    recordings, frames = summary["recordings"], summary["frames"]
    _say(
        arguments,
        f"{arguments.out}: {summary['clips']} clips of {recordings['with_clips']} recordings, "
        f"{frames['kept']} of {frames['decoded']} frames; {summary['rejected_rows']} rows in rejected.csv",
    )
    return summary


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from talkface_lite.data import Dataset
    from talkface_lite.systems import build
    from talkface_lite.training import TrainingSettings, train

    steps = arguments.steps or (None if arguments.minutes else TrainingSettings.steps)
    settings = TrainingSettings(
        steps=steps,
        minutes=arguments.minutes,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        mfcc_shift=arguments.mfcc_shift,
        closed_examples=arguments.closed_examples,
        seed=arguments.seed,
        precision=arguments.precision,
        devices=arguments.devices,
        checkpoint_every=arguments.checkpoint_every,
    )
    dataset = Dataset.from_folder(arguments.data, window=arguments.window)
    torch.manual_seed(settings.seed)
    system = build(arguments.system, arguments.size, recurrent=not arguments.no_lstm, loss=arguments.loss)
    result = train(system, dataset, arguments.out, settings, resume=arguments.resume)
    record = result.record
    _say(
        arguments,
        f"{result.weights}: {record['step']} steps, loss {result.losses.get('loss', float('nan')):.4g}",
    )
    return {"weights": str(result.weights), **record}


@contextmanager
def _whole_or_nothing(out: Path) -> Iterator[None]:
    """Take back the folders that were made for a file that then could not be written."""
    made = [folder for folder in out.parents if not folder.exists()]
    try:
        yield
    except BaseException as error:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError):
            raise InputError(out, error.strerror or error, "room and leave to write it") from error
        raise


def _talk(arguments: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from talkface_lite.media import read_speech, write_video
    from talkface_lite.scene import talking_scene
    from talkface_lite.talker import Portrait, Talker

    if arguments.out.suffix.lower() != ".mp4":
        raise InputError("--out", arguments.out, "a name that ends in .mp4")
    if arguments.speech is not None:
        speech = read_speech(arguments.speech, convert=arguments.convert)
    else:
        from talkface_lite.corpus.voice import speak

        speech = speak(arguments.text, arguments.voice).speech
    portrait = Portrait.of(arguments.photo, detector=arguments.detector)
    talker = Talker.load(arguments.system, size=arguments.size, weights=arguments.weights)
    clip = talker.talk(portrait, speech, seed=arguments.seed)
    title = {"title": f"{portrait.name} talks", "comment": f"generated: talkface_lite {arguments.system}"}
    with _whole_or_nothing(arguments.out):
        scene = talking_scene(portrait.image, portrait.matrix, clip)
        frames = tqdm(scene, total=len(clip), unit="frame", delay=1, **_BAR)
        write_video(arguments.out, frames, clip.speech, metadata=title)
    _say(arguments, f"{arguments.out}: {len(clip)} frames, {clip.seconds:.1f} s")
    return {
        "out": str(arguments.out),
        "frames": len(clip),
        "seconds": clip.seconds,
        "system": arguments.system,
    }


def _evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    from talkface_lite.data import clip_files, read_clips
    from talkface_lite.evaluation import METRICS, evaluate
    from talkface_lite.systems import load, shipped_weights

    clip_files(arguments.data)
    system = load(arguments.system, arguments.size, weights=arguments.weights)
    others = {}
    if (
        arguments.weights is None
        and shipped_weights(arguments.system, arguments.size, recurrent=False).is_file()
    ):
        others["no_lstm"] = load(arguments.system, arguments.size, recurrent=False)
    report = evaluate(
        system,
        read_clips(arguments.data),
        others=others,
        keep_identity=not arguments.paper_decoding,
        seed=arguments.seed,
    )
    if not arguments.json:
        print(f"{report['clips']} clips, {report['frames']} frames; median over clips [95 % interval]")
        print(f"{'':16}{'mouth distance, px':>24}{'all 68 points, px':>24}{'lip opening, r':>24}")
        for name, row in report.items():
            if isinstance(row, Mapping):
                print(f"{name:16}" + "".join(f"{_cell(row[metric]):>24}" for metric in METRICS))
    return {"system": arguments.system, "size": arguments.size, "data": str(arguments.data)} | {
        ("report" if key == "system" else key): value for key, value in report.items()
    }


def _cell(value: Mapping[str, float | None]) -> str:
    if value["median"] is None:
        return "-"
    return f"{value['median']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _bench(arguments: argparse.Namespace) -> dict[str, Any]:
    from talkface_lite.bench import bench, table

    report = bench(workers=arguments.workers, clips=arguments.clips, repeats=arguments.repeats)
    if not arguments.json:
        print(table(report))
    return report


def _info(arguments: argparse.Namespace) -> dict[str, Any]:
    from talkface_lite.systems import describe

    systems = [arguments.system] if arguments.system else list(SYSTEM_NAMES)
    sizes = [arguments.size] if arguments.size else ["lite", "full"]
    report = {"version": __version__, "systems": describe(systems, sizes)}
    if not arguments.json:
        for name, by_size in report["systems"].items():
            for size, about in by_size.items():
                print(f"{name} {size}")
                for network, count in about["networks"].items():
                    print(f"  {network:20}{count:>14,} parameters")
                for weights in about["weights"]:
                    made = ", ".join(f"{k} {weights['record'].get(k)}" for k in ("step", "clips", "commit"))
                    print(f"  {weights['file']}: {weights['bytes'] / 2**20:.1f} MiB, {made}")
    return report


if __name__ == "__main__":
    sys.exit(main())
