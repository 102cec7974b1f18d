"""Real voices for drawn lips: a recording whose words are known in time, said by someone who does not exist.

Nothing of the speaker's face is looked at, only the sound and the times of the words. The lips are drawn to
the phonemes, as for every other clip.
"""

from dataclasses import replace

import numpy as np
from scipy.signal import resample_poly

from talkface_lite.clip import CUT_VIEWS, FRAMING_OF, SAMPLE_RATE, SAMPLES_PER_FRAME, Clip, Interval
from talkface_lite.corpus.acoustics import Microphone, Room, add_noise, add_room, draw_noise
from talkface_lite.corpus.alignment import place_phonemes
from talkface_lite.corpus.face import Motion, face_points
from talkface_lite.corpus.manner import Manner
from talkface_lite.corpus.nods import NodHabit, nodding
from talkface_lite.corpus.synthesis import draw_identity
from talkface_lite.corpus.visemes import articulation
from talkface_lite.corpus.voice import RATE_STEP
from talkface_lite.errors import InputError
from talkface_lite.speech import fit_to_frames

QUIET_BEFORE, QUIET_AFTER = 1.0, 1.6
"""Longest digital silence, seconds, before and after half of the recordings."""


def revoice(
    recording: Clip,
    seed: int,
    *,
    still_head: bool = False,
    split: str | None = "train",
    view: str = "crop",
) -> Clip:
    """Let a drawn face say what was recorded; no pictures.

    Parameters
    ----------
    recording:
        With words in time, such as GRID's. Only its sound and its words are used.
    seed:
        Of who says it, and of what happens to the voice: seven times in ten it is played faster or slower, as
        another throat at another pace would have it; half of the time nobody speaks for a while before and
        after; rooms, noise and microphones as in the corpus.
    still_head:
        As for :func:`talkface_lite.corpus.synthesis.draw_clip`.
    split:
        The side from which the identity is drawn. Clips to learn from take none that is held out.
    view:
        ``"crop"``, or ``"head"``: then heads that move nod on stressed syllables, too.

    Raises
    ------
    InputError
        When the recording has no words, espeak divides them otherwise, or there is no such view.
    """
    if view not in CUT_VIEWS:
        raise InputError("view", repr(view), " or ".join(map(repr, CUT_VIEWS)))
    rng = np.random.default_rng([seed, 0x5E1F])
    words, phonemes = recording.words, place_phonemes(recording.words)
    speech, faster = recording.speech.astype(np.float64), 1.0
    if rng.random() < 0.7:
        wanted = float(np.clip(np.exp(rng.normal(0, 0.08)), 0.82, 1.22))
        rate = RATE_STEP * round(wanted * SAMPLE_RATE / RATE_STEP)
        faster = rate / SAMPLE_RATE
        speech = resample_poly(speech, SAMPLE_RATE // RATE_STEP, rate // RATE_STEP)
    before, after = (QUIET_BEFORE, QUIET_AFTER) * rng.random(2) if rng.random() < 0.5 else (0.0, 0.0)
    speech = np.pad(speech, (round(before * SAMPLE_RATE), round(after * SAMPLE_RATE)))
    before = round(before * SAMPLE_RATE) / SAMPLE_RATE
    words, phonemes = (
        tuple(
            Interval(one.label, before + one.start / faster, before + one.end / faster) for one in intervals
        )
        for intervals in (words, phonemes)
    )
    speech = fit_to_frames(_elsewhere(speech, rng).clip(-1, 1).astype(np.float32))
    n_frames = len(speech) // SAMPLES_PER_FRAME
    identity = draw_identity(rng, split)
    manner = Manner.draw(identity, seed)
    moves = Motion.draw(seed, n_frames, still=still_head)
    if view == "head" and not still_head:
        moves = nodding(moves, phonemes, NodHabit.draw(identity))
    geometry = face_points(
        identity, articulation(phonemes, n_frames, strength=manner.strength, rest=manner.rest), moves
    )
    return replace(
        recording,
        frames=None,
        landmarks=geometry.head_landmarks if view == "head" else geometry.landmarks,
        speech=speech,
        words=words,
        phonemes=phonemes,
        identity=identity.name,
        source=f"revoiced={seed} voice={recording.identity or 'real'} rest={manner.at_rest}",
        framing=FRAMING_OF[view],
    )


def _elsewhere(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In another room, in noise, by another microphone, each most times."""
    if rng.random() < 0.4:
        speech = add_room(speech, Room.draw(rng), rng)
    if rng.random() < 0.6:
        kind = draw_noise(rng)
        speech = add_noise(speech, rng.uniform(5, 45), rng, kind)
    return Microphone.draw(rng).record(speech) if rng.random() < 0.7 else speech
