/* The page around the charts: the diagnosis, run cards, what differs, the walk, manifests, languages, reloading. */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const memory = {  // what the reader chose: kept by the window, and by its history where a busy browser has lost that
  get(key) { try { return JSON.parse(sessionStorage.getItem(`minigpt-${key}`)) ?? history.state?.[key]; } catch { return history.state?.[key]; } },
  set(key, value) {
    history.replaceState({ ...history.state, [key]: value }, "");
    try { sessionStorage.setItem(`minigpt-${key}`, JSON.stringify(value)); } catch { /* the browser refuses */ }
  },
};
const choice = { language: memory.get("language") || data.language, theme: memory.get("theme") || "auto", paused: !!memory.get("paused") };
const hidden = new Set(memory.get("hidden") || []);
const ends = data.panels.flatMap((panel) => panel.series.flatMap((series) => [series.x[0], series.x[series.x.length - 1]]));
const extent = [Math.min(...ends), Math.max(...ends, Math.min(...ends) + 1)];
const SECTIONS = { 1: "loss", 2: "lr", 3: "gradients", 4: "loss", 5: "activations", 6: "moments", 7: "loss", 8: "loss" };  // of the stability check: its chart
const CHARTS = { "1.2": "gradients", "5.3": "weights", "4.6": "verbs", "9.1": "attention", "9.2": "logits", "9.3": "loss", "9.4": "tasks",
  "9.5": "units", "10.3": "memory", "10.4": "gates", "10.5": "memory", "10.6": "gates", "11.4": "loss", "11.5": "noise" };  // questions that another chart shows
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
  if (data.runs.length > 1) {
    const key = `run/${run.name}`, button = make(title, "button", "", "hide");
    button.type = "button";
    const say = () => {
      button.textContent = text(hidden.has(key) ? "show-run" : "hide-run");
      button.setAttribute("aria-label", `${button.textContent}: ${run.name}`);
    };
    say();
    button.addEventListener("click", () => { hidden.has(key) ? hidden.delete(key) : hidden.add(key); say(); followHidden(); });
  }
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
  box.id = `chart-${spec.id}${spec.name ? `-${spec.name}` : ""}`;
  box.tabIndex = -1;
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
  const remembered = {  // a switch of this chart, over a reload and a change of language
    get: (name, otherwise) => memory.get(`${box.id}-${name}`) ?? otherwise,
    set: (name, value) => memory.set(`${box.id}-${name}`, value),
  };
  const drawn = new Chart(spec, box, { runs: data.runs, extent, text, label, hidden, remembered, onToggle: () => memory.set("hidden", [...hidden]) });
  charts.push(drawn);
  tools(drawn, box, title.textContent);
  for (const found of spec.tables || []) matrix(box, found);
}

/* The row of switches above a chart, and what can be taken along from it. */
function tools(chart, box, title) {
  const row = box.insertBefore(document.createElement("div"), chart.box), file = () => `${data.runs.map((run) => run.name).join("-")}-${box.id}`;
  row.className = "tools";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", title);
  for (const name of ["log", "smooth"]) {
    const button = make(row, "button", text(name));
    button.type = "button";
    button.setAttribute("aria-pressed", chart[name]);
    button.addEventListener("click", () => button.setAttribute("aria-pressed", chart.switch(name)));
  }
  const takeAlong = { PNG: () => save(`${file()}.png`, asPicture(chart, title)), CSV: () => {
    const url = URL.createObjectURL(new Blob([asTable(chart)], { type: "text/csv" }));
    save(`${file()}.csv`, url);
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } };
  for (const [name, action] of Object.entries(takeAlong)) {
    const button = make(row, "button", name);
    button.type = "button";
    button.setAttribute("aria-label", `${text("take-along")} ${name}: ${title}`);
    button.addEventListener("click", action);
  }
}

function followHidden() {
  memory.set("hidden", [...hidden]);
  charts.forEach((chart) => chart.follow());
  $("attempts").setAttribute("aria-pressed", hidden.has("attempts"));
}

/* The verdict first: what it means, what to change, and the ways to its chart and its lesson. */
function diagnosis(run) {
  if (!run.walk) return;
  const found = run.walk[choice.language], box = make($("diagnoses"), "article", "", `walk diagnosis ${found.verdict}`);
  const title = make(box, "h2", found.leaf ? "" : text(`verdict-${found.verdict}`));
  if (found.leaf) make(title, "code", found.leaf);
  if (data.runs.length > 1) make(title, "span", ` · ${run.name}`);
  make(box, "p", found.summary);
  if (found.leaf) {
    make(box, "p", found.means);
    const change = make(box, "p", `${text("stability.label-change")} `);
    make(change, "strong", found.change);
    if (found.where) make(box, "p", `${text("stability.label-where")} ${found.where}`);
  } else {
    for (const part of ["likely", "next"]) if (found[part]) make(box, "p", `${text(`stability.label-${part}`)} ${found[part]}`);
  }
  const ways = make(box, "p", "", "ways"), end = found.findings.find((finding) => finding.leaf && finding.leaf === found.leaf);
  const chart = end && chartOf(end.question);
  if (chart) link(ways, `#${chart}`, text("to-chart")).addEventListener("click", () => $(chart).focus({ preventScroll: true }));
  if (found.leaf) lessons(ways, found.lesson, run.walk.en.lesson);
  link(ways, "#walks", text("questions"));
}

function chartOf(question) {
  const id = CHARTS[question] ?? SECTIONS[parseInt(question, 10)];
  return data.panels.some((panel) => panel.id === id && panel.series.length) ? `chart-${id}` : null;
}

function link(parent, address, words) {
  const anchor = make(parent, "a", words);
  anchor.href = address;
  return anchor;
}

/* Lessons by name; where Jupyter shows this page they are a click away. */
function lessons(parent, named, english) {
  const box = make(parent, "span", `${text("stability.label-lesson")} `), served = location.pathname.match(/^(.*?)\/(files|view)\//);
  const titles = english.split("; ");
  named.split("; ").forEach((name, index) => {
    const [, id, title] = (titles[index] ?? "").match(/^(\d+-\d+) “(.*?)”/) ?? [];
    if (index) box.append("; ");
    if (!served || !id) return box.append(name);
    const slug = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
    const anchor = link(box, `${served[1]}/lab/tree/phase-${id.split("-")[0]}/${choice.language}/${id}-${slug}/${slug}.ipynb`, name);
    anchor.target = "_blank";
  });
}

/* What was set differently, where several runs are shown. */
function differences() {
  if (data.runs.length < 2) return;
  const rows = data.runs.map((run) => new Map(run.manifest)), names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const told = names.filter((name) => /^(config\.|faults)/.test(name) && new Set(rows.map((row) => row.get(name))).size > 1);
  const box = make($("differences"), "details");
  box.open = told.length < 12;
  make(box, "summary", text(told.length ? "differences" : "no-differences"));
  if (!told.length) return;
  const table = make(box, "table"), head = make(make(table, "thead"), "tr");
  make(head, "th", text("setting")).scope = "col";
  data.runs.forEach((run) => { make(head, "th", run.name).scope = "col"; });
  for (const name of told) {
    const row = make(table, "tr");
    make(row, "th", name).scope = "row";
    rows.forEach((values) => make(row, "td", (values.get(name) ?? "[]").replace(/^\[\]$/, "–")));
  }
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
  for (const id of ["diagnoses", "runs", "differences", "panels", "walks", "manifests"]) $(id).replaceChildren();
  data.runs.forEach(diagnosis);
  data.runs.forEach(card);
  differences();
  data.panels.forEach(panel);
  data.runs.forEach(walk);
  data.runs.forEach(manifest);
  $("attempts").hidden = !data.panels.some((panel) => panel.series.some((series) => series.style === "undone"));
  $("attempts").setAttribute("aria-pressed", hidden.has("attempts"));
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

$("attempts").addEventListener("click", () => {
  hidden.has("attempts") ? hidden.delete("attempts") : hidden.add("attempts");
  followHidden();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paint(); charts.forEach((chart) => chart.redraw()); });
addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
draw();
follow();
