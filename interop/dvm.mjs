// Asks our data vending machine by a NIP-90 client that is not ours: NDK, with its own classes for
// requests, feedback, results and announcements, and its own idea of what they mean.
//
//   node dvm.mjs OUR_RELAY_URL API_URL NODE_PUBKEY RELAY_URL

import NDK, {
  NDKAppHandlerEvent, NDKDVMJobFeedback, NDKDVMJobResult, NDKDVMRequest, NDKPrivateKeySigner, NDKUser,
} from '@nostr-dev-kit/ndk'
import WebSocket from 'ws'

import { check, connect, expect, expectSame, isGenuine, query, rest, until, within } from './lib.mjs'

// NDK takes the browser's, which Node has not had for long.
globalThis.WebSocket ??= WebSocket

const [ours, api, node, theirs] = process.argv.slice(2)
const signer = NDKPrivateKeySigner.generate()
// Nobody but our relay: by default NDK looks for the relays of whoever signs on some of its own.
const ndk = new NDK({ explicitRelayUrls: [ours], enableOutboxModel: false, autoConnectUserRelays: false, signer })
await ndk.connect(10_000)
const provider = new NDKUser({ pubkey: node })
provider.ndk = ndk
const customer = (await signer.user()).pubkey

/** A request by NDK, with an input, parameters, and what else is wanted of it. */
function request({ kind = 5_450, inputs = [], params = {}, output, content = '' }) {
  const job = new NDKDVMRequest(ndk, { kind, content, tags: [] })
  for (const input of inputs) job.addInput(...input)
  for (const [name, value] of Object.entries(params)) job.addParam(name, value)
  if (output) job.output = output
  return job
}

/** Publishes a request; returns the feedback and the result as NDK reads them. */
async function ask(job) {
  await job.sign()
  const feedback = []
  const result = await within(20, `answer to ${job.id}`, (resolve, reject) => {
    const filter = { kinds: [7_000, job.kind + 1_000], ...job.filter() }
    const subscription = ndk.subscribe(filter, { closeOnEose: false }, {
      onEvent: event => {
        expect(isGenuine(event.rawEvent()), `the signature of kind ${event.kind} is wrong`)
        if (event.kind !== 7_000) {
          // Feedback may come after what it precedes: it gets a moment.
          setTimeout(() => {
            subscription.stop()
            resolve(NDKDVMJobResult.from(event))
          }, 300)
          return
        }
        feedback.push(event)
        if (event.tagValue('status') === 'error') {
          subscription.stop()
          resolve(undefined)
        }
      },
      onEose: () => job.publish().catch(reject),
    })
  })
  return { feedback: await Promise.all(feedback.map(event => NDKDVMJobFeedback.from(event))), result }
}

/** What NDK makes of a result. */
function expectResult(job, { feedback, result }) {
  const statuses = feedback.map(one => one.status)
  expect(result, `there is no result but ${statuses}: ${feedback.at(-1)?.content}`)
  expectSame(statuses.toSorted(), ['processing', 'success'], 'the feedback')
  expectSame(result.kind, job.kind + 1_000, 'the kind')
  expectSame(result.pubkey, node, 'who answers')
  expectSame(result.jobRequestId, job.id, 'the request that it answers')
  expectSame(result.jobRequest.rawEvent(), job.rawEvent(), 'the request in it')
  expectSame(result.tagValue('p'), customer, 'the customer')
}

await check('NDK reads the announcements (NIP-89)', async () => {
  const found = [...await ndk.fetchEvents({ kinds: [31_990], authors: [node] })]
  expectSame(found.length, 2, 'the number of announcements')
  const kinds = []
  for (const event of found) {
    const handler = NDKAppHandlerEvent.from(event)
    expect(handler?.isValid, `no handler: ${event.content}`)
    const profile = await handler.fetchProfile()
    expectSame(profile.name, 'BigBrotr', 'the name')
    expect(profile.about?.length > 10, 'it says nothing about itself')
    kinds.push(...handler.getMatchingTags('k').map(tag => tag[1]))
  }
  expectSame(kinds.toSorted(), ['5400', '5450'], 'the kinds of jobs')
})

await check('a kind 5450 request made by NDK is answered as REST answers it', async () => {
  const job = request({ inputs: [['kinds.list', 'text']], params: { window: 'all', limit: '5' } })
  const answer = await ask(job)
  expectResult(job, answer)
  expectSame(answer.result.getMatchingTags('i'), job.getMatchingTags('i'), 'i')
  const mirror = await rest(api, '/kinds?window=all&limit=5')
  expectSame(JSON.parse(answer.result.result).data, mirror.data, 'data')
})

await check('NDK asks for a table of the provider that it names', async () => {
  const job = request({ inputs: [['kinds.list', 'text']], output: 'text/csv' })
  job.dvm = provider
  const answer = await ask(job)
  expectResult(job, answer)
  expect(answer.result.result.startsWith('kind,class,events,pubkeys\r\n'), answer.result.result.slice(0, 100))
})

await check('a kind 5400 request made by NDK gets the bare number', async () => {
  const filter = { kinds: [1] }
  const job = request({ kind: 5_400, content: JSON.stringify([filter]), params: { relay: theirs } })
  const answer = await ask(job)
  expectResult(job, answer)
  const asked = `filter=${encodeURIComponent(JSON.stringify(filter))}&relay=${encodeURIComponent(theirs)}`
  const { data } = await rest(api, `/events/count?${asked}`)
  expect(data.count > 0, 'nothing to count')
  expectSame(answer.result.result, String(data.count), 'the count')
})

await check('a kind 5400 request made by NDK gets groups', async () => {
  const job = request({ kind: 5_400, inputs: [[JSON.stringify({ kinds: [0, 1, 7] }), 'text']], params: { group: 'kind' } })
  const answer = await ask(job)
  expectResult(job, answer)
  const groups = JSON.parse(answer.result.result)
  const { data } = await rest(api, `/events/count?filter=${encodeURIComponent('{"kinds":[0,1,7]}')}&group=kind`)
  expectSame(groups, data.groups, 'the groups')
})

await check('NDK encrypts a request, relays included, and reads the result', async () => {
  const job = request({ inputs: [['networks.list', 'text']] })
  job.tags.push(['relays', theirs])
  await job.encryption(provider, signer)
  expectSame(job.tags.map(tag => tag[0]).toSorted(), ['encrypted', 'p'], 'what is left in clear')
  const answer = await ask(job)
  expectResult(job, answer)
  expectSame(answer.result.getMatchingTags('i'), [], 'i of an encrypted job')
  await answer.result.decrypt(provider, signer)
  const mirror = await rest(api, '/networks')
  expectSame(JSON.parse(answer.result.content).data, mirror.data, 'data')
  // The relay that only we could read of.
  const other = await connect(theirs)
  const id = answer.result.id
  await until(15, 'no result there', async () => (await query(other, { ids: [id] })).length)
  other.close()
})

await check('NDK hears why there is no answer', async () => {
  const job = request({ inputs: [['no.such.question', 'text']] })
  const { feedback, result } = await ask(job)
  expect(!result, 'there is a result')
  const error = feedback.find(one => one.status === 'error')
  expectSame(JSON.parse(error.content).error.code, 'unknown_query', 'the code')
})

await check('NDK hears that a request with nothing in it is refused', async () => {
  const { feedback } = await ask(request({}))
  expectSame(JSON.parse(feedback.at(-1).content).error.param, 'i', 'the parameter at fault')
})

// NDK keeps its connections alive.
process.exit(0)
