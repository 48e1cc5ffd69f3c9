import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { EventEmitter, on, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { Owner } from '../support/services/process.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export type LogLine = Readonly<Record<string, unknown>>
export type Variables = Readonly<Record<string, string>>

/** Milliseconds for a line that is waited for; only a failing test takes so long. */
const LONGEST_WAIT = 20_000

const running = new Set<ChildProcess>()

// A run that is broken off, at its first failure say, does not come to the tests' own ends.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface CommandOptions {
  readonly env?: Variables
  readonly cwd?: string
  /** What is run before the program itself. */
  readonly preload?: string
  /** An executable to run instead of the sources. */
  readonly program?: string
  /** Who runs it. */
  readonly owner?: Owner
}

/** Of this machine, what a program needs; of the tests' own settings, nothing. */
export function environment(env: Variables = {}): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  return { PATH, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }), ...env }
}

/** What to run, and its arguments. What the test runner loads into every Node would otherwise be loaded there too. */
function argv(args: readonly string[], { preload, program }: CommandOptions): [string, string[]] {
  const before =
    preload === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
  const command = program === undefined ? [process.execPath, ...before, MAIN] : [program]
  return ['/usr/bin/env', ['-u', 'NODE_OPTIONS', ...command, ...args]]
}

/** Runs `postern` to its end. */
export async function postern(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>()
  const { env, cwd = tmpdir(), owner } = options
  const child = execFile(
    ...argv(args, options),
    { env: environment(env), cwd, ...owner },
    (_error, out, err) => resolve({ code: child.exitCode, out, err }),
  )
  return promise
}

/** A `postern serve` that runs. */
export interface Serving {
  /** Origin of the edge, `http://127.0.0.1:port`. */
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly probes: string
  /** Where the live commands ask. */
  readonly admin: string
  /** The line that says where it listens. */
  readonly listening: LogLine
  readonly log: readonly LogLine[]
  readonly folder: string
  /** The first line, from the one numbered `since` on, of which this is true; waits for it. */
  line(matches: (line: LogLine) => boolean, since?: number): Promise<LogLine>
  /** Does something and waits for a line that only follows from it. */
  after(act: () => unknown, matches: (line: LogLine) => boolean): Promise<LogLine>
  kill(signal: NodeJS.Signals): void
  /** Its exit code, or the signal that ended it, and the standard error. */
  readonly ended: Promise<{ readonly code: number | null; readonly err: string }>
}

/** Runs `postern serve` on free ports of loopback, in a folder of its own, until it listens. */
export async function serve(
  t: Test,
  args: readonly string[],
  options: CommandOptions & { readonly folder?: string } = {},
): Promise<Serving> {
  const folder = options.folder ?? (await freshFolder(t))
  const all = ['serve', ...onFreePorts(folder), ...args]
  const child = spawn(...argv(all, options), {
    env: environment(options.env),
    cwd: options.cwd ?? folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options.owner,
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const log: LogLine[] = []
  const news = new EventEmitter()
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  createInterface({ input: child.stdout }).on('line', (text) => {
    log.push(JSON.parse(text) as LogLine)
    news.emit('line')
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, err }))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  void ended.then(() => news.emit('line'))

  const line: Serving['line'] = async (matches, since = 0) => {
    // Of this wait alone: it must not end another one.
    const signal = AbortSignal.timeout(LONGEST_WAIT)
    const lines = on(news, 'line', { signal })
    try {
      for (;;) {
        const found = log.slice(since).find(matches)
        if (found !== undefined) return found
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`ended with ${child.exitCode ?? child.signalCode}: ${err}${JSON.stringify(log)}`)
        await lines.next()
      }
    } catch (error) {
      throw signal.aborted ? new Error(`no such line: ${JSON.stringify(log, undefined, 1)}`) : error
    } finally {
      await lines.return?.()
    }
  }
  const listening = await line(({ msg }) => msg === 'listening')
  const edge = String(listening['edge'])
  const url = `http://${edge.startsWith('unix:') ? 'localhost' : edge}`
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid ?? 0,
    probes: `http://${String(listening['probes'])}`,
    admin: `http://${String(listening['admin'])}`,
    listening,
    log,
    folder,
    line,
    after(act, matches) {
      const since = log.length
      act()
      return line(matches, since)
    },
    kill: (signal) => void child.kill(signal),
    ended,
  }
}

export async function freshFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function onFreePorts(folder: string): string[] {
  return sets({
    'listen.edge': '127.0.0.1:0',
    'listen.probes': '127.0.0.1:0',
    'listen.admin': '127.0.0.1:0',
    'keys.folder': join(folder, 'keys'),
    'openapi.cache': join(folder, 'openapi'),
    'shutdown.grace': '20s',
  })
}

/** Settings as options. */
export function sets(settings: Variables): string[] {
  return Object.entries(settings).flatMap(([path, value]) => ['--set', `${path}=${value}`])
}

/** Status and body, asked by curl: the client that people have at hand. */
export async function curl(
  ...args: readonly string[]
): Promise<{ readonly status: number; readonly body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  execFile('curl', ['-sS', '-w', '\n%{http_code}', ...args], (error, out, err) =>
    error === null ? resolve(out) : reject(new Error(`curl ${args.join(' ')}: ${err}`)),
  )
  const text = await promise
  const end = text.lastIndexOf('\n')
  return { status: Number(text.slice(end + 1)), body: text.slice(0, end) }
}

/** A credential's headers, as curl takes them. */
export function headerOptions(headers: Variables): string[] {
  return Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
}

export interface Readiness {
  readonly status: number
  readonly body: { readonly status: string; readonly troubles: readonly string[] }
}

export async function readiness({ probes }: Pick<Serving, 'probes'>): Promise<Readiness> {
  const response = await fetch(`${probes}/readyz`)
  return { status: response.status, body: (await response.json()) as Readiness['body'] }
}
