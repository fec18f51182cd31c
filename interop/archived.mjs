// Waits until the node has archived the third-party relay.
//
//   node archived.mjs RELAY_URL API_URL HOLDINGS_FILE

import { check, expect, readLines, rest, sleep, until } from './lib.mjs'

const [url, api, holdingsFile] = process.argv.slice(2)
const wanted = readLines(holdingsFile).length
const relayPath = `/relays/${encodeURIComponent(url)}`

const stored = async () => (await rest(api, '/events/stats?window=all')).data.events

await check('the node reads the relay to the end', async () => {
  const started = Date.now()
  let coverage
  await until(60, 'no complete scan', async () => {
    coverage = (await rest(api, relayPath)).data.coverage
    // `scan_at` is where a scan stands that is under way.
    return coverage.to !== null && coverage.scan_at === null
  }).catch(error => {
    throw new Error(`${error.message}, ${JSON.stringify(coverage)}`)
  })
  return `${((Date.now() - started) / 1_000).toFixed(1)} s, ${JSON.stringify(coverage)}`
})

await check('its statistics count every event of the relay', async () => {
  const count = await until(20, 'the count does not settle', async () => {
    const before = await stored()
    await sleep(1_500)
    return (await stored()) === before && before > 0 && before
  })
  expect(count >= wanted, `${count} events counted, the relay holds ${wanted}`)
  return `${count} events`
})
