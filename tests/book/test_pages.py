"""The pages as they were built: ``make book`` runs this with ``--pages=_build/html``."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import book_rules as rules
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (
    "https://cdn.jsdelivr.net/npm/mathjax@",
    "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@",
    "https://cdnjs.cloudflare.com/ajax/libs/require.js/",
)
"""Where a page may load a script from: formulas, and widgets."""


class Page(HTMLParser):
    """What a page shows, links to and loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.problems: list[str] = []
        self.text: list[str] = []
        self.in_code = 0
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.in_code += tag == "pre"
        self.ids.update(filter(None, [attributes.get("id"), attributes.get("name") if tag == "a" else None]))
        source, alt = attributes.get("src") or "", attributes.get("alt") or ""
        if tag == "img" and (len(alt) < 12 or re.search(r"[0-9a-f]{16}|\.(png|svg|jpe?g)$", alt)):
            self.problems.append(f"a picture whose alt text is {alt!r}")
        if tag == "video" and not ("controls" in attributes and attributes.get("aria-label")):
            self.problems.append("a video without controls or without a text")
        if tag == "script" and source.startswith("http"):
            self.scripts.append(source)
        if "traceback" in (attributes.get("class") or "").split():
            self.problems.append("a traceback")
        link = attributes.get("href") or source
        if link and not re.match(r"\w+:|//|#$", link):
            self.links.append(link)

    def handle_endtag(self, tag: str) -> None:
        self.in_code -= tag == "pre"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if not self.in_code and re.search(r"\|\s*(?:-{3,}|—)\s*\|", data):
            self.problems.append(f"a table shown raw: {data.strip()[:40]}")


@pytest.fixture(scope="module")
def built(request) -> dict[Path, Page]:
    folder = request.config.getoption("--pages")
    if folder is None:
        pytest.skip("no built book was named: make book checks its pages itself")
    return read_all(Path(folder))


def read_all(folder: Path) -> dict[Path, Page]:
    paths = [path.resolve() for path in (folder / "book").rglob("*.html")]
    return {path: Page(path) for path in paths}


def broken_links(pages: dict[Path, Page]) -> list[str]:
    problems = []
    for path, page in pages.items():
        for link in page.links:
            file, _, anchor = unquote(link).partition("#")
            target = (path.parent / file.split("?")[0]).resolve() if file else path
            if not target.exists():
                problems.append(f"{path.name} links to {link}")
            elif anchor and target in pages and anchor not in pages[target].ids:
                problems.append(f"{path.name} links to {link}, a place that is not there")
    return problems


def foreign_scripts(pages: dict[Path, Page]) -> list[str]:
    return [f"{p.name}: {s}" for p, page in pages.items() for s in page.scripts if not s.startswith(SCRIPTS)]


def test_every_listed_page_was_built(built):
    names = {path.with_suffix("").as_posix() for path in built}
    listed = [page.relative_to(ROOT).with_suffix("").as_posix() for page in rules.pages(ROOT)]
    assert [page for page in listed if not any(name.endswith(f"/{page}") for name in names)] == []


def test_pictures_and_videos_speak_and_nothing_failed(built):
    assert [f"{path.name}: {problem}" for path, page in built.items() for problem in page.problems] == []


def test_links_lead_somewhere(built):
    assert broken_links(built) == []


def test_scripts_come_from_where_the_book_says(built):
    assert foreign_scripts(built) == []


def test_outputs_name_no_path_of_this_machine(built):
    found = {path.name: rules.path_problems("".join(page.text)) for path, page in built.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_the_checks_above_can_fail(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "good.html").write_text(
        '<pre>"|---|---|"</pre><h1 id="top">x</h1>'
        '<img src="good.html" alt="A face that speaks"><a href="#top">x</a>'
        '<video controls aria-label="A face"></video><script src="https://cdn.jsdelivr.net/npm/mathjax@3/x.js"></script>'
    )
    pages = read_all(tmp_path)
    assert broken_links(pages) + foreign_scripts(pages) + next(iter(pages.values())).problems == []
    (tmp_path / "book" / "bad.html").write_text(
        '<img src="good.html" alt="../_images/0a1b2c3d4e5f60718293.png"><img src="good.html"><video></video>'
        '<a href="gone.html">x</a><a href="good.html#nowhere">x</a><script src="https://example.org/x.js"></script>'
        '<div class="output traceback"></div><p>| a | b |\n|---|---|\n| 1 | 2 |</p>'
    )
    pages = read_all(tmp_path)
    bad = next(page for path, page in pages.items() if path.name == "bad.html")
    assert len(bad.problems) == 5
    assert len(broken_links(pages)) == 2
    assert len(foreign_scripts(pages)) == 1
