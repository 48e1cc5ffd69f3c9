import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort } from '../../test/support/services/process.ts'
import { isInstalled } from '../measure.ts'
import type { Case, NodeServer, ServerName } from './case.ts'
import { install, type Installation } from './installation.ts'
import { type Running, family, launch, launchOn } from './processes.ts'
import { proxyCommand } from './proxies.ts'

/** What is measured of a case. */
export interface Measured {
  readonly port: number
  /** Of everything that works for it but the backend and the load. */
  readonly pids: () => readonly number[]
}

const PROXIES: ReadonlySet<ServerName> = new Set([
  ...['nginx', 'nginx-auth', 'nginx-postern', 'caddy', 'caddy-auth', 'haproxy'],
] as ServerName[])

const pinned = process.platform === 'linux' && availableParallelism() > 1 && (await isInstalled('taskset'))
export const PINNING = pinned ? 'pinned' : 'not pinned'

export function onProcessor(number: number): readonly string[] {
  return pinned ? ['taskset', '-c', String(number)] : []
}

/** Starts what cases need, each thing once: what is measured on one processor, the backend on another. */
export class Servers {
  readonly #started = new Map<string, Promise<Running>>()
  readonly #closing: (() => Promise<unknown>)[] = []
  #installation: Promise<Installation> | undefined

  async start(one: Case): Promise<Measured> {
    const server = await this.#server(one.server, one)
    const asked = one.asks === undefined ? undefined : await this.#asked(one.asks)
    const roots = [server.pid, ...(asked === undefined ? [] : [asked.pid])]
    return { port: server.port, pids: () => roots.flatMap(family) }
  }

  async backend(): Promise<number> {
    return (await this.#node('backend', 1, [])).port
  }

  async close(): Promise<void> {
    for (const running of this.#started.values()) await (await running.catch(() => undefined))?.close()
    for (const close of this.#closing) await close()
    await (await this.#installation)?.close()
  }

  async #server(name: ServerName, { args = [], asks }: Case): Promise<Running> {
    if (isNode(name)) {
      return name === 'gateway'
        ? this.#gateway(args, false)
        : this.#node(name, 0, ['--upstream', `http://127.0.0.1:${await this.backend()}`])
    }
    return this.#once(name, async () => {
      const [port, backend, folder] = await Promise.all([freePort(), this.backend(), this.#folder()])
      const asked = asks === undefined ? 0 : (await this.#asked(asks)).port
      return launchOn(port, [...onProcessor(0), ...proxyCommand(name, { port, backend, asked, folder })])
    })
  }

  #asked(asks: 'answerer' | 'gateway'): Promise<Running> {
    return asks === 'gateway' ? this.#gateway([], true) : this.#node('answerer', 0, [])
  }

  #gateway(args: readonly string[], decision: boolean): Promise<Running> {
    return this.#once(`gateway ${args.join(' ')} ${decision}`, async () => {
      const { values } = parseArgs({
        args: [...args],
        options: {
          routes: { type: 'string' },
          tokens: { type: 'string' },
          workers: { type: 'string' },
          sockets: { type: 'string' },
        },
      })
      const installation = await (this.#installation ??= install())
      if (values.tokens !== undefined) await installation.addTokens(Number(values.tokens))
      const { port, command } = await installation.serve({
        backend: await this.backend(),
        folder: await this.#folder(),
        routes: Number(values.routes ?? 0),
        decision,
        settings: {
          ...(decision && { 'decision.dialect': 'nginx', 'decision.callers': '127.0.0.1' }),
          ...(values.workers !== undefined && { workers: values.workers }),
          ...(values.sockets !== undefined && {
            'sockets.max': values.sockets,
            'sockets.perClient': values.sockets,
            'limits.connectionsPerAddress': values.sockets,
          }),
        },
      })
      return launchOn(port, [...onProcessor(0), ...command])
    })
  }

  #node(
    name: Exclude<NodeServer, 'gateway'> | 'backend',
    processor: number,
    args: readonly string[],
  ): Promise<Running> {
    const script = join(import.meta.dirname, `../servers/${name}.ts`)
    return this.#once(name, () => launch([...onProcessor(processor), process.execPath, script, ...args]))
  }

  #once(key: string, start: () => Promise<Running>): Promise<Running> {
    const running = this.#started.get(key) ?? start()
    this.#started.set(key, running)
    return running
  }

  async #folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
    this.#closing.push(() => rm(folder, { recursive: true, force: true }))
    return folder
  }
}

function isNode(name: ServerName): name is NodeServer {
  return !PROXIES.has(name)
}
