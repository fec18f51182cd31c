// Making elements. Text goes in as text, never as markup: most of it comes from strangers.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

/** Appends nodes and text; leaves out what is nothing. */
export function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An HTML element; attributes that are functions are listeners. */
export const h = (name, attributes, ...children) =>
  build(document.createElement(name), attributes, children);

/** An SVG element. */
export const s = (name, attributes, ...children) =>
  build(document.createElementNS(SVG, name), attributes, children);

/** Puts children in the place of what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

/** A stranger's text, at most so long, in its own direction, on one line. */
export function said(text, most = 120) {
  const whole = String(text ?? "");
  const points = Array.from(whole.slice(0, most * 2 + 2));
  const short = points.length > most ? points.slice(0, most).join("") + "…" : whole;
  return h("bdi", { class: "said", title: short === whole ? null : whole.slice(0, 2000) }, short);
}

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export const number = (value) => (isNumber(value) ? whole.format(value) : "–");
export const brief = (value) => (isNumber(value) ? compact.format(value) : "–");
/** A number that fits a headline. */
export const short = (value) => (value < 1e6 ? number(value) : brief(value));
export const ms = (value) => (isNumber(value) ? `${whole.format(value)} ms` : "–");

// A Date holds ±8.64e15 ms; archived times go further.
const isTime = (seconds) => isNumber(seconds) && Math.abs(seconds) <= 8.64e12;

export const utcDay = (seconds) => (isTime(seconds) ? day.format(seconds * 1000) : "–");

/** A moment, readable and exact. */
export function time(seconds) {
  if (!isTime(seconds)) return h("span", {}, seconds === null || seconds === undefined ? "–" : String(seconds));
  const date = new Date(seconds * 1000);
  return h("time", { datetime: date.toISOString() }, moment.format(date));
}

/** What is waited for, said to screen readers too. */
export const waiting = (what) => h("p", { class: "waiting", role: "status" }, `Loading ${what}…`);

/** What went wrong, and a way to try again. */
export function failure(error, again) {
  return h("div", { class: "failure", role: "alert" },
    h("p", {}, error?.message ?? String(error)),
    again && h("button", { type: "button", click: again }, "Try again"));
}

/** A table with a caption; `columns` are texts or {text, class}. */
export function table(caption, columns, rows, attributes = {}) {
  const head = columns.map((column) =>
    h("th", { scope: "col", class: column.class }, column.text ?? column));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", attributes,
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows)));
}
