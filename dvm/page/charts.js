// Charts as SVG. Each is a figure that a screen reader hears as one sentence, with its numbers as
// a table below.

import { h, s, number, table } from "./dom.js";

// As wide as there is room when it is drawn, so that text has the size of text.
const room = () => Math.min(1080, Math.max(280, document.getElementById("main").clientWidth - 64));
const HEIGHT = 220;
const LEFT = 48;
const BOTTOM = 24;
const TOP = 8;

function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].map((step) => step * power).find((step) => step >= value);
}

const tick = (value) =>
  new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 }).format(value);

function axes(width, top, labels, x) {
  const lines = [0, 0.5, 1].map((part) => {
    const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - part);
    return [
      s("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }),
      s("text", { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, tick(top * part)),
    ];
  });
  const every = Math.max(1, Math.ceil(labels.length / Math.min(8, width / 85)));
  const names = labels.map((label, n) =>
    n % every === 0 && s("text", { class: "tick", x: x(n), y: HEIGHT - 6, "text-anchor": "middle" }, label));
  return [lines, names];
}

function figure(width, title, sentence, legend, drawing, data) {
  const svg = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", class: "chart", "aria-label": `${title}. ${sentence}` }, drawing);
  return h("figure", {},
    h("figcaption", {}, title),
    legend,
    svg,
    h("details", {}, h("summary", {}, `Numbers: ${title}`), data));
}

const legendOf = (series) => h("ul", { class: "legend", "aria-hidden": "true" },
  series.map((one) => h("li", {}, s("svg", { viewBox: "0 0 10 10", class: "key" },
    s("rect", { width: 10, height: 10, rx: 2, class: one.class })), one.text)));

/** Bars in stacks: `rows` from left to right, `series` of {name, text, class} from below. */
export function stacks(title, rows, label, series) {
  const width = room();
  const sum = (row) => series.reduce((all, one) => all + (row[one.name] || 0), 0);
  const most = Math.max(0, ...rows.map(sum));
  const top = ceiling(most);
  const step = (width - LEFT) / Math.max(1, rows.length);
  const x = (n) => LEFT + step * (n + 0.5);
  const high = (value) => ((HEIGHT - TOP - BOTTOM) * value) / top;
  const bars = rows.map((row, n) => {
    let below = HEIGHT - BOTTOM;
    const parts = series.map((one) => {
      const height = high(row[one.name] || 0);
      below -= height;
      return height > 0 && s("rect", { class: one.class, x: x(n) - step * 0.4, y: below, width: step * 0.8, height });
    });
    const said = series.map((one) => `${one.text} ${number(row[one.name] || 0)}`).join(", ");
    return s("g", {}, s("title", {}, `${label(row)}: ${said}`), parts);
  });
  const total = rows.reduce((all, row) => all + sum(row), 0);
  const peak = rows.find((row) => sum(row) === most);
  const sentence = rows.length === 0 ? "No data." :
    `${number(total)} in all from ${label(rows[0])} to ${label(rows.at(-1))}, most on ${label(peak)} with ${number(most)}.`;
  const data = table(title, ["Day (UTC)", ...series.map((one) => ({ text: one.text, class: "n" })), { text: "All", class: "n" }],
    rows.map((row) => h("tr", {}, h("th", { scope: "row" }, label(row)),
      series.map((one) => h("td", { class: "n" }, number(row[one.name] || 0))),
      h("td", { class: "n" }, number(sum(row))))));
  return figure(width, title, sentence, legendOf(series), [axes(width, top, rows.map(label), x), bars], data);
}

/**
 * Lines over time: `rows` of {at, …}, one a bucket. A line breaks where a value is null, and where
 * nobody looked. `span` is the stretch that is shown: {from, to, bucket}.
 */
export function lines(title, rows, label, series, span, unit) {
  const width = room();
  const values = rows.flatMap((row) => series.map((one) => row[one.name])).filter((value) => value !== null);
  const top = ceiling(Math.max(0, ...values));
  const wide = Math.max(1, span.to - span.from);
  const x = (at) => LEFT + 6 + ((width - LEFT - 12) * (at - span.from)) / wide;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const drawn = series.map((one) => {
    const known = rows.filter((row) => row[one.name] !== null && row.at >= span.from);
    const dots = known.length <= 60 && known.map((row) =>
      s("circle", { class: `dot ${one.class}`, cx: x(row.at), cy: y(row[one.name]), r: 2.5 },
        s("title", {}, `${label(row)}: ${one.text} ${number(row[one.name])} ${unit}`)));
    return [s("path", { class: `line ${one.class}`, d: path(rows, one.name, span, x, y) }), dots];
  });
  const labels = Array.from({ length: 6 }, (_, n) => span.from + (wide * n) / 5);
  const names = axes(width, top, labels.map((at) => label({ at })), (n) => Math.min(x(labels[n]), width - 22));
  const sentence = values.length === 0 ? "No measurements." : series.map((one) => {
    const own = rows.map((row) => row[one.name]).filter((value) => value !== null);
    return own.length === 0 ? `${one.text}: none` :
      `${one.text}: ${number(Math.min(...own))} to ${number(Math.max(...own))} ${unit}`;
  }).join("; ") + ".";
  const data = table(title, ["Time", ...series.map((one) => ({ text: `${one.text} (${unit})`, class: "n" }))],
    rows.map((row) => h("tr", {}, h("th", { scope: "row" }, label(row)),
      series.map((one) => h("td", { class: "n" }, number(row[one.name]))))));
  return figure(width, title, sentence, legendOf(series), [names, drawn], data);
}

function path(rows, name, span, x, y) {
  let last = null;
  let text = "";
  for (const row of rows) {
    const known = row[name] !== null && row.at >= span.from;
    const joined = last !== null && row.at - last <= span.bucket * 2;
    if (known) text += `${joined ? "L" : "M"}${x(row.at).toFixed(1)} ${y(row[name]).toFixed(1)}`;
    last = known ? row.at : null;
  }
  return text;
}

/** Checks in time as coloured marks: online, partly, offline. */
export function uptime(title, rows, label, span) {
  const width = room();
  const wide = Math.max(1, span.to - span.from);
  const x = (at) => ((width - 2) * (at - span.from)) / wide;
  const marks = rows.filter((row) => row.at + span.bucket > span.from).map((row) => {
    const share = row.online / row.checks;
    const kind = share === 1 ? "good" : share === 0 ? "bad" : "part";
    const from = Math.max(0, x(row.at));
    return s("rect", { class: kind, x: from, y: kind === "bad" ? 14 : 2, width: Math.max(2, x(row.at + span.bucket) - from - 0.5), height: kind === "bad" ? 12 : 24 },
      s("title", {}, `${label(row)}: ${row.online} of ${row.checks} checks found it online`));
  });
  const checks = rows.reduce((all, row) => all + row.checks, 0);
  const online = rows.reduce((all, row) => all + row.online, 0);
  const share = checks === 0 ? "not checked" : `${((100 * online) / checks).toFixed(1)} % of ${number(checks)} check${checks === 1 ? "" : "s"}`;
  return h("figure", {},
    h("figcaption", {}, title, " ", h("strong", {}, share)),
    s("svg", { viewBox: `0 0 ${width} 28`, role: "img", class: "chart strip", "aria-label": `${title}: online in ${share}` },
      s("rect", { class: "empty", width, height: 28 }), marks),
    h("details", {}, h("summary", {}, `Numbers: ${title}`),
      table(title, ["Time", { text: "Checks", class: "n" }, { text: "Online", class: "n" }],
        rows.map((row) => h("tr", {}, h("th", { scope: "row" }, label(row)),
          [row.checks, row.online].map((value) => h("td", { class: "n" }, number(value))))))));
}

/** A line the size of a word, with its sense in words. */
export function spark(values) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return h("span", { class: "soft" }, "–");
  const top = Math.max(...known, 1);
  const x = (n) => (values.length < 2 ? 40 : 2 + (76 * n) / (values.length - 1));
  const y = (value) => 18 - (16 * value) / top;
  const rows = values.map((value, at) => ({ at, value }));
  const text = `${number(Math.min(...known))} to ${number(Math.max(...known))} ms, last ${number(known.at(-1))} ms`;
  return h("span", { title: text },
    s("svg", { viewBox: "0 0 80 20", class: "spark", "aria-hidden": "true" },
      s("path", { class: "line c1", d: path(rows, "value", { from: 0, bucket: 1 }, x, y) }),
      s("circle", { class: "dot c1", cx: x(values.findLastIndex((value) => value !== null)), cy: y(known.at(-1)), r: 2 })),
    h("span", { class: "hidden" }, text));
}

/** Names with bars and numbers: a table that is its own chart. `rows` of {name, value, online?}. */
export function bars(title, columns, rows) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  const body = rows.map((row) => h("tr", {},
    h("th", { scope: "row" }, row.name),
    h("td", { class: "bar", "aria-hidden": "true" },
      s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
        s("rect", { class: row.part === undefined ? "c1" : "c1 pale", width: (100 * row.value) / most, height: 10 }),
        row.part !== undefined && s("rect", { class: "c1", width: (100 * row.part) / most, height: 10 }))),
    h("td", { class: "n" }, number(row.value)),
    row.part !== undefined && h("td", { class: "n" }, number(row.part))));
  return h("table", { class: "bars" },
    h("caption", {}, title),
    h("thead", {}, h("tr", {},
      h("th", { scope: "col" }, columns[0]),
      h("td", { "aria-hidden": "true" }),
      columns.slice(1).map((column) => h("th", { scope: "col", class: "n" }, column)))),
    h("tbody", {}, body.length > 0 ? body : h("tr", {}, h("td", { colspan: 4, class: "soft" }, "Nothing yet."))));
}
