// Uses the page at / and the documentation at /docs in headless Chromium, as a person would: on a
// desktop and a phone, in the light and in the dark, by keyboard, with hostile data.
//
//   node page.mjs CHROMIUM API_URL OUR_RELAY_URL NODE_PUBKEY RELAY_URL
//
// INTEROP_SCREENSHOTS=folder keeps pictures of what it saw.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

import { chromium } from 'playwright-core'

import { check, expect, expectSame, rest, until } from './lib.mjs'

const [program, api, ours, node, theirs] = process.argv.slice(2)
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8')
const screenshots = process.env.INTEROP_SCREENSHOTS
// The first line is what a container needs, the rest keeps Chromium from calling home.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
  '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic',
]
const HOSTILE = [
  '<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', '\u202Etxet desrever', 'a'.repeat(50_000), 'javascript:alert(3)',
  '{{constructor.constructor("alert(4)")()}}', '\u0000\u0007\uD800', 'Z\u0351\u0310\u0300'.repeat(300),
]

const browser = await chromium.launch({ executablePath: program, args: FLAGS })
const complaints = []
const strangers = new Set()
let steps = 0

/** Opens a view and waits until nothing is loading any more. */
async function open(context, target) {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.on('console', message => message.type() === 'error' && complaints.push(`${target}: ${message.text()}`))
  page.on('pageerror', error => complaints.push(`${target}: ${error.message}`))
  page.on('dialog', dialog => {
    complaints.push(`${target}: a dialog says ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('request', request => request.url().startsWith(api) || strangers.add(request.url()))
  page.on('websocket', socket => new URL(socket.url()).href === new URL(ours).href || strangers.add(socket.url()))
  await page.goto(api + target)
  await settled(page)
  return page
}

async function settled(page) {
  await page.waitForSelector('main h1')
  await page.waitForFunction(() => document.querySelectorAll('.waiting').length === 0)
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${String(++steps).padStart(2, '0')}-${name}.png`, fullPage: true })
}

/** What a checker of accessibility finds wrong; `best practices` are no rules. */
async function expectAccessible(page) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }))
  const said = found.violations.map(one => `${one.id} at ${one.nodes[0].target}`)
  expectSame(said, [], 'what axe finds')
  return found.passes.length
}

const LIGHT = { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }
const light = await browser.newContext(LIGHT)
const phone = await browser.newContext(PHONE)

await check('page: the overview shows the numbers that REST gives', async () => {
  const page = await open(light, '/')
  const { data } = await rest(api, '/events/stats?window=all')
  const tiles = await page.locator('.tile').allInnerTexts()
  const events = Number(tiles.find(text => text.startsWith('Events')).split('\n')[1].replaceAll(',', ''))
  expect(Math.abs(events - data.events) < 100 && events > 0, `${events} events, wanted about ${data.events}`)
  for (const title of ['Relays by network', 'Software', 'NIPs that relays list', 'Kinds with most events']) {
    expectSame(await page.locator('table caption', { hasText: title }).count(), 1, title)
  }
  const chart = page.locator('svg[role=img]')
  expect((await chart.first().getAttribute('aria-label')).startsWith('Events per day by class. '), 'the chart says nothing')
  await picture(page, 'overview')
  return `${await expectAccessible(page)} rules of axe`
})

await check('page: the table of relays sorts and filters, by keyboard too', async () => {
  const page = await open(light, '/#/relays')
  const relay = page.locator('tbody th a', { hasText: theirs.replace(/\/$/, '') })
  await relay.waitFor()
  await page.waitForSelector('tbody .spark')
  const head = page.locator('th', { has: page.locator('button.sort', { hasText: 'Relay' }) })
  expectSame(await head.getAttribute('aria-sort'), 'none', 'aria-sort before')
  await head.locator('button').focus()
  await page.keyboard.press('Enter')
  expectSame(await head.getAttribute('aria-sort'), 'ascending', 'aria-sort after')
  expect(await head.locator('button').evaluate(button => button === document.activeElement), 'the focus is lost')
  await page.keyboard.press('Enter')
  expectSame(await head.getAttribute('aria-sort'), 'descending', 'aria-sort after again')
  await page.fill('input[name=q]', 'there is no such relay')
  expectSame(await page.locator('tbody a').count(), 0, 'relays found by nonsense')
  await page.fill('input[name=q]', '')
  await page.selectOption('select[name=network]', 'tor')
  await page.waitForFunction(() => location.hash.includes('network=tor'))
  await settled(page)
  expectSame(await relay.count(), 0, 'our relay among those of tor')
  await page.selectOption('select[name=network]', '')
  await relay.waitFor()
  await expectAccessible(page)
  await picture(page, 'relays')
  await relay.click()
  await page.waitForSelector('.facts')
  expect(await page.locator('h1').evaluate(heading => heading === document.activeElement), 'the heading has no focus')
})

await check('page: a relay has its own page with history and kinds', async () => {
  const page = await open(light, `/#/relay/${encodeURIComponent(theirs)}`)
  const text = await page.locator('main').innerText()
  for (const part of ['interop relay', 'online', 'History', 'Round-trip times', 'Kind 1']) expect(text.includes(part), `no ${part}`)
  expect(await page.locator('table tbody tr', { hasText: 'yes' }).count() > 0, 'no checks are listed')
  await page.selectOption('section select', '24h')
  await settled(page)
  await page.getByText('NIP-11: what the relay says').click()
  await expectAccessible(page)
  await picture(page, 'relay')
  const missing = await open(light, `/#/relay/${encodeURIComponent('wss://not.here.example')}`)
  expect((await missing.locator('main').innerText()).includes('this relay is not known'), 'a relay that is not there')
})

await check('page: reports come live from our relay', async () => {
  const page = await open(light, '/#/live')
  const row = page.locator('tbody tr', { hasText: new URL(theirs).host }).first()
  await row.waitFor()
  expect((await row.innerText()).includes(node.slice(0, 8)), 'the monitor is not named')
  await page.getByText('Connected: new reports').waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  expectSame(await page.getByRole('button', { name: 'Pause' }).getAttribute('aria-pressed'), 'true', 'aria-pressed')
  await expectAccessible(page)
  await picture(page, 'live')
})

await check('page: a job is signed, sent and answered in the browser', async () => {
  const page = await open(light, '/#/ask')
  await page.selectOption('#question', 'kinds.list')
  await page.fill('#job-limit', '3')
  await page.getByRole('button', { name: 'Send the job' }).click()
  await page.waitForSelector('section:not([hidden]) pre', { state: 'attached' })
  const log = await page.locator('.log').innerText()
  for (const part of ['The relay took it', 'processing', 'Result (kind 6450)']) expect(log.includes(part), `no ${part} in ${log}`)
  const answer = JSON.parse(await page.locator('[aria-label=Result] pre').last().textContent())
  const same = await rest(api, '/kinds?limit=3')
  expectSame(answer.data, same.data, 'the answer')
  await expectAccessible(page)
  await picture(page, 'ask')

  await page.fill('#job-relay', 'nonsense')
  await page.getByRole('button', { name: 'Send the job' }).click()
  await page.getByText('not a relay URL').first().waitFor()
})

await check('page: a key of the browser signs where there is one (NIP-07)', async () => {
  const context = await browser.newContext(LIGHT)
  // Stands for an extension. It signs nothing right, which the page has to notice.
  await context.addInitScript(() => {
    window.nostr = {
      getPublicKey: async () => 'ab'.repeat(32),
      signEvent: async event => ({ ...event, id: '00'.repeat(32), sig: '00'.repeat(64) }),
    }
  })
  const page = await open(context, '/#/ask')
  await page.selectOption('#signer', 'nip07')
  await page.getByRole('button', { name: 'Send the job' }).click()
  await page.getByText('gave back an event that is not valid').waitFor()
  await context.close()
})

await check('page: the documentation has every question, to be tried', async () => {
  const page = await open(light, '/docs')
  const { data } = await rest(api, '/catalog')
  for (const { name } of data) expectSame(await page.locator(`[id="q-${name}"]`).count(), 1, name)
  const kinds = page.locator('[id="q-kinds.get"]')
  await kinds.getByText('Try it').click()
  await kinds.locator('[name=kind]').fill('1')
  await kinds.getByRole('button', { name: 'Ask' }).click()
  await kinds.getByText('→ 200').waitFor()
  await expectAccessible(page)
  await picture(page, 'docs')
})

await check('page: on a phone, in the dark, nothing sticks out', async () => {
  for (const target of ['/', '/#/relays', `/#/relay/${encodeURIComponent(theirs)}`, '/#/live', '/#/ask', '/docs']) {
    const page = await open(phone, target)
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    expect(over <= 0, `${target} is ${over} pixels too wide`)
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number))
    expect(back.every(part => part < 60), `${target} is not dark: ${back}`)
    await expectAccessible(page)
    await picture(page, `phone${target.replaceAll(/\W+/g, '-').slice(0, 20)}`)
    await page.close()
  }
})

await check('page: the first key leads to the content, headings and landmarks are there', async () => {
  const page = await open(light, '/')
  await page.keyboard.press('Tab')
  expectSame(await page.evaluate(() => document.activeElement.textContent), 'Skip to content', 'the first stop')
  await page.keyboard.press('Enter')
  await until(5, 'focus on the content', () => page.evaluate(() => document.activeElement.id === 'main'))
  for (const role of ['banner', 'navigation', 'main', 'contentinfo']) {
    expect(await page.getByRole(role).count() > 0, `no ${role}`)
  }
  expectSame(await page.locator('[aria-current=page]').innerText(), 'Overview', 'the current page')
})

await check('page: what strangers say is text, whatever it looks like', async () => {
  const context = await browser.newContext(LIGHT)
  const row = (text, n) => ({
    url: `wss://r${n}.example.com/${encodeURIComponent(text.toWellFormed().slice(0, 80))}`, network: text, country: text, status: text,
    discovered_at: 1, checked_at: null, rtt_open_ms: 1, rtt_read_ms: null, rtt_write_ms: null,
    name: text, software: text, version: text, events: n, pubkeys: n, kinds: n,
  })
  const answers = {
    '/v1/relays': HOSTILE.map(row),
    '/v1/software': HOSTILE.map(software => ({ software, relays: 3, online: 1 })),
    '/v1/countries': HOSTILE.map(country => ({ country, relays: 3, online: 1 })),
    '/v1/networks': HOSTILE.map(network => ({ network, relays: 3, online: 1 })),
  }
  const meta = { as_of: 1_800_000_000, params: {}, query: 'x' }
  await context.route(url => Object.hasOwn(answers, url.pathname), route =>
    route.fulfill({ json: { data: answers[new URL(route.request().url()).pathname], meta } }))
  const nip11 = Object.fromEntries(['name', 'description', 'software', 'version', 'pubkey', 'contact'].map((name, n) => [name, HOSTILE[n]]))
  await context.route(url => /^\/v1\/relays\/[^/]+$/.test(url.pathname), route =>
    route.fulfill({ json: { data: { ...row(HOSTILE[0], 1), checked_at: 9e15, first_at: -1e300, nip11: { ...nip11, supported_nips: [{}, HOSTILE[0], 1] }, nip66: HOSTILE }, meta } }))
  for (const target of ['/', '/#/relays', `/#/relay/${encodeURIComponent(HOSTILE[0])}`]) {
    const page = await open(context, target)
    await page.waitForTimeout(300)
    const made = await page.evaluate(() => document.querySelectorAll('main img, main script, main iframe, main [onerror]').length)
    expectSame(made, 0, `elements made of text at ${target}`)
    const links = await page.locator('main a').evaluateAll(all => all.map(link => link.protocol))
    expect(links.every(protocol => protocol === 'http:'), `links to ${links}`)
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    expect(over <= 0, `${target} is ${over} pixels too wide`)
    await picture(page, 'hostile')
  }
  await context.close()
})

await check('page: it asks nobody but this node, and nothing complains', async () => {
  expectSame([...strangers], [], 'who else is asked')
  // A browser also complains of every answer that says that something is not there, or nonsense.
  const unexpected = complaints.filter(text => !/not\.here\.example.*404|%3Cimg.*400/.test(text))
  expectSame(unexpected, [], 'the complaints')
})

await browser.close()
