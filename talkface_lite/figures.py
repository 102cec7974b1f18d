"""Figures of the book in one style: colours with roles, landmark drawings, strips of frames, a player.

The palette is Okabe and Ito's, whose eight colours stay apart under the common forms of colour blindness.
Each colour has a role that it keeps in every chapter: truth is blue, a prediction is vermilion.
"""

import base64
import html
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from talkface_lite.clip import CROP_SIZE, FRAMES_PER_SECOND, N_POINTS, SAMPLE_RATE, Clip, Interval
from talkface_lite.errors import InputError
from talkface_lite.landmarks import LINES, draw_landmarks, smooth_curve

if TYPE_CHECKING:
    from IPython.display import Video
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: Mapping[str, str] = MappingProxyType(
    {
        "truth": "#0072B2",
        "predicted": "#D55E00",
        "baseline": "#999999",
        "speech": "#009E73",
        "other": "#CC79A7",
        "highlight": "#E69F00",
        "light": "#56B4E9",
        "warning": "#F0E442",
        "ink": "#222222",
    }
)
"""Role → colour. Okabe and Ito's colour-blind-safe set, with a neutral grey and a soft black for text."""

CYCLE: tuple[str, ...] = tuple(
    PALETTE[role] for role in ("truth", "predicted", "speech", "other", "highlight", "light", "baseline")
)
"""Colours of lines that have no role of their own, in matplotlib's order of use."""

FIGURE_WIDTH = 6.4
"""Inches. At 110 dots an inch it fills the page's text column, and shrunk to a phone it stays readable."""


def use_house_style() -> None:
    """Set matplotlib's defaults to the book's: call once in a chapter's first cell.

    Figures are ``FIGURE_WIDTH`` inches wide at 110 dots an inch with 11-point text, laid out so that labels
    never overlap, without the upper and right spines, and on white so that they read on a dark page too.
    """
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (FIGURE_WIDTH, 3.4),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "figure.titlesize": 12,
            "savefig.dpi": 110,
            "savefig.facecolor": "white",
            "font.family": "DejaVu Sans",
            "font.size": 11,
            "text.color": PALETTE["ink"],
            "axes.titlesize": 11.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.labelsize": 11,
            "axes.labelcolor": PALETTE["ink"],
            "axes.edgecolor": "#777777",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=CYCLE),
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.8,
            "xtick.color": "#555555",
            "ytick.color": "#555555",
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "legend.frameon": False,
            "legend.fontsize": 10,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
        }
    )


def show_landmarks(
    ax: "Axes",
    landmarks: np.ndarray,
    *,
    color: str = PALETTE["truth"],
    label: str | None = None,
    image: np.ndarray | None = None,
    points: bool = True,
    lines: bool = True,
    numbers: Iterable[int] = (),
    limits: tuple[float, float] | None = (0, CROP_SIZE - 1),
    alpha: float = 1.0,
    markersize: float = 2.5,
    linewidth: float = 1.4,
) -> None:
    """Draw one face's landmarks on an axes whose y runs down, as in the picture.

    Parameters
    ----------
    ax:
        Where to draw; it keeps its aspect and loses its grid and ticks.
    landmarks:
        ``(68, 2)`` pixels, x right and y down.
    color, label, alpha, markersize, linewidth:
        As in matplotlib; ``color`` takes a role of :data:`PALETTE` too. The label appears once in a legend.
    image:
        Picture to lay under the points, ``(H, W, 3)`` uint8.
    points, lines:
        What to draw.
    numbers:
        Indices of points to number beside their marks.
    limits:
        Smallest and largest coordinate shown on both axes, pixels; None follows the image or the points.

    Raises
    ------
    InputError
        When the landmarks are not one face of 68 points.
    """
    landmarks = np.asarray(landmarks, dtype=float)
    if landmarks.shape != (N_POINTS, 2):
        raise InputError("landmarks", f"shape {landmarks.shape}", f"one face, shape ({N_POINTS}, 2)")
    color = PALETTE.get(color, color)
    if image is not None:
        ax.imshow(image)
    if lines:
        for n, (_, indices) in enumerate(LINES):
            curve = smooth_curve(landmarks[list(indices)])
            name = label if n == 0 else None
            ax.plot(*curve.T, color=color, alpha=alpha, linewidth=linewidth, label=name)
    if points:
        name = None if lines else label
        ax.plot(
            *landmarks.T, "o", color=color, alpha=alpha, markersize=markersize, markeredgewidth=0, label=name
        )
    for index in numbers:
        ax.annotate(
            str(index),
            landmarks[index],
            xytext=(2, 2),
            textcoords="offset points",
            fontsize=7,
            color=PALETTE["ink"],
        )
    ax.set_aspect("equal")
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if limits is not None:
        ax.set_xlim(limits[0] - 0.5, limits[1] + 0.5)
        ax.set_ylim(limits[1] + 0.5, limits[0] - 0.5)
    elif image is None and not ax.yaxis_inverted():
        ax.invert_yaxis()


def show_frames(
    frames: np.ndarray | Mapping[str, np.ndarray],
    *,
    n: int = 6,
    indices: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    landmarks: np.ndarray | Mapping[str, np.ndarray] | None = None,
    color: str = "truth",
    width: float = FIGURE_WIDTH,
) -> "Figure":
    """A strip of frames, evenly spaced in time, with their times above; several clips stand in rows.

    Parameters
    ----------
    frames:
        uint8 ``(T, H, W, 3)``, or a mapping from a row's name to such frames, all of one length.
    n:
        How many frames to show; fewer where the clip is shorter.
    indices:
        Which frames to show, instead of ``n``.
    titles:
        One title a column, instead of the times.
    landmarks:
        ``(T, 68, 2)`` pixels to draw over the frames, or a mapping with the rows' names.
    color:
        Colour or palette role of the landmarks.
    width:
        Width of the figure, inches.

    Returns
    -------
    The figure, already holding its axes.

    Raises
    ------
    InputError
        When the frames have another shape, or the rows differ in length.
    """
    import matplotlib.pyplot as plt

    rows = dict(frames) if isinstance(frames, Mapping) else {"": frames}
    points = landmarks if isinstance(landmarks, Mapping) else dict.fromkeys(rows, landmarks)
    for name, row in rows.items():
        rows[name] = _check_frames(f"frames {name!r}" if name else "frames", row)
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1:
        raise InputError("frames", f"rows of {sorted(lengths)} frames", "rows of one length")
    total = lengths.pop()
    shown = list(indices) if indices is not None else evenly(total, n)
    height, image_width = next(iter(rows.values())).shape[1:3]
    cell = width / len(shown)
    figure, axes = plt.subplots(
        len(rows),
        len(shown),
        figsize=(width, len(rows) * (cell * height / image_width) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    for n_row, (name, row) in enumerate(rows.items()):
        for column, (ax, t) in enumerate(zip(axes[n_row], shown)):
            ax.imshow(row[t])
            if points.get(name) is not None:
                show_landmarks(ax, points[name][t], color=color, limits=None, markersize=1.5, linewidth=0.9)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
            ax.set_xlim(-0.5, row.shape[2] - 0.5)
            ax.set_ylim(row.shape[1] - 0.5, -0.5)
            if column == 0 and name:
                ax.set_ylabel(name)
            if n_row == 0:
                title = titles[column] if titles is not None else f"{(t + 0.5) / FRAMES_PER_SECOND:.2f} s"
                ax.set_title(title, fontsize=9.5, fontweight="normal", loc="center", pad=3)
    return figure


def show_speech(
    ax: "Axes",
    speech: np.ndarray,
    *,
    intervals: Iterable[Interval] = (),
    color: str = "speech",
    label: str | None = None,
) -> None:
    """Draw a waveform over seconds, with words or phonemes written above it and thin lines between them.

    Parameters
    ----------
    ax:
        Where to draw.
    speech:
        ``(n,)`` samples in [-1, 1] at 16 kHz.
    intervals:
        ``(label, start_s, end_s)`` to write above the wave.
    color, label:
        As in matplotlib; ``color`` takes a role of :data:`PALETTE` too.
    """
    seconds = np.arange(len(speech)) / SAMPLE_RATE
    ax.plot(seconds, speech, color=PALETTE.get(color, color), linewidth=0.6, label=label)
    peak = 1.05 * max(float(np.abs(speech).max(initial=0)), 1e-3)
    for text, start, end in intervals:
        ax.axvline(start, color="#cccccc", linewidth=0.8)
        ax.axvline(end, color="#cccccc", linewidth=0.8)
        ax.text((start + end) / 2, peak, text, ha="center", va="bottom", fontsize=9)
    ax.set(
        xlim=(0, max(len(speech) / SAMPLE_RATE, 1e-3)),
        ylim=(-peak, peak),
        xlabel="time (s)",
        ylabel="amplitude",
    )
    ax.grid(False)


def player(
    clip: Clip | np.ndarray,
    speech: np.ndarray | None = None,
    *,
    alt: str | None = None,
    width: int = 256,
) -> "Video":
    """A video with controls and sound that travels inside the page: H.264 and AAC, as every browser plays.

    Parameters
    ----------
    clip:
        A :class:`~talkface_lite.clip.Clip`, or frames uint8 ``(T, H, W, 3)`` at 25 frames/s. A clip without
        pictures is played as a drawing of its landmarks.
    speech:
        ``(640 * T,)`` samples in [-1, 1] at 16 kHz; None takes the clip's own, or none for plain frames.
    alt:
        What a reader who cannot see the video should be told; a clip with words says them where None.
    width:
        Width on the page, pixels; small screens shrink it.

    Raises
    ------
    InputError
        When the frames have another shape.
    """
    from IPython.display import Video

    from talkface_lite.media import write_video

    if isinstance(clip, Clip):
        frames = clip.frames if clip.frames is not None else draw_landmarks(clip.landmarks, 2 * CROP_SIZE)
        speech = clip.speech if speech is None else speech
        said = " ".join(word.label for word in clip.words)
        alt = alt or (f"A talking face saying: {said}." if said else None)
    else:
        frames = _check_frames("frames", clip)
    alt = alt or f"A video of {len(frames) / FRAMES_PER_SECOND:.1f} seconds."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, speech)
        video = path.read_bytes()
    text = html.escape(alt, quote=True)
    attributes = (
        f'controls playsinline preload="metadata" title="{text}" aria-label="{text}" '
        f'poster="{_poster(frames[len(frames) // 2])}" style="max-width: 100%; height: auto;"'
    )
    return Video(data=video, embed=True, mimetype="video/mp4", width=width, html_attributes=attributes)


def side_by_side(*clips: np.ndarray, gap: int = 4) -> np.ndarray:
    """Join videos of one length and height, left to right, for one :func:`player`.

    Parameters
    ----------
    clips:
        uint8 ``(T, H, W_i, 3)``.
    gap:
        White pixels between two.

    Returns
    -------
    uint8 ``(T, H, W, 3)``.

    Raises
    ------
    InputError
        When lengths or heights differ.
    """
    clips = tuple(_check_frames(f"video {n + 1}", clip) for n, clip in enumerate(clips))
    sizes = {clip.shape[:2] for clip in clips}
    if len(sizes) != 1:
        raise InputError("videos", f"frames and heights {sorted(sizes)}", "one length and one height")
    (n_frames, height) = sizes.pop()
    white = np.full((n_frames, height, gap, 3), 255, np.uint8)
    joined = [part for clip in clips for part in (clip, white)][:-1]
    return np.concatenate(joined, axis=2)


def evenly(total: int, n: int) -> list[int]:
    """At most ``n`` indices below ``total``: the middles of ``n`` equal stretches.

    >>> evenly(75, 5)
    [7, 22, 37, 52, 67]
    """
    n = min(n, total)
    return [int((i + 0.5) * total / n) for i in range(n)]


def _check_frames(what: str, frames: np.ndarray) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise InputError(what, f"{frames.dtype} {frames.shape}", "uint8 (T, H, W, 3) with at least 1 frame")
    return frames


def _poster(frame: np.ndarray) -> str:
    """A frame as a data URI: it stands in print, and before the video is played."""
    import cv2

    _, jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
