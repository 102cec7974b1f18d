"""What each command of ``talkface`` does; :mod:`talkface_lite.cli` reads its words."""

import argparse
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from talkface_lite import __version__
from talkface_lite.commands.shared import BAR, say, settings_of
from talkface_lite.commands.talking import talk
from talkface_lite.errors import InputError

__all__ = ["CORPUS", "adapt", "bench", "corpus", "evaluate", "info", "prepare", "talk", "train"]

CORPUS: Mapping[str, Any] = MappingProxyType({"split": "train"})
"""What ``talkface corpus`` draws unless it is told otherwise."""


def corpus(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw clips; what ``talkface corpus`` does."""
    from tqdm import tqdm

    from talkface_lite.corpus.settings import CorpusSettings
    from talkface_lite.corpus.synthesis import write_corpus
    from talkface_lite.flags import chosen

    settings = CorpusSettings(**{**CORPUS, **chosen(arguments, arguments.flags)})
    bar = tqdm(total=arguments.clips, unit="clip", delay=1, **BAR)

    def progress(done: int, _: int) -> None:
        bar.update(done - bar.n)

    with bar:
        written = write_corpus(
            arguments.out,
            clips=arguments.clips,
            seed=arguments.seed,
            workers=arguments.workers,
            motions=arguments.motions,
            settings=settings,
            progress=progress,
        )
    say(arguments, f"{arguments.clips} clips in {arguments.out}")
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

    with tqdm(unit="shard", **BAR) as bar:

        def progress(done: int, shards: int) -> None:
            bar.total = shards
            bar.update(done - bar.n)

        summary = prepare(
            arguments.kind,
            arguments.source,
            arguments.out,
            size=arguments.size,
            view=arguments.view,
            detector=arguments.detector,
            workers=arguments.workers,
            dask=arguments.dask,
            resume=arguments.resume,
            per_shard=arguments.per_shard,
            progress=progress,
        )
    recordings, frames = summary["recordings"], summary["frames"]
    say(
        arguments,
        f"{arguments.out}: {summary['clips']} clips of {recordings['with_clips']} recordings, "
        f"{frames['kept']} of {frames['decoded']} frames; {summary['rejected_rows']} rows in rejected.csv",
    )
    return summary


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one part of a system; what ``talkface train`` does."""
    import torch

    from talkface_lite.data.needs import DataSettings
    from talkface_lite.data.opening import open_dataset
    from talkface_lite.flags import chosen
    from talkface_lite.training import TrainingSettings, train

    kind, flags = arguments.kind, arguments.flags
    for named in (arguments.part_word, arguments.part_flag):
        if named not in (None, kind.name):
            raise InputError("PART", named, f"{kind.name}, as the other word says")
    until = {"steps": arguments.steps, "minutes": arguments.minutes}
    until = {name: value for name, value in until.items() if value is not None} or {}
    if "minutes" in until:
        until["steps"] = None
    for name, folder in (("--data", arguments.data), ("--validation", arguments.validation)):
        if folder is not None and arguments.out.resolve().is_relative_to(folder.resolve()):
            raise InputError("--out", arguments.out, f"a folder outside of {name}: a run is no clip")
    settings = TrainingSettings(**{**kind.defaults, **chosen(arguments, flags["training"]), **until})
    data_settings = DataSettings(**chosen(arguments, flags["data"]))
    torch.manual_seed(settings.seed)
    part = kind.of_size(arguments.size, **chosen(arguments, flags["own"]))
    data = open_dataset(arguments.data, part.needs, data_settings)
    validation = None
    if arguments.validation is not None:
        held_out = DataSettings(window=data_settings.window, streaming="never")
        validation = open_dataset(arguments.validation, part.needs, held_out)
    if arguments.start_from is not None:
        part.start_from(arguments.start_from)
    result = train(part, data, arguments.out, settings, validation=validation, resume=arguments.resume)
    record = result.record
    say(
        arguments,
        f"{result.weights}: {record['step']} steps, loss {result.losses.get('loss', float('nan')):.4g}",
    )
    return {"weights": str(result.weights), **record}


def adapt(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let a system learn from half a minute of one person; what ``talkface adapt`` does."""
    from talkface_lite.measuring.adaptation import adapt, lines

    report = adapt(
        arguments.system,
        arguments.data,
        arguments.out,
        size=arguments.size,
        weights=arguments.weights,
        minutes=arguments.minutes,
        seed=arguments.seed,
        progress=not arguments.json,
    )
    for line in lines(report):
        say(arguments, line)
    return report


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure systems on clips; what ``talkface evaluate`` does."""
    from talkface_lite.clip import ALIGNED
    from talkface_lite.data.features import clip_files, read_clips
    from talkface_lite.framing import CUT_LOOSER
    from talkface_lite.measuring.evaluation import evaluate, photographs, shipped
    from talkface_lite.measuring.lip_reading import LipJudge
    from talkface_lite.measuring.pairs import check_before, compare_all, read_report
    from talkface_lite.measuring.pictures import dlib_in_crop
    from talkface_lite.measuring.tables import tables
    from talkface_lite.systems import SYSTEMS, load

    clip_files(arguments.data)
    before = read_report(arguments.against) if arguments.against is not None else None
    if arguments.system in SYSTEMS:
        one = load(
            arguments.system,
            arguments.size,
            weights=arguments.weights,
            variant=arguments.variant,
            settings=settings_of(arguments),
        )
        systems = {arguments.system: one}
        if not (arguments.weights or arguments.variant or arguments.pictures):
            beside = {"settings": one.settings, "variants": True, "pictures": False}
            systems |= shipped([arguments.system], arguments.size, **beside)
    else:
        if arguments.weights or arguments.variant:
            raise InputError("--system all", "weights or a variant of one", "the package's own weights")
        beside = {"variants": not arguments.pictures, "pictures": arguments.pictures}
        systems = shipped(list(SYSTEMS), arguments.size, **beside)
        without = dict.fromkeys(SYSTEMS, f"no {arguments.size} weights in the package")
        seen = next(iter(read_clips(arguments.data, frames=False))).framing
        for name, system in list(systems.items()):
            without.pop(name, None)
            if system.framing != ALIGNED and seen == ALIGNED:
                del systems[name]
                without[name] = f"it needs {CUT_LOOSER}"
        if not systems:
            expected = "a system with weights in the package, or --system S --weights FILE"
            raise InputError(f"--system all --size {arguments.size}", "none", expected)
        for name, why in without.items():
            print(f"talkface: without {name}: {why}", file=sys.stderr)
    if before is not None:
        told = photographs(read_clips(arguments.data, frames=False), arguments.example, arguments.seed)
        check_before(before, arguments.against, told, systems)
    find_points = None
    if arguments.pictures:
        try:
            find_points = dlib_in_crop()
        except InputError as error:
            print(f"talkface: no LMD: {error}", file=sys.stderr)
    report = evaluate(
        systems,
        read_clips(arguments.data, frames=arguments.pictures),
        pictures=arguments.pictures,
        find_points=find_points,
        judge=LipJudge.pretrained() if arguments.pictures else None,
        example=arguments.example,
        frame_step=arguments.frame_step,
        seed=arguments.seed,
        by_speaker=arguments.by_speaker,
        per_clip=arguments.per_clip or before is not None,
    )
    if before is not None:
        report["against"] = compare_all(report, before, seed=arguments.seed)
    if not arguments.json:
        print(tables(report))
    return {"data": str(arguments.data), "size": arguments.size} | report


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure this machine; what ``talkface bench`` does."""
    from talkface_lite.measuring.bench import bench, table

    report = bench(
        workers=arguments.workers,
        clips=arguments.clips,
        repeats=arguments.repeats,
        training=arguments.training,
        systems=[arguments.system] if arguments.system else None,
        sizes=[arguments.size] if arguments.size else None,
    )
    if not arguments.json:
        print(table(report))
    return report


def info(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count parameters, name origins; what ``talkface info`` does."""
    from talkface_lite.networks.sizes import SIZES
    from talkface_lite.systems import SYSTEMS, describe, describe_file

    if arguments.file is not None:
        if arguments.system or arguments.size:
            raise InputError("info", "a file beside --system or --size", "one of the two")
        about = describe_file(arguments.file)
        if not arguments.json:
            print(f"{about['file']}: {about['bytes'] / 2**20:.1f} MiB")
            for part in about["parts"]:
                made = ", ".join(f"{k} {part['record'].get(k)}" for k in ("step", "clips", "commit"))
                print(f"  {part['part']} of {part['system']}: {made}")
            if notice := about["record"].get("notice"):
                print(f"  {notice}")
        return {"version": __version__} | about
    systems = [arguments.system] if arguments.system else list(SYSTEMS)
    sizes = [arguments.size] if arguments.size else SIZES
    report = {"version": __version__, "systems": describe(systems, sizes)}
    if not arguments.json:
        for name, by_size in report["systems"].items():
            for size, about in by_size.items():
                print(f"{name} {size}")
                for network, count in about["networks"].items():
                    print(f"  {network:20}{count:>14,} parameters")
                if not about["weights"]:
                    print("  no weights in the package")
                for weights in about["weights"]:
                    made = ", ".join(f"{k} {weights['record'].get(k)}" for k in ("step", "clips", "commit"))
                    print(f"  {weights['file']}: {weights['bytes'] / 2**20:.1f} MiB, {made}")
    return report
