// The events that the third-party relay is filled with: thousands of ordinary ones, and the odd
// ones that archives trip over. No event names a relay other than `relayUrl`: nothing that runs
// here may be led away from this machine.

import { createHash } from 'node:crypto'

import { getPublicKey } from 'nostr-tools/pure'

import { finalizeEvent } from './lib.mjs'

const DAY = 86_400

const authors = Array.from({ length: 12 }, (_, n) => {
  const secret = new Uint8Array(createHash('sha256').update(`interop author ${n}`).digest())
  return { secret, pubkey: getPublicKey(secret) }
})

const sign = (author, kind, created_at, content = '', tags = []) =>
  finalizeEvent({ kind, created_at, content, tags }, authors[author % authors.length].secret)

/** Ordinary events, in the order in which they are to be published. */
export function ordinary(relayUrl, now) {
  const events = []
  const add = (...args) => events.push(sign(...args)) && events.at(-1)

  // Sparse: notes over 400 days.
  for (let n = 0; n < 900; n++) {
    add(n, 1, now - 400 * DAY + n * Math.floor((399 * DAY) / 900), `note ${n} 🌍`)
  }
  // Dense: more than twice the relay's cap in one hour, notes, reactions and reposts.
  const hour = now - 30 * DAY
  for (let n = 0; n < 1_100; n++) {
    const other = events[n % 900]
    const tags = [['e', other.id], ['p', other.pubkey], ['k', '1']]
    const [kind, content] = [[7, '+'], [7, '🤙'], [6, ''], [1, `answer ${n}`]][n % 4]
    add(n, kind, hour + (n % 3_600), content, [...tags, ['nonce', String(n)]])
  }
  // Busy seconds: under the cap each, and together so many that pages end within them.
  for (const [second, count] of [[hour + 100, 300], [hour + 101, 310], [hour + 102, 290], [now - 7 * DAY, 450]]) {
    for (let n = 0; n < count; n++) add(n, 1, second, `in one second ${n}`)
  }
  // Gift wraps, direct messages, zaps, channels, and the ends of the kind ranges.
  for (const kind of [4, 8, 16, 40, 42, 1_059, 1_063, 1_984, 9_735, 9_999, 40_000, 65_535]) {
    for (let n = 0; n < 40; n++) {
      add(n, kind, now - 200 * DAY + kind * 60 + n, `kind ${kind}, ${n}`, [['p', authors[(n + 1) % 12].pubkey]])
    }
  }
  // Replaceable: four versions each, of which the relay keeps the last.
  for (let version = 0; version < 4; version++) {
    for (let n = 0; n < authors.length; n++) {
      const at = now - 100 * DAY + version * 1_000 + n
      add(n, 0, at, JSON.stringify({ name: `author ${n}`, about: `version ${version} "ü"` }))
      add(n, 3, at, '', authors.map(author => ['p', author.pubkey]))
      add(n, 10_002, at, '', [['r', relayUrl], ['v', String(version)]])
    }
  }
  // Addressable: three versions of several addresses each.
  for (let version = 0; version < 3; version++) {
    for (let n = 0; n < 90; n++) {
      const kind = [30_000, 30_023, 30_078, 39_999][n % 4]
      add(n, kind, now - 90 * DAY + version * 1_000 + n, `article ${n}.${version}`, [['d', `address-${n}`]])
    }
  }
  // Deletions of some of the notes.
  for (let n = 0; n < 30; n++) {
    const target = events[n * 3]
    add(n * 3, 5, now - 2 * DAY + n, 'a mistake', [['e', target.id], ['k', '1']])
  }
  return events
}

/** Odd events by what is odd about them. A relay is free to refuse any of them. */
export function odd(now) {
  const contents = {
    'empty content': '',
    'a NUL': 'before\u0000after\u0000',
    'control characters': '\u0001\b\t\n\u000b\f\r\u001b\u001f\u007f',
    'escapes as text': '\\u0000 \\n \\\\ \\" "quoted" \'single\' / \\/',
    'emoji of many parts': '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇮🇹 ❤️',
    'beyond the basic plane': '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠜎',
    'right to left': '\u202eשלום مرحبا\u202c',
    'separators and marks': '\u2028\u2029\ufeff\u200b\u00a0\uffff\ufffd',
    'composed and decomposed': 'é e\u0301 Å \u212b ﬁ',
    'long content': 'long 🐘 '.repeat(8_000),
    'JSON within': JSON.stringify({ a: [1, { b: '\u0000"' }] }),
    'SQL within': "'); drop table events; -- $1 %s {}",
  }
  const tags = {
    'a long tag value': [['r', 'v'.repeat(9_000)]],
    'a tag with NUL': [['t', 'a\u0000b'], ['\u0000', '\u0000']],
    'empty strings in tags': [[''], ['', ''], ['t', '']],
    'a tag without value': [['t']],
    'repeated tags': [['t', 'x'], ['t', 'x'], ['t', 'x']],
    'hundreds of tags': Array.from({ length: 400 }, (_, n) => ['t', `tag ${n} ñ`]),
    'a tag of many elements': [['imeta', ...Array.from({ length: 200 }, (_, n) => `element ${n}`)]],
    'an empty tag': [[]],
    'upper-case hex in p': [['p', 'AB'.repeat(32)]],
    'an expiry far off': [['expiration', String(now + 10 * 365 * DAY)]],
    'a protected event': [['-']],
  }
  const times = { 'time 1': 1, 'time 0': 0, 'a year before 2000': 900_000_000, 'in an hour': now + 3_600,
    'after 2038': 2 ** 31 + 1, 'above 2^32': 2 ** 32 + 1, 'time 2^53-1': 2 ** 53 - 1 }
  const found = []
  let n = 0
  const add = (name, ...args) => found.push({ name, event: sign(n, ...args) })
  for (const [name, content] of Object.entries(contents)) add(name, 1, now - 50 * DAY + ++n, content)
  for (const [name, list] of Object.entries(tags)) add(name, 1, now - 50 * DAY + ++n, name, list)
  for (const [name, at] of Object.entries(times)) add(name, 1, at, `${name} ${++n}`)
  return found
}

/** Events that a third-party relay may take and that no archive must. */
export function forged(now) {
  const honest = sign(0, 1, now - 40 * DAY, 'an honest note')
  return [
    { name: 'another id', event: { ...honest, id: 'f0'.repeat(32) } },
    { name: 'changed content', event: { ...honest, content: 'a dishonest note' } },
  ]
}

/** Events with an expiry (NIP-40), by what it is. Relays differ in what they do with them. */
export function expiring(now) {
  return [-86_400, -60, 3_600, 86_400].flatMap(left => Array.from({ length: 5 }, (_, n) => ({
    name: left < 0 ? `expired ${-left} s ago` : `expires in ${left} s`,
    event: sign(n, 1, now - 20 * DAY + n, `gone in ${left} s`, [['expiration', String(now + left)]]),
  })))
}

/** Notes published while the node watches, others for each relay. */
export function fresh(count, relay = '') {
  const now = Math.floor(Date.now() / 1_000)
  return Array.from({ length: count }, (_, n) => sign(n, 1, now, `live ${n} of ${now} ${relay}`))
}
