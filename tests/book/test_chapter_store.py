"""Executed chapters: kept while nothing that they are made from changes, the same whoever executed them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chapter_store as store
import nbformat
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
RECORD = store.Record(by="test", seconds=2.0, cpu_seconds=1.0, finished=1e9)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def root(tmp_path) -> Path:
    """A small repository: a package, locked requirements, and the file of options."""
    (tmp_path / "talkface_lite").mkdir()
    (tmp_path / "talkface_lite" / "a.py").write_text("x = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "book" / "_ext").mkdir(parents=True)
    for name in ("chapter_store.py", "executed.py"):
        shutil.copy(ROOT / "book" / "_ext" / name, tmp_path / "book" / "_ext")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    store._of_the_package.cache_clear()
    yield tmp_path
    store._of_the_package.cache_clear()


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_markdown_cell("# A chapter"), *map(nbformat.v4.new_code_cell, sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def outputs(notebook: NotebookNode) -> list[str]:
    """Outputs and widgets of an executed notebook, without the names that are drawn anew in each run."""
    texts = [json.dumps(cell.get("outputs", []), sort_keys=True) for cell in notebook.cells]
    for state in notebook.metadata.get("widgets", {}).values():
        texts += sorted(
            re.sub("[0-9a-f]{32}", "ID", json.dumps(one, sort_keys=True)) for one in state["state"].values()
        )
    return [re.sub("[0-9a-f]{32}|0x[0-9a-f]+", "ID", text) for text in texts]


def run(root: Path, *command: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def nbval(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    options = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "--nb-keep"]
    return run(root, "pytest", *options, *arguments)


def change_notebook(root: Path) -> None:
    write(root / "book" / "one.ipynb", "1 + 2")


def change_package(root: Path) -> None:
    (root / "talkface_lite" / "a.py").write_text("x = 2\n")


def add_a_file_of_weights(root: Path) -> None:
    (root / "talkface_lite" / "w.safetensors").write_bytes(b"\1")


def change_requirements(root: Path) -> None:
    (root / "requirements.txt").write_text("numpy==2.5.0\n")


@pytest.mark.parametrize(
    "change", [change_notebook, change_package, add_a_file_of_weights, change_requirements]
)
def test_what_was_executed_is_taken_until_what_it_is_made_from_changes(root, change):
    chapter = write(root / "book" / "one.ipynb", "1 + 1")
    store.save(root, chapter, nbformat.read(chapter, 4), RECORD, store.digest(root, chapter))
    notebook, record = store.load(root, chapter)
    assert (record, list(notebook.metadata)) == (RECORD, ["kernelspec"])
    change(root)
    store._of_the_package.cache_clear()
    assert store.load(root, chapter) is None
    assert store.last_seconds(root, chapter) == 2.0


def test_another_budget_is_another_run(root, monkeypatch):
    chapter = write(root / "book" / "one.ipynb", "1 + 1")
    store.save(root, chapter, nbformat.read(chapter, 4), RECORD, store.digest(root, chapter))
    monkeypatch.setenv("TALKFACE_BUDGET", "full")
    store._of_the_package.cache_clear()
    assert store.load(root, chapter) is None


def test_a_file_that_was_cut_off_is_not_taken(root):
    chapter = write(root / "book" / "one.ipynb", "1 + 1")
    assert store.load(root, chapter) is None
    store.save(root, chapter, nbformat.read(chapter, 4), RECORD, store.digest(root, chapter))
    place = root / store.STORE / "book" / "one.ipynb"
    place.write_text(place.read_text()[:-40])
    assert store.load(root, chapter) is None


def test_only_what_is_missing_is_executed_and_a_failure_is_not_kept(root):
    good, bad = write(root / "book" / "good.ipynb", "6 * 7"), write(root / "book" / "bad.ipynb", "1 / 0")
    done = dict(store.execute_all(root, [good, bad], "build", 2))
    assert done[good].by == "build"
    assert "ZeroDivisionError" in str(done[bad])
    assert store.load(root, good)[0].cells[1].outputs[0].data["text/plain"] == "42"
    assert "outputs" in good.read_text()
    assert '"42"' not in good.read_text()  # a cell's id may hold these figures, too
    assert [path for path, _ in store.execute_all(root, [good, bad], "build", 2)] == [bad]


def test_nbval_keeps_what_a_build_would_have_computed(root):
    sources = [
        "import ipywidgets\n[1, 2];",
        "print('a'); 40 + 2",
        "def show(k):\n    print('k is', k)\nipywidgets.interact(show, k=(0, 5));",
        "from IPython.display import HTML, clear_output, display\n"
        "shown = display(HTML('a'), display_id='one')\nshown.update(HTML('b'))",
        "print('gone')\nclear_output()\nprint('stays')",
        "In[2]",
    ]
    chapter = write(root / "book" / "one.ipynb", *sources)
    result = nbval(root, "book/one.ipynb")
    assert "6 passed" in result.stdout, result.stdout
    kept, record = store.load(root, chapter)
    assert (record.by, record.cpu_seconds > 0) == ("test", True)
    store.execute(root, chapter, "build")
    built, record = store.load(root, chapter)
    assert record.by == "build"
    assert outputs(kept) == outputs(built)
    assert "k is 2" in "".join(outputs(built)[7:])
    assert {**kept.metadata, "widgets": 0} == {**built.metadata, "widgets": 0}
    assert [cell.get("execution_count") for cell in kept.cells] == [None, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("source", ["assert False", "# NBVAL_SKIP\n1 + 1"])
def test_nbval_keeps_nothing_of_a_chapter_that_did_not_pass_whole(root, source):
    chapter = write(root / "book" / "one.ipynb", "1 + 1", source)
    nbval(root, "book/one.ipynb")
    assert store.load(root, chapter) is None


def test_nbval_keeps_nothing_when_only_some_cells_were_asked_for(root):
    chapter = write(root / "book" / "one.ipynb", "1 + 1", "2 + 2")
    assert "1 passed" in nbval(root, "book/one.ipynb::Cell 0").stdout
    assert store.load(root, chapter) is None


@pytest.fixture
def pages(root) -> Path:
    """A small Sphinx project whose chapters reach the pages as the book's do."""
    (root / "conf.py").write_text(
        "import sys; sys.path.insert(0, 'book/_ext')\n"
        "extensions, nb_execution_mode = ['myst_nb', 'executed'], 'off'\n"
        "nb_output_stderr, nb_mime_priority_overrides = 'warn', []\n"
        "root_doc, exclude_patterns = 'book/one', ['_build', 'book/_ext']\n"
    )
    return root


def build(root: Path) -> subprocess.CompletedProcess:
    return run(root, "sphinx", "-q", "-W", "-n", "-b", "html", ".", "_build/html")


def test_pages_show_what_was_computed_and_execute_it_once(pages):
    log = "open('ran.txt', 'a').write('x'); print(6 * 7)"
    chapter = write(pages / "book" / "one.ipynb", log)
    before = chapter.read_bytes()
    for _ in range(2):
        result = build(pages)
        assert result.returncode == 0, result.stderr
        assert "42" in (pages / "_build" / "html" / "book" / "one.html").read_text()
        shutil.rmtree(pages / "_build" / "html")
    assert (pages / "book" / "ran.txt").read_text() == "x"
    assert chapter.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "word"),
    [("1 / 0", "ZeroDivisionError"), ("import sys; print('oh', file=sys.stderr)", "stderr")],
)
def test_a_cell_that_fails_or_complains_fails_the_build(pages, source, word):
    write(pages / "book" / "one.ipynb", "1 + 1", source)
    result = build(pages)
    assert result.returncode != 0
    assert word in result.stderr
