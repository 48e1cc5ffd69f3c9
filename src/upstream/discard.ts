import type { IncomingMessage } from 'node:http'
import type { OutgoingResponse } from '../request/exchange.ts'

const DISCARD_BYTES = 1024 * 1024
const DISCARD_MS = 2000

/**
 * Ends an answer that was given before the request's body was read. Closing at once would reset the connection,
 * and a client still busy sending would lose the answer with it (RFC 9112 §9.6); so the answer is written, then at
 * most 1 MiB of the body is thrown away, and the connection closed when the body ends, or after two seconds.
 *
 * The answer's head must have been given, with `Connection: close`.
 */
export function discardThenEnd(req: IncomingMessage, res: OutgoingResponse, last?: Buffer | string): void {
  let left = DISCARD_BYTES
  const timer = setTimeout(stop, DISCARD_MS)
  const discard = (chunk: Buffer): void => {
    left -= chunk.length
    // Who sends more than that meets a full window, not a reset: some proxies (HAProxy) drop an answer that they have not
    // read when they can no longer write.
    if (left < 0) req.pause()
  }
  function stop(): void {
    clearTimeout(timer)
    req.off('data', discard).off('end', stop).off('close', stop).pause()
    res.end(undefined, 'latin1')
  }
  if (last === undefined) res.flushHeaders()
  else res.write(last, 'latin1')
  req.on('data', discard).once('end', stop).once('close', stop).resume()
}
