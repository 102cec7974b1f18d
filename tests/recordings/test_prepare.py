"""One recording to clips: where it is cut, what goes with each piece, and what is counted."""

import numpy as np
import pytest

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.landmarks import warp_crop
from talkface_lite.recordings.base import Recording
from talkface_lite.recordings.faces import Gap, Shot
from talkface_lite.recordings.prepare import (
    Account,
    from_frame,
    intervals_within,
    prepare_recording,
    read_source,
)


def test_words_go_to_the_piece_that_holds_their_middle():
    words = (("one", 0.0, 0.5), ("two", 0.9, 1.3), ("three", 1.5, 2.5))
    assert intervals_within(words, 0, 25) == (("one", 0.0, 0.5),)
    assert [w.label for w in intervals_within(words, 25, 60)] == ["two", "three"]
    assert intervals_within(words, 25, 60)[0] == pytest.approx(("two", 0.0, 0.3))
    assert intervals_within(words, 25, 55)[1][2] == pytest.approx(1.2)


def test_a_source_of_another_kind_is_refused():
    with pytest.raises(InputError, match="talkface prepare"):
        read_source("drawn=5 split=train")


def test_frames_before_the_picture_begins_are_not_kept():
    landmarks = np.arange(10, dtype=np.float32)[:, None, None].repeat(68, 1).repeat(2, 2)
    shots = [Shot(2, 12, landmarks, (1, 4), 0), Shot(14, 24, landmarks, (), 0)]
    gaps = [Gap(0, 2, "no face"), Gap(12, 14, "no face")]
    later, around = from_frame(5, shots, gaps)
    assert [(one.start, one.stop, one.landmarks[0, 0, 0], one.bridged) for one in later] == [
        (5, 12, 3, (1,)),
        (14, 24, 0, ()),
    ]
    assert around == [Gap(0, 5, "before the picture begins"), Gap(12, 14, "no face")]
    assert from_frame(0, shots, gaps) == (shots, gaps)
    assert from_frame(13, shots, gaps)[1][1:] == [Gap(13, 14, "no face")]


def test_a_long_shot_is_cut_into_clips_that_join(tree, tmp_path, monkeypatch):
    recording = Recording(
        name="film",
        path=tree / "s1" / "film00.mp4",
        words=(Interval("bin", 0.2, 0.48), Interval("a", 0.5, 0.9)),
    )
    whole = list(prepare_recording(recording, Account(), detector="dlib"))
    monkeypatch.setattr("talkface_lite.recordings.prepare.LONGEST_CLIP", 10)
    account = Account()
    pieces = list(prepare_recording(recording, account, detector="dlib"))
    assert [len(piece) for piece in pieces] == [10, 10, 4]
    for name in ("frames", "landmarks", "speech"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole[0], name))
    assert [[w.label for w in piece.words] for piece in pieces] == [["bin"], ["a"], []]
    assert [read_source(piece.source)["frames"] for piece in pieces] == [[0, 10], [10, 20], [20, 24]]
    assert account.counts["frames_kept"] == account.counts["frames_decoded"] == 24


def test_a_film_that_breaks_the_program_is_a_row_and_all_frames_are_counted(tree, monkeypatch):
    cut, calls = warp_crop, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 15:
            raise ValueError("broken\non purpose")
        return cut(*arguments)

    monkeypatch.setattr("talkface_lite.recordings.prepare.LONGEST_CLIP", 10)
    monkeypatch.setattr("talkface_lite.recordings.prepare.warp_crop", breaks)
    account = Account()
    recording = Recording(name="film", path=tree / "s1" / "film00.mp4")
    assert [len(clip) for clip in prepare_recording(recording, account, detector="dlib")] == [10]
    assert [(row.stage, row.reason) for row in account.rejections] == [
        ("align", "an error of the program: ValueError: broken on purpose")
    ]
    counts = account.counts
    assert (counts["frames_decoded"], counts["frames_kept"], counts["frames_rejected"]) == (24, 10, 14)
