"""``{chapter-map}``: the book's parts and chapters as ``_toc.yml`` lists them, and what is planned.

A chapter that stands is a link. One of ``book/planned.yml`` is *coming*, for as long as ``_toc.yml`` does not list it.
"""

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

TOC, PLANNED = "_toc.yml", "book/planned.yml"
NOT_ON_THE_MAP = ("Appendix",)


@dataclass
class Part:
    """A part of the book: files of its chapters that stand, and titles of those that are planned."""

    caption: str
    place: str
    ready: list[str] = field(default_factory=list)
    coming: list[str] = field(default_factory=list)


def parts(root: Path) -> list[Part]:
    """The book's parts in the order of their folders' numbers; what has none comes first."""
    found: dict[str, Part] = {}
    for entry in yaml.safe_load((root / TOC).read_text())["parts"]:
        files = [chapter["file"] for chapter in entry["chapters"]]
        found[entry["caption"]] = Part(entry["caption"], _place(files[0]), ready=files)
    listed = {file for part in found.values() for file in part.ready}
    for plan in yaml.safe_load((root / PLANNED).read_text()):
        if plan["file"] not in listed:
            part = found.setdefault(plan["part"], Part(plan["part"], _place(plan["file"])))
            part.coming.append(plan["title"])
    return sorted(
        (part for part in found.values() if part.caption not in NOT_ON_THE_MAP),
        key=lambda part: part.place,
    )


def _place(file: str) -> str:
    number = re.match(r"book/(\d+)-", file)
    return number[1].zfill(3) if number else ""


def markdown(root: Path, docname: str) -> list[str]:
    """The map as a table in MyST, for the page ``docname``: a line for each chapter."""
    lines = [
        ":::{list-table}",
        ":header-rows: 1",
        ":widths: 26 74",
        ":class: parts-table",
        "",
    ]
    lines += ["* - part", "  - chapters"]
    here = posixpath.dirname(docname)
    for part in parts(root):
        chapters = [f"{{doc}}`{posixpath.relpath(file, here)}`" for file in part.ready]
        chapters += [
            f"[{title}]{{.coming}} · [coming]{{.coming-mark}}" for title in part.coming
        ]
        lines += [f"* - {part.caption}", "  - " + "\n\n    ".join(chapters)]
    return "\n".join([*lines, ":::"]).split("\n")


class ChapterMap(SphinxDirective):
    """Puts the map where it stands."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        for file in (TOC, PLANNED):
            self.env.note_dependency(str(root / file))
        container = nodes.container()
        self.state.nested_parse(
            StringList(markdown(root, self.env.docname)), self.content_offset, container
        )
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("chapter-map", ChapterMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
