// What interop/oracle does with relays: see there.
//
//   node oracle.mjs make SEED EVENTS QUESTIONS FOLDER
//   node oracle.mjs fill NAME URL FOLDER
//   node oracle.mjs fill-ours VARIANT URL FOLDER
//   node oracle.mjs ask NAME URL FOLDER
//   node oracle.mjs compare FOLDER NAME...

import { readFileSync, writeFileSync } from 'node:fs'

import { check, expect } from './lib.mjs'
import { open, publishAll, side } from './oracle-client.mjs'
import { compareOurs, compareTheirs } from './oracle-compare.mjs'
import { corpus, random } from './oracle-corpus.mjs'
import { questions } from './oracle-filters.mjs'
import { isEphemeral, isExpired, isIdleDeletion, isProtected } from './oracle-model.mjs'
import { reconcile } from './oracle-reconcile.mjs'
import { PROFILES } from './oracle-relays.mjs'

const [command, ...parameters] = process.argv.slice(2)
const now = () => Math.floor(Date.now() / 1_000)
// Relays of rust-nostr answer 1,200 questions on a connection, and then make it wait.
const PER_CONNECTION = 500
const read = (folder, name) => JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'))
const write = (folder, name, value) => writeFileSync(`${folder}/${name}.json`, JSON.stringify(value))

/** Makes events and questions; archived.jsonl is for our node to import. */
function make(seed, size, count, folder) {
  const events = corpus(seed, Number(size))
  const parts = random(`parts ${seed}`)
  // For the variant of both: most events archived, most among the relay's own, all in one of them.
  const places = events.map(() => parts.pick(['archive', 'archive', 'own', 'own', 'both']))
  write(folder, 'corpus', { events, places, questions: questions(seed, Number(count), events) })
  const lines = list => list.map(event => `${JSON.stringify(event)}\n`).join('')
  writeFileSync(`${folder}/all.jsonl`, lines(events))
  writeFileSync(`${folder}/part.jsonl`, lines(events.filter((_, n) => places[n] !== 'own')))
  write(folder, 'authors', [...new Set(events.map(({ pubkey }) => pubkey))])
  const kinds = new Set(events.map(({ kind }) => kind)).size
  console.log(`        seed ${seed}: ${events.length} events of ${kinds} kinds, ${count} questions`)
}

/** Publishes in the order of time, as it would have happened. */
async function fill(name, url, folder) {
  await check(`${name} is filled`, async () => {
    const { events } = read(folder, 'corpus')
    const relay = await open(url)
    const answers = await publishAll(relay, events, PROFILES[name].side ?? 1)
    const refused = events.flatMap(({ id }, n) => (answers[n].taken ? [] : [[id, answers[n].text ?? 'no answer']]))
    relay.close()
    write(folder, `${name}.refused`, refused)
    expect(refused.length < events.length / 2, `it refused ${refused.length}, such as ${refused[0]?.[1]}`)
    return `${events.length} events, ${refused.length} refused`
  })
}

/** Publishes to our relay in no order, and checks what it refuses. */
async function fillOurs(variant, url, folder) {
  const { events, places } = read(folder, 'corpus')
  const mine = variant === 'own' ? events : events.filter((_, n) => places[n] !== 'archive')
  const archived = variant === 'own' ? [] : events.filter((_, n) => places[n] !== 'own')
  const idle = event => isIdleDeletion(event, variant === 'own' ? events : mine)
  await check(`ours (${variant}) takes what it has to, in any order`, async () => {
    const relay = await open(url)
    const refused = new Map()
    const order = random(`order ${variant}`).shuffled(mine)
    // Deletions of other people's events are refused where these are known: they come last.
    for (const list of [order.filter(event => !idle(event)), order.filter(idle)]) {
      await side(list, 16, async event => {
        const { taken, text = 'no answer' } = await relay.publish(event)
        if (!taken) refused.set(event.id, text)
      })
    }
    relay.close()
    const reasons = { expired: 'invalid', protected: 'auth-required', 'for another relay': 'blocked' }
    const isElsewhere = ({ kind, tags }) => kind === 62 && !tags.some(([name, value]) => name === 'relay' && value === 'ALL_RELAYS')
    const why = event => (isExpired(event, now()) ? 'expired' : isProtected(event) ? 'protected'
      : isElsewhere(event) ? 'for another relay' : idle(event) ? 'idle' : undefined)
    const count = {}
    const known = [...archived]
    const wrong = []
    for (const event of mine) {
      const reason = why(event)
      const text = refused.get(event.id)
      // What came when it was replaced, deleted or vanished already may be refused: it is not shown.
      // Whether an idle deletion is, depends on whether what it names was ever seen.
      const isRight = reason === 'idle' || reason === undefined
        ? text === undefined || /^(blocked|duplicate|invalid): /.test(text)
        : text?.startsWith(`${reasons[reason]}: `)
      if (!isRight) wrong.push([event.kind, reason, text])
      const name = text && (reason ?? text)
      if (name) count[name] = (count[name] ?? 0) + 1
      if (!isEphemeral(event.kind) && (!reason || (reason === 'idle' && text === undefined))) known.push(event)
    }
    write(folder, `${variant}.known`, [...new Set(known.map(({ id }) => id))])
    expect(wrong.length === 0, `${wrong.length} wrong answers, such as ${JSON.stringify(wrong.slice(0, 3))}`)
    return `${mine.length} events; refused: ${JSON.stringify(count)}`
  })
}

/** Asks all questions, and by id for everything. */
async function ask(name, url, folder) {
  const { events, questions: all } = read(folder, 'corpus')
  const isOurs = PROFILES[name] === undefined
  const profile = PROFILES[name] ?? { counts: true, side: 8 }
  const connected = async body => {
    const relay = await open(url)
    await body(relay)
    relay.close()
  }
  const started = Date.now()
  const held = []
  await connected(async relay => {
    for (let n = 0; n < events.length; n += 100) {
      const found = await relay.ask([{ ids: events.slice(n, n + 100).map(({ id }) => id) }])
      held.push(...(found.events ?? []))
    }
  })
  const answers = []
  const counts = []
  for (let from = 0; from < all.length; from += PER_CONNECTION) {
    const some = all.slice(from, from + PER_CONNECTION)
    await connected(async relay => answers.push(...await side(some, Math.min(profile.side ?? 4, 8), async filters => {
      // What is known to get no answer is not waited for; what should have got one is asked again.
      const isSilent = profile.ways?.some(way => way.outcome === 'silent' && way.when(filters))
      let answer = await relay.ask(filters, isSilent ? 1_000 : 30_000)
      if (!answer.ids && !isSilent) answer = await relay.ask(filters, 120_000)
      return { ...answer, events: undefined }
    })))
    if (!profile.counts) continue
    await connected(async relay => counts.push(...await side(some, 4, (filters, n) => (
      (from + n) % 3 === 0 && (isOurs || filters.length === 1) ? relay.count(filters) : null))))
  }
  const reconciled = isOurs ? await reconcile(url, all, events, held.map(({ id }) => id)) : []
  write(folder, `${name}.said`, { held, answers, counts, reconciled })
  console.log(`        ${name}: ${held.length} of ${events.length} events, ${all.length} questions in ${((Date.now() - started) / 1_000).toFixed(1)} s`)
}

async function compare(folder, ...names) {
  const all = read(folder, 'corpus')
  const said = name => read(folder, `${name}.said`)
  const at = now()
  for (const name of names.filter(name => !PROFILES[name])) {
    const known = name === 'archive' ? all.events.map(({ id }) => id) : read(folder, `${name}.known`)
    await compareOurs(name, all, new Set(known), said(name), at)
  }
  for (const name of names.filter(name => PROFILES[name])) {
    await compareTheirs(name, PROFILES[name], all, said('archive'), { ...said(name), refused: new Map(read(folder, `${name}.refused`)) }, at)
  }
}

await { make, fill, 'fill-ours': fillOurs, ask, compare }[command](...parameters)
