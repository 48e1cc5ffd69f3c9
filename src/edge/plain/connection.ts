import type { Socket } from 'node:net'
import type { OutgoingResponse, PlainRequest } from '../../request/exchange.ts'
import type { Conversation } from '../conversation.ts'
import { readPlain } from './head.ts'
import { type Carrier, PlainResponse } from './response.ts'

/** Whom a connection belongs to. */
export interface PlainOwner {
  /** Of a request's head, bytes. */
  readonly headerBytes: number
  /** Milliseconds for which a new connection may say nothing. */
  readonly headersTimeout: number
  /** Milliseconds for which nothing may move. */
  readonly idleTimeout: number
  onRequest(req: PlainRequest, res: OutgoingResponse): void
  /** It goes on with Node's server; what it has brought waits in the socket. */
  onUnusual(connection: PlainConnection): void
  /** Nothing has moved for too long; it is to be closed. */
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
  /** More has come while an answer is due. */
  #isAhead = false
  /** There is no next request. */
  #isClosing = false
  /** Requests that had come when it was last looked at. */
  #seen = 0
  #isTimed = false

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
   * To be called now and then: only an answer that takes its time has a timer, which Node sets anew with each read and
   * write.
   */
  look(): void {
    const { requests, isAnswering } = this.conversation
    if (requests === 0) return
    const takesLong = isAnswering && requests === this.#seen
    this.#seen = requests
    if (takesLong === this.#isTimed) return
    this.#isTimed = takesLong
    this.socket.setTimeout(takesLong ? this.#owner.idleTimeout : 0)
  }

  /** It has had a request, and nothing is under way. */
  get isIdle(): boolean {
    return this.conversation.requests > 0 && !this.conversation.isAnswering
  }

  /** Its socket is for others from now on. */
  leave(): void {
    this.socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('drain', this.#onDrain)
      .off('timeout', this.#onTimeout)
      .off('error', ignore)
      .off('close', this.#onClose)
      .setTimeout(0)
    this.#owner.onClosed(this)
  }

  onAnswered(response: PlainResponse): void {
    this.#response = undefined
    if (!response.shouldKeepAlive) {
      this.#isClosing = true
      this.socket.destroySoon()
    } else if (this.#isAhead) this.#owner.onUnusual(this)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isClosing) return
    if (this.#response !== undefined) return this.#keep(bytes)
    const mayBePlain = !this.conversation.isAnswering && bytes.length < this.#owner.headerBytes
    const request = mayBePlain ? readPlain(bytes, this.socket) : undefined
    if (request === undefined) {
      this.#keep(bytes)
      return this.#owner.onUnusual(this)
    }
    if (this.conversation.requests === 0) this.socket.setTimeout(0)
    const response = new PlainResponse(request, this)
    this.#response = response
    this.#owner.onRequest(request, response)
  }

  #keep(bytes: Buffer): void {
    this.#isAhead = true
    this.socket.pause()
    this.socket.unshift(bytes)
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

function ignore(): void {}
