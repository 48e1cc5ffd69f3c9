import type { Socket } from 'node:net'
import type { OutgoingResponse, PlainRequest } from '../../request/exchange.ts'
import type { Conversation } from '../conversation.ts'
import { readPlain } from './head.ts'
import { type Carrier, PlainResponse } from './response.ts'

/** Whom a connection belongs to. */
export interface PlainOwner {
  /** Of a request's head, and of what may come ahead of an answer. */
  readonly headerBytes: number
  /** Milliseconds for which a new connection may say nothing. */
  readonly headersTimeout: number
  /** Milliseconds for which an answer may stand still. */
  readonly idleTimeout: number
  onRequest(req: PlainRequest, res: OutgoingResponse): void
  /** It goes on with Node's server; what it has brought waits in the socket, which is paused. */
  onUnusual(connection: PlainConnection): void
  /** A new one has said nothing for too long. */
  onSilent(connection: PlainConnection): void
  onClosed(connection: PlainConnection): unknown
}

/**
 * A client's connection while all it brings are plain requests, one at a time, each in one piece: nearly all there are. The
 * first thing that is anything else, and all that comes behind it, is for Node's server.
 */
export class PlainConnection implements Carrier {
  readonly socket: Socket
  readonly conversation: Conversation
  readonly #owner: PlainOwner
  #response: PlainResponse | undefined
  /** What has come while an answer is due. */
  #ahead: Buffer[] | undefined
  #aheadBytes = 0
  /** There is no next request. */
  #isClosing = false
  #hasLeft = false
  /** What there was at the last look, and since when nothing has moved. */
  readonly #seen = { requests: 0, written: 0, at: 0 }

  constructor(socket: Socket, conversation: Conversation, owner: PlainOwner) {
    this.socket = socket
    this.conversation = conversation
    this.#owner = owner
    socket.setTimeout(owner.headersTimeout)
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('drain', this.#onDrain)
      .on('timeout', this.#onTimeout)
      .on('error', ignore)
      .on('close', this.#onClose)
  }

  /**
   * To be called now and then: ends an answer that stands still. What the client goes on sending does not count, and a timer
   * of the socket's own would be set anew with each read and write. A write moves when it is over: pieces must be small beside
   * what the slowest client reads in that time. For Node's server it looks at what waits to be written alone, and at nothing
   * while a body comes.
   * @param now monotonic milliseconds
   */
  look(now: number): void {
    const { socket } = this
    const { requests, isAnswering, isWhole } = this.conversation
    const isDue = isWhole && (this.#hasLeft ? socket.writableLength > 0 : isAnswering)
    const written = socket.bytesWritten - socket.writableLength
    const seen = this.#seen
    if (!isDue || requests !== seen.requests || written !== seen.written) {
      seen.requests = requests
      seen.written = written
      seen.at = now
    } else if (now - seen.at >= this.#owner.idleTimeout) socket.destroy()
  }

  /** It has had a request, and nothing is under way. */
  get isIdle(): boolean {
    return this.conversation.requests > 0 && !this.conversation.isAnswering
  }

  /** Its socket is for others from now on. */
  leave(): void {
    this.#hasLeft = true
    this.socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('drain', this.#onDrain)
      .off('timeout', this.#onTimeout)
      .off('error', ignore)
      .off('close', this.#onClose)
      .setTimeout(0)
  }

  onAnswered(response: PlainResponse): void {
    const { socket } = this
    this.#response = undefined
    // Its client has left.
    if (socket.destroyed || socket.writableEnded) return
    if (!response.shouldKeepAlive) {
      this.#isClosing = true
      socket.destroySoon()
    } else if (this.#ahead !== undefined) this.#handOver(this.#ahead)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isClosing) return
    if (this.#response !== undefined) return this.#keep(bytes)
    const { isAnswering, requests } = this.conversation
    const mayBePlain = !isAnswering && bytes.length < this.#owner.headerBytes
    const request = mayBePlain ? readPlain(bytes, this.socket) : undefined
    if (request === undefined) {
      if (requests > 0 && areEmptyLines(bytes)) return
      return this.#handOver([bytes])
    }
    if (requests === 0) this.socket.setTimeout(0)
    const response = new PlainResponse(request, this)
    this.#response = response
    this.#owner.onRequest(request, response)
  }

  /** It is read on, or nobody would notice that the client leaves; so there has to be an end of it. */
  #keep(bytes: Buffer): void {
    if (this.#ahead === undefined && areEmptyLines(bytes)) return
    this.#aheadBytes += bytes.length
    this.#ahead ??= []
    this.#ahead.push(bytes)
    if (this.#aheadBytes > this.#owner.headerBytes) this.socket.destroy()
  }

  #handOver(bytes: readonly Buffer[]): void {
    this.socket.pause()
    this.socket.unshift(Buffer.concat(bytes))
    this.#ahead = undefined
    this.#owner.onUnusual(this)
  }

  /** Who sends no more has left, as with Node: few clients close one half alone, and most cannot. */
  readonly #onEnd = (): void => void this.socket.end()

  readonly #onDrain = (): void => {
    this.#response?.emit('drain')
  }

  readonly #onTimeout = (): void => this.#owner.onSilent(this)

  readonly #onClose = (): void => {
    this.#owner.onClosed(this)
    const response = this.#response
    this.#response = undefined
    response?.emit('close')
  }
}

/** RFC 9112 §2.2: between requests they mean nothing; Node's server would wait for what follows them, and not for long. */
function areEmptyLines(bytes: Buffer): boolean {
  return bytes.length <= MOST_EMPTY && /^(?:\r\n)+$/.test(bytes.toString('latin1'))
}

const MOST_EMPTY = 8

function ignore(): void {}
