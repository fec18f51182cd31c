// Sends NIP-90 jobs to our embedded relay by nostr-tools and compares the answers with REST.
//
//   node jobs.mjs OUR_RELAY_URL API_URL NODE_PUBKEY RELAY_URL

import { nip04, nip44 } from 'nostr-tools'
import { generateSecretKey, getPublicKey } from 'nostr-tools/pure'

import {
  canonical, check, connect, expect, expectSame, finalizeEvent, isGenuine, query, rest, tagValues, until, within,
} from './lib.mjs'

const [ours, api, node, theirs] = process.argv.slice(2)
const relay = await connect(ours)
const secret = generateSecretKey()
const customer = getPublicKey(secret)
const STATS = [['i', 'events.stats', 'text'], ['param', 'window', 'all']]

/** Sends a job; returns it with all feedback and the result, or the error feedback, that ends it. */
async function ask({ kind = 5_450, tags, content = '' }) {
  const created_at = Math.floor(Date.now() / 1_000)
  const request = finalizeEvent({ kind, created_at, content, tags }, secret)
  const job = { request, feedback: [], milliseconds: 0 }
  const started = performance.now()
  await within(20, `answer to ${request.id}`, (resolve, reject) => {
    const subscription = relay.subscribe([{ kinds: [7_000, kind + 1_000], '#e': [request.id] }], {
      onevent: event => {
        const status = event.kind === 7_000 && event.tags.find(tag => tag[0] === 'status')
        if (status) job.feedback.push({ event, status: status[1], message: status[2] })
        else job.result = event
        if (job.result || status[1] === 'error') {
          job.milliseconds = Math.round(performance.now() - started)
          // Feedback may come after what it precedes: it gets a moment.
          setTimeout(() => {
            resolve()
            subscription.close()
          }, 300)
        }
      },
      onclose: reason => reject(new Error(`the subscription was closed: ${reason}`)),
      oneose: () => relay.publish(request).catch(reject),
    })
  })
  return job
}

/** What holds for every answer to a request. */
function expectAnswerTo(request, event) {
  expect(isGenuine(event), `the signature of kind ${event.kind} is wrong`)
  expectSame(event.pubkey, node, 'the author')
  expectSame(event.tags.filter(tag => tag[0] === 'e'), [['e', request.id, ours]], 'e')
  expectSame(tagValues(event, 'p'), [customer], 'p')
}

await check('NIP-89 announces the job kind', async () => {
  const found = await query(relay, { kinds: [31_990], authors: [node], '#k': ['5450'] })
  expectSame(found.length, 1, 'the number of announcements')
  expect(JSON.parse(found[0].content).nip90Params.i.values.includes('events.stats'), 'it does not name events.stats')
})

let answered
await check('kind 5450 gets feedback and a result', async () => {
  answered = await ask({ tags: STATS })
  const { request, feedback, result, milliseconds } = answered
  expect(feedback.some(({ status }) => status === 'processing'), 'there is no processing feedback')
  for (const { event } of feedback) expectAnswerTo(request, event)
  expect(result, `there is no result but: ${feedback.at(-1)?.message}`)
  expectAnswerTo(request, result)
  expectSame(result.kind, 6_450, 'the kind')
  expectSame(canonical(JSON.parse(tagValues(result, 'request')[0])), canonical(request), 'request')
  expectSame(result.tags.filter(tag => tag[0] === 'i'), [STATS[0]], 'i')
  return `${milliseconds} ms`
})

await check('the result is what REST says', async () => {
  const mirror = await rest(api, '/events/stats?window=all')
  const answer = JSON.parse(answered.result.content)
  expectSame(answer.data, mirror.data, 'data')
  expectSame(Object.keys(answer.meta), Object.keys(mirror.meta), 'the members of meta')
  expectSame({ ...answer.meta, as_of: 0 }, { ...mirror.meta, as_of: 0 }, 'meta')
  expect(Math.abs(answer.meta.as_of - mirror.meta.as_of) <= 10, 'as_of is far apart')
})

await check('a job addressed to us is answered', async () => {
  const { result } = await ask({ tags: [...STATS, ['p', node], ['output', 'text/csv']] })
  expect(result.content.includes(','), `no CSV: ${result.content.slice(0, 200)}`)
})

await check('an unknown question gets error feedback', async () => {
  const { request, feedback, result } = await ask({ tags: [['i', 'no.such.question', 'text']] })
  expect(!result, 'there is a result')
  const { event, message } = feedback.find(({ status }) => status === 'error')
  expectAnswerTo(request, event)
  expect(JSON.parse(event.content).error.code, `the content is ${event.content}`)
  return message
})

for (const [name, encrypt, decrypt] of [
  ['NIP-04', text => nip04.encrypt(secret, node, text), text => nip04.decrypt(secret, node, text)],
  ['NIP-44', text => nip44.encrypt(text, nip44.getConversationKey(secret, node)),
    text => nip44.decrypt(text, nip44.getConversationKey(secret, node))],
]) {
  await check(`a job encrypted by ${name} gets an encrypted result`, async () => {
    const { request, result, feedback } = await ask({
      tags: [['p', node], ['encrypted']],
      content: await encrypt(JSON.stringify(STATS)),
    })
    expect(result, `there is no result but: ${feedback.at(-1)?.message}`)
    expectAnswerTo(request, result)
    expectSame([tagValues(result, 'i'), tagValues(result, 'encrypted').length], [[], 1], 'i and encrypted')
    const { data } = JSON.parse(await decrypt(result.content))
    expectSame(data, JSON.parse(answered.result.content).data, 'data')
  })
}

// The last one: from then on the archive has one event more.
await check('the result goes to the relays that the job names', async () => {
  const { result } = await ask({ tags: [...STATS, ['relays', theirs]] })
  const other = await connect(theirs)
  const [copy] = await until(15, 'no result there', async () => {
    const found = await query(other, { kinds: [6_450], ids: [result.id] })
    return found.length && found
  })
  other.close()
  expectSame(canonical(copy), canonical(result), 'the copy')
})

relay.close()
