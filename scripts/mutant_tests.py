"""Which test files matter for a module; see `scripts/mutants.py`."""

import ast
from collections.abc import Iterable
from pathlib import Path


def module_name(file: str) -> str:
    """`a/b/c.py` is `a.b.c`, `a/b/__init__.py` is `a.b`."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: Path, package: str = "") -> set[str]:
    """Dotted names that a file imports, also inside functions; of `from a import b`, both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: -node.level + 1 or None], *base.split(".")]).strip(".")
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def tests_for(root: Path, files: Iterable[str], most: int) -> list[str]:
    """The test files that matter for each of the files, as paths below ``root``.

    The namesake under ``tests``, those that import it, and those that import a package that hands its names
    on; where there are none, those of the modules that import it. At most ``most`` for each file, and the
    closest, which use least else of the package: everything uses the record, and few tests are about it.
    """
    tests = {path: imports(path) for path in sorted((root / "tests").rglob("test_*.py"))}
    helpers = {path.stem: imports(path) for path in (root / "tests").rglob("*.py") if path not in tests}
    for path, names in tests.items():
        tests[path] = names | set().union(*(helpers[name] for name in names & set(helpers)))
    files = list(files)
    packages = {file.split("/")[0] for file in files}
    sources = [path for package in packages for path in (root / package).rglob("*.py")]
    users = {}
    for path in sources:
        name = path.relative_to(root).as_posix()
        package = module_name(name) if path.stem == "__init__" else module_name(name).rpartition(".")[0]
        users[module_name(name)] = imports(path, package), path.stem == "__init__"
    chosen = set()
    for file in files:
        wanted, own = {module_name(file)}, Path(file).relative_to(Path(file).parts[0])
        stem = own.parent.name if own.stem == "__init__" else own.stem
        mirror = {root / "tests" / f"test_{stem}.py"} | set(
            (root / "tests" / own.parent).glob(f"test_*{stem}.py")
        )
        wanted |= {name for name, (uses, hands_on) in users.items() if hands_on and uses & wanted}
        while not (found := [path for path, uses in tests.items() if path in mirror or uses & wanted]):
            wider = wanted | {name for name, (uses, _) in users.items() if uses & wanted}
            if wider == wanted:
                break
            wanted = wider
        found.sort(key=lambda path: (path not in mirror, len(tests[path] & set(users)), path))
        chosen |= set(found[:most])
    return [path.relative_to(root).as_posix() for path in sorted(chosen)]
