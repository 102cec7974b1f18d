"""What a reader meets outside the built pages: a hosted notebook, JupyterLab, a chapter downloaded alone.

The tags that are held here (``solution``, ``plumbing``, ``recall``) are what other editions are made from:
dropping every cell that is tagged ``solution`` leaves what a student gets.
"""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import book_rules as rules
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from talkface_lite.check import how_to_read_and_run as machine

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = [page for page in rules.pages(ROOT) if page.suffix == ".ipynb"]
CHAPTERS = [page for page in rules.chapters(ROOT) if page.suffix == ".ipynb"]
HOW_TO = ROOT / "book" / "start" / "how-to-read-and-run.ipynb"
MOST_OPEN_LINES = 400
"""Lines of unfolded code in a chapter, solutions and plumbing aside: what a reader has to get through."""
QUESTION = re.compile(
    r'<details class="dropdown">\n<summary>([^\n]+)</summary>\n\n(.+?)\n\n</details>', re.DOTALL
)


def name(page: Path) -> str:
    return page.stem


def read(page: Path) -> NotebookNode:
    return nbformat.read(page, 4)


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def folded_in_lab(cell: NotebookNode) -> bool:
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


# ---- what has to be installed


def imported(code: str) -> set[str]:
    """Top-level packages that some code imports, anywhere in it, but for Python's own."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"talkface_lite"}


def by_notebooks() -> set[str]:
    code = [cell.source for page in NOTEBOOKS for cell in read(page).cells if cell.cell_type == "code"]
    return set().union(*map(imported, code))


def by_files(folder: str) -> set[str]:
    return set().union(*(imported(path.read_text()) for path in (ROOT / folder).rglob("*.py")))


def asked_for(*extras: str) -> set[str]:
    """Names of the packages that ``pip install -e ".[extras]"`` asks for itself, normalised."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional, todo, lines = project["optional-dependencies"], list(extras), list(project["dependencies"])
    while todo:
        for line in optional[todo.pop()]:
            if own := re.match(r"talkface_lite\[([\w,]+)\]", line):
                todo += own[1].split(",")
            else:
                lines.append(line)
    return {normalised(re.match(r"[\w.-]+", line)[0]) for line in lines}


def normalised(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@cache
def owners() -> dict[str, set[str]]:
    """Installed packages by the top-level modules in their files: dlib-bin's own list does not name dlib."""
    found: dict[str, set[str]] = {}
    for package in metadata.distributions():
        tops = {file.parts[0].split(".")[0] for file in package.files or () if file.parts[0] != ".."}
        for top in tops:
            found.setdefault(top, set()).add(normalised(package.metadata["Name"]))
    return found


def providers(module: str) -> set[str]:
    return owners().get(module, {module})


def documented_extras() -> list[str]:
    """The extras of the command that *How to read and run* shows for hosted notebooks."""
    (command,) = re.findall(r"^%pip install (.+)$", rules.markdown(HOW_TO), re.MULTILINE)
    return re.fullmatch(r'-e "path/to/the/repository\[([\w,]+)\]"', command)[1].split(",")


def test_the_documented_command_brings_all_that_chapters_and_checks_import():
    brought = asked_for(*documented_extras())
    needed = by_notebooks() | by_files("talkface_lite/check")
    assert {"librosa", "skimage", "torch"} <= needed
    assert {module for module in needed if not providers(module) & brought} == set()


def test_the_pinned_environment_holds_all_that_any_extra_asks_for():
    pinned = {
        normalised(line.split("==")[0])
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    assert asked_for("book", "test") - pinned == set()


def test_the_package_imports_nothing_that_only_its_chapters_ask_for():
    """But for what it imports late and can do without: dlib, a photograph, a player in a notebook."""
    bare = asked_for()
    late = {"dlib", "skimage", "IPython", "distributed", "cycler"}
    missing = {module for module in by_files("talkface_lite") if not providers(module) & bare}
    assert missing <= late
    assert {"librosa", "ipywidgets"} & (bare | by_files("talkface_lite")) == set()


def test_the_first_cell_looks_for_all_that_the_bare_package_does_not_bring():
    (source,) = [cell.source for cell in read(HOW_TO).cells if cell.get("id") == "install"]
    names: dict[str, list[str]] = {}
    exec("\n".join(line for line in source.splitlines() if line.startswith("NEEDED")), {}, names)
    bare, brought = asked_for(), asked_for(*documented_extras())
    only_extra = {
        module
        for module in by_notebooks() | by_files("talkface_lite")
        if providers(module) & (brought - bare)
    }
    # who has no IPython has no kernel to be told by
    assert set(names["NEEDED"]) == (only_extra - {"IPython"}) | {"talkface_lite"}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_every_notebook_begins_with_the_cell_that_says_what_is_not_installed(notebook):
    (wording,) = [cell.source for cell in read(HOW_TO).cells if cell.get("id") == "install"]
    first = next(cell for cell in read(notebook).cells if cell.cell_type == "code")
    assert first.get("id") == "install"
    assert first.source == wording
    assert machine.INSTALL in wording
    assert tags(first) == {"remove-cell", "plumbing"}


def run(tmp_path: Path, *cells: str) -> list[NotebookNode]:
    """Execute cells where the package is not to be found; the cells with their outputs."""
    blind = """
import importlib.util, sys

found = importlib.util.find_spec
hide = {"talkface_lite", "sklearn"}
importlib.util.find_spec = lambda name, *more: None if name in hide else found(name, *more)
"""
    made = [nbformat.v4.new_code_cell(source) for source in (blind, *cells)]
    client = NotebookClient(nbformat.v4.new_notebook(cells=made), kernel_name="python3")
    with client.setup_kernel(cwd=str(tmp_path)):
        for index, cell in enumerate(made):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError:
                break
    return made[1:]


def test_a_chapter_alone_says_in_one_line_what_is_missing(tmp_path):
    (source,) = [cell.source for cell in read(HOW_TO).cells if cell.get("id") == "install"]
    first, second = run(tmp_path, source, "print('went on')")
    (error,) = first.outputs
    line = f"Missing: talkface_lite, sklearn. Run {machine.INSTALL} and restart the kernel."
    assert error.traceback == [line]
    assert second.outputs == []


def test_what_is_installed_is_listed_with_versions():
    versions = machine.packages()
    assert versions["numpy"] == metadata.version("numpy")
    assert {normalised(package) for package in versions} >= {"librosa", "dlib-bin", "scikit-learn"}
    assert "webdataset" not in versions  # of the extra test


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    lines = ["numpy>=2.0", 'talkface_lite[one,two]; extra == "book"', 'absent-a>=1; extra == "one"']
    lines += ['absent_b[x]<2 ; extra == "two"', 'absent-c; extra == "test"']
    monkeypatch.setattr(machine.metadata, "requires", lambda name: lines)
    with pytest.raises(
        machine.Missing, match=r"^Missing: absent-a, absent_b\. Run %pip install -e "
    ) as caught:
        machine.packages()
    assert "\n" not in str(caught.value)
    assert caught.value._render_traceback_() == [str(caught.value)]


def test_a_package_that_is_not_installed_at_all_says_so(monkeypatch):
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine.metadata, "requires", requires)
    with pytest.raises(machine.Missing, match="talkface_lite is not installed: run %pip"):
        machine.packages()


# ---- what is folded, and what it is called


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_folded_cells_are_folded_in_jupyterlab_too_and_carry_their_tag(notebook):
    problems = []
    for cell in read(notebook).cells:
        if cell.cell_type != "code":
            continue
        has, where = tags(cell), f"cell {cell.get('id')}"
        if ("plumbing" in has) != bool(has & {"hide-input", "remove-cell"}):
            problems.append(f"{where}: plumbing goes with hide-input or remove-cell")
        if ("solution" in has) != ("hide-cell" in has):
            problems.append(f"{where}: solution goes with hide-cell")
        if has & {"plumbing", "solution"} and not folded_in_lab(cell):
            problems.append(f"{where}: open in JupyterLab, set jupyter.source_hidden")
        if "solution" in has and not cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            problems.append(f"{where}: its output gives the answer away, set jupyter.outputs_hidden")
        if folded_in_lab(cell) and not has & {"plumbing", "solution"}:
            problems.append(f"{where}: folded in JupyterLab and open on the page")
    assert problems == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_a_students_edition_holds_no_solution(chapter):
    """Without the cells that are tagged ``solution``, each exercise keeps its stub and loses its answer."""
    notebook = read(chapter)
    kept = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    assert not [cell for cell in kept if cell.source.startswith("**Solution**")]
    stubs = re.findall(r"check\.exercise_(\d+)\(", "\n".join(c.source for c in kept if c.cell_type == "code"))
    answers = [cell for cell in notebook.cells if cell.cell_type == "code" and "solution" in tags(cell)]
    solved = re.findall(r"check\.exercise_(\d+)\(", "\n".join(cell.source for cell in answers))
    assert sorted(stubs) == sorted(solved) != []
    headings = [cell.source for cell in kept if cell.cell_type == "markdown"]
    assert len(re.findall(r"^### Exercise \d", "\n".join(headings), re.MULTILINE)) >= len(stubs)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_six_to_ten_questions_whose_answers_are_folded_everywhere(chapter):
    cells = read(chapter).cells
    (recall,) = [cell for cell in cells if "recall" in tags(cell)]
    assert recall.cell_type == "markdown"
    assert recall.source.startswith("**Check your memory**\n\n")
    asked = QUESTION.findall(recall.source)
    assert 6 <= len(asked) <= 10
    assert recall.source.count("<details") == len(asked)
    assert QUESTION.sub("", recall.source).split("**")[2].strip() == ""
    for question, answer in asked:
        # the page takes a summary for plain HTML: neither formula nor role would be rendered
        assert not re.search(r"[$`]|\*\*", question), question
        assert question.endswith(("?", ".")), question
        assert len(answer.split()) >= 5, question
    assert not [cell for cell in cells if cell is not recall and "Check your memory" in cell.source]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_code_that_draws_is_folded_where_there_is_much_of_it(chapter):
    """A chapter leaves open what teaches; a long cell of axes and labels does not."""
    problems, lines = [], 0
    for cell in read(chapter).cells:
        if cell.cell_type != "code" or tags(cell) & {"plumbing", "solution"}:
            continue
        code = [line for line in cell.source.splitlines() if line.strip()]
        lines += len(code)
        if "plt.subplots(" in cell.source and len(code) > 12:
            problems.append(f"cell {cell.get('id')} draws in the open, {len(code)} lines")
    assert problems == []
    assert lines <= MOST_OPEN_LINES
