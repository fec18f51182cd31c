// Reads all that the third-party relay holds, in windows that stay under its cap.
//
//   node holdings.mjs RELAY_URL ACCEPTED_FILE HOLDINGS_FILE

import { writeFileSync } from 'node:fs'

import { canonical, check, connect, expect, isGenuine, query, readLines } from './lib.mjs'

// The relay's own cap, and the end of the time that it lets clients ask for.
const CAP = 500
const END = 2_145_934_799

const [url, acceptedFile, holdingsFile] = process.argv.slice(2)
const relay = await connect(url, { verify: false })
const held = new Map()

/** Whether the relay's `until` includes the second itself, as it should; asked of one event. */
async function includesUntil({ id, created_at }) {
  return (await query(relay, { ids: [id], since: created_at, until: created_at })).length > 0
}

/** Collects [from, to). */
async function collect(from, to) {
  const events = await query(relay, { since: from, until: to - inclusive, limit: CAP })
  if (events.length >= CAP) {
    expect(to - from > 1, `${events.length} events at ${from}, as many as the relay shows`)
    const middle = from + Math.floor((to - from) / 2)
    await collect(from, middle)
    await collect(middle, to)
    return
  }
  for (const event of events) held.set(event.id, event)
}

let inclusive = 0
await check('the relay is read out completely', async () => {
  const accepted = readLines(acceptedFile)
  inclusive = Number(await includesUntil(accepted.find(event => event.kind === 9_735)))
  await collect(0, END)
  // What lies beyond can only be asked for by its author.
  const late = [...new Set(accepted.filter(event => event.created_at >= END).map(event => event.pubkey))]
  if (late.length) {
    for (const event of await query(relay, { since: END, authors: late, limit: CAP })) held.set(event.id, event)
  }
  // This relay counts its events at a page of its own; another one may have no such page.
  const stats = await fetch(`${url.replace(/^ws/, 'http')}/stats/`)
  if (stats.headers.get('content-type')?.startsWith('application/json')) {
    const { total } = await stats.json()
    expect(total === held.size, `it counts ${total} events and showed ${held.size}`)
  }
  const known = new Set(accepted.map(canonical))
  const strange = [...held.values()].filter(event => !known.has(canonical(event)))
  expect(strange.length === 0, `${strange.length} events that nobody sent, such as ${JSON.stringify(strange[0])}`)
  return `${held.size} events, ${accepted.length - held.size} replaced or deleted`
})
relay.close()

const genuine = [...held.values()].filter(isGenuine)
console.log(`        ${held.size - genuine.length} of them are forged`)
writeFileSync(holdingsFile, genuine.map(event => JSON.stringify(event) + '\n').join(''))
