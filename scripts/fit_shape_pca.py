"""Make the shape basis that the package ships: `python scripts/fit_shape_pca.py`, about two minutes.

Draws clips of training identities without painting them, one in four with a moving head, takes each person's
mean face out, and keeps six components. Seed and settings are written into the file.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import PACKAGE, Parser, run

from talkface_lite import __version__
from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.shape_pca import N_COMPONENTS, ShapePCA

MOVING_SHARE = 4
"""One clip in this many has a moving head. A head that turns moves all 68 points, lips only 20; at equal
shares the turning would leave fewer components to the lips."""
FRAME_STEP = 4
"""Every how many frames one is taken: neighbours are nearly equal."""


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, fit and save."""
    parser = Parser(prog="fit_shape_pca.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=68)
    parser.add_argument("--components", type=int, default=N_COMPONENTS)
    parser.add_argument("--out", type=Path, default=PACKAGE / "weights/shape_pca.safetensors")
    arguments = parser.parse_args(argv)

    faces, people = [], []
    for index in range(arguments.clips):
        clip = draw_clip(
            clip_seed(arguments.seed, index),
            still_head=index % MOVING_SHARE != 0,
            paint=False,
            split="train",
            clean=True,
        )
        taken = clip.landmarks[::FRAME_STEP]
        faces.append(taken)
        people += [clip.identity] * len(taken)
        if (index + 1) % 100 == 0:
            print(f"{index + 1} of {arguments.clips} clips", file=sys.stderr)
    origin = {
        "command": f"python scripts/fit_shape_pca.py --clips {arguments.clips} --seed {arguments.seed}",
        "version": __version__,
        "clips": arguments.clips,
        "seed": arguments.seed,
        "split": "train",
        "moving_share": 1 / MOVING_SHARE,
        "frame_step": FRAME_STEP,
        "faces": len(people),
        "people": len(set(people)),
        "centred": "on each person's mean",
    }
    basis = ShapePCA.fit(np.concatenate(faces), arguments.components, people=people, origin=origin)
    print(basis.save(arguments.out))
    print("explained:", np.round(basis.explained, 4), "in all", round(float(basis.explained.sum()), 4))


if __name__ == "__main__":
    run(main)
