import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import type { Database } from '../support/database.ts'
import { execute } from '../support/database.ts'
import { databaseSettings, inFolder } from '../support/gateway.ts'
import { readFixture } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import { type Standin, startStandin } from '../support/romm/standin.ts'
import { startPostgres } from '../support/services/postgres.ts'
import { startRedis } from '../support/services/redis.ts'
import { createJudge, type Judge, type PublicKey } from './arrivals.ts'
import type { Inside } from './inside.ts'

/** What the gateway may use besides the upstream: nothing, or all of it. */
export type Step = 'upstream' | 'full'

export type LogLine = Readonly<Record<string, unknown>>

/** A gateway in a process of its own before a stand-in RomM in this one. */
export interface Stage {
  readonly port: number
  readonly standin: Standin
  readonly judge: Judge
  /** Decisions by request id, each as often as it was logged. */
  readonly decisions: Map<string, LogLine[]>
  /** What the process wrote to its standard error, and lines of its log that speak of a crash. */
  readonly complaints: string[]
  /** Its exit code or signal, once it has ended. */
  readonly ended: () => number | string | undefined
  /** Resolves with the next line of the log. */
  readonly nextLine: () => Promise<unknown>
  readonly inside: () => Promise<Inside>
  /** Of `/metrics`, without labels. */
  readonly metric: (name: string) => Promise<number>
  readonly close: () => Promise<void>
}

/** So short that a run does not wait for them, so long that a busy machine keeps within them. */
const LIMITS = {
  'limits.headersTimeout': '1s',
  'limits.keepAliveTimeout': '200ms',
  'limits.idleTimeout': '3s',
  'upstream.keepAliveTimeout': '2s',
  'shutdown.grace': '2s',
  trustedProxies: '127.0.0.1',
  // Every bad token would be a 429 after some hundreds of them.
  'attempts.perAddress': '1000000',
  'upstream.connectionsPerClient': '256',
}
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const INSIDE = join(import.meta.dirname, 'inside.ts')

export async function startStage(step: Step): Promise<Stage> {
  const closing: (() => unknown)[] = []
  const close = async (): Promise<void> => {
    for (const task of closing.splice(0).toReversed()) await task()
  }
  try {
    return { ...(await open(step, closing)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function open(step: Step, closing: (() => unknown)[]): Promise<Omit<Stage, 'close'>> {
  // With it RomM shows that the secret is its own, so that signatures are judged here.
  const standin = await startStandin({ csrf: true })
  closing.push(() => standin.close())
  standin.intercept = answerChanges
  const folder = await mkdtemp(join(tmpdir(), 'postern-fuzz-'))
  closing.push(() => rm(folder, { recursive: true, force: true }))
  const sources = step === 'full' ? await ladder(closing) : {}
  const child = launch({ ...inFolder(folder), ...LIMITS, ...sources, 'upstream.url': standin.url })
  const gone = once(child, 'close')
  closing.push(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const watched = watch(child)
  const { edge, probes } = await watched.listening
  const { keys } = (await (await fetch(`http://${edge}/.well-known/postern/jwks.json`)).json()) as {
    readonly keys: readonly PublicKey[]
  }
  return {
    ...watched,
    standin,
    port: Number(edge.slice(edge.lastIndexOf(':') + 1)),
    judge: createJudge(keys),
    async inside() {
      child.send('look')
      const [answer] = (await once(child, 'message')) as [Inside]
      return answer
    },
    async metric(name) {
      const text = await (await fetch(`http://${probes}/metrics`)).text()
      return Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1])
    },
  }
}

/** RomM's secret, database and sessions, filled with the fixture. */
async function ladder(closing: (() => unknown)[]): Promise<Record<string, string>> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  closing.push(
    () => postgres.close(),
    () => redis.close(),
  )
  const { hostname: host, port, username: user, password } = new URL(postgres.url)
  const admin: Database = { kind: 'postgres', host, port: Number(port), user, password, database: 'postgres' }
  await execute(admin, ['create database romm'])
  const owner = { ...admin, database: 'romm' }
  await createRommSchema(owner, 2)
  await fillRomm(owner, 2)
  const client = new Redis(redis.url)
  await fillSessions(client)
  client.disconnect()
  return {
    'romm.secret': readFixture().secret,
    'romm.redis.url': redis.url,
    ...databaseSettings(await createReader(owner, 2)),
  }
}

function launch(settings: Readonly<Record<string, string>>): ChildProcess {
  const sets = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  return spawn(process.execPath, ['--import', INSIDE, MAIN, 'serve', ...sets], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
}

type Watched = Pick<Stage, 'decisions' | 'complaints' | 'ended' | 'nextLine'> & {
  readonly listening: Promise<{ readonly edge: string; readonly probes: string }>
}

/** Reads the log as it is written. */
function watch(child: ChildProcess): Watched {
  const decisions = new Map<string, LogLine[]>()
  const complaints: string[] = []
  const news = new EventEmitter()
  const listening = Promise.withResolvers<{ readonly edge: string; readonly probes: string }>()
  const read = (text: string): void => {
    const line = JSON.parse(text) as LogLine
    const { id, msg, level } = line
    if (typeof id === 'string') decisions.set(id, [...(decisions.get(id) ?? []), line])
    if (msg === 'listening') listening.resolve({ edge: String(line['edge']), probes: String(line['probes']) })
    if (Number(level) >= 50 || line['reason'] === 'internal_error') complaints.push(text)
    news.emit('line')
  }
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', read)
  child.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk.toString()))
  child.once('close', (code, signal) => {
    listening.reject(new Error(`the gateway ended with ${code ?? signal}: ${complaints.join('')}`))
    news.emit('line')
  })
  return {
    decisions,
    complaints,
    ended: () => child.exitCode ?? child.signalCode ?? undefined,
    nextLine: () => once(news, 'line'),
    listening: listening.promise,
  }
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])
const STATUSES = [200, 200, 201, 204, 400, 401, 404, 422, 500]

/**
 * What might change RomM's users is answered without changing them, so that a credential stays as good or bad as it is.
 * Some answers do not wait for the body.
 */
function answerChanges(request: IncomingMessage, response: ServerResponse): boolean {
  const { method = '', url = '' } = request
  if (SAFE.has(method)) return false
  const answer = (): void => {
    const status = STATUSES[url.length % STATUSES.length] ?? 200
    response
      .writeHead(status, status === 204 ? {} : { 'content-length': '2' })
      .end(status === 204 ? '' : '{}')
  }
  if (Number(request.headers['x-fuzz']) % 7 === 0) {
    answer()
    request.resume()
  } else request.resume().once('end', answer)
  return true
}
