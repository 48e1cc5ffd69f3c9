import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import type { Message, Port } from './line.ts'

/** How a process ended: its exit code, or the signal that ended it. */
export interface End {
  readonly code: number | null
  readonly signal: string | null
}

/** A worker's process, from outside. */
export interface Child {
  readonly pid: number | undefined
  readonly port: Port
  readonly ended: Promise<End>
  /** At once; its last lines are written. */
  end(): void
  kill(): void
}

/** @param command with which this same program is run */
export function forkWorker(command: readonly string[]): Child {
  // Its arguments are not ours: what was set on our command line may be secret, and is not for every list of processes.
  cluster.setupPrimary({ args: [...command], serialization: 'advanced' })
  const worker = cluster.fork()
  const { promise, resolve } = Promise.withResolvers<End>()
  worker.once('exit', (code: number | null, signal: string | null) => resolve({ code, signal }))
  // One that could not be started at all.
  worker.on('error', () => resolve({ code: null, signal: null }))
  return {
    pid: worker.process.pid,
    port: portOf(worker, (closed) => void promise.then(closed)),
    ended: promise,
    // Whoever is a worker of nobody ends itself.
    end: () => {
      if (worker.isConnected()) worker.process.disconnect()
    },
    kill: () => void worker.process.kill('SIGKILL'),
  }
}

/** To the process whose worker this one is; undefined for one that is none. */
export function parentPort(): Port | undefined {
  const { worker } = cluster
  // It ends together with the other.
  return worker && portOf(worker, () => undefined)
}

function portOf(worker: Worker, onClosed: Port['onClosed']): Port {
  return {
    send: (message) => void worker.send(message, () => undefined),
    onMessage: (hear) => void worker.on('message', (message: Message) => hear(message)),
    onClosed,
  }
}
