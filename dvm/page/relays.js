// All relays: filtered by the server, sorted and searched here.

import { get, getLater } from "./api.js";
import { spark } from "./charts.js";
import { brief, failure, fill, h, ms, number, said, waiting } from "./dom.js";
import { bare } from "./overview.js";

const PAGE = 50;
const CHECKS = 50;
const PER_REQUEST = 1000;
// More than the network has ever had; a browser holds them easily.
const MOST = 20_000;

const COLUMNS = [
  { name: "url", text: "Relay" },
  { name: "status", text: "Status" },
  { name: "network", text: "Network", class: "wide" },
  { name: "country", text: "Country", class: "wide" },
  { name: "software", text: "Software", class: "wide" },
  { name: "rtt_open_ms", text: "Open", class: "n", number: true },
  { name: "rtt_read_ms", text: "Read", class: "n wide", number: true },
  { name: null, text: `Last ${CHECKS} checks`, class: "wide" },
  { name: "events", text: "Events", class: "n", number: true, falling: true },
  { name: "pubkeys", text: "Pubkeys", class: "n wide", number: true, falling: true },
];

// Half a character cannot be encoded.
const encoded = (text) => encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\uFFFD"));

export const relayLink = (url) => h("a", { href: `#/relay/${encoded(url)}` }, said(url, 70));

export const status = (word) =>
  h("span", { class: `status ${["online", "offline"].includes(word) ? word : "unknown"}` }, word);

function compare(column, falling) {
  const sign = falling ? -1 : 1;
  return (a, b) => {
    const [x, y] = [a[column.name], b[column.name]];
    // What is not known comes last, either way.
    if (x === null || y === null || x === undefined || y === undefined) {
      return Number(x === null || x === undefined) - Number(y === null || y === undefined);
    }
    return sign * (column.number ? x - y : String(x).localeCompare(String(y), "en"));
  };
}

/** Round-trip times of the last checks within 30 days, oldest first; null where there is none. */
async function readTimes(url, wanted) {
  const path = `v1/relays/${encodeURIComponent(url)}/history`;
  const answer = await getLater(path, { window: "30d", limit: CHECKS }, wanted);
  return answer && answer.data.map((row) => row.rtt_read_ms ?? row.rtt_open_ms).reverse();
}

function field(label, control) {
  return h("label", {}, h("span", {}, label), control);
}

const choice = (name, words, value) => h("select", { name },
  h("option", { value: "" }, "all"),
  words.map((word) => h("option", { value: word, selected: word === value }, word)));

function filterForm(params) {
  const text = (name, attributes) =>
    h("input", { name, value: params.get(name) ?? "", autocomplete: "off", ...attributes });
  return h("form", { class: "filters", role: "search", "aria-label": "Relays" },
    field("Search", text("q", { type: "search", placeholder: "part of URL or name" })),
    field("Status", choice("status", ["online", "offline", "unknown"], params.get("status"))),
    field("Network", choice("network", ["clearnet", "tor", "i2p", "loki"], params.get("network"))),
    field("Country", text("country", { size: 4, maxlength: 2, pattern: "[A-Za-z]{2}", placeholder: "DE", list: "countries" })),
    field("NIP", text("nip", { type: "number", min: 1, max: 65535 })),
    field("Software", text("software", { list: "software", placeholder: "exact name" })),
    h("datalist", { id: "software" }), h("datalist", { id: "countries" }));
}

export async function relays({ body, params, here }) {
  const state = { rows: [], sort: COLUMNS.find((column) => column.name === "events"), falling: true, page: 0, load: 0, note: "" };
  const form = filterForm(params);
  const count = h("p", { role: "status" });
  const holder = h("div", {});
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the table" });
  fill(body, form, count, holder, pager);
  const filters = () => Object.fromEntries(
    [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== ""));

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      seen.unobserve(entry.target);
      const cell = entry.target;
      readTimes(cell.dataset.url, () => here() && cell.isConnected)
        .then((values) => values && fill(cell, spark(values)), () => fill(cell, "–"));
    }
  });

  const matching = () => {
    const words = (filters().q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => `${row.url} ${row.name ?? ""}`.toLowerCase();
    return state.rows.filter((row) => words.every((word) => text(row).includes(word)));
  };

  const line = (row) => {
    const sparkline = h("td", { class: "wide" });
    sparkline.dataset.url = row.url;
    if (row.checked_at !== null) seen.observe(sparkline);
    else fill(sparkline, "–");
    return h("tr", {},
      h("th", { scope: "row" }, relayLink(row.url), row.name && h("small", {}, said(row.name, 60))),
      h("td", {}, status(row.status)),
      h("td", { class: "wide" }, row.network),
      h("td", { class: "wide" }, row.country ?? "–"),
      h("td", { class: "wide name" }, row.software ? said(bare(row.software), 40) : "–",
        row.version && h("small", {}, said(row.version, 20))),
      h("td", { class: "n" }, ms(row.rtt_open_ms)),
      h("td", { class: "n wide" }, ms(row.rtt_read_ms)),
      sparkline,
      h("td", { class: "n", title: number(row.events) }, brief(row.events)),
      h("td", { class: "n wide", title: number(row.pubkeys) }, brief(row.pubkeys)));
  };

  const sortBy = (column) => {
    if (state.sort === column) state.falling = !state.falling;
    else [state.sort, state.falling] = [column, Boolean(column.falling)];
    state.page = 0;
    draw();
    holder.querySelector(`[data-column="${column.name}"]`)?.focus();
  };

  const head = (column) => {
    if (!column.name) return h("th", { scope: "col", class: column.class }, column.text);
    const order = state.sort === column ? (state.falling ? "descending" : "ascending") : "none";
    const button = h("button", { type: "button", class: "sort", click: () => sortBy(column) }, column.text,
      h("span", { "aria-hidden": "true" }, { descending: " ▼", ascending: " ▲", none: "" }[order]));
    button.dataset.column = column.name;
    return h("th", { scope: "col", class: column.class, "aria-sort": order }, button);
  };

  const turn = (page) => {
    state.page = page;
    draw();
    holder.querySelector(".scroll").focus();
    holder.scrollIntoView();
  };

  const draw = () => {
    seen.disconnect();
    const found = matching().sort(compare(state.sort, state.falling));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const rows = found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    count.textContent = `${number(found.length)} relays${state.note}`;
    fill(holder, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Relays" },
      h("table", { class: "relays" },
        h("caption", {}, `Relays, sorted by ${state.sort.text.toLowerCase()}`),
        h("thead", {}, h("tr", {}, COLUMNS.map(head))),
        h("tbody", {}, rows.length > 0 ? rows.map(line) :
          h("tr", {}, h("td", { colspan: COLUMNS.length }, "No relay is like that."))))));
    fill(pager, pages > 1 && [
      h("button", { type: "button", disabled: state.page === 0, click: () => turn(state.page - 1) }, "Previous"),
      h("span", {}, `Page ${state.page + 1} of ${pages}`),
      h("button", { type: "button", disabled: state.page === pages - 1, click: () => turn(state.page + 1) }, "Next"),
    ]);
  };

  const load = async () => {
    const number = ++state.load;
    const current = () => here() && number === state.load;
    const { q, ...wanted } = filters();
    [state.rows, state.page, state.note] = [[], 0, ""];
    fill(holder, waiting("relays"));
    fill(pager);
    try {
      let cursor = null;
      do {
        const answer = await get("v1/relays", { ...wanted, limit: PER_REQUEST, cursor });
        if (!current()) return;
        cursor = answer.meta.next;
        state.rows.push(...answer.data);
        state.note = !cursor ? "" : state.rows.length >= MOST ? ", those with most events; there are more" : ", more are coming";
        draw();
      } while (cursor && state.rows.length < MOST);
    } catch (error) {
      if (current()) fill(holder, failure(error, load));
    }
  };

  const remember = () => {
    const query = new URLSearchParams(filters()).toString();
    history.replaceState(null, "", `#/relays${query && `?${query}`}`);
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name !== "q") return;
    remember();
    state.page = 0;
    if (state.rows.length > 0) draw();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "q" || !form.reportValidity()) return;
    remember();
    load();
  });
  suggest(form);
  load();
  return () => seen.disconnect();
}

/** Fills the lists of suggestions; without them the form works too. */
function suggest(form) {
  const offer = (path, list, name) => getLater(path, { limit: 300 }).then((answer) =>
    fill(form.querySelector(`#${list}`), answer.data.map((row) => h("option", { value: row[name] }))), () => {});
  offer("v1/software", "software", "software");
  offer("v1/countries", "countries", "country");
}
