import type { Server, Socket } from 'node:net'
import { networkOf, plainAddress } from '../request/network.ts'

export interface ConnectionLimits {
  /** Open at once, all together. */
  readonly connections: number
  /** Of one address; of IPv6, of one network. */
  readonly connectionsPerAddress: number
}

export interface ConnectionOptions {
  /** Whether the other end, as the socket names it, stands for many clients. */
  readonly isProxy: (remoteAddress: string) => boolean
  /** Told of every connection that was closed unanswered, and by which bound. */
  readonly onRefused: (bound: 'all' | 'address') => void
}

/** What is beyond the bounds is closed at once: to answer it would cost what the bounds are to save. */
export function boundConnections(server: Server, limits: ConnectionLimits, options: ConnectionOptions): void {
  const open = new Map<string, number>()
  // One of several workers would otherwise hand what it drops to the next, and that one to the next, for as long as all are
  // full. (Node's types do not know it.)
  Object.assign(server, { maxConnections: limits.connections, dropMaxConnection: true })
  server.on('drop', () => options.onRefused('all'))
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket
    // On a Unix socket nobody has an address, and whoever connects is a proxy of this machine.
    if (remoteAddress === undefined || options.isProxy(remoteAddress)) return
    const network = networkOf(plainAddress(remoteAddress))
    const count = open.get(network) ?? 0
    if (count >= limits.connectionsPerAddress) {
      options.onRefused('address')
      return void socket.destroy()
    }
    open.set(network, count + 1)
    socket.once('close', () => {
      const left = (open.get(network) ?? 0) - 1
      if (left > 0) open.set(network, left)
      else open.delete(network)
    })
  })
}
