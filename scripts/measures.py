"""What parts that make no film are measured by."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.corpus.nods import stress_signal
from talkface_lite.corpus.synthesis import read_source
from talkface_lite.landmarks import align, lip_opening
from talkface_lite.measuring.head_motion import head_spread, mean_cross_correlation, peak_lag
from talkface_lite.measuring.lip_reading import TOP, LipJudge, known_words
from talkface_lite.measuring.pairs import share
from talkface_lite.measuring.viseme_classes import confusions, viseme_ceiling
from talkface_lite.metrics import correlation
from talkface_lite.systems.attentional import STLNetPart
from talkface_lite.systems.recurrent import LipDiscriminatorPart


def lip_reading(part: LipDiscriminatorPart, clips: Iterable[Clip]) -> dict[str, Any]:
    """Which words are read off true lips.

    Returns
    -------
    ``clips``, ``words``; ``lra_top1``, ``lra_top5``, with intervals over clips; ``ceiling``, what words of
    equal visemes leave, and ``top1_over_ceiling``; ``classes`` and ``confusions`` between them; ``read``, of
    each word that was said, how often and how often right.
    """
    judge = LipJudge(part.lip_discriminator.eval())
    ranks, said, read = [], [], []
    for clip in clips:
        if not (words := known_words(clip, judge.words)):
            continue
        its = judge.guesses(clip.frames, words)
        ranks.append(judge.ranks_in(its, words))
        said += [word.label for word in words]
        read += [judge.words[row[0]] for row in its]
    rng = np.random.default_rng(0)
    told: dict[str, Any] = {"clips": len(ranks), "words": len(said)}
    for n in TOP:
        told[f"lra_top{n}"] = share(np.array([np.mean(one < n) for one in ranks]), rng)
    right = float(np.mean([a == b for a, b in zip(said, read)]))
    classes, shares = confusions(said, read)
    return told | {
        "ceiling": round(viseme_ceiling(said), 4),
        "top1_over_ceiling": round(right / viseme_ceiling(said), 4),
        "classes": classes,
        "confusions": shares.round(4).tolist(),
        "read": {
            word: [said.count(word), sum(a == b == word for a, b in zip(said, read))] for word in judge.words
        },
    }


def head_motion(part: STLNetPart, clips: Iterable[Clip]) -> dict[str, Any]:
    """How heads move that are made from speech and the first frame, beside true ones.

    Parameters
    ----------
    part:
        Trained.
    clips:
        Drawn, of heads that nod.

    Returns
    -------
    ``clips``; medians over them of how much heads move over how much the true ones do, ``pitch_over_real``
    and so on, and of ``lip_opening_correlation``, aligned; from the mean cross-correlation of all with the
    stress ``lag`` and ``lag_correlation``, of true heads ``true_lag`` and ``true_lag_correlation``, seconds;
    and ``known_lag``, the median of what the clips were drawn with.
    """
    made, real, shares, lips, known = [], [], [], [], []
    for clip in clips:
        said, stress = part.generate(clip.speech, clip.landmarks[0]), stress_signal(clip.phonemes, len(clip))
        made.append((said, stress))
        real.append((clip.landmarks, stress))
        moved, true = head_spread(said), head_spread(clip.landmarks)
        shares.append([moved[name] / true[name] for name in true])
        lips.append(correlation(*(lip_opening(align(points)[0]) for points in (said, clip.landmarks))))
        known.append(float(read_source(clip.source)["nod_lag"].removesuffix("s")))
    told = {f"{name}_over_real": round(float(np.median(its)), 4) for name, its in zip(true, zip(*shares))}
    told |= {"clips": len(made), "lip_opening_correlation": round(float(np.median(lips)), 4)}
    for name, pairs in (("lag", made), ("true_lag", real)):
        lag, height = peak_lag(*mean_cross_correlation(pairs))
        told |= {name: round(lag, 4), f"{name}_correlation": round(height, 4)}
    return told | {"known_lag": round(float(np.median(known)), 4)}
