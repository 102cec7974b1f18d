import hashlib
import json
import resource

import numpy as np
import pytest

from talkface_lite.clip import Clip
from talkface_lite.corpus import synthesis
from talkface_lite.corpus.agreement import MAX_LAG, best_lag, closures, envelope, lag_curve
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.settings import name_of
from talkface_lite.corpus.synthesis import (
    clip_seed,
    draw_clip,
    motion_seed,
    read_source,
    split_of,
    style_of,
    write_corpus,
)
from talkface_lite.corpus.voice import GRID_WORDS, VOICES, grid_sentence, is_grid_sentence
from talkface_lite.errors import InputError


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def clips():
    """Twenty clips without pictures."""
    return [draw_clip(seed, paint=False) for seed in range(20)]


def same(one, other):
    arrays = ("landmarks", "speech", "frames")
    pairs = [(getattr(one, name), getattr(other, name)) for name in arrays]
    return one.words == other.words and all(a is b is None or np.array_equal(a, b) for a, b in pairs)


def test_a_clip_is_drawn_from_its_seed_alone(clips):
    assert same(draw_clip(7, paint=False), clips[7])
    assert not same(clips[7], clips[8])
    assert len({clip.identity for clip in clips}) > 15


def test_clips_are_about_three_seconds_of_grid(clips):
    for clip in clips:
        assert 1.4 < clip.seconds < 5
        assert is_grid_sentence(" ".join(word.label for word in clip.words))
        assert all(word.label in GRID_WORDS for word in clip.words)
    assert len({len(clip) for clip in clips}) > 5


def test_a_painted_clip_has_the_same_truth_and_a_picture(clips):
    clip = draw_clip(3)
    assert clip.frames.shape == (len(clip), 128, 128, 3)
    assert clip.frames.std() > 10
    np.testing.assert_array_equal(clip.landmarks, clips[3].landmarks)
    np.testing.assert_array_equal(clip.speech, clips[3].speech)


def test_the_camera_view_has_its_own_landmarks():
    clip = draw_clip(3, view="camera", paint=False)
    crop = draw_clip(3, paint=False)
    from talkface_lite.landmarks import align

    aligned, _ = align(clip.landmarks)
    np.testing.assert_allclose(aligned, crop.landmarks, atol=1e-3)
    assert clip.landmarks.max() > 130


def test_a_still_head_moves_only_with_speech():
    clip = draw_clip(5, still_head=True, paint=False)
    eyes_and_nose = clip.landmarks[:, 27:48]
    assert np.ptp(eyes_and_nose, axis=0).max() < 1e-3
    assert np.ptp(clip.landmarks[:, 48:], axis=0).max() > 3
    moving = draw_clip(5, paint=False)
    assert np.ptp(moving.landmarks[:, 27:48], axis=0).max() > 1
    np.testing.assert_array_equal(moving.speech, clip.speech)


def test_a_text_is_said_by_everyone():
    words = [tuple(w.label for w in draw_clip(s, paint=False, text="Hello there.").words) for s in range(3)]
    assert words == [("hello", "there")] * 3


def test_clean_sound_is_the_noisy_one_without_noise_and_room():
    noisy = [draw_clip(seed, paint=False) for seed in range(8)]
    clean = [draw_clip(seed, paint=False, clean=True) for seed in range(8)]
    assert all(one.phonemes == other.phonemes for one, other in zip(noisy, clean))
    assert all(read_source(clip.source)["noise"] == "none" for clip in clean)
    assert 1 <= sum(read_source(clip.source)["noise"] != "none" for clip in noisy) <= 7
    assert all(not clip.speech[:1000].any() for clip in clean)


def test_the_rule_of_the_split_never_changes():
    # a change here would mix held-out people, voices and sentences into old training runs
    assert split_of("identity", "drawn-000000") == "train"
    assert [split_of("identity", f"drawn-{n:06d}") for n in range(12)].count("test") == 3
    assert [name for name in VOICES if split_of("voice", name) == "test"] == [
        "harriet",
        "paula",
        "blanche",
        "ernest",
        "george",
    ]
    assert split_of("sentence", "place blue by u two please") == "test"


def test_a_fifth_is_held_out_of_each_kind():
    people = [split_of("identity", f"drawn-{n:06d}") for n in range(3000)]
    rng = np.random.default_rng(0)
    sentences = [split_of("sentence", grid_sentence(rng)) for _ in range(3000)]
    for sides in (people, sentences):
        assert 0.17 < sides.count("test") / 3000 < 0.23
    for feminine in (True, False):
        sides = [split_of("voice", n) for n, voice in VOICES.items() if voice.feminine == feminine]
        assert set(sides) == {"train", "test"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_holds_for_identity_voice_and_sentence(split):
    for seed in range(8):
        clip = draw_clip(seed, split=split, paint=False)
        source = read_source(clip.source)
        sentence = " ".join(word.label for word in clip.words)
        assert source["split"] == split
        for kind, name in (("identity", clip.identity), ("voice", source["voice"]), ("sentence", sentence)):
            assert split_of(kind, name) == split == source[f"{kind}_split"]


def test_one_person_has_one_face_and_one_voice():
    clips = [draw_clip(seed, person=7, paint=False) for seed in range(4)]
    assert {clip.identity for clip in clips} == {"drawn-000007"} == {name_of(7)}
    assert len({read_source(clip.source)["voice"] for clip in clips}) == 1
    assert len({tuple(word.label for word in clip.words) for clip in clips}) > 1
    others = {read_source(draw_clip(0, person=n, paint=False).source)["voice"] for n in range(8)}
    assert len(others) > 2
    side = split_of("identity", "drawn-000007")
    assert draw_clip(1, person=7, split=side, paint=False).identity == "drawn-000007"


def test_without_a_split_both_sides_occur():
    sources = [read_source(draw_clip(seed, paint=False).source) for seed in range(30)]
    assert {source["split"] for source in sources} == {"both"}
    for kind in ("identity", "voice", "sentence"):
        assert {source[f"{kind}_split"] for source in sources} == {"train", "test"}


def test_a_voice_suits_the_face_and_the_style_is_the_persons_own(clips):
    for clip in clips:
        person = Identity.draw(int(clip.identity.removeprefix("drawn-")))
        source = read_source(clip.source)
        assert VOICES[source["voice"]].feminine == (person.femininity > 0.5)
        assert float(source["strength"]) == pytest.approx(style_of(person), abs=6e-4)
        assert 0.55 <= style_of(person) <= 2


def test_bilabials_close_the_lips_within_a_frame(clips):
    smallest = np.concatenate([closures(clip) for clip in clips])
    assert len(smallest) >= 15
    assert smallest.max() < 0.1


def test_mouth_and_sound_agree_at_lag_0(clips):
    curve = np.mean([lag_curve(clip) for clip in clips], axis=0)
    assert abs(int(curve.argmax()) - MAX_LAG) <= 1
    assert curve.max() > 0.4  # in any noise, by any microphone
    assert np.mean([abs(best_lag(clip)) <= 1 for clip in clips]) >= 0.75


@pytest.mark.parametrize("frames", [-3, 3])
def test_the_measured_lag_is_the_delay_of_the_sound(clips, frames):
    curve = []
    for clip in clips:
        late = np.roll(clip.speech, 640 * frames)
        delayed = Clip(landmarks=clip.landmarks, frames=None, speech=late, phonemes=clip.phonemes)
        curve.append(lag_curve(delayed))
    undelayed = np.mean([lag_curve(clip) for clip in clips], axis=0).argmax()
    assert np.mean(curve, axis=0).argmax() - undelayed == frames


def test_closures_see_open_lips(clips):
    clip = next(clip for clip in clips if len(closures(clip)))
    landmarks = clip.landmarks.copy()
    landmarks[:, 65:68, 1] += 2
    opened = Clip(frames=None, landmarks=landmarks, speech=clip.speech, phonemes=clip.phonemes)
    assert closures(opened).min() > 1.5


def test_envelope_is_the_level_of_each_frame():
    speech = np.repeat(np.array([0.1, 0.5], np.float32), 640)
    np.testing.assert_allclose(envelope(speech), [0.1, 0.5], rtol=1e-6)


def test_a_lag_needs_speech():
    still = Clip(
        frames=None, landmarks=np.zeros((40, 68, 2), np.float32), speech=np.zeros(640 * 40, np.float32)
    )
    with pytest.raises(InputError, match="never changes"):
        lag_curve(still)
    with pytest.raises(InputError, match="at least 13"):
        lag_curve(Clip(frames=None, landmarks=still.landmarks[:10], speech=still.speech[:6400]))


def test_a_corpus_has_the_same_bytes_with_one_worker_and_with_two(tmp_path):
    one = write_corpus(tmp_path / "one", 2, 11, workers=1, text="bob", still_head=True)
    two = write_corpus(tmp_path / "two", 2, 11, workers=2, text="bob", still_head=True)
    assert [path.name for path in one] == [f"clip-{i:06d}.safetensors" for i in range(2)]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(set(digests(tmp_path / "one").values())) == 3
    assert all(path.parent == tmp_path / "two" for path in two)
    assert same(Clip.load(one[1]), draw_clip(clip_seed(11, 1), text="bob", still_head=True))


def test_films_that_say_the_same_follow_one_another(tmp_path):
    made = [
        Clip.load(path) for path in write_corpus(tmp_path / "c", 5, 11, motions=2, workers=2, paint=False)
    ]
    persons = [clip_seed(11, person) for person in (0, 0, 1, 1, 2)]
    wanted = [draw_clip(seed, paint=False) for seed in persons]
    for clip, first in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(clip.speech, first.speech)
        assert clip.words == first.words
    assert [same(*both) for both in zip(made, wanted, strict=True)] == [True, False, True, False, True]
    assert same(made[3], draw_clip(persons[3], motion=motion_seed(persons[3], 1), paint=False))
    assert len({motion_seed(person, film) for person in persons for film in (1, 2)}) == 6
    assert json.loads((tmp_path / "c" / "corpus.json").read_text())["motions"] == 2


def test_a_corpus_says_how_it_was_made_and_reports_progress(tmp_path):
    seen = []
    write_corpus(
        tmp_path / "new" / "and deep" / "c",
        2,
        5,
        workers=1,
        paint=False,
        split="test",
        progress=lambda *now: seen.append(now),
    )
    about = json.loads((tmp_path / "new" / "and deep" / "c" / "corpus.json").read_text())
    assert about["clips"] == 2
    assert about["seed"] == 5
    assert about["split"] == "test"
    assert about["paint"] is False
    assert seen == [(1, 2), (2, 2)]
    assert (tmp_path / "new" / "and deep" / "c").stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    write_corpus(tmp_path / "empty", 1, 0, workers=1, paint=False)
    before = digests(tmp_path)
    with pytest.raises(InputError, match="something already there"):
        write_corpus(tmp_path / "empty", 1, 0, workers=1, paint=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="something already there"):
        write_corpus(tmp_path / "file", 1, 0, workers=1, paint=False)
    (tmp_path / "file").unlink()
    assert digests(tmp_path) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, workers):
    # a limit on the size of files stands for the full disk; 800 kB lets espeak-ng's copy through
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, hard))
    try:
        with pytest.raises(InputError, match=r"File too large.*nothing was kept") as caught:
            write_corpus(tmp_path / "deep" / "c", 3, 0, workers=workers, paint=False, text="so long " * 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_midway_leaves_nothing(tmp_path, monkeypatch):
    real, calls = synthesis.draw_clip, []

    def fail_at_third(seed, **settings):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(seed, **settings)

    monkeypatch.setattr(synthesis, "draw_clip", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "c", 5, 0, workers=1, paint=False)
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_text_without_sound_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"^text"):
        write_corpus(tmp_path / "c", 2, 0, workers=1, paint=False, text="...")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clips": 0}, "clips"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
        ({"motions": 0}, "motions"),
        ({"motions": 2, "still_head": True}, "motions"),
        ({"split": "dev"}, "split"),
        ({"person": -1}, "person"),
        ({"person": 1_000_000}, "person"),
        ({"person": 0, "split": "test"}, "person"),
        ({"view": "side"}, "view"),
        ({"text": " "}, "text"),
    ],
)
def test_wrong_settings_are_errors(tmp_path, settings, message):
    with pytest.raises(InputError, match=f"^{message}: got"):
        write_corpus(tmp_path / "c", **{"clips": 1, "seed": 0, "workers": 1, "paint": False, **settings})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="0, of the side 'train', expected one of the side 'test'"):
        draw_clip(0, person=0, split="test")
    with pytest.raises(InputError, match=r"^seed"):
        draw_clip(-1)
