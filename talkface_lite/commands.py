"""What each command of ``talkface`` does; :mod:`talkface_lite.cli` reads its words."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from talkface_lite import __version__
from talkface_lite.clip import SAMPLE_RATE
from talkface_lite.errors import InputError

SYSTEM_NAMES = ("atvg",)
"""As in :data:`talkface_lite.systems.SYSTEMS`, named here so that ``--help`` need not load torch."""

PARTS = ("at-net", "vg-net")
"""The halves of a system that are trained apart."""

LOSSES: Mapping[str, str] = MappingProxyType(
    {"paper": "at-net", "whitened": "at-net", "mouth": "at-net", "dynamic": "vg-net", "l1": "vg-net"}
)
"""Which half each loss is for."""

_BAR: Mapping[str, Any] = MappingProxyType(
    {"file": None, "leave": False, "mininterval": 0.5, "disable": None}
)
"""Settings of progress bars: on standard error, gone when done, and only for people (a terminal)."""


def _say(arguments: argparse.Namespace, text: str) -> None:
    """A line for people: on standard output, unless that is to hold JSON."""
    print(text, file=sys.stderr if arguments.json else sys.stdout)


def corpus(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw clips; what ``talkface corpus`` does."""
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


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Turn recordings into shards; what ``talkface prepare`` does."""
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


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one half of a system; what ``talkface train`` does."""
    import torch

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
    torch.manual_seed(settings.seed)
    system, dataset = _to_train(arguments)
    result = train(system, dataset, arguments.out, settings, resume=arguments.resume)
    record = result.record
    _say(
        arguments,
        f"{result.weights}: {record['step']} steps, loss {result.losses.get('loss', float('nan')):.4g}",
    )
    return {"weights": str(result.weights), **record}


def _to_train(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """The half of the system that is asked for, and its data."""
    from talkface_lite.data.dataset import Dataset
    from talkface_lite.data.pictures import PictureDataset
    from talkface_lite.systems import build, build_video

    part, loss = arguments.part, arguments.loss
    if loss is not None and LOSSES[loss] != part:
        raise InputError("--loss", loss, " or ".join(name for name, of in LOSSES.items() if of == part))
    foreign = {
        "at-net": {
            "--no-discriminator": arguments.no_discriminator,
            "--camera": arguments.camera,
            "--colour-weight": arguments.colour_weight,
            "--mouth-weight": arguments.mouth_weight,
            "--mirrored": arguments.mirrored,
        },
        "vg-net": {"--no-lstm": arguments.no_lstm, "--mfcc-shift": arguments.mfcc_shift},
    }
    for option, given in foreign[part].items():
        if given:
            raise InputError(option, f"--part {part}", f"--part {PARTS[PARTS.index(part) - 1]}")
    if part == "at-net":
        system = build(
            arguments.system, arguments.size, recurrent=not arguments.no_lstm, loss=loss or "paper"
        )
        dataset = Dataset.from_folder(arguments.data, window=arguments.window)
    else:
        system = build_video(
            arguments.system,
            arguments.size,
            discriminator=not arguments.no_discriminator,
            loss=loss or "dynamic",
            colour_weight=arguments.colour_weight,
            mouth_weight=arguments.mouth_weight,
        )
        dataset = PictureDataset.from_folder(
            arguments.data, window=arguments.window, camera=arguments.camera, mirrored=arguments.mirrored
        )
    if arguments.start_from is not None:
        system.start_from(arguments.start_from)
    return system, dataset


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


def talk(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a photograph talk; what ``talkface talk`` does."""
    from tqdm import tqdm

    from talkface_lite.clip import FRAMES_PER_SECOND
    from talkface_lite.data.dataset import pad_to_frames
    from talkface_lite.media import read_speech, write_video
    from talkface_lite.talking.film import pictures
    from talkface_lite.talking.paste import provenance
    from talkface_lite.talking.talker import Portrait, Talker

    if arguments.out.suffix.lower() != ".mp4":
        raise InputError("--out", arguments.out, "a name that ends in .mp4")
    if arguments.speech is not None:
        speech = read_speech(arguments.speech, convert=arguments.convert)
    else:
        from talkface_lite.corpus.voice import speak

        speech = speak(arguments.text, arguments.voice).speech
    speech = pad_to_frames(speech)
    talker = Talker.load(
        arguments.system, size=arguments.size, weights=arguments.weights, basis=arguments.basis
    )
    portrait = Portrait.of(arguments.photo, detector=arguments.detector)
    n_frames = len(speech) * FRAMES_PER_SECOND // SAMPLE_RATE
    with _whole_or_nothing(arguments.out):
        view = "scene" if arguments.scene else "photograph" if arguments.paste_back else "face"
        frames = pictures(talker, portrait, speech, view=view, marked=not arguments.no_mark)
        frames = tqdm(frames, total=n_frames, unit="frame", delay=1, **_BAR)
        write_video(arguments.out, frames, speech, metadata=provenance(arguments.system, portrait.name))
    seconds = n_frames / FRAMES_PER_SECOND
    _say(arguments, f"{arguments.out}: {n_frames} frames, {seconds:.1f} s")
    return {
        "out": str(arguments.out),
        "frames": n_frames,
        "seconds": seconds,
        "system": arguments.system,
        "marked": not arguments.no_mark,
    }


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a system on clips; what ``talkface evaluate`` does."""
    from talkface_lite.data.dataset import clip_files, read_clips
    from talkface_lite.measuring.evaluation import METRICS, evaluate
    from talkface_lite.systems import load, shipped_weights

    clip_files(arguments.data)
    if arguments.pictures:
        return _evaluate_pictures(arguments)
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


def _evaluate_pictures(arguments: argparse.Namespace) -> dict[str, Any]:
    from talkface_lite.data.dataset import read_clips
    from talkface_lite.measuring.pictures import PICTURE_METRICS, dlib_in_crop, evaluate_pictures
    from talkface_lite.systems import load, load_video

    try:
        find_points = dlib_in_crop()
    except InputError as error:
        print(f"talkface: no LMD: {error}", file=sys.stderr)
        find_points = None
    report = evaluate_pictures(
        load_video(arguments.system, arguments.size, weights=arguments.weights),
        read_clips(arguments.data, frames=True),
        system=load(arguments.system),
        find_points=find_points,
        frame_step=arguments.frame_step,
        seed=arguments.seed,
    )
    if not arguments.json:
        print(f"{report['clips']} clips, {report['frames']} frames; median over clips [95 % interval]")
        names = {"psnr": "PSNR, dB", "ssim": "SSIM", "mouth_psnr": "mouth box, dB", "lmd": "LMD, px"}
        print(f"{'':16}" + "".join(f"{names[metric]:>24}" for metric in PICTURE_METRICS))
        for name, row in report.items():
            if isinstance(row, Mapping):
                cells = (_cell(row[metric]) if metric in row else "-" for metric in PICTURE_METRICS)
                print(f"{name:16}" + "".join(f"{cell:>24}" for cell in cells))
    return {"system": arguments.system, "size": arguments.size, "data": str(arguments.data)} | report


def _cell(value: Mapping[str, float | None]) -> str:
    if value["median"] is None:
        return "-"
    return f"{value['median']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure this machine; what ``talkface bench`` does."""
    from talkface_lite.measuring.bench import bench, table

    report = bench(
        workers=arguments.workers,
        clips=arguments.clips,
        repeats=arguments.repeats,
        training=arguments.training,
    )
    if not arguments.json:
        print(table(report))
    return report


def info(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count parameters, name origins; what ``talkface info`` does."""
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
