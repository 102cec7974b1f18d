"""What the theme and docutils write that assistive software stumbles over, mended in the pages that were built.

Each row of :data:`MENDS` is a small, known piece of HTML; ``tests/book/test_browser.py`` lists what is left.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder

MENDS = (
    # a name that hides what the line says: "Show code cell source"
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    (
        re.compile(r'(<button class="btn search-button-field[^>]*?) aria-label="Search"'),
        r"\1",
    ),
    (re.compile(r'(<i class="theme-switch [^>]*?)\s+title="[^"]*"'), r"\1"),
    # arrows without a name; the sidebar, which is no landmark
    (
        re.compile(r'<summary><span class="toctree-toggle" role="presentation">'),
        '<summary aria-label="Pages of this chapter"><span class="toctree-toggle" role="presentation">',
    ),
    (
        re.compile(r'<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar">'),
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar" role="region" aria-label="Book">',
    ),
    # the corner of a table is no header
    (
        re.compile(r'<th class="([^"]*)"\s*>\s*(?:<p>\s*</p>)?\s*</th>'),
        r'<td class="\1"></td>',
    ),
    (re.compile(r"<th>\s*</th>"), "<td></td>"),
    # a box to tick belongs to its sentence
    (
        re.compile(
            r'(?<!<label>)(<input class="task-list-item-checkbox"[^>]*>)(.*?)(?=</p>|</li>)',
            re.DOTALL,
        ),
        r"<label>\1\2</label>",
    ),
    # a picture with its own box, which scrolls on a narrow screen while the caption stays
    (re.compile(r"(<figure\b[^>]*>\s*)(<img\b[^>]*>)"), r'\1<div class="picture">\2</div>'),
    # works of the bibliography: docutils gives roles that are deprecated, or not allowed where they stand
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
    (re.compile(r' role="doc-biblioentry"'), ""),
    (re.compile(r' role="doc-backlink"'), ""),
)


def mend(html: str) -> str:
    """A page with :data:`MENDS` applied."""
    for pattern, replacement in MENDS:
        html = pattern.sub(replacement, html)
    return html


def mend_pages(app: Sphinx, exception: Exception | None) -> None:
    """Mend every page of a build that succeeded."""
    if exception is not None or not isinstance(app.builder, StandaloneHTMLBuilder):
        return
    for path in Path(app.outdir).rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        mended = mend(html)
        if mended != html:
            path.write_text(mended, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
