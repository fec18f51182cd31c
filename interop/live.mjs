// Publishes to the third-party relay while the node watches it: the live tail.
//
//   node live.mjs RELAY_URL API_URL HOLDINGS_FILE

import { appendFileSync } from 'node:fs'

import { canonical, check, connect, expectSame, rest, until } from './lib.mjs'
import { fresh } from './events.mjs'

const [url, api, holdingsFile] = process.argv.slice(2)

await check('events published now are archived soon', async () => {
  const relay = await connect(url)
  const events = fresh(10)
  for (const event of events) await relay.publish(event)
  relay.close()
  appendFileSync(holdingsFile, events.map(event => JSON.stringify(event) + '\n').join(''))

  const started = Date.now()
  for (const event of events) {
    const archived = await until(15, `event ${event.id}`, async () => (await rest(api, `/events/${event.id}`)).data)
    expectSame(canonical(archived), canonical(event), 'the archived event')
  }
  return `${events.length} events, ${((Date.now() - started) / 1_000).toFixed(1)} s`
})

await check('the relay is caught up with again', async () => {
  const now = Math.floor(Date.now() / 1_000)
  const path = `/relays/${encodeURIComponent(url)}`
  let coverage
  await until(20, 'no complete scan', async () => {
    coverage = (await rest(api, path)).data.coverage
    return coverage.to >= now && coverage.scan_at === null
  }).catch(error => {
    throw new Error(`${error.message}, wanted to ${now}: ${JSON.stringify(coverage)}`)
  })
  return JSON.stringify(coverage)
})
