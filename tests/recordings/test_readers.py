"""The readers, on tiny trees in the layouts as published. The videos are empty: a reader opens none."""

import os

import pytest
from trees import labels, listed, plant

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings import text
from talkface_lite.recordings.readers import READERS, read

NAMES = [
    "with space",
    'it\'s "quoted"',
    "two\nlines",
    "Größe",
    "誰か",
    "مرحبا",
    "-rf",
    "a;b,c",
    "%s{0}",
    "\\back",
    "\udcff\udcfe",
]
METADATA = "Disk reference: 5535415699068794046\nChannel: BBC One HD\nDuration: 0.50 seconds\n"
BOXES = (
    "Identity  : \tid00012\nReference : \t21Uxsk56VDQ\nOffset    : \t-2\nFV Conf   : \t16.238\t(1)\n"
    "ASD Conf  : \t4.166\n\nFRAME \tX \tY \tW \tH \n000245 \t0.382 \t0.133 \t0.138 \t0.245 \n"
    "000246 \t0.382 \t0.133 \t0.138 \t0.245 \n"
)


def test_grid_in_each_of_its_layouts(tmp_path):
    files = {f"{name}.align": f"0 1000 sil\n1000 2000 {word}\n" for name, word in [
        ("align/s1/a", "one"), ("s2/align/a", "two"), ("s3/a", "three"), ("alignments/s4/a", "four")
    ]}  # fmt: skip
    videos = ["s1/a.mpg", "s1/b.mpg", "s2/video/mpg_6000/a.mpg", "s3/a.avi", "s4/video/a.MP4", "more/a.mpg"]
    recordings, rejections = listed(
        "grid", plant(tmp_path, {**files, **dict.fromkeys(videos, ""), "s1/a.wav": ""})
    )
    assert not rejections
    assert {name: (r.identity, labels(r.words)) for name, r in recordings.items()} == {
        "more/a.mpg": ("", ""),
        "s1/a.mpg": ("s1", "one"),
        "s1/b.mpg": ("s1", ""),
        "s2/video/mpg_6000/a.mpg": ("s2", "two"),
        "s3/a.avi": ("s3", "three"),
        "s4/video/a.MP4": ("s4", "four"),
    }
    assert recordings["s1/a.mpg"].words == (Interval("one", 0.04, 0.08),)


def test_grid_takes_no_alignment_of_another_speaker(tmp_path):
    recordings, _ = listed(
        "grid", plant(tmp_path, {"align/a.align": "0 9 x", "align/s1/a.align": "0 9 y", "s2/a.mpg": ""})
    )
    assert recordings["s2/a.mpg"].words == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Größe", "Größe"),
        ("誰か", "誰か"),
        ("with space", "with space"),
        ("two\nlines", r"two\nlines"),
        ("bell\a", r"bell\x07"),
        ("\u202eesrever", r"\u202eesrever"),
        ("\udcff", r"\udcff"),
    ],
)
def test_names_are_shown_as_people_write_them_and_the_rest_is_spelled_out(tmp_path, name, shown):
    assert text.printable(name) == shown
    _, rejections = listed("grid", plant(tmp_path, {f"s1/{name}.mpg": "", f"s1/{name}.align": "no numbers"}))
    assert [rejection.file for rejection in rejections] == [f"s1/{name}.align"]
    assert rejections[0].reason.startswith(f"s1/{shown}.align, line 1: got ")
    assert rejections[0].reason.endswith(f"s1/{shown}.mpg is listed without words")


def test_texts_are_read_up_to_their_limit_and_what_cannot_be_is_named(tmp_path):
    assert (text.SMALL, text.LARGE) == (1_000_000, 50_000_000)
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert text.read_text(tmp_path, "a", 100) == "x" * 100
    with pytest.raises(InputError, match="a: got more than 99 bytes, expected a shorter text file"):
        text.read_text(tmp_path, "a", 99)
    with pytest.raises(InputError, match=r"none: got an unreadable file \(No such file or directory\)"):
        text.read_text(tmp_path, "none", 99)
    (tmp_path / "b").write_bytes(b"\xff")
    assert text.read_text(tmp_path, "b", 9) == "\ufffd"


def test_videos_are_told_by_the_name_and_lines_come_without_their_space(tmp_path):
    plant(tmp_path, {"a.mp4": "", "b.txt": "", "deep/c.MOV": "", "mp4": ""})
    assert sorted(entry[0] for entry in text.videos(tmp_path)) == ["a.mp4", "deep/c.MOV"]
    # what is called like a video counts, not what lies in a folder called so
    plant(tmp_path, {"x.mp4/d.txt": ""})
    assert sorted(entry[0] for entry in text.videos(tmp_path)) == ["a.mp4", "deep/c.MOV"]
    assert list(text.lines_of("\ufeff one \n\n\t\n two\t\n")) == [(1, "one"), (4, "two")]


def test_intervals_are_sorted_by_start_against_the_one_above():
    def told(*times: tuple[str, str]) -> tuple:
        return text.intervals_in([("here", "w", a, b) for a, b in times], per_second=2)

    assert told(("0", "4"), ("0", "2"), ("3", "4")) == (("w", 0, 2), ("w", 0, 1), ("w", 1.5, 2))
    for late in [(("2", "3"), ("1", "4")), (("0", "1"), ("5", "6"), ("4", "7"))]:
        with pytest.raises(InputError, match=f"here: got a start of {late[-1][0]}, expected lines sorted"):
            told(*late)
    with pytest.raises(InputError, match="here: got 3 to 2, expected an end"):
        told(("3", "2"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "''"),
        ("x" * 60, f"'{'x' * 60}'"),
        ("x" * 61, f"'{'x' * 59}..."),
        ("\n" * 30, f"'{chr(92)}n" + f"{chr(92)}n" * 29 + "'"),
        ("\n" * 31, f"'{chr(92)}n" + f"{chr(92)}n" * 28 + f"{chr(92)}..."),
    ],
)
def test_a_value_is_shown_to_sixty_characters(value, shown):
    assert text.shortened(value) == shown


def test_one_speaker_of_grid(tmp_path):
    root = plant(tmp_path / "s7", {"a.mpg": "", "align/a.align": "0 1000 bin\n"})
    recordings, _ = listed("grid", root)
    assert recordings["a.mpg"].identity == "s7"
    assert labels(recordings["a.mpg"].words) == "bin"


@pytest.mark.real
def test_real_grid(real):
    recordings, rejections = listed("grid", real / "grid")
    assert not rejections
    assert len(recordings) == 7
    assert {r.identity for r in recordings.values()} == {"s1", "s2", "s3", "s5", "s20", "s23", "s32"}
    words = recordings["s1/bbaf2n.mpg"].words
    assert labels(words) == "bin blue at f two now"
    lines = (real / "grid" / "align" / "s1" / "bbaf2n.align").read_text().split("\n")[1:7]
    # 1,000 units are a frame of 40 ms
    assert [round(t * 25_000) for word in words for t in word[1:]] == [
        int(t) for line in lines for t in line.split()[:2]
    ]
    assert words[0].start == pytest.approx(23.75 * 0.040)


@pytest.mark.parametrize(
    ("kind", "video", "broken"),
    [
        ("grid", "s1/a.mpg", "align/s1/a.align"),
        ("lrw", "ABOUT/val/ABOUT_00001.mp4", "ABOUT/val/ABOUT_00001.txt"),
        ("voxceleb", "mp4/id00012/x/00001.mp4", "txt/id00012/x/00001.txt"),
        ("tcd-timit", "volunteers/01M/Clips/straightcam/sa1.mp4", "all.mlf"),
        ("folder", "a.mp4", "recordings.csv"),
    ],
)
@pytest.mark.parametrize("content", ["0 five bin\n", "", "\x00\x01", "long"])
def test_a_broken_text_loses_what_it_says_but_not_the_video(
    tmp_path, monkeypatch, kind, video, broken, content
):
    if content == "long":
        monkeypatch.setattr(text, "SMALL", 100)
        monkeypatch.setattr(f"talkface_lite.recordings.{kind.replace('-', '_')}.LARGE", 100, raising=False)
        content = "0 1 a\n" * 20
    recordings, rejections = listed(kind, plant(tmp_path, {video: "", broken: content}))
    assert list(recordings) == [video]
    assert not recordings[video].words
    assert [rejection.file for rejection in rejections] == [broken]
    assert rejections[0].reason.startswith(broken)
    assert "listed without" in rejections[0].reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_text_without_rights(tmp_path):
    plant(tmp_path, {"s1/a.mpg": "", "s1/a.align": "0 9 bin"})
    (tmp_path / "s1/a.align").chmod(0)
    recordings, rejections = listed("grid", tmp_path)
    assert recordings["s1/a.mpg"].words == ()
    assert "Permission denied" in rejections[0].reason


@pytest.mark.parametrize("top", ["", "lipread_mp4/"])
def test_lrw(tmp_path, top):
    root = plant(tmp_path, {
        f"{top}ABOUT/train/ABOUT_00001.mp4": "",
        f"{top}ABOUT/train/ABOUT_00001.txt": METADATA,
        f"{top}ABOUT/val/ABOUT_00002.mp4": "",
        f"{top}THERE/test/THERE_00050.mp4": "",
        f"{top}THERE/test/THERE_00050.txt": METADATA.replace("0.50", "1.16"),
    })  # fmt: skip
    recordings, rejections = listed("lrw", root)
    assert not rejections
    first, second, third = recordings.values()
    assert [(r.split, r.identity, dict(r.about)["word"]) for r in (first, second, third)] == [
        ("train", "", "ABOUT"),
        ("val", "", "ABOUT"),
        ("test", "", "THERE"),
    ]
    assert first.words == (Interval("ABOUT", pytest.approx(0.33), pytest.approx(0.83)),)
    assert dict(first.about)["Channel"] == "BBC One HD"
    assert second.words == ()
    assert third.words == (Interval("THERE", 0, pytest.approx(1.16)),)


MLF = (
    '#!MLF!#\n"*/01M/Clips/straightcam/sa1.rec"\n0 2400000 sil\n2400000 3500000 sh\n.\n'
    '"Q:\\Videos\\TCD-TIMIT\\volunteers\\02F\\Clips\\straightcam\\si459.rec"\n0 900000 ih\n.\n'
)
TCD = [
    "lipspeakers/Lipspkr1/Clips/straightcam/sa1.mp4",
    "volunteers/01M/Clips/30degcam/sa1.mp4",
    "volunteers/01M/Clips/straightcam/sa1.mp4",
    "volunteers/02F/Clips/straightcam/si459.mp4",
    "volunteers/02F/Clips/straightcam/sx1.mp4",
]


def test_tcd_timit(tmp_path):
    lips = '#!MLF!#\n"/x/lipspeakers/Lipspkr1/Clips/straightcam/sa1.rec"\n0 10000000 aa\n.\n'
    files = {
        **dict.fromkeys(TCD, ""),
        "volunteer_labelfiles.mlf": MLF,
        "labels/lipspeaker_labelfiles.mlf": lips,
    }
    recordings, rejections = listed("tcd-timit", plant(tmp_path, files))
    assert not rejections
    assert [(r.identity, dict(r.about)["camera"], labels(r.phonemes)) for r in recordings.values()] == [
        ("Lipspkr1", "straightcam", "aa"),
        ("01M", "30degcam", ""),
        ("01M", "straightcam", "sil sh"),
        ("02F", "straightcam", "ih"),
        ("02F", "straightcam", ""),
    ]
    assert not any(r.words for r in recordings.values())
    assert recordings[TCD[0]].phonemes == (Interval("aa", 0, 1),)


def test_tcd_timit_with_words(tmp_path):
    words = '#!MLF!#\n"*/01M/sa1.rec"\n0 5 sil\n5 9 SHE\n9 12 HAD\n12 12 sp\n.\n'
    phonemes = '#!MLF!#\n"*/02F/sx1.rec"\n0 5 k\n.\n'
    files = {**dict.fromkeys(TCD, ""), "a.mlf": MLF, "b.mlf": phonemes, "words.mlf": words}
    recordings, _ = listed("tcd-timit", plant(tmp_path, files))
    assert labels(recordings[TCD[2]].words) == "SHE HAD"
    assert labels(recordings[TCD[2]].phonemes) == "sil sh"
    # the last two label files name no camera
    assert labels(recordings[TCD[1]].words) == "SHE HAD"
    assert labels(recordings[TCD[4]].phonemes) == "k"


def test_tcd_timit_label_files_that_cannot_be_used(tmp_path):
    files = {
        "1.mlf": MLF,
        "2.mlf": MLF.replace("sh", "zh"),
        "3.mlf": '#!MLF!#\n"*/sa1.rec"\n0 1 a\n.\n',
        "volunteers/01M/4.mlf": '#!MLF!#\n"*/straightcam/sa1.rec"\n0 1 a\n.\n',
    }
    recordings, rejections = listed("tcd-timit", plant(tmp_path, {**files, TCD[2]: ""}))
    assert labels(recordings[TCD[2]].phonemes) == "sil sh"
    assert [(r.file, r.reason.split(" and")[0]) for r in rejections] == [
        ("2.mlf", "1 entries differ from an entry met before"),
        ("3.mlf", "1 entries name no speaker"),
        ("volunteers/01M/4.mlf", "1 entries differ from an entry met before"),
    ]


@pytest.mark.parametrize(
    ("video", "boxes", "split"),
    [
        ("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "dev/txt/id00012/21Uxsk56VDQ/00001.txt", "dev"),
        ("test/mp4/id00012/21Uxsk56VDQ/00001.mp4", "txt/id00012/21Uxsk56VDQ/00001.txt", "test"),
        ("vox2_dev_mp4/id00012/21Uxsk56VDQ/00001.mp4", "vox2_dev_txt/id00012/21Uxsk56VDQ/00001.txt", "dev"),
        ("id00012/21Uxsk56VDQ/00001.avi", "id00012/21Uxsk56VDQ/00001.txt", ""),
    ],
)
def test_voxceleb(tmp_path, video, boxes, split):
    root = plant(tmp_path / "root", {video: "", boxes: BOXES})
    recordings, rejections = listed("voxceleb", root)
    assert not rejections
    recording = recordings[video]
    assert (recording.identity, recording.split, recording.words) == ("id00012", split, ())
    assert dict(recording.about) == {
        "reference": "21Uxsk56VDQ",
        "offset": "-2",
        "boxes": "2",
        "boxes_unit": "share",
        "first_frame": "245",
    }


def test_voxceleb_without_boxes(tmp_path):
    recordings, rejections = listed(
        "voxceleb", plant(tmp_path, {"dev/mp4/id00012/abc/1.mp4": "", "loose.mp4": ""})
    )
    assert not rejections
    assert dict(recordings["dev/mp4/id00012/abc/1.mp4"].about) == {"reference": "abc"}
    assert recordings["loose.mp4"].identity == ""


def test_crema_d(tmp_path):
    videos = [
        "1001_DFA_ANG_XX.flv",
        "1040_ITH_SAD_X.flv",
        "1091_WSI_HAP_HI.mp4",
        "1002_QQQ_ANG_LO.flv",
        "title.flv",
    ]
    root = plant(tmp_path, {f"VideoFlash/{video}": "" for video in videos})
    recordings, rejections = listed("crema-d", plant(root, {"AudioWAV/1001_DFA_ANG_XX.wav": ""}))
    assert not rejections
    found = {name.split("/")[1]: (r.identity, *dict(r.about).values()) for name, r in recordings.items()}
    assert found == {
        "1001_DFA_ANG_XX.flv": ("1001", "Don't forget a jacket", "anger", "unspecified"),
        "1040_ITH_SAD_X.flv": ("1040", "I think I have a doctor's appointment", "sad", "unspecified"),
        "1091_WSI_HAP_HI.mp4": ("1091", "We'll stop in a couple of minutes", "happy", "high"),
        "1002_QQQ_ANG_LO.flv": ("1002", "anger", "low"),
        "title.flv": ("",),
    }


@pytest.mark.parametrize("name", NAMES)
def test_strange_names(tmp_path, name):
    try:
        plant(tmp_path, {f"s1/{name}.mpg": "", f"align/s1/{name}.align": "0 oops x"})
    except (OSError, UnicodeError):
        pytest.skip("the file system refuses this name")
    for kind in READERS:
        recordings, _ = listed(kind, tmp_path)
        assert list(recordings) == [f"s1/{name}.mpg"]
    _, rejections = listed("grid", tmp_path)
    assert [rejection.file for rejection in rejections] == [f"align/s1/{name}.align"]
    quoted = name.replace('"', '""')
    table = f'file,identity\n"s1/{quoted}.mpg",Ann\n'
    (tmp_path / "recordings.csv").write_bytes(table.encode("utf-8", "surrogateescape"))
    recordings, rejections = listed("folder", tmp_path)
    assert not rejections
    assert recordings[f"s1/{name}.mpg"].identity == "Ann"


@pytest.mark.parametrize("kind", READERS)
def test_texts_outside_are_not_read(tmp_path, kind):
    outside = plant(tmp_path / "outside", {
        "a.align": "0 9 secret",
        "a.txt": METADATA + "Channel 2: secret\n",
        "a.mlf": '#!MLF!#\n"*/01M/ABOUT_1.rec"\n0 1 secret\n.\n',
        "a.csv": "file,identity\n01M/ABOUT_1.mp4,secret\n",
    })  # fmt: skip
    root = plant(tmp_path / "root", {"01M/ABOUT_1.mp4": ""})
    (root / "01M/ABOUT_1.align").symlink_to(outside / "a.align")
    (root / "01M/ABOUT_1.txt").symlink_to(outside / "a.txt")
    (root / "a.mlf").symlink_to(outside / "a.mlf")
    (root / "recordings.csv").symlink_to(outside / "a.csv")
    recordings, _ = listed(kind, root)
    assert "secret" not in repr(recordings)
    assert list(recordings) == ["01M/ABOUT_1.mp4"]


def test_a_pipe_in_the_place_of_a_text_is_not_waited_for(tmp_path):
    plant(tmp_path, {"s1/a.mpg": ""})
    os.mkfifo(tmp_path / "s1/a.align")
    recordings, rejections = listed("grid", tmp_path)
    assert list(recordings) == ["s1/a.mpg"]
    assert [r.file for r in rejections] == ["s1/a.align"]


def test_read_refuses_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    for kind, root, complaint in [
        (
            "tvc",
            tmp_path,
            "kind: got 'tvc', expected grid or lrw or tcd-timit or voxceleb or crema-d or folder",
        ),
        ("grid", tmp_path / "missing\n", "missing\\n: got no such folder, expected the folder of a corpus"),
        ("grid", tmp_path / "file", "file: got a file, expected the folder of a corpus"),
    ]:
        with pytest.raises(InputError) as caught:
            read(kind, root)
        assert str(caught.value).endswith(complaint)


def test_an_empty_folder_has_nothing(tmp_path):
    assert all(list(read(kind, tmp_path)) == [] for kind in READERS)
