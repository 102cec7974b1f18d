"""Chapters reach the pages executed: from the store where they are in it, else executed now, side by side.

Sphinx itself executes nothing (``execute_notebooks: off``): it is handed the executed notebook when it reads the clean
one. A cell that fails, fails the build; what a cell wrote to standard error is a warning, as before.
"""

from pathlib import Path

import chapter_store
import nbformat
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
SIDE_BY_SIDE = 2


def execute_missing(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Before pages are read: execute those chapters among them that are not in the store."""
    root = Path(app.srcdir).resolve()
    paths = [Path(env.doc2path(docname)).resolve() for docname in docnames]
    failures = []
    notebooks = [path for path in paths if path.suffix == ".ipynb"]
    for path, outcome in chapter_store.execute_all(root, notebooks, "build", SIDE_BY_SIDE):
        name = path.relative_to(root).as_posix()
        if isinstance(outcome, Exception):
            failures.append(f"{name}: {outcome}")
        else:
            LOGGER.info(
                "executed %s: %.1f s, %.1f CPU s",
                name,
                outcome.seconds,
                outcome.cpu_seconds,
            )
    if failures:
        raise ExtensionError(
            "chapters that could not be executed:\n\n" + "\n\n".join(failures)
        )


def hand_over(app: Sphinx, docname: str, content: list[str]) -> None:
    """Where Sphinx read a clean notebook, put the executed one."""
    path = Path(app.env.doc2path(docname)).resolve()
    if path.suffix != ".ipynb":
        return
    stored = chapter_store.load(Path(app.srcdir).resolve(), path)
    if stored is None:
        raise ExtensionError(
            f"{docname} changed while the book was being built: build it again"
        )
    notebook, record = stored
    content[0] = nbformat.writes(notebook)
    NbMetadataCollector.set_exec_data(
        app.env,
        docname,
        {
            "mtime": record.finished,
            "runtime": record.seconds,
            "method": record.by,
            "succeeded": True,
            "error": None,
            "traceback": None,
        },
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", execute_missing)
    app.connect("source-read", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
