import type { IncomingMessage } from 'node:http'
import type { Connection } from './http1/connection.ts'

/**
 * A request's body on its way up, no faster than the upstream takes it. Its head leaves with its first piece, in one
 * write, and not before.
 */
export class Upload {
  readonly #req: IncomingMessage
  readonly #isChunked: boolean
  #head = ''
  #connection: Connection | undefined
  /** Something of the request has been sent. */
  hasBegun = false

  /** @param isChunked the body goes up in chunks, since nobody said how long it is (RFC 9112 §7.1) */
  constructor(req: IncomingMessage, isChunked: boolean) {
    this.#req = req
    this.#isChunked = isChunked
  }

  /** Once more, on another connection, while nothing has been sent. */
  start(head: string, connection: Connection): void {
    this.#req.off('data', this.#onData).off('end', this.#onEnd)
    this.#head = head
    this.#connection = connection
    this.#req.on('data', this.#onData).on('end', this.#onEnd).resume()
  }

  /** All of it has been read. */
  get isRead(): boolean {
    return this.#req.readableEnded
  }

  /** Nothing more goes up. */
  stop(): void {
    this.#connection = undefined
    this.#req.off('data', this.#onData).off('end', this.#onEnd)
    // What is left of a body that has arrived would stand in the way of the connection's next request.
    if (this.#req.complete) this.#req.resume()
    else this.#req.pause()
  }

  readonly #onData = (piece: Buffer): void => {
    const takesMore = this.#connection?.together((connection) => {
      this.#sendHead(connection)
      if (this.#isChunked) connection.sendPiece(`${piece.length.toString(16)}\r\n`)
      connection.sendPiece(piece)
      if (this.#isChunked) connection.sendPiece('\r\n')
    }, this.#onDrain)
    if (takesMore === false) this.#req.pause()
  }

  readonly #onDrain = (): void => {
    if (this.#connection !== undefined) this.#req.resume()
  }

  readonly #onEnd = (): void => {
    this.#connection?.together((connection) => {
      this.#sendHead(connection)
      // Trailers go no further (RFC 9110 §6.5.1).
      if (this.#isChunked) connection.sendPiece('0\r\n\r\n')
    }, ignore)
    this.#connection?.sent()
  }

  #sendHead(connection: Connection): void {
    if (this.#head === '') return
    connection.send(this.#head, true)
    this.#head = ''
    this.hasBegun = true
  }
}

function ignore(): void {}
