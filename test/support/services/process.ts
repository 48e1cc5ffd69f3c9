import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Generous, since a busy machine is no fault. */
const START_LIMIT = 120_000
const STOP_LIMIT = 20_000
const REMOVAL = { recursive: true, force: true, maxRetries: 3 }

/** How to run one server process. */
export interface ServerProgram {
  readonly path: string
  readonly args: readonly string[]
  readonly owner: Owner
  /** What it writes once it takes connections. */
  readonly ready: RegExp
  /** Ends it at once, without waiting for its clients. */
  readonly stopSignal: NodeJS.Signals
}

/** MariaDB and PostgreSQL refuse to run as root: then they are somebody else's. */
export interface Owner {
  readonly uid?: number
  readonly gid?: number
}

/** @param names users to look for, best first; `nobody` is always the last resort */
export function unprivileged(...names: string[]): Owner {
  if (process.getuid?.() !== 0) return {}
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((row) => row.split(':'))
  for (const name of [...names, 'nobody']) {
    const row = rows.find(([user]) => user === name)
    if (row) return { uid: Number(row[2]), gid: Number(row[3]) }
  }
  throw new Error(`running as root, and none of ${names.join(', ')}, nobody is a user here`)
}

const children = new Map<ChildProcess, NodeJS.Signals>()
const folders = new Set<string>()

// The last resort: whatever way this process ends (short of SIGKILL), its servers end with it.
process.once('exit', () => {
  for (const [child, signal] of children) child.kill(signal)
  for (const folder of folders) rmSync(folder, REMOVAL)
})
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.once(signal, () => process.exit(128 + number))
}

/** A folder of its own for a server, which `owner` may write to. */
export function temporaryFolder(name: string, owner: Owner = {}): string {
  const folder = mkdtempSync(join(tmpdir(), `postern-${name}-`))
  folders.add(folder)
  chmodSync(folder, 0o755)
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(folder, owner.uid, owner.gid)
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, REMOVAL)
  folders.delete(folder)
}

/** A loopback port nobody listens on, below those that the system gives to outgoing connections. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const probe = createServer()
    try {
      await once(probe.listen(port, '127.0.0.1'), 'listening')
    } catch {
      continue
    }
    probe.close()
    await once(probe, 'close')
    return port
  }
}

/** Runs a program to its end. @throws Error with what it wrote when it fails */
export async function run(path: string, args: readonly string[], owner: Owner, cwd: string): Promise<void> {
  const child = start({ path, args, owner, stopSignal: 'SIGTERM' }, cwd)
  const written = collect(child)
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0) throw new Error(`${path} ended with ${String(code)}:\n${written()}`)
}

/** Starts a server and waits until it takes connections. @throws Error with what it wrote when it does not */
export async function startServer(program: ServerProgram, cwd: string): Promise<ChildProcess> {
  const child = start(program, cwd)
  const written = collect(child)
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${program.path} ${why}:\n${written()}`))
    const limit = setTimeout(() => {
      child.kill('SIGKILL')
      fail(`was not ready after ${START_LIMIT} ms`)
    }, START_LIMIT)
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code, signal) => fail(`ended with ${String(code ?? signal)}`))
    const look = () => {
      if (!program.ready.test(written())) return
      clearTimeout(limit)
      child.stdout?.off('data', look).resume()
      child.stderr?.off('data', look).resume()
      resolve()
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.once('close', () => clearTimeout(limit))
  })
  return child
}

/** Ends a process that `startServer` started, a paused one too, and waits until it is gone. */
export async function stopServer(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGCONT')
  child.kill(signal)
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT)
  await gone
  clearTimeout(limit)
}

function start(program: Omit<ServerProgram, 'ready'>, cwd: string): ChildProcess {
  // LC_ALL: the words that tell of readiness are looked for in English.
  const env = { ...process.env, LC_ALL: 'C.UTF-8' }
  const child = spawn(program.path, program.args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...program.owner,
  })
  children.set(child, program.stopSignal)
  child.once('exit', () => children.delete(child))
  return child
}

/** What the process has written so far; the beginning of it when that is much. */
function collect(child: ChildProcess): () => string {
  let text = ''
  const add = (chunk: Buffer) => {
    if (text.length < 65_536) text += chunk.toString()
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return () => text
}
