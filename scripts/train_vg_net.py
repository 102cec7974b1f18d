"""Make the VG-net weights that the package ships: `python scripts/train_vg_net.py --work RUNS`.

Draws painted clips of training people, voices and sentences, trains VG-net `lite` in two stages, and writes
weights and the record of their run into the package. The first stage has short windows of many people and
the dynamic pixel loss alone; the second has the paper's 16 frames and, unless told otherwise, the regression
discriminator. Each stage leaves its result in RUNS; what is there already is not made again, and a run that
was stopped goes on. About two hours on two free cores. `--ship second` then measures the weights on held-out
people, voices and sentences, and writes them and the record of their run into the package.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from talkface_lite.corpus.synthesis import write_corpus
from talkface_lite.data.dataset import read_clips
from talkface_lite.data.pictures import PictureDataset
from talkface_lite.files import write_atomically
from talkface_lite.measuring.pictures import dlib_in_crop, evaluate_pictures
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.networks.vg_net import VGNetConfig
from talkface_lite.systems import load, shipped_video_weights
from talkface_lite.systems.atvg.vg_net import ATVGVideo, ATVGVideoConfig
from talkface_lite.training import TrainingSettings, train

FOLDERS = {
    "train-a": {"clips": 400, "seed": 4000, "still_head": True},
    "train-b": {"clips": 400, "seed": 4001},
    "train-c": {"clips": 900, "seed": 4002, "still_head": True},
    "train-d": {"clips": 900, "seed": 4003},
}
"""Drawn clips of training people."""
TEST_FOLDERS = {
    "still": {"clips": 50, "seed": 5000, "still_head": True},
    "moving": {"clips": 50, "seed": 5001},
}
"""Drawn clips of people, voices and sentences held out."""
FIRST = TrainingSettings(
    steps=2600,
    batch_size=8,
    learning_rate=1e-3,
    betas=(0.9, 0.999),
    schedule="cosine",
    closed_examples=0.3,
    precision="bf16",
    log_every=50,
    checkpoint_every=250,
)
SECOND = replace(FIRST, steps=900, batch_size=4, learning_rate=3e-4)
FIRST_WINDOW, SECOND_WINDOW = 8, 16


def draw(work: Path) -> list[Path]:
    """The folders of painted clips, unless they are there."""
    for name, about in FOLDERS.items():
        if not (work / name).is_dir():
            print(f"drawing {name}", file=sys.stderr)
            write_corpus(work / name, split="train", **about)
    return [work / name for name in FOLDERS]


def ship(work: Path, stage: str) -> None:
    """Measure VG-net of a stage, and write it and the discriminator, with their record, into the package.

    The discriminator is always the second stage's, where there is one: the first has none.
    """
    run, second = work / stage, work / "second"
    record = json.loads((run / "record.json").read_text())
    video = ATVGVideo.load(run / "weights.safetensors")
    if stage == "second":
        record["started_from"] = json.loads((work / "first" / "record.json").read_text())
    elif (second / "weights.safetensors").is_file():
        judged = ATVGVideo.load(second / "weights.safetensors")
        both = ATVGVideo(replace(video.config, discriminator=judged.config.discriminator))
        both.vg_net.load_state_dict(video.vg_net.state_dict())
        both.discriminator.load_state_dict(judged.discriminator.state_dict())
        video, record["discriminator"] = both.eval(), json.loads((second / "record.json").read_text())
    record["data"] = {"command": f"python scripts/train_vg_net.py --ship {stage}", "train": FOLDERS}
    record["data"]["test"] = TEST_FOLDERS
    measured = run / "metrics.json"
    if not measured.is_file():
        metrics = {head: measure(work, video, head) for head in TEST_FOLDERS}
        write_atomically(measured, (json.dumps(metrics, indent=1) + "\n").encode())
    record["metrics"] = json.loads(measured.read_text())
    shipped = shipped_video_weights("atvg", "lite")
    video.save(shipped, {name: record[name] for name in ("step", "clips", "commit", "device", "settings")})
    write_atomically(shipped.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())


def measure(work: Path, video: ATVGVideo, head: str) -> dict:
    """The table of pictures over held-out people, voices and sentences."""
    folder = work / f"test-{head}"
    if not folder.is_dir():
        write_corpus(folder, split="test", **TEST_FOLDERS[head])
    clips = read_clips(folder, frames=True)
    report = evaluate_pictures(video, clips, system=load("atvg"), find_points=dlib_in_crop(), frame_step=5)
    print(head, json.dumps(report))
    return report


def main() -> None:
    """Draw and train, or measure and ship."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--camera", type=float, default=1.0, help="strength of the random camera")
    parser.add_argument("--no-second", action="store_true", help="the first stage alone")
    parser.add_argument("--ship", choices=("first", "second"), help="measure this stage and ship it")
    arguments = parser.parse_args()
    work = arguments.work
    if arguments.ship:
        ship(work, arguments.ship)
        return
    folders = draw(work)
    torch.manual_seed(FIRST.seed)
    config = ATVGVideoConfig(vg_net=VGNetConfig.lite(), mouth_weight=4.0)
    system = ATVGVideo(config)
    options = {"camera": arguments.camera, "mirrored": True}
    first = work / "first" / "weights.safetensors"
    if not first.exists():
        dataset = PictureDataset.from_folder(folders, window=FIRST_WINDOW, **options)
        train(system, dataset, first.parent, FIRST, resume=True)
    if arguments.no_second:
        return
    dataset = PictureDataset.from_folder(folders, window=SECOND_WINDOW, **options)
    system = ATVGVideo(replace(config, discriminator=RegressionDiscriminatorConfig.lite()))
    system.start_from(first)
    result = train(system, dataset, work / "second", SECOND, resume=True)
    print(json.dumps(result.losses))


if __name__ == "__main__":
    main()
