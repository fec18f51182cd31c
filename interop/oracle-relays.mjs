// The ways of the other relays, each named, with its reason: `holds` says why a relay shows an event that
// it should not, or lacks one that it should show; `ways` say how its answers differ, as a change to the
// model. interop/oracle takes nothing else for an explanation.

import { coordinate, matches } from './oracle-model.mjs'

const CAP = 500
const isAddressable = kind => kind >= 30_000 && kind < 40_000
const named = (event, name) => event.tags.filter(tag => tag[0] === name && tag.length > 1).map(tag => tag[1])
const isEmpty = values => Array.isArray(values) && values.length === 0

// --- what a relay shows and should not
const shows = (name, ...reasons) => ({ name, is: (_, why, isHeld) => isHeld && reasons.includes(why.why) })
const noAddresses = shows('it does not delete by address', 'deleted by address')
const noVanishing = shows('it does not know NIP-62', 'vanished')
const noRecipients = shows('a gift wrap is not its recipient\'s to delete', 'deleted by whom it is for')
const noProtection = shows('it does not know NIP-70', 'protected')
const noExpiry = shows('it shows what has expired until it tidies up', 'expired')
const storesEphemeral = shows('it stores ephemeral events', 'ephemeral')
const olderThanGone = {
  name: 'what was refused, deleted or vanished does not keep out what it replaces',
  is: (_, why, isHeld, { ids }) => isHeld && ['replaced', 'lost a tie'].includes(why.why) && !ids.has(why.by.id),
}
const tie = {
  name: 'of two versions of one second not the lowest id stays',
  is: (event, why, isHeld, { byAddress, refused }) => (isHeld ? why.why === 'lost a tie' : byAddress.get(coordinate(event))
    ?.some(other => other.id !== event.id && other.created_at === event.created_at && !refused.has(other.id))),
}
const deletionCameFirst = {
  name: 'a deletion that came before its event does nothing',
  is: (event, why, isHeld) => isHeld && why.why.startsWith('deleted') && why.by.created_at < event.created_at,
}
const deletionWasRefused = {
  name: 'a deletion that it refused does nothing',
  is: (_, why, isHeld, { refused }) => isHeld && why.why.startsWith('deleted') && refused.has(why.by.id),
}

// --- what a relay lacks
const lacks = (name, is) => ({ name, is: (event, _, isHeld, context) => !isHeld && is(event, context) })
const refusedAs = (name, pattern, is) => lacks(name, (event, { refused }) => pattern.test(refused.get(event.id) ?? '') && is(event))
const deletes = (name, kind) => lacks(name, (event, { events }) => event.kind === kind
  && events.some(other => other.kind === 5 && other.pubkey === event.pubkey && named(other, 'e').includes(event.id)))
const deletesDeletions = deletes('it deletes deletions', 5)
const deletesVanishing = deletes('it deletes requests to vanish', 62)

const vanishedForGood = lacks('who has vanished may not come back', (event, { events }) => events.some(request => request.kind === 62
  && request.pubkey === event.pubkey && request.created_at < event.created_at && named(request, 'relay').includes('ALL_RELAYS')))

// --- how it answers otherwise
const way = (name, ask) => ({ name, ask: (filters, shown) => filters.map(filter => ask(filter, shown)) })
const emptyIsNone = way('an empty set of ids, authors or kinds is no condition', filter => Object.fromEntries(
  Object.entries(filter).filter(([key, values]) => key[0] === '#' || !isEmpty(values))))
const idsAreTheLimit = way('without a limit it is the number of ids', filter => (
  filter.ids && filter.limit === undefined ? { ...filter, limit: filter.ids.length } : filter))
const oneAddress = way('of kind, author and d it looks for one address, and for no other tag', (filter, shown) => {
  const { kinds, authors, ids, '#d': names } = filter
  if (kinds?.length !== 1 || !isAddressable(kinds[0]) || authors?.length !== 1 || ids?.length || !names?.length) return filter
  const [first] = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const there = shown.filter(event => coordinate(event) === `${kinds[0]}:${authors[0]}:${first}`).map(({ id }) => id)
  // An empty set would be no condition.
  return { ...Object.fromEntries(Object.entries(filter).filter(([key]) => key[0] !== '#')), ids: there.length ? there : ['none'] }
})

const builder = {
  cap: CAP,
  side: 16,
  counts: true,
  holds: [
    noVanishing, noRecipients, tie, olderThanGone, deletionCameFirst, deletionWasRefused, deletesDeletions,
    refusedAs('it refuses addressable events without a d tag of two elements', /./,
      event => isAddressable(event.kind) && !event.tags.some(tag => tag[0] === 'd' && tag.length === 2)),
    refusedAs('an empty tag ends the connection', /^no answer$/, event => event.tags.some(tag => !tag.length)),
    refusedAs('it refuses deletions that name anything of somebody else', /./, event => event.kind === 5),
    { name: 'it does not delete by an address with colons in its name',
      is: (event, why, isHeld) => isHeld && why.why === 'deleted by address' && coordinate(event).split(':').length > 3 },
    lacks('an address without d deletes all of that kind', (event, { events }) => isAddressable(event.kind)
      && events.some(({ kind, pubkey, ...other }) => kind === 5 && pubkey === event.pubkey && named(other, 'a').includes(`${event.kind}:${pubkey}:`))),
  ],
  ways: [idsAreTheLimit, emptyIsNone, oneAddress],
  countedBy: 'it counts no more than the limit, and what it holds',
}
builder.counted = (filters, held) => [builder.ways.reduce((asked, each) => each.ask(asked, held), filters)]
  .map(([filter]) => Math.min(held.filter(event => matches(filter, event)).length, filters[0].limit ?? Infinity))

const inAnyOrder = { name: 'events of one second come in any order', loose: true }
const nostrRsRelay = {
  cap: Infinity,
  side: 16,
  holds: [
    noAddresses, noVanishing, noRecipients, noProtection, tie, olderThanGone, deletesVanishing,
    { name: 'an addressable event without d is never replaced, and replaces nothing',
      is: (event, why, isHeld) => isHeld && why.why === 'replaced' && isAddressable(event.kind)
        && [event, why.by].some(either => !named(either, 'd').length) },
  ],
  ways: [
    inAnyOrder,
    { name: 'where all limits are 0 it sends no EOSE', outcome: 'silent', when: filters => filters.every(({ limit }) => limit === 0) },
    { name: 'without a limit it begins with the oldest', oldestFirst: true },
    { name: 'filters are answered one after the other, and an event may come again', sequence: true },
  ],
}

/** Times that nostr-relay refuses to read. */
const isBeyond = time => time >= 2_145_934_800
const nostrRelay = {
  cap: CAP,
  holds: [
    noAddresses, noVanishing, noRecipients, noProtection, noExpiry, storesEphemeral, tie, olderThanGone, deletionCameFirst,
    deletesDeletions,
    { name: 'of several older versions only one goes', is: (_, why, isHeld) => isHeld && why.why === 'replaced' },
    refusedAs('it refuses empty tags', /./, event => event.tags.some(tag => !tag.length)),
    refusedAs('for control characters it computes another id', /Bad signature/, event => /[\b\f\u001f\u007f]/.test(event.content)),
    refusedAs('time 0 is no time to it', /Bad signature/, event => event.created_at === 0),
    refusedAs('it refuses an addressable event after one without d', /index out of range/, event => isAddressable(event.kind)),
  ],
  ways: [
    inAnyOrder,
    { name: 'the last limit that is not 0 is that of the whole question', wholeLimit: true },
    way('until is exclusive', filter => (filter.until === undefined ? filter : { ...filter, until: filter.until - 1 })),
    { name: 'a filter with times beyond 2038 is left out',
      ask: filters => filters.filter(({ since = 0, until = 0 }) => !isBeyond(since) && !isBeyond(until)) },
    way('an empty tag value is no condition', filter => Object.fromEntries(Object.entries(filter)
      .map(([key, values]) => [key, key[0] === '#' ? values.filter(Boolean) : values])
      .filter(([key, values]) => key[0] !== '#' || values.length))),
    way('a filter without conditions finds nothing', filter => (
      Object.keys(filter).some(key => key !== 'limit') ? filter : { ...filter, ids: ['none'] })),
    { name: 'a NUL in a filter has nothing found', ask: filters => (JSON.stringify(filters).includes('\\u0000') ? [] : filters) },
  ],
}

const local = {
  ...builder,
  holds: [...builder.holds.filter(each => each !== noVanishing && each !== tie), vanishedForGood],
}

export const PROFILES = { builder, local, nostr_rs_relay: nostrRsRelay, nostr_relay: nostrRelay }
