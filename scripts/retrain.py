"""Make every weights file, ablation and picture of the book again: `python scripts/retrain.py --work RUNS`.

In the order in which they need each other: the shape basis, the parts of each system, the ablations, what
is lost between truth and speech, all systems side by side, the pictures in the pages. Each step is a script
of its own, in a process of its own. A step whose output is there is skipped, and one that was stopped goes
on; RUNS/retrain.json says how long each took. With --list nothing runs. With --tiny everything runs with tiny
numbers into RUNS/package, to see that the whole chain holds.
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import PACKAGE, ROOT, STATIC, Parser, run
from comparisons import ABLATIONS, ONE_SPEAKER
from one_speaker import shipped_as
from recipes import RECIPES, file_of

from talkface_lite.errors import InputError
from talkface_lite.files import held, write_json
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.systems.part import shipped_weights


@dataclass(frozen=True, kw_only=True)
class Step:
    """One script with its words.

    Parameters
    ----------
    name:
        What it is called.
    script:
        Below the root of the repository.
    words:
        Its arguments.
    makes:
        Files that are there when it is done.
    recorded:
        Seconds that it took when the present files of the package were made, as far as anyone wrote down.
    """

    name: str
    script: str
    words: tuple[str, ...]
    makes: tuple[Path, ...]
    recorded: float | None = None

    @property
    def command(self) -> str:
        """As it would be typed."""
        return " ".join(("python", self.script, *self.words))

    def run(self, *, apart: bool) -> None:
        """Run it, in a process of its own or in this one.

        Raises
        ------
        InputError
            When it fails.
        """
        path = ROOT / self.script
        if apart:
            code = subprocess.run([sys.executable, str(path), *self.words], check=False).returncode
            if code:
                raise InputError(
                    f"step {self.name!r}", f"exit code {code}", "0; run again to go on from here"
                )
            return
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main(self.words)


def steps(work: Path, *, tiny: bool = False, recordings: Path | None = None) -> Iterator[Step]:
    """All steps in their order."""
    package, static = (work / "package", work / "package" / "static") if tiny else (PACKAGE, STATIC)
    weights, ablations = package / "weights", package / "ablations"
    more = ("--tiny",) if tiny else ()

    def to(flag: str, folder: Path) -> tuple[str, ...]:
        return (flag, str(folder)) if tiny else ()

    basis = weights / "shape_pca.safetensors"
    few = ("--clips", "8") if tiny else ()
    yield Step(
        name="shape basis",
        script="scripts/fit_shape_pca.py",
        words=(*to("--out", basis), *few),
        makes=(basis,),
        recorded=120,
    )
    for system, part, variant in RECIPES:
        made = weights / file_of(system, part, variant)
        chosen = ("--variant", variant) if variant else ()
        yield Step(
            name=" ".join(filter(None, (system, part, variant))),
            script="scripts/train.py",
            words=(system, part, *chosen, "--work", str(work), "--ship", *to("--into", weights), *more),
            makes=(made, made.with_suffix(".json")),
            recorded=_of_record(made.name),
        )
    for (system, part, what), comparison in ABLATIONS.items():
        sheet = static / f"{part}-{comparison.sheet[0]}.jpg" if comparison.sheet else None
        table = ablations / shipped_ablation(comparison.name).name
        places = (*to("--into", ablations), *to("--pictures", static))
        alone = ("--workers", "1") if tiny else ()
        yield Step(
            name=" ".join(filter(None, (system, part, what, "ablation"))),
            script="scripts/ablate.py",
            words=(
                system,
                part,
                *(("--of", what) if what else ()),
                "--work",
                str(work),
                "--ship",
                *places,
                *alone,
                *more,
            ),
            makes=(table, *filter(None, [sheet])),
            recorded=_of_ablation(comparison.name),
        )
    if not tiny:
        yield from _asked(work, ablations)
    yield Step(
        name="what is lost",
        script="scripts/what_is_lost.py",
        words=("--work", str(work), "--ship", *to("--into", ablations), *more),
        makes=(ablations / "attentional_lost.json",),
    )
    yield Step(
        name="side by side",
        script="scripts/side_by_side.py",
        words=("--work", str(work), "--ship", *to("--into", ablations), *to("--pictures", static), *more),
        makes=(ablations / "side_by_side.json", static / "four.mp4", static / "four-film.jpg"),
    )
    yield from _pictures(weights, static, tiny, recordings)


def _asked(work: Path, ablations: Path) -> Iterator[Step]:
    """What is asked of weights that are there: how far films differ; and, where they are, real recordings."""
    for name, words, seconds in (
        ("latent_diversity", (), 1300),
        ("latent_diversity_trained", ("--trained", str(work)), 4000),
    ):
        yield Step(
            name=name.replace("_", " "),
            script="scripts/diversity.py",
            words=(*words, "--ship"),
            makes=(ablations / f"{name}.json",),
            recorded=seconds,
        )
    if (work / "grid_s1").is_dir():
        yield Step(
            name="drawn and real",
            script="scripts/drawn_and_real.py",
            words=("--work", str(work)),
            makes=(ablations / "drawn_and_real.json",),
            recorded=1800,
        )
        for system, part, what in ONE_SPEAKER:
            of = ("--of", what) if what else ()
            yield Step(
                name=f"{system} {part} {what} one speaker".replace("  ", " "),
                script="scripts/one_speaker.py",
                words=(system, part, *of, "--work", str(work), "--ship"),
                makes=(ablations / f"{shipped_as((system, part, what))}.json",),
                recorded=1200,
            )


def _pictures(weights: Path, static: Path, tiny: bool, recordings: Path | None) -> Iterator[Step]:
    yield Step(
        name="front picture",
        script="book/_ext/front.py",
        words=("--out", str(static), "--no-film") if tiny else (),
        makes=(static / "front.jpg",),
        recorded=30,
    )
    yield Step(
        name="identities",
        script="talkface_lite/corpus/sheet.py",
        words=("--out", str(static / "identities.jpg"), *(("--rows", "1") if tiny else ())),
        makes=(static / "identities.jpg",),
        recorded=10,
    )
    if recordings is not None:
        speech, at_net = static / "at-net-real-speech.png", weights / shipped_weights("atvg", "at-net").name
        yield Step(
            name="real speech",
            script="scripts/real_speech.py",
            words=(str(recordings), "--out", str(speech), "--weights", str(at_net)),
            makes=(speech,),
            recorded=10,
        )


def _of_record(name: str) -> float | None:
    """Seconds of all stages, from the record beside the package's weights."""
    path = (PACKAGE / "weights" / name).with_suffix(".json")
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    if "all_seconds" in record:
        return sum(record["all_seconds"].values())
    others = [value for value in record.values() if isinstance(value, dict) and "seconds" in value]
    return record["seconds"] + sum(other["seconds"] for other in others)


def _of_ablation(name: str) -> float | None:
    """Seconds of all runs, two at a time, from the package's table."""
    path = shipped_ablation(name)
    if not path.is_file():
        return None
    return sum(run.get("seconds", 0) for run in json.loads(path.read_text())["results"]) / 2


class Log:
    """RUNS/retrain.json: which steps are done, and how long each took over all attempts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def done(self, step: Step) -> bool:
        """Whether it was made in this folder, and what it made is there."""
        known = self.steps.get(step.name, {})
        return known.get("done", False) and all(path.is_file() for path in step.makes)

    def seconds(self, step: Step) -> float | None:
        """What it took, None where it has not begun."""
        return self.steps.get(step.name, {}).get("seconds")

    def add(self, step: Step, seconds: float, *, done: bool) -> None:
        """Take an attempt in."""
        told = {"done": done, "seconds": round((self.seconds(step) or 0) + seconds, 1)}
        self.steps[step.name] = told | {"command": step.command}
        write_json(self.path, self.steps)


def clock(seconds: float | None) -> str:
    """``1:02:03``, or ``-``."""
    if seconds is None:
        return "-"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def table(found: Sequence[Step], log: Log) -> str:
    """One row a step: done or not, how long it took here, how long it is known to take."""
    lines = [f"{'step':28}{'done':>6}{'here':>10}{'recorded':>10}  command"]
    for step in found:
        done = "yes" if log.done(step) else "no"
        times = f"{clock(log.seconds(step)):>10}{clock(step.recorded):>10}"
        lines.append(f"{step.name:28}{done:>6}{times}  {step.command}")
    here = sum(filter(None, (log.seconds(step) for step in found)))
    recorded = sum(filter(None, (step.recorded for step in found)))
    return "\n".join([*lines, f"{'in all':34}{clock(here):>10}{clock(recorded):>10}"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not done."""
    parser = Parser(prog="retrain.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="clips and runs go here")
    parser.add_argument("--list", action="store_true", help="say which steps there are, run none")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these steps, by their names in the list")
    parser.add_argument(
        "--recordings", type=Path, metavar="FOLDER", help="of speech, for the picture of real speech"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, into RUNS/package")
    arguments = parser.parse_args(argv)
    work = arguments.work.resolve()
    found = list(steps(work, tiny=arguments.tiny, recordings=arguments.recordings))
    if unknown := set(arguments.only or ()) - {step.name for step in found}:
        raise InputError("--only", ", ".join(sorted(unknown)), ", ".join(step.name for step in found))
    if arguments.list:
        print(table(found, Log(work / "retrain.json")))
        return
    with held(work, "another retraining"):
        log = Log(work / "retrain.json")
        for number, step in enumerate(found, start=1):
            if log.done(step) or (arguments.only and step.name not in arguments.only):
                continue
            print(f"[{number}/{len(found)}] {step.name}: {step.command}", flush=True)
            began, done = time.monotonic(), False
            try:
                step.run(apart=not arguments.tiny)
                done = True
            finally:
                log.add(step, time.monotonic() - began, done=done)
        print(table(found, log))
    if arguments.recordings is None:
        print("left out: the picture of real speech, which wants --recordings FOLDER")


if __name__ == "__main__":
    run(main)
