/**
 * What a proxied request costs, against baselines in the same run: `npm run bench -- [--short] [--case NAME …]`.
 *
 * Each case is a process of its own on one processor; the backend and the load share another. Cases alternate, so
 * that a neighbour's noise falls on all of them, and medians are reported. Throughput swings most, processor time
 * less; instructions repeat within a few percent.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { countInstructions, cpuSeconds, isInstalled, median, ownLoad, start, wrk } from './measure.ts'

const CASES = ['upstream', 'gateway', 'bare', 'reply-from', 'http-proxy-3'] as const
const CONNECTIONS = 32

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true, default: [...CASES] },
    rounds: { type: 'string' },
  },
})
const rounds = Math.min(20, Number(values.rounds ?? (values.short ? 1 : 7)))
const milliseconds = values.short ? 1000 : 4000

interface Sample {
  readonly cpuMicroseconds: number
  readonly kiloInstructions: number | undefined
  readonly perSecond: number
}

interface Running {
  readonly name: string
  readonly process: ChildProcess
  readonly url: string
  readonly samples: Sample[]
}

const pinned = process.platform === 'linux' && availableParallelism() > 1 && (await isInstalled('taskset'))
const load = (await isInstalled('wrk')) ? wrk : ownLoad

function onProcessor(number: number): readonly string[] {
  return pinned ? ['taskset', '-c', String(number)] : []
}

async function launch(name: string, processor: number, upstream?: string): Promise<Running> {
  const args = upstream === undefined ? [] : ['--upstream', upstream]
  const script = `${import.meta.dirname}/servers/${name}.ts`
  const child = start([...onProcessor(processor), process.execPath, script, ...args])
  const early = once(child, 'exit').then(() => Promise.reject(new Error(`${name} ended before it listened`)))
  const [line] = (await Promise.race([once(child.stdout ?? child, 'data'), early])) as [Buffer]
  early.catch(() => undefined)
  const url = `http://127.0.0.1:${Number(line.toString())}`
  return { name, process: child, url, samples: [] }
}

async function measure(running: Running, ms: number): Promise<Sample> {
  const { exitCode, signalCode } = running.process
  if (exitCode !== null || signalCode !== null)
    throw new Error(`${running.name} ended: ${signalCode ?? exitCode}`)
  const pid = running.process.pid ?? 0
  const instructions = countInstructions(pid)
  const before = cpuSeconds(pid)
  const began = performance.now()
  const { requests, errors } = await load(`${running.url}/api/roms/1`, CONNECTIONS, ms, onProcessor(1))
  const seconds = (performance.now() - began) / 1000
  const cpu = cpuSeconds(pid) - before
  const counted = await instructions()
  if (errors > 0 || requests === 0)
    throw new Error(`${running.name}: ${errors} errors in ${requests} requests`)
  return {
    cpuMicroseconds: (cpu * 1e6) / requests,
    kiloInstructions: counted === undefined ? undefined : counted / requests / 1000,
    perSecond: requests / seconds,
  }
}

function report(cases: readonly Running[]): void {
  const rows = cases.map(({ name, samples }) => {
    const instructions = samples.flatMap(({ kiloInstructions }) => kiloInstructions ?? [])
    return {
      name,
      cpu: median(samples.map((sample) => sample.cpuMicroseconds)),
      instructions: median(instructions),
      perSecond: median(samples.map((sample) => sample.perSecond)),
    }
  })
  const first = rows[0]
  console.log('| case | CPU µs/request | ratio | thousand instructions/request | ratio | requests/s |')
  console.log('|---|---|---|---|---|---|')
  for (const { name, cpu, instructions, perSecond } of rows) {
    const cells = [
      name,
      cpu.toFixed(1),
      (cpu / (first?.cpu ?? 1)).toFixed(2),
      Number.isNaN(instructions) ? 'n/a' : instructions.toFixed(0),
      Number.isNaN(instructions) ? 'n/a' : (instructions / (first?.instructions ?? 1)).toFixed(2),
      perSecond.toFixed(0),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}

const processes: ChildProcess[] = []
try {
  const backend = await launch('backend', 1)
  processes.push(backend.process)
  const cases: Running[] = []
  for (const name of values.case) {
    const running = await launch(name, 0, backend.url)
    processes.push(running.process)
    cases.push(running)
  }
  // The first thousands of requests run uncompiled.
  for (const running of cases) await measure(running, milliseconds / 2)
  for (let round = 0; round < rounds; round++) {
    for (const running of cases) running.samples.push(await measure(running, milliseconds))
  }
  const tools = `${load === wrk ? 'wrk' : 'own load'}, ${pinned ? 'pinned' : 'not pinned'}`
  console.log(`Node ${process.version}, ${rounds} rounds of ${milliseconds} ms, ${tools}`)
  report(cases)
} finally {
  for (const child of processes) child.kill()
}
