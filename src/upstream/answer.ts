import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { discardThenEnd } from './discard.ts'

// Reason phrases are for people, and Node refuses some bytes that an upstream may put there.
const PRINTABLE = /^[\x20-\x7e]+$/

/** Bytes that cost less as text, which leaves with the head in one piece, than as a second buffer. */
const SMALL = 8_192

/** Writes one answer of the upstream to the client, no faster than the client reads. */
export class Answer {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  #left = Number.NaN
  #last: Buffer | undefined
  #draining = false

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.#req = req
    this.#res = res
  }

  /** @param length the response's Content-Length, if it has one */
  begin(status: number, reason: string | undefined, headers: string[], length: string | undefined): void {
    const res = this.#res
    if (res.destroyed) return
    // The client has not sent all of its body and may never do so: this connection has no next request.
    if (this.#answersEarly) res.shouldKeepAlive = false
    if (reason !== undefined && PRINTABLE.test(reason)) res.writeHead(status, reason, headers)
    else res.writeHead(status, headers)
    if (length === undefined) process.nextTick(flushHead, this)
    // The head of an answer that has an end waits for its first piece, and leaves with it in one write.
    else this.#left = Number(length)
  }

  /** @param controller is paused until the client has caught up */
  write(chunk: Buffer, controller: Dispatcher.DispatchController): void {
    if (this.#res.destroyed) return
    this.#left -= chunk.length
    // The last chunk waits for end(), which comes at once, and goes out with the headers in one write.
    if (this.#left === 0) this.#last = chunk
    else if (!this.#res.write(chunk)) this.#waitForDrain(controller)
  }

  end(): void {
    const last = this.#last
    if (this.#answersEarly) discardThenEnd(this.#req, this.#res, last)
    else if (last === undefined || last.length > SMALL) this.#res.end(last)
    else this.#res.end(last.toString('latin1'), 'latin1')
  }

  /** An event stream's headers must not wait for its first event. */
  flush(): void {
    const res = this.#res
    if (this.#last === undefined && !res.writableEnded && !res.destroyed) res.flushHeaders()
  }

  get #answersEarly(): boolean {
    return !this.#req.complete
  }

  #waitForDrain(controller: Dispatcher.DispatchController): void {
    controller.pause()
    if (this.#draining) return
    this.#draining = true
    this.#res.once('drain', () => {
      this.#draining = false
      controller.resume()
    })
  }
}

function flushHead(answer: Answer): void {
  answer.flush()
}
