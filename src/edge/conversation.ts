import type { Duplex } from 'node:stream'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'

/** Requests that may wait behind one that is being answered. More is nothing that a client does who reads answers. */
const MOST_PIPELINED = 64

/** What is under way on one client connection: requests may come before the answers to earlier ones are over. */
export class Conversation {
  /** The last answer begun. */
  #answer: OutgoingResponse | undefined
  #last: IncomingRequest | undefined
  #behind = 0
  /** That have come. */
  requests = 0

  /** @returns whether it may be handled: nothing is that comes behind the last request, or too far ahead of its answer */
  begin(req: IncomingRequest, res: OutgoingResponse): boolean {
    if (this.#last !== undefined) {
      if (this.#last !== req) return false
      res.shouldKeepAlive = false
    }
    if (this.isAnswering) {
      if (this.#behind >= MOST_PIPELINED) {
        req.socket.destroy()
        return false
      }
      this.#behind++
      res.once('close', () => this.#behind--)
    }
    this.#answer = res
    this.requests++
    return true
  }

  /**
   * After a request whose `Upgrade` is ignored Node drops what else came with it, and would read what comes later as a
   * new request: a body, say, that the client was told to send. So this one is the last on its connection.
   */
  endWith(req: IncomingRequest): void {
    this.#last ??= req
  }

  get isAnswering(): boolean {
    return this.#answer?.writableFinished === false
  }

  /** All of the request whose answer is due has come: what moves from now on is the answer. */
  get isWhole(): boolean {
    return this.#answer?.req.complete === true
  }

  get hasBegunAnswer(): boolean {
    return this.#answer?.headersSent === true
  }

  /** Nothing more is read: the connection ends with the answer that is due. */
  get isLastDue(): boolean {
    return this.#last !== undefined && this.#last === this.#answer?.req && this.isAnswering
  }

  /** The request whose answer is due, and has not begun, has not sent all of its body. */
  isReadingItsBody(socket: Duplex): boolean {
    const answer = this.#answer
    return this.isAnswering && answer?.socket === socket && !answer.headersSent && !answer.req.complete
  }
}
