import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { connect, execute, type Database } from '../support/database.ts'
import t, { type Test } from 'tap'
import { curl, headerOptions, postern, readiness, serve, type Variables } from '../cli/processes.ts'
import { as, askedAbout, freshStandin } from '../support/romm/ask.ts'
import { readFixture } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { createRommSchema } from '../support/romm/schema.ts'
import { freshMariadb } from '../support/services.ts'
import { temporaryFolder } from '../support/services/process.ts'
import { locate } from '../support/services/programs.ts'
import { ADMIN_PASSWORD, HOST, serve as startServer, type Server } from '../support/services/server.ts'
import { composed, neighbours, scriptOf, serviceOf } from './compose.ts'

const execFileAsync = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SQL = join(ROOT, 'deploy/compose/postern-user.sql')
/** With what would end a text of SQL, or a word of the shell. */
const SECRETS = {
  romm_secret: readFixture().secret,
  db_root_password: ADMIN_PASSWORD,
  postern_db_password: `it's "quoted" \\ $HOME`,
  valkey_password: 'of-romm',
  postern_valkey_password: 'of-postern',
}

const file = await composed('deploy/compose/strict.yml', {
  ROMM_HOST: 'romm.example.org',
  ROMM_LIBRARY: '/x',
})
const secrets = temporaryFolder('secrets')
for (const [name, value] of Object.entries(SECRETS)) writeFileSync(join(secrets, name), `${value}\n`)

/** A service's script where its files are here. */
const scriptHere = (name: string): string =>
  scriptOf(serviceOf(file, name)).replaceAll('/run/secrets', secrets).replaceAll('/postern-user.sql', SQL)

/** The statements for MariaDB among others. */
const grantsIn = (text: string) => text.match(/^GRANT .*TO 'postern'@'%';$/gm)

/** Where RomM keeps its tables: a database of this very name, for the SQL that is shipped. */
async function freshRomm(t: Test): Promise<Database> {
  const server = await freshMariadb(t)
  await execute(server, ['create database romm character set utf8mb4'])
  t.teardown(() => execute(server, ['drop database romm', "drop user if exists 'postern'@'%'"]))
  return { ...server, database: 'romm' }
}

/** @returns what the client of MariaDB wrote on its standard error; empty when it went well */
async function makeUser({ host, port }: Database): Promise<string> {
  const script = scriptHere('database-user').replace('--host=db', `--host=${host} --port=${port}`)
  const env = { ...process.env, PATH: `${join(locate('mariadb'), '..')}:${process.env['PATH'] ?? ''}` }
  return execFileAsync('sh', ['-ec', script], { env }).then(
    () => '',
    (error: unknown) => (error as { readonly stderr: string }).stderr,
  )
}

/** The `valkey` of the file, run by a Redis. */
async function startValkey(t: Test): Promise<Server> {
  const folder = temporaryFolder('valkey')
  const shims = {
    'docker-entrypoint.sh': 'exec "$@"',
    'valkey-server': `exec ${locate('redis-server')} --bind ${HOST} --port "$VALKEY_PORT" "$@"`,
  }
  for (const [name, line] of Object.entries(shims)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  const script = scriptHere('valkey').replace('dir /data', `dir ${folder}`)
  const valkey = await startServer(
    folder,
    (port) => ({
      path: '/usr/bin/env',
      args: [`PATH=${folder}:${process.env['PATH'] ?? ''}`, `VALKEY_PORT=${port}`, 'sh', '-ec', script],
      owner: {},
      ready: /Ready to accept connections/,
      stopSignal: 'SIGKILL',
    }),
    (port) => `redis://:${SECRETS.valkey_password}@${HOST}:${port}`,
  )
  t.teardown(() => valkey.close())
  return valkey
}

async function clientOf(t: Test, url: string): Promise<Redis> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: null })
  t.teardown(() => redis.disconnect())
  await redis.connect()
  return redis
}

t.test('RomM is reached by Postern alone, and by what it asks itself', async (t) => {
  t.same(neighbours(file, 'romm'), ['db', 'postern', 'valkey'])
  t.same(neighbours(file, 'caddy'), ['postern'])
  t.equal(file.networks['romm-data']?.internal, true)
  t.equal(file.networks['postern-data']?.internal, true)
})

t.test('the SQL grants what docs/romm.md names for MariaDB, and the user has that and no more', async (t) => {
  const sql = readFileSync(SQL, 'utf8')
  t.same(grantsIn(sql), grantsIn(readFileSync(join(ROOT, 'docs/romm.md'), 'utf8')))
  t.equal(grantsIn(sql)?.length, 6)

  const database = await freshRomm(t)
  t.match(await makeUser(database), /Table 'romm\.users' doesn't exist/, 'before RomM made its tables')
  await createRommSchema(database, 2)
  t.equal(await makeUser(database), '')
  t.equal(await makeUser(database), '', 'and once more')
  const connection = await connect(database)
  t.teardown(() => connection.end())
  const [rows] = (await connection.query("show grants for 'postern'@'%'")) as [Record<string, string>[]]
  const shown = rows.flatMap((row) => Object.values(row))
  t.equal(shown.length, 7, shown.join('\n'))
  t.match(shown[0], /^GRANT USAGE ON \*\.\* TO/)
  t.notMatch(
    shown
      .slice(1)
      .join('\n')
      .replaceAll(/SELECT/g, ''),
    /INSERT|UPDATE|DELETE|ALL|email/,
  )
})

t.test('the user of the Valkey reads sessions, and nothing else', async (t) => {
  const valkey = await startValkey(t)
  const nobody = new Redis(valkey.port, { retryStrategy: null, enableReadyCheck: false })
  nobody.on('error', () => undefined)
  t.teardown(() => nobody.disconnect())
  await t.rejects(nobody.mget('session:x'), /NOAUTH/, 'nobody gets in without a password')
  const romm = await clientOf(t, valkey.url)
  await fillSessions(romm)
  const reader = await clientOf(
    t,
    `redis://postern:${SECRETS.postern_valkey_password}@${HOST}:${valkey.port}`,
  )
  const { id = '' } = readFixture().sessions[0] ?? {}
  t.match(await reader.mget(`session:${id}`), [/romm:auth/])
  for (const refused of [
    () => reader.set(`session:${id}`, 'forged'),
    () => reader.del(`session:${id}`),
    () => reader.mget('user_sessions:vera'),
    () => reader.keys('*'),
    () => reader.scan(0),
    () => reader.publish('socketio', '{}'),
    () => reader.subscribe('another'),
    () => reader.config('GET', '*'),
  ])
    await t.rejects(refused(), /NOPERM/)
})

t.test('its variables, files and users give a gateway every step of the ladder', async (t) => {
  const { environment: given = {} } = serviceOf(file, 'postern')
  const env: Record<string, string> = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, value.replace('/run/secrets', secrets)]),
  )
  t.match(await postern(['check'], { env }), { code: 0, err: '' })

  const [standin, database, valkey] = await Promise.all([freshStandin(t), freshRomm(t), startValkey(t)])
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  await fillSessions(await clientOf(t, valkey.url))
  t.equal(await makeUser(database), '')
  const here: Variables = {
    POSTERN_UPSTREAM_URL: standin.url,
    POSTERN_ROMM_DATABASE_HOST: database.host,
    POSTERN_ROMM_DATABASE_PORT: String(database.port),
    POSTERN_ROMM_REDIS_HOST: valkey.host,
    POSTERN_ROMM_REDIS_PORT: String(valkey.port),
  }
  const serving = await serve(t, [], { env: { ...env, ...here } })
  t.match(serving.listening['checks'], { session: "RomM's Redis and database", token: "RomM's database" })
  t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
  standin.forget()
  for (const credential of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all'])
    t.match(
      await curl(...headerOptions(as(credential)), `${serving.url}/api/roms`),
      { status: 200 },
      credential,
    )
  t.equal(askedAbout(standin), 0, 'nothing is asked of RomM')

  const { out } = await postern(['doctor', '--json'], { env: { ...env, ...here } })
  const found = JSON.parse(out) as readonly { readonly id: string; readonly level: string }[]
  const wrong = found.filter(({ id, level }) => id.startsWith('romm.') && /^(warning|error)$/.test(level))
  t.same(wrong, [], 'rights and all')
  t.ok(found.some(({ id, level }) => id === 'romm.database.surplus' && level === 'ok'))
  t.same(
    serving.log.filter(({ level }) => Number(level) >= 40),
    [],
    'nor is there anything to say at the start',
  )
})
