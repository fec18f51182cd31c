// Reads our embedded relay as a client developer would: NIP-11, the NIP-66 report of the
// third-party relay, the monitor's announcement, live delivery, refusals.
//
//   node reports.mjs OUR_RELAY_URL RELAY_URL

import { fetchRelayInformation } from 'nostr-tools/nip11'
import { generateSecretKey } from 'nostr-tools/pure'
import { normalizeURL } from 'nostr-tools/utils'

import { check, connect, expect, expectSame, finalizeEvent, isGenuine, query, tagValues, until } from './lib.mjs'

const [ours, theirs] = process.argv.slice(2)
const relay = await connect(ours)
let node

await check('NIP-11 by nostr-tools', async () => {
  const information = await fetchRelayInformation(ours)
  for (const nip of [1, 9, 11, 40, 42, 45, 66, 90]) {
    expect(information.supported_nips.includes(nip), `NIP-${nip} is not among ${information.supported_nips}`)
  }
  expect(information.limitation.max_limit > 0, 'there is no limitation.max_limit')
  node = information.self
  expect(/^[0-9a-f]{64}$/.test(node), `self is ${node}`)
  return `${information.name} ${information.version}`
})

let report
await check('a kind 30166 report about the third-party relay', async () => {
  report = await until(30, 'no report', async () => {
    const reports = await query(relay, { kinds: [30_166] })
    return reports.find(event => normalizeURL(tagValues(event, 'd')[0]) === normalizeURL(theirs))
  })
  expect(isGenuine(report), 'its signature is wrong')
  expectSame(report.pubkey, node, 'its author')
  return JSON.stringify(report.tags).slice(0, 400)
})

await check('the report is found by its d tag, normalised as nostr-tools does', async () => {
  const found = await query(relay, { kinds: [30_166], '#d': [normalizeURL(theirs)] })
  expectSame(found.map(event => event.id), [report.id], `the answer for ${normalizeURL(theirs)}`)
})

await check('the report is found by network and NIP', async () => {
  for (const filter of [{ '#n': ['clearnet'] }, { '#N': ['11'] }, { '#N': ['40'], '#n': ['clearnet'] }]) {
    const found = await query(relay, { kinds: [30_166], ...filter })
    expect(found.some(event => event.id === report.id), `not by ${JSON.stringify(filter)}`)
  }
  expectSame(await query(relay, { kinds: [30_166], '#N': ['9999'] }), [], 'the answer for NIP 9999')
})

await check('its tags parse', async () => {
  expect(report.tags.every(tag => tag.every(value => typeof value === 'string')), 'not all values are strings')
  for (const name of ['rtt-open', 'rtt-read', 'rtt-write']) {
    const [value] = tagValues(report, name)
    expect(/^\d+$/.test(value), `${name} is ${value}`)
  }
  // What the relay claims, without what trying disproved and with what it proved.
  const { supported_nips: claimed } = await fetchRelayInformation(theirs)
  const labelled = space => report.tags.filter(tag => tag[0] === 'l' && tag[2] === space).map(tag => Number(tag[1]))
  const [proven, disproven] = ['nip66.proven', 'nip66.disproven'].map(labelled)
  const nips = [...new Set([...claimed, ...proven])].filter(nip => !disproven.includes(nip))
  expectSame(tagValues(report, 'N').map(Number).sort((a, b) => a - b), nips.sort((a, b) => a - b), 'N')
  expect(tagValues(report, 'R').every(value => /^!?(auth|writes|pow|payment)$/.test(value)), 'R has other values')
})

await check('its content is the NIP-11 document of the relay', async () => {
  const theirDocument = await fetchRelayInformation(theirs)
  expectSame(JSON.parse(report.content).name, theirDocument.name, 'the name')
  expectSame(JSON.parse(report.content).description, theirDocument.description, 'the description')
})

await check('kind 10166 announces the monitor', async () => {
  const [announcement, ...more] = await query(relay, { kinds: [10_166], authors: [node] })
  expect(announcement && !more.length, 'there is not exactly one')
  expect(Number(tagValues(announcement, 'frequency')[0]) > 0, 'it says no frequency')
  expect(tagValues(announcement, 'c').length > 0, 'it names no checks')
  return JSON.stringify(announcement.tags).slice(0, 300)
})

await check('the node has a profile and a relay list', async () => {
  const found = await query(relay, { kinds: [0, 10_002], authors: [node] })
  const [profile, relayList] = [0, 10_002].map(kind => found.find(event => event.kind === kind))
  expectSame(JSON.parse(profile?.content ?? '{}').name, 'interop monitor', 'the name')
  expectSame(relayList && normalizeURL(tagValues(relayList, 'r')[0]), normalizeURL(ours), 'the relay')
})

await check('NIP-45 COUNT agrees with the reports', async () => {
  const stored = await query(relay, { kinds: [30_166] })
  expectSame(await relay.count([{ kinds: [30_166] }], {}), stored.length, 'the count')
})

await check('a stranger\'s note is refused with a reason', async () => {
  const note = finalizeEvent(
    { kind: 1, created_at: Math.floor(Date.now() / 1_000), tags: [], content: 'hello' }, generateSecretKey())
  const reason = await relay.publish(note).then(() => 'taken', error => error.message)
  expect(/^(blocked|restricted|invalid|pow|auth-required|error): /.test(reason), `the answer is: ${reason}`)
  return reason
})

relay.close()
