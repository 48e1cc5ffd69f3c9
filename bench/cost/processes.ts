import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** A server that is measured, with the processes that it starts itself. */
export interface Running {
  readonly pid: number
  readonly port: number
  close(): Promise<void>
}

const started = new Set<ChildProcess>()

// Whatever way the bench ends, its servers end with it.
process.once('exit', () => {
  for (const child of started) child.kill('SIGTERM')
})

/** Milliseconds. */
const SLOWEST_START = 120_000
const BETWEEN_TRIES = 50

/** @param command whose first line of output is the port that it listens on */
export async function launch(command: readonly string[], cwd?: string): Promise<Running> {
  const child = start(command, 'pipe', cwd)
  const early = once(child, 'exit').then(() => Promise.reject(new Error(`${command.join(' ')} ended early`)))
  early.catch(() => undefined)
  const [line] = (await Promise.race([once(child.stdout ?? child, 'data'), early])) as [Buffer]
  return running(child, Number(line.toString()))
}

/** @param command that listens on `port`, sooner or later */
export async function launchOn(port: number, command: readonly string[], cwd?: string): Promise<Running> {
  const child = start(command, 'ignore', cwd)
  const until = performance.now() + SLOWEST_START
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > until)
      throw new Error(`${command.join(' ')} does not listen`)
    await pause(BETWEEN_TRIES)
  }
  return running(child, port)
}

function start(
  [file = '', ...args]: readonly string[],
  stdout: 'pipe' | 'ignore',
  cwd?: string,
): ChildProcess {
  // What else the environment says could be taken for a setting.
  const env = { PATH: process.env['PATH'] }
  const child = spawn(file, args, { stdio: ['ignore', stdout, 'inherit'], cwd, env })
  started.add(child)
  return child
}

function running(child: ChildProcess, port: number): Running {
  return {
    pid: child.pid ?? 0,
    port,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'close')
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** The process and all that came of it: proc(5), `/proc/PID/task/TID/children`. */
export function family(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`)
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(family)]
}

/** Resident bytes of a process and all that came of it: proc(5), `VmRSS`. */
export function residentBytes(pid: number): number {
  return family(pid).reduce((sum, one) => {
    const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1]
    return sum + Number(kilobytes ?? 0) * 1024
  }, 0)
}
