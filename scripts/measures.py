"""What parts that make no film are measured by."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.measuring.lip_reading import TOP, LipJudge, known_words
from talkface_lite.measuring.pairs import share
from talkface_lite.measuring.viseme_classes import confusions, viseme_ceiling
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
