/* The page around the charts: texts in two languages, colours, run cards, the stability walk, manifests, reloading. */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const memory = {  // what the reader chose; a browser may refuse to keep it
  get(key) { try { return JSON.parse(sessionStorage.getItem(`minigpt-${key}`)); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(`minigpt-${key}`, JSON.stringify(value)); } catch { /* not kept */ } },
};
const choice = { language: memory.get("language") || data.language, theme: memory.get("theme") || "auto", paused: !!memory.get("paused") };
const hidden = new Set(memory.get("hidden") || []);
const ends = data.panels.flatMap((panel) => panel.series.flatMap((series) => [series.x[0], series.x[series.x.length - 1]]));
const extent = [Math.min(...ends), Math.max(...ends, Math.min(...ends) + 1)];
let charts = [];

const text = (key) => data.texts[choice.language][key] ?? key;
const label = (value) => (typeof value === "string" ? value : [text(value.t), value.n].filter((part) => part !== undefined).join(" "));

function make(parent, tag, content = "", className = "") {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = content;
  if (className) element.className = className;
  return element;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${+(seconds / 3600).toPrecision(3)} h`;
  return `${+(seconds / 86400).toPrecision(3)} d`;
}

function card(run, index) {
  const box = make($("runs"), "article", "", "card"), title = make(box, "h2");
  if (data.runs.length > 1) make(title, "span", "", "swatch").style.borderColor = `var(--c${index % COLOURS})`;
  title.append(run.name);
  const state = make(box, "p", text(`state-${run.state}`), "state");
  if (run.walk) {
    const walk = run.walk[choice.language];
    state.append(" · ");
    make(state, "span", walk.leaf || text(`verdict-${walk.verdict}`), `verdict ${walk.verdict}`);
  }
  const list = make(box, "dl");
  const figure = (name, value) => {
    const tile = make(list, "div");
    make(tile, "dt", text(`figure-${name}`));
    make(tile, "dd", value);
  };
  figure("steps", [run.done, run.steps].filter((count) => count !== null).map((count) => count.toLocaleString("en")).join(" / "));
  for (const [name, value] of run.figures) {
    const forecast = ["eta", "target-seconds"].includes(name);
    if (value === null && !forecast) continue;
    figure(name, value === null ? text("unknown") : typeof value === "string" ? value : forecast ? duration(value) : compact(value));
  }
}

function panel(spec) {
  const box = make($("panels"), "article", "", "panel"), head = make(box, "div", "", "head");
  const title = make(head, "h2", spec.name || text(`panel-${spec.id}`));
  make(head, "output");
  const about = make(box, "p", text(`about-${spec.id}`));
  title.id = `${spec.id}-${$("panels").children.length}`;
  about.id = `${title.id}-about`;
  if (!spec.series.length) return make(box, "p", text("empty"), "empty");
  const chart = make(box, "div", "", "chart");
  chart.tabIndex = 0;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-labelledby", title.id);
  chart.setAttribute("aria-describedby", about.id);
  make(box, "ul", "", "legend");
  for (const found of spec.tables || []) matrix(box, found);
  charts.push(new Chart(spec, box, { runs: data.runs, extent, text, label, hidden, onToggle: () => memory.set("hidden", [...hidden]) }));
}

function matrix(box, found) {
  const table = make(box, "table", "", "matrix"), head = make(table, "tr");
  make(table, "caption", text("matrix") + (data.runs.length > 1 ? ` · ${data.runs[found.run].name}` : ""));
  for (const name of [text("matrix-after"), ...found.tasks]) make(head, "th", name).scope = "col";
  for (const [name, losses] of [...found.rows, [text("matrix-forgotten"), found.forgotten]]) {
    const row = make(table, "tr");
    make(row, "th", name).scope = "row";
    for (const loss of losses) make(row, "td", compact(loss));
  }
}

function walk(run) {
  if (!run.walk) return;
  const found = run.walk[choice.language], box = make($("walks"), "article", "", "walk"), title = make(box, "h2", text("walk"));
  if (data.runs.length > 1) make(title, "span", ` · ${run.name}`);
  if (found.leaf) {
    const leaf = make(box, "dl", "", "leaf");
    make(leaf, "dt", found.leaf);
    for (const part of ["means", "change", "lesson"]) make(leaf, "dd", `${text(`stability.label-${part}`)} ${found[part]}`);
  } else {
    make(box, "p", found.summary);
    for (const part of ["likely", "next"]) if (found[part]) make(box, "p", `${text(`stability.label-${part}`)} ${found[part]}`);
  }
  const all = make(box, "details");
  all.open = data.runs.length === 1;
  make(all, "summary", text("questions"));
  const list = make(all, "ol");
  for (const finding of found.findings) {
    const item = make(list, "li");
    make(item, "span", text(`verdict-${finding.verdict}`), `tag ${finding.verdict}`);
    make(item, "span", finding.question);
    make(item, "span", finding.asked, "asked");
    make(item, "small", finding.seen);
  }
}

function manifest(run) {
  if (!run.manifest.length) return;
  const box = make($("manifests"), "details"), several = data.runs.length > 1;
  make(box, "summary", text("manifest") + (several ? ` · ${run.name}` : ""));
  const table = make(box, "table");
  for (const [name, value] of run.manifest) {
    const row = make(table, "tr"), head = make(row, "th", name);
    head.scope = "row";
    make(row, "td", value);
  }
}

function choices(id, name, options) {
  $(id).replaceChildren();
  for (const [value, title] of options) {
    const button = make($(id), "button", title);
    button.type = "button";
    button.setAttribute("aria-pressed", choice[name] === value);
    if (name === "language") button.lang = value;
    button.addEventListener("click", () => {
      choice[name] = value;
      memory.set(name, value);
      draw();
      [...$(id).children].find((other) => other.textContent === button.textContent)?.focus();
    });
  }
}

function paint() {
  const dark = choice.theme === "dark" || (choice.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

function draw() {
  paint();
  document.documentElement.lang = choice.language;
  document.title = `${text("title")} · ${data.runs.map((run) => run.name).join(" · ")}`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text(element.dataset.label));
  choices("languages", "language", [["en", "English"], ["es", "Español"]]);
  choices("themes", "theme", ["auto", "light", "dark"].map((theme) => [theme, text(`theme-${theme}`)]));
  charts.forEach((chart) => chart.destroy());
  charts = [];
  for (const id of ["runs", "panels", "walks", "manifests"]) $(id).replaceChildren();
  data.runs.forEach(card);
  data.panels.forEach(panel);
  data.runs.forEach(walk);
  data.runs.forEach(manifest);
  $("made").textContent = `${text("made")} ${data.made.replace("T", " ").replace("+00:00", " UTC")}`;
  $("pause").textContent = text(choice.paused ? "resume" : "pause");
}

function follow() {
  if (!data.live) return;
  $("live").hidden = false;
  let timer;
  const set = () => { clearTimeout(timer); if (!choice.paused) timer = setTimeout(() => location.reload(), data.live * 1000); };
  $("pause").addEventListener("click", () => {
    choice.paused = !choice.paused;
    memory.set("paused", choice.paused);
    $("pause").textContent = text(choice.paused ? "resume" : "pause");
    set();
  });
  set();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paint(); charts.forEach((chart) => chart.redraw()); });
addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
draw();
follow();
