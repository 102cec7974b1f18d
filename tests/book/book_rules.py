"""What the book promises of itself, as functions that list what is broken. Empty lists are good news."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ANATOMY = (
    "What you will be able to do",
    "What you need first",
    "Time and memory",
    "The idea in one paragraph",
    "From the equation to code",
    "The package gives the same",
    "Experiment: ",
    "Paper, released code, ours",
    "What goes wrong and how it looks",
    "Exercises",
    "Summary",
    "Where to read on",
)
"""H2 headings of a chapter, in order. "Experiment: …" stands once or more, the others once."""

DIFFICULTIES = ("easy", "medium", "open")
FIGURE_CALLS = re.compile(r"plt\.show\(|\.imshow\(|\bshow_(?:frames|landmarks|speech)\(|plt\.subplots\(")
FETCHES = re.compile(r"\bcuda\b|urlopen|urlretrieve|\brequests\.|^\s*[!%](?:pip|wget|curl)", re.MULTILINE)
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
MACHINE_PATH = re.compile(r"(?<![\w.~)}>-])/(?:work|home|root|Users|mnt|tmp)/\w|\b[A-Z]:\\\w")
TALKING_DOWN = re.compile(r"\b(?:simply|obviously|trivially|just)\b", re.IGNORECASE)
UNFINISHED = re.compile(r"@@\w*@@|\b(?:TODO|TBD|FIXME|XXX)\b")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)|<img\b[^>]*>")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
DOC = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`")


# ---- the table of contents


def parts(toc: dict) -> Iterator[tuple[str, list[str]]]:
    """``(caption, files without suffix)`` of each part."""
    for part in toc["parts"]:
        listed = [[chapter, *chapter.get("sections", [])] for chapter in part["chapters"]]
        yield part["caption"], [page["file"] for together in listed for page in together]


def pages(root: Path) -> list[Path]:
    """Every page that ``_toc.yml`` lists; a missing one keeps the suffix ``.missing``."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    files = [toc["root"], *(file for _, chapters in parts(toc) for file in chapters)]
    return [_with_suffix(root / file) for file in files]


def chapters(root: Path) -> list[Path]:
    """The pages that are chapters: those in the folders ``book/1-…``, ``book/2-…`` and so on."""
    return [page for page in pages(root) if re.match(r"\d+-", page.parent.name)]


def toc_problems(root: Path) -> list[str]:
    """Pages that are listed and do not exist, or exist and are not listed."""
    listed = pages(root)
    problems = [f"_toc.yml lists {page.stem}, which does not exist" for page in listed if not page.exists()]
    there = {page for suffix in ("md", "ipynb") for page in (root / "book").rglob(f"*.{suffix}")}
    there = {page for page in there if not any(part.startswith((".", "_")) for part in page.parts)}
    return problems + [f"{page.name} is not in _toc.yml" for page in sorted(there - set(listed))]


def _with_suffix(path: Path) -> Path:
    for suffix in (".ipynb", ".md"):
        if path.with_name(path.name + suffix).is_file():
            return path.with_name(path.name + suffix)
    return path.with_name(path.name + ".missing")


# ---- one page


def markdown(page: Path) -> str:
    """The prose of a page: the file itself, or a notebook's markdown cells."""
    if page.suffix != ".ipynb":
        return page.read_text()
    return "\n\n".join(c.source for c in nbformat.read(page, 4).cells if c.cell_type == "markdown")


def without_code(text: str) -> str:
    """Markdown without fenced blocks of code and inline code; directives keep their text."""
    text = re.sub(r"^(`{3,})(?!\{)[^\n]*\n.*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(\{[\w:-]+\}`[^`]*`)|`[^`\n]*`", lambda match: match[1] or "", text)


def citation_problems(text: str, known: set[str]) -> list[str]:
    """Keys that are cited and not in the bibliography."""
    cited = {key.strip() for keys in CITATION.findall(text) for key in keys.split(",")}
    return [f"{key} is cited and not in references.bib" for key in sorted(cited - known)]


def bibliography(path: Path) -> set[str]:
    """The keys of a BibTeX file; a key that stands twice is an error."""
    keys = re.findall(r"^@\w+\{([^,\s]+),", path.read_text(), flags=re.MULTILINE)
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"in {path.name} twice: {sorted(twice)}"
    return set(keys)


def alt_problems(text: str) -> list[str]:
    """Pictures in markdown without a text for readers who do not see them."""
    problems = []
    for match in IMAGE.finditer(without_code(text)):
        tag = match[0]
        alt = re.search(r'\balt="([^"]*)"', tag)
        if len((alt[1] if tag.startswith("<img") and alt else match[1]) or "") < 15:
            problems.append(f"no alt text: {tag[:60]}")
    for block in re.finditer(r"^[`:]{3,}\{(?:figure|image)\} (\S+)\n(.*?)^[`:]{3,}$", text, re.DOTALL | re.M):
        alt = re.search(r"^:alt: (.+)$", block[2], re.MULTILINE)
        if not alt or len(alt[1]) < 15:
            problems.append(f"no alt text: {block[1]}")
    return problems


def link_problems(page: Path, text: str) -> list[str]:
    """Links and pictures that lead to no file."""
    text = without_code(text)
    targets = [(target, "") for target in LINK.findall(text)]
    targets += [(match[2], "") for match in IMAGE.finditer(text) if match[2]]
    targets += re.findall(r"^[`:]{3,}\{(?:figure|image)\} (\S+)()", text, re.MULTILINE)
    problems = []
    for target, _ in targets:
        file = target.split("#")[0]
        if file and not re.match(r"\w+:", file) and not (page.parent / file).exists():
            problems.append(f"{page.name} links to {target}, which does not exist")
    for target in DOC.findall(text):
        if _with_suffix(page.parent / target.strip()).suffix == ".missing":
            problems.append(f"{page.name} links to {target}, which is no page")
    return problems


def prose_problems(text: str) -> list[str]:
    """Words that tell a reader that what is hard for them is easy, and places that were never filled in."""
    text = without_code(text)
    return [f"{word!r} in the prose" for word in TALKING_DOWN.findall(text) + UNFINISHED.findall(text)]


# ---- one notebook


def notebook_problems(notebook: NotebookNode) -> list[str]:
    """What holds for every notebook of the book, chapter or not."""
    problems = []
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        problems.append("cell ids are missing or not unique")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        problems.append("the kernel is not python3")
    for cell in _code(notebook):
        kept = "nbval-check-output" in cell.metadata.get("tags", [])
        if (cell.outputs or cell.execution_count is not None) and not kept:
            problems.append(f"cell {cell.get('id')} holds outputs")
        if found := FETCHES.search(cell.source):
            problems.append(f"cell {cell.get('id')} uses {found[0].strip()!r}")
    return problems + figure_problems(notebook)


def figure_problems(notebook: NotebookNode) -> list[str]:
    """Cells that draw and have no alt text in their metadata."""
    problems = []
    for cell in _code(notebook):
        defines_only = not re.search(
            r"^\S*(?:plt\.show|show_frames)\(|^\S.*=.*show_frames\(", cell.source, re.M
        )
        if not FIGURE_CALLS.search(cell.source) or (
            defines_only and re.search(r"^\s*def ", cell.source, re.M)
        ):
            continue
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if len(alt) < 30:
            problems.append(f"cell {cell.get('id')} draws a figure without alt text")
    return problems


def figure_names(notebook: NotebookNode) -> list[str]:
    """Labels of the numbered figures; they share one name space over the whole book."""
    figures = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in _code(notebook)]
    return [figure["name"] for figure in figures if "name" in figure]


def anatomy_problems(notebook: NotebookNode) -> list[str]:
    """A chapter's headings: one title, then the sections of :data:`ANATOMY` in order."""
    problems = []
    found = list(headings(notebook))
    if [text for level, text in found if level == 1] != [found[0][1]] or found[0][0] != 1:
        problems.append("a chapter has one title, at its top")
    sections = [text for level, text in found if level == 2]
    wanted = list(ANATOMY)
    for text in sections:
        if wanted and text.startswith(wanted[0]):
            wanted.pop(0)
        elif not text.startswith("Experiment: ") or "Experiment: " in wanted:
            problems.append(
                f"section {text!r} is out of place; next is {wanted[0] if wanted else 'the end'!r}"
            )
    problems += [f"section {text!r} is missing" for text in wanted]
    measured = section(notebook, "Time and memory")
    if not (re.search(r"\d+ ?(?:s|seconds|minutes?)\b", measured) and re.search(r"\d+ ?[MG]i?B", measured)):
        problems.append("'Time and memory' gives no seconds or no megabytes")
    if "dropdown" not in section(notebook, "Summary"):
        problems.append("'Summary' has no recall questions with folded answers")
    if not CITATION.search(section(notebook, "The idea in one paragraph")):
        problems.append("'The idea in one paragraph' cites nothing")
    if "assert" not in section(notebook, "The package gives the same", code=True):
        problems.append("'The package gives the same' asserts nothing")
    return problems


def exercise_problems(notebook: NotebookNode) -> list[str]:
    """At least three exercises, each with a stub, a check, and a folded solution with the same check.

    Beyond those three an open exercise may be a question that only its reader can answer, without code.
    """
    problems = []
    numbers, levels, complete = [], [], 0
    for number, level, cells in _exercises(notebook):
        numbers.append(number)
        levels.append(level)
        if level == "open" and all(cell.cell_type == "markdown" for cell in cells):
            continue
        complete += 1
        call = f"check.exercise_{number}("
        code = [cell for cell in cells if cell.cell_type == "code"]
        folded = [cell for cell in code if "hide-cell" in cell.metadata.get("tags", [])]
        shown = [cell for cell in code if cell not in folded]
        if not any(call in cell.source and re.search(r"\.\.\.|return None", cell.source) for cell in shown):
            problems.append(f"exercise {number} has no stub with its check")
        if not any(call in cell.source for cell in folded):
            problems.append(f"exercise {number} has no folded solution with its check")
        if not any(re.search(r"\bSolution\b", c.source) for c in cells if c.cell_type == "markdown"):
            problems.append(f"exercise {number} has no cell 'Solution'")
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"exercises are numbered {numbers}, not 1, 2, 3 …")
    if complete < 3:
        problems.append(f"{complete} exercises have stub, check and solution, fewer than 3")
    if missing := [level for level in DIFFICULTIES if level not in levels]:
        problems.append(f"no exercise is {' or '.join(missing)}")
    return problems


def experiments(notebook: NotebookNode) -> set[str]:
    """The experiments whose size a notebook asks :func:`talkface_lite.check.steps.steps` for."""
    asked = [re.findall(r"\bsteps\(\s*[\"']([^\"']+)", cell.source) for cell in _code(notebook)]
    return {experiment for one_cell in asked for experiment in one_cell}


def headings(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """``(level, text)`` of each heading, in order."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"^(`{3,}).*?^\1", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            for marks, heading in re.findall(r"^(#{1,6}) +(.+?) *$", text, re.MULTILINE):
                yield len(marks), heading


def section(notebook: NotebookNode, title: str, *, code: bool = False) -> str:
    """The text, or the code, between one H2 heading and the next."""
    inside, collected = False, []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            if inside and code:
                collected.append(cell.source)
            continue
        for line in cell.source.splitlines():
            if line.startswith("## "):
                inside = line[3:].strip().startswith(title)
            elif inside and not code:
                collected.append(line)
    return "\n".join(collected)


def _exercises(notebook: NotebookNode) -> Iterator[tuple[int, str, list[NotebookNode]]]:
    current: tuple[int, str, list[NotebookNode]] | None = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = re.search(r"^### Exercise (\d+) \((\w+)\)", cell.source, re.MULTILINE)
            ended = re.search(r"^## (?!Exercises)", cell.source, re.MULTILINE)
            if (heading or ended) and current:
                yield current
                current = None
            if heading:
                current = (int(heading[1]), heading[2], [])
        if current:
            current[2].append(cell)
    if current:
        yield current


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


# ---- the repository


def path_problems(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    return [f"a path of one machine: {match[0]}…" for match in MACHINE_PATH.finditer(text)]


def make_problems(text: str, makefile: str) -> list[str]:
    """``make`` targets that a page tells a reader to run and the Makefile does not have."""
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    commands = re.findall(
        r"(?:`|^)(?:[A-Z_]+=\S+ +)*make ((?:[A-Z]+=\S+ +)*)([a-z][\w-]*)", text, re.MULTILINE
    )
    return [f"make {name} is no target" for name in sorted({name for _, name in commands} - targets)]


def command_problems(text: str, commands: Iterable[str]) -> list[str]:
    """``talkface`` commands that a page names and the program does not have."""
    named = set(re.findall(r"(?:`|^|/)talkface ([a-z]+)", text, re.MULTILINE))
    return [f"talkface {name} is no command" for name in sorted(named - set(commands))]
