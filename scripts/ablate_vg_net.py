"""Which parts of ATVGnet's second half help? `python scripts/ablate_vg_net.py --work RUNS`.

Trains VG-net at half of `lite`'s widths once for each variant and seed, all with the same clips, batches and
number of updates, and measures each on held-out people, voices and sentences. Writes the table that the book
shows into the package. A run that is there already is not made again, and one that was stopped goes on. One
thread a run, two runs at a time. Where RUNS/grid holds prepared GRID clips, these are measured too.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from talkface_lite import figures
from talkface_lite.corpus.synthesis import draw_clip, write_corpus
from talkface_lite.data.dataset import read_clips
from talkface_lite.data.pictures import PictureDataset
from talkface_lite.files import write_atomically
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.ablation import Ablation, shipped_ablation
from talkface_lite.measuring.pictures import evaluate_pictures
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.networks.vg_net import VGNetConfig
from talkface_lite.systems.atvg.vg_net import ATVGVideo, ATVGVideoConfig, to_pictures
from talkface_lite.training import TrainingSettings, train

SHEET = Path(__file__).resolve().parents[1] / "book" / "_static" / "vg-net-painters.jpg"
PAINTERS = ("dynamic", "mouth weight", "colour weight", "discriminator", "no attention")
TRAIN = {"clips": 400, "seed": 4000, "split": "train", "still_head": True}
TEST = {"clips": 50, "seed": 5000, "split": "test", "still_head": True}
WINDOW, BATCH = 8, 4
WIDTHS = {
    "image": (16, 16, 32, 48, 64),
    "landmark": (32, 64),
    "attention": (32, 16),
    "fused": 48,
    "memory": 48,
    "decoder": (48, 32, 16, 16),
}
JUDGE = RegressionDiscriminatorConfig(
    image=(8, 16, 32, 32), features=32, landmark=(32, 32), hidden=32, layers=2, unused_decoder=False
)
METRICS = {"psnr": 2, "ssim": 4, "mouth_gain": 2}
"""With the digits of the table that is printed."""

VARIANTS: dict[str, dict[str, Any]] = {
    "dynamic": {},
    "l1": {"loss": "l1"},
    "discriminator": {"discriminator": JUDGE},
    "no landmark attention": {"vg_net": {"landmark_attention": False}},
    "no attention": {"vg_net": {"landmark_attention": False, "pixel_attention": False}},
    "recurrence off": {"vg_net": {"recurrence": "off"}},
    "colour weight": {"colour_weight": 0.3},
    "mouth weight": {"mouth_weight": 4.0},
    "camera": {"camera": 1.0},
}
"""`dynamic` is the paper's pixel loss and nothing else; each of the others changes one thing of it."""


def folder(work: Path, name: str, seed: int) -> Path:
    """Where a run leaves its weights and its result."""
    return work / "ablation" / f"{name}-{seed}".replace(" ", "_")


def run(job: tuple[str, int, Path, int]) -> dict[str, Any]:
    """Train and measure one variant under one seed."""
    name, seed, work, steps = job
    torch.set_num_threads(1)
    out = folder(work, name, seed)
    result = out / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    options = dict(VARIANTS[name])
    camera = options.pop("camera", 0.0)
    config = ATVGVideoConfig(vg_net=VGNetConfig.lite(**(WIDTHS | options.pop("vg_net", {}))), **options)
    settings = TrainingSettings(
        steps=steps,
        batch_size=BATCH,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        schedule="cosine",
        closed_examples=0.3,
        precision="bf16",
        seed=seed,
        checkpoint_every=500,
    )
    dataset = PictureDataset.from_folder(work / "train-a", window=WINDOW, mirrored=True, camera=camera)
    torch.manual_seed(seed)
    trained = train(ATVGVideo(config), dataset, out, settings, resume=True, progress=False)
    values = {"variant": name, "seed": seed, "alpha": trained.losses["alpha"]}
    values["seconds"] = trained.record["seconds"]
    video = ATVGVideo.load(trained.weights)
    for test in ("test-still", "grid"):
        if (work / test).is_dir():
            report = evaluate_pictures(video, read_clips(work / test, frames=True), frame_step=5)
            values[test] = {metric: report["with_truth"][metric]["median"] for metric in METRICS}
    write_atomically(result, (json.dumps(values) + "\n").encode())
    return values


def sheet(work: Path, seed: int) -> None:
    """What each kind of network paints and where, for the widest mouth of one held-out clip."""
    clip = draw_clip(1005, split="test", still_head=True)
    widest = int(lip_opening(clip.landmarks).argmax())
    rows = {}
    for name in PAINTERS:
        video = ATVGVideo.load(folder(work, name, seed) / "weights.safetensors")
        film = video.film(clip.frames[0], clip.landmarks[0], clip.landmarks[: widest + 1])
        *_, last = (tuple(part[0, -1] for part in (made.frames, made.colour, made.alpha)) for made in film)
        alpha = (plt.get_cmap("cividis")(last[2][0].float().numpy())[..., :3] * 255).astype(np.uint8)
        rows[name] = np.stack([clip.frames[widest], *(to_pictures(part) for part in last[:2]), alpha])
    figures.use_house_style()
    figure = figures.show_frames(rows, indices=range(4), titles=["truth", "film", "painted", "α"], width=4.6)
    figure.savefig(SHEET, dpi=150, pil_kwargs={"quality": 88})


def main() -> None:
    """Draw, train, measure, write the table and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--no-ship", action="store_true", help="leave the package's table as it is")
    arguments = parser.parse_args()
    work = arguments.work
    for name, about in (("train-a", TRAIN), ("test-still", TEST)):
        if not (work / name).is_dir():
            write_corpus(work / name, **about)
    jobs = [(name, seed, work, arguments.steps) for seed in arguments.seeds for name in VARIANTS]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(run, jobs))
    record = json.loads((folder(work, "dynamic", arguments.seeds[0]) / "record.json").read_text())
    table = {
        "command": f"python scripts/ablate_vg_net.py --work RUNS --steps {arguments.steps}",
        "train": TRAIN,
        "test": TEST,
        "steps": arguments.steps,
        "frames_a_step": WINDOW * BATCH,
        **{key: record[key] for key in ("commit", "device", "torch")},
        "results": results,
    }
    if not arguments.no_ship:
        write_atomically(shipped_ablation("vg_net"), (json.dumps(table, indent=1) + "\n").encode())
        sheet(work, arguments.seeds[0])
    if len(arguments.seeds) > 1:
        print(Ablation(table, results).table({name: name for name in VARIANTS}, "dynamic", METRICS))


if __name__ == "__main__":
    main()
