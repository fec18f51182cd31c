// NIP-77 by nostr-tools: it holds a half of what a filter matches, and events that the relay has not,
// and has to find out exactly what is on either side alone.

import { createHash } from 'node:crypto'

import { connect, within } from './lib.mjs'
import { random } from './oracle-corpus.mjs'
import { matches } from './oracle-model.mjs'

// The package has it, but does not export it.
const { NegentropyStorageVector, NegentropySync } = await import('./node_modules/nostr-tools/lib/esm/nip77.js')

const MOST = 25

/** The last second whose bound this package can write: its numbers there have 32 bits, with a sign. */
const LAST = 2 ** 31 - 2

/** Reconciles what a filter matches; says whether the differences found are the real ones. */
export async function reconcileOne(relay, filter, matching) {
  const { chance } = random(JSON.stringify(filter))
  const storage = new NegentropyStorageVector()
  const need = []
  for (const event of matching) {
    if (chance(0.5)) storage.insert(event.created_at, event.id)
    else need.push(event.id)
  }
  const have = Array.from({ length: 5 }, (_, n) => createHash('sha256').update(`ours ${n}`).digest('hex'))
  have.forEach((id, n) => storage.insert(1_751_000_000 + n, id))
  storage.seal()
  const found = { have: [], need: [] }
  const error = await within(300, 'end of the reconciliation', (resolve, reject) => {
    const sync = new NegentropySync(relay, storage, filter, {
      onhave: id => found.have.push(id),
      onneed: id => found.need.push(id),
      // It is not told why the relay refused.
      onclose: reason => resolve(reason),
    })
    sync.start().catch(reject)
  }).catch(({ message }) => message)
  const same = (a, b) => JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted())
  const isRight = error === undefined && same(found.have, have) && same(found.need, need)
  return { filter, matching: matching.length, isRight, error, found: found.need.length, wanted: need.length }
}

/** Reconciles everything and some of the questions. */
export async function reconcile(url, questions, events, held) {
  const shown = new Set(held)
  const relay = await connect(url)
  const results = []
  const suitable = questions.map(([filter]) => filter).filter(filter => Object.values(filter).every(value => value?.length !== 0))
  for (const { limit: _, ...asked } of [{}, ...suitable.slice(0, MOST)]) {
    const filter = { ...asked, until: Math.min(asked.until ?? LAST, LAST) }
    results.push(await reconcileOne(relay, filter, events.filter(event => shown.has(event.id) && matches(filter, event))))
  }
  relay.close()
  return results
}
