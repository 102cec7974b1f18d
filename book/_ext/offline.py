"""Pages that stand without a network: nothing of Thebe, which runs cells on servers that this book does not use.

Jupyter Book loads it for every book, whatever ``launch_buttons`` says; each page then declares its address twice,
which is an error in the browser's console, and holds the address of another machine.
"""

from sphinx.application import Sphinx


def leave_thebe_out(app: Sphinx) -> None:
    """Disconnect what ``sphinx_thebe`` wants to add to each page."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith("sphinx_thebe"):
                app.disconnect(listener.id)
    styles = app.registry.css_files
    styles[:] = [style for style in styles if style[0] != "sphinx-thebe.css"]


def setup(app: Sphinx) -> dict[str, bool]:
    leave_thebe_out(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
