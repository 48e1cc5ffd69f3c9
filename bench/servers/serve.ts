import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'

/** Where the case under test shall send its requests: `--upstream URL`. */
export function upstreamUrl(): string {
  const { values } = parseArgs({ options: { upstream: { type: 'string' } } })
  if (values.upstream === undefined) throw new Error('--upstream URL is missing')
  return values.upstream
}

/** Every case listens on a free port of the loopback address and prints its number, and nothing else. */
export function serve(listener: RequestListener): void {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
}
