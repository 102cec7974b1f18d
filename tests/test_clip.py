"""The record checks itself, saves and loads without loss, and never appears half-written."""

import hashlib
import json

import numpy as np
import pytest

from talkface_lite import clip as clock
from talkface_lite.clip import (
    CUT_VIEWS,
    FRAMING_OF,
    FRAMINGS,
    SIDES,
    VIEW_OF,
    Clip,
    check_photograph,
    frame_times,
)
from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_atomically, write_tensors


def fields(n_frames: int = 3, **changed) -> dict:
    rng = np.random.default_rng(0)
    return {
        "frames": rng.integers(0, 256, (n_frames, 8, 10, 3), dtype=np.uint8),
        "landmarks": rng.normal(64, 20, (n_frames, 68, 2)).astype(np.float32),
        "speech": rng.uniform(-1, 1, 640 * n_frames).astype(np.float32),
        "words": (("bin", 0.0, 0.05), ("blue", 0.05, 0.12)),
        "phonemes": (("b", 0.0, 0.02),),
        "identity": "ida",
        "source": "test",
    } | changed


def test_round_trip_keeps_every_field(tmp_path):
    clip = Clip(**fields())
    # as text, too: a path need not be a Path
    path = clip.save(str(tmp_path / "more" / "than one" / "folder deep" / "a.clip"))
    assert path == tmp_path / "more" / "than one" / "folder deep" / "a.clip"
    loaded = Clip.load(str(path))
    for name in ("frames", "landmarks", "speech"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(clip, name))
    assert (loaded.words, loaded.phonemes) == (clip.words, clip.phonemes)
    assert (loaded.identity, loaded.source) == ("ida", "test")
    assert loaded.words[1].label == "blue"
    assert loaded.words[1].end == 0.12


def test_equal_clips_give_equal_bytes(tmp_path):
    first, second = (Clip(**fields()).save(tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("framing", clock.FRAMINGS)
def test_how_it_is_cut_is_kept(tmp_path, framing):
    path = Clip(**fields(framing=framing)).save(tmp_path / "a")
    assert Clip.load(path).framing == framing
    assert Clip.load(path, frames=False).framing == framing
    record, _ = read_tensors(path, key="clip", text=clock.FORMAT, what="clip")
    assert record.get("framing", "aligned") == framing
    assert ("framing" in record) == (framing != "aligned")


def test_an_aligned_clip_has_the_bytes_it_always_had(tmp_path):
    assert clock.FRAMINGS == ("aligned", "head", "camera")
    assert (clock.ALIGNED, clock.HEAD, clock.CAMERA) == clock.FRAMINGS
    assert Clip(**fields()).framing == "aligned"
    landmarks = np.arange(2 * 136, dtype=np.float32).reshape(2, 68, 2)
    clip = Clip(frames=None, landmarks=landmarks, speech=np.zeros(1280, np.float32), identity="ida")
    content = clip.save(tmp_path / "a").read_bytes()
    # of the same clip, written before there was another framing
    assert hashlib.sha256(content).hexdigest()[:16] == "ef78a15f57361721"


def test_picture_is_optional_and_can_stay_on_disk(tmp_path):
    path = Clip(**fields()).save(tmp_path / "a")
    assert Clip.load(path, frames=False).frames is None
    assert Clip.load(Clip(**fields(frames=None)).save(tmp_path / "b")).frames is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"frames": np.zeros((2, 8, 8, 3), np.uint8)},
            r"Clip.frames: got shape \(2, 8, 8, 3\), expected shape \(3,",
        ),
        ({"frames": np.zeros((3, 8, 8, 3), np.float32)}, "Clip.frames: got float32, expected uint8"),
        ({"landmarks": np.zeros((3, 67, 2), np.float32)}, r"Clip.landmarks: got shape \(3, 67, 2\)"),
        ({"landmarks": np.zeros((0, 68, 2), np.float32)}, "Clip.landmarks: got 0 frames"),
        (
            {"landmarks": np.full((3, 68, 2), np.nan, np.float32)},
            "Clip.landmarks: got 408 values that are NaN",
        ),
        ({"landmarks": [[1, 2]]}, "Clip.landmarks: got list"),
        (
            {"speech": np.zeros(1919, np.float32)},
            r"Clip.speech: got shape \(1919,\), expected shape \(1920\)",
        ),
        ({"speech": np.full(1920, 1.5, np.float32)}, "Clip.speech: got a peak of 1.5"),
        (
            {"speech": np.full(1920, np.inf, np.float32)},
            "Clip.speech: got 1920 values that are NaN or infinite",
        ),
        ({"words": (("bin", 0.05, 0.01),)}, "Clip.words: got 'bin' from 0.05 s to 0.01 s"),
        ({"words": (("bin", 0.0, 0.2),)}, "within 0..0.12 s"),
        ({"phonemes": (("b", 0.05, 0.1), ("i", 0.01, 0.1))}, "Clip.phonemes: got 'i' starting before"),
        ({"identity": 7}, "Clip.identity: got int, expected text"),
        ({"framing": "crop"}, "Clip.framing: got 'crop', expected aligned or head or camera$"),
        ({"framing": None}, "Clip.framing: got None, expected aligned or head or camera$"),
    ],
)
def test_wrong_fields_are_named(changed, message):
    with pytest.raises(InputError, match=message):
        Clip(**fields(**changed))


def test_one_clock():
    # 25 frames a second, 16 kHz, a row of MFCC each 10 ms: 40 ms are a frame, 640 samples and 4 rows
    assert (clock.FRAMES_PER_SECOND, clock.SAMPLE_RATE) == (25, 16_000)
    assert clock.SAMPLES_PER_FRAME == 640
    assert clock.ROWS_PER_FRAME == 4
    assert (clock.CROP_SIZE, clock.N_POINTS) == (128, 68)


def test_frames_are_centred_half_a_frame_in():
    np.testing.assert_allclose(frame_times(3), [0.02, 0.06, 0.10])
    assert Clip(**fields()).seconds == pytest.approx(0.12)


@pytest.mark.parametrize("content", [b"", b"not a clip", b"\x08\0\0\0\0\0\0\0{}      "])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        Clip.load(path)


@pytest.mark.parametrize("lost", ["landmarks", "speech", "words", "phonemes", "identity", "source"])
def test_a_file_without_a_field_is_refused_by_its_name(tmp_path, lost):
    given = fields()
    tensors = {name: given[name] for name in ("landmarks", "speech") if name != lost}
    about = {name: given[name] for name in ("words", "phonemes", "identity", "source") if name != lost}
    path = write_tensors(tmp_path / "a", tensors, about, key="clip", text=clock.FORMAT)
    with pytest.raises(InputError, match=f"a clip without '{lost}', expected every field of a clip"):
        Clip.load(path)
    odd = write_tensors(
        tmp_path / "b",
        {**tensors, "landmarks": given["landmarks"], "speech": given["speech"]},
        {"identity": "", "source": "", "words": [["one"]], "phonemes": []},
        key="clip",
        text=clock.FORMAT,
    )
    with pytest.raises(InputError, match="a clip without"):
        Clip.load(odd)


def test_cut_file_is_refused(tmp_path):
    path = Clip(**fields()).save(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="unreadable"):
        Clip.load(path)
    with pytest.raises(InputError, match="no such file"):
        Clip.load(tmp_path / "missing")


def test_record_is_text_and_numbers_only(tmp_path):
    content = Clip(**fields()).save(tmp_path / "a").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) == {"__metadata__", "frames", "landmarks", "speech"}


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path):
    # a temporary file is its owner's alone
    assert write_atomically(tmp_path / "a", b"").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("number", "wrong", "said"),
    [
        (0, lambda photo: photo[:100], r"photo: got uint8 \(100, 128, 3\), expected uint8 \(128, 128, 3\)"),
        (0, lambda photo: photo.astype(np.float32), r"photo: got float32 \(128, 128, 3\)"),
        (1, lambda example: example[1:], r"example: got shape \(67, 2\), expected \(68, 2\)"),
        (2, lambda points: points[:, 1:], r"landmarks: got shape \(3, 67, 2\), expected \(T, 68, 2\)"),
        (2, lambda points: points[0], r"landmarks: got shape \(68, 2\)"),
        (2, lambda points: points[:0], r"landmarks: got shape \(0, 68, 2\), .* T at least 1"),
    ],
)
def test_what_is_no_photograph_with_landmarks_is_named(number, wrong, said):
    right = [np.zeros((128, 128, 3), np.uint8), np.zeros((68, 2)), np.zeros((3, 68, 2))]
    check_photograph(*right)
    right[number] = wrong(right[number])
    with pytest.raises(InputError, match=said):
        check_photograph(*right)


def test_another_side_of_a_photograph():
    photo, points = np.zeros((256, 256, 3), np.uint8), np.zeros((3, 68, 2))
    check_photograph(photo, points[0], points, 256)
    with pytest.raises(InputError, match=r"photo: got uint8 \(256, 256, 3\), expected uint8 \(128, 128, 3\)"):
        check_photograph(photo, points[0], points)


def test_a_view_and_a_framing_are_one_another():
    assert FRAMING_OF == {"crop": "aligned", "head": "head", "camera": "camera"}
    assert VIEW_OF == {"aligned": "crop", "head": "head", "camera": "camera"}
    assert set(VIEW_OF) == set(FRAMINGS)
    assert CUT_VIEWS == ("crop", "head")
    assert SIDES == (128, 256)
    for names in (FRAMING_OF, VIEW_OF):
        with pytest.raises(TypeError):
            names["side"] = "camera"
