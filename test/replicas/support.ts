import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { generateKey } from '../../src/assertion/keys.ts'
import { freshFolder, serve, sets, type Serving } from '../cli/processes.ts'
import { connect, type Database } from '../support/database.ts'
import { databaseSettings } from '../support/gateway.ts'
import { ask, freshStandin, type Answer, type Question } from '../support/romm/ask.ts'
import { readFixture } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import type { Standin } from '../support/romm/standin.ts'
import { RommStore } from '../support/romm/store.ts'
import { freshMariadb, freshRedis } from '../support/services.ts'
import type { Server } from '../support/services/server.ts'
import { MODES, type Mode, type Person } from './people.ts'

export type Settings = Readonly<Record<string, string>>

/** What only a request that came past the gateway is answered with 200: RomM itself would refuse it too. */
const PROBE = '/api/roms'

const REVALIDATE = 300
/** Replicas that soon notice what was changed behind them, however slowly their sources answer. */
export const QUICK: Settings = {
  'cache.revalidate': `${REVALIDATE}ms`,
  'cache.staleIfError': '0s',
  'ask.ttl': '1s',
}
/** Milliseconds within which such a replica notices it, as published: the interval and a second. */
export const BOUND = REVALIDATE + 1_000

/** Milliseconds; only a failing test waits so long. */
const LONGEST_WAIT = 30_000

/** RomM, whose changes are in its database and its Redis before it answers. */
export interface Romm {
  readonly standin: Standin
  readonly store: RommStore
  readonly redis: Server
  /** As a gateway reads it. */
  readonly reader: Database
}

export async function freshRomm(t: Test, make: (t: Test) => Promise<Database> = freshMariadb): Promise<Romm> {
  const database = await make(t)
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  const redis = await freshRedis(t)
  const [connection, client] = [await connect(database), new Redis(redis.url)]
  t.teardown(async () => {
    client.disconnect()
    await connection.end()
  })
  await fillSessions(client)
  const standin = await freshStandin(t, { commit: () => store.save() })
  const store = new RommStore(standin.state, database.kind, connection, client)
  standin.intercept = ({ url = '' }, response) => {
    if (url.startsWith(PROBE)) response.end('past the gateway')
    return url.startsWith(PROBE)
  }
  return { standin, store, redis, reader: await createReader(database, 2) }
}

/** Everything that Postern can be given of it. */
export function ladderOf({ redis, reader }: Pick<Romm, 'redis' | 'reader'>): Settings {
  return { 'romm.secret': readFixture().secret, 'romm.redis.url': redis.url, ...databaseSettings(reader) }
}

/** A `postern serve` among others. */
export interface Replica {
  readonly name: string
  readonly port: number
  /** Of the admin listener. */
  readonly admin: number
  ask(path: string, question?: Question): Promise<Answer>
  /** What a credential is told. */
  status(headers: Record<string, string>): Promise<number>
  /** By name, the labels included. */
  metrics(): Promise<ReadonlyMap<string, number>>
  metric(name: string): Promise<number>
  /** Waits until a metric is at least so much. */
  reaches(name: string, value: number): Promise<void>
  /** A socket that is open. */
  socket(headers: Record<string, string>): Promise<WebSocket>
}

/** Names of replicas, in their order. */
const NAMES = ['A', 'B', 'C', 'D']

/** As in production but for ports, and for waiting as long as a busy machine takes to acknowledge. */
const COMMON: Settings = {
  'cache.secret': 'what the replicas share',
  'cache.revokeWait': '5s',
  'log.decisions': 'off',
  'ask.rate': '100000',
  'ask.ratePerAddress': '100000',
  'attempts.perAddress': '100000',
}

/**
 * Replicas that share the keys and hear each other.
 * @param settings what all of them have
 * @param own what each of them has besides
 */
export async function startReplicas<const Own extends readonly Settings[]>(
  t: Test,
  settings: Settings,
  own: Own,
): Promise<{ readonly [K in keyof Own]: Replica }> {
  const folder = await freshFolder(t)
  const keys = join(folder, 'keys')
  await generateKey(keys, 'EdDSA', Date.now())
  const config = join(folder, 'postern.yaml')
  await writeFile(config, yamlOf({ ...COMMON, ...settings }))
  const replicas = await Promise.all(
    own.map(async (more, index) => {
      const options = sets({ 'keys.folder': keys, ...more })
      const name = NAMES[index] ?? String(index)
      const serving = await serve(t, ['--config', config, ...options])
      // The test ends each of them with a signal: one that ends by itself has something to say.
      void serving.ended.then(
        ({ code, err }) => code !== null && t.fail(`${name} ended with ${code}: ${err}`),
      )
      return replicaOf(name, serving)
    }),
  )
  await Promise.all(replicas.map((replica) => joined(replica, replicas.length - 1)))
  // One for each of `own`, in its order.
  return replicas as { readonly [K in keyof Own]: Replica }
}

/** As one reads and writes them; JSON is YAML. */
function yamlOf(settings: Settings): string {
  const tree: Record<string, unknown> = {}
  for (const [path, value] of Object.entries(settings)) {
    const names = path.split('.')
    const last = names.pop() ?? ''
    const section = names.reduce<Record<string, unknown>>(
      // Made by this very function: a section is an object.
      (node, name) => (node[name] ??= {}) as Record<string, unknown>,
      tree,
    )
    section[last] = /^(?:\d+|true|false|\[.*\])$/.test(value) ? JSON.parse(value) : value
  }
  return JSON.stringify(tree)
}

function replicaOf(name: string, serving: Serving): Replica {
  const probes = Number(new URL(serving.probes).port)
  const metrics: Replica['metrics'] = async () => {
    const lines = (await ask(probes, '/metrics')).text.matchAll(/^([a-z]\S*) (\S+)$/gm)
    return new Map([...lines].map(([, key = '', value]) => [key, Number(value)]))
  }
  const metric: Replica['metric'] = async (key) => (await metrics()).get(key) ?? Number.NaN
  return {
    name,
    port: serving.port,
    admin: Number(new URL(serving.admin).port),
    ask: (path, question) => ask(serving.port, path, question),
    status: async (headers) => (await ask(serving.port, PROBE, { headers })).status,
    metrics,
    metric,
    reaches: (key, value) => eventually(`${name}: ${key} ${value}`, async () => (await metric(key)) >= value),
    async socket(headers) {
      const socket = new WebSocket(`ws://127.0.0.1:${serving.port}/ws/socket.io/`, { headers })
      socket.on('error', () => undefined)
      await once(socket, 'open')
      return socket
    },
  }
}

/** What each replica says of each credential of somebody, asked at once. */
export async function everywhere(
  replicas: readonly Replica[],
  { as }: Person,
): Promise<Record<string, number>> {
  const asked = replicas.flatMap((replica) => MODES.map((mode) => ({ replica, mode })))
  const statuses = await Promise.all(asked.map(({ replica, mode }) => replica.status(as[mode])))
  return Object.fromEntries(
    asked.map(({ replica, mode }, i) => [`${replica.name} ${mode}`, statuses[i] ?? 0]),
  )
}

/** What `everywhere` finds when these credentials are dead and the others live. */
export function expected(
  replicas: readonly Replica[],
  dead: readonly Mode[],
  status: number,
): Record<string, number> {
  const asked = replicas.flatMap(({ name }) => MODES.map((mode) => [name, mode] as const))
  return Object.fromEntries(
    asked.map(([name, mode]) => [`${name} ${mode}`, dead.includes(mode) ? status : 200]),
  )
}

/** Waits until a replica hears the others, and so many of them. */
export function joined(replica: Replica, others: number): Promise<void> {
  return eventually(`${replica.name} hears ${others} others`, async () => {
    const metrics = await replica.metrics()
    return metrics.get('postern_replicas_joined') === 1 && metrics.get('postern_replicas') === others
  })
}

/** Waits until a replica knows that it does not hear the others. */
export function cutOff(replica: Replica): Promise<void> {
  return eventually(
    `${replica.name} is cut off`,
    async () => (await replica.metric('postern_replicas_joined')) === 0,
  )
}

/** Looks again and again: other processes do things when they do. @throws Error after half a minute */
export async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LONGEST_WAIT
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
