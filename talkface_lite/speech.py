"""Speech to MFCC: mel-frequency cepstral coefficients {cite}`davis1980mfcc`, a window of them for each frame.

The steps are the same in every toolbox, and so is their order: pre-emphasis, overlapping rows, a window, the
power spectrum, a bank of triangular mel filters, a logarithm, a cosine transform, a lifter. The *settings*
differ, and with them the numbers: :class:`~talkface_lite.recipes.MFCCSettings` holds every choice, and three
published recipes are constants of :mod:`talkface_lite.recipes`; all of them can be imported from here too.

The clock is that of :mod:`talkface_lite.clip`: row ``r`` is centred at ``(r + 1/2) * 10 ms``, frame ``t`` at
``(t + 1/2) * 40 ms``. Samples before the first and after the last count as silence (zeros) everywhere here.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from talkface_lite.clip import ROWS_PER_FRAME, SAMPLE_RATE, SAMPLES_PER_FRAME
from talkface_lite.errors import InputError
from talkface_lite.recipes import (  # noqa: F401 - chapters import the recipes together with what uses them
    HOP_LENGTH,
    LIBROSA,
    PSF,
    RECIPES,
    SYNCNET,
    MFCCSettings,
    recipe,
)

LOUDNESS_FLOOR = -100.0
"""What :func:`loudness` calls silence, in dB: below the last bit of 16-bit sound (-90.3 dB)."""

CHUNK_ROWS = 4096
"""Rows analysed at once: bounds the memory of a long recording to some tens of MB."""


def mel_from_hz(hz: np.ndarray | float, scale: str = "htk") -> np.ndarray:
    """Hertz to mel; ``scale`` as in :class:`~talkface_lite.recipes.MFCCSettings`."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    # Slaney's Auditory Toolbox: 200/3 Hz a mel up to 1 kHz (15 mel), then 27 mel to a factor of 6.4
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def hz_from_mel(mel: np.ndarray | float, scale: str = "htk") -> np.ndarray:
    """Mel to hertz: the inverse of :func:`mel_from_hz`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


def mel_filter_bank(settings: MFCCSettings = PSF) -> np.ndarray:
    """Triangles on the mel scale {cite}`davis1980mfcc`.

    Returns
    -------
    float64 ``(n_filters, n_fft // 2 + 1)``: weight ``>= 0`` of each bin of the spectrum in each filter.
    Filter ``m`` rises from corner ``m`` to corner ``m + 1`` and falls to corner ``m + 2``.
    """
    s = settings
    ends = mel_from_hz(np.array([s.f_min, s.f_max]), s.mel_scale)
    corners = hz_from_mel(np.linspace(*ends, s.n_filters + 2), s.mel_scale)
    positions = np.arange(s.n_fft // 2 + 1) * SAMPLE_RATE / s.n_fft
    if s.filter_edges == "bins":
        corners, positions = np.floor((s.n_fft + 1) * corners / SAMPLE_RATE), np.arange(s.n_fft // 2 + 1)
    left, middle, right = (corners[i : i + s.n_filters, None] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # neighbouring corners may round to the same bin
        rising = np.where(positions < middle, (positions - left) / (middle - left), np.inf)
        falling = np.where(positions >= middle, (right - positions) / (right - middle), np.inf)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[~np.isfinite(filters)] = 0.0
    return filters * (2.0 / (right - left)) if s.equal_area else filters


def cosine_transform(settings: MFCCSettings = PSF) -> np.ndarray:
    """The cosine transform (DCT-II) with the lifter in it: float64 ``(n_cepstra, n_filters)``."""
    s = settings
    k = np.arange(s.n_cepstra)[:, None]
    matrix = np.sqrt(2.0 / s.n_filters) * np.cos(np.pi * k * (np.arange(s.n_filters) + 0.5) / s.n_filters)
    if s.orthonormal:
        matrix[0] /= np.sqrt(2.0)
    if s.lifter > 0:
        matrix *= 1.0 + s.lifter / 2.0 * np.sin(np.pi * (k + s.lifter_start) / s.lifter)
    return matrix


def mfcc(speech: np.ndarray, settings: MFCCSettings = PSF) -> np.ndarray:
    """MFCC of a recording, with the rows where the recipe's own toolbox puts them.

    Parameters
    ----------
    speech:
        float32 or float64 ``(n,)``, 16 kHz mono in [-1, 1].
    settings:
        The recipe.

    Returns
    -------
    float64 ``(rows, n_cepstra)``. With :data:`~talkface_lite.recipes.PSF` equal to
    ``python_speech_features.mfcc(speech)``; with :data:`~talkface_lite.recipes.LIBROSA` to
    ``librosa.feature.mfcc`` (transposed) at the settings named there.

    Raises
    ------
    InputError
        When the sound is empty, shorter than a row (``edges="cut"``), of another type or shape, or holds NaN.
    """
    speech = _check_speech(speech)
    s, n = settings, len(speech)
    if s.edges == "pad":
        start, rows = 0, 1 + max(0, -(-(n - s.window_length) // s.hop_length))
    elif s.edges == "cut":
        start, rows = 0, 1 + (n - s.window_length) // s.hop_length
        if n < s.window_length:
            raise InputError("speech", f"{n} samples", f"at least one window of {s.window_length}")
    else:
        start, rows = -(s.n_fft // 2) + (s.n_fft - s.window_length) // 2, 1 + n // s.hop_length
    return _cepstra(speech, start, rows, s)


def mfcc_windows(speech: np.ndarray, *, rows: int = 28, settings: MFCCSettings = PSF) -> np.ndarray:
    """One window of MFCC rows a video frame, centred on the frame, C0 dropped: what the networks hear.

    Row ``j`` of window ``t`` is centred at ``(t + 1/2) * 40 ms + (j - (rows - 1) / 2) * 10 ms``. For an even
    number of rows they lie on the clock (row ``r`` at ``(r + 1/2) * 10 ms``; window ``t`` of 28 is rows
    ``4 (t - 3)`` to ``4 (t + 4)``); for an odd number the middle row lies on the frame's centre.

    At both ends the *signal* is continued with silence (zeros), so that the first and last windows are full
    and ``n`` frames give ``n`` windows; rows of zeros as *features* would miss the rows that lie half on the
    sound. The released ATVGnet code pads 1920 samples and takes windows while they fit: that loses a frame
    (24, 49, 74 windows for 1, 2, 3 s) and centres the others 7.5 ms late.

    Parameters
    ----------
    speech:
        float32 or float64 ``(n,)``, 16 kHz mono in [-1, 1], at least one frame (640 samples).
    rows:
        Rows in a window: 28 (280 ms; {cite}`chen2019hierarchical`), 35 (350 ms; {cite}`song2019recurrent`) or
        any other number.
    settings:
        The recipe; its hop must be 160 samples, four rows a frame.

    Returns
    -------
    float32 ``(n // 640, rows, n_cepstra - 1)``.

    Raises
    ------
    InputError
        When the sound is shorter than a frame, of another type or shape, or holds NaN, or ``rows`` or the hop
        is impossible.
    """
    speech = _check_speech(speech, at_least=SAMPLES_PER_FRAME)
    n_frames = len(speech) // SAMPLES_PER_FRAME
    start, n_rows = _row_start(0, rows, settings), (n_frames - 1) * ROWS_PER_FRAME + rows
    silence = max(0, -start)
    cepstra = _cepstra(np.pad(speech, silence), start + silence, n_rows, settings)[:, 1:]
    windows = sliding_window_view(cepstra, rows, axis=0)[::ROWS_PER_FRAME]  # (N, 12, rows)
    return np.ascontiguousarray(windows.transpose(0, 2, 1), dtype=np.float32)


def mfcc_windows_between(
    speech: np.ndarray, start: int, stop: int, *, rows: int = 28, settings: MFCCSettings = PSF
) -> np.ndarray:
    """MFCC windows of frames ``start`` to ``stop``, from the speech around them only.

    Equal to ``mfcc_windows(speech)[start:stop]`` up to rounding, in memory that does not grow with the
    speech. Arguments and errors as for :func:`mfcc_windows`.
    """
    margin = rows // ROWS_PER_FRAME + 1
    first = max(0, start - margin)
    part = speech[first * SAMPLES_PER_FRAME : (stop + margin) * SAMPLES_PER_FRAME]
    return mfcc_windows(part, rows=rows, settings=settings)[start - first : stop - first]


def mfcc_stretches(
    speech: np.ndarray, step: int | None, *, first: int = 0, rows: int = 28
) -> Iterator[np.ndarray]:
    """MFCC windows of whole frames of speech, some frames at a time.

    Parameters
    ----------
    speech:
        float32 ``(640·T,)`` at 16 kHz.
    step:
        Frames at a time; None takes all at once.
    first:
        The frame to begin at.
    rows:
        Of each window.

    Yields
    ------
    float32 ``(n, rows, 12)``, n at most ``step``: see :func:`mfcc_windows_between`.
    """
    n_frames = len(speech) // SAMPLES_PER_FRAME
    step = step or n_frames
    for start in range(first, n_frames, step):
        yield mfcc_windows_between(speech, start, min(start + step, n_frames), rows=rows)


def window_reach(frame: int, *, rows: int = 28, settings: MFCCSettings = PSF) -> tuple[int, int]:
    """The samples that can influence window ``frame`` of :func:`mfcc_windows`.

    Returns
    -------
    ``(start, stop)``, ``start`` included and ``stop`` not; either may lie outside the recording. For 28 rows
    of :data:`~talkface_lite.recipes.PSF` it is ``(640 frame - 2041, 640 frame + 2680)``: 27 hops, one
    analysis window of 400 and the one sample that pre-emphasis looks back.

    Raises
    ------
    InputError
        For settings with ``top_db``: there the loudest moment of a recording reaches every window.
    """
    if settings.top_db is not None:
        raise InputError(
            "settings.top_db", settings.top_db, "None: top_db lets every sample reach every window"
        )
    start = _row_start(frame, rows, settings)
    under = np.flatnonzero(_window(settings))  # a Hann window's first sample has weight 0
    stop = start + (rows - 1) * settings.hop_length + int(under[-1]) + 1
    return start + int(under[0]) - (settings.pre_emphasis != 0), stop


def loudness(speech: np.ndarray) -> np.ndarray:
    """Loudness of each video frame: the root mean square of its 640 samples, in dB.

    0 dB is a square wave at full scale; a full-scale sine has -3.01 dB. Silence, and everything below
    :data:`LOUDNESS_FLOOR`, counts as that floor, so the result is always finite.

    Parameters
    ----------
    speech:
        float32 or float64 ``(n,)``, 16 kHz mono in [-1, 1], at least one frame.

    Returns
    -------
    float32 ``(n // 640,)`` in dB.
    """
    speech = _check_speech(speech, at_least=SAMPLES_PER_FRAME)
    n_frames = len(speech) // SAMPLES_PER_FRAME
    frames = speech[: n_frames * SAMPLES_PER_FRAME].reshape(n_frames, SAMPLES_PER_FRAME)
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return (20.0 * np.log10(np.maximum(rms, 10.0 ** (LOUDNESS_FLOOR / 20.0)))).astype(np.float32)


def fit_to_frames(speech: np.ndarray, n_frames: int | None = None) -> np.ndarray:
    """Speech of a whole number of frames, as :class:`~talkface_lite.clip.Clip` wants it.

    Parameters
    ----------
    speech:
        float32 or float64 ``(n,)``, at least one sample.
    n_frames:
        Frames wanted: cut at the end or continued with silence. None fills up the last frame.

    Returns
    -------
    float32 ``(640 * n_frames,)``, a copy.
    """
    speech = _check_speech(speech)
    n_frames = -(-len(speech) // SAMPLES_PER_FRAME) if n_frames is None else n_frames
    if n_frames < 1:
        raise InputError("n_frames", n_frames, "at least 1")
    fitted = np.zeros(n_frames * SAMPLES_PER_FRAME, dtype=np.float32)
    kept = min(len(speech), len(fitted))
    fitted[:kept] = speech[:kept]
    return fitted


def _cepstra(speech: np.ndarray, start: int, n_rows: int, settings: MFCCSettings) -> np.ndarray:
    """Cepstra ``(n_rows, n_cepstra)`` of rows that begin at samples ``start``, ``start + hop``, ..."""
    s = settings
    filters = mel_filter_bank(s).T
    logs, log_energy = np.empty((n_rows, s.n_filters)), np.empty(n_rows)
    for chunk, spectrum in _spectra(speech, start, n_rows, s):
        logs[chunk] = _log(spectrum @ filters, s)
        log_energy[chunk] = _log(spectrum.sum(axis=1), s)
    if s.top_db is not None:
        logs = np.maximum(logs, logs.max() - s.top_db)
    cepstra = logs @ cosine_transform(s).T
    if s.energy_as_c0:
        cepstra[:, 0] = log_energy
    return cepstra


def _spectra(speech: np.ndarray, start: int, n_rows: int, settings: MFCCSettings) -> Iterator[tuple]:
    """Spectra ``(rows, n_fft // 2 + 1)``, some thousand rows at a time, each with the slice of its rows."""
    s, window = settings, _window(settings)
    for first in range(0, n_rows, CHUNK_ROWS):
        last = min(first + CHUNK_ROWS, n_rows)
        begin, end = start + first * s.hop_length, start + (last - 1) * s.hop_length + s.window_length
        samples = s.full_scale * _excerpt(speech, begin - 1, end)
        emphasised = samples[1:] - s.pre_emphasis * samples[:-1]
        emphasised[max(0, len(speech) - begin) :] = 0.0  # every toolbox filters first and fills up afterwards
        rows = sliding_window_view(emphasised, s.window_length)[:: s.hop_length]
        transform = np.fft.rfft(rows * window, s.n_fft)  # the window is float64: so is all that follows
        spectrum = (transform.real**2 + transform.imag**2) ** (s.power / 2.0)
        yield slice(first, last), spectrum / s.n_fft if s.divide_by_n_fft else spectrum


def _excerpt(speech: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Samples ``begin`` to ``end`` in the type of the recording, zero wherever there is no recording."""
    excerpt = np.zeros(end - begin, dtype=speech.dtype)
    low, high = max(begin, 0), min(end, len(speech))
    if low < high:
        excerpt[low - begin : high - begin] = speech[low:high]
    return excerpt


def _window(settings: MFCCSettings) -> np.ndarray:
    n = settings.window_length
    if settings.window == "hann":
        return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)
    return np.hamming(n) if settings.window == "hamming" else np.ones(n)


def _log(values: np.ndarray, settings: MFCCSettings) -> np.ndarray:
    s = settings
    values = np.where(values == 0, s.floor, values) if s.floor_zeros_only else np.maximum(values, s.floor)
    return 10.0 * np.log10(values) if s.decibels else np.log(values)


def _row_start(frame: int, rows: int, settings: MFCCSettings) -> int:
    """First sample under the first row of window ``frame``: its rows together are centred on the frame."""
    if settings.hop_length != HOP_LENGTH:
        raise InputError(
            "settings.hop_length", settings.hop_length, f"{HOP_LENGTH} samples, four rows a frame"
        )
    if not isinstance(rows, int | np.integer) or rows < 1:
        raise InputError("rows", rows, "a whole number of at least 1, such as 28 or 35")
    centre = frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
    return centre - ((rows - 1) * HOP_LENGTH + settings.window_length) // 2


def _check_speech(speech: np.ndarray, at_least: int = 1) -> np.ndarray:
    wanted = "a numpy array (n,) of float32 samples in [-1, 1]"
    if not isinstance(speech, np.ndarray):
        raise InputError("speech", type(speech).__name__, wanted)
    if speech.dtype not in (np.float32, np.float64):
        hint = "; divide 16-bit integers by 32768" if speech.dtype == np.int16 else ""
        raise InputError("speech", speech.dtype, wanted + hint)
    if speech.ndim != 1:
        raise InputError("speech", f"shape {speech.shape}", wanted)
    if len(speech) < at_least:
        raise InputError("speech", f"{len(speech)} samples", f"at least {at_least} samples")
    bad = int(speech.size - np.isfinite(speech).sum())
    if bad:
        raise InputError("speech", f"{bad} samples that are NaN or infinite", "finite numbers")
    return speech
