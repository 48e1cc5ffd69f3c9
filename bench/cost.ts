/**
 * What a request costs, against baselines in the same run: `npm run bench -- cost [GROUP …] [--short] [--case NAME …]`.
 *
 * What is measured has one processor, the backend and the load another. The cases of a group alternate, there and back,
 * so that a neighbour's noise falls on all of them, and medians are reported. A ratio is the median of the rounds' own
 * ratios: its two sides were measured within seconds. Throughput swings most, processor time less; instructions repeat
 * within a few percent.
 */
import { parseArgs } from 'node:util'
import type { Case } from './cost/case.ts'
import { GOALS, GROUPS } from './cost/cases.ts'
import { CONNECTIONS, load, LOADER } from './cost/load.ts'
import { type Measured, onProcessor, PINNING, Servers } from './cost/servers.ts'
import { countInstructions, cpuSeconds, median } from './measure.ts'
import { printTable, saveResults } from './results.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true },
    rounds: { type: 'string' },
  },
})
const rounds = Math.min(40, Number(values.rounds ?? (values.short ? 1 : 13)))
const milliseconds = values.short ? 1000 : 2000

interface Sample {
  readonly requests: number
  readonly cpuMicroseconds: number
  readonly kiloInstructions: number | undefined
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** Medians, and what they are of. */
interface Result extends Sample {
  readonly name: string
  readonly samples: readonly Sample[]
}

async function measure(one: Case, { port, pids }: Measured, ms: number): Promise<Sample> {
  const used = (): number => pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const instructions = countInstructions(pids())
  const before = used()
  const began = performance.now()
  const { requests, errors, p50, p99 } = await load(one, port, ms, onProcessor(1))
  const seconds = (performance.now() - began) / 1000
  const cpu = used() - before
  const counted = await instructions()
  if (errors > 0 || requests === 0) throw new Error(`${one.name}: ${errors} errors in ${requests} requests`)
  return {
    requests,
    cpuMicroseconds: (cpu * 1e6) / requests,
    kiloInstructions: counted === undefined ? undefined : counted / requests / 1000,
    perSecond: requests / seconds,
    p50,
    p99,
  }
}

async function measureGroup(cases: readonly Case[], servers: Servers): Promise<Result[]> {
  const started: { readonly one: Case; readonly measured: Measured; readonly samples: Sample[] }[] = []
  for (const one of cases) started.push({ one, measured: await servers.start(one), samples: [] })
  // The first thousands of requests run uncompiled, and each token is new once.
  for (const { one, measured } of started) {
    let left = values.short ? 0 : (one.tokens ?? 0)
    do left -= (await measure(one, measured, milliseconds)).requests
    while (left > 0)
  }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? started : started.toReversed()
    for (const { one, measured, samples } of order) samples.push(await measure(one, measured, milliseconds))
  }
  return started.map(({ one, samples }) => ({
    name: one.name,
    samples,
    requests: samples.reduce((sum, { requests }) => sum + requests, 0),
    cpuMicroseconds: median(samples.map((sample) => sample.cpuMicroseconds)),
    kiloInstructions: medianOfAll(samples.map((sample) => sample.kiloInstructions)),
    perSecond: median(samples.map((sample) => sample.perSecond)),
    p50: median(samples.map((sample) => sample.p50)),
    p99: median(samples.map((sample) => sample.p99)),
  }))
}

function medianOfAll(numbers: readonly (number | undefined)[]): number | undefined {
  const known = numbers.filter((number) => number !== undefined)
  return known.length === 0 ? undefined : median(known)
}

/** The main figure where the machine gives it, else processor time. */
function costOf({ cpuMicroseconds, kiloInstructions }: Sample): number {
  return kiloInstructions ?? cpuMicroseconds
}

/** The median of what it was in each round. */
function ratioOf(one: Result, other: Result): number {
  return median(one.samples.map((sample, round) => costOf(sample) / costOf(other.samples[round] ?? other)))
}

function printGroup(results: readonly Result[]): void {
  const [first] = results
  printTable(
    ['case', 'CPU µs a request', 'thousand instructions', 'ratio', 'requests/s', 'p50 ms', 'p99 ms'],
    results.map((result) => [
      result.name,
      result.cpuMicroseconds.toFixed(1),
      result.kiloInstructions?.toFixed(0) ?? 'not counted here',
      ratioOf(result, first ?? result).toFixed(2),
      result.perSecond.toFixed(0),
      result.p50.toFixed(2),
      result.p99.toFixed(2),
    ]),
  )
  console.log('')
}

/** Those of which both sides were measured in the same group: only then did the same noise fall on them. */
function goalsOf(results: readonly Result[]): string[][] {
  const named = (name: string): Result | undefined => results.find((result) => result.name === name)
  return GOALS.flatMap(({ what, of, to, atMost }) => {
    const [one, other] = [named(of), named(to)]
    if (one === undefined || other === undefined) return []
    const ratio = ratioOf(one, other)
    return [[what, ratio.toFixed(2), `≤ ${atMost.toFixed(2)}`, ratio <= atMost ? 'reached' : 'missed']]
  })
}

/** @throws Error when there is no such group */
function groupOf(name: string): readonly Case[] {
  const group = GROUPS[name]
  if (group === undefined) throw new Error(`no group ${name}: ${Object.keys(GROUPS).join(', ')}`)
  return group.filter((one) => values.case === undefined || values.case.includes(one.name))
}

const names = positionals.length > 0 ? positionals : Object.keys(GROUPS)
const groups = names.map((name) => ({ name, cases: groupOf(name) }))
const servers = new Servers()
try {
  console.log(`${rounds} rounds of ${milliseconds} ms, ${CONNECTIONS} connections, ${LOADER}, ${PINNING}\n`)
  const all: object[] = []
  const goals: string[][] = []
  for (const { name, cases } of groups) {
    console.log(`## ${name}\n`)
    const results = await measureGroup(cases, servers)
    printGroup(results)
    goals.push(...goalsOf(results))
    all.push(...results.map((result) => ({ ...result, group: name })))
  }
  printTable(['the gateway', 'measured', 'goal', ''], goals)
  await saveResults('cost', all)
} finally {
  await servers.close()
}
