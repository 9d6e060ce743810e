"use strict";
/* The page reads well without this script; with it the plot answers, and tables sort and filter. */

const { cells, plots } = JSON.parse(document.getElementById("data").textContent);

/** An element with text or children. */
function make(tag, content = "", properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...(Array.isArray(content) ? content : [content]));
  return element;
}

/** A definition list of [name, value] pairs. */
const list = (pairs) => make("dl", pairs.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));

/** Everything known of a cell: images, result, and where it comes from. */
function describe(cell) {
  const images = cell.pictures.map((picture) =>
    make("figure", [make("img", "", { src: picture.uri, alt: picture.alt }), make("figcaption", picture.caption)]));
  const dirty = { true: ", with changes that were not committed", false: ", clean" }[cell.dirty] ?? "";
  const origin = [
    ["record", cell.record], ["cell", cell.key], ["seeds", pairs(cell.seeds)], ["status", cell.status],
    ["commit", cell.commit + dirty], ["protocol", cell.protocol],
    ...cell.stages.map(([name, key, cost]) => [`stage ${name}`, `${key} (${cost})`]),
    ["machine", `${cell.platform}, Python ${cell.python}`], ["packages", pairs(cell.packages)],
  ];
  if (cell.error) origin.unshift(["error", cell.error]);
  const note = cell.pictures_note && cell.status === "done" ? [make("p", cell.pictures_note)] : [];
  return make("div", [...images, ...note, make("div", [list(cell.metrics), list(cell.settings)]), list(origin)], { className: "about" });
}
const pairs = (values) => values.map(([name, value]) => `${name} ${value}`).join(", ");

/* Provenance of a row, a figure or a suite: a dialog over the page. */
const dialog = document.getElementById("provenance");
function showProvenance(keys) {
  const found = keys.map((key) => cells[key]);
  dialog.querySelector(".cells").replaceChildren(...found.map((cell) => {
    const details = make("details", make("summary", cell.label), { open: found.length === 1 });
    const fill = () => details.open && details.childElementCount === 1 && details.append(describe(cell));
    details.addEventListener("toggle", fill);
    fill();
    return details;
  }));
  dialog.showModal();
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-cells]");
  if (!link) return;
  event.preventDefault();
  showProvenance(link.dataset.cells.split(" "));
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

/* The plot: one panel per metric; the nearest point answers to the pointer, arrow keys move. */
const REACH = 24;

function startPlot(section) {
  const points = plots[section.dataset.plot];
  const canvas = section.querySelector(".canvas"), tip = section.querySelector(".tip");
  const panels = [...canvas.querySelectorAll(":scope > svg")], select = section.querySelector(".metric");
  const selection = section.querySelector(".selection");
  const shown = (panel) => [...panel.querySelectorAll(".mark:not(.off)")];
  let near = null;

  function about(mark, panel) {
    const point = points[mark.dataset.point], metric = panel.dataset.metric;
    const cell = cells[point.cell];
    return [
      point.name, `${point.kind} of ${point.tokenizer}`, `${point.tokens} mean tokens; ${panel.dataset.title} ${point.values[metric]}`,
      point.intervals[metric], `seeds: ${pairs(cell.seeds)}`, pairs(cell.settings),
    ];
  }
  function point(mark, panel) {
    near?.classList.remove("near");
    near = mark;
    tip.hidden = !mark;
    if (!mark) return;
    mark.classList.add("near");
    tip.replaceChildren(...about(mark, panel).map((line) => make("p", line)));
    const box = mark.getBoundingClientRect(), frame = canvas.getBoundingClientRect();
    const left = box.right - frame.left + canvas.scrollLeft + 10, width = tip.offsetWidth;
    const room = canvas.scrollLeft + canvas.clientWidth;
    tip.style.left = `${Math.max(canvas.scrollLeft, left + width > room ? left - width - box.width - 20 : left)}px`;
    tip.style.top = `${Math.max(0, Math.min(box.top - frame.top, canvas.clientHeight - tip.offsetHeight))}px`;
  }
  function choose(mark) {
    const { cell, name } = points[mark.dataset.point];
    section.querySelectorAll(".marks .mark").forEach((each) =>
      each.classList.toggle("chosen", points[each.dataset.point].cell === cell));
    selection.hidden = false;
    selection.replaceChildren(make("h4", name), describe(cells[cell]));
  }
  function nearest(panel, event) {
    const scale = panel.viewBox.baseVal.width / panel.getBoundingClientRect().width;
    const box = panel.getBoundingClientRect();
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const far = (mark) => Math.hypot(mark.dataset.x - x, mark.dataset.y - y);
    const best = shown(panel).reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return best && far(best) <= REACH ? best : null;
  }
  function rove(panel, to) {
    panel.querySelectorAll(".mark").forEach((mark) => mark.setAttribute("tabindex", mark === to ? 0 : -1));
  }
  function move(panel, event) {
    const marks = shown(panel), place = marks.indexOf(event.target);
    const next = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: marks.length - 1 }[event.key];
    if (next !== undefined && marks[next]) {
      rove(panel, marks[next]);
      marks[next].focus();
    } else if (event.key === "Enter" || event.key === " ") choose(event.target);
    else if (event.key === "Escape") point(null);
    else if (next === undefined) return;
    event.preventDefault();
  }

  panels.forEach((panel) => {
    shown(panel).forEach((mark) => {
      mark.setAttribute("role", "button");
      mark.setAttribute("aria-label", about(mark, panel).slice(0, 4).join("; "));
      mark.addEventListener("focus", () => point(mark, panel));
      mark.addEventListener("blur", () => point(null));
      mark.addEventListener("keydown", (event) => move(panel, event));
    });
    rove(panel, shown(panel)[0]);
    panel.addEventListener("pointermove", (event) => point(nearest(panel, event), panel));
    panel.addEventListener("pointerleave", () => point(null));
    panel.addEventListener("click", (event) => {
      const mark = nearest(panel, event);
      if (mark) choose(mark);
    });
  });
  select.addEventListener("change", () => panels.forEach((panel, place) => {
    panel.toggleAttribute("hidden", place !== Number(select.value));
  }));
  section.querySelectorAll(".series button").forEach((button) => button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    section.querySelectorAll(`[data-series="${button.dataset.series}"]:not(button)`).forEach((each) => each.classList.toggle("off", !on));
    panels.forEach((panel) => rove(panel, shown(panel)[0]));
  }));
}
document.querySelectorAll("[data-plot]").forEach(startPlot);

/* Tables: a click on a column's head sorts within the sections; beginnings of words filter. */
const words = (text) => text.toLowerCase().replace(/[\s,:;()[\]]+|\.(?=[a-z])/g, " ");

function startTable(section) {
  const bodies = [...section.querySelectorAll("tbody")], filter = section.querySelector(".filter");
  const rows = (body) => [...body.querySelectorAll("tr:not(.section)")];
  const heads = [...section.querySelectorAll("thead th[data-column]")];

  function sort(head) {
    const down = head.getAttribute("aria-sort") === "ascending", column = head.dataset.column;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.children[column].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [Number(value(a)), Number(value(b))];
      if (Number.isNaN(x) !== Number.isNaN(y) && head.className === "number") return Number.isNaN(x) ? 1 : -1; // Numbers first.
      const order = Number.isNaN(x) || Number.isNaN(y) ? value(a).localeCompare(value(b), "en", { numeric: true }) : x - y;
      return down ? -order : order;
    };
    bodies.forEach((body) => body.append(...rows(body).sort(compare)));
  }
  heads.forEach((head) => {
    const button = make("button", head.textContent, { type: "button" });
    button.addEventListener("click", () => sort(head));
    head.replaceChildren(button);
  });
  filter.addEventListener("input", () => {
    const wanted = words(filter.value).split(" ").filter(Boolean);
    const fits = (row, body) => {
      const text = ` ${words(`${row.innerText} ${body.querySelector(".section")?.innerText ?? ""}`)}`;
      return wanted.every((word) => text.includes(` ${word}`));
    };
    let found = 0, all = 0;
    bodies.forEach((body) => {
      const kept = rows(body).filter((row) => !(row.hidden = !fits(row, body)));
      body.hidden = kept.length === 0;
      found += kept.length;
      all += rows(body).length;
    });
    section.querySelector(".count").textContent = wanted.length ? `${found} of ${all} rows` : "";
  });
}
document.querySelectorAll(".table:has(table)").forEach(startTable);

/* Dark or light: as the system says, until the button is used. */
const theme = document.getElementById("theme"), root = document.documentElement;
const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const name = () => (theme.textContent = isDark() ? "Light" : "Dark");
theme.hidden = false;
name();
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  name();
});
