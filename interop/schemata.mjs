// Holds our reports and announcements against two readers of NIP-66 that are not ours: the JSON
// schemata of nostrability, and the parser of snstr.
//
//   node schemata.mjs OUR_RELAY_URL RELAY_URL

import { createRequire } from 'node:module'

import Ajv from 'ajv'
import { normalizeURL } from 'nostr-tools/utils'
import { parseRelayDiscoveryEvent, parseRelayMonitorAnnouncement } from 'snstr'

import { check, connect, expect, expectSame, query, tagValues, until } from './lib.mjs'

const [ours, theirs] = process.argv.slice(2)
const relay = await connect(ours)
const schema = kind =>
  createRequire(import.meta.url)(`@nostrability/schemata/dist/nips/nip-66/kind-${kind}/schema.json`)
const [kind10166Schema, kind30166Schema] = [10_166, 30_166].map(schema)
// The schemata carry messages for a plug-in, which strict mode does not know.
const ajv = new Ajv({ allErrors: true, strict: false })

/** An event as it came, without what nostr-tools hangs on it. */
const bare = ({ id, pubkey, created_at, kind, tags, content, sig }) =>
  ({ id, pubkey, created_at, kind, tags, content, sig })

function expectValid(schema, event) {
  const validate = ajv.compile(schema)
  const errors = validate(bare(event)) ? [] : validate.errors
  expect(!errors.length, errors.map(error => `${error.instancePath} ${error.message}`).slice(0, 5).join('; '))
}

let report, announcement
await check('a report and an announcement to read', async () => {
  report = await until(30, 'no report', async () => {
    const reports = await query(relay, { kinds: [30_166] })
    return reports.find(event => normalizeURL(tagValues(event, 'd')[0]) === normalizeURL(theirs))
  })
  const announcements = await query(relay, { kinds: [10_166] })
  announcement = announcements[0]
  expect(announcement, 'no announcement')
})

await check('the schemata refuse what is wrong, so that their consent means something', () => {
  const spoilt = { ...bare(report), tags: [...report.tags, ['rtt-open', 'fast']] }
  expect(!ajv.compile(kind30166Schema)(spoilt), 'a round-trip time in words passes')
  const spoiltToo = { ...bare(announcement), tags: [['frequency', 'often']] }
  expect(!ajv.compile(kind10166Schema)(spoiltToo), 'a frequency in words passes')
})

await check('the report is valid by the schema of kind 30166', () => expectValid(kind30166Schema, report))

await check('the announcement is valid by the schema of kind 10166', () => expectValid(kind10166Schema, announcement))

await check('the parser of snstr reads of the report what its tags say', () => {
  const read = parseRelayDiscoveryEvent(report)
  expectSame(normalizeURL(read.relay), normalizeURL(theirs), 'the relay')
  expectSame(read.network, 'clearnet', 'the network')
  for (const [field, name] of [['rttOpen', 'rtt-open'], ['rttRead', 'rtt-read'], ['rttWrite', 'rtt-write']]) {
    expectSame(read[field], Number(tagValues(report, name)[0]), name)
  }
  expectSame(read.supportedNips, tagValues(report, 'N'), 'N')
  expectSame(read.requirements, tagValues(report, 'R'), 'R')
  expect(typeof read.content === 'object', 'the content is no document')
})

await check('the parser of snstr reads the announcement', () => {
  const read = parseRelayMonitorAnnouncement(announcement)
  expect(read.frequency > 0, `the frequency is ${read.frequency}`)
  for (const name of ['open', 'read', 'write', 'nip11', 'dns', 'ssl']) {
    expect(read.checks.includes(name), `${name} is not among ${read.checks}`)
  }
  expect(!read.checks.includes('geo'), 'places are announced without a database')
  return read.checks.join(', ')
})

relay.close()
