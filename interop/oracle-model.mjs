// What NIP-01, 09, 40, 62 and 70 say a relay shows of the events it knows: written from those texts
// alone, plainly and without any index. Where they leave room, docs/decisions/0009 decides.

/** A map from what `key` says of the members to these. */
export function groupBy(list, key) {
  const groups = new Map()
  for (const member of list) {
    const group = groups.get(key(member))
    if (group) group.push(member)
    else groups.set(key(member), [member])
  }
  return groups
}

/** The value of the first tag with this name that has one. */
const first = (event, name) => event.tags.find(tag => tag[0] === name && tag.length > 1)?.[1]

const isAddressable = kind => kind >= 30_000 && kind < 40_000
const isReplaceable = kind => kind === 0 || kind === 3 || (kind >= 10_000 && kind < 20_000)
export const isEphemeral = kind => kind >= 20_000 && kind < 30_000
export const isProtected = event => event.tags.some(tag => tag.length === 1 && tag[0] === '-')

/** kind:pubkey:d of what has versions. */
export function coordinate({ kind, pubkey, ...event }) {
  if (isReplaceable(kind)) return `${kind}:${pubkey}:`
  return isAddressable(kind) ? `${kind}:${pubkey}:${first(event, 'd') ?? ''}` : undefined
}

/** Whether NIP-40 has it gone by now. */
export function isExpired(event, now) {
  const said = first(event, 'expiration')
  return said !== undefined && /^[+-]?\d+$/.test(said) && BigInt(said) <= BigInt(now)
}

/** Whose an event is to delete: a gift wrap is also theirs whom it is for. */
const owners = event => [
  event.pubkey, ...(event.kind === 1_059 ? event.tags.filter(tag => tag[0] === 'p').map(tag => tag[1]) : []),
]

/** Newest first, lowest id first on a tie. */
export const inOrder = (a, b) => b.created_at - a.created_at || (a.id < b.id ? -1 : 1)

/** Says of every known event why it is not shown: a map from ids to {why, by}. */
export function hidden(known, now) {
  const found = new Map()
  const hide = (event, why, by) => found.get(event.id) ?? found.set(event.id, { why, by })
  const byId = new Map(known.map(event => [event.id, event]))
  const byAddress = groupBy(known.filter(event => coordinate(event)), coordinate)
  for (const event of known) {
    if (isEphemeral(event.kind)) hide(event, 'ephemeral')
    if (isExpired(event, now)) hide(event, 'expired')
    if (isProtected(event)) hide(event, 'protected')
  }
  for (const request of known.filter(({ kind }) => kind === 62)) {
    if (!request.tags.some(([name, value]) => name === 'relay' && value === 'ALL_RELAYS')) continue
    for (const event of known) {
      if (event.kind !== 62 && owners(event).includes(request.pubkey) && event.created_at <= request.created_at) {
        hide(event, 'vanished', request)
      }
    }
  }
  for (const deletion of known.filter(({ kind }) => kind === 5)) {
    for (const [name, value] of deletion.tags) {
      if (name === 'e') {
        const event = byId.get(value)
        if (event && ![5, 62].includes(event.kind) && owners(event).includes(deletion.pubkey)) {
          hide(event, event.pubkey === deletion.pubkey ? 'deleted' : 'deleted by whom it is for', deletion)
        }
      } else if (name === 'a' && value?.split(':')[1] === deletion.pubkey) {
        for (const event of byAddress.get(value) ?? []) {
          if (event.created_at <= deletion.created_at) hide(event, 'deleted by address', deletion)
        }
      }
    }
  }
  for (const versions of byAddress.values()) {
    const [latest, ...older] = versions.toSorted(inOrder)
    for (const event of older) hide(event, event.created_at === latest.created_at ? 'lost a tie' : 'replaced', latest)
  }
  return found
}

/** Whether a deletion names nothing but what is known to be somebody else's. */
export function isIdleDeletion(deletion, known) {
  if (deletion.kind !== 5) return false
  const byId = new Map(known.map(event => [event.id, event]))
  const named = deletion.tags.filter(([name]) => name === 'e' || name === 'a')
  return named.length > 0 && named.every(([name, value]) => (name === 'e'
    ? byId.has(value) && !owners(byId.get(value)).includes(deletion.pubkey)
    : value?.split(':')[1] !== deletion.pubkey))
}

/** Whether an event meets all conditions of a filter but its limit. */
export function matches(filter, event) {
  if (filter.ids && !filter.ids.includes(event.id)) return false
  if (filter.authors && !filter.authors.includes(event.pubkey)) return false
  if (filter.kinds && !filter.kinds.includes(event.kind)) return false
  if (filter.since !== undefined && event.created_at < filter.since) return false
  if (filter.until !== undefined && event.created_at > filter.until) return false
  return Object.entries(filter).every(([key, values]) => key[0] !== '#'
    || event.tags.some(tag => tag[0] === key[1] && tag.length > 1 && values.includes(tag[1])))
}

/** The events that answer a REQ, each once; `shown` is in order, `cap` is the most for a filter. */
export function answer(filters, shown, cap) {
  const ids = new Set()
  for (const filter of filters) {
    const most = Math.min(filter.limit ?? cap, cap)
    let count = 0
    for (const event of shown) {
      if (count >= most) break
      if (matches(filter, event)) {
        ids.add(event.id)
        count++
      }
    }
  }
  return shown.filter(event => ids.has(event.id))
}

/** How many events match any of the filters. NIP-45 does not count by limits. */
export const counted = (filters, shown) => shown.filter(event => filters.some(filter => matches(filter, event)))
