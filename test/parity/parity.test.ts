import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { authenticate, Crash } from '../support/romm/auth.ts'
import { readFixture, readRoutes } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import { generationOf } from '../support/romm/scopes.ts'
import type { Standin } from '../support/romm/standin.ts'
import { State } from '../support/romm/state.ts'
import { databaseSettings, freshGateway, type TestGateway } from '../support/gateway.ts'
import { type Database } from '../support/database.ts'
import { freshMariadb, freshPostgres, freshRedis } from '../support/services.ts'
import { type Decisions, expectedOf, readDecisions, type Row } from './decisions.ts'

const fixture = readFixture()
const recorded = readDecisions('decisions.tsv')
const recordedKiosk = readDecisions('decisions-kiosk.tsv')
/** Enough for every credential of the fixture to be asked about at once, and to fail on every route. */
const ASK_FREELY = { 'ask.rate': '100000', 'ask.ratePerAddress': '100000' }

/** Every step of the ladder: secret, database, sessions. */
async function fullSettings(
  test: Test,
  make: (t: Test) => Promise<Database>,
): Promise<Record<string, string>> {
  const database = await make(test)
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  const server = await freshRedis(test)
  const redis = new Redis(server.url)
  await fillSessions(redis)
  redis.disconnect()
  return {
    ...ASK_FREELY,
    'romm.secret': fixture.secret,
    'romm.redis.url': server.url,
    ...databaseSettings(await createReader(database, 2)),
  }
}

/** The scopes of each credential by RomM's own rules, as the stand-in applies them; undefined for nobody. */
async function callersOf(
  names: readonly string[],
  kiosk: boolean,
): Promise<(readonly string[] | undefined)[]> {
  const state = new State(generationOf('5.2.0'), kiosk)
  state.load(fixture, true, Date.now())
  return Promise.all(
    names.map(async (name) => {
      const { cookie, authorization } = as(name)
      const id = cookie?.replace('romm_session=', '') ?? ''
      const session = { ...fixture.sessions.find((one) => one.id === id)?.data }
      try {
        const how = { state, secret: fixture.secret, kiosk, now: Date.now }
        return (await authenticate(how, session, authorization === '' ? undefined : authorization))?.scopes
      } catch (error) {
        if (error instanceof Crash) return undefined
        throw error
      }
    }),
  )
}

interface Pair {
  readonly row: Row
  readonly name: string
  readonly char: string
  readonly caller: readonly string[] | undefined
}

/** What became of a pair: forwarded, or the status of our own refusal. */
async function decide({ port }: TestGateway, { row, name }: Pair): Promise<{ got: string; id: string }> {
  const answer = await ask(port, row.path, { method: row.method, headers: as(name) })
  const reason = answer.headers['postern-reason']
  return {
    got: reason === undefined ? 'forward' : String(answer.status),
    id: String(answer.headers['x-request-id']),
  }
}

/** Plays a whole table through a gateway. Every decision must be the one expected, and show at the backend. */
async function replay(
  test: Test,
  { names, rows }: Decisions,
  { gateway, standin, kiosk = false }: { gateway: TestGateway; standin: Standin; kiosk?: boolean },
  expect: (pair: Pair) => string,
): Promise<void> {
  const callers = await callersOf(names, kiosk)
  const faults: string[] = []
  let pairs = 0
  for (const row of rows) {
    standin.reset()
    standin.forget()
    await Promise.all(
      names.map(async (name, index) => {
        const pair = { row, name, char: row.answers[index] ?? '', caller: callers[index] }
        const { got, id } = await decide(gateway, pair)
        const wanted = expect(pair)
        const arrived = standin.requests.find((request) => request.headers['x-request-id'] === id)
        pairs++
        const label = `${row.method} ${row.template} as ${name} ('${pair.char}')`
        if (got !== wanted) faults.push(`${label}: ${got}, not ${wanted}`)
        else if ((got === 'forward') !== (arrived !== undefined))
          faults.push(`${label}: ${got}, yet not so at the backend`)
        // A crash would follow if the bad credential went on; a login's own input is for RomM to judge.
        else if (
          pair.char === 'x' &&
          arrived?.headers.authorization !== undefined &&
          row.path !== '/api/login'
        )
          faults.push(`${label}: it went on`)
      }),
    )
  }
  test.comment(`${pairs} pairs`)
  test.same(faults.slice(0, 20), [], `${faults.length} faults`)
  test.equal(pairs, names.length * rows.length)
}

const asRecorded = ({ row, char, caller }: Pair): string => String(expectedOf(char, row, caller))

t.test('with every step of the ladder, each recorded decision is ours', async (t) => {
  for (const [kind, make] of [
    ['MariaDB', freshMariadb],
    ['PostgreSQL', freshPostgres],
  ] as const) {
    t.test(`on ${kind}`, async (t) => {
      const settings = await fullSettings(t, make)
      const standin = await freshStandin(t, { setupWizard: true })
      const gateway = await freshGateway(t, {
        ...settings,
        'upstream.url': standin.url,
        'romm.firstRun': 'open',
      })
      await replay(t, recorded, { gateway, standin }, asRecorded)

      await t.test('in kiosk mode', async (t) => {
        const kiosk = await freshStandin(t, { kiosk: true, setupWizard: true })
        const more = { 'upstream.url': kiosk.url, 'romm.kiosk': 'true', 'romm.firstRun': 'open' }
        const ours = await freshGateway(t, { ...settings, ...more })
        await replay(t, recordedKiosk, { gateway: ours, standin: kiosk, kiosk: true }, asRecorded)
      })
    })
  }
})

/** What RomM's handlers require on the routes that its document calls public. */
const FIRST_RUN: Readonly<Record<string, string>> = {
  'GET /api/setup/library': 'platforms.read',
  'POST /api/setup/platforms': 'platforms.write',
  'POST /api/users': 'users.write',
  'POST /api/users/invite-link': 'users.write',
}

t.test('with the first run closed, its routes are refused to whoever lacks the scope', async (t) => {
  const settings = await fullSettings(t, freshPostgres)
  const standin = await freshStandin(t, { setupWizard: true })
  const gateway = await freshGateway(t, { ...settings, 'upstream.url': standin.url })
  const rows = recorded.rows.filter(({ method, template }) => `${method} ${template}` in FIRST_RUN)
  t.ok(rows.length > 0)
  await replay(t, { ...recorded, rows }, { gateway, standin }, ({ row, caller }) => {
    const scope = FIRST_RUN[`${row.method} ${row.template}`] ?? ''
    return caller === undefined ? '401' : caller.includes(scope) ? 'forward' : '403'
  })
})

const isToken = (name: string): boolean => /^rmm |\+ rmm vera$/.test(name)

/** A token's scopes are known to the backend alone. */
function butForTokens(pair: Pair): string {
  const wanted = asRecorded(pair)
  return wanted === '403' && isToken(pair.name) ? 'forward' : wanted
}

t.test(
  'with the URL alone it is the same, but that a token missing a scope is left to the backend',
  async (t) => {
    const standin = await freshStandin(t, { setupWizard: true })
    const gateway = await freshGateway(t, {
      ...ASK_FREELY,
      'upstream.url': standin.url,
      'romm.firstRun': 'open',
    })
    await replay(t, recorded, { gateway, standin }, butForTokens)

    await t.test('in kiosk mode', async (t) => {
      const kiosk = await freshStandin(t, { kiosk: true, setupWizard: true })
      const more = { 'upstream.url': kiosk.url, 'romm.kiosk': 'true', 'romm.firstRun': 'open' }
      const ours = await freshGateway(t, { ...ASK_FREELY, ...more })
      await replay(t, recordedKiosk, { gateway: ours, standin: kiosk, kiosk: true }, butForTokens)
    })
  },
)

/** The routes of which nothing is recorded: all that the facts say of them is what they require. */
const unrecorded: readonly Row[] = readRoutes()
  .filter(({ method, path }) => !recorded.rows.some((row) => row.method === method && row.template === path))
  .map(({ method, path, scopes, public: open }) => ({
    method,
    template: path,
    path: path.replace(/\{\w+\}/g, '999999'),
    required: open ? [] : scopes,
    answers: '?'.repeat(recorded.names.length),
  }))

t.test('every other route requires of every credential what the facts say', async (t) => {
  const settings = await fullSettings(t, freshMariadb)
  const standin = await freshStandin(t, { setupWizard: true })
  const more = { 'upstream.url': standin.url, 'romm.firstRun': 'open' }
  const gateway = await freshGateway(t, { ...settings, ...more })
  t.ok(unrecorded.length > 50)
  await replay(t, { ...recorded, rows: unrecorded }, { gateway, standin }, asRecorded)
  const asking = await freshGateway(t, { ...ASK_FREELY, ...more })
  await replay(t, { ...recorded, rows: unrecorded }, { gateway: asking, standin }, butForTokens)
})
