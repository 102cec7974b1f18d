"""The rules can fail: a good chapter made on the spot passes, and each way of spoiling it shows."""

import copy
from collections.abc import Callable
from pathlib import Path

import book_rules as rules
import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PROSE = {
    "Time and memory": "30 s and 400 MB.",
    "The idea in one paragraph": "As in {cite}`chen2019hierarchical`.",
    "Summary": ":::{dropdown} Which?\nThis.\n:::",
}


@pytest.fixture
def chapter() -> NotebookNode:
    cells = [new_markdown_cell("# A chapter")]
    for title in rules.ANATOMY:
        title = title + "what if" if title == "Experiment: " else title
        cells.append(new_markdown_cell(f"## {title}\n\n{PROSE.get(title, '')}"))
        if title == "The package gives the same":
            cells.append(new_code_cell("assert ours == package"))
        if title.startswith("Experiment"):
            alt = {"mystnb": {"image": {"alt": "A line that rises from the lower left to the upper right."}}}
            cells.append(new_code_cell("ax.plot(x, y)\nplt.show()", metadata=alt))
        if title == "Exercises":
            for n, level in enumerate(("easy", "medium", "open"), start=1):
                cells.append(new_markdown_cell(f"### Exercise {n} ({level})\n\nDo it."))
                stub = f"def answer(x):\n    ...  # your code\n\n\ncheck.exercise_{n}(answer)"
                cells.append(new_code_cell(stub))
                cells.append(new_markdown_cell("**Solution**"))
                solution = f"def solution(x):\n    return x\n\n\ncheck.exercise_{n}(solution)"
                cells.append(new_code_cell(solution, metadata={"tags": ["hide-cell"]}))
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def all_problems(notebook: NotebookNode) -> list[str]:
    return (
        rules.notebook_problems(notebook)
        + rules.anatomy_problems(notebook)
        + rules.exercise_problems(notebook)
    )


def find(notebook: NotebookNode, text: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if text in cell.source)


def drop(text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells.remove(find(notebook, text))


def swap(old: str, new: str) -> Callable[[NotebookNode], None]:
    def spoil(notebook: NotebookNode) -> None:
        cell = find(notebook, old)
        cell.source = cell.source.replace(old, new)

    return spoil


def set_on(text: str, **fields: object) -> Callable[[NotebookNode], None]:
    return lambda notebook: find(notebook, text).update(fields)


def without_code_after(heading: str) -> Callable[[NotebookNode], None]:
    def spoil(notebook: NotebookNode) -> None:
        first = notebook.cells.index(find(notebook, heading)) + 1
        last = next(n for n in range(first, len(notebook.cells)) if "##" in notebook.cells[n].source)
        del notebook.cells[first:last]

    return spoil


def twice_the_same_id(notebook: NotebookNode) -> None:
    notebook.cells[3]["id"] = notebook.cells[2]["id"]


def sections_in_another_order(notebook: NotebookNode) -> None:
    a, b = (notebook.cells.index(find(notebook, f"## {text}")) for text in ("What you need", "Time and"))
    notebook.cells[a], notebook.cells[b] = notebook.cells[b], notebook.cells[a]


def test_a_good_chapter_passes(chapter):
    nbformat.validate(chapter)
    assert all_problems(chapter) == []
    place = chapter.cells.index(find(chapter, "## Summary"))
    chapter.cells.insert(place, new_markdown_cell("### Exercise 4 (open)\n\nWhat do you think?"))
    assert all_problems(chapter) == []
    second = new_markdown_cell("## Experiment: another")
    chapter.cells.insert(chapter.cells.index(find(chapter, "## Paper, released")), second)
    assert all_problems(chapter) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (drop("## What you need first"), "'What you need first' is missing"),
        (drop("## Experiment"), "'Experiment: ' is missing"),
        (drop("## Where to read on"), "'Where to read on' is missing"),
        (sections_in_another_order, "out of place"),
        (swap("## Summary", "## Summary\n\n## Appendix"), "'Appendix' is out of place"),
        (swap("# A chapter", "Some text"), "one title"),
        (swap("## Summary", "# Another title\n\n## Summary"), "one title"),
        (swap("30 s and 400 MB", "Not long"), "no seconds or no megabytes"),
        (swap("30 s and", "About"), "no seconds or no megabytes"),
        (swap("dropdown", "note"), "no recall questions"),
        (swap("{cite}`chen2019hierarchical`", "the paper"), "cites nothing"),
        (swap("assert ours == package", "print(ours, package)"), "asserts nothing"),
        (swap("\n\n\ncheck.exercise_2(answer)", ""), "exercise 2 has no stub"),
        (
            swap("    ...  # your code\n\n\ncheck.exercise_3", "    return x\n\n\ncheck.exercise_3"),
            "3 has no stub",
        ),
        (swap("check.exercise_1(solution)", ""), "exercise 1 has no folded solution"),
        (set_on("check.exercise_1(solution)", metadata={}), "exercise 1 has no folded solution"),
        (drop("**Solution**"), "exercise 1 has no cell 'Solution'"),
        (swap("### Exercise 2 (medium)", "### Exercise 4 (medium)"), "numbered"),
        (swap("### Exercise 3 (open)", "### Exercise 3 (easy)"), "no exercise is open"),
        (without_code_after("### Exercise 3"), "fewer than 3"),
        (without_code_after("### Exercise 2"), "exercise 2 has no stub"),
        (set_on("plt.show()", metadata={}), "without alt text"),
        (set_on("plt.show()", metadata={"mystnb": {"image": {"alt": "a plot"}}}), "without alt text"),
        (set_on("plt.show()", outputs=[new_output("stream", text="1")]), "holds outputs"),
        (set_on("plt.show()", execution_count=3), "holds outputs"),
        (swap("assert ours", "if torch.cuda.is_available(): assert ours"), "uses 'cuda'"),
        (swap("assert ours", "!pip install something\nassert ours"), "uses '!pip'"),
        (twice_the_same_id, "ids"),
        (lambda notebook: notebook.metadata.kernelspec.update(name="talkface"), "kernel"),
    ],
)
def test_a_spoilt_chapter_does_not(chapter, spoil, problem):
    whole = copy.deepcopy(chapter)
    spoil(chapter)
    assert chapter != whole
    assert any(problem in found for found in all_problems(chapter)), all_problems(chapter)


def test_helper_functions_that_draw_need_no_alt_text_of_their_own(chapter):
    chapter.cells.insert(1, new_code_cell("def draw(ax):\n    ax.imshow(picture)"))
    assert rules.figure_problems(chapter) == []
    chapter.cells.insert(2, new_code_cell("figure = show_frames(clip.frames)"))
    assert len(rules.figure_problems(chapter)) == 1


def test_citations():
    text = "{cite}`known` and {cite:t}`known, unknown`"
    assert rules.citation_problems(text, {"known"}) == ["unknown is cited and not in references.bib"]


def test_a_key_twice_in_the_bibliography(tmp_path):
    (tmp_path / "a.bib").write_text("@article{one,\n}\n@book{two,\n}\n@misc{one,\n}\n")
    with pytest.raises(AssertionError, match="one"):
        rules.bibliography(tmp_path / "a.bib")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("![A face that speaks, drawn](a.png)", 0),
        ("![](a.png)", 1),
        ('<img src="a.png" alt="A face that speaks, drawn">', 0),
        ('<img src="a.png">', 1),
        (":::{figure} a.png\n:alt: A face that speaks, drawn\n\nCaption.\n:::", 0),
        (":::{figure} a.png\n:name: a\n\nCaption.\n:::", 1),
        ("```{image} a.png\n```", 1),
    ],
)
def test_alt_texts_in_markdown(text, problems):
    assert len(rules.alt_problems(text)) == problems


def test_links(tmp_path):
    (tmp_path / "there.md").write_text("")
    page = tmp_path / "page.md"
    good = "[a](there.md#part) [b](https://example.org) {doc}`there` {doc}`Title <there>` `[c](nowhere.md)`"
    assert rules.link_problems(page, good) == []
    bad = "[a](nowhere.md)\n\n{doc}`nowhere`\n\n:::{figure} nowhere.png\n:::\n\n![A picture](gone.png)"
    assert len(rules.link_problems(page, bad)) == 4


def test_prose():
    assert rules.prose_problems("An adjusted mean. `just_code` is code.\n```\njust code\n```\n") == []
    assert rules.prose_problems("Simply call it. It is just a mean.") == [
        "'Simply' in the prose",
        "'just' in the prose",
    ]


def test_places_never_filled_in():
    assert rules.prose_problems("It takes @@TIME@@ s. TODO: measure.") == [
        "'@@TIME@@' in the prose",
        "'TODO' in the prose",
    ]


def test_contents(tmp_path):
    (tmp_path / "book" / "1-part").mkdir(parents=True)
    toc = "format: jb-book\nroot: book/index\nparts:\n- caption: P\n  chapters:\n  - file: book/1-part/a\n"
    (tmp_path / "_toc.yml").write_text(toc)
    (tmp_path / "book" / "index.md").write_text("# I")
    (tmp_path / "book" / "1-part" / "b.ipynb").write_text("{}")
    problems = rules.toc_problems(tmp_path)
    assert problems == ["_toc.yml lists a, which does not exist", "b.ipynb is not in _toc.yml"]
    (tmp_path / "book" / "1-part" / "b.ipynb").rename(tmp_path / "book" / "1-part" / "a.ipynb")
    assert rules.toc_problems(tmp_path) == []
    assert [page.name for page in rules.chapters(tmp_path)] == ["a.ipynb"]


@pytest.mark.parametrize("folder", ["work", "home", "tmp", "Users"])
def test_paths_of_one_machine(folder):
    assert rules.path_problems(f"open('/{folder}/me/clip.mp4')") != []
    assert rules.path_problems(f"https://example.org/{folder}/me and ../{folder}/me") == []
    assert rules.path_problems("C:" + "\\Data\\clip") != []


def test_make_targets():
    makefile = "book: setup\n\tbuild\ntest:\n\trun\n"
    assert rules.make_problems("`make book`, `make PYTHON=python3.12 test`, to make sense", makefile) == []
    assert rules.make_problems("X=1 make books", makefile) == ["make books is no target"]


def test_commands():
    assert rules.command_problems("`talkface talk --photo`\ntalkface info", ["talk", "info"]) == []
    assert rules.command_problems("`talkface sing`", ["talk"]) == ["talkface sing is no command"]


def test_experiments_are_found():
    notebook = new_notebook(cells=[new_code_cell('n = steps("at_net.clips") + runtime.steps( "x.y")')])
    assert rules.experiments(notebook) == {"at_net.clips", "x.y"}


def test_missing_pages_are_told_apart(tmp_path):
    assert rules._with_suffix(tmp_path / "nothing") == Path(tmp_path / "nothing.missing")
