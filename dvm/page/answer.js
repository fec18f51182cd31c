// An answer as people read it: a table where it is one, and the JSON below.

import { h, said, table } from "./dom.js";

const MOST_ROWS = 200;
const MOST_CHARACTERS = 200_000;

const isFlat = (row) => typeof row === "object" && row !== null && !Array.isArray(row);

function cell(value) {
  if (value === null || value === undefined) return h("td", {}, "–");
  if (typeof value === "number") return h("td", { class: "n" }, String(value));
  return h("td", {}, said(typeof value === "object" ? JSON.stringify(value) : value, 80));
}

const isCount = (rows, name) =>
  rows.slice(0, MOST_ROWS).every((row) => row[name] === null || row[name] === undefined || typeof row[name] === "number");

/** Shows the text of an answer; `open` is whether the JSON is unfolded. */
export function shown(text, open = false) {
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    return h("pre", { tabindex: 0 }, text.slice(0, MOST_CHARACTERS));
  }
  const data = parsed?.data;
  const rows = (Array.isArray(data) ? data : isFlat(data) ? [data] : []).filter(isFlat);
  const columns = [...new Set(rows.slice(0, 50).flatMap(Object.keys))].slice(0, 30);
  const caption = `${rows.length === 1 ? "1 row" : `${rows.length} rows`}${rows.length > MOST_ROWS ? `, the first ${MOST_ROWS} shown` : ""}`;
  const pretty = JSON.stringify(parsed, null, 2);
  return [
    rows.length > 0 && table(caption, columns.map((name) => ({ text: said(name, 40), class: isCount(rows, name) ? "n" : null })), rows.slice(0, MOST_ROWS).map((row) =>
      h("tr", {}, columns.map((name) => cell(row[name]))))),
    h("details", { open: open || rows.length === 0 }, h("summary", {}, "JSON"),
      h("pre", { tabindex: 0 }, pretty.slice(0, MOST_CHARACTERS))),
  ];
}
