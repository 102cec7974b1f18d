"""Pictures in the pages that show what trained networks do."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from talkface_lite import figures
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.data.tensors import to_pictures
from talkface_lite.landmarks import lip_opening
from talkface_lite.systems.atvg.vg_net import VGNetPart


def painters(parts: Mapping[str, VGNetPart], path: Path, *, text: str | None = None) -> Path:
    """What each kind of VG-net paints and where, for the widest mouth of one held-out clip."""
    clip = draw_clip(1005, split="test", still_head=True, text=text)
    widest = int(lip_opening(clip.landmarks).argmax())
    rows = {}
    for name, part in parts.items():
        film = part.film(clip.frames[0], clip.landmarks[0], clip.landmarks[: widest + 1])
        *_, last = (tuple(maps[0, -1] for maps in (made.frames, made.colour, made.alpha)) for made in film)
        alpha = (plt.get_cmap("cividis")(last[2][0].float().numpy())[..., :3] * 255).astype(np.uint8)
        rows[name] = np.stack([clip.frames[widest], *(to_pictures(maps) for maps in last[:2]), alpha])
    figures.use_house_style()
    figure = figures.show_frames(rows, indices=range(4), titles=["truth", "film", "painted", "α"], width=4.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, pil_kwargs={"quality": 88})
    plt.close(figure)
    return path
