// Compares what relays said with what the model says, and other relays with ours: what differs has to
// be one of the named ways of that relay (oracle-relays.mjs), as the model with these ways predicts it.

import { computeOffset, feedPubkey, hllEncode, newHll } from 'nostr-tools/nip45'

import { canonical, check, expect } from './lib.mjs'
import { answer, coordinate, counted, groupBy, hidden, inOrder } from './oracle-model.mjs'

const CAP = 500
const short = value => JSON.stringify(value)?.slice(0, 600)
const tally = (names, name) => names.set(name, (names.get(name) ?? 0) + 1)

/** The registers of NIP-45, computed by nostr-tools. */
function registers([filter, ...more], events) {
  const tags = Object.keys(filter).filter(key => key[0] === '#')
  if (more.length || tags.length !== 1 || filter[tags[0]].length !== 1) return undefined
  const [value] = filter[tags[0]]
  // nostr-tools takes an address whose name has colons for none.
  const [, owner, ...name] = value.split(':')
  const offset = computeOffset(name.length > 1 && /^[0-9a-f]{64}$/.test(owner) ? owner : value)
  return hllEncode(events.reduce((hll, event) => feedPubkey(hll, event.pubkey, offset), newHll()))
}

const firstDifference = (wanted, said) => {
  const n = wanted.findIndex((id, at) => id !== said[at])
  const at = n < 0 ? wanted.length : n
  return `${said.length} events instead of ${wanted.length}, the first difference at ${at}: ${said[at]} instead of ${wanted[at]}`
}

/** Ours has to say exactly what the model says: everything, and in order. */
export async function compareOurs(variant, { events, questions }, known, { held, answers, counts, reconciled }, now) {
  const why = hidden(events.filter(({ id }) => known.has(id)), now)
  const shown = events.filter(({ id }) => known.has(id) && !why.has(id)).sort(inOrder)
  const name = `ours (${variant})`
  await check(`${name} shows exactly what it has to`, () => {
    const [has, should] = [new Map(held.map(event => [event.id, event])), new Set(shown.map(({ id }) => id))]
    const missing = shown.filter(({ id }) => !has.has(id))
    const extra = held.filter(({ id }) => !should.has(id)).map(event => [event.id, event.kind, why.get(event.id)?.why])
    expect(!missing.length && !extra.length, `missing ${short(missing[0])} of ${missing.length}, too many ${short(extra[0])} of ${extra.length}`)
    const changed = shown.filter(event => canonical(event) !== canonical(has.get(event.id)))
    expect(!changed.length, `${changed.length} changed, such as ${short(changed[0])}`)
    const reasons = new Map()
    for (const { why: reason } of why.values()) tally(reasons, reason)
    return `${held.length} of ${events.length}; hidden: ${[...reasons].map(([reason, n]) => `${n} ${reason}`).join(', ')}`
  })
  await check(`${name} answers every question as the model does`, () => {
    let [count, empty] = [0, 0]
    questions.forEach((filters, n) => {
      const wanted = answer(filters, shown, CAP).map(({ id }) => id)
      const said = answers[n].ids
      expect(said, `question ${n} ${short(filters)}: ${short(answers[n])}`)
      expect(wanted.join() === said.join(), `question ${n} ${short(filters)}: ${firstDifference(wanted, said)}`)
      count += said.length
      empty += said.length === 0
    })
    return `${questions.length} questions, ${count} events in order, ${empty} answers empty`
  })
  await check(`${name} counts every question as the model does`, () => {
    let [asked, withRegisters] = [0, 0]
    questions.forEach((filters, n) => {
      if (!counts[n]) return
      asked++
      const matching = counted(filters, shown)
      const hll = registers(filters, matching)
      expect(counts[n].count === matching.length, `question ${n} ${short(filters)}: ${short(counts[n])} instead of ${matching.length}`)
      expect(counts[n].hll === hll, `the registers of question ${n} ${short(filters)} are ${counts[n].hll}, nostr-tools has ${hll}`)
      withRegisters += hll !== undefined
    })
    return `${asked} questions, ${withRegisters} with the registers that nostr-tools computes`
  })
  await check(`${name} reconciles with nostr-tools (NIP-77)`, () => {
    const wrong = reconciled.filter(({ isRight }) => !isRight)
    expect(!wrong.length, `${wrong.length} of ${reconciled.length}, such as ${short(wrong[0])}`)
    return `${reconciled.length} filters, up to ${Math.max(...reconciled.map(({ matching }) => matching))} events`
  })
}

/** Whether the parts, one after the other, are what was said. `loose`: ties come in any order. */
function agrees(parts, said, loose) {
  let at = 0
  for (const { candidates, most } of parts) {
    const count = Math.min(candidates.length, most)
    const heard = said.slice(at, at += count)
    if (heard.length < count) return false
    if (!loose && heard.some((id, n) => id !== candidates[n].id)) return false
    const times = new Map(candidates.map(event => [event.id, event.created_at]))
    if (new Set(heard).size < count || heard.some((id, n) => times.get(id) !== candidates[n].created_at)) return false
  }
  return at === said.length
}

/** What a relay with these ways would say. */
function predict(filters, shown, ways, cap) {
  const outcome = ways.find(way => way.outcome && way.when(filters))?.outcome
  if (outcome) return said => said[outcome] !== undefined
  let asked = filters
  for (const way of ways) if (way.ask) asked = way.ask(asked, shown)
  const has = flag => ways.some(way => way[flag])
  const isReversed = filter => has('oldestFirst') && filter.limit === undefined
  const matching = filters => {
    const list = counted(filters, shown)
    return filters.length && filters.every(isReversed) ? list.reverse() : list
  }
  let parts = [{ candidates: answer(asked, shown, cap), most: Infinity }]
  if (has('sequence')) {
    const each = asked.filter((filter, n) => JSON.stringify(filter) !== JSON.stringify(asked[n - 1]))
    parts = each.map(filter => ({ candidates: matching([filter]), most: Math.min(filter.limit ?? cap, cap) }))
  } else if (has('wholeLimit')) {
    const limits = asked.map(filter => (['ids', 'authors', 'kinds'].some(key => filter[key]?.length === 0) ? cap : filter.limit ?? cap))
    const limit = limits.filter(limit => limit > 0).at(-1) ?? cap
    parts = [{ candidates: matching(asked), most: Math.min(limit, cap) }]
  } else if (asked.length && asked.every(isReversed)) parts = [{ candidates: matching(asked), most: cap }]
  return said => said.ids !== undefined && agrees(parts, said.ids, has('loose'))
}

/** What another relay says is as ours, or explained. */
export async function compareTheirs(name, profile, { events, questions }, ours, { held, answers, counts, refused }, now) {
  const why = hidden(events, now)
  const ids = new Set(held.map(({ id }) => id))
  const sort = list => list.toSorted(inOrder)
  const [theirs, shown] = [sort(events.filter(({ id }) => ids.has(id))), sort(events.filter(({ id }) => !why.has(id)))]
  const explained = new Map()
  await check(`${name}: every event that only one of us shows is explained`, () => {
    const context = { events, ids, refused, byAddress: groupBy(events.filter(coordinate), coordinate) }
    const strange = []
    for (const event of events) {
      const [isHeld, isShown] = [ids.has(event.id), !why.has(event.id)]
      if (isHeld === isShown) continue
      const way = profile.holds.find(({ is }) => is(event, why.get(event.id), isHeld, context))
      if (way) tally(explained, way.name)
      else strange.push([isHeld ? 'it shows' : 'it lacks', event.id, event.kind, event.created_at, event.tags.slice(0, 3), why.get(event.id)?.why, refused.get(event.id)])
    }
    expect(!strange.length, `${strange.length} are not, such as ${strange.slice(0, 4).map(short).join('; ')}`)
    const sum = [...explained.values()].reduce((a, b) => a + b, 0)
    return `${theirs.length} there, ${sum} explained`
  })
  for (const [way, count] of explained) console.log(`          ${String(count).padStart(5)} events: ${way}`)
  const reasons = new Map()
  let same = 0
  await check(`${name}: every answer that is not ours is explained`, () => {
    const strange = []
    questions.forEach((filters, n) => {
      const said = answers[n]
      if (said.ids && said.ids.join() === ours.answers[n].ids?.join()) {
        same++
        return
      }
      const right = predict(filters, theirs, profile.ways, profile.cap)
      if (!right(said)) {
        strange.push(`question ${n} ${short(filters)}: it says ${short({ ...said, ids: said.ids?.length })}; ${firstDifference(answer(filters, theirs, profile.cap).map(({ id }) => id), said.ids ?? [])}`)
        return
      }
      // A way is needed if without it something else would have been said.
      const needed = profile.ways.filter(way => !predict(filters, theirs, profile.ways.filter(other => other !== way), profile.cap)(said))
      if (!predict(filters, shown, profile.ways, profile.cap)(said)) needed.push({ name: 'it holds other events, explained above' })
      if (!needed.length) needed.push({ name: 'two of these at once' })
      needed.forEach(way => tally(reasons, way.name))
    })
    expect(!strange.length, `${strange.length} of ${questions.length} are not: ${strange.slice(0, 3).join('\n          ')}`)
    return `${questions.length} questions, ${same} answered as by ours, ${questions.length - same} explained`
  })
  for (const [way, count] of [...reasons].sort((a, b) => b[1] - a[1])) console.log(`          ${String(count).padStart(5)} answers: ${way}`)
  if (!profile.counts) return
  await check(`${name}: every count that is not ours is explained`, () => {
    let [alike, other] = [0, 0]
    const strange = []
    questions.forEach((filters, n) => {
      if (!counts[n] || !ours.counts[n]) return
      if (counts[n].count === ours.counts[n].count) alike++
      else if (profile.counted(filters, theirs).includes(counts[n].count)) other++
      else strange.push(`question ${n} ${short(filters)}: ${short(counts[n])}, ours ${ours.counts[n].count}`)
    })
    expect(!strange.length, `${strange.length} are not: ${strange.slice(0, 3).join('; ')}`)
    return `${alike} as by ours, ${other} explained: ${profile.countedBy}`
  })
}
