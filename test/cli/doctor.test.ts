import { once } from 'node:events'
import { chmod, mkdir } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { runDoctor } from '../../src/cli/doctor.ts'
import type { Finding } from '../../src/profiles/finding.ts'
import { fixture, freshLadder, type Ladder } from '../gateway/support.ts'
import { type Database, execute } from '../support/database.ts'
import { databaseSettings, freshGateway } from '../support/gateway.ts'
import { virtualClock } from '../support/clock.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { fillRomm } from '../support/romm/fixture.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import type { Standin, StandinOptions } from '../support/romm/standin.ts'
import { freshMariadb, freshPostgres, freshRedis } from '../support/services.ts'
import { freshFolder, postern, serve, sets } from './processes.ts'

const SERVED = { 'listen.admin': 'off', trustedProxies: 'private' }
const OTHER_SECRET = 'f'.repeat(64)

interface Report {
  readonly findings: readonly Finding[]
  readonly code: number
  /** Ids of what is wrong, in order. */
  readonly wrong: readonly string[]
  /** What is found under an id, with the lines of its fixes. */
  of(id: string): string
  /** The lines of the first fix under an id. */
  lines(id: string): readonly string[]
}

/** Runs `postern doctor --json` in this process. */
async function doctor(
  t: Test,
  settings: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Report> {
  let text = ''
  let code = 0
  const folder = await freshFolder(t)
  const all = { ...SERVED, 'keys.folder': join(folder, 'keys'), ...settings }
  await runDoctor(['--json', ...sets(all), ...args], {
    out: (line) => (text += line),
    err: () => undefined,
    endWith: (given) => (code = given),
    ask: async () => undefined,
    env: {},
    readSecret: () => Promise.reject(new Error('nobody is asked')),
    now: Date.now,
    signals: {
      stopped: new Promise(() => undefined),
      onReload: () => undefined,
      onRestart: () => undefined,
      leaveToOthers: () => undefined,
      onExit: () => undefined,
      onCrash: () => undefined,
    },
  })
  const findings = JSON.parse(text) as Finding[]
  return {
    findings,
    code,
    wrong: findings.filter(({ level }) => level === 'warning' || level === 'error').map(({ id }) => id),
    lines: (id) => findings.find((each) => each.id === id)?.fixes[0]?.lines ?? [],
    of: (id) =>
      findings
        .filter((each) => each.id === id)
        .map(({ level, what, fixes }) => [level, what, ...fixes.flatMap(({ lines }) => lines)].join('\n'))
        .join('\n'),
  }
}

/** A stand-in that keeps in `redis` the counts that RomM keeps there. */
async function counting(t: Test, redisUrl: string, options: StandinOptions = {}): Promise<Standin> {
  const redis = new Redis(redisUrl)
  t.teardown(() => redis.disconnect())
  const standin: Standin = await freshStandin(t, {
    csrf: true,
    ...options,
    async commit() {
      const { target, headers } = standin.requests.at(-1) ?? {}
      if (target !== '/api/client-tokens/exchange') return
      const [first = ''] = String(headers?.['x-forwarded-for']).split(',')
      await redis.set(`client-token-rate:${first}`, 1, 'EX', 60)
    },
  })
  return standin
}

interface Installation extends Ladder {
  readonly standin: Standin
  readonly all: Readonly<Record<string, string>>
}

async function installation(t: Test, make: (t: Test) => Promise<Database>): Promise<Installation> {
  const ladder = await freshLadder(t, make)
  const standin = await counting(t, ladder.redis.url)
  return { ...ladder, standin, all: { ...ladder.settings, 'upstream.url': standin.url } }
}

for (const make of [freshMariadb, freshPostgres]) {
  const kind = make === freshMariadb ? 'MariaDB' : 'PostgreSQL'

  t.test(`${kind}: nothing is wrong with a right installation`, async (t) => {
    const { all, reader } = await installation(t, make)
    const report = await doctor(t, all)
    t.same([report.wrong, report.code], [[], 0])
    t.match(report.of('romm.version'), /^ok\nRomM 5\.2\.0/)
    t.match(report.of('romm.secret'), /^ok\n/)
    t.match(report.of('romm.database'), /permission groups, as since RomM 5\.0/)
    t.match(report.of('romm.database.rights'), new RegExp(`^ok\n${reader.user}(?:@%)? may read what it must`))
    t.match(report.of('romm.database.same'), /which knows admin \(1\) and olga \(7\) by name and number/)
    t.match(report.of('romm.redis.same'), /^ok\n.*what RomM counted just now is in it/)
  })

  t.test(`${kind}: a missing right is named with the GRANT to run, which then is enough`, async (t) => {
    const { all, database, reader } = await installation(t, make)
    const grantee = database.kind === 'mariadb' ? `'${reader.user}'@'%'` : reader.user
    const tables = ['alembic_version', 'client_tokens', 'user_permission_overrides']
    const rights = {
      alembic_version: 'version_num',
      client_tokens: 'id, user_id, hashed_token, scopes, expires_at, device_id',
      user_permission_overrides: 'user_id, entity, action, granted',
    } as const
    for (const [table, columns] of Object.entries(rights))
      await execute(database, [`revoke select (${columns}) on ${table} from ${grantee}`])
    const report = await doctor(t, all)
    t.equal(report.code, 2)
    t.match(report.of('romm.database.rights'), new RegExp(`may not read .*: ${tables.join(', ')}`))
    const lines = report.lines('romm.database.rights')
    t.equal(lines.length, tables.length)
    await execute(
      database,
      lines.map((line) => line.replace(/;$/, '')),
    )
    const after = await doctor(t, all)
    t.same([after.wrong, after.code], [[], 0])
  })

  t.test(`${kind}: a user that may write is too much, and the statements make a better one`, async (t) => {
    const { all, database } = await installation(t, make)
    const report = await doctor(t, { ...all, ...databaseSettings(database) })
    t.same([report.wrong, report.code], [['romm.database.surplus'], 1])
    t.match(
      report.of('romm.database.surplus'),
      /give Postern a user of its own\nCREATE (?:USER|ROLE) .*postern/,
    )
    const lines = report.lines('romm.database.surplus')
    const name = `made_${Date.now()}`
    const statements = lines.map((line) => line.replace(/'?postern'?(?=@'%'| |;)/, name).replace(/;$/, ''))
    await execute(database, statements)
    const made = { ...databaseSettings(database), 'romm.database.user': name }
    const after = await doctor(t, { ...all, ...made, 'romm.database.password': 'choose-a-password' })
    t.same([after.wrong, after.code], [[], 0])
    await execute(database, [database.kind === 'mariadb' ? `drop user ${name}` : `drop owned by ${name}`])
  })

  t.test(`${kind}: the schema of RomM 4.9 needs fewer rights`, async (t) => {
    const database = await make(t)
    await createRommSchema(database, 1)
    await fillRomm(database, 1)
    const reader = await createReader(database, 1)
    const standin = await freshStandin(t, { csrf: true, version: '4.9.2' })
    const settings = {
      'upstream.url': standin.url,
      'romm.secret': fixture.secret,
      ...databaseSettings(reader),
    }
    const report = await doctor(t, settings)
    t.same(report.wrong, [])
    t.match(report.of('romm.database'), /roles, as until RomM 4\.9/)
  })

  t.test(`${kind}: the database of another RomM is told by its people`, async (t) => {
    const { all, database } = await installation(t, make)
    await execute(database, ["update users set username = 'zoe' where username = 'olga'"])
    const report = await doctor(t, all)
    t.same([report.wrong, report.code], [['romm.database.same'], 2])
    await execute(database, ["update users set id = 70, username = 'olga' where id = 7"])
    t.match(
      (await doctor(t, all)).of('romm.database.same'),
      /its user 70 is olga, and RomM's is not/,
      'the same name, another number',
    )
    t.match(report.of('romm.database.same'), /its user 7 is zoe, and RomM's is not\nromm:\n {2}database: /)
  })

  t.test(`${kind}: a database without RomM's tables, a wrong password, and none at all`, async (t) => {
    const { all, reader } = await installation(t, make)
    const empty = await make(t)
    const bare = await doctor(t, { ...all, ...databaseSettings(empty) })
    t.match(bare.of('romm.database'), /does not hold RomM's tables\n.*\n.*\n {4}name:/)
    const wrong = await doctor(t, { ...all, ...databaseSettings({ ...reader, password: 'x' }) })
    t.match(
      wrong.of('romm.database'),
      /^error\n.* refuses the user.*\nromm:\n {2}database:\n {4}user: .*\n {4}password: …\n {4}name: /,
    )
    const away = await doctor(t, { ...all, ...databaseSettings({ ...reader, port: 9 }) })
    t.match(away.of('romm.database'), /^error\n.* does not answer/)
  })
}

const right = await installation(t, freshPostgres)
const { all } = right

t.test('a wrong secret, and one that RomM makes up at each start', async (t) => {
  const standin = await counting(t, right.redis.url, { secret: OTHER_SECRET })
  const report = await doctor(t, { ...all, 'upstream.url': standin.url })
  t.same([report.wrong, report.code], [['romm.secret'], 2])
  t.match(report.of('romm.secret'), /RomM was given none and makes one at each start\nROMM_AUTH_SECRET_KEY=/)
  t.match(report.of('romm.secret'), /\nromm:\n {2}secret: \$\{ROMM_AUTH_SECRET_KEY\}/)

  const clock = virtualClock(Date.now())
  const first = await freshStandin(t, { csrf: true })
  const settings = { 'upstream.url': first.url, 'romm.secret': fixture.secret }
  const { port, gateway } = await freshGateway(t, settings, { clock })
  await first.close()
  await freshStandin(t, { csrf: true, secret: OTHER_SECRET, port: first.port })
  clock.advance(10_000)
  // A token of the new secret makes the gateway look anew.
  await ask(port, '/api/roms', { headers: as('jwt wrong key') })
  const changed = await doctor(t, { ...settings, 'listen.admin': gateway.admin ?? '' })
  t.same(changed.wrong, ['romm.secret', 'running'])
  t.match(changed.of('running'), /^warning\nthe gateway at work says: RomM changed its secret/)
})

t.test("a Redis that is not RomM's, one that is away, and one that forgets", async (t) => {
  const foreign = await freshRedis(t)
  const other = await doctor(t, { ...all, 'romm.redis.url': foreign.url })
  t.same([other.wrong, other.code], [['romm.redis.same'], 2])
  t.match(other.of('romm.redis.same'), /^error\nit is not RomM's.*\nromm:\n {2}redis: /)

  const database = await doctor(t, { ...all, 'romm.redis.url': `${right.redis.url}/3` })
  t.same(database.wrong, ['romm.redis.same'], 'another number of the same server')

  const away = await doctor(t, { ...all, 'romm.redis.url': 'redis://127.0.0.1:9' })
  t.same(away.wrong, ['romm.redis'])

  const client = new Redis(foreign.url)
  t.teardown(() => client.disconnect())
  await client.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru')
  const shared = { 'redis.url': foreign.url, 'cache.secret': 'x'.repeat(32) }
  const forgetful = await doctor(t, { ...all, ...shared, 'assertion.enabled': 'false' })
  t.same(forgetful.wrong, ['redis'])
  t.match(forgetful.of('redis'), /allkeys-lru.*\nCONFIG SET maxmemory-policy noeviction/)
})

t.test('what RomM leaves open: downloads, visitors, its setup', async (t) => {
  const open = await counting(t, right.redis.url, { openDownloads: true, kiosk: true })
  const report = await doctor(t, { ...all, 'upstream.url': open.url })
  t.same([report.wrong, report.code], [['romm.kiosk', 'romm.downloads'], 1])
  t.match(report.of('romm.downloads'), /\nDISABLE_DOWNLOAD_ENDPOINT_AUTH=false\nrules:\n/)
  t.match(report.of('romm.kiosk'), /\nromm:\n {2}kiosk: true/)
  const both = await doctor(t, { ...all, 'upstream.url': open.url, 'romm.kiosk': 'true' })
  t.match(both.of('romm.kiosk'), /^notice\n.*\nKIOSK_MODE=false/)
  const none = await doctor(t, { ...all, 'romm.kiosk': 'true' })
  t.match(none.of('romm.kiosk'), /^warning\n.*\nromm:\n {2}kiosk: false/)

  const fresh = await freshStandin(t, { csrf: true, users: false })
  const closed = await doctor(t, { 'upstream.url': fresh.url })
  t.same([closed.wrong, closed.code], [['romm.firstRun'], 1])
  t.match(closed.of('romm.firstRun'), /\n {2}firstRun: open/)
  const opened = await doctor(t, { 'upstream.url': fresh.url, 'romm.firstRun': 'open' })
  t.same([opened.wrong, opened.code], [['romm.firstRun'], 2])
  t.match(opened.of('romm.firstRun'), /\n {2}firstRun: closed/)
})

t.test('releases that nobody looked at', async (t) => {
  const at = async (version: string, extra = {}): Promise<string> => {
    const standin = await freshStandin(t, { version })
    return (await doctor(t, { 'upstream.url': standin.url, ...extra })).of('romm.version')
  }
  t.match(await at('6.1.0'), /^notice\nRomM 6\.1\.0 is newer than what was looked at \(4\.8 to 5\.2\)/)
  t.match(await at('4.5.0'), /^warning\nRomM 4\.5\.0 is older/)
  t.match(await at('development'), /^notice\n.*\(development\).*\nromm:\n {2}version: 5\.2\.0/)
  t.match(
    await at('5.2.0', { 'romm.version': '5.1.0' }),
    /^warning\n.*says 5\.1\.0\nromm:\n {2}version: 5\.2\.0/,
  )
})

/** Something that is no RomM. */
async function stranger(t: Test, answer: (path: string, response: ServerResponse) => void): Promise<string> {
  const server = createServer(({ url = '' }, response) => answer(url, response))
  t.teardown(() => server.close().closeAllConnections())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

t.test('what is at upstream.url: nobody, something else, or RomM past its web server', async (t) => {
  const nobody = await doctor(t, { 'upstream.url': 'http://127.0.0.1:9' })
  t.equal(nobody.code, 2)
  t.match(nobody.of('upstream'), /^error\nhttp:\/\/127\.0\.0\.1:9 cannot be reached: .*ECONNREFUSED/)
  t.match(nobody.of('upstream.routes'), /^error\nno routes/)
  const other = await stranger(t, (_, response) => response.end('hello'))
  t.match((await doctor(t, { 'upstream.url': other })).of('romm'), /does not answer as RomM does/)
  const standin = await freshStandin(t)
  standin.intercept = ({ url }, response) => url === '/' && response.writeHead(404).end('{}') !== undefined
  const past = await doctor(t, { 'upstream.url': standin.url })
  t.match(past.of('romm'), /past RomM's web server.*\nupstream: \{ url: http:\/\/romm:8080 \}/)
})

t.test('a clock that goes wrong', async (t) => {
  const standin = await freshStandin(t)
  let ahead = 0
  standin.intercept = (_, response) => {
    response.setHeader('Date', new Date(Date.now() + ahead).toUTCString())
    return false
  }
  const settings = { 'upstream.url': standin.url }
  t.match((await doctor(t, settings)).of('upstream.clock'), /^ok\n/)
  ahead = 20_000
  t.match(
    (await doctor(t, settings)).of('upstream.clock'),
    /^warning\n.* \d+ s ahead of this one.*\ntimedatectl/,
  )
  ahead = -90_000
  t.match((await doctor(t, settings)).of('upstream.clock'), /^error\n.* 9\d s behind this one: assertions/)
})

t.test('keys that others may read, and replicas without one', async (t) => {
  const folder = join(await freshFolder(t), 'keys')
  await mkdir(folder)
  const settings = { ...all, 'keys.folder': folder }
  await chmod(folder, 0o755)
  const loose = await doctor(t, settings)
  t.same([loose.wrong, loose.code], [['keys'], 2])
  t.ok(loose.of('keys').endsWith(`\nchmod 700 ${folder}`))
  await chmod(folder, 0o700)
  const several = await doctor(t, { ...settings, replicas: '2' })
  t.match(several.of('keys'), /^error\n.*\npostern keys generate/)
  t.match(several.of('redis'), /^warning\n2 replicas share nothing/)
})

t.test('proxies in front that nobody believes, or everybody', async (t) => {
  const standin = await freshStandin(t)
  const proxies = async (settings: object): Promise<string> =>
    (await doctor(t, { 'upstream.url': standin.url, trustedProxies: '', ...settings })).of('proxies')
  t.match(await proxies({}), /^notice\n.*\ntrustedProxies: \[private\]/)
  t.match(await proxies({ publicUrl: 'https://games.invalid' }), /^warning\n.*\ntrustedProxies: \[private\]/)
  t.match(
    await proxies({ trustedProxies: 'caddy.invalid' }),
    /^warning\n.*caddy\.invalid cannot be looked up/,
  )
  t.match(await proxies({ dangerouslyTrustAllProxies: 'true' }), /\ndangerouslyTrustAllProxies: false/)
})

t.test('a proxy that nobody believes is named as the gateway at work has seen it', async (t) => {
  const { port, gateway } = await freshGateway(t, all)
  const settings = { ...all, 'listen.admin': gateway.admin ?? '' }
  t.match((await doctor(t, settings)).of('running'), /^ok\n/)
  await ask(port, '/api/roms', { headers: { 'x-forwarded-for': '203.0.113.7' } })
  const report = await doctor(t, settings)
  t.same([report.wrong, report.code], [['running'], 1])
  t.match(report.of('running'), /^warning\n127\.0\.0\.1 sends .*\ntrustedProxies: \[127\.0\.0\.1\]$/)
  const nobody = await doctor(t, { ...all, 'listen.admin': '127.0.0.1:9' })
  t.match(nobody.of('running'), /^notice\nno gateway is at work/)
})

t.test('a public address that leads past Postern, and a backend that answers beside it', async (t) => {
  const gateway = await freshGateway(t, all)
  const { standin } = right
  const through = ['--public-url', gateway.url, '--backend-url', 'http://127.0.0.1:9']
  t.same((await doctor(t, all, through)).wrong, [])
  const past = await doctor(t, all, ['--public-url', standin.url, '--backend-url', standin.url])
  t.same([past.wrong, past.code], [['reach.public', 'reach.backend'], 2])
  t.match(past.of('reach.public'), /leads past Postern.*\nreverse_proxy postern:8090/)
  t.match(past.of('reach.backend'), /past Postern.*\nexpose: \["8080"\]/)
  const kiosk = await freshStandin(t, { kiosk: true })
  const guests = await freshGateway(t, { 'upstream.url': kiosk.url, 'romm.kiosk': 'true' })
  t.match((await doctor(t, { ...all, publicUrl: guests.url })).of('reach.public'), /^ok\n/)
})

t.test('the profile standalone: nobody may sign in, and whose file it is', async (t) => {
  const standin = await freshStandin(t)
  const file = join(await freshFolder(t), 'people.sqlite')
  const settings = { profile: 'standalone', 'upstream.url': standin.url, 'standalone.database': file }
  const empty = await doctor(t, settings)
  t.same([empty.wrong, empty.code], [['standalone.people'], 1])
  t.match(empty.of('standalone.people'), /\npostern user add NAME$/)
  await chmod(file, 0o644)
  const loose = await doctor(t, settings)
  t.same([loose.wrong, loose.code], [['standalone.people', 'standalone.database'], 2])
  t.ok(loose.of('standalone.database').endsWith(`\nchmod 600 ${file}`))
})

t.test('for people: a line for each, the lines to change, and a last one; codes for scripts', async (t) => {
  const { code, out, err } = await postern(['doctor', ...sets({ ...SERVED, ...all })])
  t.same([code, err], [0, ''])
  t.match(out, /^ok +romm\.secret +romm\.secret is what RomM signs with$/m)
  t.ok(out.endsWith('\nNothing is wrong.\n'), out)
  const wrong = { ...SERVED, ...all, 'romm.secret': OTHER_SECRET, dangerouslyTrustAllProxies: 'true' }
  const found = await postern(['doctor', ...sets(wrong)])
  t.equal(found.code, 2)
  t.match(found.out, /^error +romm\.secret +.*\n {9}the backend's environment:\n {11}ROMM_AUTH_SECRET_KEY=/m)
  t.match(found.out, /^warning +configuration +dangerouslyTrustAllProxies/m)
  t.match(found.out, /\n3 to look at\.\n$/)
  t.equal((await postern(['doctor', '--public-url', 'here', ...sets(all)])).code, 64)
})

t.test('what it quotes cannot speak to a terminal', async (t) => {
  const standin = await freshStandin(t, { version: '5.2.0\u001b[2J\u009b31m' })
  const { out } = await postern(['doctor', ...sets({ ...SERVED, 'upstream.url': standin.url })])
  t.match(out, 'RomM 5.2.0?[2J?31m')
  t.notMatch(out.replaceAll('\n', ''), /\p{Cc}/u)
})

t.test('serve says what is wrong, waits for none of it, and lets nobody be asked about', async (t) => {
  right.standin.forget()
  const serving = await serve(t, sets({ ...all, 'romm.secret': OTHER_SECRET, trustedProxies: 'private' }))
  const line = await serving.line(({ check }) => check === 'romm.secret')
  t.match(line, { level: 50, msg: /^doctor: romm\.secret is not what RomM signs with/ })
  t.match(line['fixes'], [{ in: 'backend' }, { in: 'configuration' }])
  const traces = right.standin.requests.filter(
    ({ method, headers }) => method === 'POST' || headers.authorization,
  )
  t.same(
    traces.map(({ target }) => target),
    [],
  )
})
