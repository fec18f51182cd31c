// Fills the third-party relay and writes down which events it took.
//
//   node fill.mjs RELAY_URL ACCEPTED_FILE

import { writeFileSync } from 'node:fs'

import WebSocket from 'ws'

import { canonical, check, connect, expect, within } from './lib.mjs'
import { forged, odd, ordinary } from './events.mjs'

const [url, acceptedFile] = process.argv.slice(2)
const now = Math.floor(Date.now() / 1_000)
const accepted = []

/** Publishes by nostr-tools, some at a time. */
async function publishAll(events) {
  const relays = await Promise.all([connect(url), connect(url)])
  const queue = [...events].reverse()
  const work = async relay => {
    for (let event = queue.pop(); event; event = queue.pop()) {
      await relay.publish(event)
      accepted.push(event)
    }
  }
  await Promise.all(relays.flatMap(relay => Array.from({ length: 8 }, () => work(relay))))
  relays.forEach(relay => relay.close())
}

/** Publishes over a connection of its own: this relay names no id, and slows down, when it refuses. */
function publishAlone(event) {
  const socket = new WebSocket(url)
  return within(15, 'OK', (resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify(['EVENT', event])))
    socket.on('error', reject)
    socket.on('close', () => resolve(false))
    socket.on('message', data => {
      const [verb, , taken] = JSON.parse(data)
      if (verb === 'OK') resolve(taken)
    })
  }).finally(() => socket.terminate())
}

/** Publishes odd events side by side; returns the names of those refused. */
async function publishOdd(list) {
  const refused = []
  await Promise.all(list.map(async ({ name, event }) => {
    if (await publishAlone(event)) accepted.push(event)
    else refused.push(name)
  }))
  return refused
}

await check('nostr-tools fills the third-party relay', async () => {
  const events = ordinary(url, now)
  // Versions and deletions have to arrive after what they replace and delete.
  const isLate = event => [0, 3, 5, 10_002].includes(event.kind) || (event.kind >= 30_000 && event.kind < 40_000)
  await publishAll(events.filter(event => !isLate(event)))
  const late = events.filter(isLate)
  for (let n = 0; n < late.length; n += 12) await publishAll(late.slice(n, n + 12))
  return `${accepted.length} events`
})

await check('the relay takes most of the odd events', async () => {
  const list = odd(now)
  const refused = await publishOdd(list)
  expect(refused.length < list.length / 2, `it refused ${refused.join(', ')}`)
  return `${list.length - refused.length} of ${list.length}${refused.length ? `, not: ${refused.join(', ')}` : ''}`
})

await check('it is lied to', async () => {
  const list = forged(now)
  const refused = await publishOdd(list)
  return `${list.length - refused.length} of ${list.length} forgeries taken${refused.length ? `, not: ${refused.join(', ')}` : ''}`
})

writeFileSync(acceptedFile, accepted.map(event => JSON.stringify(event) + '\n').join(''))
console.log(`        ${new Set(accepted.map(canonical)).size} events were accepted`)
