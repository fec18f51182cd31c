// Uses our relay as any client does, by nostr-tools: subscribe, publish, count, authenticate, reconcile.
//
//   node client.mjs OUR_RELAY_URL

import { generateSecretKey, getPublicKey } from 'nostr-tools/pure'
import { computeOffset, estimateCount, feedPubkey, hllDecode, hllEncode, newHll } from 'nostr-tools/nip45'

import { check, connect, expect, expectSame, finalizeEvent, query, until, within } from './lib.mjs'
import { reconcileOne } from './oracle-reconcile.mjs'

const [ours] = process.argv.slice(2)
const relay = await connect(ours)
const keys = Array.from({ length: 3 }, generateSecretKey)
const pubkeys = keys.map(getPublicKey)
// Requests for somebody else: our node leaves them alone.
const nobody = getPublicKey(generateSecretKey())
let time = Math.floor(Date.now() / 1_000) - 60
const request = (secret, tags = [], kind = 5_450) =>
  finalizeEvent({ kind, created_at: time++, content: '', tags: [['p', nobody], ...tags] }, secret)
const ids = events => events.map(({ id }) => id)

await check('nostr-tools publishes and subscribes: stored events in order, then new ones, each once', async () => {
  const [first, second, third] = keys.map(secret => request(secret))
  await relay.publish(first)
  await relay.publish(second)
  const heard = []
  let stored
  const subscription = relay.subscribe([{ authors: pubkeys, '#p': [nobody] }, { ids: [first.id] }], {
    eoseTimeout: 60_000, onevent: event => heard.push(event.id), oneose: () => { stored = [...heard] },
  })
  await until(20, 'no EOSE', () => stored)
  expectSame(stored, [second.id, first.id], 'what was stored')
  await relay.publish(third)
  expect(/^duplicate: /.test(await relay.publish(second)), 'a second time is not called a duplicate')
  await until(20, 'the new event does not come', () => heard.length > 2)
  expectSame(heard.slice(2), [third.id], 'what is new')
  subscription.close()
  return '3 events'
})

await check('nostr-tools deletes what it published', async () => {
  const event = request(keys[0])
  await relay.publish(event)
  await relay.publish(finalizeEvent({ kind: 5, created_at: time++, content: '', tags: [['e', event.id]] }, keys[0]))
  expectSame(ids(await query(relay, { ids: [event.id] })), [], 'what is left')
})

await check('nostr-tools counts, and finds in the registers what it computes itself (NIP-45)', async () => {
  const filter = { '#p': [nobody], kinds: [5_450] }
  const { count, hll } = await relay.countWithHLL([filter], {})
  expectSame(count, (await query(relay, filter)).length, 'the count')
  const own = pubkeys.reduce((registers, key) => feedPubkey(registers, key, computeOffset(nobody)), newHll())
  expectSame(hll, hllEncode(own), 'the registers')
  return `${count} events of about ${estimateCount(hllDecode(hll))} authors`
})

await check('nostr-tools authenticates, and may then publish what is protected (NIP-42, NIP-70)', async () => {
  const event = request(keys[1], [['-']])
  const refusal = await relay.publish(event).then(() => 'taken', error => error.message)
  expect(/^auth-required: /.test(refusal), `without authentication it is: ${refusal}`)
  await relay.auth(async template => finalizeEvent(template, keys[1]))
  await relay.publish(event)
  expectSame(ids(await query(relay, { ids: [event.id] })), [event.id], 'what is stored')
  const other = await relay.publish(request(keys[2], [['-']])).then(() => 'taken', error => error.message)
  expect(/^restricted: /.test(other), `somebody else's is: ${other}`)
})

await check('nostr-tools refuses to be fooled: a wrong challenge authenticates nobody', async () => {
  const stranger = await connect(ours)
  const answer = await within(20, 'answer', (resolve, reject) => {
    until(10, 'no challenge', () => stranger.auth(async template => finalizeEvent({
      ...template, tags: template.tags.map(([name, value]) => [name, name === 'challenge' ? 'another' : value]),
    }, keys[0])).then(() => 'taken', error => error.message)).then(resolve, reject)
  })
  expect(answer !== 'taken', 'it was taken')
  stranger.close()
  return answer
})

await check('nostr-tools reconciles with it (NIP-77)', async () => {
  const filter = { kinds: [0, 10_002, 10_166, 30_166, 5_450] }
  const all = await query(relay, filter)
  const result = await reconcileOne(relay, filter, all)
  expect(result.isRight, JSON.stringify(result))
  return `${all.length} events, ${result.found} of them found missing here`
})

relay.close()
