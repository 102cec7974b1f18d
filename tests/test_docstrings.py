"""What docstrings refer to is there, and the pages can link to it.

Sphinx finds out, but only when the book is built.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

import talkface_lite

PACKAGE = Path(talkface_lite.__file__).parent
ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc):`~?([\w.]+)`")


def modules() -> dict[str, ast.Module]:
    """Name of each module of the package → its tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text())
    return found


def docstrings(tree: ast.Module) -> list[tuple[str, str]]:
    """``(class or "", text)`` of every string that stands alone: docstrings, and those below values."""
    found = []
    for holder in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
        inside = ast.walk(holder) if isinstance(holder, ast.ClassDef) else holder.body
        name = getattr(holder, "name", "")
        for node in inside:
            functions = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for one in [node, *(node.body if functions else [])]:
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    found.append((name, str(one.value.value)))
    return found


def described(tree: ast.Module) -> set[str]:
    """Values of a module with a string below them: others are on no page."""
    found = set()
    for value, text in zip(tree.body, tree.body[1:]):
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            targets = value.targets if isinstance(value, ast.Assign) else [getattr(value, "target", None)]
            names = [name for target in filter(None, targets) for name in getattr(target, "elts", [target])]
            found |= {name.id for name in names if isinstance(name, ast.Name)}
    return found


def missing(name: str, tree: ast.Module, trees: dict[str, ast.Module]) -> list[str]:
    """References of one module that lead nowhere."""
    return [
        target
        for holder, text in docstrings(tree)
        for target in ROLE.findall(text)
        if not any(leads(f"{prefix}.{target}".strip("."), trees) for prefix in ("", name, f"{name}.{holder}"))
    ]


def leads(target: str, trees: dict[str, ast.Module]) -> bool:
    """Whether a dotted name is something of the package's that a page holds, or of another package."""
    parts = target.split(".")
    if target in trees:
        return True
    for n in range(len(parts) - 1, 0, -1):
        module, rest = ".".join(parts[:n]), parts[n:]
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        for part in rest:
            fields = {**getattr(found, "__dataclass_fields__", {}), **getattr(found, "__annotations__", {})}
            if part not in fields and not hasattr(found, part):
                return False
            found = getattr(found, part, None)
        plain_value = len(rest) == 1 and not (isinstance(found, type) or callable(found))
        return module not in trees or not plain_value or rest[0] in described(trees[module])
    return False


TREES = modules()


@pytest.mark.parametrize("name", TREES)
def test_every_reference_of_a_docstring_leads_somewhere(name):
    assert missing(name, TREES[name], TREES) == []


def test_a_reference_to_a_value_without_a_description_is_seen():
    tree = ast.parse(
        '"""About :data:`VALUE`, :data:`TOLD`, :func:`gone`."""\nVALUE = 1\nTOLD = 2\n"""Two."""\n'
    )
    trees = {**TREES, "talkface_lite.clip": tree}
    assert described(tree) == {"TOLD"}
    assert missing("talkface_lite.clip", tree, trees) == ["VALUE", "TOLD", "gone"]
    known = ast.parse('"""About :data:`CROP_SIZE`."""\nCROP_SIZE = 128\n')
    assert missing("talkface_lite.clip", known, {**TREES, "talkface_lite.clip": known}) == ["CROP_SIZE"]
    known = ast.parse('"""About :data:`CROP_SIZE`."""\nCROP_SIZE = 128\n"""Pixels."""\n')
    assert missing("talkface_lite.clip", known, {**TREES, "talkface_lite.clip": known}) == []
