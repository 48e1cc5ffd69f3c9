import { join } from 'node:path'
import t, { type Test } from 'tap'
import { curl, headerOptions, postern, readiness, serve, type Variables } from '../cli/processes.ts'
import { freshLadder } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { freshMariadb } from '../support/services.ts'
import { temporaryFolder } from '../support/services/process.ts'
import { locate } from '../support/services/programs.ts'
import { HOST, serve as startServer, type Server } from '../support/services/server.ts'
import { composed, neighbours, serviceOf, wordsOf } from './compose.ts'

const VARIABLES = { ROMM_HOST: 'romm.example.org', ROMM_LIBRARY: '/srv/roms' }
const SHORTEST = {
  ...VARIABLES,
  ROMM_AUTH_SECRET_KEY: 'of-romm',
  DB_PASSWD: 'of-romm-too',
  DB_ROOT_PASSWD: 'r',
}
const FILES = { 'docker-compose.yml': SHORTEST, 'deploy/compose/strict.yml': VARIABLES }

for (const [path, variables] of Object.entries(FILES)) {
  t.test(`${path}: pinned images, and Postern with no more than it needs`, async (t) => {
    const file = await composed(path, variables)
    for (const [name, { image, restart }] of Object.entries(file.services)) {
      t.match(image, /:\d+\.\d+\.\d+$/, `${name} is of one release`)
      t.match(restart, /^(unless-stopped|on-failure)$/, name)
    }
    t.match(serviceOf(file, 'postern'), {
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
  })

  t.test(`${path}: only Caddy is published, and reaches nothing but Postern`, async (t) => {
    const file = await composed(path, variables)
    const published = Object.entries(file.services).filter(([, { ports = [] }]) => ports.length > 0)
    t.same(
      published.map(([name]) => name),
      ['caddy'],
    )
    const beside = path === 'docker-compose.yml' ? ['postern', 'romm'] : ['postern']
    t.same(neighbours(file, 'caddy'), beside)
    const upstream = wordsOf(serviceOf(file, 'caddy')).at(-1)
    t.equal(upstream, path === 'docker-compose.yml' ? 'romm:8090' : 'postern:8090')
  })

  t.test(`${path}: it says what is missing`, async (t) => {
    await t.rejects(composed(path, {}), /see the head of/)
  })
}

t.test(
  'docker-compose.yml: its variables are a configuration, and give every step of the ladder',
  async (t) => {
    const file = await composed('docker-compose.yml', SHORTEST)
    const { environment: given = {}, network_mode } = serviceOf(file, 'postern')
    t.equal(network_mode, 'service:romm')
    t.match(await postern(['check'], { env: given }), { code: 0, err: '' })
    for (const [name, value] of Object.entries(serviceOf(file, 'romm').environment ?? {}))
      t.equal(given[name], value, `${name} is RomM's`)

    const standin = await freshStandin(t)
    const { database, redis, settings } = await freshLadder(t, freshMariadb)
    const serving = await serve(t, [], {
      env: {
        ...given,
        POSTERN_UPSTREAM_URL: standin.url,
        ROMM_AUTH_SECRET_KEY: settings['romm.secret'] ?? '',
        DB_HOST: database.host,
        DB_PORT: String(database.port),
        DB_USER: database.user,
        DB_PASSWD: database.password,
        DB_NAME: database.database,
        REDIS_PORT: String(redis.port),
      },
    })
    t.same(serving.listening['checks'], {
      session: "RomM's Redis and database",
      basic: "RomM's database",
      jwt: "its signature, then RomM's database",
      token: "RomM's database",
    })
    t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
    const caddy = await startComposedCaddy(t, wordsOf(serviceOf(file, 'caddy')), serving.port)
    for (const credential of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all'])
      t.match(await curl(...headerOptions(as(credential)), `${caddy.url}/api/users/me`), {
        status: 200,
        body: /"vera"/,
      })
    t.match(await curl('-i', `${caddy.url}/api/roms`), {
      status: 401,
      body: /postern-reason: no_credential/i,
    })
    const seen = standin.requests.findLast(({ target }) => target.endsWith('/api/users/me'))
    t.match(seen?.headers, { host: `${HOST}:${caddy.port}`, 'x-forwarded-for': HOST })
  },
)

/** The command of the service `caddy`, with addresses of this machine. */
async function startComposedCaddy(t: Test, words: readonly string[], edge: number): Promise<Server> {
  const folder = temporaryFolder('caddy')
  const homes: Variables = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: join(folder, 'config') }
  const [name = '', ...args] = words
  t.equal(name, 'caddy')
  const caddy = await startServer(
    folder,
    (port) => ({
      path: '/usr/bin/env',
      args: [
        ...Object.entries(homes).map(([variable, value]) => `${variable}=${value}`),
        locate('caddy'),
        ...args.map((arg) =>
          arg === SHORTEST.ROMM_HOST ? `:${port}` : arg.replace('romm:8090', `${HOST}:${edge}`),
        ),
      ],
      owner: {},
      ready: /proxying/,
      stopSignal: 'SIGTERM',
    }),
    (port) => `http://${HOST}:${port}`,
  )
  t.teardown(() => caddy.close())
  return caddy
}
