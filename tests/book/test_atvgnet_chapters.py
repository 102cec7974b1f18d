"""What the chapters on ATVGnet say of themselves holds."""

import re
from pathlib import Path

import book_rules as rules
import nbformat
import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = [page for page in rules.chapters(ROOT) if page.parent.name == "2-atvgnet"]
NUMBERS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}


def prose(page):
    return [cell.source for cell in nbformat.read(page, 4).cells if cell.cell_type == "markdown"]


def test_at_net_promises_as_many_failures_as_it_shows():
    (page,) = (page for page in CHAPTERS if page.stem == "at-net")
    (promised,) = re.findall(r"Recognise (\w+) failures", rules.markdown(page))
    shown = re.findall(
        r"^\*\*(.+?)\.\*\*", rules.section(nbformat.read(page, 4), "What goes wrong"), re.MULTILINE
    )
    assert NUMBERS[promised] == len(shown), shown


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_no_formula_of_several_lines_carries_a_tag(page):
    """Sphinx sets such a formula in ``split``, where MathJax refuses a tag: an error box."""
    for source in prose(page):
        for formula in re.findall(r"\$\$(.+?)\$\$", source, re.DOTALL):
            assert not (r"\\" in formula and r"\tag" in formula), formula


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_every_picture_of_a_talking_photograph_is_of_the_person_who_may_be_shown(page):
    """The page on consent: of a living person who was not asked there are numbers and no film."""
    for cell in nbformat.read(page, 4).cells:
        if cell.cell_type != "code" or not re.search(r"\bplayer\(|show_frames\(|imshow\(", cell.source):
            continue
        for call in re.findall(r"(?:player|show_frames|imshow)\((.+?)\n\)|$", cell.source, re.DOTALL):
            assert "collins" not in call.lower()
        assert "collins" not in str(cell.metadata).lower()


def test_works_that_would_be_cited_alike_carry_a_letter():
    works = parse_file(str(ROOT / "book" / "references.bib")).entries
    cited = re.findall(rules.CITATION, "".join(rules.markdown(p) for p in rules.pages(ROOT) if p.exists()))
    labels = {}
    for key in {key.strip() for keys in cited for key in keys.split(",")}:
        names = [" ".join(person.last_names) for person in works[key].persons["author"]]
        who = names[0] + " et al." if len(names) > 2 else " and ".join(names)
        label = f"{who}, {works[key].fields['year']}"
        assert label not in labels, f"{key} and {labels[label]} are both [{label}]"
        labels[label] = key
    assert len(labels) > 20
