import { readdirSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { freshLadder } from '../gateway/support.ts'
import { freshStandin } from '../support/romm/ask.ts'
import type { OpenApi } from '../support/romm/facts.ts'
import { execute } from '../support/database.ts'
import { freshFolder, postern, sets, type Ended } from './processes.ts'

const standin = await freshStandin(t)

interface Row {
  readonly origin: string
  readonly methods: readonly string[]
  readonly path: string
  readonly requires: string
  readonly scopes: readonly string[]
}

t.test('routes shows every operation of the document with its scopes', async (t) => {
  const document = (await (await fetch(`${standin.url}/openapi.json`)).json()) as OpenApi
  const cwd = await freshFolder(t)
  const { code, out, err } = await postern(['routes', '--json', '--upstream', standin.url], { cwd })
  t.same({ code, err }, { code: 0, err: '' })
  const rows = JSON.parse(out) as Row[]
  const shown = new Map<string, string | string[]>(
    rows.flatMap(({ methods, path, requires, scopes }) =>
      methods.map(
        (method) => [`${method} ${path}`, requires === 'scopes' ? [...scopes].sort() : requires] as const,
      ),
    ),
  )
  const profile = new Set(
    rows
      .filter(({ origin }) => origin === 'profile')
      .flatMap(({ methods, path }) => methods.map((m) => `${m} ${path}`)),
  )
  let compared = 0
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [name, { security = [] }] of Object.entries(operations)) {
      const route = `${name.toUpperCase()} ${path}`
      if (profile.has(route)) continue
      const scopes = [...new Set(security.flatMap((each) => Object.values(each).flat()))].sort()
      t.same(shown.get(route), scopes.length === 0 ? 'public' : scopes, route)
      compared++
    }
  }
  t.ok(compared > 200, `${compared} operations`)
  t.same(readdirSync(cwd), [], 'it leaves nothing behind')
})

t.test('routes in text: a line for each, the first with headings', async (t) => {
  const [text, json] = await Promise.all([
    postern(['routes', '--upstream', standin.url]),
    postern(['routes', '--json', '--upstream', standin.url]),
  ])
  const lines = text.out.trimEnd().split('\n')
  t.equal(lines.length, (JSON.parse(json.out) as Row[]).length + 1)
  t.match(lines[0], /^ORIGIN +METHODS +PATH +REQUIRES +OPTIONS$/)
  t.ok(lines.some((line) => /^document +PUT +\/api\/roms\/\{id\} +roms\.write$/.test(line)))
})

t.test('without the document there is nothing to show', async (t) => {
  for (const command of [['routes'], ['explain', 'GET', '/api/roms']]) {
    const { code, out, err } = await postern([...command, '--upstream', 'http://127.0.0.1:9'])
    t.same({ code, out }, { code: 70, out: '' })
    t.match(err.trimEnd().split('\n'), [/ECONNREFUSED 127\.0\.0\.1:9/])
  }
})

/** What `explain` says, by its first words. */
function walk({ code, out, err }: Ended): Readonly<Record<string, string>> {
  if (code !== 0) throw new Error(err)
  const [method = '', ...lines] = out.trimEnd().split('\n')
  return Object.fromEntries([
    ['method', method],
    ...lines.map((line) => [line.slice(2, 12).trim(), line.slice(12)]),
  ]) as Record<string, string>
}

const explain = async (
  t: Test,
  given: readonly string[],
  cases: readonly (readonly [string, Readonly<Record<string, string | RegExp>>])[],
): Promise<void> => {
  const runs = cases.map(
    ([line]) =>
      () =>
        postern(['explain', ...line.split(' '), ...given]),
  )
  for (const [index, run] of runs.entries()) {
    const [line = '', expected = {}] = cases[index] ?? []
    t.match(walk(await run()), expected, line)
  }
}

t.test('explain, with nothing but the URL', async (t) => {
  await explain(
    t,
    ['--upstream', standin.url],
    [
      [
        'GET /api/heartbeat',
        { rule: 'GET /api/heartbeat (document)', requires: 'public', decision: 'permit' },
      ],
      [
        'get /api//roms?a=%41',
        {
          method: 'GET',
          target: '/api/roms?a=%41',
          requires: 'roms.read',
          as: 'anonymous',
          decision: 'deny 401 no_credential',
        },
      ],
      [
        'PUT /api/roms/7 --as scopes:roms.read',
        {
          as: 'somebody (token)',
          scopes: 'roms.read',
          decision: 'deny 403 insufficient_scope: missing roms.write',
        },
      ],
      ['PUT /api/roms/7 --as scopes:roms.read,roms.write', { decision: 'permit' }],
      ['GET /api/nowhere', { rule: 'none', requires: '-', decision: 'deny 404 no_route' }],
      [
        'PATCH /api/heartbeat',
        { rule: /^GET.* \/api\/heartbeat, and no other method$/, decision: 'deny 405 method_not_allowed' },
      ],
      [
        'GET /api/%2e%2e/x',
        { target: '/api/%2e%2e/x', rule: '-', decision: 'deny 400 ambiguous_target: dot_segment' },
      ],
      ['GET http://elsewhere/', { decision: 'deny 400 foreign_target: foreign_authority' }],
    ],
  )
  for (const [args, sentence] of [
    [['GET', 'api/roms'], "A path begins with /, not as 'api/roms'."],
    [['GET', '/', '--as', 'vera'], "--as takes anonymous, user:NAME, token:ID or scopes:a,b, not 'vera'."],
    [['GET', '/', '--as', 'user:vera'], '--as user: only RomM knows, unless romm.database is given.'],
  ] as const) {
    const { code, err } = await postern(['explain', ...args, '--upstream', standin.url])
    t.same([code, err.split('\n')[0]], [64, sentence])
  }
})

t.test('explain, with the whole ladder: people and tokens as the database has them', async (t) => {
  const { settings, database } = await freshLadder(t)
  const given = ['--upstream', standin.url, ...sets(settings)]
  await explain(t, given, [
    [
      'GET /api/roms --as user:vera',
      { as: 'vera (session)', scopes: /^(?=.*\broms\.read\b)/, decision: 'permit' },
    ],
    ['GET /api/roms --as token:2', { as: 'vera (token 2)', decision: 'permit' }],
    [
      'DELETE /api/users/1 --as user:vera',
      { decision: /^deny 403 insufficient_scope: missing users\.write/ },
    ],
    ['DELETE /api/users/1 --as user:admin', { as: 'admin (session)', decision: 'permit' }],
    ['GET /api/roms --as anonymous', { as: 'anonymous', decision: 'deny 401 no_credential' }],
    ['GET /api/roms --as scopes:me.read', { decision: 'deny 403 insufficient_scope: missing roms.read' }],
  ])
  const json = await postern(['explain', 'PUT', '/api/roms/7', '--as', 'token:2', '--json', ...given])
  t.match(JSON.parse(json.out), {
    method: 'PUT',
    target: '/api/roms/7',
    rule: 'PUT /api/roms/{id} (document)',
    requires: 'roms.write',
    as: 'vera (token 2)',
    scopes: Array,
    decision: String,
  })
  await execute(database, ["update users set enabled = false where username = 'vera'"])
  for (const [as, what] of [
    ['user:vera', 'user'],
    ['user:nobody', 'user'],
    ['token:2', 'token'],
    ['token:999', 'token'],
    ['token:rmm_x', 'token'],
  ] as const) {
    const { code, err } = await postern(['explain', 'GET', '/api/roms', '--as', as, ...given])
    const name = as.slice(as.indexOf(':') + 1)
    t.same([code, err.split('\n')[0]], [64, `There is no ${what} '${name}' that could sign in.`])
  }
})
