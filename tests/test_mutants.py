"""The mutation runner: what it changes and leaves alone, which tests it takes, and runs on a tiny project."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def load(name: str):
    sys.path.insert(0, str(SCRIPTS))
    try:
        specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


mutant_tests, mutations = load("mutant_tests"), load("mutations")


def changes(text: str) -> set[str]:
    """All the lines that a text becomes, without space around them."""
    return {mutant.after for mutant in mutations.sample({"a.py": text}, 0, 0)}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("a = b < c", {"a = b <= c", "a = b >= c"}),
        ("a = b is not c", {"a = b is c"}),
        ("a = (b) not  in (c)", {"a = (b) in (c)"}),
        ("a = b - 2", {"a = b + 2", "a = b - 3", "a = b - 1"}),
        ("a = b // c", {"a = b * c"}),
        ("a = root / 'name'", set()),
        ("a = -b", {"a = b"}),
        ("a = not (b or c)", {"a = (b or c)", "a = not (b and c)"}),
        ("a = b and c and d", {"a = b or c or d"}),
        ("a = True", {"a = False"}),
        ("a = 0.5", {"a = 1.5", "a = 0.25"}),
        ("a += b", {"pass", "a -= b"}),
        ("f.g(b, c=d)", {"pass", "f.g(b)"}),
        ("a = f(c=d, e=g)", {"a = f(e=g)", "a = f(c=d)"}),
        ("a = f(b) * c", {"a = b * c", "a = f(b) / c"}),
        ("a = b.copy()", {"a = b"}),
        ("a = tuple(b)", set()),
        ("a[b] = c", {"pass"}),
        ("a = b if c else d", {"a = b if True else d", "a = b if False else d"}),
        (
            "def f(a, *, b=True): return a",
            {"def f(a, *, b=False): return a", "def f(a, *, b=True): return None"},
        ),
        ("é = 'ü', b < c", {"é = 'ü', b <= c", "é = 'ü', b >= c"}),
        # left alone: hints, texts, what is raised and logged
        ("a: tuple[int, 3] = b", set()),
        ("def f(a: 'x < 3' = b) -> 4: ...", set()),
        ("raise ValueError(f'{a + 1}', 2 < 3)", {"pass"}),
        ("log.info('x', 3)", set()),
        ("'''1 < 2'''", set()),
        ("p.add(help=f'{1 + 1}', kind=b)", {"pass", "p.add(help=f'{1 + 1}')"}),
    ],
)
def test_what_becomes_of_a_line(line, wanted):
    assert changes(line) == wanted


def test_a_mutant_is_one_change_and_knows_its_place():
    text = "def f(a):\n    if (\n        a <  # the < of a remark\n        3\n    ):\n        return a\n"
    for mutant in mutations.sample({"a.py": text}, 0, 0):
        compile(mutant.text, "a.py", "exec")
        assert mutant.text != text
        assert mutant.text.replace(mutant.after, mutant.before, 1) == text or mutant.after == "pass"
    boundary = next(m for m in mutations.sample({"a.py": text}, 0, 0) if "<=" in m.after)
    assert (boundary.line, list(boundary.lines)) == (3, [2, 3, 4, 5])
    assert (boundary.before, boundary.after) == ("a <  # the < of a remark", "a <=  # the < of a remark")


def test_seed_and_count_fix_the_sample():
    text = "\n".join(f"a{i} = b + {i}" for i in range(40))
    one, same, other = (mutations.sample({"a.py": text}, 20, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == len({(m.line, m.text) for m in one}) == 20
    assert len(mutations.sample({"a.py": text}, 1000, 0)) == 80


# --- whole runs ---

SOURCE = '''"""A tiny package's module."""


def clamp(value: int, top: int = 10) -> int:
    """The value, at most ``top``."""
    if value > top:
        return top
    return value


def unwatched(value: int) -> int:
    """Nothing is asked of it."""
    return value + 1


def until(done: bool) -> bool:
    """Waits."""
    while not done:
        done = True
    return done
'''
TESTS = """from tiny.a import clamp, until


def test_clamp():
    assert [clamp(v) for v in (9, 10, 11, 12)] == [9, 10, 10, 10]
    assert clamp(3, 2) == 2


def test_until():
    assert until(False) is True
"""


@pytest.fixture
def project(tmp_path) -> Path:
    root = tmp_path / "project"
    files = {
        "tiny/__init__.py": "",
        "tiny/a.py": SOURCE,
        "tiny/b.py": "from tiny.a import clamp\n",
        "tiny/c/__init__.py": "from .d import e\n",
        "tiny/c/d.py": "e = 1\n",
        "tests/test_a.py": TESTS,
        "tests/test_b.py": "import tiny.b\n\n\ndef test_b():\n    assert tiny.b.clamp(1) == 1\n",
        "tests/deep/test_z.py": "def test_z():\n    from tiny.c import e\n    assert e == 1\n",
        "pytest.ini": "[pytest]\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_tests_of_a_file_are_its_namesake_and_those_that_import_it(project):
    assert mutant_tests.tests_for(project, ["tiny/a.py"], 5) == ["tests/test_a.py"]
    assert mutant_tests.tests_for(project, ["tiny/b.py"], 5) == ["tests/test_b.py"]
    # through the package that hands its names on
    assert mutant_tests.tests_for(project, ["tiny/c/d.py"], 5) == ["tests/deep/test_z.py"]
    (project / "tests/test_a.py").unlink()
    # through a module that uses it
    assert mutant_tests.tests_for(project, ["tiny/a.py"], 5) == ["tests/test_b.py"]
    (project / "tests/test_a.py").write_text(TESTS)
    (project / "tests/test_other.py").write_text("import tiny.b\nimport tiny.a\n")
    assert mutant_tests.tests_for(project, ["tiny/a.py"], 1) == ["tests/test_a.py"]
    assert mutant_tests.tests_for(project, ["tiny/a.py"], 2) == ["tests/test_a.py", "tests/test_other.py"]


def run(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import mutants; from pathlib import Path; "
    code += f"mutants.GRACE_S = 10; sys.exit(mutants.main(sys.argv[1:], Path({str(root)!r})))"
    scratch = root.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "TMPDIR": str(scratch), **environment},
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def everything(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_run_names_what_no_test_notices_and_touches_nothing(project):
    before = everything(project)
    done = run(project, "tiny/a.py", "--count", "0", "--jobs", "2", "--least", "0.95")
    assert done.returncode == 1, done.stdout + done.stderr
    unnoticed = done.stdout.split("not noticed: ")[1:]
    assert all("tiny/a.py:13 " in one for one in unnoticed if "value > top" not in one)
    assert any("    - return value + 1\n    + return value - 1\n" in one for one in unnoticed)
    # at the boundary both branches give the same: the one mutant of the rest that no test can notice
    assert [one for one in unnoticed if "value > top" in one] == [
        one for one in unnoticed if "value >= top" in one
    ]
    tried = len(mutations.sample({"tiny/a.py": SOURCE}, 0, 0))
    assert f"noticed {tried - len(unnoticed)} of {tried} (" in done.stdout
    assert ": hang or crash\n" in done.stderr
    assert everything(project) == before
    assert list((project.parent / "scratch").iterdir()) == []


def test_equivalent_mutants_are_left_out_and_old_entries_are_named(project):
    entry = '[[mutant]]\nfile = "tiny/a.py"\nbefore = "{}"\nafter = "{}"\nreason = "both give top"\n'
    (project / "tests/equivalent_mutants.toml").write_text(
        entry.format("if value > top:", "if value >= top:") + entry.format("if gone:", "if True:")
    )
    module = ["tiny.a", "--count", "0", "--tests", "tests/test_a.py"]
    listed = run(project, *module, "--list")
    assert "+ if value <= top:" in listed.stdout
    assert "+ if value >= top:" not in listed.stdout
    done = run(project, "tiny.b", "tiny.a", "--count", "5", "--seed", "3")
    assert "out of date: tiny/a.py has no 'if gone:'" in done.stdout
    assert "value > top" not in done.stdout.split("out of date")[0]
    assert done.returncode == 0


def test_nothing_is_tried_when_the_unchanged_tests_fail(project):
    (project / "tests/test_a.py").write_text(TESTS + "\n\ndef test_wrong():\n    assert clamp(1) == 2\n")
    done = run(project, "tiny/a.py", "--count", "3")
    assert done.returncode == 2
    assert "test_wrong" in done.stdout
    assert "nothing was tried" in done.stdout


def test_tests_that_lean_on_each_other_are_found_out(project):
    lean = "import time\n\nseen = []\n\n\ndef test_first():\n    time.sleep(0.2)\n    seen.append(1)\n\n\n"
    (project / "tests/test_a.py").write_text(TESTS + lean + "def test_second():\n    assert seen\n")
    done = run(project, "tiny/a.py", "--count", "1")
    assert done.returncode == 2
    assert "tests/test_a.py::test_second fails on the unchanged files in another order" in done.stdout


def test_what_is_not_there_is_named(project):
    done = run(project, "tiny/nothing.py")
    assert done.returncode == 2
    assert "tiny/nothing.py: no such file" in done.stderr


def test_an_interrupted_run_leaves_nothing(project):
    (project / "tests/test_a.py").write_text(
        TESTS + "\n\ndef test_long():\n    import time\n    time.sleep(60)\n"
    )
    before = everything(project)
    scratch = project.parent / "scratch"
    scratch.mkdir()
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import mutants; from pathlib import Path; "
    code += f"sys.exit(mutants.main(['tiny/a.py'], Path({str(project)!r})))"
    command = [sys.executable, "-c", code]
    going = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(scratch)}, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(scratch.glob("mutants-*/0/log")) and time.monotonic() < end:
        time.sleep(0.05)
    going.send_signal(signal.SIGTERM)
    assert going.wait(60) == 143
    assert list(scratch.iterdir()) == []
    assert everything(project) == before


def test_every_listed_equivalent_is_a_mutant_of_its_file_and_has_a_reason():
    root = SCRIPTS.parent
    for entry in tomllib.loads((root / "tests/equivalent_mutants.toml").read_text())["mutant"]:
        text = (root / entry["file"]).read_text("utf-8")
        assert entry["before"] in text, entry
        file, lines = mutations.File(entry["file"], text), text.encode().splitlines(keepends=True)
        begin = 0
        for line in lines:
            begin, end = begin + len(line), begin
            if line.decode().strip() in entry["before"] and line.strip():
                here = [m for at in file.places if end <= at < begin for m in file.mutants(at)]
                if (entry["before"], entry["after"]) in {(m.before, m.after) for m in here}:
                    break
        else:
            raise AssertionError(f"no such mutant: {entry}")
        assert len(entry["reason"]) > 20
