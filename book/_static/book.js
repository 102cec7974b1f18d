/* What a page needs from a script of its own: films that repeat, boxes that a keyboard can scroll, names for sliders. */

function startFilms() {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  for (const film of document.querySelectorAll("video.film-loop")) {
    const button = film.parentElement.querySelector(".film-pause");
    const say = () => { button.textContent = film.paused ? "Play" : "Pause"; };
    button.hidden = false;
    film.controls = false;  // they would lie over the picture; the button does what they did
    button.addEventListener("click", () => (film.paused ? film.play() : film.pause()));
    film.addEventListener("play", say);
    film.addEventListener("pause", say);
    if (still.matches) say();
    else film.play().catch(say);
    still.addEventListener("change", () => still.matches && film.pause());
  }
}

/* What scrolls sideways can be reached with the keyboard */
const SCROLLERS = ".bd-article :is(.math, pre, .pst-scrollable-table-container, .cell_output .output, .picture)";

function reachScrollers() {
  for (const box of document.querySelectorAll(SCROLLERS)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (scrolls && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.dataset.reached = "";
    } else if (!scrolls && "reached" in box.dataset) {
      box.removeAttribute("tabindex");
      delete box.dataset.reached;
    }
  }
}

/* A plot of several panels keeps a width at which its words can be read */
function keepPlotsReadable() {
  for (const plot of document.querySelectorAll(".cell_output .picture img"))
    plot.classList.toggle("wide", plot.naturalWidth >= 560);
}

/* Widgets ask for formulas as MathJax 2 was asked */
function answerWidgets() {
  if (!window.MathJax?.typesetPromise) return;
  const typeset = (task, hub, element) => task === "Typeset" && MathJax.typesetPromise([element]);
  MathJax.Hub = { Queue: (...tasks) => tasks.forEach((task) => Array.isArray(task) && typeset(...task)) };
}

/* A slider is called what stands beside it, and the picture that it drew says what it is */
function nameWidgets() {
  for (const widget of document.querySelectorAll(".widget-inline-hbox")) {
    const label = widget.querySelector(".widget-label")?.textContent;
    const handle = widget.querySelector('[role="slider"]');
    if (label && handle) handle.setAttribute("aria-label", label);
  }
  for (const widget of document.querySelectorAll(".widget-subarea:not(.noted):has([role='slider'])")) {
    widget.classList.add("noted");
    const note = document.createElement("p");
    note.className = "widget-note";
    note.textContent = "On a page the sliders move and the picture stays: it is drawn anew only where the notebook runs.";
    widget.append(note);
  }
  for (const picture of document.querySelectorAll(".jupyter-widgets img:not([alt])"))
    picture.alt = "What the sliders above it were set to when this page was made; the text says what it shows.";
}

startFilms();
addEventListener("DOMContentLoaded", answerWidgets);
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  keepPlotsReadable();
  reachScrollers();
  new ResizeObserver(reachScrollers).observe(document.body);
  new MutationObserver(() => { nameWidgets(); reachScrollers(); })
    .observe(document.querySelector(".bd-article") ?? document.body, { childList: true, subtree: true });
  nameWidgets();
});
