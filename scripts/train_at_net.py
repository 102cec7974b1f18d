"""Make the AT-net weights that the package ships: `python scripts/train_at_net.py --work RUNS`.

Draws clips of training people, voices and sentences without painting them, trains AT-net `lite` with and
without its LSTM, measures both on held-out people, voices and sentences, and writes weights and the record
of their run into the package. Each stage leaves its result in RUNS; what is there already is not made again,
and a run that was stopped goes on. About an hour on two free cores.
"""

import argparse
import json
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.data.dataset import Dataset, Features, read_clips
from talkface_lite.errors import InputError
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import ATVG, build, shipped_weights
from talkface_lite.training import TrainingSettings, train

TRAIN_SEED, TEST_SEED, TEXT_SEED = 1000, 2000, 77
TEST_CLIPS = 150
"""Of each kind: head still, head moving."""
SETTINGS = TrainingSettings(
    steps=2500,
    learning_rate=1.5e-3,
    betas=(0.9, 0.999),
    schedule="cosine",
    mfcc_shift=0.4,
    closed_examples=0.5,
    log_every=100,
)
VARIANTS = {"lite": True, "lite_no_lstm": False}
"""Name of the run, and whether it has the LSTM."""
COMMON_WORDS = """
the a of to and in that it is was for on are as with they at be this from have or by one had not but
what all were when we there can an your which their said if do will each about how up out them then
she many some so these would other into has more her two like him see time could no make than first
been its who now people my made over did down only way find use may water long little very after
words called just where most know get through back much before go good new write our me man too any
day same right look think also around another came come work three word must because does part even
place well such here take why things help put years different away again off went old number great
tell men say small every found still between name should home big give air line set own under read
last never us left end along while might next sound below saw something thought both few those
always looked show large often together asked house world going want school important until form
food keep children feet land side without boy once animals life enough took sometimes four head
above kind began almost live page got earth need far hand high year mother light parts country
father let night following picture being study second eyes soon times story boys since white days
ever paper hard near sentence better best across during today others however sure means knew it's
try told young miles sun ways thing whole hear example heard several change answer room sea against
top turned learn point city play toward five using himself usually money seen didn't car morning
"""
"""Common English words. GRID's 51 do not hold every sound of English in every company, so three clips in
eight say words drawn from these instead."""


def training_features(index: int) -> Features | None:
    """Clip ``index`` of the training set: every other head still, three in eight with common words."""
    text = None
    if index % 4 == 3 or index % 8 == 2:
        rng = np.random.default_rng([TEXT_SEED, index])
        text = " ".join(rng.choice(COMMON_WORDS.split(), size=rng.integers(5, 10)))
    seed = clip_seed(TRAIN_SEED, index)
    try:
        clip = draw_clip(seed, split="train", still_head=index % 2 == 0, paint=False, text=text)
    except InputError as error:
        print(f"clip {index} left out: {error}", file=sys.stderr)
        return None
    return Features.of(clip)


def draw_test_clip(folder: Path, index: int, *, still_head: bool) -> Path:
    """Draw and save clip ``index`` of a held-out set."""
    clip: Clip = draw_clip(clip_seed(TEST_SEED, index), split="test", still_head=still_head, paint=False)
    return clip.save(folder / f"clip-{index:06d}.safetensors")


def draw(work: Path, clips: int) -> None:
    """Training features and held-out clips, unless they are there."""
    with ProcessPoolExecutor() as pool:
        if not (work / "train.safetensors").exists():
            drawn = pool.map(training_features, range(clips), chunksize=20)
            Dataset([features for features in drawn if features is not None]).save(work / "train.safetensors")
        for name, still in (("still", True), ("moving", False)):
            missing = [
                i for i in range(TEST_CLIPS) if not (work / name / f"clip-{i:06d}.safetensors").exists()
            ]
            list(pool.map(partial(draw_test_clip, work / name, still_head=still), missing, chunksize=10))


def main() -> None:
    """Draw, train, measure, ship."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--loss", default="mouth", choices=("paper", "whitened", "mouth"))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--no-ship", action="store_true", help="leave the package's weights as they are")
    arguments = parser.parse_args()
    work, clips, loss = arguments.work, arguments.clips, arguments.loss
    work.mkdir(parents=True, exist_ok=True)
    draw(work, clips)
    dataset = Dataset.from_folder(work / "train.safetensors")
    for name in arguments.variants:
        run, recurrent = work / name, VARIANTS[name]
        if not (run / "weights.safetensors").exists():
            torch.manual_seed(SETTINGS.seed)
            system = build("atvg", "lite", recurrent=recurrent, loss=loss)
            train(system, dataset, run, SETTINGS, resume=True)
        system = ATVG.load(run / "weights.safetensors")
        record = json.loads((run / "record.json").read_text())
        record["data"] = {
            "command": f"python scripts/train_at_net.py --clips {clips} --loss {loss}",
            "train_seed": TRAIN_SEED,
            "test_seed": TEST_SEED,
            "shape_pca": dict(ShapePCA.pretrained().origin),
        }
        record["metrics"] = {head: evaluate(system, read_clips(work / head)) for head in ("still", "moving")}
        if not arguments.no_ship:
            shipped = shipped_weights("atvg", "lite", recurrent=recurrent)
            shutil.copyfile(run / "weights.safetensors", shipped)
            shipped.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        for head, metrics in record["metrics"].items():
            print(name, head, json.dumps(metrics["system"]))


if __name__ == "__main__":
    main()
