/* What can be taken along from a chart: a picture with its title and legend, and the figures behind it. */
"use strict";

function save(name, url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

/* The chart's canvas, with title and legend, on the page's own ground. */
function asPicture(chart, title) {
  const drawn = chart.plot.ctx.canvas, unit = devicePixelRatio, row = 20 * unit, shown = chart.shown();
  const canvas = document.createElement("canvas"), ctx = canvas.getContext("2d");
  canvas.width = drawn.width;
  canvas.height = drawn.height + 34 * unit + row * shown.length + 10 * unit;
  ctx.fillStyle = css("--paper");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.drawImage(drawn, 0, 34 * unit);
  ctx.fillStyle = css("--ink");
  ctx.font = `600 ${15 * unit}px system-ui, sans-serif`;
  ctx.fillText(title, 10 * unit, 22 * unit);
  ctx.font = `${12 * unit}px system-ui, sans-serif`;
  shown.forEach((index, at) => {
    const look = chart.looks[index], y = drawn.height + 34 * unit + row * (at + 0.6);
    ctx.strokeStyle = css(look.colour);
    ctx.lineWidth = look.width * unit;
    ctx.setLineDash(look.dash.map((length) => length * unit));
    ctx.beginPath(); ctx.moveTo(10 * unit, y); ctx.lineTo(48 * unit, y); ctx.stroke();
    ctx.fillText(chart.title(chart.panel.series[index]), 56 * unit, y + 4 * unit);
  });
  return canvas.toDataURL("image/png");
}

/* One row a step, one column a curve, as it is drawn; what was not logged there is empty. */
function asTable(chart) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value), shown = chart.shown();
  const head = ["step", ...shown.map((index) => cell(chart.title(chart.panel.series[index])))];
  const rows = chart.data[0].map((step, row) => [step, ...shown.map((index) => chart.data[index + 1][row] ?? "")]);
  return [head, ...rows].map((columns) => columns.join(",")).join("\n") + "\n";
}
