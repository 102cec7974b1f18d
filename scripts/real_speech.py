"""Draw AT-net's lip opening against the loudness of real recordings: `python scripts/real_speech.py FOLDER`.

FOLDER holds recordings of speech (WAV, FLAC, OGG or MP3). The face is Grace Hopper's portrait. Prints one
line a recording and writes the picture that the chapter on AT-net shows; neither sound nor words are kept.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import STATIC, Parser, run, sounds_in

from talkface_lite import figures
from talkface_lite.clip import FRAMES_PER_SECOND, frame_times
from talkface_lite.landmarks import lip_opening
from talkface_lite.media import read_speech
from talkface_lite.metrics import correlation
from talkface_lite.speech import fit_to_frames, loudness
from talkface_lite.systems import load
from talkface_lite.talking.talker import Portrait

SHOWN_S = 5.0
"""Seconds of each recording in the picture; the numbers are over all of it."""
MAX_LAG = 5


def best_lag(opening: np.ndarray, level: np.ndarray) -> tuple[int, float]:
    """The lag in frames, positive for a late mouth, at which two curves correlate best, and that r."""
    inside = slice(MAX_LAG, len(level) - MAX_LAG)
    by_lag = {
        lag: correlation(np.roll(opening, -lag)[inside], level[inside])
        for lag in range(-MAX_LAG, MAX_LAG + 1)
    }
    lag = max(by_lag, key=by_lag.get)
    return lag, by_lag[lag]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = Parser(prog="real_speech.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=STATIC / "at-net-real-speech.png")
    parser.add_argument("--weights", type=Path, help="AT-net's; the package's own unless given")
    arguments = parser.parse_args(argv)
    recordings = sounds_in(arguments.folder)
    system, portrait = load("atvg", weights=arguments.weights), Portrait.of("hopper")

    figures.use_house_style()
    figure, axes = plt.subplots(
        len(recordings), 1, figsize=(figures.FIGURE_WIDTH, 1.9 * len(recordings)), sharex=True
    )
    for ax, path in zip(np.atleast_1d(axes), recordings):
        speech = fit_to_frames(read_speech(path, convert=True))
        opening = lip_opening(system.speak(speech, portrait.landmarks))
        level, n_frames = loudness(speech), len(opening)
        # below 50 dB under the loudest frame there is only the room
        level = np.maximum(level, level.max() - 50)
        r = correlation(opening, level)
        lag, r_there = best_lag(opening, level)
        seconds = n_frames / FRAMES_PER_SECOND
        print(f"{path.name}: {seconds:.1f} s, r = {r:.2f}, best r = {r_there:.2f} at {lag:+d} frames")
        times = frame_times(n_frames)
        shown = times < SHOWN_S
        ax.fill_between(
            times[shown], level[shown], level.min(), color=figures.PALETTE["speech"], alpha=0.25, lw=0
        )
        ax.set(ylabel="loudness (dB)", title=f"{path.stem}: r = {r:.2f}", xlim=(0, SHOWN_S))
        lips = ax.twinx()
        lips.plot(times[shown], opening[shown], color=figures.PALETTE["predicted"])
        lips.set(ylabel="lip opening (px)", ylim=(0, 1.1 * opening.max()))
        lips.grid(False)
        lips.spines["right"].set_visible(True)
    np.atleast_1d(axes)[-1].set_xlabel("time (s)")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run(main)
