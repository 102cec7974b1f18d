"""The text parsers: valid files come back as they were written, and everything else is a clear error.

``TALKFACE_HYPOTHESIS`` sets how many inputs each property is tried with.
"""

import math
import os
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkface_lite.clip import SAMPLES_PER_FRAME, Clip, Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.folder import parse_table, parse_words
from talkface_lite.recordings.grid import parse_align
from talkface_lite.recordings.lrw import CLIP_SECONDS, in_the_middle, parse_metadata
from talkface_lite.recordings.tcd_timit import parse_mlf
from talkface_lite.recordings.voxceleb import parse_face_boxes

tried = settings(
    max_examples=int(os.environ.get("TALKFACE_HYPOTHESIS", "500")),
    deadline=None,
    database=None,
    print_blob=True,
)

ALIGN = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 at\n35500 41000 f\n"
METADATA = (
    "Disk reference: 5535415699068794046\nChannel: BBC One HD\nProgram start: 2014-02-11 06:00:00 +0000\n"
    "Clip start: 3.08 seconds\nDuration: 0.53 seconds\n"
)
MLF = (
    '#!MLF!#\n"*/01M/Clips/straightcam/sa1.rec"\n0 2400000 sil\n2400000 3500000 sh\n3500000 4100000 iy\n.\n'
    '"Q:\\Videos\\TCD-TIMIT\\volunteers\\02M\\Clips\\straightcam\\si459.rec"\n0 900000 sil -51.5 SILENCE\n.\n'
)
BOXES = (
    "Identity  : \tid00012\nReference : \t21Uxsk56VDQ\nOffset    : \t-2\nFV Conf   : \t16.238\t(1)\n"
    "ASD Conf  : \t4.166\n\nFRAME \tX \tY \tW \tH \n000245 \t0.382 \t-0.013 \t0.138 \t0.245 \n"
    "000246 \t0.382 \t0.133 \t0.138 \t0.245 \n"
)
TABLE = (
    'file,identity,words,split,camera\na/b.mp4,ann,"good 0.2 0.45; day 0.45 0.9",train,phone\nc.mov,bo,,,\n'
)
WORDS = "good 0.2 0.45; day 0.45 0.9"

PARSERS = {
    "align": (parse_align, ALIGN),
    "metadata": (parse_metadata, METADATA),
    "mlf": (parse_mlf, MLF),
    "face boxes": (parse_face_boxes, BOXES),
    "table": (parse_table, TABLE),
    "words": (parse_words, WORDS),
}

PIECES = [
    "",
    "\n",
    "\r",
    "\x00",
    '"',
    ".",
    ":",
    ";",
    ",",
    "-",
    "nan",
    "inf",
    "1e999",
    "١",
    "\ufeff",
    "\u2028",
    "\ud800",
]
PIECES += [
    "9" * 400,
    "-1",
    "0.5",
    "#!MLF!#",
    "FRAME X Y W H",
    "Duration: 3",
    "\\",
    "\x1b[2J",
    " ",
    "\t",
    "字" * 80,
]


def intervals_of(result: object) -> list[tuple[Interval, ...]]:
    """All sequences of intervals that a parser's result holds."""
    if isinstance(result, dict):
        return list(result.values())
    return [result] if isinstance(result, tuple) and all(isinstance(i, Interval) for i in result) else []


def check(name: str, text: str) -> None:
    """A usable result or a clear error; anything else fails."""
    result, complaint = None, None
    try:
        result = PARSERS[name][0](text, "a file")
    except InputError as error:
        complaint = str(error)
    if complaint is not None:
        assert complaint.isprintable()
        assert complaint.startswith("a file")
        assert len(complaint) < 300
        return
    for intervals in intervals_of(result):
        assert all(i.label and i.label.isprintable() and 0 <= i.start <= i.end < math.inf for i in intervals)
        assert [i.start for i in intervals] == sorted(i.start for i in intervals)
        if all(i.end <= 3 for i in intervals):
            Clip(
                frames=None,
                landmarks=np.zeros((75, 68, 2), np.float32),
                speech=np.zeros(75 * SAMPLES_PER_FRAME, np.float32),
                words=intervals,
            )
    if name == "metadata":
        word = in_the_middle("ABOUT", result.duration)
        assert 0 <= word.start <= word.end <= CLIP_SECONDS
    if name == "face boxes":
        frames = [box.frame for box in result.boxes]
        assert frames == sorted(set(frames))
        assert frames
        assert all(map(math.isfinite, (n for box in result.boxes for n in box)))
        assert min(min(box.width, box.height) for box in result.boxes) > 0
        assert result.unit in ("pixels", "share")


@st.composite
def mutated(draw: Callable, text: str) -> str:
    """The text with up to four wounds: pieces put in, replaced, doubled, lines swapped, the end cut off."""
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        match draw(st.integers(0, 4)):
            case 0:
                text = text[:a] + draw(st.sampled_from(PIECES)) + text[a:]
            case 1:
                text = text[:a] + draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[min(b, a + 3) :]
            case 2:
                text = text[:b] + text[a:b] + text[b:]
            case 3:
                lines = text.split("\n")
                i, j = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
                lines[i], lines[j] = lines[j], lines[i]
                text = "\n".join(lines)
            case _:
                text = text[:b]
    return text


@pytest.mark.parametrize("name", PARSERS)
def test_any_text_is_a_result_or_one_clear_line(name):
    @tried
    @given(st.text(st.characters()) | st.binary().map(lambda b: b.decode("utf-8", "replace")))
    def holds(text: str) -> None:
        check(name, text)

    holds()


@pytest.mark.parametrize("name", PARSERS)
def test_nearly_valid_text_is_a_result_or_one_clear_line(name):
    @tried
    @given(mutated(PARSERS[name][1]))
    def holds(text: str) -> None:
        check(name, text)

    holds()


labels = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@st.composite
def timed(draw: Callable) -> list[tuple[str, int, int]]:
    """Labels with whole-number times, sorted by start; some overlap, some have no length."""
    starts = sorted(draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=8)))
    return [(draw(labels), start, start + draw(st.integers(0, 10**6))) for start in starts]


gaps, ends = st.sampled_from([" ", "\t", "   "]), st.sampled_from(["\n", "\r\n", "\n\n"])


@tried
@given(timed(), gaps, ends)
def test_align_comes_back_as_written(rows, gap, end):
    text = end.join(gap.join((str(start), str(stop), label)) for label, start, stop in rows)
    expected = [Interval(w, a / 25_000, b / 25_000) for w, a, b in rows if w not in ("sil", "sp")]
    assert parse_align(text, "a file") == tuple(expected)


keys = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=":"), min_size=1, max_size=8)


@tried
@given(
    st.integers(0, 116),
    st.dictionaries(keys.filter(lambda key: key.lower() != "duration"), labels, max_size=5),
    ends,
)
def test_metadata_comes_back_as_written(hundredths, others, end):
    lines = {**others, "Duration": f"{hundredths / 100:.2f} seconds"}
    result = parse_metadata(end.join(f"{key}: {value}" for key, value in lines.items()) + end, "a file")
    assert result == (hundredths / 100, tuple(lines.items()))


paths = st.lists(
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6), min_size=1, max_size=3
)


@tried
@given(
    st.dictionaries(paths.map("/".join).map(lambda path: path.replace("\\", "/")), timed(), max_size=4), ends
)
def test_mlf_comes_back_as_written(entries, end):
    text = "#!MLF!#" + end
    for path, rows in entries.items():
        text += f'"{path}"{end}' + "".join(f"{a} {b} {label}{end}" for label, a, b in rows) + f".{end}"
    expected = {p: tuple(Interval(w, a / 1e7, b / 1e7) for w, a, b in rows) for p, rows in entries.items()}
    assert parse_mlf(text, "a file") == expected


@tried
@given(
    st.lists(st.integers(0, 999_999), min_size=1, max_size=8, unique=True).map(sorted),
    st.tuples(st.integers(-900, 900), st.integers(-900, 900), st.integers(3, 900), st.integers(3, 900)),
    st.booleans(),
    st.integers(-30, 30),
)
def test_face_boxes_come_back_as_written(frames, numbers, in_pixels, offset):
    box = tuple(float(n) if in_pixels else n / 1000 for n in numbers)
    cells = [str(n) if in_pixels else f"{n / 1000:.3f}" for n in numbers]
    text = f"Identity  : \tid10001\nOffset    : \t{offset}\n\nFRAME \tX \tY \tW \tH \n"
    text += "".join(" \t".join((f"{frame:06d}", *cells)) + " \n" for frame in frames)
    result = parse_face_boxes(text, "a file")
    assert result.boxes == tuple((frame, *box) for frame in frames)
    assert result.header == (("Identity", "id10001"), ("Offset", str(offset)))
    assert result.unit == ("pixels" if in_pixels else "share")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("align", "", "a file: got no line, expected lines 'start end word'"),
        ("align", "0 10", "a file, line 1: got '0 10', expected 'start end word'"),
        ("align", "0 10 a\n\n-5 10 b", "a file, line 3: got '-5', expected start: a number >= 0"),
        ("align", "0 nan a", "a file, line 1: got 'nan', expected end: a number >= 0"),
        ("align", "0 1_000 a", "a file, line 1: got '1_000', expected end: a number >= 0"),
        ("align", "0 1e999 a", "a file, line 1: got '1e999', expected end: a number >= 0"),
        ("align", "9 3 a", "a file, line 1: got 9 to 3, expected an end that is not before its start"),
        (
            "align",
            "5 9 a\n4 9 b",
            "a file, line 2: got a start of 4, expected lines sorted by start, none before the one above",
        ),
        ("align", "x" * 900, f"a file, line 1: got '{'x' * 59}..., expected 'start end word'"),
        (
            "metadata",
            "Channel: BBC",
            "a file: got 1 lines without one, expected a line 'Duration: 0.53 seconds'",
        ),
        ("metadata", "Duration: long", "a file, line 1: got 'long', expected seconds: a number >= 0"),
        (
            "metadata",
            "Duration: 1.17 s",
            "a file, line 1: got 1.17 seconds, expected at most the clip's 1.16 s",
        ),
        ("metadata", "a: 1\na: 2", "a file, line 2: got 'a' a second time, expected each key once"),
        ("mlf", "0 1 a\n.", "a file, line 1: got '0 1 a', expected '#!MLF!#'"),
        (
            "mlf",
            '#!MLF!#\n"a.rec"\n0 1 a',
            "a file: got an end within 'a.rec', expected a '.' behind the last label",
        ),
        (
            "mlf",
            '#!MLF!#\n"a"\n.\n"a"\n.',
            "a file, line 4: got 'a' a second time, expected each recording once",
        ),
        (
            "mlf",
            "#!MLF!#\n0 1 a",
            "a file, line 2: got '0 1 a', expected a path in quotes, which begins an entry",
        ),
        (
            "mlf",
            '#!MLF!#\n"a"\nsil\n.',
            "a file, line 3: got 'sil', expected 'start end label', or '.' to end",
        ),
        ("face boxes", "Offset : 0", "a file: got no face box, expected 'FRAME X Y W H' and a line for each"),
        ("face boxes", "Offset : two", "a file, line 1: got 'two', expected a whole number of frames"),
        (
            "face boxes",
            "FRAME X Y W H\n1 2 3 4",
            "a file, line 2: got '1 2 3 4', expected a frame's number and",
        ),
        (
            "face boxes",
            "FRAME X Y W H\n1 2 3 0 4",
            "a file, line 2: got '1 2 3 0 4', expected a width and a height",
        ),
        (
            "face boxes",
            "FRAME X Y W H\n1 2 3 9 9\n1 2 3 9 9",
            "a file, line 3: got frame 1 behind 1, expected frames",
        ),
        (
            "face boxes",
            "FRAME X Y W H\n1 2 3 9 9\n2 0 0 .5 .5",
            "a file, line 3: got '2 0 0 .5 .5', expected x, y,",
        ),
        (
            "face boxes",
            "FRAME X Y W H\n1 2 3 9 9\n2 0 0 0.5 1",
            "a file: got boxes both in pixels and in shares",
        ),
        (
            "table",
            "name,who\na,b",
            "a file, line 1: got 'name, who', expected a column 'file', and each column once",
        ),
        (
            "table",
            "file,a,a",
            "a file, line 1: got 'file, a, a', expected a column 'file', and each column once",
        ),
        ("table", "file\na,b", "a file, line 2: got 2 cells, expected at most 1, one for each column"),
        (
            "table",
            'file\n"a\nb\n',
            "a file, line 3: got an unreadable row (unexpected end of data), expected CSV",
        ),
        ("words", "good 0.2", "a file: got 'good 0.2', expected 'label start end; label start end'"),
    ],
)
def test_what_is_wrong_is_named(name, text, complaint):
    with pytest.raises(InputError) as caught:
        PARSERS[name][0](text, "a file")
    assert str(caught.value).startswith(complaint)


def test_examples_as_published():
    assert parse_align(ALIGN, "a file")[0] == Interval("bin", 0.95, 1.18)
    assert [word.label for word in parse_align("\ufeff" + ALIGN, "a file")] == ["bin", "blue", "at", "f"]
    assert parse_metadata(METADATA, "a file").duration == 0.53
    assert parse_metadata(METADATA, "a file").lines[2] == ("Program start", "2014-02-11 06:00:00 +0000")
    mlf = parse_mlf(MLF, "a file")
    assert mlf["*/01M/Clips/straightcam/sa1.rec"][1] == Interval("sh", 0.24, 0.35)
    assert mlf["Q:/Videos/TCD-TIMIT/volunteers/02M/Clips/straightcam/si459.rec"] == (
        Interval("sil", 0, 0.09),
    )
    boxes = parse_face_boxes(BOXES, "a file")
    assert boxes.boxes[0] == (245, 0.382, -0.013, 0.138, 0.245)
    assert dict(boxes.header)["FV Conf"] == "16.238 (1)"
    assert parse_words(WORDS, "a file") == (Interval("good", 0.2, 0.45), Interval("day", 0.45, 0.9))
    assert [row.line for row in parse_table(TABLE, "a file")] == [2, 3]
    assert parse_table("file;words\na;\n", "a file")[0].cells == {"file": "a", "words": ""}


def test_the_word_lies_in_the_middle():
    word = in_the_middle("ABOUT", 0.5)
    assert (word.start, word.end) == (pytest.approx(0.33), pytest.approx(0.83))


def test_words_may_overlap_and_have_no_length():
    assert parse_align("0 50000 a\n25000 25000 b", "a file") == (Interval("a", 0, 2), Interval("b", 1, 1))
