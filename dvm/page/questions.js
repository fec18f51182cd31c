// The questions as openapi.json describes them, and forms for their parameters.

import { get } from "./api.js";
import { h } from "./dom.js";

/** All questions: {name, path, help, tag, params, responses}. */
export async function questions() {
  const document = await get("openapi.json");
  const found = Object.entries(document.paths ?? {}).map(([path, item]) => ({
    path,
    name: item.get.operationId,
    help: item.get.summary,
    tag: item.get.tags[0],
    // A parameter that is itself JSON has no schema of its text.
    params: (item.get.parameters ?? []).map((param) => ({ schema: { type: param.content ? "JSON" : "string" }, ...param })),
    responses: item.get.responses,
  }));
  return { document, all: found, asked: found.filter((one) => one.path.startsWith("/v1/")) };
}

const textOf = (example) => (typeof example === "object" ? JSON.stringify(example) : String(example));

/** What values a parameter takes, in words. */
export function values(param) {
  const { schema } = param;
  if (schema.enum) return schema.enum.join(", ");
  if (schema.type === "integer") return `${schema.minimum} to ${schema.maximum}`;
  return schema.type;
}

function control(param, id) {
  const { schema } = param;
  const shared = { id, name: param.name, "aria-describedby": `${id}-help` };
  if (schema.enum) {
    return h("select", shared,
      !param.required && schema.default === undefined && h("option", { value: "" }, "–"),
      schema.enum.map((word) => h("option", { selected: word === schema.default }, word)));
  }
  return h("input", {
    ...shared,
    type: schema.type === "integer" ? "number" : "text",
    min: schema.minimum,
    max: schema.maximum,
    value: schema.default,
    required: param.required,
    placeholder: param.example === undefined || schema.default !== undefined ? null : `e.g. ${textOf(param.example)}`,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
}

/** Fields for parameters; ids begin with `prefix`. */
export function fields(params, prefix) {
  return params.map((param) => {
    const id = `${prefix}-${param.name}`;
    return h("div", { class: "field" },
      h("label", { for: id }, param.name, param.required && " (required)"),
      control(param, id),
      h("small", { id: `${id}-help` }, param.description));
  });
}

/** What a form says, without what was left empty. */
export const filled = (form, params) => params
  .map((param) => [param.name, form.elements.namedItem(param.name)?.value.trim() ?? ""])
  .filter(([, value]) => value !== "");

/** The path of a question with its parameters, below the server's address. */
export function target(question, given) {
  const values = new Map(given);
  const path = question.path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values.get(name) ?? "";
    values.delete(name);
    return encodeURIComponent(value);
  });
  const query = new URLSearchParams([...values]).toString();
  return path.slice(1) + (query && `?${query}`);
}
