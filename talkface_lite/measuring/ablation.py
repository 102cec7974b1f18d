"""What a part of a system is worth: the same training several times, with it and without, from several seeds.

One run proves little, because another seed would have given another number. So each variant is trained from
the same seeds, and what is reported is the mean over seeds with an interval that says how few there were.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from scipy import stats

from talkface_lite.errors import InputError
from talkface_lite.figures import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def shipped_ablation(name: str) -> Path:
    """Where the package keeps the results of an ablation; the file need not exist."""
    return Path(str(files("talkface_lite") / "ablations" / f"{name}.json"))


class Mean(NamedTuple):
    """A mean over seeds and the ends of its interval."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 where the whole interval lies above zero, -1 where below, 0 where it holds zero."""
        return int(self.low > 0) - int(self.high < 0)


def mean_over_seeds(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Mean:
    """Mean and Student's t interval: wide where there are few seeds, as it should be.

    Parameters
    ----------
    values:
        One for each seed, two at least.
    level:
        Of the interval, in (0, 1).

    Raises
    ------
    InputError
        For fewer than two values: one run says nothing about the next.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError("values over seeds", f"shape {values.shape}", "two or more")
    mean = float(values.mean())
    reach = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Mean(mean, mean - float(reach), mean + float(reach))


@dataclass(frozen=True)
class Ablation:
    """Results of one training in several variants.

    Parameters
    ----------
    about:
        How they were made: the command, the clips, the number of updates.
    results:
        For each run ``variant``, ``seed``, and for each set of test clips its measures by name.
    """

    about: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """From the JSON file that the script of an ablation writes.

        Raises
        ------
        InputError
            When the file is not there or holds no results.
        """
        try:
            about = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(about, about.pop("results"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(path, type(error).__name__, "a JSON file with results") from None

    @classmethod
    def shipped(cls, name: str) -> Self:
        """The one that the package holds under this name."""
        return cls.read(shipped_ablation(name))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the first variant's runs, in order."""
        first = self.results[0]["variant"]
        return tuple(sorted(run["seed"] for run in self.results if run["variant"] == first))

    def values(self, variant: str, metric: str, test: str = "test-still") -> np.ndarray:
        """A measure of one variant, one value for each of :attr:`seeds`; NaN where a run has none.

        Raises
        ------
        InputError
            When a run is missing.
        """
        found = {run["seed"]: run[test][metric] for run in self.results if run["variant"] == variant}
        if tuple(sorted(found)) != self.seeds:
            raise InputError(f"runs of {variant!r}", f"seeds {sorted(found)}", f"seeds {list(self.seeds)}")
        return np.array([found[seed] for seed in self.seeds], np.float64)

    def mean(self, variant: str, metric: str, test: str = "test-still") -> Mean:
        """Of one variant over seeds."""
        return mean_over_seeds(self.values(variant, metric, test))

    def difference(self, variant: str, base: str, metric: str, test: str = "test-still") -> Mean:
        """How much more than the base, seed by seed: both had the same clips in the same order."""
        return mean_over_seeds(self.values(variant, metric, test) - self.values(base, metric, test))

    def table(
        self, names: Mapping[str, str], base: str, metrics: Mapping[str, int], test: str = "test-still"
    ) -> str:
        """A Markdown table: each variant's mean, and in brackets the interval of its difference to the base.

        Parameters
        ----------
        names:
            Variant → what the table calls it.
        base:
            The variant that the others are compared with.
        metrics:
            Measure → digits. Their names are the columns.
        test:
            The set of test clips.
        """
        lines = ["| | " + " | ".join(map(_title, metrics)) + " |"]
        lines.append("|---" * (len(metrics) + 1) + "|")
        for variant, name in names.items():
            cells = []
            for metric, digits in metrics.items():
                cell = f"{self.mean(variant, metric, test).mean:.{digits}f}"
                if variant != base:
                    _, low, high = self.difference(variant, base, metric, test)
                    cell += f" [{low:+.{digits}f}, {high:+.{digits}f}]".replace("-", "−")
                cells.append("–" if "nan" in cell else cell.replace("-", "−"))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def show(
        self,
        ax: "Axes",
        names: Mapping[str, str],
        metric: str,
        *,
        base: str | None = None,
        test: str = "test-still",
    ) -> "Axes":
        """Draw one row for each variant: a dot for each seed, a bar at their mean.

        Parameters
        ----------
        ax:
            Where to draw.
        names:
            Variant → the label of its row, from the top.
        metric:
            What is measured.
        base:
            Its mean becomes a line through all rows.
        test:
            The set of test clips.
        """
        for row, variant in enumerate(names):
            values = self.values(variant, metric, test)
            role = "truth" if variant == base else "predicted"
            ax.plot(values, np.full(len(values), row), "o", color=PALETTE[role], alpha=0.75)
            ax.plot([values.mean()] * 2, [row - 0.28, row + 0.28], color=PALETTE[role], linewidth=2.2)
        if base is not None:
            mean = float(self.values(base, metric, test).mean())
            ax.axvline(mean, color=PALETTE["truth"], linestyle=":", linewidth=1.2, zorder=0)
        ax.set_yticks(range(len(names)), list(names.values()))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(_title(metric))
        ax.grid(visible=False, axis="y")
        return ax


_TITLES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "mouth_gain": "gain at the mouth (dB)",
    "gain_over_mean_picture": "gain over the mean picture (dB)",
    "mouth_sharpness_over_real": "sharpness of the mouth, over real",
    "change_over_real": "change, over real",
    "jitter_over_real": "jitter, over real",
    "drift": "drift in 10 s (levels)",
    "seen_zoom_spread": "zoom (%)",
    "seen_pose_spread_over_real": "turns of the head, over real",
    "lra_top1": "LRA, first guess",
    "lra_top5": "LRA, among five",
    "seen_lip_opening_correlation": "r of the opening, seen",
    "lmd": "LMD (px)",
    "lip_opening_correlation": "r of the opening",
    "mouth_landmark_distance_over_copy": "distance over the photograph's",
    "motion_distance_over_still": "motion over a still mouth's",
    "opening_error_over_copy": "opening error over the photograph's",
}


def _title(metric: str) -> str:
    """What a page calls a measure; of another row than the rest, such as ``from_frames mouth_gain``."""
    row, _, name = metric.rpartition(" ")
    title = _TITLES.get(name, name)
    return f"{title}, {row.replace('_', ' ')}" if row else title
