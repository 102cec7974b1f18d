"""Systems and clips with known truth → one report: landmarks, lips, pictures, beside what learned nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.measuring.baselines import WARPED, baselines, can_warp, warped
from talkface_lite.measuring.clips import ClipFigures, Key, measure_clip
from talkface_lite.measuring.landmarks import LANDMARK_METRICS
from talkface_lite.measuring.lip_reading import LipJudge
from talkface_lite.measuring.lips import rest_frame
from talkface_lite.measuring.pairs import summary
from talkface_lite.measuring.pictures import PICTURE_METRICS, FindPoints
from talkface_lite.measuring.recrop import measured_of, rows_in_own_crop
from talkface_lite.measuring.report import about_clip, per_clip_of, report_of, speakers_of
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems import load, system_class
from talkface_lite.systems.base import FROM_SPEECH, Shown, System
from talkface_lite.systems.part import shipped_weights

__all__ = ["METRICS", "REST", "evaluate", "photographs", "shipped", "summary"]

METRICS: tuple[str, ...] = (*LANDMARK_METRICS, *PICTURE_METRICS, "drift")
"""The figures of a whole face that a row can have; those of its lips are in
:mod:`talkface_lite.measuring.lips`."""

REST = "rest"
"""The photograph that :func:`~talkface_lite.measuring.lips.rest_frame` chooses."""


def evaluate(
    systems: System | Mapping[str, System],
    clips: Iterable[Clip],
    *,
    pictures: bool = False,
    find_points: FindPoints | None = None,
    judge: LipJudge | None = None,
    example: int | str | None = 0,
    frame_step: int = 1,
    seed: int = 0,
    warp: bool = True,
    by_speaker: bool = False,
    per_clip: bool = False,
) -> dict[str, Any]:
    """Let systems say what each clip says, from one frame of it, and compare with what the clip shows.

    Parameters
    ----------
    systems:
        Trained; several by name, or one, which then has its own.
    clips:
        With true landmarks, aligned or of the whole head (:mod:`talkface_lite.framing`), which systems need
        that move it; with pictures where these are to be measured. One at a time is held in memory, and what
        is measured is the aligned face.
    pictures:
        Whether to measure pictures too.
    find_points:
        A detector; with it, ``lmd`` is the distance of the mouth points it sees in a film from those that it
        sees in the clip, each mouth centred, and ``missed`` the share of frames where it sees no face in one
        of them. Figures of the lips that it sees in film and clip alike begin with ``seen_``, but for
        ``lmd_over_copy``.
    judge:
        A reader of lips, with pictures; then rows have LRA: ``lra_top1`` and ``lra_top5``, which share of the
        words that it knows it reads off a film, at its first guess or among its first five.
    example:
        Which frame of each clip is the photograph, in shorter clips the last; ``"rest"`` is the one with the
        least lip opening within the first half second, None draws one at random.
    frame_step:
        SSIM and detector look at every such frame. Above 1, no figure that is ``seen_`` says anything of
        movements from frame to frame.
    seed:
        Of that draw, of what a system draws at random, and of the bootstrap.
    warp:
        Whether, with pictures, the unlearned warp stands beside.
    by_speaker, per_clip:
        Whether to add ``speakers``, ``per_clip``.

    Returns
    -------
    dict
        ``clips``, ``frames``, ``frame_step``, ``seed``, ``example``; ``how``, what each system says of how it
        makes its film (:attr:`~talkface_lite.systems.base.System.how`); ``real``, the lips of the clips
        themselves; ``baselines`` with the rows ``copy_photo``, ``mean_mouth``, ``loudness`` and, with
        pictures, ``mean_picture`` and ``warp_with_truth`` (see :mod:`talkface_lite.measuring.baselines`);
        ``systems``, and in it for each system its rows, as
        :meth:`~talkface_lite.systems.base.System.rows` names them: ``from_speech`` is the system as it is
        used, and ``warped``, with pictures, the photograph warped to its landmarks.

        A row has, for each figure that was measured
        (:data:`~talkface_lite.measuring.landmarks.LANDMARK_METRICS`,
        :data:`~talkface_lite.measuring.pictures.PICTURE_METRICS`, ``drift`` and, where a detector looks,
        ``seen_zoom_spread`` and ``seen_pose_spread`` (see :mod:`talkface_lite.measuring.drift`),
        :data:`~talkface_lite.measuring.lips.LIP_FIGURES`,
        :data:`~talkface_lite.measuring.lips.AMPLITUDES`, :data:`~talkface_lite.measuring.lips.MOVEMENTS` and
        :data:`~talkface_lite.measuring.lips.BACK`), the ``median`` over clips and its 95 % bootstrap interval
        ``low``, ``high``, None where no clip has a finite value; LRA is a ``share``, the mean over clips,
        with its interval. A ratio (``_over_copy``, ``_over_still``, ``_over_real``) is taken clip by clip, so
        that its interval is one of pairs. So is ``mouth_gain``:
        PSNR of the mouth box over the copy's; ``gain_over_mean_picture``, over that of the clip's own mean
        picture; and ``gain_over_warp``, over that of the unlearned warp to the same landmarks. Plain numbers
        are ``share_of_mean_mouth``, the median mouth distance over the mean mouth's; and shares of clips:
        ``share_above_warp``, ``share_back_at_rest``, and ``share_of_onsets_within_real``, whose jump is no
        larger than the real ones' 95th percentile, ``onset_jump_p95`` of ``real``.

        ``speakers`` holds such a report of each identity's clips; ``per_clip`` the values of each clip, in
        rows of the same names, and which clips these are: see
        :func:`talkface_lite.measuring.pairs.compare_reports`.

    Raises
    ------
    InputError
        When there is no clip, a clip has no pictures where they are asked for, or the example is no frame.
    """
    named = {systems.name: systems} if isinstance(systems, System) else dict(systems)
    if isinstance(example, str) and example != REST:
        raise InputError("example", repr(example), f"the number of a frame, {REST!r} or None")
    rng = np.random.default_rng(seed)
    basis = ShapePCA.pretrained()
    mean_face = basis.decode(np.zeros(len(basis.components), np.float32))
    measured: list[ClipFigures] = []
    for clip in clips:
        if pictures and clip.frames is None:
            raise InputError(f"clip {len(measured)}", "no pictures", "clips with pictures")
        whole, clip = clip, measured_of(clip)
        shown = _photograph(clip, example, rng)
        warping = pictures and warp and can_warp(clip)
        rows: dict[Key, Shown] = {
            ("", name): row for name, row in baselines(clip, shown, mean_face, pictures, warping).items()
        }
        for name, system in named.items():
            own = np.random.default_rng([seed, len(measured)])
            its = dict(rows_in_own_crop(system, whole, shown, own, pictures=pictures, measured=clip))
            said = its[FROM_SPEECH].landmarks if FROM_SPEECH in its else None
            if warping and said is not None:
                its[WARPED] = Shown(None, warped(clip, shown, said))
            rows |= {(name, row): it for row, it in its.items()}
        looks = {"find_points": find_points, "judge": judge} if pictures else {}
        looks["frame_step"] = frame_step
        measured.append(measure_clip(clip, shown, rows, **looks))
    if not measured:
        raise InputError("clips", "none", "at least one clip")
    report = report_of(measured, list(named), seed)
    report |= {"frame_step": frame_step, "seed": seed, "example": "random" if example is None else example}
    report["how"] = {name: system.how for name, system in named.items()}
    if by_speaker:
        report["speakers"] = speakers_of(measured, list(named), seed)
    if per_clip:
        report["per_clip"] = per_clip_of(measured, list(named))
    return report


def photographs(clips: Iterable[Clip], example: int | str | None = 0, seed: int = 0) -> list[dict[str, Any]]:
    """Which clips :func:`evaluate` would measure from which photographs, as its ``per_clip`` says it."""
    rng = np.random.default_rng(seed)
    return [about_clip(clip, len(clip), _photograph(measured_of(clip), example, rng)) for clip in clips]


def _photograph(clip: Clip, example: int | str | None, rng: np.random.Generator) -> int:
    if example is None:
        return int(rng.integers(len(clip)))
    return rest_frame(clip.landmarks) if example == REST else min(int(example), len(clip) - 1)


def shipped(
    names: Sequence[str],
    size: str = "lite",
    *,
    settings: Any = None,
    variants: bool = False,
    pictures: bool = True,
) -> dict[str, System]:
    """The systems that the package has weights of, and their variants as ``name variant``.

    Without ``pictures`` those variants are left out that differ in parts which need pictures alone: their
    landmarks would be the same once more.
    """
    found: dict[str, System] = {}
    for name in names:
        kind = system_class(name)
        for variant in ("", *(kind.variants if variants else ())):
            changed = kind.variants.get(variant, {})
            if variant and not pictures and all(p.needs.pictures for p in kind.parts if p.name in changed):
                continue
            needed = [
                shipped_weights(name, part.name, size, variant if part.name in changed else "")
                for number, part in enumerate(kind.parts)
                if number < kind.required or part.name in changed
            ]
            if all(path.is_file() for path in needed):
                key = f"{name} {variant}" if variant else name
                found[key] = load(name, size, variant=variant, settings=settings)
    return found
