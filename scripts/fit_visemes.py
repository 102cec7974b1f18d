"""Fit the viseme table to real mouths: `python scripts/fit_visemes.py DATA`, about four minutes.

DATA is GRID's speaker s1 with its word times (Cooke, Barker, Cunningham, Shao 2006; CC BY 4.0), prepared:
`talkface prepare grid GRID --out DATA --detector dlib`. Of its clips the 40 whose names come first by the
SHA-256 of `split` and the name are kept for judging; the table is fitted to the others.

What is fitted are displacements of the mouth from how it rests in the same clip, so a thick-lipped or a
smiling mouth counts as any other. The model is the corpus' own: dominance in time, `lip_points` in space. The
lips of /p b m f v/ are not fitted, they shut; rounding is held at six tenths of what phonetics texts draw,
since one man who hardly rounds must not speak for all. Sounds that GRID's words lack move with the others of
their channel. What a detector makes of a mouth's movement is measured on drawn faces and taken into account
(`SEEN`). Reaches and strengths stay within bounds in which a mouth at rest is at rest: the fitted man
breathes in through parted lips before he speaks, and a vowel may not be told by that.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import Parser, run
from corpora import divide
from torch import Tensor

from talkface_lite.clip import Clip, frame_times
from talkface_lite.corpus.alignment import place_phonemes
from talkface_lite.corpus.head import lip_points, neutral_head
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.visemes import CHANNELS, CLOSURES, VISEMES, segments
from talkface_lite.data.features import read_clips
from talkface_lite.errors import InputError
from talkface_lite.landmarks import mouth_centred

FITTED = 5
"""Channels that move points: jaw, width, rounding, upper and lower lip."""
LIPS, ROUNDING = (0, 3, 4), 2
SEEN = np.array([0.76, 0.92])
"""Across and down: how much of a mouth's movement dlib sees, on 60 drawn clips (seeds 70000 to 70059)."""
HALF_WIDTH, UPPER, LOWER = 0.93, 0.86, 0.82
"""The fitted speaker's mouth over the average drawn one: width, thickness of the upper and the lower lip."""
QUIET_BEFORE, QUIET_AFTER = 0.16, 0.32
"""Seconds from the first and the last word in which the mouth may still move."""
ROUNDED = 0.6
"""What of the rounding is held."""
PENALTY = 0.03
"""Weight, px², of how far the numbers go from where they begin."""
SYMBOLS = list(VISEMES)
KINDS = sorted({viseme.kind for viseme in VISEMES.values()})
KIND_OF = torch.tensor([KINDS.index(viseme.kind) for viseme in VISEMES.values()])
CLOSING = torch.tensor([viseme.kind in CLOSURES for viseme in VISEMES.values()])
SILENT = torch.tensor([symbol == "_" for symbol in SYMBOLS])


#         kind         jaw  width round upper lower tongue teeth   before after (seconds)
FAMILIES = """
          rest         1.2  1.0   1.0   1.0   1.0   1.0    1.0     0.045  0.045
          vowel        1.0  1.0   1.0   1.0   1.0   1.0    1.0     0.060  0.060
          rounded      1.0  1.0   1.6   1.0   1.0   1.0    1.0     0.070  0.060
          bilabial     60   0.1   0.1   60    60    0.5    8       0.015  0.015
          labiodental  40   0.2   0.2   40    50    0.5    8       0.018  0.018
          dental       0.8  0.2   0.15  0.4   0.4   3      1.5     0.035  0.035
          alveolar     0.5  0.15  0.08  0.2   0.2   3      0.8     0.035  0.035
          sibilant     2.5  0.5   0.15  0.6   0.6   2      3       0.030  0.030
          palatal      2    0.8   1.5   2     2     1      3       0.035  0.035
          velar        0.25 0.08  0.08  0.08  0.08  0.4    0.2     0.035  0.035
          rhotic       0.7  0.6   1.0   0.4   0.4   0.8    0.4     0.045  0.040
          labiovelar   2    1.5   3     1     1     0.6    1       0.060  0.040
          breath       0.05 0.05  0.05  0.05  0.05  0.05   0.05    0.035  0.035
"""

#         kind         jaw   width round upper lower tongue teeth   IPA
TARGETS = """
          rest         0     0     0     0     0     0     0       _
          bilabial     0     0     0     -1    -0.4  0.1   0       p b m ɱ ɸ
          labiodental  0.10  0.10  0     0.25  -1    0.1   0.8     f v ʋ
          dental       0.16  0.10  0     0.15  0.20  0.9   0.6     θ ð
          alveolar     0.15  0.10  0     0.05  0.10  0.8   0.4     t d n ɾ ɗ ʈ ɖ ɳ
          alveolar     0.24  0.10  0     0.05  0.10  1.0   0.3     l ɫ ɭ ʎ ɬ ɮ
          sibilant     0.06  0.35  0     0.20  0.30  0.5   0.9     s z
          palatal      0.11  -0.10 0.55  0.50  0.50  0.4   0.7     ʃ ʒ ʂ ʐ ɕ ʑ
          palatal      0.11  -0.10 0.50  0.45  0.50  0.6   0.7     tʃ dʒ tɕ dʑ tʂ dʐ
          velar        0.25  0     0     0.05  0.10  0.1   0.2     k ɡ g ŋ x ɣ q ɢ χ ʁ ç ɲ c ɟ
          rhotic       0.20  -0.15 0.45  0.10  0.20  0.4   0.2     ɹ r ɻ ɽ ʀ
          rhotic       0.30  -0.10 0.35  0.10  0.15  0.3   0.2     ɚ ɝ
          labiovelar   0.10  -0.50 1.0   0     0     0     0       w ʍ ɥ β
          breath       0.30  0     0     0     0     0     0.1     h ɦ ʔ ħ ʕ ʜ
          vowel        0.16  0.50  0     0.10  0.15  0.6   0.40    j
          vowel        0.22  0.70  0     0.15  0.20  0.5   0.45    i
          vowel        0.30  0.40  0     0.10  0.15  0.4   0.35    ɪ ɨ
          vowel        0.45  0.45  0     0.15  0.20  0.3   0.35    e ɛ
          vowel        0.72  0.35  0     0.20  0.30  0.1   0.40    a æ
          vowel        0.85  0.05  0     0.15  0.25  0     0.25    ɑ
          vowel        0.55  0.10  0     0.10  0.15  0.1   0.25    ʌ ɐ
          vowel        0.32  0     0.05  0.05  0.10  0.2   0.25    ə ɘ ɤ ɯ
          vowel        0.40  -0.05 0.25  0.10  0.15  0.2   0.20    ɜ ɞ
          rounded      0.60  -0.10 0.35  0.10  0.15  0     0.10    ɒ
          rounded      0.50  -0.20 0.65  0.05  0.10  0     0.05    ɔ œ
          rounded      0.42  -0.30 0.75  0     0.05  0     0.05    o ø ɵ
          rounded      0.28  -0.30 0.70  0     0.05  0     0.05    ʊ ʏ
          rounded      0.18  -0.45 1.0   0     0     0     0       u ʉ y
"""
"""Where the fit begins: the table as phonetics texts suggest it, amounts by eye."""


class Lips(torch.autograd.Function):
    """`lip_points` of one head as a function of its channels, its slope by finite differences."""

    STEP = 1e-4
    head = neutral_head(
        replace(
            Identity.draw(0), mouth_width=HALF_WIDTH, upper_lip=UPPER, lower_lip=LOWER, smile=0.0, bow=0.9
        )
    )

    @staticmethod
    def points(channels: np.ndarray) -> np.ndarray:
        """``(N, 5)`` → centred mouths ``(N, 40)``, pixels."""
        whole = np.concatenate([channels, np.zeros((len(channels), len(CHANNELS) - FITTED))], axis=1)
        mouth = lip_points(Lips.head, whole)[..., :2]
        return (mouth - mouth.mean(axis=1, keepdims=True)).reshape(len(channels), 40)

    @staticmethod
    def forward(ctx, channels: Tensor) -> Tensor:  # noqa: ANN001
        """``(N, 5)`` → ``(N, 40)``."""
        at = channels.detach().numpy()
        here = Lips.points(at)
        slopes = [(Lips.points(at + Lips.STEP * np.eye(FITTED)[k]) - here) / Lips.STEP for k in range(FITTED)]
        ctx.save_for_backward(torch.tensor(np.stack(slopes, axis=-1)))
        return torch.tensor(here)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # noqa: ANN001
        """``(N, 40)`` → ``(N, 5)``."""
        (slopes,) = ctx.saved_tensors
        return torch.einsum("np,npc->nc", gradient, slopes)


class Table(torch.nn.Module):
    """The numbers that are fitted, as what they differ by from where they begin."""

    def __init__(self) -> None:
        super().__init__()
        families = {kind: list(map(float, values)) for kind, *values in _rows(FAMILIES)}
        targets, kinds = {}, {}
        for kind, *values in _rows(TARGETS):
            for symbol in values[len(CHANNELS) :]:
                targets[symbol], kinds[symbol] = list(map(float, values[:FITTED])), kind
        missing = set(SYMBOLS) - set(targets)
        if missing:
            raise InputError("table to begin with", f"nothing for {missing}", "every symbol of VISEMES")
        self.targets = torch.tensor([targets[symbol] for symbol in SYMBOLS], dtype=torch.float64)
        values = torch.tensor([families[kind] for kind in KINDS], dtype=torch.float64)
        self.alpha, self.before, self.after = (
            values[:, :FITTED].log(),
            values[:, 7:8].log(),
            values[:, 8:].log(),
        )
        start = torch.tensor([0.5, 0.6, ROUNDED, 0.7, 0.7], dtype=torch.float64)
        self.scale = torch.nn.Parameter(start)
        self.own = torch.nn.Parameter(torch.zeros(len(SYMBOLS), FITTED, dtype=torch.float64))
        self.louder = torch.nn.Parameter(torch.zeros(len(KINDS), FITTED, dtype=torch.float64))
        self.sooner = torch.nn.Parameter(torch.zeros(len(KINDS), 1, dtype=torch.float64))
        self.later = torch.nn.Parameter(torch.zeros(len(KINDS), 1, dtype=torch.float64))
        self.free = torch.ones(FITTED, dtype=torch.float64)
        self.free[ROUNDING] = 0
        self.rests = torch.tensor([kind == "rest" for kind in KINDS])[:, None]
        self.shuts = torch.tensor([kind in CLOSURES for kind in KINDS])[:, None]

    def now(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Targets (symbols, 5); logarithms of strengths (kinds, 5) and of both reaches (kinds, 1)."""
        scale = torch.where(self.free > 0, self.scale, torch.tensor(ROUNDED, dtype=torch.float64))
        low = torch.tensor([0.0, -1, 0, -1, -1], dtype=torch.float64)
        targets = torch.clamp(self.targets * scale + self.own * self.free, min=low, max=torch.ones_like(low))
        lips = torch.zeros(FITTED, dtype=torch.bool)
        lips[list(LIPS)] = True
        targets = torch.where(CLOSING[:, None] & lips, self.targets, targets)
        targets = torch.where(SILENT[:, None], torch.zeros_like(targets), targets)
        louder = torch.where(self.shuts & lips, 0.0, self.louder * self.free).clamp(-2, 1.6)
        louder = torch.where(self.rests, louder.clamp(min=-0.3), louder)
        sooner = torch.where(self.shuts, 0.0, self.sooner.clamp(-0.7, 0.6))
        later = torch.where(self.shuts, 0.0, self.later.clamp(-0.7, 0.6))
        return targets, self.alpha + louder, self.before + sooner, self.after + later

    def away(self) -> Tensor:
        """How far it has gone from where it began: the penalty."""
        moved = (self.louder**2).mean() + (self.sooner**2).mean() + (self.later**2).mean()
        return PENALTY * ((self.own**2).sum() / 40 + moved)


class Said:
    """A clip: which sounds, how far in time from each frame, and where the mouth really went."""

    def __init__(self, clip: Clip) -> None:
        phonemes = place_phonemes(clip.words)
        parts = segments(phonemes, len(clip))
        time = frame_times(len(clip))[:, None]
        self.symbols = torch.tensor([SYMBOLS.index(symbol) for symbol in parts.symbols])
        self.ahead = torch.tensor(np.maximum(parts.start - time, 0))[..., None]
        self.behind = torch.tensor(np.maximum(time - parts.end, 0))[..., None]
        plain = np.array([VISEMES[symbol].target[0] for symbol in parts.symbols])
        self.stress = torch.tensor(np.where(plain > 0, parts.target[:, 0] / np.maximum(plain, 1e-9), 1.0))
        mouth = mouth_centred(clip.landmarks.astype(np.float64))
        first, last = clip.words[0].start - QUIET_BEFORE, clip.words[-1].end + QUIET_AFTER
        quiet = ((time < first) | (time > last))[:, 0]
        quiet = quiet if quiet.sum() >= 4 else np.arange(len(clip)) < 6
        self.moved = torch.tensor((mouth - np.median(mouth[quiet], axis=0)).reshape(len(clip), 40))

    def channels(self, table: Table) -> Tensor:
        """``(T, 5)`` by dominance, the equation of :mod:`talkface_lite.corpus.visemes`."""
        targets, alpha, before, after = table.now()
        kinds, own = KIND_OF[self.symbols], targets[self.symbols]
        own = torch.cat([own[:, :1] * self.stress[:, None], own[:, 1:]], dim=1)
        pull = alpha[kinds] - self.ahead / before[kinds].exp() - self.behind / after[kinds].exp()
        pull = pull.exp()
        return (pull * own).sum(1) / pull.sum(1)


def moved(channels: Tensor) -> Tensor:
    """Channels ``(N, 5)`` → displacements of the mouth as a detector would see them, ``(N, 40)``."""
    rest = torch.tensor(Lips.points(np.zeros((1, FITTED))))
    return (Lips.apply(channels) - rest) * torch.tensor(np.tile(SEEN, 20))


def opening(moved: np.ndarray) -> np.ndarray:
    """``(T, 40)`` → ``(T,)``: by how much further the inner lips are apart, as ``lip_opening``."""
    y = moved.reshape(-1, 20, 2)[..., 1]
    return y[:, [17, 18, 19]].mean(1) - y[:, [13, 14, 15]].mean(1)


def judge(table: Table, clips: Sequence[Said]) -> dict[str, float]:
    """Median over clips: distance of the mouth points, the resting mouth's, and r of the opening."""
    rows = []
    for clip in clips:
        with torch.no_grad():
            made, true = moved(clip.channels(table)).numpy(), clip.moved.numpy()
        far = [np.linalg.norm(gone.reshape(-1, 20, 2), axis=-1).mean() for gone in (made - true, true)]
        rows.append((*far, np.corrcoef(opening(made), opening(true))[0, 1]))
    return dict(zip(("px", "rest_px", "r"), np.median(rows, axis=0).round(4).tolist()))


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def _print(table: Table, seen: np.ndarray) -> None:
    targets, alpha, before, after = (part.detach() for part in table.now())
    rest = {kind: values[5:7] for kind, *values in _rows(FAMILIES)}
    for kind in rest:
        k = KINDS.index(kind)
        strengths = " ".join(f"{value:<5.2g}" for value in alpha[k].exp().tolist())
        reaches = f"{float(before[k].exp()):.3f}  {float(after[k].exp()):.3f}"
        print(f"          {kind:12} {strengths} {rest[kind][0]:5} {rest[kind][1]:5} {reaches}")
    print()
    for kind, *values in _rows(TARGETS):
        groups: dict[tuple, list[str]] = {}
        for symbol in values[len(CHANNELS) :]:
            at = SYMBOLS.index(symbol)
            key = (*(targets[at].numpy().round(2) + 0.0).tolist(), seen[at] > 0)
            groups.setdefault(key, []).append(symbol)
        for key, symbols in groups.items():
            numbers = " ".join(f"{value:<5.2f}" for value in key[:FITTED])
            count = int(sum(seen[SYMBOLS.index(symbol)] for symbol in symbols))
            print(f"          {kind:12} {numbers} {values[5]:5} {values[6]:5} {count:<5} {' '.join(symbols)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, judge on the clips kept back, print the table."""
    parser = Parser(prog="fit_visemes.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data", type=Path, metavar="DATA", help="prepared recordings with word times")
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args(argv)
    parts = divide([clip for clip in read_clips(arguments.data) if clip.words])
    train, held = ([Said(clip) for clip in part] for part in parts)
    table = Table()
    print("before:", judge(table, held))
    optimizer = torch.optim.Adam(table.parameters(), lr=0.03)
    true, stops = torch.cat([clip.moved for clip in train]), np.cumsum([len(clip.moved) for clip in train])
    for step in range(arguments.steps):
        optimizer.zero_grad()
        made = moved(torch.cat([clip.channels(table) for clip in train]))
        loss = ((made - true) ** 2).mean()
        (loss + table.away()).backward()
        optimizer.step()
        if step % 50 == 49:
            print(f"step {step + 1} of {arguments.steps}: {float(loss.detach()):.4f} px²", flush=True)
    print(f"{len(train)} clips, {stops[-1]} frames; on {len(held)} others: {json.dumps(judge(table, held))}")
    seen = np.bincount(np.concatenate([clip.symbols.numpy() for clip in train]), minlength=len(SYMBOLS))
    _print(table, seen)


if __name__ == "__main__":
    run(main)
