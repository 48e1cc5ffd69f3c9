import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Redis } from 'ioredis'
import t from 'tap'
import { execute } from '../support/database.ts'
import { configOf, databaseSettings, freshGateway, inFolder } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { fillRomm } from '../support/romm/fixture.ts'
import { createRommSchema } from '../support/romm/schema.ts'
import { freshMariadb, freshPostgres } from '../support/services.ts'
import { fixture, freshLadder, isRefusal, message, RawClient } from './support.ts'

t.test('a change that was made behind us is noticed, whatever it was', async (t) => {
  const ladder = await freshLadder(t)
  const redis = new Redis(ladder.redis.url)
  t.teardown(() => redis.disconnect())
  const standin = await freshStandin(t)
  const { port } = await freshGateway(t, {
    ...ladder.settings,
    'upstream.url': standin.url,
    'cache.revalidate': '100ms',
  })
  const me = async (name: string): Promise<string> => {
    const { status, text } = await ask(port, '/-/postern/me', { headers: as(name) })
    return status === 200 ? (JSON.parse(text) as { user: { name: string } }).user.name : String(status)
  }
  const sql = (statement: string) => execute(ladder.database, [statement])
  const { id = '' } = fixture.sessions.find(({ data }) => data['sub'] === 'ovid') ?? {}
  const changes = [
    ['rmm gus all', 'gus', '401', () => sql('delete from client_tokens where user_id = 4')],
    ['basic gus', 'gus', '401', () => sql("update users set hashed_password = 'x' where username = 'gus'")],
    ['jwt vera all', 'vera', '401', () => sql("update users set username = 'vera2' where username = 'vera'")],
    ['session edith', 'edith', '401', () => sql("update users set enabled = false where username = 'edith'")],
    [
      'session ovid',
      'ovid',
      'admin',
      () => redis.set(`session:${id}`, JSON.stringify({ iss: 'romm:auth', sub: 'admin' })),
    ],
  ] as const
  for (const [name, before, after, change] of changes) {
    t.equal(await me(name), before, name)
    await change()
    // Until the next batch is back from the source; each question takes its way through the sockets.
    let now: string = before
    while (now === before) now = await me(name)
    t.equal(now, after, name)
  }
  t.equal(await me('session vera'), '401', 'a session of the old name')
  t.equal(await me('rmm vera all'), 'vera2', 'a token is its owner’s, whatever the name')
})

t.test('log.decisions says which decisions are logged', async (t) => {
  const standin = await freshStandin(t)
  for (const [which, lines] of [
    ['all', ['permit', 'deny']],
    ['denied', ['deny']],
    ['off', []],
  ] as const) {
    const { port, log } = await freshGateway(t, { 'upstream.url': standin.url, 'log.decisions': which })
    await ask(port, '/api/heartbeat')
    await ask(port, '/api/roms')
    const decisions = log.map(({ decision }) => decision).filter((decision) => decision !== undefined)
    t.same(decisions, lines, which)
  }
})

t.test('idle connections, and requests that stand still, are ended when the settings say so', async (t) => {
  const standin = await freshStandin(t)
  const settings = { 'upstream.url': standin.url }
  const idle = await freshGateway(t, { ...settings, 'limits.keepAliveTimeout': '200ms' })
  const first = await RawClient.open(t, idle.port)
  const second = await RawClient.open(t, idle.port)
  for (const client of [first, second, second]) {
    client.send(message('/api/heartbeat'))
    t.equal((await client.answer()).status, 200)
  }
  await Promise.all([first.ended(), second.ended()])

  const silent = await freshGateway(t, { ...settings, 'limits.idleTimeout': '200ms' })
  const stuck = await RawClient.open(t, silent.port)
  stuck.send(message('/api/login', ['Content-Length: 10'], 'POST'))
  isRefusal(t, await stuck.answer(), 408, 'request_timeout')
  await stuck.ended()
})

t.test('a reload reads the document anew', async (t) => {
  const standin = await freshStandin(t)
  const settings = { 'upstream.url': standin.url }
  const { gateway, port, folder } = await freshGateway(t, settings)
  t.equal((await ask(port, '/api/new')).status, 404)
  standin.intercept = ({ url }, response) => {
    if (url !== '/openapi.json') return false
    const paths = { '/api/new': { get: { responses: {} } } }
    response.end(JSON.stringify({ openapi: '3.1.0', info: { title: 'RomM', version: '5.2.0' }, paths }))
    return true
  }
  t.equal((await ask(port, '/api/new')).status, 404, 'known to be none for half a minute')
  await gateway.reload(configOf({ ...inFolder(folder), ...settings }))
  await ask(port, '/api/new')
  t.ok(standin.requests.some(({ target }) => target === '/api/new'))
})

t.test('what failed is said without what may be a secret', async (t) => {
  const standin = await freshStandin(t)
  standin.intercept = (_request, response) => response.writeHead(403).end() !== undefined
  for (const document of ['/openapi.json?key=sesame', `${standin.url}/openapi.json?key=sesame`]) {
    const { gateway } = await freshGateway(t, { 'upstream.url': standin.url, 'openapi.document': document })
    const troubles = gateway.health().troubles.join('\n')
    t.match(troubles, /openapi\.json: (?:the backend )?answered 403/)
    t.notMatch(troubles, /sesame/)
  }
})

/** The statements that `docs/romm.md` shows for one database. */
async function documentedGrants(statement: string): Promise<string[]> {
  const page = await readFile(new URL('../../docs/romm.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, block = '']) => block)
  const block = blocks.find((text) => text.startsWith(statement)) ?? ''
  return block.split(';\n').filter((line) => line !== '')
}

/** The page says what to leave out while there are no permission groups. */
function beforeGroups(statements: readonly string[]): string[] {
  return statements
    .filter((statement) => !/permission_groups|_grants|_overrides/.test(statement))
    .map((statement) => statement.replace(/, (?:permission_group_id|device_id)\)/, ')'))
}

for (const [make, statement] of [
  [freshMariadb, 'CREATE USER'],
  [freshPostgres, 'CREATE ROLE'],
] as const) {
  for (const generation of [1, 2] as const) {
    t.test(`the GRANTs of docs/romm.md are enough: ${make.name}, schema ${generation}`, async (t) => {
      const database = await make(t)
      await createRommSchema(database, generation)
      await fillRomm(database, generation)
      const shown = await documentedGrants(statement)
      t.equal(shown.length, 7)
      const user = `docs_${randomBytes(6).toString('hex')}`
      const named = (generation === 1 ? beforeGroups(shown) : shown).map((text) =>
        text
          .replaceAll(/'postern'|\bpostern$|(?<=ROLE )postern/g, (name) => name.replace('postern', user))
          .replaceAll(' romm.', ` ${database.database}.`),
      )
      await execute(database, named)
      const standin = await freshStandin(t, { version: generation === 1 ? '4.9.0' : '5.2.0' })
      const reader = { ...database, user, password: 'choose-a-password' }
      const { gateway, port } = await freshGateway(t, {
        'upstream.url': standin.url,
        ...databaseSettings(reader),
      })
      t.same(gateway.health(), { status: 'ok', troubles: [] })
      standin.forget()
      for (const name of ['basic vera', 'rmm vera all'])
        t.equal((await ask(port, '/api/roms', { headers: as(name) })).status, 200, name)
      t.equal(standin.questions, 0, 'RomM is asked nothing')
    })
  }
}
