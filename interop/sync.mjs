// What interop/sync asks of relays and of the node: see there.
//
//   node sync.mjs make RELAY_URL CORPUS_FILE
//   node sync.mjs fill RELAY_URL NUMBER CORPUS_FILE GIVEN_FILE
//   node sync.mjs hold RELAY_URL GIVEN_FILE HELD_FILE
//   node sync.mjs counted RELAY_URL API_URL HELD_FILE
//   node sync.mjs publish RELAY_URL API_URL COUNT HELD_FILE
//   node sync.mjs compare NAME RELAY_URL EXPORT_FILE HELD_FILE GAPS_FILE

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'

import WebSocket from 'ws'

import {
  canonical, check, connect, expect, expectSame, isGenuine, query, readLines, rest, until, within,
} from './lib.mjs'
import { expiring, fresh, odd, ordinary } from './events.mjs'

const [command, ...parameters] = process.argv.slice(2)

const lines = events => events.map(event => JSON.stringify(event) + '\n').join('')

/** Publishes over a connection of its own; says whether the relay took it. Silence is a no. */
function publishAlone(url, event) {
  const socket = new WebSocket(url)
  return within(10, 'OK', (resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify(['EVENT', event])))
    socket.on('error', reject)
    socket.on('close', () => resolve(false))
    socket.on('message', data => {
      const [verb, , taken] = JSON.parse(data)
      if (verb === 'OK') resolve(taken)
    })
  }).catch(() => false).finally(() => socket.terminate())
}

/** Publishes by nostr-tools, some at a time, and returns what was taken. */
async function publishAll(relay, events, side) {
  const taken = []
  const queue = [...events].reverse()
  const work = async () => {
    for (let event = queue.pop(); event; event = queue.pop()) {
      // A refusal: an older version of something, a deleted note.
      if (await relay.publish(event).then(() => true, () => false)) taken.push(event)
    }
  }
  await Promise.all(Array.from({ length: side }, work))
  return taken
}

/** Makes the events once for all relays: signed again, they would be others with the same ids. */
async function make(relayUrl, corpusFile) {
  const now = Math.floor(Date.now() / 1_000)
  const corpus = { ordinary: ordinary(relayUrl, now), strange: [...odd(now), ...expiring(now)] }
  writeFileSync(corpusFile, JSON.stringify(corpus))
}

/** Three quarters of the events each, another three for each relay of four. */
const isFor = (number, n) => (n + number) % 4 !== 0

async function fill(url, number, corpusFile, givenFile) {
  await check(`${url} is filled`, async () => {
    const corpus = JSON.parse(readFileSync(corpusFile, 'utf8'))
    const events = corpus.ordinary.filter((_, n) => isFor(Number(number), n))
    // Versions and deletions have to arrive after what they replace and delete.
    const isLate = ({ kind }) => [0, 3, 5, 10_002].includes(kind) || (kind >= 30_000 && kind < 40_000)
    const relay = await connect(url)
    const taken = await publishAll(relay, events.filter(event => !isLate(event)), 16)
    taken.push(...await publishAll(relay, events.filter(isLate), 1))
    relay.close()
    const refused = new Set()
    await Promise.all(corpus.strange.map(async ({ name, event }) => {
      if (await publishAlone(url, event)) taken.push(event)
      else refused.add(name)
    }))
    writeFileSync(givenFile, lines(taken))
    expect(taken.length > 2_000, `only ${taken.length} events were taken`)
    return `${taken.length} events${refused.size ? `, not: ${[...refused].join(', ')}` : ''}`
  })
}

/** What the relay really holds of what it was given, asked for by id: no cap gets in the way. */
async function hold(url, givenFile, heldFile) {
  await check(`${url} shows what it holds`, async () => {
    const given = readLines(givenFile)
    const relay = await connect(url)
    const held = new Map()
    for (let n = 0; n < given.length; n += 100) {
      const ids = given.slice(n, n + 100).map(event => event.id)
      for (const event of await query(relay, { ids })) held.set(event.id, event)
    }
    relay.close()
    const known = new Set(given.map(canonical))
    const strange = [...held.values()].filter(event => !known.has(canonical(event)))
    expect(strange.length === 0, `${strange.length} events that nobody sent`)
    writeFileSync(heldFile, lines([...held.values()].filter(isGenuine)))
    return `${held.size} events, ${given.length - held.size} replaced, deleted or expired`
  })
}

/** Waits until the statistics of the relay count so many events, or do not move any more. */
async function counted(url, api, heldFile) {
  await check(`the node has read ${url}`, async () => {
    const wanted = readLines(heldFile).length
    const started = Date.now()
    let [count, since, coverage] = [0, Date.now(), null]
    await until(150, `${wanted} events`, async () => {
      const { data } = await rest(api, `/relays/${encodeURIComponent(url)}?window=all`)
      coverage = data.coverage
      if (data.events !== count) [count, since] = [data.events, Date.now()]
      return count >= wanted || (count > 0 && coverage.gaps > 0 && Date.now() - since > 15_000)
    }).catch(error => {
      throw new Error(`${error.message}: ${count} events, ${JSON.stringify(coverage)}`)
    })
    return `${count} events, ${((Date.now() - started) / 1_000).toFixed(1)} s, ${JSON.stringify(coverage)}`
  })
}

async function publish(url, api, count, heldFile) {
  await check(`events published to ${url} now are archived`, async () => {
    const relay = await connect(url)
    const events = fresh(Number(count), url)
    for (const event of events) await relay.publish(event)
    relay.close()
    appendFileSync(heldFile, lines(events))
    const started = Date.now()
    for (const event of events) {
      const archived = await until(40, `event ${event.id}`, async () => (await rest(api, `/events/${event.id}`)).data)
      expectSame(canonical(archived), canonical(event), 'the archived event')
    }
    return `${events.length} events, ${((Date.now() - started) / 1_000).toFixed(1)} s`
  })
}

async function compare(name, url, exportFile, heldFile, gapsFile) {
  const exported = readLines(exportFile)
  const held = readLines(heldFile)
  const gaps = readLines(gapsFile).filter(gap => gap.url.replace(/\/$/, '') === url)
  const some = events => events.slice(0, 3).map(({ id, kind, created_at }) => `${id} (kind ${kind} at ${created_at})`).join(', ')
  const isIn = (gap, { created_at }) => gap.since <= created_at && created_at <= gap.until
  let missing = []
  await check(`${name}: what the archive says it holds is what it holds`, () => {
    const found = new Map(exported.map(event => [event.id, event]))
    expect(found.size === exported.length, 'an event is exported twice')
    missing = held.filter(event => !found.has(event.id))
    const unexplained = missing.filter(event => !gaps.some(gap => isIn(gap, event)))
    expect(unexplained.length === 0, `${unexplained.length} of ${held.length} are missing: ${some(unexplained)}`)
    const ids = new Set(held.map(event => event.id))
    const extra = exported.filter(event => !ids.has(event.id))
    expect(extra.length === 0, `${extra.length} that it does not hold: ${some(extra)}`)
    const changed = held.filter(event => found.has(event.id) && canonical(found.get(event.id)) !== canonical(event))
    expect(changed.length === 0, `${changed.length} changed: ${some(changed)}`)
    const note = gaps.length ? `; made impossible by the relay: ${missing.length} events, in ${gaps.length} gaps` : ', no gaps'
    return `${exported.length} events${note}`
  })
  await check(`${name}: no gap where nothing is missing`, () => {
    const idle = gaps.filter(gap => !missing.some(event => isIn(gap, event)))
    expect(idle.length === 0, `${idle.length} of ${gaps.length}, such as ${JSON.stringify(idle[0])}`)
  })
  for (const { since, until: last, reason } of gaps) console.log(`        gap of ${name}: ${since} to ${last}, ${reason}`)
}

await { make, fill, hold, counted, publish, compare }[command](...parameters)
