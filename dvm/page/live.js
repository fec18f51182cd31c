// Reports about relays as they are published: this page is a Nostr client of the node's relay.

import { get } from "./api.js";
import { fill, h, ms, number, said, time } from "./dom.js";
import { connect, isValid, tagValue, unreachable } from "./nostr.js";
import { bare } from "./overview.js";
import { relayLink } from "./relays.js";

const REPORT = 30166;
const STORED = 40;
const MOST_ROWS = 200;
const MOST_PAUSED = 500;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

const COLUMNS = [
  { text: "Time" },
  { text: "Relay" },
  { text: "Network", class: "wide" },
  { text: "Open", class: "n" },
  { text: "Read", class: "n" },
  { text: "Write", class: "n wide" },
  { text: "Software", class: "wide" },
  { text: "Monitor", class: "wide" },
];

/** A round-trip time as its tag writes it, if it is one. */
function rtt(event, name) {
  const value = Number(tagValue(event, name) ?? NaN);
  return ms(Number.isFinite(value) ? value : null);
}

function line(event, isNew) {
  const relay = tagValue(event, "d") ?? "";
  return h("tr", { class: isNew ? "new" : null },
    h("td", {}, time(event.created_at)),
    h("th", { scope: "row" }, /^wss?:\/\//.test(relay) ? relayLink(relay) : said(relay, 70)),
    h("td", { class: "wide" }, said(tagValue(event, "n") ?? "–", 20)),
    h("td", { class: "n" }, rtt(event, "rtt-open")),
    h("td", { class: "n" }, rtt(event, "rtt-read")),
    h("td", { class: "n wide" }, rtt(event, "rtt-write")),
    h("td", { class: "wide" }, said(bare(tagValue(event, "s") ?? "–"), 40)),
    h("td", { class: "wide" }, h("code", { title: event.pubkey }, event.pubkey.slice(0, 8))));
}

export async function live({ body }) {
  const node = await get("node.json");
  if (!node.relay_url) {
    fill(body, h("p", {}, "This node does not say where its relay is."));
    return;
  }
  const state = { rows: [], waiting: [], seen: new Set(), refused: 0, paused: false, left: false, stored: true, retry: FIRST_RETRY_MS };
  const status = h("p", { role: "status" }, "Connecting…");
  const count = h("p", { class: "soft" });
  const rows = h("tbody", {});
  const pause = h("button", { type: "button", "aria-pressed": "false", click: () => toggle() }, "Pause");
  fill(body,
    h("p", {}, "NIP-66 reports (kind 30166), straight from the relay at ", h("code", {}, node.relay_url),
      ". Each is verified here, in the browser, before it is shown."),
    h("div", { class: "between" }, status, pause), count,
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Reports" },
      h("table", {}, h("caption", {}, "Reports, newest first"),
        h("thead", {}, h("tr", {}, COLUMNS.map((column) =>
          h("th", { scope: "col", class: column.class }, column.text)))),
        rows)));

  const show = (event, isNew) => {
    const row = line(event, isNew);
    const place = state.rows.findIndex((other) => other.at <= event.created_at);
    const before = place < 0 ? null : state.rows[place].row;
    rows.insertBefore(row, before);
    state.rows.splice(place < 0 ? state.rows.length : place, 0, { at: event.created_at, row });
    for (const old of state.rows.splice(MOST_ROWS)) old.row.remove();
  };

  const told = () => {
    const held = state.waiting.length > 0 ? `, ${number(state.waiting.length)} waiting` : "";
    const bad = state.refused > 0 ? `, ${number(state.refused)} refused (wrong signature or not asked for)` : "";
    count.textContent = `${number(state.seen.size)} reports received${held}${bad}.`;
  };

  const take = (event) => {
    if (event?.kind !== REPORT || !isValid(event)) {
      state.refused += 1;
      return told();
    }
    if (state.seen.has(event.id)) return;
    if (state.seen.size >= 20_000) state.seen.clear();
    state.seen.add(event.id);
    if (!state.paused) show(event, !state.stored);
    else if (state.waiting.push(event) > MOST_PAUSED) state.waiting.shift();
    told();
  };

  const toggle = () => {
    state.paused = !state.paused;
    pause.setAttribute("aria-pressed", String(state.paused));
    for (const event of state.paused ? [] : state.waiting.splice(0)) show(event, true);
    told();
  };

  let connection = null;
  let timer = null;
  const open = () => {
    state.stored = true;
    connection = connect(node.relay_url, {
      opened: () => {
        state.retry = FIRST_RETRY_MS;
        status.textContent = "Connected; waiting for reports.";
        connection.send("REQ", "reports", { kinds: [REPORT], limit: STORED });
      },
      heard: ([word, id, value]) => {
        if (word === "EVENT" && id === "reports") take(value);
        if (word === "EOSE" && id === "reports") {
          state.stored = false;
          status.textContent = "Connected: new reports appear as they are published.";
        }
        if (word === "CLOSED" && id === "reports") fill(status, "The relay ended the subscription: ", said(value, 200));
      },
      closed: () => {
        if (state.left) return;
        status.textContent = `${unreachable(node.relay_url)} Trying again in ${state.retry / 1000} s.`;
        timer = setTimeout(open, state.retry);
        state.retry = Math.min(state.retry * 2, LAST_RETRY_MS);
      },
    });
  };
  open();
  return () => {
    state.left = true;
    clearTimeout(timer);
    connection?.close();
  };
}
