"""What is lost between truth and speech? `python scripts/what_is_lost.py --work RUNS --ship`.

The landmarks that attentional landmarks says are mended towards the truth, one kind of error at a time, and
painted by the same LTV net: each row says what that kind costs. And somebody who hears every phoneme and its
time, but does not know how this person moves the mouth, says how far any listener could come. On 50 held-out
drawn clips of still heads, heads held. With --ship the figures go into the package.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from common import ABLATIONS, PACKAGE, Parser, each, fingerprints, keep_tiny_out, over_clips, run
from corpora import draw_all
from recipes import CORPORA, tiny_corpus

from talkface_lite.clip import HEAD, Clip
from talkface_lite.corpus.face import Identity, Motion, face_points
from talkface_lite.corpus.manner import CHANNEL_MEDIAN, ORDINARY, Manner, style_of
from talkface_lite.corpus.synthesis import read_source
from talkface_lite.corpus.visemes import articulation
from talkface_lite.data.features import files_of
from talkface_lite.data.needs import Needs
from talkface_lite.errors import InputError
from talkface_lite.files import write_json
from talkface_lite.landmarks import MOUTH
from talkface_lite.measuring.ablation import shipped_ablation
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.systems import load
from talkface_lite.systems.attentional.system import AttentionalSettings, AttentionalSystem
from talkface_lite.systems.base import FROM_SPEECH, Shown
from talkface_lite.systems.part import shipped_weights
from talkface_lite.training.record import commit, device_name

NAME, CORPUS = "attentional_lost", "test-heads-still"
FIGURES = (
    "mouth_gain",
    "gain_over_mean_picture",
    "mouth_landmark_distance",
    "lip_opening_correlation",
    "lra_top1",
)
CORNERS, LOWER_LIP = [48, 54], [55, 56, 57, 58, 59, 65, 66, 67]
LOWER_EDGE = [65, 66, 67]
SEED = 0
"""Of the bootstrap."""


# ---- what is mended; said and truth are float32 (T, 68, 2), pixels of the head's frame


def as_said(said: np.ndarray, truth: np.ndarray) -> None:
    """Nothing."""


def width(said: np.ndarray, truth: np.ndarray) -> None:
    """The mouth is as wide as it was, about its own middle."""
    between = said[:, CORNERS, 0].mean(axis=1, keepdims=True)
    wide, said_wide = (np.subtract(*points[:, CORNERS[::-1], 0].T) for points in (truth, said))
    said[:, MOUTH, 0] = between + (said[:, MOUTH, 0] - between) * (wide / said_wide)[:, None]


def across(said: np.ndarray, truth: np.ndarray) -> None:
    """Every point of the mouth is where it was, from left to right."""
    said[:, MOUTH, 0] = truth[:, MOUTH, 0]


def constant(said: np.ndarray, truth: np.ndarray) -> None:
    """No point of the mouth is off in the mean over the clip."""
    said[:, MOUTH] -= (said[:, MOUTH] - truth[:, MOUTH]).mean(axis=0)


def lower_lip(said: np.ndarray, truth: np.ndarray) -> None:
    """The lower lip is as low as it was, moved in one piece."""
    said[:, LOWER_LIP, 1] += (truth - said)[:, LOWER_EDGE, 1].mean(axis=1)[:, None]


def up_and_down(said: np.ndarray, truth: np.ndarray) -> None:
    """Every point of the mouth is as high as it was."""
    said[:, MOUTH, 1] = truth[:, MOUTH, 1]


MENDED: Mapping[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "as said": as_said,
    "width": width,
    "across": across,
    "constant": constant,
    "lower lip": lower_lip,
    "up and down": up_and_down,
}
"""Each changes what was said in place."""


# ---- who hears every phoneme


def ordinary(identity: Identity) -> np.ndarray:
    """``(7,)``: how strongly people move each channel of the mouth, in the median."""
    return ORDINARY * CHANNEL_MEDIAN


def own_strength(identity: Identity) -> np.ndarray:
    """The same as far as this person moves the mouth; how the channels share it is everybody's."""
    return style_of(identity) * CHANNEL_MEDIAN


HEARS: Mapping[str, Callable[[Identity], np.ndarray] | None] = {
    "every phoneme": ordinary,
    "every phoneme, own strength": own_strength,
    "truth": None,
}
"""How strongly somebody moves the mouth who says the clip's phonemes at their times; None: as this person."""


def heard(clip: Clip, strength: Callable[[Identity], np.ndarray] | None) -> np.ndarray:
    """float32 ``(T, 68, 2)``: the clip's phonemes said by the same face, from the same rest, drawn again.

    Raises
    ------
    InputError
        When the clip was not drawn with a still head, in the head's frame.
    """
    drawn = read_source(clip.source)
    if (drawn.get("view"), drawn.get("still_head")) != (HEAD, "1"):
        raise InputError("clip", clip.source or "a recording", "a drawn one of a still head, --view head")
    seed, identity = int(drawn["drawn"]), Identity.draw(int(clip.identity.removeprefix("drawn-")))
    manner = Manner.draw(identity, seed)
    if strength is not None:
        manner = replace(manner, strength=strength(identity))
    mouth = articulation(clip.phonemes, len(clip), strength=manner.strength, rest=manner.rest)
    geometry = face_points(identity, mouth, Motion.draw(seed, len(clip), still=True))
    return geometry.head_landmarks.astype(np.float32)


class Told(AttentionalSystem):
    """Attentional landmarks whose second half is told what to paint, clip by clip."""

    say: Callable[[Clip], np.ndarray]
    """What it is told."""

    def rows(self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool) -> dict[str, Shown]:
        """The film of that, as if it were from speech."""
        points = self.say(clip)
        return {FROM_SPEECH: Shown(points, self._frames(self.face_of(clip, shown), points))}


def mended(said: np.ndarray, mend: Callable[[np.ndarray, np.ndarray], None], clip: Clip) -> np.ndarray:
    """What was said of a clip, without one kind of error."""
    points = said.copy()
    mend(points, clip.landmarks)
    return points


def one_clip(file: Path) -> dict[str, dict[str, float | None]]:
    """Of each row the figures of one clip."""
    clip = Clip.load(file, frames=True)
    system = load("attentional", settings=AttentionalSettings(still_head=True))
    said = system.speak(clip.speech, clip.landmarks[0])
    says = {name: partial(mended, said, mend) for name, mend in MENDED.items()}
    says |= {name: partial(heard, strength=strength) for name, strength in HEARS.items()}
    rows = {}
    for name, say in says.items():
        rows[name] = Told({"stl-net": system.stl_net, "ltv-net": system.ltv_net}, system.settings)
        rows[name].say = say
    looks = {"pictures": True, "judge": LipJudge.pretrained(), "warp": False, "per_clip": True}
    its = evaluate(rows, [clip], frame_step=len(clip), **looks)["per_clip"]["systems"]
    return {name: {key: row[FROM_SPEECH][key][0] for key in FIGURES} for name, row in its.items()}


def made_from() -> dict[str, str]:
    """Which weights these are."""
    names = [shipped_weights("attentional", part.name) for part in AttentionalSystem.parts]
    return fingerprints((*names, PACKAGE / "weights" / "lip_judge.safetensors"))


def table_of(clips: Sequence[Mapping[str, Mapping[str, float | None]]]) -> dict[str, dict[str, list[float]]]:
    """Of each row and figure ``[median or share, low, high]`` over clips."""
    rows: dict[str, dict[str, list[float]]] = {}
    for name in clips[0]:
        rows[name] = {}
        for key in FIGURES:
            rows[name][key] = over_clips([clip[name][key] for clip in clips], key, SEED)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, mend, paint, measure, write."""
    parser = Parser(prog="what_is_lost.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--work", type=Path, required=True, metavar="RUNS", help="clips go here")
    parser.add_argument("--workers", type=int, default=2, help="clips at a time (default 2)")
    parser.add_argument("--ship", action="store_true", help="write the figures")
    parser.add_argument("--into", type=Path, default=ABLATIONS, metavar="FOLDER", help="the figures go here")
    parser.add_argument("--tiny", action="store_true", help="tiny numbers, to see that all of it runs")
    arguments = parser.parse_args(argv)
    if arguments.workers < 1:
        raise InputError("--workers", arguments.workers, "at least 1")
    keep_tiny_out(arguments, "--into FOLDER")
    corpus = CORPORA[CORPUS]
    if arguments.tiny:
        corpus = replace(tiny_corpus(corpus), still_head=True)
    (folder,) = draw_all({CORPUS: corpus}, arguments.work / "corpora", Needs(pictures=True))
    files = files_of(folder)
    rows = table_of(each(one_clip, files, 1 if arguments.tiny else arguments.workers))
    print(json.dumps(rows, indent=1))
    if arguments.ship:
        made = {"commit": commit(), "device": device_name(), "seed": SEED, "clips": len(files)}
        command = "python scripts/what_is_lost.py --work RUNS --ship"
        told = {"command": command, **made, "weights": made_from(), "rows": rows}
        print(write_json(arguments.into / shipped_ablation(NAME).name, told))


if __name__ == "__main__":
    run(main)
