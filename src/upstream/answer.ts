import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { discardThenEnd } from './discard.ts'

// Reason phrases are for people, and Node refuses some bytes that an upstream may put there.
const PRINTABLE = /^[\x20-\x7e]+$/

/** Bytes that cost less as text, which leaves with the head in one piece, than as a second buffer. */
const SMALL = 8_192

/** What brings the answer: it can be held up. */
export interface Flow {
  pause(): void
  resume(): void
}

/** Writes one answer of the upstream to the client, no faster than the client reads. */
export class Answer {
  readonly #req: IncomingRequest
  readonly #res: OutgoingResponse
  #left = Number.NaN
  #last: Buffer | string | undefined
  #draining = false

  constructor(req: IncomingRequest, res: OutgoingResponse) {
    this.#req = req
    this.#res = res
  }

  /** @param length the response's Content-Length, if it has one */
  begin(status: number, reason: string, headers: string[], length: number | undefined): void {
    const res = this.#res
    if (res.destroyed) return
    // The client has not sent all of its body and may never do so: this connection has no next request.
    if (!this.#req.complete) res.shouldKeepAlive = false
    res.writeHead(status, PRINTABLE.test(reason) ? reason : undefined, headers)
    if (length === undefined) process.nextTick(flushHead, this)
    // The head of an answer that has an end waits for its first piece, and leaves with it in one write.
    else this.#left = length
  }

  /**
   * @param piece may be overwritten when this returns
   * @param flow is paused until the client has caught up
   */
  write(piece: Buffer, flow: Flow): void {
    if (this.#res.destroyed) return
    this.#left -= piece.length
    // The last piece waits for end(), which comes at once, and goes out with the headers in one write.
    if (this.#left === 0) this.#last = piece.length > SMALL ? Buffer.from(piece) : piece.toString('latin1')
    else if (!this.#res.write(Buffer.from(piece), 'latin1')) this.#waitForDrain(flow)
  }

  end(): void {
    const last = this.#last
    if (this.#req.complete) this.#res.end(last, 'latin1')
    else discardThenEnd(this.#req, this.#res, last)
  }

  /** An event stream's headers must not wait for its first event. */
  flush(): void {
    const res = this.#res
    if (this.#last === undefined && !res.writableEnded && !res.destroyed) res.flushHeaders()
  }

  #waitForDrain(flow: Flow): void {
    flow.pause()
    if (this.#draining) return
    this.#draining = true
    this.#res.once('drain', () => {
      this.#draining = false
      flow.resume()
    })
  }
}

function flushHead(answer: Answer): void {
  answer.flush()
}
