// Shows the values of a chart under the pointer, or at the step that the arrow keys have chosen, in its legend, where the
// last values stand otherwise. The scales are in the drawing's data-chart; without this script the page loses the values
// under the pointer and nothing else.
"use strict";
for (const svg of document.querySelectorAll(".plot")) {
  const chart = JSON.parse(svg.dataset.chart);
  const [left, right, top, bottom] = chart.frame;
  const figure = svg.closest("figure");
  const toggle = figure.querySelector(".log-switch");
  const cursor = svg.querySelector(".cursor");
  const shown = [...figure.querySelectorAll(".legend b")];
  const last = shown.map((value) => value.textContent);
  const steps = [...new Set(chart.series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
  let chosen = steps.length - 1;
  const node = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return element;
  };
  const x = (step) => left + ((right - left) * (step - chart.range[0])) / (chart.range[1] - chart.range[0]);
  const y = (value) => {
    const log = toggle && toggle.checked && chart.log;
    const f = log ? Math.log10 : (v) => v;
    const [low, high] = log || chart.lin;
    return top + (bottom - top) * (1 - (f(value) - f(low)) / (f(high) - f(low)));
  };
  const text = (v) => {
    const size = Math.abs(v);
    if (chart.unit.endsWith("%")) return v.toFixed(2);
    if (size >= 1000) return Math.round(v).toLocaleString("en");
    if (size >= 10) return v.toFixed(size >= 100 ? 1 : 2);
    return size >= 0.01 || size === 0 ? v.toFixed(4) : v.toExponential(2);
  };
  const nearest = (points, step) => points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
  const show = (index) => {
    chosen = Math.max(0, Math.min(steps.length - 1, index));
    const step = steps[chosen];
    cursor.replaceChildren(node("path", { d: `M${x(step)} ${top}V${bottom}` }));
    shown[0].textContent = step.toLocaleString("en");
    chart.series.forEach((series, i) => {
      if (!series.points.length) return;
      const point = nearest(series.points, step);
      const at = y(point[1]);
      if (Number.isFinite(at)) cursor.append(node("circle", { class: `dot c${series.colour}`, cx: x(point[0]), cy: at, r: 3.5 }));
      shown[i + 1].textContent = text(point[1]) + chart.unit;
    });
  };
  const hide = () => {
    cursor.replaceChildren();
    shown.forEach((value, i) => { value.textContent = last[i]; });
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    const at = ((event.clientX - box.left) / box.width) * view.width;
    const step = chart.range[0] + ((at - left) / (right - left)) * (chart.range[1] - chart.range[0]);
    let best = 0;
    for (let i = 1; i < steps.length; i++) if (Math.abs(steps[i] - step) < Math.abs(steps[best] - step)) best = i;
    show(best);
  });
  svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) hide(); });
  svg.addEventListener("focus", () => { if (steps.length) show(chosen); });
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, PageUp: chosen + 10, PageDown: chosen - 10, Home: 0, End: steps.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    show(moves[event.key]);
  });
  if (toggle) toggle.addEventListener("change", () => { if (cursor.hasChildNodes()) show(chosen); });
}
