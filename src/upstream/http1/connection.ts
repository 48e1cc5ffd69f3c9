import type { Socket } from 'node:net'
import { ConnectionLost, TookTooLong } from '../failure.ts'
import { ChunkReader } from './chunks.ts'
import { BadAnswer, HeadReader } from './head.ts'
import type { ResponseHead } from './head.ts'
import { open } from './open.ts'
import type { Origin } from './open.ts'

/** What one connection may take. Milliseconds and bytes. */
export interface ConnectionBounds {
  readonly connectTimeout: number
  /** From the end of a request to the head of its answer. */
  readonly headersTimeout: number
  /** Between two pieces of an answer's body. */
  readonly bodyTimeout: number
  /** For which an idle connection is used again. */
  readonly keepAliveTimeout: number
  /** Of an answer's head, interim ones included. */
  readonly maxHeaderSize: number
}

/** Told what comes of a request; of nothing more after `onEnd` or `onError`. */
export interface Exchanger {
  readonly method: string
  /** The connection is there and waits for the request. */
  onReady(connection: Connection): void
  /** Something of an answer is there. */
  onBegun(): void
  /** Of the final answer; interim ones are dropped (RFC 9110 §15.2). */
  onHead(head: ResponseHead): void
  /** @param piece of the body: a view of bytes that are overwritten when this returns */
  onData(piece: Buffer): void
  onEnd(): void
  onError(error: Error): void
}

/** Whom a connection belongs to. */
export interface Owner {
  readonly origin: Origin
  readonly bounds: ConnectionBounds
  /** The moment that is so many milliseconds away, or a little more. */
  after(milliseconds: number): number
  /** It may serve another request. @param seconds for which the upstream says it keeps it */
  onIdle(connection: Connection, seconds: number | undefined): void
  onClosed(connection: Connection): void
}

/** One connection to the upstream, for one exchange at a time. */
export class Connection {
  readonly #owner: Owner
  readonly #socket: Socket
  readonly #heads: HeadReader
  #exchanger: Exchanger | undefined
  #reading: 'nothing' | 'head' | 'body' = 'nothing'
  #head: ResponseHead | undefined
  /** Of a body that is not chunked; infinite where it ends with the connection. */
  #left = 0
  #chunks: ChunkReader | undefined
  /** Not all of the request is sent. */
  #isSending = false
  #isPaused = false
  #isConnected = false
  #isOver = false
  /** When what it waits for has taken too long. */
  deadline: number

  constructor(owner: Owner, exchanger: Exchanger) {
    const { origin, bounds } = owner
    this.#owner = owner
    this.#exchanger = exchanger
    this.#heads = new HeadReader(bounds.maxHeaderSize)
    this.deadline = owner.after(bounds.connectTimeout)
    this.#socket = open(origin, (bytes) => this.#onBytes(bytes))
      .once(origin.isTls ? 'secureConnect' : 'connect', () => this.#onConnected())
      .on('error', (error) => this.#fail(error))
      .on('end', () => this.#onEnd())
      .on('close', () => this.#onClose())
  }

  /** For an idle one. */
  take(exchanger: Exchanger): void {
    this.#exchanger = exchanger
    this.#handOver(exchanger)
  }

  /**
   * Sends what a request begins with, or all of it.
   * @param more whether a body follows
   */
  send(head: string, more: boolean): void {
    this.#reading = 'head'
    this.#isSending = more
    this.#socket.write(head, 'latin1')
    this.#awaitHead()
  }

  /** Sends a piece of the request's body. */
  sendPiece(piece: Buffer | string): void {
    this.#socket.write(piece, 'latin1')
  }

  /** Pieces of the body that are sent in `send` leave in one write. @returns whether more may follow at once; else `onDrain` says when */
  together(send: (to: this) => void, onDrain: () => void): boolean {
    this.#socket.cork()
    send(this)
    this.#socket.uncork()
    if (!this.#socket.writableNeedDrain) {
      this.#awaitMoreOfRequest()
      return true
    }
    this.#awaitHead()
    this.#socket.once('drain', () => {
      this.#awaitMoreOfRequest()
      onDrain()
    })
    return false
  }

  /** The request is sent, whole. */
  sent(): void {
    this.#isSending = false
    this.#awaitHead()
  }

  /** Nothing more is handed out until `resume`, but for what has been read already. */
  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
    this.deadline = Infinity
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
    this.#awaitMore()
  }

  /** Ends it at once; its exchanger is told. */
  abort(error: Error): void {
    this.#fail(error)
  }

  /** For when the deadline is past. */
  expire(): void {
    this.#fail(new TookTooLong(this.#isConnected ? 'the upstream' : 'connecting to the upstream'))
  }

  #awaitHead(): void {
    const { bounds } = this.#owner
    if (this.#reading === 'head') this.deadline = this.#owner.after(bounds.headersTimeout)
  }

  /** Only an upstream that takes nothing keeps us waiting: a slow client is not its fault. */
  #awaitMoreOfRequest(): void {
    if (this.#reading === 'body') this.#awaitMore()
    else if (this.#reading === 'head' && this.#isSending) this.deadline = Infinity
  }

  #awaitMore(): void {
    const { bounds } = this.#owner
    if (this.#reading === 'body') this.deadline = this.#owner.after(bounds.bodyTimeout)
    else this.#awaitHead()
  }

  #onConnected(): void {
    this.#isConnected = true
    if (this.#exchanger !== undefined) this.#handOver(this.#exchanger)
  }

  #handOver(exchanger: Exchanger): void {
    // It may wait for its client before it sends anything, however long the connection was to be kept, or to be opened.
    this.deadline = Infinity
    exchanger.onReady(this)
  }

  #onBytes(bytes: Buffer): void {
    const exchanger = this.#exchanger
    try {
      this.#read(bytes)
    } catch (error) {
      // What is thrown behind the exchange is nobody's answer, and not that of the next one's.
      if (exchanger === undefined || this.#exchanger !== exchanger) throw error
      this.#fail(error instanceof Error ? error : new BadAnswer(String(error)))
    }
  }

  #read(bytes: Buffer): void {
    if (this.#reading === 'nothing')
      return this.#fail(new BadAnswer('the upstream speaks without being asked'))
    const body = this.#reading === 'head' ? this.#readHead(bytes) : 0
    if (this.#reading !== 'body') return
    const end = this.#readBody(bytes, body)
    if (this.#isOver) return
    if (this.#left === 0 && (this.#chunks === undefined || this.#chunks.isOver))
      this.#complete(end === bytes.length)
    else if (!this.#isPaused) this.#awaitMore()
  }

  /** @returns where the body begins */
  #readHead(bytes: Buffer): number {
    const exchanger = this.#exchanger
    if (exchanger === undefined) return bytes.length
    if (this.#heads.isNew) exchanger.onBegun()
    let at = 0
    while (this.#reading === 'head' && at < bytes.length) {
      const head = this.#heads.read(bytes, at, exchanger.method)
      at = this.#heads.at
      if (head !== undefined && head.status >= 200) this.#begin(head, exchanger)
    }
    return at
  }

  #begin(head: ResponseHead, exchanger: Exchanger): void {
    const { framing } = head
    this.#head = head
    this.#reading = 'body'
    this.#chunks = framing.kind === 'chunked' ? new ChunkReader() : undefined
    this.#left = framing.kind === 'length' ? framing.length : framing.kind === 'close' ? Infinity : 0
    exchanger.onHead(head)
  }

  /** @returns where it ended, or all bytes */
  #readBody(bytes: Buffer, from: number): number {
    if (this.#chunks !== undefined) return this.#chunks.read(bytes, from, this.#give)
    const end = Math.min(bytes.length, from + this.#left)
    this.#left -= end - from
    if (end > from)
      this.#exchanger?.onData(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end))
    return end
  }

  readonly #give = (piece: Buffer): void => this.#exchanger?.onData(piece)

  /** @param isClean nothing came behind the answer */
  #complete(isClean: boolean): void {
    const exchanger = this.#exchanger
    const head = this.#head
    this.#exchanger = undefined
    this.#head = undefined
    this.#chunks = undefined
    this.#reading = 'nothing'
    if (this.#isPaused) this.resume()
    // Free before its user is told: who waits for a connection has this one.
    if (isClean && head?.persistent === true && !this.#isSending) this.#owner.onIdle(this, head.keepAlive)
    else this.#destroy()
    exchanger?.onEnd()
  }

  #onEnd(): void {
    if (this.#reading === 'body' && this.#left === Infinity) {
      this.#left = 0
      this.#complete(false)
    } else this.#onClose()
  }

  #onClose(): void {
    this.#fail(new ConnectionLost())
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    const exchanger = this.#exchanger
    this.#exchanger = undefined
    this.#destroy()
    exchanger?.onError(error)
  }

  #destroy(): void {
    this.#isOver = true
    this.#reading = 'nothing'
    this.#socket.destroy()
    this.#owner.onClosed(this)
  }
}
