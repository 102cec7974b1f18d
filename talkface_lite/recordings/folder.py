"""Any videos in any folders, with an optional table of who speaks and what is said.

The table is ``recordings.csv``, or else ``clips.csv``, at the top of the folder: UTF-8, a first line with
the names of the columns, fields between commas (or semicolons or tabs). Column ``file`` is the path below the
folder. ``identity``, ``words`` and ``split`` may follow; every other column goes to ``about``. Words are
written ``label start end; label start end`` with times in seconds, such as
``good 0.2 0.45; morning 0.45 0.9``.
"""

import csv
import io
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from talkface_lite.clip import Interval
from talkface_lite.errors import InputError
from talkface_lite.recordings.base import Recording, Rejection, walk
from talkface_lite.recordings.text import (
    LARGE,
    intervals_in,
    is_inside,
    is_video,
    printable,
    read_text,
    shortened,
)

TABLES = ("recordings.csv", "clips.csv")


class Row(NamedTuple):
    """A line of the table: its number, and the cells by the name of their column."""

    line: int
    cells: dict[str, str]


def list_recordings(root: Path) -> Iterator[Recording | Rejection]:
    r"""Every video below ``root``, and every other file that the table names, with what the table says.

    A row that names no file of the folder, or one outside it, is a rejection under the name it gives. What is
    wrong with a row otherwise, or with the whole table, is a rejection under the name of the table; the
    videos are listed without it. Names are compared as Unicode compares them, and ``\`` stands for ``/``
    where no file bears it in its name.
    """
    rows: dict[str, Row] = {}
    tables = [name for name in TABLES if is_inside(root, name)]
    for table in tables[1:]:
        yield _rejected(table, f"{tables[0]} counts, and this table was not read")
    if tables:
        yield from _gather(root, tables[0], rows)
    by_form = {_form(name): name for name in rows}
    known: set[str] = set()
    for entry in walk(root):
        if isinstance(entry, Rejection):
            known.add(entry.file)
            yield entry
            continue
        name, path = entry
        key = name if name in rows else by_form.get(_form(name), "")
        row = rows.pop(key, None)
        if row is not None:
            yield from _described(name, path, row, tables[0])
        elif is_video(name):
            yield Recording(name=name, path=path)
    for name, row in rows.items():
        if name not in known:
            yield _rejected(
                name,
                f"{tables[0]}, line {row.line}: no such file in the folder, hidden and linked ones aside",
            )


def parse_table(text: str, where: str) -> tuple[Row, ...]:
    """Rows of the table; names of columns in small letters, cells without space around them.

    Parameters
    ----------
    text:
        What the file holds.
    where:
        How to call it in an error.

    Raises
    ------
    InputError
        When there is no column ``file``, a column comes twice, a row has more cells than there are columns,
        or quotes are not closed.
    """
    text = text.removeprefix("\ufeff")
    head = text.lstrip().partition("\n")[0]
    # strict: an open quote would otherwise swallow the rows below it without a word
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=max(",;\t", key=head.count),
        strict=True,
        skipinitialspace=True,
    )
    rows: list[Row] = []
    columns: list[str] = []
    try:
        for cells in reader:
            place, cells = f"{where}, line {reader.line_num}", [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                named = [column for column in columns if column]
                if "file" not in named or len(set(named)) < len(named):
                    raise InputError(
                        place, shortened(", ".join(columns)), "a column 'file', and each column once"
                    )
                continue
            if len(cells) > len(columns):
                raise InputError(place, f"{len(cells)} cells", f"at most {len(columns)}, one for each column")
            rows.append(Row(reader.line_num, {c: v for c, v in zip(columns, cells) if c}))
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}", f"an unreadable row ({error})", "CSV") from error
    if not columns:
        raise InputError(where, "no line", "a first line with the names of columns, such as 'file,identity'")
    return tuple(rows)


def parse_words(text: str, where: str) -> tuple[Interval, ...]:
    """Words written ``label start end; label start end``, seconds; empty text is no words.

    Raises
    ------
    InputError
        When a word has not two times behind it or a time is wrong; see
        :func:`~talkface_lite.recordings.text.intervals_in`.
    """
    rows = []
    for piece in filter(None, (piece.strip() for piece in text.split(";"))):
        fields = piece.rsplit(None, 2)
        if len(fields) != 3:
            raise InputError(where, shortened(piece), "'label start end; label start end'")
        rows.append((where, *fields))
    return intervals_in(rows, per_second=1)


def _gather(root: Path, table: str, into: dict[str, Row]) -> Iterator[Rejection]:
    try:
        # names of files may be any bytes; surrogates carry them as they do in the names that the system gives
        rows = parse_table(read_text(root, table, LARGE, errors="surrogateescape"), table)
    except InputError as error:
        yield _rejected(table, f"{error}; videos are listed without it")
        return
    for row in rows:
        file, place = row.cells.get("file", ""), f"{table}, line {row.line}"
        name = _below(root, file)
        if not file:
            yield _rejected(table, f"line {row.line} names no file")
        elif name is None:
            yield _rejected(file, f"{place}: a file outside the folder")
        elif name in TABLES:
            yield _rejected(table, f"line {row.line} names a table, not a video")
        elif name in into:
            yield _rejected(
                table, f"line {row.line} names {printable(file)} again; line {into[name].line} counts"
            )
        else:
            into[name] = row


def _described(name: str, path: Path, row: Row, table: str) -> Iterator[Recording | Rejection]:
    cells = {column: _readable(value) for column, value in row.cells.items()}
    words: tuple[Interval, ...] = ()
    try:
        words = parse_words(cells.get("words", ""), f"{table}, line {row.line}, words")
    except InputError as error:
        yield _rejected(table, f"{error}; {printable(name)} is listed without words")
    others = set(cells) - {"file", "identity", "words", "split"}
    yield Recording(
        name=name,
        path=path,
        identity=cells.get("identity", ""),
        words=words,
        split=cells.get("split", ""),
        about=tuple(
            (_readable(column), cells[column]) for column in cells if column in others and cells[column]
        ),
    )


def _below(root: Path, file: str) -> str | None:
    """The name below ``root`` that a cell means, or None outside; looks at the text only, follows no link."""
    home = os.path.abspath(root)
    below = os.path.relpath(os.path.join(home, file), home)
    return None if below == ".." or below.startswith("../") else below


def _form(name: str) -> str:
    # one letter can be spelled in several ways in Unicode, and file systems and spreadsheets differ
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _rejected(file: str, reason: str) -> Rejection:
    return Rejection(file=file, stage="list", reason=reason)
