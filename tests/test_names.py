"""The house does not know its papers: no module outside theirs names a system, a part or a network."""

import ast
import re
from pathlib import Path

import pytest

import talkface_lite
from talkface_lite.systems import SYSTEMS, system_class

PACKAGE = Path(talkface_lite.__file__).parent
THEIRS = ("systems", "networks", "check")


def names() -> set[str]:
    """Every name of a system, a part, a network, and of their classes, as :func:`plain` writes it.

    Not of a network that is called by one word: a discriminator, an encoder, a generator may be anybody's.
    """
    found = set()
    for system in SYSTEMS:
        kind = system_class(system)
        found |= {system, kind.__name__}
        for part in kind.parts:
            found |= {part.name, part.__name__, part.config_class.__name__}
            found |= {network for network in part.network_names if "_" in network}
    return {plain(name) for name in found}


def plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def words(path: Path) -> set[str]:
    """Identifiers, modules and strings of a file; docstrings may cite a paper."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)] or [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        for field in ("id", "attr", "name", "arg", "module"):
            if isinstance(value := getattr(node, field, None), str):
                found |= {value, *value.split(".")}
    return {part for word in found for part in re.findall(r"[\w-]+", word)}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in THEIRS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_outside_names_a_system_a_part_or_a_network(path):
    known = names()
    assert {"atvg", "vgnet", "atnet"} <= known
    found = {word for word in words(path) if any(name in plain(word) for name in known)}
    assert found == set()


def test_the_rule_sees_names(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('"""Of ATVGnet."""\nfrom talkface_lite.systems.atvg import x\nmade = load("VG-Net")\n')
    assert {"atvg", "VG-Net"} <= words(path)
    assert "ATVGnet" not in words(path)


def test_no_file_is_longer_than_400_lines():
    root = PACKAGE.parent
    folders = (PACKAGE, root / "tests", root / "scripts", root / "book" / "_ext")
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.py")]
    assert len(files) > 100
    assert {p.name: n for p in files if (n := len(p.read_text().splitlines())) > 400} == {}
