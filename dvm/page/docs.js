// openapi.json for people: every question with its parameters, and a form to try it.

import { shown } from "./answer.js";
import { address } from "./api.js";
import { failure, fill, h, table, waiting } from "./dom.js";
import { fields, filled, questions, target, values } from "./questions.js";

const main = document.getElementById("main");

const resolve = (root, part) => (part.$ref
  ? part.$ref.replace("#/", "").split("/").reduce((found, name) => found?.[name], root) : part);

const defaultOf = (param) => {
  if (param.schema.default !== undefined) return `default ${param.schema.default}`;
  return param.required ? "required" : "optional";
};

/** Text in which `this` is code. */
const prose = (text) => text.split("`").map((part, n) => (n % 2 === 1 ? h("code", {}, part) : part));

function parameters(params) {
  return params.length > 0 && table("Parameters", ["Name", "In", "Meaning", "Values", ""],
    params.map((param) => h("tr", {},
      h("th", { scope: "row" }, h("code", {}, param.name)),
      h("td", {}, param.in),
      h("td", {}, param.description),
      h("td", {}, values(param)),
      h("td", {}, defaultOf(param)))));
}

function answers(root, responses) {
  const rows = Object.entries(responses).map(([status, response]) => {
    const { description, content } = resolve(root, response);
    const code = content?.["application/json"]?.example?.error?.code;
    return h("tr", {}, h("th", { scope: "row" }, status), h("td", {}, code ? h("code", {}, code) : "–"), h("td", {}, description));
  });
  return h("details", {}, h("summary", {}, "Answers"), table("Answers by status", ["Status", "Code", "Meaning"], rows));
}

function tryIt(question) {
  const output = h("div", { role: "status" });
  const form = h("form", {}, h("div", { class: "fields" }, fields(question.params, question.name)),
    h("p", {}, h("button", { type: "submit" }, "Ask")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const path = target(question, filled(form, question.params));
    fill(output, waiting("the answer"));
    try {
      const response = await fetch(address(path));
      const text = await response.text();
      fill(output,
        h("p", {}, h("code", {}, `GET /${path}`), ` → ${response.status}`,
          h("small", {}, ` ${["ETag", "RateLimit-Remaining", "X-Request-Id"].filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}`).join(" · ")}`)),
        shown(text, !response.ok));
    } catch (error) {
      fill(output, failure(error));
    }
  });
  return h("details", { class: "try" }, h("summary", {}, "Try it"), form, output);
}

function section(root, question) {
  const id = `q-${question.name}`;
  return h("section", { class: "panel question", id, "aria-labelledby": `${id}-h` },
    h("h3", { id: `${id}-h` }, question.name),
    h("p", {}, question.help),
    h("p", {}, h("code", { class: "path" }, `GET ${question.path}`)),
    parameters(question.params),
    answers(root, question.responses),
    tryIt(question));
}

async function show() {
  fill(main, h("h1", {}, "REST"), waiting("the description"));
  try {
    const { document: root, all } = await questions();
    // What operators ask comes last.
    const rank = (question) => Number(question.tag === "health");
    all.sort((a, b) => rank(a) - rank(b));
    const tags = [...new Set(all.map((question) => question.tag))];
    fill(main,
      h("h1", {}, "REST"),
      root.info.description.split("\n\n").map((text) => h("p", {}, prose(text))),
      h("p", {}, "Base: ", h("code", {}, new URL(".", document.baseURI).href), ". For programs: ",
        h("a", { href: "openapi.json" }, "openapi.json"), " (OpenAPI 3.1)."),
      h("nav", { "aria-label": "Questions", class: "contents" },
        h("ul", {}, all.map((question) => h("li", {}, h("a", { href: `#q-${question.name}` }, question.name))))),
      tags.map((tag) => [h("h2", {}, tag), all.filter((question) => question.tag === tag).map((question) => section(root, question))]));
    if (location.hash.startsWith("#q-")) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  } catch (error) {
    fill(main, h("h1", {}, "REST"), failure(error, show));
  }
}

show();
