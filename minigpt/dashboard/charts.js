/* One panel as a uPlot chart: bands, lines, curves of several runs, a legend that can be pressed, the keyboard. */
"use strict";

const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2, 2, 2, 2, 2], [16, 5]];
const MARKS = { points: "--bad", events: "--odd" };  // styles that are points alone, and their colour
const COLOURS = 7, SHIFTED_LABEL = 15, QUIET = [...Object.keys(MARKS), "pale", "undone"];
const RATIOS = new Set(["counter"]);  // curves near 1 beside others of any size: they have an axis of their own
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/* With several runs the colour is the run's and the dash the curve's; with one run the colour is the curve's. */
function looks(panel, runs) {
  const order = runs.map(() => new Map());
  for (const series of panel.series) {
    const name = JSON.stringify(series.label), seen = order[series.run];
    if (!QUIET.includes(series.style) && !seen.has(name)) seen.set(name, seen.size);
  }
  return panel.series.map((series) => {
    const index = order[series.run].get(JSON.stringify(series.label)) ?? 0, several = runs.length > 1;
    const colour = several ? series.run : index, round = several ? index : Math.floor(index / COLOURS);
    const width = panel.id === "lr" && series.style !== "dashed"
      ? 1.6 + 1.6 * Math.min(4, order[series.run].size - 1 - index)  // rates that agree lie on each other: all stay seen
      : round >= DASHES.length ? 3.4 : 1.8;
    const dash = { dashed: DASHES[1], undone: [3, 3], pale: [] }[series.style] ?? DASHES[round % DASHES.length];
    return { colour: `--c${colour % COLOURS}`, dash, width: series.style in MARKS ? 0 : QUIET.includes(series.style) ? 1 : width };
  });
}

class Chart {
  constructor(panel, element, { runs, extent, text, label, hidden, remembered, onToggle }) {
    Object.assign(this, { panel, element, runs, extent, text, label, hidden, remembered, onToggle });
    this.looks = looks(panel, runs);
    this.joined = uPlot.join(panel.series.map((series) => [series.x, series.y]));
    this.box = element.querySelector(".chart");
    this.output = element.querySelector("output");
    this.legend();
    this.build();
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("focusout", () => this.values());
  }

  get log() { return this.remembered.get("log", this.panel.log); }
  get smooth() { return this.remembered.get("smooth", false); }

  /* Draw from the start: the data and the axis depend on what the reader switched on. */
  build() {
    this.plot?.destroy();
    this.zoomed = null;
    const window = Math.max(5, Math.round(this.joined[0].length / 40)), positive = (value) => (value > 0 || value === undefined ? value : null);
    this.data = this.joined.map((column, index) => {
      if (index === 0) return column;
      const values = this.smooth && !(this.panel.series[index - 1].style in MARKS) ? smoothed(column, window) : column;
      return this.log && !this.isRatio(this.panel.series[index - 1]) ? values.map(positive) : values;
    });
    this.plot = new uPlot(this.options(), this.data, this.box);
    this.tip = this.plot.over.appendChild(document.createElement("div"));
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.plot.over.addEventListener("mousedown", (event) => this.dragUp(event), true);
    this.plot.over.addEventListener("dblclick", () => this.whole());
    this.plot.over.addEventListener("mouseleave", () => this.values());
  }

  options() {
    const { panel } = this, axis = { stroke: () => css("--quiet"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false } };
    const name = this.text(`axis-${panel.id}`), labelled = name === `axis-${panel.id}` ? {} : { label: name, labelSize: 18, labelFont: "12px system-ui, sans-serif" };
    const room = (u, index, pixels) => Math.max(2, Math.floor((index ? u.height - 40 : u.width - 100) / pixels));
    const y = (log) => ({ size: 56, filter: (u, ticks) => ticks, values: (u, ticks) => ticks.map(compact), splits: (u, index, low, high) => (log ? logTicks : evenTicks)(low, high, room(u, 1, 34)) });
    const axes = [
      { ...axis, size: 28, values: (u, ticks) => ticks.map(compact), splits: (u, index, low, high) => stepTicks(low, high, room(u, 0, 80)) },
      { ...axis, ...labelled, ...y(this.log) },
    ];
    const scales = { x: { time: false, range: (u, low, high) => this.stretch(low, high) }, y: { distr: this.log ? 3 : 1, range: (u, low, high) => this.zoomed ?? (this.log ? this.logRange(low, high) : this.range(low, high)) } };
    if (panel.series.some((series) => this.isRatio(series))) {
      scales.ratio = { range: (u, low, high) => [0, Math.max(1.05, (high ?? 1) * 1.05)] };
      axes.push({ ...axis, ...y(false), scale: "ratio", side: 1, size: 44, grid: { show: false }, label: this.text("axis-ratio"), labelSize: 18, labelFont: "12px system-ui, sans-serif" });
    }
    return {
      width: this.box.clientWidth, height: this.height(), legend: { show: false }, padding: [10, this.margin(), 4, 0],
      cursor: { sync: { key: "step" }, drag: { x: true, y: false }, points: { size: 7 }, bind: { dblclick: () => null } },
      scales, axes,
      series: [{}, ...panel.series.map((series, index) => this.curve(series, index))],
      hooks: { drawAxes: [(u) => this.bands(u)], draw: [(u) => this.lines(u)], setCursor: [() => this.values()] },
    };
  }

  isRatio(series) { return RATIOS.has(series.label?.t); }

  curve(series, index) {
    const look = this.looks[index], points = series.style in MARKS;
    return {
      label: String(index), show: this.visible(series), spanGaps: false, scale: this.isRatio(series) ? "ratio" : "y",
      stroke: () => css(look.colour) + (series.style === "pale" ? "66" : ""), dash: look.dash,
      width: look.width, paths: points ? () => null : undefined,
      points: points
        ? { show: true, size: 9, stroke: () => css(MARKS[series.style]), fill: () => css("--paper"), width: 2 }
        : { show: series.x.length < 25, size: 5, fill: () => css(look.colour) },
    };
  }

  height() { return innerWidth < 600 ? 220 : this.element.matches(":first-child") ? 320 : 250; }

  /* Every chart shows the same steps, also where little was measured, until it is zoomed. */
  stretch(low, high) {
    const xs = this.data[0], whole = xs.length < 2 || (low === xs[0] && high === xs[xs.length - 1]);  // around one point uPlot makes room of its own
    return whole || low === null ? this.extent : [low, high];
  }

  range(low, high) {
    if (low === null || low === undefined) return [0, 1];
    const shown = this.panel.lines.map((line) => line.y), bottom = Math.min(low, ...shown), top = Math.max(high, ...shown);
    const margin = (top - bottom || Math.abs(top) || 1) * 0.06;
    if (this.panel.id === "lr" && bottom >= 0) return [0, top + margin];  // a constant rate looks constant
    return [bottom >= 0 ? Math.max(0, bottom - margin) : bottom - margin, top + margin];
  }

  logRange(low, high) {
    if (!(low > 0)) return [0.1, 10];
    const lines = this.panel.lines.map((line) => line.y).filter((y) => y > 0), edge = this.panel.bands.length ? [0.4, 12] : [low, high];
    return [Math.min(low, edge[0], ...lines) / 1.1, Math.max(high, edge[1], ...lines) * 1.1];
  }

  /* What stands in the margin, beside the curves: where a band or a line is, and its name. */
  marks() {
    const bands = this.panel.bands.map((band) => ({ at: band.to === null ? Infinity : band.to, below: true, words: this.label(band.label) }));
    return [...bands, ...this.panel.lines.map((line) => ({ at: line.y, words: `${this.label(line.label)} ${compact(line.y)}` }))];
  }

  margin() {
    const { ctx } = (this.measure ??= { ctx: document.createElement("canvas").getContext("2d") });
    ctx.font = "12px system-ui, sans-serif";
    const widest = Math.max(0, ...this.marks().map((mark) => ctx.measureText(mark.words).width));
    return widest ? Math.ceil(widest) + 10 : 14;
  }

  bands(u) {
    const { ctx, bbox } = u, tones = { healthy: "--good-band", high: "--odd-band", critical: "--bad-band" };
    ctx.save();
    for (const band of this.panel.bands) {
      const top = band.to === null ? bbox.top : Math.max(bbox.top, u.valToPos(band.to, "y", true));
      const bottom = Math.min(bbox.top + bbox.height, u.valToPos(band.from, "y", true));
      ctx.fillStyle = css(tones[band.label.t]);
      if (bottom > top) ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    }
    ctx.restore();
  }

  lines(u) {
    const { ctx, bbox } = u, unit = devicePixelRatio, low = bbox.top, high = bbox.top + bbox.height;
    ctx.save();
    ctx.strokeStyle = css("--quiet");
    ctx.lineWidth = unit;
    ctx.setLineDash([2 * unit, 4 * unit]);
    for (const line of this.panel.lines) {
      const y = u.valToPos(line.y, "y", true);
      if (!(y >= low && y <= high)) continue;
      ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
    }
    ctx.fillStyle = css("--quiet");
    ctx.font = `${12 * unit}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    const place = (mark) => (mark.at === Infinity ? low : u.valToPos(mark.at, "y", true)) + (mark.below ? 14 : 4) * unit;
    const marks = this.marks().map((mark) => ({ ...mark, y: mark.below ? Math.max(place(mark), low + 14 * unit) : place(mark) }));
    let free = low;
    for (const mark of marks.filter(({ y }) => y >= low && y <= high + 8 * unit).sort((a, b) => a.y - b.y)) {
      const y = Math.max(mark.y, free);
      ctx.fillText(mark.words, bbox.left + bbox.width + 6 * unit, y);
      free = y + SHIFTED_LABEL * unit;
    }
    ctx.restore();
  }

  name(series) { return `${this.panel.id}/${this.panel.name || ""}/${series.run}/${JSON.stringify(series.label)}`; }

  title(series) { return (this.runs.length > 1 ? `${this.runs[series.run].name} · ` : "") + this.label(series.label); }

  visible(series) {
    const undone = series.style === "undone" && !this.hidden.has("attempts");  // in this set: they are shown
    return !undone && !this.hidden.has(`run/${this.runs[series.run].name}`) && !this.hidden.has(this.name(series));
  }

  shown() { return this.panel.series.flatMap((series, index) => (this.visible(series) ? [index] : [])); }

  swatch(series, look) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), shape = svg.appendChild(document.createElementNS(svg.namespaceURI, series.style in MARKS ? "circle" : "line"));
    const facts = series.style in MARKS
      ? { cx: 18, cy: 6, r: 4, fill: "none", "stroke-width": 2 }
      : { x1: 0, x2: 36, y1: 6, y2: 6, "stroke-width": look.width, "stroke-dasharray": look.dash.join(" "), opacity: series.style === "pale" ? 0.5 : 1 };
    for (const [key, value] of Object.entries({ width: 36, height: 12, "aria-hidden": true, class: "swatch" })) svg.setAttribute(key, value);
    for (const [key, value] of Object.entries(facts)) shape.setAttribute(key, value);
    shape.style.stroke = series.style in MARKS ? `var(${MARKS[series.style]})` : `var(${look.colour})`;
    return svg;
  }

  legend() {
    const list = this.element.querySelector(".legend");
    this.buttons = this.panel.series.map((series, index) => {
      const item = list.appendChild(document.createElement("li")), button = item.appendChild(document.createElement("button"));
      button.append(this.swatch(series, this.looks[index]), this.title(series), document.createElement("b"));
      button.type = "button";
      button.addEventListener("click", () => this.toggle(index));
      return button;
    });
    for (const line of this.panel.lines) {
      const item = list.appendChild(document.createElement("li"));
      item.className = "line";
      item.textContent = `${this.label(line.label)} = ${compact(line.y)}`;
    }
    this.mark();
  }

  /* Say in the legend which curves are drawn. */
  mark() {
    this.panel.series.forEach((series, index) => {
      this.buttons[index].setAttribute("aria-pressed", this.visible(series));
      this.buttons[index].parentElement.hidden = series.style === "undone" && !this.hidden.has("attempts");
    });
  }

  toggle(index) {
    const name = this.name(this.panel.series[index]);
    this.hidden.has(name) ? this.hidden.delete(name) : this.hidden.add(name);
    this.follow();
    this.onToggle();
  }

  /* Draw what is to be seen now: a curve, a run or the undone attempts were switched. */
  follow() {
    this.mark();
    this.panel.series.forEach((series, index) => {
      if (this.plot.series[index + 1].show !== this.visible(series)) this.plot.setSeries(index + 1, { show: this.visible(series) });
    });
  }

  switch(name) {
    this.remembered.set(name, !this[name]);
    this.build();
    return this[name];
  }

  /* The value at the cursor, or the nearest one before it: runs are not logged at the same steps. */
  values() {
    const index = this.plot.cursor.idx, known = index !== null && index !== undefined, rows = [];
    this.output.textContent = known ? `${this.text("step")} ${this.data[0][index].toLocaleString("en")}` : "";
    this.buttons.forEach((button, at) => {
      let near = known ? index : -1;
      const column = this.data[at + 1];
      while (near >= 0 && column[near] === undefined) near -= 1;
      const value = near >= 0 ? column[near] : undefined, series = this.panel.series[at];
      const words = value === undefined || value === null ? "" : compact(value);
      button.querySelector("b").textContent = words;
      if (words && this.visible(series) && !(series.style in MARKS)) rows.push([at, words]);
    });
    this.point(known && (this.plot.over.matches(":hover") || document.activeElement === this.box) ? rows : []);
  }

  /* The figures beside the cursor, over the curves and under no pointer. */
  point(rows) {
    this.tip.hidden = !rows.length;
    if (!rows.length) return;
    this.tip.replaceChildren(...rows.slice(0, 8).map(([at, words]) => {
      const row = document.createElement("div");
      row.append(this.swatch(this.panel.series[at], this.looks[at]), words);
      return row;
    }));
    const { left } = this.plot.cursor, right = left > this.plot.over.clientWidth / 2;
    this.tip.style.left = right ? "auto" : `${left + 12}px`;
    this.tip.style.right = right ? `${this.plot.over.clientWidth - left + 12}px` : "auto";
  }

  whole() {
    this.zoomed = null;
    this.plot.setScale("x", { min: this.extent[0], max: this.extent[1] });
  }

  /* With Shift, a drag zooms the other way: up and down. */
  dragUp(event) {
    if (!event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { over } = this.plot, box = over.getBoundingClientRect(), from = event.clientY - box.top, mark = over.appendChild(document.createElement("div"));
    const at = (moved) => Math.max(0, Math.min(box.height, moved.clientY - box.top));
    mark.className = "u-select rows";
    const move = (moved) => Object.assign(mark.style, { left: 0, width: "100%", top: `${Math.min(from, at(moved))}px`, height: `${Math.abs(from - at(moved))}px` });
    const end = (moved) => {
      removeEventListener("mousemove", move);
      mark.remove();
      if (Math.abs(from - at(moved)) < 5) return;
      const [low, high] = [from, at(moved)].map((y) => this.plot.posToVal(y, "y")).sort((a, b) => a - b);
      this.stretchUp(low, high);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end, { once: true });
  }

  stretchUp(low, high) {
    this.zoomed = [low, high];
    this.plot.setScale("y", { min: low, max: high });
  }

  /* Zoom up and down about the middle, by equal factors where the axis is logarithmic. */
  zoomUp(factor) {
    const { min, max } = this.plot.scales.y, to = this.log ? Math.log : (y) => y, from = this.log ? Math.exp : (y) => y;
    const middle = (to(min) + to(max)) / 2, half = ((to(max) - to(min)) / 2) * factor;
    this.stretchUp(from(middle - half), from(middle + half));
  }

  key(event) {
    const { plot } = this, xs = this.data[0], jump = event.shiftKey ? 20 : 1;
    const { min, max } = plot.scales.x, here = plot.cursor.idx ?? 0;
    const move = (index) => {
      const at = Math.max(0, Math.min(xs.length - 1, index));
      plot.setCursor({ left: plot.valToPos(xs[at], "x"), top: plot.over.clientHeight / 2 }, true, true);
    };
    const zoom = (factor) => {
      const middle = xs[here];
      plot.setScale("x", { min: Math.max(this.extent[0], middle - (middle - min) * factor), max: Math.min(this.extent[1], middle + (max - middle) * factor) });
    };
    const actions = {
      ArrowLeft: () => move(here - jump), ArrowRight: () => move(here + jump), Home: () => move(0), End: () => move(xs.length - 1),
      ArrowUp: () => this.zoomUp(0.5), ArrowDown: () => this.zoomUp(2),
      "+": () => zoom(0.5), "-": () => zoom(2), Escape: () => this.whole(),
    };
    if (event.altKey || event.ctrlKey || event.metaKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  resize() { this.plot.setSize({ width: this.box.clientWidth, height: this.height() }); }

  redraw() { this.plot.redraw(false, true); }

  destroy() { this.plot.destroy(); }
}
