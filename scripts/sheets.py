"""Pictures in the pages that show what trained networks do."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from recipes import ONE, PARAGRAPH

from talkface_lite import figures
from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.landmarks import lip_opening
from talkface_lite.speech import mfcc_windows
from talkface_lite.systems.atvg.vg_net import VGNetPart
from talkface_lite.systems.recurrent import GeneratorPart


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
    return _kept(figure, path)


def schemes(parts: Mapping[str, GeneratorPart], path: Path, *, text: str | None = None) -> Path:
    """What becomes of one held-out face while each scheme talks for ten seconds."""
    clip = draw_clip(1005, split="test", still_head=True, text=text or PARAGRAPH)
    return _films(parts, clip, path)


def one_person(parts: Mapping[str, GeneratorPart], path: Path, *, text: str | None = None) -> Path:
    """How networks that know one person alone let the head move, while a sentence is said that they have not
    heard."""
    return _films(parts, draw_clip(1005, person=ONE, text=text), path)


def _films(parts: Mapping[str, GeneratorPart], clip: Clip, path: Path) -> Path:
    rows = {"truth": clip.frames} | {name: _said(part, clip) for name, part in parts.items()}
    figures.use_house_style()
    return _kept(figures.show_frames(rows), path)


@torch.inference_mode()
def _said(part: GeneratorPart, clip: Clip) -> np.ndarray:
    """A film of the clip's speech from its first frame."""
    net, made, state = part.generator.eval(), [], None
    seen = net.look(to_network(torch.from_numpy(clip.frames[:1])))
    heard = torch.from_numpy(mfcc_windows(clip.speech, rows=part.needs.rows))[None]
    for stretch in heard.split(16, dim=1):
        film = net(seen, stretch, state)
        state = film.state
        made.append(to_pictures(film.made.frames[0]))
    return np.concatenate(made)


def _kept(figure: plt.Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, pil_kwargs={"quality": 88})
    plt.close(figure)
    return path
