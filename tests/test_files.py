"""Files appear whole or not at all, tensors come back as they were, a folder is one process's at a time."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.files import held, read_tensors, whole_file, write_atomically, write_json, write_tensors

KIND = {"key": "thing", "text": "a thing 1"}


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "more" / "than one" / "folder deep" / "a"
    with whole_file(str(path)) as file:
        file.write(b"one")
        file.flush()
        # beside it, hidden and under another name
        (other,) = path.parent.iterdir()
        assert other.name.startswith(".a.")
        assert other.suffix == ".part"
        file.write(b" two")
    assert path.read_bytes() == b"one two"
    assert list(path.parent.iterdir()) == [path]
    # a temporary file is its owner's alone; this one is for others to read
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert write_atomically(str(path), b"three") == path
    assert path.read_bytes() == b"three"


def test_somebody_who_tidied_up_meanwhile_hides_no_error(tmp_path):
    def tidied() -> None:
        with whole_file(tmp_path / "a"):
            for path in tmp_path.iterdir():
                path.unlink()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tidied()
    with held(tmp_path, "a run"):
        (tmp_path / ".lock").unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_atomically(tmp_path / "a", b"old")

    def half() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    steps, size = [], []

    def fsync(handle: int) -> None:
        size.append(os.fstat(handle).st_size)
        steps.append("fsync")

    replace = os.replace
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    write_atomically(tmp_path / "a", b"some")
    assert steps == ["fsync", "replace"]
    assert size == [4]


def test_json_is_indented_and_ends_its_last_line(tmp_path):
    assert write_json(tmp_path / "a.json", {"b": [1, 2]}).read_text() == '{\n "b": [\n  1,\n  2\n ]\n}\n'


@pytest.mark.parametrize("framework", ["np", "pt"])
def test_tensors_and_what_they_are_come_back(tmp_path, framework):
    tensors = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.arange(3, dtype=np.uint8)}
    if framework == "pt":
        tensors = {name: torch.from_numpy(array) for name, array in tensors.items()}
        tensors["a"].requires_grad_()
        tensors["c"] = tensors["b"][1:]  # shares its numbers
    about = {"z": 1, "a": "text", "list": [1, None]}
    path = write_tensors(tmp_path / "deep" / "x", tensors, about, **KIND)
    same = write_tensors(
        tmp_path / "y", dict(reversed(tensors.items())), dict(reversed(about.items())), **KIND
    )
    assert path.read_bytes() == same.read_bytes()
    read, back = read_tensors(path, **KIND, what="a thing", framework=framework)
    assert read == {**about, "format": "a thing 1"}
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert type(back[name]) is type(value)
        assert back[name].dtype == value.dtype
        assert back[name].tolist() == value.tolist()
    _, some = read_tensors(path, **KIND, what="a thing", framework=framework, wanted=lambda name: name == "b")
    assert list(some) == ["b"]
    # arrays unless asked otherwise
    assert all(isinstance(v, np.ndarray) for v in read_tensors(path, **KIND, what="a thing")[1].values())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "a file of another kind"),
        ({}, "a file of another kind"),
        ({"thing": "{}"}, "a file of another kind"),
        ({"thing": '{"format": "a thing 2"}'}, "a file of another kind"),
        ({"thing": '"a thing 1"'}, "a file of another kind"),
        ({"other": '{"format": "a thing 1"}'}, "a file of another kind"),
        ({"thing": "{"}, "an unreadable file"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, metadata, message):
    from safetensors.numpy import save

    path = tmp_path / "x"
    path.write_bytes(save({"a": np.zeros(3)}, metadata))
    with pytest.raises(InputError, match=message) as caught:
        read_tensors(path, **KIND, what="a thing")
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("expected 'a thing 1'" if "another" in message else "expected a thing")
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(InputError, match=r"an unreadable file \(.+\), expected a thing"):
        read_tensors(path, **KIND, what="a thing")
    with pytest.raises(InputError, match="no such file, expected a thing"):
        read_tensors(tmp_path / "missing", **KIND, what="a thing")
    with pytest.raises(InputError, match="no such file"):
        read_tensors(str(tmp_path), **KIND, what="a thing")


def second(folder) -> str:
    """What another process is told that asks for the folder."""
    code = "import sys; from talkface_lite.files import held\n"
    code += "try:\n with held(sys.argv[1], 'a run'): print('had')\n"
    code += "except Exception as error: print(error)"
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_folder_is_held_by_one_process_and_free_afterwards(tmp_path):
    folder = tmp_path / "more" / "deep"
    with held(str(folder), "a run") as mine:
        assert mine == folder
        assert folder.is_dir()
        assert (folder / ".lock").exists()
        assert second(folder) == f"{folder}: got a run at work in it, expected one at a time"
        with pytest.raises(InputError, match="a run at work"), held(folder, "a run"):
            pass
    assert list(folder.iterdir()) == []
    assert second(folder) == "had"
    with pytest.raises(ZeroDivisionError), held(folder, "a run"):
        raise ZeroDivisionError
    assert list(folder.iterdir()) == []
    assert second(folder) == "had"


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "a"
    path.write_text(json.dumps(1))
    with pytest.raises(InputError, match="a file, expected a folder"), held(path, "a run"):
        pass


def test_an_error_takes_back_the_folders_that_were_made_and_no_others(tmp_path):
    def fail(folder, name: str = "") -> None:
        with held(folder, "a run"):
            if name:
                (folder / name).write_bytes(b"worth something")
            raise ZeroDivisionError

    (tmp_path / "was there").mkdir()
    for folder in ("was there", "new/deep", "was there/new"):
        with pytest.raises(ZeroDivisionError):
            fail(tmp_path / folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["was there"]
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "kept" / "run", "a")
    assert (tmp_path / "kept" / "run" / "a").read_bytes() == b"worth something"


def test_a_lock_that_was_taken_away_meanwhile_locks_nothing(tmp_path, monkeypatch):
    """Else a second process would hold a file that no third can see."""
    fcntl = pytest.importorskip("fcntl")
    lock = fcntl.flock

    def late(file, how):
        (tmp_path / ".lock").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        pytest.raises(InputError, match="a run that ends just now, expected one at a time"),
        held(tmp_path, "a run"),
    ):
        pass
    monkeypatch.setattr(fcntl, "flock", lock)
    with held(tmp_path, "a run"):
        assert (tmp_path / ".lock").exists()
