/* One panel as a uPlot chart: bands, lines, curves of several runs, a legend that can be pressed, the keyboard. */
"use strict";

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const COLOURS = 7;
const STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();  // whole ones only
const ROUND = /^[125]e/;  // what a logarithmic axis is labelled with
const MARKS = { points: "--bad", events: "--odd" };  // styles that are points alone, and their colour
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function compact(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e9 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace(/\.?0+e/, "e");
  if (size >= 1e6) return +(value / 1e6).toPrecision(4) + "M";
  if (size >= 1e4) return +(value / 1e3).toPrecision(4) + "k";
  return String(+value.toPrecision(4));
}

/* With several runs the colour is the run's and the dash the curve's; with one run the colour is the curve's. */
function looks(panel, runs) {
  const order = runs.map(() => new Map());
  return panel.series.map((series) => {
    const name = JSON.stringify(series.label), seen = order[series.run];
    const plain = !(series.style in MARKS) && series.style !== "pale";
    if (plain && !seen.has(name)) seen.set(name, seen.size);
    const index = plain ? seen.get(name) : 0;
    const colour = runs.length > 1 ? series.run : index;
    const round = runs.length > 1 ? index : Math.floor(index / COLOURS);
    return {
      colour: `--c${colour % COLOURS}`,
      dash: series.style === "dashed" ? DASHES[1] : DASHES[round % DASHES.length],
    };
  });
}

class Chart {
  constructor(panel, element, { runs, extent, text, label, hidden, onToggle }) {
    Object.assign(this, { panel, element, runs, extent, text, label, hidden, onToggle });
    this.looks = looks(panel, runs);
    this.data = uPlot.join(panel.series.map((series) => [series.x, series.y]));
    this.box = element.querySelector(".chart");
    this.output = element.querySelector("output");
    this.legend();
    this.plot = new uPlot(this.options(), this.data, this.box);
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  options() {
    const { panel } = this, axis = { stroke: () => css("--quiet"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false } };
    return {
      width: this.box.clientWidth, height: this.height(), legend: { show: false },
      cursor: { sync: { key: "step" }, drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: false, range: (u, low, high) => this.stretch(low, high) }, y: panel.log ? { distr: 3, range: (u, low, high) => this.logRange(low, high) } : { range: (u, low, high) => this.range(low, high) } },
      axes: [
        { ...axis, size: 28, incrs: STEPS, values: (u, ticks) => ticks.map(compact) },
        { ...axis, size: 58, values: (u, ticks) => ticks.map((tick) => (panel.log && !ROUND.test((tick || 0).toExponential()) ? "" : compact(tick))) },
      ],
      series: [{}, ...panel.series.map((series, index) => this.curve(series, index))],
      hooks: { drawAxes: [(u) => this.bands(u)], draw: [(u) => this.lines(u)], setCursor: [() => this.values()] },
    };
  }

  curve(series, index) {
    const look = this.looks[index], points = series.style in MARKS;
    return {
      label: String(index), show: !this.hidden.has(this.name(series)), spanGaps: false,
      stroke: () => css(look.colour) + (series.style === "pale" ? "66" : ""), dash: look.dash,
      width: series.style === "pale" ? 1 : points ? 0 : 1.8, paths: points ? () => null : undefined,
      points: points
        ? { show: true, size: 9, stroke: () => css(MARKS[series.style]), fill: () => css("--paper"), width: 2 }
        : { show: series.x.length < 25, size: 5, fill: () => css(look.colour) },
    };
  }

  height() { return innerWidth < 600 ? 220 : this.element.matches(":first-child") ? 320 : 250; }

  /* Every chart shows the same steps, also where little was measured, until it is zoomed. */
  stretch(low, high) {
    const xs = this.data[0], whole = low === xs[0] && high === xs[xs.length - 1];
    return whole || low === null ? this.extent : [low, high];
  }

  range(low, high) {
    if (low === null) return [0, 1];
    const shown = this.panel.lines.map((line) => line.y), bottom = Math.min(low, ...shown), top = Math.max(high, ...shown);
    const margin = (top - bottom || Math.abs(top) || 1) * 0.06;
    if (this.panel.id === "lr" && bottom >= 0) return [0, top + margin];  // a constant rate looks constant
    return [bottom >= 0 ? Math.max(0, bottom - margin) : bottom - margin, top + margin];
  }

  logRange(low, high) {
    if (!(low > 0)) return [0.1, 10];
    const edge = this.panel.bands.length ? [0.4, 12] : [low, high];
    return [Math.min(low, edge[0]) / 1.25, Math.max(high, edge[1]) * 1.25];
  }

  bands(u) {
    const { ctx, bbox } = u, tones = { healthy: "--good-band", high: "--odd-band", critical: "--bad-band" };
    ctx.save();
    for (const band of this.panel.bands) {
      const top = band.to === null ? bbox.top : Math.max(bbox.top, u.valToPos(band.to, "y", true));
      const bottom = Math.min(bbox.top + bbox.height, u.valToPos(band.from, "y", true));
      ctx.fillStyle = css(tones[band.label.t]);
      if (bottom > top) ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
      this.write(u, this.label(band.label), bbox.left + 6 * devicePixelRatio, top + 14 * devicePixelRatio, "left", false);
    }
    ctx.restore();
  }

  lines(u) {
    const { ctx, bbox } = u, written = [];
    ctx.save();
    for (const line of this.panel.lines) {
      const y = u.valToPos(line.y, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = css("--quiet");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
      if (written.some((other) => Math.abs(other - y) < 16 * devicePixelRatio)) continue;
      written.push(y);
      this.write(u, `${this.label(line.label)} = ${compact(line.y)}`, bbox.left + bbox.width - 4 * devicePixelRatio, y - 5 * devicePixelRatio, "right");
    }
    ctx.restore();
  }

  write({ ctx }, words, x, y, align, rim = true) {
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = align;
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.lineJoin = "round";
    ctx.setLineDash([]);
    ctx.strokeStyle = css("--paper");
    if (rim) ctx.strokeText(words, x, y);  // so that curves behind the words do not spoil them
    ctx.fillStyle = css("--quiet");
    ctx.fillText(words, x, y);
  }

  name(series) { return `${this.panel.id}/${this.panel.name || ""}/${series.run}/${JSON.stringify(series.label)}`; }

  legend() {
    const list = this.element.querySelector(".legend");
    this.buttons = this.panel.series.map((series, index) => {
      const item = list.appendChild(document.createElement("li")), button = item.appendChild(document.createElement("button"));
      const look = this.looks[index], swatch = button.appendChild(document.createElement("span"));
      swatch.className = `swatch ${series.style in MARKS ? "points" : look.dash.length ? "dashed" : ""}`;
      swatch.style.borderColor = series.style in MARKS ? `var(${MARKS[series.style]})` : `var(${look.colour})`;
      if (series.style === "pale") swatch.style.opacity = 0.5;
      const run = this.runs.length > 1 ? `${this.runs[series.run].name} · ` : "";
      button.append(run + this.label(series.label), document.createElement("b"));
      button.type = "button";
      button.setAttribute("aria-pressed", !this.hidden.has(this.name(series)));
      button.addEventListener("click", () => this.toggle(index));
      return button;
    });
    for (const line of this.panel.lines) {
      const item = list.appendChild(document.createElement("li"));
      item.className = "line";
      item.textContent = `${this.label(line.label)} = ${compact(line.y)}`;
    }
  }

  toggle(index) {
    const name = this.name(this.panel.series[index]), show = this.hidden.has(name);
    show ? this.hidden.delete(name) : this.hidden.add(name);
    this.buttons[index].setAttribute("aria-pressed", show);
    this.plot.setSeries(index + 1, { show });
    this.onToggle();
  }

  /* The value at the cursor, or the nearest one before it: runs are not logged at the same steps. */
  values() {
    const index = this.plot.cursor.idx, known = index !== null && index !== undefined;
    this.output.textContent = known ? `${this.text("step")} ${this.data[0][index].toLocaleString("en")}` : "";
    this.buttons.forEach((button, at) => {
      let near = known ? index : -1;
      const column = this.data[at + 1];
      while (near >= 0 && column[near] === undefined) near -= 1;
      const value = near >= 0 ? column[near] : undefined;
      button.querySelector("b").textContent = value === undefined || value === null ? "" : compact(value);
    });
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
      "+": () => zoom(0.5), "-": () => zoom(2), Escape: () => plot.setScale("x", { min: this.extent[0], max: this.extent[1] }),
    };
    if (event.altKey || event.ctrlKey || event.metaKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  resize() { this.plot.setSize({ width: this.box.clientWidth, height: this.height() }); }

  redraw() { this.plot.redraw(false, true); }

  destroy() { this.plot.destroy(); }
}
