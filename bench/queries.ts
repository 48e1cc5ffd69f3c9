/**
 * What a warm cache asks its source, whatever the request rate: `npm run bench -- queries [--short]`. One gateway with 100
 * tokens of 100 users in use, before a MariaDB that counts its SELECTs.
 */
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Connection } from '../test/support/database.ts'
import { Closing, Installation, type Peer, type Token } from './installation.ts'
import { percentile, printTable, saveResults } from './results.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const REQUESTS = values.short ? 10_000 : 100_000
const TOKENS = 100
const AT_ONCE = 64
/** Requests per second; the last one as many as there is time for. */
const RATES = [values.short ? 1_000 : 500, Number.POSITIVE_INFINITY]
/** Milliseconds: `cache.revalidate` unless set. */
const INTERVAL = 2_000

/** SELECTs since the database began; SHOW is none. */
async function selects(connection: Connection): Promise<number> {
  // As mysql2 answers: rows, and what it knows of their columns.
  const [rows] = (await connection.query("show global status like 'Com_select'")) as [{ Value: string }[]]
  return Number(rows[0]?.Value)
}

/** Sends them in order of the tokens, at most `AT_ONCE` at once. @returns seconds */
async function drive(gateway: Peer, tokens: readonly Token[], rate: number): Promise<number> {
  const began = performance.now()
  let sent = 0
  const work = async (): Promise<void> => {
    while (sent < REQUESTS) {
      const number = sent++
      const early = began + (number / rate) * 1_000 - performance.now()
      if (early > 1) await setTimeout(early)
      if ((await gateway.ask(tokens[number % TOKENS]?.raw ?? '')) !== 200)
        throw new Error('a request was refused')
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return (performance.now() - began) / 1_000
}

interface Driven {
  readonly rate: number
  readonly seconds: number
  readonly selects: number
  readonly perInterval: readonly number[]
}

async function measure(connection: Connection, rate: number, load: () => Promise<number>): Promise<Driven> {
  const perInterval: number[] = []
  const first = await selects(connection)
  let last = first
  const sample = async (): Promise<void> => {
    const count = await selects(connection)
    perInterval.push(count - last)
    last = count
  }
  const timer = setInterval(() => void sample(), INTERVAL)
  const seconds = await load()
  clearInterval(timer)
  return { rate, seconds, selects: (await selects(connection)) - first, perInterval }
}

const closing = new Closing()
try {
  const installation = await Installation.start(closing)
  const { connection } = installation
  const tokens = await installation.addTokens(TOKENS)
  const gateway = await installation.serve()
  const idle = await measure(connection, 0, () => setTimeout(5 * INTERVAL, (5 * INTERVAL) / 1_000))
  for (const { raw } of tokens) await gateway.ask(raw)
  const runs: Driven[] = []
  for (const rate of RATES) {
    runs.push(await measure(connection, rate, () => drive(gateway, tokens, rate)))
  }
  printTable(
    [
      'requests/s',
      'requests',
      'seconds',
      'SELECTs',
      'per 100,000',
      'per second',
      'per 2 s: min',
      'p50',
      'max',
    ],
    [idle, ...runs].map((run) => {
      const requests = run.rate === 0 ? 0 : REQUESTS
      return [
        (requests / run.seconds).toFixed(0),
        String(requests),
        run.seconds.toFixed(0),
        String(run.selects),
        requests === 0 ? '–' : ((run.selects * 100_000) / requests).toFixed(0),
        (run.selects / run.seconds).toFixed(1),
        ...[0, 0.5, 1].map((share) => String(percentile(run.perInterval, share))),
      ]
    }),
  )
  await saveResults('queries', { idle, runs })
} finally {
  await closing.close()
}
