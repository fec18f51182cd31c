// One relay: what it says of itself, how it was found at every check, what the archive has of it.

import { get } from "./api.js";
import { bars, lines, uptime } from "./charts.js";
import { failure, fill, h, ms, number, said, table, time, utcDay, waiting } from "./dom.js";
import { bare } from "./overview.js";
import { status } from "./relays.js";

const WINDOWS = { "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };

const RTT = [
  { name: "rtt_open_ms", text: "Open", class: "c1" },
  { name: "rtt_read_ms", text: "Read", class: "c2" },
  { name: "rtt_write_ms", text: "Write", class: "c3" },
];

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value ?? "–"));

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** A field of somebody's document, if it is text at all. */
const textOf = (document, name) =>
  (isObject(document) && typeof document[name] === "string" && document[name].trim()) || null;

const raw = (name, document) => document !== null && document !== undefined &&
  h("details", {}, h("summary", {}, name), h("pre", { tabindex: 0 }, JSON.stringify(document, null, 2).slice(0, 200_000)));

function facts(row) {
  const average = row.average_of_last_10 ?? {};
  const nips = isObject(row.nip11) && Array.isArray(row.nip11.supported_nips)
    ? row.nip11.supported_nips.filter(Number.isInteger).slice(0, 100).join(", ") : null;
  return h("dl", { class: "facts" },
    fact("Status", status(row.status)),
    fact("Network", row.network),
    fact("Country", row.country),
    fact("Last check", time(row.checked_at)),
    fact("Known since", time(row.discovered_at)),
    fact("Open / read / write", `${ms(row.rtt_open_ms)} / ${ms(row.rtt_read_ms)} / ${ms(row.rtt_write_ms)}`),
    fact(`Average of the last checks (${number(average.checks)})`, `${ms(average.rtt_open_ms)} / ${ms(average.rtt_read_ms)} / ${ms(average.rtt_write_ms)}`),
    fact("Software", textOf(row.nip11, "software") && said(bare(textOf(row.nip11, "software")), 80)),
    fact("Version", textOf(row.nip11, "version") && said(textOf(row.nip11, "version"), 40)),
    fact("NIPs it lists", nips || null),
    fact("Operator", textOf(row.nip11, "pubkey") && said(textOf(row.nip11, "pubkey"), 64)),
    fact("Contact", textOf(row.nip11, "contact") && said(textOf(row.nip11, "contact"), 100)));
}

const STATUSES = {
  syncing: "being archived",
  live: "followed live",
  caught_up: "caught up",
  waiting: "waiting for its turn",
  failing: "failing",
  put_aside: "put aside",
};

const CAUSES = {
  crowded: "more events in one second than it gives",
  invalid: "wrong ids or signatures",
  too_large: "events that are too large",
};

const words = (text) => (typeof text === "string" ? said(text.replaceAll("_", " "), 60) : null);

/** How long something will take, roughly. */
function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return null;
  const [size, unit] = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => seconds >= size) ?? [1, "second"];
  const amount = Math.round(seconds / size);
  return `about ${number(amount)} ${unit}${amount === 1 ? "" : "s"}`;
}

/** From 0 means: from the beginning. */
const beginning = (seconds) => (seconds === 0 ? "the beginning" : time(seconds));

function progress(coverage) {
  const standing = STATUSES[coverage.status] ?? words(coverage.status);
  const scanning = typeof coverage.scan_at === "number";
  return [
    fact("Archiving", coverage.status === "put_aside" && coverage.put_aside
      ? [standing, ": ", words(coverage.put_aside)] : standing),
    coverage.method && fact("Method", coverage.method === "negentropy" ? "reconciliation (NIP-77)" : words(coverage.method)),
    fact("Archived from", beginning(coverage.from)),
    fact("Archived to", time(coverage.to)),
    scanning && fact("Scan under way", [time(coverage.scan_top), " back to ", time(coverage.scan_at)]),
    scanning && coverage.eta_seconds !== null && fact("Time left", duration(coverage.eta_seconds)),
    coverage.live_since && fact("Followed since", time(coverage.live_since)),
    coverage.caught_up_at && fact("Caught up at", time(coverage.caught_up_at)),
    fact("New to the archive", number(coverage.new_events)),
    fact("Known before", [number(coverage.known_events), ", of them ", number(coverage.linked_events), " not downloaded"]),
    fact("Refused events", number(coverage.refused_events)),
    fact("Promised and not given", number(coverage.missing_events)),
    fact("Gaps", number(coverage.gaps)),
    coverage.negentropy_refusal && fact("Does not reconcile", said(coverage.negentropy_refusal, 200)),
    coverage.failures > 0 && fact("Failures in a row", number(coverage.failures)),
    coverage.last_error && fact("Last trouble", said(coverage.last_error, 200)),
  ];
}

function archive(row) {
  const coverage = row.coverage;
  return [
    h("dl", { class: "facts" },
      fact("Events", number(row.events)),
      fact("Pubkeys", number(row.pubkeys)),
      fact("Kinds", number(row.kinds)),
      fact("First event", time(row.first_at)),
      fact("Last event", time(row.last_at))),
    coverage && [
      h("h3", {}, "How far it is archived"),
      h("dl", { class: "facts" }, progress(coverage)),
      counted("Refused, by reason", "Reason", coverage.refusals),
      gaps(coverage),
    ],
  ];
}

function counted(caption, column, counts) {
  const rows = Object.entries(isObject(counts) ? counts : {});
  return rows.length > 0 && table(caption, [column, { text: "Events", class: "n" }], rows.map(([name, count]) =>
    h("tr", {}, h("th", { scope: "row" }, words(name)), h("td", { class: "n" }, number(count)))));
}

function gaps(coverage) {
  const rows = Array.isArray(coverage.gap_list) ? coverage.gap_list : [];
  if (rows.length === 0) return null;
  const caption = rows.length < coverage.gaps
    ? `Gaps: the latest ${number(rows.length)} of ${number(coverage.gaps)}` : "Gaps: what could not be archived yet";
  return h("details", { open: rows.length <= 10 }, h("summary", {}, caption),
    table(caption, ["From", "To", "Cause", "Found"], rows.map((gap) => h("tr", {},
      h("th", { scope: "row" }, time(gap.since)),
      h("td", {}, time(gap.until)),
      h("td", {}, CAUSES[gap.cause] ?? words(gap.cause)),
      h("td", {}, time(gap.found_at))))));
}

export async function relay({ body, heading, argument, here }) {
  fill(heading, said(argument, 200));
  fill(body, waiting("the relay"));
  const path = `v1/relays/${encodeURIComponent(argument)}`;
  let answer;
  try {
    answer = await get(path);
  } catch (error) {
    if (error.status !== 404 && error.status !== 400) throw error;
    fill(body, h("p", { role: "alert" }, error.message), h("p", {}, h("a", { href: "#/relays" }, "All relays")));
    return;
  }
  if (!here()) return;
  const row = answer.data;
  const name = textOf(row.nip11, "name");
  const about = textOf(row.nip11, "description");
  const history = h("section", { class: "panel" });
  const kinds = h("section", { class: "panel" });
  fill(body,
    (name || about) && h("div", { class: "lead" },
      name && h("p", {}, h("strong", {}, said(name, 200))),
      about && h("p", {}, said(about, 1000))),
    h("section", { class: "panel" }, h("h2", {}, "As it was found"), facts(row)),
    history,
    h("section", { class: "panel" }, h("h2", {}, "In the archive"), archive(row)),
    kinds,
    h("section", { class: "panel" }, h("h2", {}, "Documents"),
      raw("NIP-11: what the relay says", row.nip11),
      raw("NIP-66: what the check found", row.nip66),
      !row.nip11 && !row.nip66 && h("p", { class: "soft" }, "None yet.")),
    h("p", { class: "soft" }, "As of ", time(answer.meta.as_of)));
  showHistory(history, path, here);
  showKinds(kinds, path, here);
}

function showHistory(section, path, here) {
  const charts = h("div", {});
  const select = h("select", { change: () => draw() },
    Object.keys(WINDOWS).map((window) => h("option", { selected: window === "7d" }, window)));
  fill(section, h("div", { class: "between" }, h("h2", {}, "History"),
    h("label", {}, h("span", {}, "Stretch of time"), select)), charts);

  const draw = async () => {
    const window = select.value;
    fill(charts, waiting("checks"));
    try {
      const bucket = window === "30d" ? "day" : "hour";
      const [grouped, checks] = await Promise.all([
        get(`${path}/uptime`, { window, bucket, limit: 1000 }),
        get(`${path}/history`, { window, limit: 20 }),
      ]);
      if (!here() || select.value !== window) return;
      fill(charts, drawn(window, bucket === "day" ? 86_400 : 3_600, grouped, checks));
    } catch (error) {
      if (here()) fill(charts, failure(error, draw));
    }
  };
  draw();
}

function drawn(window, bucket, grouped, checks) {
  const span = { from: grouped.meta.as_of - WINDOWS[window], to: grouped.meta.as_of, bucket };
  const rows = [...grouped.data].reverse();
  const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const label = (row) => (window === "24h" ? clock.format(row.at * 1000) : utcDay(row.at));
  const yes = (value) => (value === null ? "–" : value ? "yes" : "no");
  const columns = ["Checked", "Online", "Readable", "Writable", ...["Open", "Read", "Write"].map((text) => ({ text, class: "n" }))];
  return [
    uptime("Online", rows, label, span),
    lines("Round-trip times", rows, label, RTT, span, "ms"),
    table(`The latest checks in this time (${checks.data.length})`, columns, checks.data.map((row) => h("tr", {},
      h("th", { scope: "row" }, time(row.checked_at)),
      [row.online, row.readable, row.writable].map((value) => h("td", {}, yes(value))),
      RTT.map((one) => h("td", { class: "n" }, ms(row[one.name])))))),
  ];
}

async function showKinds(section, path, here) {
  fill(section, h("h2", {}, "Kinds"), waiting("kinds"));
  try {
    const answer = await get(`${path}/kinds`, { limit: 20 });
    if (!here()) return;
    fill(section, h("h2", {}, "Kinds"),
      bars("Kinds of the events that this relay had", ["Kind", "Events"],
        answer.data.map((row) => ({ name: `Kind ${row.kind}`, value: row.events }))));
  } catch (error) {
    if (here()) fill(section, h("h2", {}, "Kinds"), failure(error, () => showKinds(section, path, here)));
  }
}

