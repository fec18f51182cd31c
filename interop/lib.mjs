// What the scripts share: counted checks, connections made by nostr-tools, waiting with an end.

import { appendFileSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { initNostrWasm } from 'nostr-wasm'
import { AbstractRelay } from 'nostr-tools/abstract-relay'
import { setNostrWasm, verifyEvent } from 'nostr-tools/wasm'
import WebSocket from 'ws'

// The pure JavaScript signatures of nostr-tools take milliseconds each; these are its fast ones.
setNostrWasm(await initNostrWasm())

// A line for every check; interop/run counts them.
const RESULTS = process.env.INTEROP_RESULTS ?? '/dev/null'

export { finalizeEvent } from 'nostr-tools/wasm'
export { sleep }

/** Runs one check, prints how it went and counts it. Says whether it passed. */
export async function check(name, body) {
  try {
    const note = await body()
    console.log(`ok      ${name}${note ? ` (${note})` : ''}`)
    appendFileSync(RESULTS, 'passed\n')
    return true
  } catch (error) {
    console.log(`FAILED  ${name}: ${error.message}`)
    appendFileSync(RESULTS, 'failed\n')
    return false
  }
}

/** Says whether id and signature of an event are right. */
export function isGenuine(event) {
  const { id, pubkey, created_at, kind, tags, content, sig } = event
  try {
    // A fresh object, because nostr-tools remembers verdicts in a symbol of the old one.
    return verifyEvent({ id, pubkey, created_at, kind, tags, content, sig })
  } catch {
    return false
  }
}

/** Connects to a relay. Events that are not genuine are dropped unless `verify` is false. */
export async function connect(url, { verify = true } = {}) {
  const relay = new AbstractRelay(url, {
    verifyEvent: verify ? isGenuine : () => true,
    websocketImplementation: WebSocket,
  })
  relay.publishTimeout = 20_000
  relay.onnotice = notice => console.log(`        notice of ${url}: ${notice}`)
  await relay.connect({ timeout: 10_000 })
  return relay
}

/** Asks for stored events until EOSE; CLOSED and silence are errors. */
export function query(relay, filter, seconds = 20) {
  return within(seconds, `EOSE for ${JSON.stringify(filter).slice(0, 200)}`, (resolve, reject) => {
    const events = []
    const subscription = relay.subscribe([filter], {
      // Without this nostr-tools makes up an EOSE of its own after a few seconds.
      eoseTimeout: seconds * 2_000,
      onevent: event => events.push(event),
      oneose: () => {
        resolve(events)
        subscription.close()
      },
      onclose: reason => reject(new Error(`the subscription was closed: ${reason}`)),
    })
  })
}

/** A promise that fails when nobody has kept it in time. */
export function within(seconds, what, body) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} within ${seconds} s`)), seconds * 1_000)
    const end = settle => value => {
      clearTimeout(timer)
      settle(value)
    }
    body(end(resolve), end(reject))
  })
}

/** Tries until `body` returns something true; its last error or answer goes into the message. */
export async function until(seconds, what, body, every = 500) {
  const deadline = Date.now() + seconds * 1_000
  let last = 'never tried'
  while (Date.now() < deadline) {
    try {
      const value = await body()
      if (value) return value
      last = 'not yet'
    } catch (error) {
      last = error.message
    }
    await sleep(every)
  }
  throw new Error(`${what}: not within ${seconds} s (${last})`)
}

/** Asks the REST mirror; returns the parsed document. */
export async function rest(api, path) {
  const response = await fetch(`${api}/v1${path}`, { signal: AbortSignal.timeout(10_000) })
  const text = await response.text()
  if (!response.ok) throw new Error(`GET /v1${path}: ${response.status} ${text.slice(0, 300)}`)
  return JSON.parse(text)
}

/** Reads a file of one JSON document a line. */
export function readLines(path) {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
}

/** The seven members of an event in one order, to compare events byte for byte. */
export function canonical(event) {
  const { id, pubkey, created_at, kind, tags, content, sig } = event
  return JSON.stringify([id, pubkey, created_at, kind, tags, content, sig])
}

/** Values of all tags with this name. */
export function tagValues(event, name) {
  return event.tags.filter(tag => tag[0] === name).map(tag => tag[1])
}

/** Throws unless the condition holds. */
export function expect(condition, message) {
  if (!condition) throw new Error(message)
}

/** Throws unless both say the same as JSON. */
export function expectSame(actual, wanted, what) {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(wanted)]
  expect(left === right, `${what} is ${left?.slice(0, 300)}, wanted ${right?.slice(0, 300)}`)
}
