// Compares what our node exports with what the third-party relay holds.
//
//   node compare.mjs EXPORT_FILE HOLDINGS_FILE NODE_PUBKEY

import { canonical, check, expect, isGenuine, readLines } from './lib.mjs'

const [exportFile, holdingsFile, nodePubkey] = process.argv.slice(2)
const exported = readLines(exportFile)
const held = readLines(holdingsFile)

const some = events =>
  events.slice(0, 5).map(({ id, kind, created_at }) => `${id} (kind ${kind} at ${created_at})`).join(', ')

await check('every exported event has a right id and signature, by nostr-tools', () => {
  const wrong = exported.filter(event => !isGenuine(event))
  expect(wrong.length === 0, `${wrong.length} have not: ${some(wrong)}`)
  return `${exported.length} events`
})

await check('no event is exported twice', () => {
  const ids = new Set(exported.map(event => event.id))
  expect(ids.size === exported.length, `${exported.length} lines, ${ids.size} ids`)
})

await check('the archive misses nothing', () => {
  const ids = new Set(exported.map(event => event.id))
  const missing = held.filter(event => !ids.has(event.id))
  expect(missing.length === 0, `${missing.length} of ${held.length} are missing: ${some(missing)}`)
  return `${held.length} events`
})

await check('the archive adds nothing', () => {
  const ids = new Set(held.map(event => event.id))
  // What the node itself wrote to the relay, to see whether it can be written to, is no addition.
  const extra = exported.filter(event => !ids.has(event.id) && event.pubkey !== nodePubkey)
  expect(extra.length === 0, `${extra.length} that the relay does not hold: ${some(extra)}`)
})

await check('events come back as they were sent', () => {
  const originals = new Map(held.map(event => [event.id, event]))
  const changed = exported.filter(event => originals.has(event.id)
    && canonical(originals.get(event.id)) !== canonical(event))
  expect(changed.length === 0, `${changed.length} changed: ${some(changed)}`)
})
