// The events of interop/oracle, the same for the same seed: every class of NIP-01, many versions and
// ties, deletions in every order of time, expiries, requests to vanish, odd tags and texts. No event
// names a relay of this world.

import { createHash } from 'node:crypto'

import { getPublicKey } from 'nostr-tools/pure'

import { finalizeEvent } from './lib.mjs'

/** Where the corpus lies in time: fixed, so that ids are. */
export const EPOCH = 1_750_000_000
const PAST = EPOCH - 1_000
const FAR = 4_000_000_000

/** A generator of numbers from 0 to 1 (mulberry32), with what is drawn by it. */
export function random(seed) {
  let state = createHash('sha256').update(String(seed)).digest().readUInt32LE(0)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = n => Math.floor(next() * n)
  const pick = list => list[below(list.length)]
  const some = (list, most) => Array.from({ length: 1 + below(most) }, () => pick(list))
  const shuffled = list => {
    const all = [...list]
    for (let n = all.length - 1; n > 0; n--) {
      const other = below(n + 1)
      ;[all[n], all[other]] = [all[other], all[n]]
    }
    return all
  }
  return { below, pick, some, shuffled, chance: p => next() < p }
}

const WORDS = ['nostr', 'Nostr', '', 'ñandú', '🌍', 'a:b', "it's", 'x"y', 'back\\slash', ' space ', 'a\u0000b',
  'line\nbreak', 'e\u0301', 'é', '\u202eשלום', '%', '_', 'null', '0', 'long'.repeat(400)]
const TEXTS = ['', 'gm', 'before\u0000after', '\\u0000', '"quoted" \\ / \b\t\n\f\r\u001f\u007f', '👩‍👩‍👧‍👦 🏳️‍🌈',
  '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈', '\u2028\u2029\ufeff\uffff', "'); drop table events; --", '{"a":[1,{"b":null}]}', 'long 🐘 '.repeat(900)]
const NAMES = ['', 'one', 'two', 'ñ', 'with:colon:s', 'a\u0000b', ' ', "quote'd", '0']

/** Makes about so many events, in the order of their times. */
export function corpus(seed, size) {
  const { below, pick, chance, some } = random(`corpus ${seed}`)
  const authors = Array.from({ length: 40 }, (_, n) => {
    const secret = new Uint8Array(createHash('sha256').update(`oracle ${seed} ${n}`).digest())
    return { secret, pubkey: getPublicKey(secret) }
  })
  const vanishing = authors.splice(0, 3)
  // Few moments for many events, so that there are ties.
  const moments = Array.from({ length: Math.ceil(size / 6) }, () => EPOCH + below(60 * 86_400))
  const events = []
  const add = (author, kind, created_at, tags = [], content = pick(TEXTS)) => {
    const event = finalizeEvent({ kind, created_at, tags, content: `${content}` }, author.secret)
    events.push(event)
    return event
  }
  const author = () => authors[Math.min(below(authors.length), below(authors.length))]
  const times = (share, body) => {
    for (let n = 0; n < size * share; n++) body(n)
  }
  const reference = () => (events.length ? pick(events).id : 'f'.repeat(64))
  const oddTags = () => pick([
    [[]], [['']], [['', '']], [['t']], [['t', '', 'third']], [['t', 'x'], ['t', 'x']], [['tt', 'nostr']],
    [['é', 'nostr']], [['1', 'nostr']], [['T', 'nostr', 'second']], [['p', 'AB'.repeat(32)]], [['t', 'first', 'nostr']],
    [['r', 'v'.repeat(5_000)]], Array.from({ length: 120 }, (_, n) => ['t', `tag ${n}`]), [['\u0000', '\u0000']],
    [['e', 'not an id']], [['d', 'one']], [['imeta', 'url x', 'm y']],
  ])
  const someTags = () => {
    const tags = []
    for (let n = below(4); n > 0; n--) {
      tags.push(pick([
        () => ['t', pick(WORDS)], () => ['p', author().pubkey], () => ['e', reference(), '', 'reply'],
        () => ['E', reference()], () => ['q', reference()], () => ['k', String(below(8))], () => ['L', pick(WORDS), 'extra'],
        () => ['a', `30023:${author().pubkey}:${pick(NAMES)}`], () => ['Z', 'z'],
      ])())
    }
    return chance(0.1) ? [...tags, ...oddTags()] : tags
  }

  times(0.34, () => add(author(), 1, pick(moments), someTags()))
  times(0.12, () => add(author(), pick([6, 7, 7, 7, 16]), pick(moments), [['e', reference()], ['p', author().pubkey], ['k', '1']], '+'))
  times(0.08, () => add(author(), pick([2, 4, 8, 40, 44, 45, 999, 1_000, 1_063, 1_111, 9_735, 9_999, 40_000, 65_535]), pick(moments), someTags()))
  times(0.03, () => add(author(), 1_059, pick(moments), [['p', author().pubkey]], 'sealed'))
  times(0.01, () => add(author(), pick([20_000, 25_000, 29_999]), pick(moments), someTags()))
  // Versions, often two of one second.
  const addresses = []
  times(0.09, () => {
    const whose = author()
    const kind = pick([0, 3, 10_000, 10_002, 10_166, 19_999])
    let at = pick(moments)
    for (let n = 1 + below(3); n > 0; n--, at += pick([0, 0, 1, 7, 900])) add(whose, kind, at, someTags(), `version ${below(1e9)}`)
    addresses.push([whose, kind, '', at])
  })
  times(0.09, () => {
    const whose = author()
    const [kind, name] = [pick([30_000, 30_000, 30_023, 30_078, 30_166, 39_999]), pick(NAMES)]
    let at = pick(moments)
    for (let n = 1 + below(3); n > 0; n--, at += pick([0, 0, 1, 7, 900])) {
      const d = name === '' ? pick([[], [['d']], [['d', '']], [['d', '', 'x']]]) : pick([[['d', name]], [['d', name, 'x']], [['d', name], ['d', 'other']]])
      add(whose, kind, at, [...d, ...someTags()], `version ${below(1e9)}`)
    }
    addresses.push([whose, kind, name, at])
  })
  for (const tags of [[['-']], [['t', 'nostr'], ['-']], [['-'], ['d', 'one']]]) {
    times(0.003, () => add(author(), pick([1, 0, 30_000]), pick(moments), tags))
  }
  // Expiries: past, far, and such as are none.
  for (const said of [PAST, PAST, FAR, FAR, 'soon', '', '12 3', '1e3', `${FAR}.5`, '0x10']) {
    times(0.004, () => add(author(), pick([1, 1, 7, 0, 30_000]), pick(moments), [['expiration', `${said}`], ...someTags()]))
  }
  times(0.002, () => add(author(), 1, pick(moments), [['expiration', String(FAR)], ['expiration', String(PAST)]]))
  // Times at the ends.
  for (const at of [0, 1, 900_000_000, 2 ** 31 - 1, 2 ** 31 + 1, 2 ** 32 + 1, 2 ** 53 - 1]) {
    add(author(), 1, at, [['t', 'nostr']], `at ${at}`)
    add(author(), 30_023, at, [['d', 'ends']], `at ${at}`)
  }
  // Those who vanish: some events before, some at that second, some later, and what is for them.
  for (const [n, whose] of vanishing.entries()) {
    const at = EPOCH + 86_400 * (20 + n)
    for (const shift of [-86_400, -100, -1, 0, 1, 86_400]) {
      add(whose, 1, at + shift, someTags())
      add(whose, 30_000, at + shift, [['d', `v${below(2)}`]])
      add(author(), 1_059, at + shift, [['p', whose.pubkey]], 'sealed')
    }
    add(whose, 62, at, [['relay', n === 2 ? 'ws://127.0.0.1:9/elsewhere' : 'ALL_RELAYS']], 'forget me')
    add(whose, 5, at - 50, [['e', pick(events.filter(event => event.pubkey === whose.pubkey)).id]], '')
  }
  deletions()
  // Of one second in the order of making: relays differ in which of two versions stays.
  const unique = [...new Map(events.map(event => [event.id, event])).values()]
  return unique.sort((a, b) => a.created_at - b.created_at)

  function deletions() {
    const secretOf = new Map([...authors, ...vanishing].map(each => [each.pubkey, each]))
    const near = at => Math.max(0, Math.min(at + pick([-900, -1, 0, 0, 1, 5_000]), EPOCH + 9e6))
    const targets = [...events]
    const own = () => {
      const target = pick(targets)
      return [secretOf.get(target.pubkey), target]
    }
    times(0.04, () => {
      const [whose, target] = own()
      add(whose, 5, near(target.created_at), [['e', target.id], ['k', String(target.kind)]], 'a mistake')
    })
    // Of somebody else's, and of some of both.
    times(0.01, () => add(author(), 5, pick(moments), [['e', pick(targets).id]], 'not mine'))
    times(0.006, () => {
      const [whose, target] = own()
      add(whose, 5, pick(moments), some(targets, 3).concat(target).map(({ id }) => ['e', id]), 'mine and others')
    })
    times(0.004, () => add(author(), 5, pick(moments), [['e', createHash('sha256').update(`none ${below(1e9)}`).digest('hex')]], 'unknown'))
    times(0.03, () => {
      const [whose, kind, name, at] = pick(addresses)
      add(whose, 5, near(at), [['a', `${kind}:${whose.pubkey}:${name}`], ['k', String(kind)]], 'by address')
    })
    times(0.004, () => {
      const [whose, kind, name, at] = pick(addresses)
      add(author(), 5, at + 10, [['a', `${kind}:${whose.pubkey}:${name}`]], 'not my address')
    })
    // Gift wraps by whom they are for; deletions of deletions.
    const wraps = targets.filter(({ kind }) => kind === 1_059)
    times(0.005, () => {
      const wrap = pick(wraps)
      add(secretOf.get(wrap.tags[0][1]), 5, wrap.created_at + 10, [['e', wrap.id]], 'for me')
    })
    const done = events.filter(({ kind }) => kind === 5)
    times(0.005, () => {
      const target = pick(done)
      add(secretOf.get(target.pubkey), 5, target.created_at + 10, [['e', target.id]], 'undo')
    })
  }
}
