// The questions of interop/oracle: random filters, the same for the same seed, of what is in the corpus and
// of what is not.

import { EPOCH, random } from './oracle-corpus.mjs'
import { groupBy } from './oracle-model.mjs'

const LETTERS = ['t', 'p', 'e', 'E', 'q', 'k', 'L', 'a', 'd', 'Z', 'T', 'r']

/** Makes so many lists of filters. */
export function questions(seed, count, events) {
  const { below, pick, some, chance } = random(`questions ${seed}`)
  const tagged = groupBy(
    events.flatMap(event => event.tags).filter(tag => tag.length > 1 && /^[a-zA-Z]$/.test(tag[0])), tag => tag[0])
  const value = name => (chance(0.9) && tagged.has(name) ? pick(tagged.get(name))[1] : pick(['', 'nobody', 'a\u0000b']))
  const unknown = () => Array.from({ length: 64 }, () => below(16).toString(16)).join('')
  const moment = () => pick(events).created_at + pick([0, 0, 0, -1, 1])

  const parts = {
    ids: () => [...new Set(some(events, chance(0.2) ? 60 : 8).map(({ id }) => (chance(0.95) ? id : unknown())))],
    authors: () => [...new Set(some(events, 5).map(({ pubkey }) => (chance(0.95) ? pubkey : unknown())))],
    kinds: () => [...new Set(some(events, 4).map(({ kind }) => kind))],
    tag: () => {
      const name = pick(LETTERS)
      return { [`#${name}`]: [...new Set(Array.from({ length: 1 + below(4) }, () => value(name)))] }
    },
  }
  /** What one event meets, so that several conditions at once find something. */
  const about = event => {
    const filter = {}
    if (chance(0.5)) filter.kinds = [...new Set([event.kind, ...(chance(0.3) ? parts.kinds() : [])])]
    if (chance(0.5)) filter.authors = [...new Set([event.pubkey, ...(chance(0.5) ? parts.authors() : [])])]
    const tags = event.tags.filter(tag => tag.length > 1 && /^[a-zA-Z]$/.test(tag[0]))
    for (const [name, first] of tags.slice(0, below(3))) {
      filter[`#${name}`] = [...new Set([first, ...(chance(0.3) ? [value(name)] : [])])]
    }
    if (chance(0.1)) filter.ids = [...new Set([event.id, ...parts.ids()])]
    return filter
  }
  const anything = () => {
    const filter = {}
    if (chance(0.15)) filter.ids = parts.ids()
    if (chance(0.35)) filter.authors = parts.authors()
    if (chance(0.45)) filter.kinds = parts.kinds()
    if (chance(0.4)) Object.assign(filter, parts.tag())
    if (chance(0.1)) Object.assign(filter, parts.tag())
    return filter
  }
  const one = () => {
    const filter = chance(0.55) ? about(pick(events)) : anything()
    if (chance(0.3)) filter.since = moment()
    if (chance(0.3)) filter.until = chance(0.5) && filter.since !== undefined ? filter.since + below(20 * 86_400) : moment()
    if (chance(0.03)) filter[pick(['since', 'until'])] = pick([0, EPOCH - 1, 2 ** 32, 2 ** 53 - 1])
    if (chance(0.05)) filter[pick(['ids', 'authors', 'kinds', '#t', '#e'])] = []
    if (chance(0.45)) filter.limit = pick([0, 1, 1, 2, 3, 7, 20, 60, 100, 250, 499, 500, 501, 5_000])
    return filter
  }
  return Array.from({ length: count }, () => {
    const filters = [one()]
    while (chance(0.25) && filters.length < 5) {
      filters.push(chance(0.3) ? { ...filters[0], limit: 1 + below(30) } : one())
    }
    return filters
  })
}
