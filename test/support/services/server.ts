import type { ChildProcess } from 'node:child_process'
import { freePort, removeFolder, startServer, stopServer, type ServerProgram } from './process.ts'

/** A running server of this test run's own, on loopback. It keeps its port over `stop` and `start`. */
export interface Server {
  readonly host: string
  readonly port: number
  /** With the password of its administrator, where it has one. */
  readonly url: string
  /** Of the process that runs now. */
  readonly pid: number
  /** Ends the process at once, as a crash would. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Hangs it: connections stay open and nothing answers. */
  pause(): void
  cont(): void
  /** Ends it for good and removes its files. */
  close(): Promise<void>
}

export const HOST = '127.0.0.1'

/** Of the administrators of the temporary servers. */
export const ADMIN_PASSWORD = 'only-for-tests'

/** Between our looking and the server's binding, another process may take the port. */
const PORT_TRIES = 3

/**
 * @param folder removed when the server is closed
 * @param program the process that serves on `port`
 * @param url its address, given its port
 */
export async function serve(
  folder: string,
  program: (port: number) => ServerProgram,
  url: (port: number) => string,
): Promise<Server> {
  const { port, child: first } = await onFreePort(folder, program)
  const recipe = program(port)
  let child = first
  const stop = () => stopServer(child, recipe.stopSignal)
  return {
    host: HOST,
    port,
    url: url(port),
    get pid() {
      return child.pid ?? 0
    },
    stop,
    async start() {
      await stop()
      child = await startServer(recipe, folder)
    },
    pause: () => void child.kill('SIGSTOP'),
    cont: () => void child.kill('SIGCONT'),
    async close() {
      await stop()
      removeFolder(folder)
    },
  }
}

async function onFreePort(
  folder: string,
  program: (port: number) => ServerProgram,
): Promise<{ port: number; child: ChildProcess }> {
  for (let left = PORT_TRIES; ; left--) {
    const port = await freePort()
    try {
      return { port, child: await startServer(program(port), folder) }
    } catch (error) {
      if (left === 1) throw error
    }
  }
}
