"""A wrong answer shows its hint and nothing else, in a notebook and outside, and fails all the same."""

import subprocess
import sys

import nbformat
import numpy as np
import pytest
from exercises import KINDS, WHOLE
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from talkface_lite.check import Wrong, array_from, verify, whole_number
from talkface_lite.check.how_to_read_and_run import exercise_1

WRONG = """
from talkface_lite.check import how_to_read_and_run as check

check.exercise_1(lambda seconds: int(25 * seconds) + 1)
"""
HINT = "Exercise 1: not yet. Frames are counted from 0."


def test_a_notebook_shows_the_hint_alone_and_its_cell_fails():
    cells = [nbformat.v4.new_code_cell(source) for source in (WRONG, "print('the kernel lives')")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3")
    with client.setup_kernel():
        with pytest.raises(CellExecutionError):
            client.execute_cell(cells[0], 0)
        client.execute_cell(cells[1], 1)
    (error,) = cells[0].outputs
    assert error.output_type == "error"
    assert error.ename == "Wrong"
    assert error.traceback == [HINT]
    assert cells[1].outputs[0].text == "the kernel lives\n"


def test_plain_python_shows_the_hint_last_and_fails():
    done = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"talkface_lite.check.Wrong: {HINT}"


def test_a_wrong_answer_still_fails_an_assertion():
    with pytest.raises(AssertionError, match="counted from 0"):
        exercise_1(lambda seconds: int(25 * seconds) + 1)


def test_a_fault_of_the_readers_own_code_keeps_its_traceback():
    """A hint would hide where it is."""
    with pytest.raises(ZeroDivisionError):
        exercise_1(lambda seconds: 1 // 0)


def test_what_the_function_gives_is_not_the_function():
    with pytest.raises(Wrong, match=r"Give the function itself, not what it returns; you gave 3 \(int\)"):
        verify(1, 3, lambda answer: None)


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_a_whole_number_is_taken_from_every_type(kind):
    number = whole_number(kind(-3), "a lag")
    assert number == -3
    assert type(number) is int


@pytest.mark.parametrize("value", [2.5, np.nan, np.inf, "3", None, [3], np.array([3]), 3j, object()])
def test_what_is_no_whole_number_is_a_hint_of_one_line(value):
    with pytest.raises(Wrong, match=r"^A lag is a whole number; yours is .+\.$") as hint:
        whole_number(value, "a lag")
    assert len(str(hint.value)) < 120


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_numbers_are_taken_from_every_type(kind):
    got = array_from(kind([[1, 2], [3, 4]]), "the table", shape=(2, 2))
    np.testing.assert_array_equal(got, [[1.0, 2.0], [3.0, 4.0]])
    assert got.dtype == np.float64


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ([[1, 2], [3]], "^The table should be numbers; you give"),
        ("1 2", "should be numbers"),
        ({"a": 1}, "should be numbers"),
        ([1, 2], r"^The shape is \(2,\); the table should have \(2, 2\)\.$"),
    ],
)
def test_what_are_no_numbers_is_a_hint(value, hint):
    with pytest.raises(Wrong, match=hint):
        array_from(value, "the table", shape=(2, 2))
