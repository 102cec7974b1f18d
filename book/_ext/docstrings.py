"""Docstrings on the page of the package: citations as in the chapters, attributes as prose."""

import re

from sphinx.application import Sphinx

CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
BARS = re.compile(r"^(?!.*`).*\|\w+\|.*$")
BEFORE_NAPOLEON, AFTER_NAPOLEON = 400, 600


def cite(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Spell {cite}`key`, as chapters do, the way reStructuredText does; and |x| is an absolute value."""
    lines[:] = [CITATION.sub(r":cite:`\1`", line) for line in lines]
    lines[:] = [line.replace("|", "\\|") if BARS.match(line) else line for line in lines]
    if what in ("attribute", "data", "property"):
        app.env.temp_data[f"prose of {name}"] = list(lines)


def keep_prose(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """An attribute's docstring is a sentence; napoleon takes what stands before its first colon for a type."""
    lines[:] = app.env.temp_data.pop(f"prose of {name}", lines)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", cite, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", keep_prose, priority=AFTER_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
