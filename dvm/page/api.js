// Asking this server. Answers are kept for a moment; a limit that is reached is waited for.

const KEEP_MS = 20_000;
const MOST_KEPT = 500;
const TRIES = 4;
// What views ask of their own accord leaves this much of the allowance to what the reader does.
const RESERVE = 15;

const kept = new Map();
let remaining = Infinity;

/** A refusal by the server, in its words. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answers with status ${status}`);
    this.code = error?.code ?? "unknown";
    this.status = status;
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The address of a path of this server, whatever folder it is served from. */
export function address(path, params = {}) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(params)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

async function load(url) {
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await fetch(url);
    } catch {
      throw new Error("the server cannot be reached");
    }
    const left = Number(response.headers.get("RateLimit-Remaining"));
    if (response.headers.has("RateLimit-Remaining") && url.pathname.includes("/v1/")) remaining = left;
    const body = await response.json().catch(() => null);
    if (response.ok && body) return body;
    if (response.status === 429 && attempt < TRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await sleep(Math.min(seconds, 20) * 1000 + Math.random() * 300);
      continue;
    }
    throw new Refused(response.status, body?.error);
  }
}

/** Asks for a JSON document of this server. */
export function get(path, params) {
  const url = address(path, params);
  const known = kept.get(url.href);
  if (known && performance.now() - known.at < KEEP_MS) return known.answer;
  const answer = load(url);
  kept.delete(url.href);
  kept.set(url.href, { at: performance.now(), answer });
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  answer.catch(() => kept.delete(url.href));
  return answer;
}

/** Forgets what was kept, to see what is there now. */
export const forget = () => kept.clear();

const queue = [];
let working = false;

/** Asks when there is nothing better to do, one question at a time; `wanted` may change its mind. */
export function getLater(path, params, wanted = () => true) {
  return new Promise((resolve, reject) => {
    queue.push({ path, params, wanted, resolve, reject });
    if (!working) work();
  });
}

async function work() {
  working = true;
  while (queue.length > 0) {
    const { path, params, wanted, resolve, reject } = queue.shift();
    if (!wanted()) {
      resolve(null);
      continue;
    }
    if (remaining < RESERVE) {
      await sleep(500);
      remaining += 3;
    }
    await get(path, params).then(resolve, reject);
  }
  working = false;
}
