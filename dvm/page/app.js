// The page: which view is shown. Views are functions that fill the main element; they may return
// a function that is called when they are left.

import { get } from "./api.js";
import { failure, fill, h } from "./dom.js";
import { overview } from "./overview.js";
import { relays } from "./relays.js";
import { relay } from "./relay.js";

const main = document.getElementById("main");
let leave = null;
let visit = 0;

// Views with signatures are loaded when they are asked for.
const VIEWS = {
  "": { title: "Overview", show: overview },
  relays: { title: "Relays", show: relays },
  relay: { title: "Relay", show: relay },
  live: { title: "Live", show: async (...place) => (await import("./live.js")).live(...place) },
  ask: { title: "Ask over Nostr", show: async (...place) => (await import("./ask.js")).ask(...place) },
};

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What stands behind the # of the address: `#/view/argument?a=1`. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [name, ...rest] = path.split("/");
  return { name, argument: decode(rest.join("/")), params: new URLSearchParams(query) };
}

async function show() {
  // The skip link is no view.
  if (location.hash === "#main") return main.focus();
  const number = ++visit;
  const first = number === 1;
  leave?.();
  leave = null;
  const { name, argument, params } = place();
  const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  const title = view?.title ?? "Not found";
  document.title = `${argument || title} – BigBrotr`;
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.getAttribute("href").replace("#/", "");
    const current = own === name || (own === "relays" && name === "relay");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const body = h("div", { class: "view" });
  const heading = h("h1", { tabindex: -1 }, title);
  fill(main, heading, body);
  if (!first) {
    window.scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  if (!view) return fill(body, h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "To the overview")));
  try {
    const left = await view.show({ body, heading, argument, params, here: () => number === visit });
    if (number === visit) leave = left ?? null;
    else left?.();
  } catch (error) {
    if (number === visit) fill(body, failure(error, show));
  }
}

window.addEventListener("hashchange", show);
show();
get("node.json").then((node) => {
  document.getElementById("version").textContent = `Version ${node.version}.`;
}, () => {});
