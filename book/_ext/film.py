"""``{film}``: a short silent film as a figure, which repeats and can be paused, with a still for print.

Its argument is the film's name without the ending, ``front`` for ``_static/front.mp4`` and ``_static/front-film.jpg``;
its content is the caption. It starts by itself only where the reader has not asked for less motion; see ``book.js``.
"""

from html import escape
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PLAYER = (
    '<div class="film"><video class="film-loop" controls muted loop playsinline preload="auto" width="{width}" '
    'height="{height}" poster="{static}/{name}-film.jpg" aria-label="{alt}">'
    '<source src="{static}/{name}.mp4" type="video/mp4"></video>'
    '<button type="button" class="film-pause" hidden>Pause</button></div>'
)


class Film(SphinxDirective):
    """A film with its caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {
        "alt": directives.unchanged_required,
        "name": directives.unchanged_required,
        "width": directives.positive_int,
        "height": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        up = "../" * self.env.docname.count("/")
        player = PLAYER.format(
            name=self.arguments[0],
            static=f"{up}_static",
            alt=escape(self.options["alt"], quote=True),
            width=self.options["width"],
            height=self.options["height"],
        )
        figure = nodes.figure("", nodes.raw("", player, format="html"))
        still = nodes.image(
            uri=f"_static/{self.arguments[0]}-film.jpg", alt=self.options["alt"]
        )
        figure += addnodes.only("", still, expr="latex")
        caption = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, caption)
        figure += nodes.caption("", "", *caption.children[0].children)
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("film", Film)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
