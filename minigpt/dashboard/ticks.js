/* Numbers as a reader meets them: on an axis, in a legend, at the cursor. */
"use strict";

const NICE = [1, 2, 2.5, 5, 10];

function compact(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e9 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace(/\.?0+e/, "e");
  if (size >= 1e6) return +(value / 1e6).toPrecision(4) + "M";
  if (size >= 1e4) return +(value / 1e3).toPrecision(4) + "k";
  return String(+value.toPrecision(4));
}

/* About `most` round numbers from low to high, at equal distances. */
function evenTicks(low, high, most, whole = false) {
  const rough = (high - low) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
  let step = power * NICE.find((digit) => digit * power >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + step * 1e-9; tick += 1) ticks.push(+(tick * step).toPrecision(12));
  return ticks;
}

/* Round numbers at equal factors; over less than half a decade, at equal distances. */
function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high)), decades = Math.log10(high / low);
  if (decades < 0.5) return evenTicks(low, high, most).filter((tick) => tick > 0);
  const jump = Math.max(1, Math.ceil(decades / most)), ladders = jump > 1 ? [[1]] : [[1, 2, 5], [1, 3], [1]];
  for (const digits of ladders) {
    const ticks = [];
    for (let power = first; power <= last; power += jump) ticks.push(...digits.map((digit) => +(digit * 10 ** power).toPrecision(3)));
    const shown = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
    if (shown.length <= most + 1 || digits === ladders[ladders.length - 1]) return shown;
  }
}

/* The steps of an axis: round ones, and the last, so that the end of a run can be read. */
function stepTicks(low, high, most) {
  const ticks = evenTicks(low, high, most, true), last = Math.floor(high);
  return [...ticks.filter((tick) => last - tick > (high - low) / most / 1.6), last];
}

/* The mean of each value and those before it, `window` at most; what is not there stays away. */
function smoothed(values, window) {
  const kept = [];
  let sum = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    kept.push(value);
    sum += value;
    if (kept.length > window) sum -= kept[kept.length - window - 1];
    return sum / Math.min(kept.length, window);
  });
}
