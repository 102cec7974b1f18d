"""The book keeps its promises: every page, every chapter, every link."""

import importlib
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import book_rules as rules
import nbformat
import pytest
import yaml

from talkface_lite.check.steps import CHAPTER_STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGES = rules.pages(ROOT)
EXISTING = [page for page in PAGES if page.exists()]
CHAPTERS = [page for page in rules.chapters(ROOT) if page.suffix == ".ipynb"]
NOTEBOOKS = [page for page in EXISTING if page.suffix == ".ipynb"]
DOCUMENTS = [*EXISTING, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
KEYS = rules.bibliography(ROOT / "book" / "references.bib")


def name(page: Path) -> str:
    return page.stem


def read(page: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(page, 4)
    nbformat.validate(notebook)
    return notebook


def test_every_page_is_listed_and_exists():
    assert rules.toc_problems(ROOT) == []


def test_chapters_are_notebooks():
    assert [page.name for page in rules.chapters(ROOT) if page.suffix != ".ipynb"] == []
    assert len(CHAPTERS) >= 4


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_chapter_has_the_whole_anatomy(chapter):
    assert rules.anatomy_problems(read(chapter)) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_exercises_have_stub_check_and_solution(chapter):
    assert rules.exercise_problems(read(chapter)) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_exercises_have_their_module_of_checks(chapter):
    code = "\n".join(cell.source for cell in read(chapter).cells if cell.cell_type == "code")
    (module_name,) = set(re.findall(r"from talkface_lite\.check import (\w+) as check", code))
    module = importlib.import_module(f"talkface_lite.check.{module_name}")
    for number in set(re.findall(r"check\.exercise_(\d+)\(", code)):
        assert callable(getattr(module, f"exercise_{number}", None))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_notebooks_are_clean_and_their_figures_have_alt_text(notebook):
    assert rules.notebook_problems(read(notebook)) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_experiments_are_in_the_one_table(notebook):
    assert rules.experiments(read(notebook)) - set(CHAPTER_STEPS) == set()


@pytest.mark.parametrize("page", DOCUMENTS, ids=name)
def test_page_cites_links_and_speaks_well(page):
    text = rules.markdown(page)
    problems = (
        rules.citation_problems(text, KEYS) + rules.alt_problems(text) + rules.link_problems(page, text)
    )
    assert problems + rules.prose_problems(text) == []


def test_figure_names_are_unique_in_the_book():
    names = [name for page in NOTEBOOKS for name in rules.figure_names(read(page))]
    names += [name for page in EXISTING for name in re.findall(r"^:name: (\S+)", rules.markdown(page), re.M)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_docstrings_cite_what_the_bibliography_has():
    sources = (ROOT / "talkface_lite").rglob("*.py")
    assert [problem for path in sources for problem in rules.citation_problems(path.read_text(), KEYS)] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=name)
def test_commands_that_a_page_names_exist(page):
    from talkface_lite.cli import _parser

    commands = re.search(r"\{([\w,]+)\}|^  COMMAND\n((?:    .*\n)+)", _parser([]).format_help(), re.MULTILINE)
    assert commands
    names = re.findall(r"^    (\w+)", commands[0], re.MULTILINE) or commands[1].split(",")
    text = rules.markdown(page)
    assert rules.make_problems(text, (ROOT / "Makefile").read_text()) == []
    assert rules.command_problems(text, names) == []


def test_first_screen_of_the_readme_shows_a_picture_and_the_commands():
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
    assert re.search(r"!\[[^\]]{30,}\]\(book/_static/", screen)
    assert all(f"make {command}" in screen for command in ("book", "test", "talk"))


def test_citation_file_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]


def test_no_committed_text_names_one_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    problems = []
    for file in filter(None, listed.stdout.split("\0")):
        path = ROOT / file
        if path.suffix not in {".png", ".mp4", ".safetensors", ".ico", ".jpg", ".woff2"} and path.is_file():
            problems += [f"{file}: {problem}" for problem in rules.path_problems(path.read_text())]
    assert problems == []


def test_pages_of_the_package_list_every_module_with_public_names():
    texts = [page.read_text() for page in sorted((ROOT / "book" / "appendix" / "api").glob("*.md"))]
    listed = {module for text in texts for module in re.findall(r"automodule:: (\S+)", text)}
    public = set()
    for path in (ROOT / "talkface_lite").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        # the painter's files are one painter; each chapter's checks are found through its exercises
        inner = re.match(r"talkface_lite\.(?:check\.|corpus\.painter\.)", module)
        if re.search(r"^(?:def|class) [A-Za-z]", path.read_text(), re.MULTILINE) and not inner:
            public.add(module)
    assert listed >= public, f"on no page: {sorted(public - listed)}"
    for module in listed:
        importlib.import_module(module)


def test_table_of_equations_names_code_and_tests_that_exist():
    page = (ROOT / "book" / "appendix" / "equations.md").read_text()
    functions = re.findall(r"\{py:(?:func|class|meth|data)\}`~?(talkface_lite[\w.]+)`", page)
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(functions) >= 10
    assert len(tests) >= 10
    for function in functions:
        thing = importlib.import_module("talkface_lite")
        for part in function.split(".")[1:]:
            if not hasattr(thing, part):
                importlib.import_module(f"{thing.__name__}.{part}")
            thing = getattr(thing, part)
    for file, test in tests:
        assert re.search(rf"def {test}\(", (ROOT / file).read_text()), f"{file} has no {test}"
