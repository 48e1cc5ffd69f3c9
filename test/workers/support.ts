import { Agent } from 'node:http'
import type { Test } from 'tap'
import { serve, sets, type LogLine, type Serving, type Variables } from '../cli/processes.ts'
import { ask, type Answer, type Question } from '../support/romm/ask.ts'

/** What only a request that came past the gateway is answered with 200. */
export const PROBE = '/api/roms'

/** A client with one connection, and so with one worker, for as long as it lives. */
export interface Client {
  readonly worker: number
  ask(path: string, question?: Question): Promise<Answer>
  status(headers: Record<string, string>): Promise<number>
}

/** A `postern serve` of several processes. */
export interface Workers extends Serving {
  /** One client for each worker, by number. */
  clients(): Promise<readonly [Client, Client]>
  metric(name: string): Promise<number>
}

/** Two workers that notice nothing by themselves for a long time: whoever knows was told. */
export const TOLD_ONLY: Variables = { 'cache.revalidate': '5m', 'ask.ttl': '10m', 'cache.revokeWait': '5s' }

export async function serveTogether(
  t: Test,
  settings: Variables,
  options: Parameters<typeof serve>[2] = {},
): Promise<Workers> {
  const serving = await serve(t, sets({ workers: '2', ...settings }), options)
  const metric: Workers['metric'] = async (name) => {
    const { text } = await ask(Number(new URL(serving.probes).port), '/metrics')
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    )
  }
  return {
    ...serving,
    metric,
    async clients() {
      const found = new Map<number, Client>()
      // Connections go to the workers in turn.
      while (found.size < 2) {
        const client = await clientOf(t, serving)
        found.set(client.worker, client)
      }
      const [one, two] = [...found.values()].sort((a, b) => a.worker - b.worker)
      if (one === undefined || two === undefined) throw new Error('fewer than two workers')
      return [one, two]
    },
  }
}

async function clientOf(t: Test, serving: Serving): Promise<Client> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const send: Client['ask'] = (path, question) => ask(serving.port, path, { ...question, agent })
  const { headers } = await send('/api/nowhere')
  const { worker } = await serving.line(({ id }) => id === headers['x-request-id'])
  return {
    worker: Number(worker),
    ask: send,
    status: async (given) => (await send(PROBE, { headers: given })).status,
  }
}

/** Lines of the log that say so. */
export function isAbout(msg: string): (line: LogLine) => boolean {
  return (line) => line['msg'] === msg
}

const SERVES = isAbout('a worker serves')

/** Processes of the workers that serve now, by number. */
export function pids({ log }: Serving): Map<number, number> {
  return new Map(log.filter(SERVES).map(({ worker, pid }) => [Number(worker), Number(pid)]))
}

/** The line that says that a worker of this number serves. */
export function serves(number: number): (line: LogLine) => boolean {
  return (line) => SERVES(line) && line['worker'] === number
}

/** @param pid one of `pids` */
export function kill(pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid === undefined) throw new Error('there is no such worker')
  process.kill(pid, signal)
}
