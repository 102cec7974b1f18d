"""Small changes of a python file that its tests should notice; see `scripts/mutants.py`.

A change is made in the text, at a place that the syntax tree gives, so that everything else stays as it is.
Docstrings, type hints, what is raised, what is logged and every other text stay untouched.
"""

import ast
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

COMPARISONS = {
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
CONVERSIONS = {"list", "tuple", "str", "dict", "iter", "Path", "super", "len", "range", "enumerate", "float"}
CONVERSIONS |= {"type", "print", "next", "open", "isinstance", "frozenset", "TypeVar", "cast", "namedtuple"}
"""Calls that are not replaced by their argument: mostly that makes no difference, or cannot run."""
LOGS = re.compile(r"(log|logging|logger|warnings)\.\w+")
FOR_PEOPLE = {"help", "metavar", "description", "desc", "epilog"}
"""Keyword arguments that hold text for people."""


@dataclass(frozen=True)
class Mutant:
    """A file with one change: ``text`` is the whole file, ``before`` and ``after`` the lines that differ.

    ``lines`` are the numbers of the lines of the statement that was changed.
    """

    file: str
    line: int
    lines: range
    kind: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        rows = [f"- {row}" for row in self.before.splitlines()] + [
            f"+ {row}" for row in self.after.splitlines()
        ]
        return f"{self.file}:{self.line} {self.kind}\n    " + "\n    ".join(rows)


class Changes(ast.NodeVisitor):
    """Collects ``(start, end, new text, kind, lines)`` in bytes of one file."""

    def __init__(self, source: bytes) -> None:
        self.source, self.found, self.lines, self.function = source, [], range(0), ""
        self.starts = [0]
        for row in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(row))

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def change(self, where: ast.AST | tuple[int, int], new: str, kind: str) -> None:
        start, end = where if isinstance(where, tuple) else self.span(where)
        self.found.append((start, end, new, kind, self.lines))

    def operator(self, left: ast.AST, right: ast.AST, sign: str, *others: str, kind: str) -> None:
        """Replace the sign between two expressions; there is nothing else there but brackets and comments."""
        begin, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub(rb"#.*", lambda found: b" " * len(found[0]), self.source[begin:end])
        if place := re.search(re.escape(sign).replace("\\ ", r"\s+").encode(), gap):
            for other in others:
                self.change((begin + place.start(), begin + place.end()), other, kind)

    def bare(self, node: ast.AST) -> str:
        simple = isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.Constant)
        return self.text(node) if simple else f"({self.text(node)})"

    # --- statements ---

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, ast.stmt):
            return super().visit(node)
        outside = self.lines
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno
        self.lines = range(node.lineno, max(last, node.lineno) + 1)
        super().visit(node)
        self.lines = outside

    def drop(self, node: ast.stmt) -> None:
        self.change(node, "pass", "statement dropped")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outside, self.function = self.function, node.name
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.function = outside

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not LOGS.match(self.text(node.value)):
            self.drop(node)
            self.visit_Call(node.value, unwrap=False)
        elif isinstance(node.value, ast.Yield | ast.YieldFrom | ast.Await):
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        again = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        held = isinstance(target, ast.Attribute | ast.Subscript) and self.function != "__init__"
        if held or (isinstance(target, ast.Name) and target.id in again):
            self.drop(node)
        if not (isinstance(target, ast.Name) and target.id == "__all__"):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.drop(node)
        sign, *others = ARITHMETIC.get(type(node.op), ("@",))
        self.operator(node.target, node.value, f"{sign}=", *(f"{o}=" for o in others), kind="sign")
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.drop(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self.drop(node)

    def visit_Break(self, node: ast.Break) -> None:
        self.change(node, "continue", "break")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and self.text(node.value) != "None":
            self.change(node.value, "None", "return None")
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        test = self.text(node.test)
        if test.endswith("TYPE_CHECKING") or test.startswith("__name__"):
            return
        self.change(node.test, "True", "condition")
        self.change(node.test, "False", "condition")
        self.generic_visit(node)

    visit_IfExp = visit_If

    def visit_While(self, node: ast.While) -> None:
        self.change(node.test, "False", "condition")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.change(test, "True", "condition")
        self.generic_visit(node)

    # --- expressions ---

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text for people; and its places are not exact before Python 3.12."""

    def visit_arg(self, node: ast.arg) -> None:
        """Only a type hint."""

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, sign, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            self.operator(left, right, *COMPARISONS[type(sign)], kind="comparison")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = [isinstance(side, ast.JoinedStr) for side in (node.left, node.right)]
        texts += [isinstance(getattr(side, "value", None), str | bytes) for side in (node.left, node.right)]
        if type(node.op) in ARITHMETIC and not any(texts):
            self.operator(node.left, node.right, *ARITHMETIC[type(node.op)], kind="sign")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self.change(
                node, self.bare(node.operand), "not dropped" if isinstance(node.op, ast.Not) else "sign"
            )
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        start, end = self.span(node)
        new = self.source[start:end]
        for left, right in reversed([*zip(node.values, node.values[1:])]):
            a, b = self.span(left)[1] - start, self.span(right)[0] - start
            new = new[:a] + re.sub(rf"\b{sign}\b".encode(), other.encode(), new[a:b], count=1) + new[b:]
        self.change(node, new.decode(), sign)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.change(node, str(not value), "flag")
        elif isinstance(value, int):
            self.change(node, str(value + 1), "constant")
            self.change(node, str(value - 1), "constant")
        elif isinstance(value, float):
            self.change(node, repr(value + 1), "constant")
            self.change(node, repr(value / 2), "constant")

    def visit_Call(self, node: ast.Call, unwrap: bool = True) -> None:
        name = self.text(node.func)
        if LOGS.match(name) or name.endswith(("Error", "Warning")):
            return
        if unwrap and not node.keywords and name not in CONVERSIONS:
            if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
                self.change(node, self.bare(node.args[0]), "call dropped")
            elif not node.args and isinstance(node.func, ast.Attribute):
                self.change(node, self.bare(node.func.value), "call dropped")
        every = sorted([*node.args, *node.keywords], key=self.span)
        for i, given in enumerate(every):
            if isinstance(given, ast.keyword) and given.arg and given.arg not in FOR_PEOPLE:
                start, end = self.span(given)
                if i:
                    start = self.span(every[i - 1])[1]
                elif len(every) > 1:
                    end = self.span(every[1])[0]
                self.change((start, end), "", "keyword dropped")
        self.visit(node.func)
        for given in every:
            if getattr(given, "arg", None) not in FOR_PEOPLE:
                self.visit(given)


class File:
    """A file and the places in it that can be changed, from top to bottom."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.source = name, text.encode()
        self.tree = ast.parse(self.source)
        changes = Changes(self.source)
        changes.visit(self.tree)
        self.meaning, self.places = ast.dump(self.tree), defaultdict(list)
        for start, end, new, kind, lines in changes.found:
            self.places[start].append((start, end, new, kind, lines))

    def mutants(self, place: int) -> Iterator[Mutant]:
        """Those at one place that python can read and that do not mean the same."""
        for start, end, new, kind, lines in self.places[place]:
            first = self.source.rfind(b"\n", 0, start) + 1
            last = self.source.find(b"\n", end) % (len(self.source) + 1)
            after = self.source[first:start] + new.encode() + self.source[end:last]
            changed = self.source[:first] + after + self.source[last:]
            try:
                same = ast.dump(ast.parse(changed)) == self.meaning
            except SyntaxError:
                continue
            if not same:
                before = self.source[first:last].decode().strip()
                line = self.source.count(b"\n", 0, start) + 1
                yield Mutant(self.name, line, lines, kind, before, after.decode().strip(), changed.decode())


def sample(texts: Mapping[str, str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of the files, each at a place of its own, all equally likely; 0 is every mutant."""
    files = [File(name, texts[name]) for name in sorted(texts)]
    places = [(i, start) for i, file in enumerate(files) for start in sorted(file.places)]
    if not count:
        return [mutant for i, start in places for mutant in files[i].mutants(start)]
    rng = random.Random(seed)
    chosen = {}
    for i, start in rng.sample(places, len(places)):
        if len(chosen) < count and (here := list(files[i].mutants(start))):
            chosen[i, start] = rng.choice(here)
    return [chosen[place] for place in sorted(chosen)]
