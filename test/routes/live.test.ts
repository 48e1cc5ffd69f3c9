import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import type { RouteRule } from '../../src/pipeline/rule.ts'
import { createLiveRouter } from '../../src/routes/live.ts'
import type { LiveRouter, LiveRouterOptions } from '../../src/routes/live.ts'
import type { DocumentStore } from '../../src/routes/document.ts'
import type { RouteTable } from '../../src/routes/table.ts'
import { virtualClock } from '../support/clock.ts'
import type { VirtualClock } from '../support/clock.ts'
import { outcome, rule } from '../support/routes.ts'

const documentOf = (version: string, ...paths: string[]): string =>
  JSON.stringify({
    openapi: '3.1.0',
    info: { version },
    components: { securitySchemes: { oauth: { type: 'oauth2' } } },
    paths: Object.fromEntries(paths.map((path) => [path, { get: { security: [{ oauth: ['read'] }] } }])),
  })

/** A backend that serves its document, or fails to. */
interface Backend {
  readonly url: string
  document: string
  away: boolean
  /** Requests so far. */
  readonly asked: number
  /** While set, answers wait for it. */
  gate: Promise<void> | undefined
  /** Resolves when the backend has been asked `count` times in all. */
  readonly askedFor: (count: number) => Promise<void>
}

async function backend(t: Test, document: string): Promise<Backend> {
  let asked = 0
  const waiting = new Set<() => void>()
  const server = createServer((request, response) => {
    asked++
    for (const look of waiting) look()
    const { document: answer, away, gate } = state
    void Promise.resolve(gate).then(() => (away ? request.socket.destroy() : response.end(answer)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const state: Backend = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/openapi.json`,
    document,
    away: false,
    gate: undefined,
    get asked() {
      return asked
    },
    askedFor: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (asked < count) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
  return state
}

function memoryStore(content?: string): DocumentStore & { content: string | undefined } {
  return {
    content,
    async read() {
      return this.content
    },
    async write(text) {
      this.content = text
    },
  }
}

interface Live {
  readonly router: LiveRouter
  readonly clock: VirtualClock
  readonly swaps: (string | undefined)[]
  /** Readings begun; counted before any of them travels. */
  readonly loads: () => number
  /** Resolves at the next exchange of the table. */
  readonly swapped: () => Promise<RouteTable>
  readonly ask: (path: string, method?: string) => Promise<string>
}

function live(
  t: Test,
  upstream: Backend | undefined,
  more: {
    store?: DocumentStore
    rules?: readonly RouteRule[]
    layers?: LiveRouterOptions['layers']
    upstream?: string
    dialect?: 'fastapi-all'
  } = {},
): Live {
  const clock = virtualClock()
  const swaps: (string | undefined)[] = []
  let loads = 0
  let announce = Promise.withResolvers<RouteTable>()
  const router = createLiveRouter({
    clock,
    layers: more.layers ?? (() => [{ rules: more.rules ?? [rule('/rule', 'mine', { origin: 'operator' })] }]),
    protectedPrefixes: ['/api'],
    document: upstream && {
      source: 'upstream',
      load: async () => {
        loads++
        return { text: await (await fetch(upstream.url)).text() }
      },
      reading: {
        dialect: more.dialect ?? 'standard',
        undeclared: 'authenticated',
        backendChecksScopes: true,
      },
      refresh: 300_000,
      upstream: more.upstream ?? 'http://backend.example',
      store: more.store,
    },
    onSwap(table, version) {
      swaps.push(version)
      announce.resolve(table)
      announce = Promise.withResolvers()
    },
  })
  t.teardown(() => router.close())
  return {
    router,
    clock,
    swaps,
    loads: () => loads,
    swapped: () => announce.promise,
    ask: async (path, method = 'GET') => outcome(await router.match(method, path)),
  }
}

t.test('the document is read at the start, and hits answer at once', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const { router, clock, swaps } = live(t, upstream)
  await router.start()
  const match = router.match('GET', '/a')
  t.notOk(match instanceof Promise)
  t.equal(router.backendVersion(), '1')
  t.strictSame(swaps, ['1'])
  t.match(router.state, {
    source: 'upstream',
    readAt: clock.now(),
    digest: /^[0-9a-f]{64}$/,
    version: '1',
    rows: 2,
    degraded: false,
    lastError: undefined,
  })
})

t.test('without a document the rules are all there is', async (t) => {
  const { router, swaps, ask } = live(t, undefined)
  await router.start()
  router.noteUpstreamRestart()
  t.equal(await ask('/rule'), 'mine')
  t.equal(await ask('/a'), '404')
  t.match(router.state, { source: 'none', rows: 1, degraded: false })
  t.equal(swaps.length, 1)
  await router.refresh()
})

t.test('a changed document is taken on the interval, on demand, and now and then after a 404', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const { router, clock, swaps, loads, swapped, ask } = live(t, upstream)
  await router.start()

  upstream.document = documentOf('2', '/a', '/b')
  const onInterval = swapped()
  clock.advance(300_000)
  await onInterval
  t.equal(await ask('/b'), 'read')

  upstream.document = documentOf('3', '/c')
  await router.refresh()
  t.equal(await ask('/c'), 'read')
  t.equal(loads(), 3)

  upstream.document = documentOf('4', '/d')
  t.equal(await ask('/d'), '404')
  t.equal(await ask('/c', 'POST'), '405 GET,HEAD')
  clock.advance(29_999)
  t.equal(await ask('/d'), '404')
  t.equal(loads(), 3, 'so soon the table counts')
  clock.advance(1)
  t.strictSame(
    await Promise.all([ask('/d'), ask('/d'), ask('/c')]),
    ['read', 'read', 'read'],
    'one reading for all',
  )
  t.equal(loads(), 4)
  t.equal(await ask('/c'), '404')
  t.equal(loads(), 4)

  await router.refresh()
  t.strictSame(swaps, ['1', '2', '3', '4'], 'the same text is no exchange')
})

t.test('a document with faults never replaces a good one', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const store = memoryStore()
  const { router, clock, ask } = live(t, upstream, { store })
  await router.start()
  const { readAt } = router.state
  clock.advance(1000)
  for (const bad of ['<html>', '{"openapi":"3.1.0"}', documentOf('2', '/{x')]) {
    upstream.document = bad
    await t.rejects(router.refresh(), { code: 'route_table_unavailable' })
  }
  t.equal(await ask('/a'), 'read')
  t.match(router.state, {
    version: '1',
    readAt,
    degraded: true,
    lastError: '#/paths/~1{x: the segment {x cannot be part of a path',
  })
  await router.close()
  t.match(store.content, /\\"version\\":\\"1\\"/)

  upstream.document = documentOf('1', '/a')
  await router.refresh()
  t.match(router.state, { degraded: false, lastError: undefined })
})

t.test('after the backend was away, only a table read since then says what does not exist', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const { router, ask } = live(t, upstream)
  await router.start()
  router.noteUpstreamRestart()
  t.notOk(router.match('GET', '/a') instanceof Promise, 'a hit answers at once')
  t.equal(upstream.asked, 1)

  upstream.document = documentOf('2', '/a', '/b')
  const [b, other, post] = await Promise.all([ask('/b'), ask('/other'), ask('/a', 'POST')])
  t.strictSame([b, other, post], ['read', '404', '405 GET,HEAD'])
  t.equal(upstream.asked, 2, 'one reading for all of them')
  t.notOk(router.match('GET', '/other') instanceof Promise)

  router.noteUpstreamRestart()
  upstream.away = true
  await t.rejects(ask('/other'), { code: 'route_table_unavailable' })
  await t.rejects(ask('/a', 'POST'), { code: 'route_table_unavailable' })
  t.equal(await ask('/a'), 'read')
  t.ok(router.state.degraded)

  upstream.away = false
  t.equal(await ask('/other'), '404')
  t.notOk(router.state.degraded)
})

t.test('a reading that began before the backend came back does not confirm a miss', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const { router, ask } = live(t, upstream)
  await router.start()
  const gate = Promise.withResolvers<void>()
  upstream.gate = gate.promise
  const early = router.refresh()
  await upstream.askedFor(2)
  router.noteUpstreamRestart()
  upstream.document = documentOf('2', '/a', '/b')
  const late = ask('/b')
  gate.resolve()
  await early
  t.equal(await late, 'read')
  t.equal(upstream.asked, 3)
})

t.test('before any document was read a miss waits for one, and so does a public region', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  upstream.away = true
  const rules = [rule('/**', 'public', { origin: 'profile' }), rule('/rule', 'mine', { origin: 'operator' })]
  const { router, ask } = live(t, upstream, { rules })
  await router.start()
  t.match(router.state, { source: 'none', rows: 2, degraded: true, version: undefined })
  t.equal(await ask('/rule'), 'mine')
  await t.rejects(ask('/api/x'), { code: 'route_table_unavailable' })
  await t.rejects(ask('/a'), { code: 'route_table_unavailable' }, '/a may be protected')
  upstream.away = false
  t.equal(await ask('/a'), 'read')
  t.equal(await ask('/index.html'), 'public')
  t.equal(await ask('/api/x'), '404')
})

t.test('the last good copy routes while the backend is away, and denies nothing for good', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const store = memoryStore()
  const first = live(t, upstream, { store })
  await first.router.start()
  await first.router.close()

  upstream.away = true
  const second = live(t, upstream, { store })
  second.clock.advance(5000)
  await second.router.start()
  t.match(second.router.state, {
    source: 'disk',
    degraded: true,
    version: '1',
    readAt: first.clock.now(),
    rows: 2,
  })
  t.equal(await second.ask('/a'), 'read')
  await t.rejects(second.ask('/b'), { code: 'route_table_unavailable' })

  upstream.away = false
  t.equal(await second.ask('/b'), '404')
  t.match(second.router.state, { source: 'upstream', degraded: false })
})

t.test('a copy of another upstream or dialect, or half a one, is ignored', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const store = memoryStore()
  const first = live(t, upstream, { store })
  await first.router.start()
  await first.router.close()
  const whole = store.content ?? ''
  upstream.away = true
  const cases = [
    { store, upstream: 'http://other.example' },
    { store, dialect: 'fastapi-all' as const },
    { store: memoryStore(whole.slice(0, -10)) },
    { store: memoryStore(whole.replace('3.1.0', '2.0')) },
    { store: memoryStore('null') },
    { store: memoryStore() },
    { store: { read: () => Promise.reject(new Error('EIO')), write: () => Promise.resolve() } },
  ]
  for (const options of cases) {
    const { router } = live(t, upstream, options)
    await router.start()
    t.match(router.state, { source: 'none', degraded: true })
  }
})

t.test('a disk that is full is said, and routes on', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const store = { read: () => Promise.resolve(undefined), write: () => Promise.reject(new Error('ENOSPC')) }
  const { router, ask } = live(t, upstream, { store })
  await router.start()
  t.equal(await ask('/a'), 'read')
  await router.close()
  t.match(router.state, { source: 'upstream', degraded: true, lastError: /ENOSPC/ })
})

t.test('a public wildcard over protected rows stops the start; later it yields and is said', async (t) => {
  const upstream = await backend(t, documentOf('1', '/files/a'))
  const rules = [rule('/files/**', 'public', { origin: 'operator' })]
  const refused = live(t, upstream, { rules })
  await t.rejects(refused.router.start(), {
    code: 'config_invalid',
    message: /\/files\/\*\*.*GET \/files\/a/,
  })
  t.equal(refused.clock.waiting, 0, 'nothing is left running')

  upstream.document = documentOf('1', '/b')
  const running = live(t, upstream, { rules })
  await running.router.start()
  upstream.document = documentOf('2', '/files/a')
  await running.router.refresh()
  t.equal(await running.ask('/files/a'), 'read')
  t.match(running.router.state, { degraded: true, lastError: /is public and covers/ })
})

t.test('layers may follow the version, and are asked again on demand', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  let requires = 'first'
  const { router, swaps, ask } = live(t, upstream, {
    layers: (version) => [
      { rules: [rule('/setup', `${requires} v${version ?? ''}`, { origin: 'profile' })] },
    ],
  })
  await router.start()
  t.equal(await ask('/setup'), 'first v1')
  requires = 'second'
  router.rebuild()
  t.equal(await ask('/setup'), 'second v1')
  t.strictSame(swaps, ['1', '1'])
})

t.test('closing ends the refreshing', async (t) => {
  const upstream = await backend(t, documentOf('1', '/a'))
  const { router, clock } = live(t, upstream)
  await router.start()
  t.equal(clock.waiting, 1)
  await router.close()
  t.equal(clock.waiting, 0)
})
