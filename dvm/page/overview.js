// The network at a glance.

import { get } from "./api.js";
import { bars, stacks } from "./charts.js";
import { add, failure, fill, h, number, said, short, time, utcDay, waiting } from "./dom.js";

const CLASSES = [
  { name: "regular", text: "Regular", class: "c1" },
  { name: "replaceable", text: "Replaceable", class: "c2" },
  { name: "addressable", text: "Addressable", class: "c3" },
  { name: "ephemeral", text: "Ephemeral", class: "c4" },
];

const DAY = 86_400;

const tile = (name, value, note) => h("div", { class: "tile" },
  h("dt", {}, name), h("dd", {}, h("strong", { title: number(value) }, short(value)), note && h("small", {}, note)));

/** A part of the view that loads and fails by itself. */
function part(parent, what, load) {
  const section = h("section", { class: "panel" }, waiting(what));
  parent.append(section);
  const run = () => {
    fill(section, waiting(what));
    return load().then((content) => fill(section, content), (error) => fill(section, failure(error, run)));
  };
  return run();
}

async function tiles() {
  const [all, day, networks] = await Promise.all([
    get("v1/events/stats", { window: "all" }),
    get("v1/events/stats", { window: "24h" }),
    get("v1/networks"),
  ]);
  const sum = (name) => networks.data.reduce((total, row) => total + row[name], 0);
  return [
    h("h2", { class: "hidden" }, "In numbers"),
    h("dl", { class: "tiles" },
      tile("Events", all.data.events, `${short(day.data.events)} in 24 h`),
      tile("Pubkeys", all.data.pubkeys, `${short(day.data.pubkeys)} in 24 h`),
      tile("Kinds", all.data.kinds, `${short(day.data.kinds)} in 24 h`),
      tile("Relays", sum("relays"), `${short(sum("online"))} online`)),
    h("p", { class: "soft" }, "As of ", time(all.meta.as_of)),
  ];
}

async function series() {
  const answer = await get("v1/events/series", { window: "30d", bucket: "day", limit: 31 });
  const known = new Map(answer.data.map((row) => [row.at, row]));
  const last = answer.meta.as_of - (answer.meta.as_of % DAY);
  // Days without events are no rows.
  const days = Array.from({ length: 30 }, (_, n) => last - (29 - n) * DAY);
  const rows = days.map((at) => known.get(at) ?? { at });
  return stacks("Events per day by class", rows, (row) => utcDay(row.at), CLASSES);
}

const filtered = (name, value, text) =>
  h("a", { href: `#/relays?${new URLSearchParams({ [name]: value })}` }, text);

async function list(title, path, params, name, most, row) {
  const answer = await get(path, { ...params, limit: most });
  const rows = answer.data.map(row);
  return [bars(title, [name, "Relays", "Online"], rows),
    answer.meta.next && h("p", { class: "soft" }, `The first ${rows.length}.`)];
}

const counted = (parameter, column, text) => (row) => ({
  name: filtered(parameter, row[column], text(row[column])),
  value: row.relays,
  part: row.online,
});

export async function overview({ body, heading }) {
  heading.textContent = "What this observatory sees";
  part(body, "numbers", tiles);
  part(body, "events", series);
  const grid = h("div", { class: "columns" });
  add(body, [grid]);
  part(grid, "networks", () => list("Relays by network", "v1/networks", {}, "Network", 10,
    counted("network", "network", said)));
  part(grid, "software", () => list("Software", "v1/software", {}, "Software", 12,
    counted("software", "software", (name) => said(bare(name), 40))));
  part(grid, "NIPs", () => list("NIPs that relays list", "v1/nips", { sort: "relays" }, "NIP", 16,
    counted("nip", "nip", (nip) => `NIP-${String(nip).padStart(2, "0")}`)));
  part(grid, "countries", () => list("Countries", "v1/countries", {}, "Country", 12,
    counted("country", "country", said)));
  part(grid, "kinds", async () => {
    const answer = await get("v1/kinds", { window: "all", limit: 12 });
    return bars("Kinds with most events", ["Kind", "Events"],
      answer.data.map((row) => ({ name: `Kind ${row.kind}`, value: row.events })));
  });
}

/** Where software is named by its repository, the name is enough. */
export const bare = (text) => String(text).replace(/^(git\+)?https?:\/\/(www\.)?(github\.com\/)?/, "").replace(/(\.git)?\/?$/, "");
