import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP connection that can go wrong, to a server that does not. */
export interface Proxy {
  readonly port: number
  /** Breaks what is open and refuses what comes. */
  cut(): void
  /** Keeps everything open and lets nothing through. Resolves when somebody waits for an answer. */
  hang(): Promise<void>
  /** Lets everything through again, what was held included. */
  resume(): void
}

/** A proxy of 127.0.0.1:`port` that ends with the test. */
export async function freshProxy(t: Test, port: number): Promise<Proxy> {
  const open = new Set<Socket>()
  let state: 'through' | 'cut' | 'hung' = 'through'
  let waits: (() => void) | undefined

  const keep = (socket: Socket): Socket => {
    open.add(socket)
    return socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket))
  }
  const server = createServer((near) => {
    if (state === 'cut') return void near.destroy()
    const far = keep(connect(port, '127.0.0.1'))
    keep(near).on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    relay(near, far)
    relay(far, near)
    if (state === 'hung') waits?.()
  })
  const relay = (from: Socket, to: Socket): void => {
    from.on('data', (chunk: Buffer) => {
      if (state !== 'hung') return void to.write(chunk)
      from.pause().unshift(chunk)
      waits?.()
    })
  }
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const cut = (): void => {
    state = 'cut'
    for (const socket of open) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  return {
    // A TCP server that listens has an address of this type.
    port: (server.address() as AddressInfo).port,
    cut,
    hang() {
      state = 'hung'
      return new Promise((resolve) => (waits = resolve))
    },
    resume() {
      state = 'through'
      for (const socket of open) socket.resume()
    },
  }
}
