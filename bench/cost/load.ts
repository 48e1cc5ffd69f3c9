import { join } from 'node:path'
import { CREDENTIAL } from './cases.ts'
import type { Case } from './case.ts'
import { APP } from '../headers.ts'
import { isInstalled, run } from '../measure.ts'

export interface Load {
  readonly requests: number
  /** Answers with another status than was meant, and connections that broke. */
  readonly errors: number
  /** Milliseconds from a request to its answer: the median, and what all but one in a hundred stay below. */
  readonly p50: number
  readonly p99: number
}

export const CONNECTIONS = 32
const hasWrk = await isInstalled('wrk')
export const LOADER = hasWrk ? 'wrk' : 'own load'

/** What one of the two that make load is told. */
export interface Task {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Of the answers that are no errors. */
  readonly status: number
  /** As many client tokens in turn, in place of the credential; 0 for none. */
  readonly tokens: number
  /** The number of the first of them. */
  readonly first: number
  readonly ms: number
  readonly connections: number
}

/** How many requests each case has had: its tokens go on from there, or the same few would be presented again and again. */
const presented = new Map<Case, number>()

/** Sends what the case says, over connections that are kept. */
export async function load(one: Case, port: number, ms: number, pin: readonly string[]): Promise<Load> {
  const { headers = CREDENTIAL, path = '/api/roms/1', status = 200, tokens = 0 } = one
  const url = `http://127.0.0.1:${port}${path}`
  const before = presented.get(one) ?? 0
  const first = tokens === 0 ? 0 : before % tokens
  const task = { url, headers: { ...APP, ...headers }, status, tokens, first, ms, connections: CONNECTIONS }
  const result = await (hasWrk ? wrk(task, pin) : own(task, pin))
  presented.set(one, before + result.requests)
  return result
}

async function wrk(task: Task, pin: readonly string[]): Promise<Load> {
  const { url, headers, status, tokens, first, ms, connections } = task
  const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const seconds = Math.max(1, Math.round(ms / 1000))
  const script = tokens === 0 ? [] : ['-s', join(import.meta.dirname, 'tokens.lua')]
  const command = [
    ...[...pin, 'wrk', '--latency', '-t1', `-c${connections}`, `-d${seconds}s`, ...script, ...fields, url],
    ...(tokens === 0 ? [] : ['--', String(tokens), String(first)]),
  ]
  const output = await run(command, ms + 20_000)
  const requests = Number(/(\d+) requests in/.exec(output)?.[1])
  const others = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0)
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)
  const wrong = status === 200 ? others : requests - others
  const errors = (broken?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), wrong)
  return { requests, errors, p50: latency(output, '50%'), p99: latency(output, '99%') }
}

/** Milliseconds, of a line such as `     50%    1.20ms`. */
function latency(output: string, share: string): number {
  const [, value, unit = ''] = new RegExp(`^\\s*${share}\\s+([\\d.]+)(us|ms|s)$`, 'm').exec(output) ?? []
  return Number(value) * (MILLISECONDS[unit] ?? Number.NaN)
}

const MILLISECONDS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 }

async function own(task: Task, pin: readonly string[]): Promise<Load> {
  const script = join(import.meta.dirname, '../load.ts')
  const command = [...pin, process.execPath, script, JSON.stringify(task)]
  return JSON.parse(await run(command, task.ms + 20_000)) as Load
}
