"""The pages as they were built: ``make book`` runs this with ``--pages=_build/html``."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import book_rules as rules
import pytest

ROOT = Path(__file__).resolve().parents[2]
FETCHED = {"script": "src", "link": "href", "img": "src", "source": "src", "video": "src", "audio": "src"}
FETCHED |= {"iframe": "src", "object": "data", "embed": "src", "input": "src", "track": "src"}
"""Which attribute of which element a browser fetches."""
NOT_FETCHED = ("http://www.w3.org/",)
"""What looks like an address of another machine and is a name."""


class Page(HTMLParser):
    """What a page shows, links to and loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.elsewhere: list[str] = []
        self.problems: list[str] = []
        self.text: list[str] = []
        self.in_code = 0
        self.in_script = False
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
        self.in_script = tag == "script" and "json" not in (attributes.get("type") or "")
        fetched = [attributes.get(FETCHED.get(tag, "")), attributes.get("poster"), attributes.get("srcset")]
        self.elsewhere += [address for address in fetched if re.match(r"https?:|//", address or "")]
        self.elsewhere += re.findall(r"url\(['\"]?((?:https?:)?//[^)]*)", attributes.get("style") or "")
        if "traceback" in (attributes.get("class") or "").split():
            self.problems.append("a traceback")
        link = attributes.get("href") or source
        if link and not re.match(r"\w+:|//|#$", link):
            self.links.append(link)

    def handle_endtag(self, tag: str) -> None:
        self.in_code -= tag == "pre"
        self.in_script = False

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.in_script:
            addresses = re.findall(r"https?://[\w./@:-]+", data)
            self.elsewhere += [address for address in addresses if not address.startswith(NOT_FETCHED)]
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


def elsewhere(pages: dict[Path, Page]) -> list[str]:
    return [f"{path.name}: {address}" for path, page in pages.items() for address in page.elsewhere]


def test_every_listed_page_was_built(built):
    names = {path.with_suffix("").as_posix() for path in built}
    listed = [page.relative_to(ROOT).with_suffix("").as_posix() for page in rules.pages(ROOT)]
    assert [page for page in listed if not any(name.endswith(f"/{page}") for name in names)] == []


def test_pictures_and_videos_speak_and_nothing_failed(built):
    assert [f"{path.name}: {problem}" for path, page in built.items() for problem in page.problems] == []


def test_links_lead_somewhere(built):
    assert broken_links(built) == []


def test_pages_hold_no_address_of_another_machine_that_a_browser_would_fetch(built):
    assert elsewhere(built) == []


def test_styles_fetch_nothing_from_another_machine(built, request):
    styles = list(Path(request.config.getoption("--pages")).rglob("*.css"))
    assert len(styles) > 3
    fetched = re.compile(r"""(?:url\(|@import)\s*['"]?\s*(?:https?:)?//""")
    assert [path.name for path in styles if fetched.search(path.read_text(encoding="utf-8"))] == []


def test_downloads_are_the_clean_notebooks(built, request):
    sources = Path(request.config.getoption("--pages")) / "_sources"
    notebooks = [page for page in rules.pages(ROOT) if page.suffix == ".ipynb"]
    assert notebooks != []
    for notebook in notebooks:
        assert (sources / notebook.relative_to(ROOT)).read_bytes() == notebook.read_bytes()


def test_build_times_are_given_for_every_page_with_code(built):
    page = next(page for path, page in built.items() if path.name == "build-times.html")
    text = "".join(page.text)
    notebooks = [page for page in rules.pages(ROOT) if page.suffix == ".ipynb"]
    assert [n.stem for n in notebooks if n.relative_to(ROOT).with_suffix("").as_posix() not in text] == []


def test_outputs_name_no_path_of_this_machine(built):
    found = {path.name: rules.path_problems("".join(page.text)) for path, page in built.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_the_checks_above_can_fail(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "good.html").write_text(
        '<pre>"|---|---|"</pre><h1 id="top">x</h1>'
        '<img src="good.html" alt="A face that speaks"><a href="#top">x</a>'
        '<video controls aria-label="A face"></video><script src="good.html"></script>'
        '<a href="https://example.org">x</a><script type="application/json">"https://example.org"</script>'
        "<script>'http://www.w3.org/2000/svg'</script>"
    )
    pages = read_all(tmp_path)
    assert broken_links(pages) + elsewhere(pages) + next(iter(pages.values())).problems == []
    (tmp_path / "book" / "bad.html").write_text(
        '<img src="good.html" alt="../_images/0a1b2c3d4e5f60718293.png"><img src="good.html"><video></video>'
        '<a href="gone.html">x</a><a href="good.html#nowhere">x</a><script src="https://example.org/x.js"></script>'
        '<link rel="stylesheet" href="//example.org/x.css"><p style="background: url(https://example.org/x.png)">x</p>'
        "<script>const THEBE_JS_URL = 'https://unpkg.com/thebe@0.8.2/lib/index.js'</script>"
        '<div class="output traceback"></div><p>| a | b |\n|---|---|\n| 1 | 2 |</p>'
    )
    pages = read_all(tmp_path)
    bad = next(page for path, page in pages.items() if path.name == "bad.html")
    assert len(bad.problems) == 5
    assert len(broken_links(pages)) == 2
    assert len(elsewhere(pages)) == 4
