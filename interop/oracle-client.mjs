// A plain client for interop/oracle: what a relay says is kept as it was said, in its order.

import WebSocket from 'ws'

// Generous: machines are busy, and what is silent on purpose is asked with less.
const SILENCE_MS = 300_000
// Some relays answer some events with nothing, dozens of them; they answer the others in a millisecond.
const NO_OK_MS = 3_000

/** Connects; `ask` and `publish` answer once the relay has, or with {silent: true}. */
export async function open(url) {
  const waiting = new Map()
  const notices = []
  let socket
  const end = (key, answer) => {
    const entry = waiting.get(key)
    if (!entry) return
    clearTimeout(entry.timer)
    waiting.delete(key)
    entry.resolve(answer)
  }
  const heard = data => {
    const [verb, key, ...rest] = JSON.parse(data)
    const entry = waiting.get(key)
    if (verb === 'EVENT') entry?.events.push(rest[0])
    else if (verb === 'EOSE') end(key, { ids: entry?.events.map(({ id }) => id), events: entry?.events })
    else if (verb === 'CLOSED') end(key, { closed: rest[0] })
    else if (verb === 'COUNT') end(key, rest[0])
    else if (verb === 'OK' && waiting.has(key)) end(key, { taken: rest[0], text: rest[1] })
    else if (verb === 'OK') {
      // nostr-relay names no id when it refuses, and is slow on this connection from then on.
      end(waiting.keys().next().value, { taken: rest[0], text: rest[1] })
      socket.close()
    }
    else if (verb === 'NOTICE') notices.push(key)
  }
  let connecting
  const connect = () => connecting ??= new Promise((resolve, reject) => {
    const mine = new WebSocket(url, { maxPayload: 64 << 20 })
    socket = mine
    mine.on('open', resolve)
    mine.on('error', reject)
    mine.on('message', heard)
    mine.on('open', () => { connecting = undefined })
    mine.on('close', () => socket === mine && [...waiting.keys()].forEach(key => end(key, { cut: true })))
  })
  await connect()
  const send = async (key, message, silence = SILENCE_MS) => {
    if (socket.readyState !== WebSocket.OPEN) await connect()
    return new Promise(resolve => {
      const timer = setTimeout(() => end(key, { silent: true }), silence)
      waiting.set(key, { resolve, timer, events: [] })
      socket.send(JSON.stringify(message))
    })
  }
  let serial = 0
  return {
    notices,
    publish: (event, silence) => send(event.id, ['EVENT', event], silence),
    async ask(filters, silence) {
      const key = `q${serial++}`
      const answer = await send(key, ['REQ', key, ...filters], silence)
      if (answer.closed === undefined && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(['CLOSE', key]))
      return answer
    },
    count(filters, silence) {
      const key = `c${serial++}`
      return send(key, ['COUNT', key, ...filters], silence)
    },
    close: () => socket.terminate(),
  }
}

/** Publishes all, nearly in order; what gets no answer is sent again, alone. */
export async function publishAll(relay, events, width) {
  const results = []
  for (let n = 0; n < events.length; n += width) {
    const some = events.slice(n, n + width)
    const answers = await Promise.all(some.map(event => relay.publish(event, NO_OK_MS)))
    for (const [at, event] of some.entries()) {
      results.push(answers[at].taken === undefined ? await relay.publish(event, NO_OK_MS) : answers[at])
    }
  }
  return results
}

/** Does this for all members, so many at a time, and returns the results in their order. */
export async function side(list, width, body) {
  const results = []
  let next = 0
  const work = async () => {
    while (next < list.length) {
      const n = next++
      results[n] = await body(list[n], n)
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  return results
}
