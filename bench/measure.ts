import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** Processor seconds that a process has used, in user and kernel mode; proc(5): fields 14 and 15 of `stat`. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in field 2 may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

// USER_HZ, which Linux fixes at 100 for all that user space sees.
const TICKS_PER_SECOND = 100

/** A command's output; it is killed by id when it takes longer than `timeout` milliseconds. */
export async function run(command: readonly string[], timeout: number): Promise<string> {
  const child = start(command)
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`)
  return output
}

function start(command: readonly string[]): ChildProcess {
  const [file = '', ...args] = command
  return spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Counts the instructions of processes, kernel included, until told to stop; undefined where perf cannot. */
export function countInstructions(pids: readonly number[]): () => Promise<number | undefined> {
  const perf = spawn('perf', ['stat', '-x', ',', '-e', 'instructions', '-p', pids.join(',')])
  let output = ''
  perf.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const over = new Promise<void>((resolve) => {
    perf.on('error', () => resolve()).on('close', () => resolve())
  })
  return async () => {
    perf.kill('SIGINT')
    await over
    const count = Number.parseInt(output, 10)
    return Number.isNaN(count) ? undefined : count
  }
}

export function isInstalled(command: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, ['--version'], { stdio: 'ignore' })
    child.on('error', () => resolve(false)).on('close', () => resolve(true))
  })
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
