"""The scripts of others that pages load: what was fetched, unchanged, with its licence."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import access
import chapter_map
import cv2
import pytest
import yaml

from talkface_lite.media import read_video

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "book" / "_static" / "vendor"


@pytest.fixture(scope="module")
def packages() -> tuple:
    specification = importlib.util.spec_from_file_location("vendor_script", ROOT / "scripts" / "vendor.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    return script.PACKAGES


def test_vendored_files_are_those_that_were_fetched(packages):
    for package in packages:
        for name, digest in package.files.items():
            content = (VENDOR / package.folder / Path(name).name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest, name


def test_nothing_else_is_vendored_and_each_has_its_licence(packages):
    known = {VENDOR / package.folder / Path(name).name for package in packages for name in package.files}
    known |= {VENDOR / package.folder / "LICENSE" for package in packages} | {VENDOR / "README.md"}
    assert {path for path in VENDOR.rglob("*") if path.is_file()} == known
    page = (VENDOR / "README.md").read_text()
    assert [p.name for p in packages if f"`{p.name}` {p.version}" not in page or p.licence not in page] == []


def test_pages_load_what_is_vendored():
    configuration = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    paths = [configuration["mathjax_path"], *configuration["nb_ipywidgets_js"]]
    assert [path for path in paths if not (ROOT / "book" / "_static" / path).is_file()] == []
    assert not (ROOT / "_static").exists(), "every script of this folder would be loaded by every page"


def test_the_map_says_coming_only_of_what_the_toc_does_not_list(tmp_path):
    toc = {
        "parts": [
            {"caption": "Side by side", "chapters": [{"file": "book/6-side/b"}]},
            {"caption": "Start here", "chapters": [{"file": "book/start/a"}]},
            {"caption": "Appendix", "chapters": [{"file": "book/appendix/notation"}]},
        ]
    }
    planned = [
        {"part": "Side by side", "file": "book/6-side/b", "title": "Written by now"},
        {"part": "Side by side", "file": "book/6-side/c", "title": "Not yet"},
        {"part": "Latent", "file": "book/3-latent/d", "title": "Nor this"},
    ]
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text(json.dumps(toc))
    (tmp_path / "book" / "planned.yml").write_text(json.dumps(planned))
    parts = chapter_map.parts(tmp_path)
    assert [(part.caption, part.ready, part.coming) for part in parts] == [
        ("Start here", ["book/start/a"], []),
        ("Latent", [], ["Nor this"]),
        ("Side by side", ["book/6-side/b"], ["Not yet"]),
    ]
    text = "\n".join(chapter_map.markdown(tmp_path, "book/index"))
    assert "{doc}`6-side/b`" in text
    assert "[Not yet]{.coming}" in text
    assert "Written by now" not in text


def test_the_front_page_has_the_map_and_names_no_chapter_as_coming_itself():
    page = (ROOT / "book" / "index.md").read_text()
    assert "```{chapter-map}" in page
    assert "coming" not in page
    listed = [file for part in chapter_map.parts(ROOT) for file in part.ready]
    chapters = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    assert sorted(listed) == sorted(
        chapter["file"] for part in chapters if part["caption"] != "Appendix" for chapter in part["chapters"]
    )


def test_the_front_page_opens_with_a_film_that_is_small_and_has_a_still_and_a_text():
    page = (ROOT / "book" / "index.md").read_text()
    assert re.search(r"```\{film\} front\n(?::.*\n)*:alt: .{80,}\n", page)
    film, still = (ROOT / "book" / "_static" / name for name in ("front.mp4", "front-film.jpg"))
    assert 20_000 < film.stat().st_size < 300_000
    video = read_video(film)
    assert len(video.frames) > 50
    assert cv2.imread(str(still)).shape == video.frames.shape[1:]


def test_continuous_integration_installs_and_requires_the_browser_and_holds_the_budget():
    script = (ROOT / ".ci" / "run").read_text()
    assert "apt-get install -yqq --no-install-recommends chromium" in script
    for target in ("test", "book"):
        assert re.search(rf"^make {target} STRICT=.*--require-browser", script, re.MULTILINE)
    assert re.search(r"^make test STRICT=.*--nb-cpu-budget \d+", script, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    for target in ("test", "book"):
        assert re.search(
            rf"^{target}:.*\n(?:\t.*\n)*\t.*pytest.*(?:\\\n.*)?\$\(STRICT\)", makefile, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<summary aria-label="Toggle hidden content">', "<summary>"),
        ('<th class="head"><p></p></th>', '<td class="head"></td>'),
        ('<th class="head"></th>', '<td class="head"></td>'),
        ('<th class="head"><p>x</p></th>', '<th class="head"><p>x</p></th>'),
        (
            '<p><input class="task-list-item-checkbox"  type="checkbox"> They said yes.</p>',
            '<p><label><input class="task-list-item-checkbox"  type="checkbox"> They said yes.</label></p>',
        ),
        ('<div class="citation" id="id24" role="doc-biblioentry">', '<div class="citation" id="id24">'),
        (
            '<figure class="x" id="f">\n<img alt="a" src="b.png"/>\n<figcaption>',
            '<figure class="x" id="f">\n<div class="picture"><img alt="a" src="b.png"/></div>\n<figcaption>',
        ),
    ],
)
def test_mends(before, after):
    assert access.mend(before) == after
    assert access.mend(after) == after
