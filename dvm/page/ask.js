// Asking over Nostr: a NIP-90 job from the browser, its feedback and its result.

import { shown } from "./answer.js";
import { address, get } from "./api.js";
import { fill, h, said, time } from "./dom.js";
import { connect, isValid, tagValue, throwAwayKey, unreachable } from "./nostr.js";
import { fields, filled, questions, target } from "./questions.js";

const FEEDBACK = 7000;
const PATIENCE_MS = 60_000;
const OUTPUTS = ["application/json", "text/csv", "text/plain"];

export async function ask({ body, params, here }) {
  const [node, known] = await Promise.all([get("node.json"), questions()]);
  if (!here()) return;
  if (!node.relay_url) {
    fill(body, h("p", {}, "This node does not say where its relay is."));
    return;
  }
  const names = known.asked.map((question) => question.name);
  const first = names.includes(params.get("q")) ? params.get("q") : "events.stats";
  const select = h("select", { id: "question", change: () => describe() },
    names.map((name) => h("option", { selected: name === first }, name)));
  const help = h("p", { id: "question-help", class: "soft" });
  const own = h("div", { class: "fields" });
  const output = h("select", { id: "output" }, OUTPUTS.map((type) => h("option", {}, type)));
  const signer = h("select", { id: "signer" },
    h("option", { value: "new" }, "a throw-away key"),
    window.nostr && h("option", { value: "nip07" }, "my key (NIP-07)"));
  const button = h("button", { type: "submit" }, "Send the job");
  const form = h("form", { class: "ask" },
    h("div", { class: "field" }, h("label", { for: "question" }, "Question"), select, help),
    own,
    h("div", { class: "fields" },
      h("div", { class: "field" }, h("label", { for: "output" }, "Answer as"), output),
      h("div", { class: "field" }, h("label", { for: "signer" }, "Signed with"), signer)),
    h("p", {}, button));
  const log = h("ol", { class: "log" });
  const result = h("section", { class: "panel", "aria-label": "Result", hidden: true });
  fill(body,
    h("p", {}, "Sends a NIP-90 job of kind ", String(node.job_kind), " to ", h("code", {}, node.relay_url),
      " and waits for the node's data vending machine. No account, no server in between: this page signs, sends and verifies."),
    form, h("div", { role: "log", "aria-label": "What happens" }, log), result);

  const question = () => known.asked.find((one) => one.name === select.value);
  const describe = () => {
    help.textContent = question().help;
    select.setAttribute("aria-describedby", "question-help");
    fill(own, fields(question().params, "job"));
    for (const [name, value] of params) {
      const control = form.elements.namedItem(name);
      if (select.value === first && control && question().params.some((param) => param.name === name)) control.value = value;
    }
  };
  describe();

  let current = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    current?.end();
    result.hidden = true;
    fill(log);
    button.disabled = true;
    const given = filled(form, question().params);
    current = job({ node, log, result, name: select.value, given, output: output.value, nip07: signer.value === "nip07",
      rest: target(question(), given), done: () => { button.disabled = false; } });
  });
  return () => current?.end();
}

/** One job, from its signature to its result. */
function job({ node, log, result, name, given, output, nip07, rest, done }) {
  const note = (...text) => log.append(h("li", {}, ...text));
  let ended = false;
  let connection = null;
  const timer = setTimeout(() => {
    note("No answer within a minute. Is the data vending machine of this node at work?");
    end();
  }, PATIENCE_MS);
  const end = () => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    connection?.close();
    done();
  };

  const answered = (event) => {
    const status = event.tags.find((tag) => tag[0] === "status") ?? [];
    if (event.kind === FEEDBACK) {
      note("Feedback: ", h("strong", {}, said(status[1] ?? "without a status", 40)), status[2] && [": ", said(status[2], 300)], raw(event));
      if (status[1] === "error" || status[1] === "payment-required") end();
      return;
    }
    note(`Result (kind ${event.kind}), signed by the node, `, time(event.created_at), raw(event));
    result.hidden = false;
    fill(result, h("h2", {}, "Result"), shown(event.content),
      output === "application/json" && h("p", {}, "The same over HTTP: ", h("a", { href: address(rest).href }, rest)));
    end();
  };

  const run = async () => {
    const key = nip07 ? window.nostr : throwAwayKey();
    const pubkey = await key.getPublicKey();
    const template = {
      pubkey,
      kind: node.job_kind,
      created_at: Math.floor(Date.now() / 1000),
      tags: [["i", name, "text"], ...given.map(([param, value]) => ["param", param, value]),
        ["output", output], ["relays", node.relay_url], ["p", node.pubkey]],
      content: "",
    };
    const request = await key.signEvent(template);
    if (ended) return;
    if (!isValid(request)) throw new Error("the signer gave back an event that is not valid");
    note("Signed as ", h("code", { title: pubkey }, `${pubkey.slice(0, 8)}…`), raw(request));
    connection = connect(node.relay_url, {
      opened: () => {
        connection.send("REQ", "job", { kinds: [FEEDBACK, node.job_kind + 1000], authors: [node.pubkey], "#e": [request.id] });
        connection.send("EVENT", request);
      },
      heard: ([word, id, value, reason]) => {
        if (ended) return;
        if (word === "OK" && id === request.id) {
          note(value ? "The relay took it." : "The relay refused it: ", !value && said(reason, 300));
          if (!value) end();
        }
        if (word === "NOTICE") note("The relay says: ", said(id, 300));
        if (word === "CLOSED" && id === "job") {
          note("The relay ended the subscription: ", said(value, 300));
          end();
        }
        const ours = word === "EVENT" && id === "job" && value?.pubkey === node.pubkey;
        if (ours && isValid(value) && tagValue(value, "e") === request.id) answered(value);
      },
      closed: () => {
        if (!ended) note(unreachable(node.relay_url));
        end();
      },
    });
  };
  run().catch((error) => {
    note(`It could not be sent: ${error?.message ?? error}`);
    end();
  });
  return { end };
}

const raw = (event) => h("details", {}, h("summary", {}, "the event"),
  h("pre", { tabindex: 0 }, JSON.stringify(event, null, 2).slice(0, 50_000)));
