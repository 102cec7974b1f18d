"""The built pages in Chromium, with the network off: formulas, errors, requests, players, widths, access.

``make book`` runs this with ``--pages=_build/html``. It needs Chromium (Debian: ``apt-get install chromium``)
and skips without one; ``--require-browser`` makes that a failure.
"""

import re
from pathlib import Path

import browser as chromium
import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "book" / "_static" / "vendor"
THEMES: tuple[tuple[str, str, str], ...] = ()
"""Violations that are the theme's and stay: rule of axe, part of the selector, and why nothing is done."""


@pytest.fixture(scope="module")
def program(request) -> str:
    found = chromium.find()
    if found is None:
        reason = "no Chromium is installed, so no page was opened (Debian: apt-get install chromium)"
        if request.config.getoption("--require-browser"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def browser(program) -> Browser:
    with chromium.running(program) as running:
        yield running


@pytest.fixture(scope="module")
def folder(request) -> Path:
    if request.config.getoption("--pages") is None:
        pytest.skip("no built book was named: make book checks its pages itself")
    return Path(request.config.getoption("--pages"))


@pytest.fixture(scope="module")
def seen(program, folder) -> dict[str, chromium.Seen]:
    pages = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = [path for path in pages if 'http-equiv="refresh"' not in path.read_text(encoding="utf-8").lower()]
    assert len(pages) > 20, "hardly a page was built"
    # axe reads every coloured word: the listings of the package's source are spared it, and nothing else
    looks = chromium.look_at_all(program, [(path, "_modules" not in path.parts) for path in pages])
    return {path.relative_to(folder).as_posix(): seen for path, seen in looks.items()}


def of_kind(seen: dict[str, chromium.Seen], kind: str) -> str:
    """A line for each problem, so that a failure names them all."""
    return "".join(f"{page}: {problem}\n" for page, one in seen.items() for problem in one.problems[kind])


def test_every_formula_is_typeset(seen):
    assert sum(one.formulas for one in seen.values()) > 100
    left = of_kind(seen, "raw formulas") + of_kind(seen, "formulas with an error")
    assert not left, left


@pytest.mark.parametrize(
    "kind",
    ["requests that leave", "errors in the console", "widgets", "cut off on a phone"],
)
def test_pages_have_no(seen, kind):
    assert not of_kind(seen, kind), of_kind(seen, kind)


def test_every_player_plays(seen):
    assert sum(one.players for one in seen.values()) > 5
    assert not of_kind(seen, "players"), of_kind(seen, "players")


def ours(violations: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [
        violation
        for violation in violations
        if not any(violation[0] == rule and part in violation[1] for rule, part, _ in THEMES)
    ]


def test_axe_finds_no_violation_of_ours(seen):
    found = [f"{page}: {violation}" for page, one in seen.items() for violation in ours(one.violations)]
    assert not found, "\n".join(found)


def test_films_of_the_front_page_repeat_can_be_paused_and_wait_where_less_motion_is_wanted(browser, folder):
    address = (folder / "book" / "index.html").resolve().as_uri()
    state = """() => [...document.querySelectorAll('.film-loop')].map(
      film => [film.paused, film.loop, film.muted])"""
    page = browser.new_page(reduced_motion="no-preference")
    page.goto(address)
    playing = "[...document.querySelectorAll('.film-loop')].every(film => film.currentTime > 0)"
    page.wait_for_function(playing, timeout=chromium.PATIENCE)
    n_films = len(page.evaluate(state))
    assert n_films == 2
    assert page.evaluate(state) == [[False, True, True]] * n_films
    for number in range(n_films):  # the first that still says so
        page.get_by_role("button", name="Pause", exact=True).first.click()
        assert [paused for paused, _, _ in page.evaluate(state)].count(True) == number + 1
    page.close()
    page = browser.new_page(reduced_motion="reduce")
    page.goto(address)
    page.get_by_role("button", name="Play", exact=True).nth(n_films - 1).wait_for(timeout=chromium.PATIENCE)
    assert page.evaluate(state) == [[True, True, True]] * n_films
    page.close()


def test_the_keyboard_shows_where_it_is(browser, folder):
    page = browser.new_page(viewport=chromium.DESKTOP)
    page.goto((folder / "book" / "index.html").resolve().as_uri())
    unseen, visited = [], 0
    for _ in range(40):
        page.keyboard.press("Tab")
        name, width, style = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.outerHTML.slice(0, 90), parseFloat(s.outlineWidth), s.outlineStyle]; }"
        )
        visited += 1
        if width < 2 or style == "none":
            unseen.append(name)
    page.close()
    assert visited == 40
    assert unseen == []


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<script>window.MathJax = {{"tex": {{"packages": {{"[-]": ["noerrors", "noundefined"]}}}}}}</script>
<script defer src="{mathjax}"></script></head><body><main><h1>A page</h1>{body}</main></body></html>"""


def look_at(browser: Browser, folder: Path, body: str) -> chromium.Seen:
    path = folder / "page.html"
    path.write_text(
        PAGE.format(mathjax=(VENDOR / "mathjax" / "tex-svg-full.js").as_uri(), body=body), encoding="utf-8"
    )
    return chromium.look(browser, path)


def test_a_good_page_has_no_problem(browser, tmp_path):
    body = r"""<p>Half: <span class="math">\(\frac12\)</span>, and \$5 to $6.</p>
      <div class="math">\[\begin{align} a &= b \tag{9} \end{align}\]</div><pre>$x$ and \(y\)</pre>"""
    seen = look_at(browser, tmp_path, body)
    assert {kind: found for kind, found in seen.problems.items() if found} == {}
    assert seen.violations == []
    assert seen.formulas == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("raw formulas", "<table><tr><td>$D_p$</td></tr></table>"),
        ("raw formulas", '<div class="cell_output"><pre>of $p_p$ 0.4</pre></div>'),
        ("raw formulas", r'<p class="mathjax_ignore"><span class="math tex2jax_ignore">\(x\)</span></p>'),
        (
            "formulas with an error",
            r'<div class="math">\[\begin{split}\begin{aligned} a \tag{9} \end{aligned}\end{split}\]</div>',
        ),
        ("formulas with an error", r'<div class="math">\[\nosuchmacro\]</div>'),
        ("errors in the console", "<script>console.error('something')</script>"),
        ("errors in the console", "<script>nothing.there()</script>"),
        ("errors in the console", '<script src="gone.js"></script>'),
        ("requests that leave", '<script src="https://example.org/x.js"></script>'),
        ("requests that leave", '<p style="background: url(http://example.org/x.png)">x</p>'),
        ("players", '<video controls src="data:video/mp4;base64,AAAA"></video>'),
        ("widgets", '<script type="application/vnd.jupyter.widget-view+json">{"model_id": "x"}</script>'),
        ("cut off on a phone", '<div style="width: 700px">wide</div>'),
        (
            "cut off on a phone",
            r'<div class="math" style="display: flex; flex-direction: row-reverse; overflow: hidden">\['
            + "x+" * 60
            + r"x \tag{1}\]</div>",
        ),
    ],
)
def test_what_is_wrong_is_seen(browser, tmp_path, kind, body):
    assert look_at(browser, tmp_path, body).problems[kind] != []


def test_axe_looks(browser, tmp_path):
    body = '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p style="color: #aaa">pale</p>'
    body += '<input type="checkbox">'
    rules = {rule for rule, _, _ in look_at(browser, tmp_path, body).violations}
    assert {"image-alt", "color-contrast", "label"} <= rules


def test_what_fades_in_is_seen_whole(browser, tmp_path):
    body = """<style>@keyframes fade { from { opacity: 0.3 } } details[open] p { animation: fade 60s }
      @keyframes turn { to { rotate: 1turn } } hr { animation: turn 1s infinite }</style><hr>
      <details><summary>more</summary><p>What unfolds.</p></details>"""
    assert look_at(browser, tmp_path, body).violations == []


def test_what_is_the_themes_is_named_with_a_reason():
    assert all(re.fullmatch(r"[a-z-]+", rule) and part and len(why) > 20 for rule, part, why in THEMES)
