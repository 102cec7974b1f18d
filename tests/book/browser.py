"""Headless Chromium with the network off, and what it sees on a page."""

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60_000
"""Milliseconds to wait for something that a page should do: only against hangs."""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

WAIT = """async () => {
  await document.fonts.ready;
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length;
  for (let i = 0; i < 100 && document.querySelectorAll('.widget-subarea').length < views; i++)
    await new Promise(done => setTimeout(done, 100));
}"""
FORMULAS = r"""() => {
  const short = text => text.trim().replace(/\s+/g, ' ').slice(0, 60);
  const all = [...document.querySelectorAll('.math')];
  const raw = all.filter(e => !e.querySelector('mjx-container')).map(e => short(e.textContent));
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode())
    if (!node.parentElement.closest('script, style, textarea, mjx-container, .math, noscript')
        && !(node.parentElement.closest('pre, code') && !node.parentElement.closest('.cell_output'))
        && /\\\(|\\\[|\\begin\{|\$[^$\s][^$\n]{0,80}\$/.test(node.data)) raw.push(short(node.data));
  const wrong = [...document.querySelectorAll('mjx-container')].filter(
    e => e.querySelector('[data-mjx-error], [data-mml-node="merror"], mjx-merror'))
    .map(e => short(e.querySelector('[data-mjx-error]')?.dataset.mjxError || e.textContent));
  return {count: all.length, raw, wrong};
}"""
WIDGETS = """() => {
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length;
  return views - document.querySelectorAll('.widget-subarea .jupyter-widgets').length > 0
    ? [`${views} views of widgets, of which some are not drawn`] : [];
}"""
PLAYERS = """async patience => {
  const still = [], rest = ms => new Promise(done => setTimeout(done, ms));
  const until = async (met, what) => {
    for (const begun = Date.now(); Date.now() - begun < patience; await rest(50)) if (met()) return;
    still.push(what);
  };
  const media = [...document.querySelectorAll('video, audio')];
  for (const [k, player] of media.entries()) {
    const what = `${player.tagName.toLowerCase()} ${k + 1} of ${media.length}`;
    if (!player.controls && !player.parentElement.querySelector('button:not([hidden])'))
      still.push(`${what} has no controls`);
    player.pause(); player.muted = true; player.loop = false; player.currentTime = 0;
    try { await player.play(); } catch (error) { still.push(`${what}: ${error.name}`); continue; }
    await until(() => player.currentTime > 0 || player.ended, `${what} does not advance`);
    if (player.videoWidth === 0 && player.tagName === 'VIDEO') still.push(`${what} has no picture`);
    player.pause();
  }
  for (const [k, player] of [...document.querySelectorAll('.animation')].entries()) {
    const slider = player.querySelector('input[type=range]'), before = slider.value;
    [...player.querySelectorAll('button')].find(b => /play/i.test(b.title) && !/rev/i.test(b.title)).click();
    await until(() => slider.value !== before, `animation ${k + 1} does not advance`);
    [...player.querySelectorAll('button')].find(b => /pause/i.test(b.title)).click();
  }
  return {still, count: media.length + document.querySelectorAll('.animation').length};
}"""
CUT = """() => {
  const problems = [], wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) problems.push(`the page is ${wide} pixels wide on a screen of ${innerWidth}`);
  for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
    const drawn = box.querySelector('svg');
    if (!drawn || !drawn.getClientRects().length) continue;
    const room = box.closest('.math').getBoundingClientRect().left;
    const left = [...drawn.querySelectorAll('use, rect')].filter(e => !e.closest('defs')).reduce(
      (least, e) => Math.min(least, e.getBoundingClientRect().left), box.getBoundingClientRect().left);
    if (left < room - 2) problems.push(`a formula opens with ${Math.round(room - left)} pixels cut off`);
  }
  return problems;
}"""
UNFOLD = """() => {
  document.querySelectorAll('details').forEach(e => { e.open = true; });
  document.getAnimations().forEach(a => { try { a.finish(); } catch { a.cancel(); } });
}"""
"""What unfolds fades in; half seen it has half the contrast. (One that never ends cannot be finished.)"""


@dataclass
class Seen:
    """What a page showed: how many formulas and players, and what was wrong, by kind."""

    formulas: int = 0
    players: int = 0
    problems: dict[str, list[str]] = field(default_factory=dict)
    violations: list[tuple[str, str, str]] = field(default_factory=list)
    """Rule of axe, selector, HTML."""


def find() -> str | None:
    """Chromium, if one is installed; ``$CHROMIUM`` names another."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running(program: str) -> Iterator[Browser]:
    """A headless Chromium that cannot look up a name."""
    options = ["--host-resolver-rules=MAP * ~NOTFOUND", "--autoplay-policy=no-user-gesture-required"]
    options += ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=options, timeout=3 * PATIENCE, chromium_sandbox=False
        )
        yield browser
        browser.close()


def look(browser: Browser, path: Path, axe: bool = True) -> Seen:
    """Open a page from its file, at the width of a desktop and of a phone, in light and (axe) dark."""
    seen, errors, requests = Seen(), [], []
    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text[:200])

    def hold(route: Route) -> None:
        requests.append(route.request.url[:200])
        route.abort()

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)[:200]))
    page.on("requestfailed", lambda request: errors.append(f"not loaded: {request.url[:200]}"))
    context.route(re.compile(r"^(?!file:|data:|blob:|about:)"), hold)
    page.goto(path.resolve().as_uri(), wait_until="load")
    page.evaluate(WAIT)
    page.evaluate(UNFOLD)
    formulas = page.evaluate(FORMULAS)
    seen.formulas = formulas["count"]
    players = page.evaluate(PLAYERS, PATIENCE)
    seen.players = players["count"]
    seen.problems = {
        "raw formulas": formulas["raw"],
        "formulas with an error": formulas["wrong"],
        "widgets": page.evaluate(WIDGETS),
        "players": players["still"],
    }
    if axe:
        seen.violations = violations(page)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        seen.violations += violations(page, only=("color-contrast",), without=("pre",))
        page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(100)
    seen.problems["cut off on a phone"] = page.evaluate(CUT)
    seen.problems["errors in the console"] = errors
    seen.problems["requests that leave"] = requests
    context.close()
    return seen


def look_at_all(program: str, pages: list[tuple[Path, bool]], side_by_side: int = 2) -> dict[Path, Seen]:
    """Look at pages, in several Chromiums; each page comes with whether axe reads it."""

    def share(start: int) -> dict[Path, Seen]:
        with running(program) as browser:
            return {path: look(browser, path, axe) for path, axe in pages[start::side_by_side]}

    with ThreadPoolExecutor(side_by_side) as pool:
        shares = list(pool.map(share, range(side_by_side)))
    return {path: shares[k % side_by_side][path] for k, (path, _) in enumerate(pages)}


def violations(
    page: Page, only: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> list[tuple[str, str, str]]:
    """What axe finds: rule, selector and HTML of each element."""
    options: dict[str, object] = {"resultTypes": ["violations"], "preload": False, "iframes": False}
    if only:
        options["runOnly"] = only
    else:
        options["rules"] = {"label-content-name-mismatch": {"enabled": True}}  # off in axe by default
    context = {"exclude": [["mjx-container"], *([skip] for skip in without)]}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return [
        (rule["id"], " ".join(map(str, node["target"])), node["html"][:160])
        for rule in found
        for node in rule["nodes"]
    ]
