import { EventEmitter } from 'node:events'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { PosternError } from '../../errors.ts'
import { httpDate } from '../../observe/time.ts'
import type { OutgoingResponse, PlainRequest } from '../../request/exchange.ts'
import { isSound, withField } from '../../request/lines.ts'
import { isNamed, sieve } from '../../request/names.ts'

/** What an answer uses of the connection that it goes on. */
export interface Carrier {
  readonly socket: Socket
  /** All of the answer has been written. */
  onAnswered(response: PlainResponse): void
}

const mayTell = sieve(['content-length', 'date', 'transfer-encoding', 'connection'])

/** The answer to a plain request, written as Node's `ServerResponse` would write it. */
export class PlainResponse extends EventEmitter<{ close: []; drain: [] }> implements OutgoingResponse {
  readonly req: PlainRequest
  readonly #carrier: Carrier
  shouldKeepAlive = true
  headersSent = false
  writableEnded = false
  /** Waits for the first piece of the body, to leave with it in one write. */
  #head = ''
  #hasBody = true
  #isChunked = false

  constructor(req: PlainRequest, carrier: Carrier) {
    super()
    this.req = req
    this.#carrier = carrier
  }

  get socket(): Socket {
    return this.#carrier.socket
  }

  get destroyed(): boolean {
    return this.#carrier.socket.destroyed
  }

  get writableFinished(): boolean {
    return this.writableEnded && this.#carrier.socket.writableLength === 0
  }

  /**
   * @param headers names and values in turn; none that says how the connection goes on
   * @throws PosternError `internal` where it would not be read as it is meant
   */
  writeHead(status: number, reason: string | undefined, headers: string[]): void {
    if (this.headersSent) throw new PosternError('internal', 'the answer has begun already')
    let head = reason === undefined ? usualLine(status) : statusLine(status, reason)
    let lines = 3
    let saysLength = false
    let saysDate = false
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] ?? ''
      head = withField(head, name, headers[i + 1] ?? '')
      lines++
      if (!mayTell(name)) continue
      saysLength ||= isNamed(name, 'content-length')
      saysDate ||= isNamed(name, 'date')
      if (isNamed(name, 'transfer-encoding') || isNamed(name, 'connection')) throw unfit()
    }
    if (!saysDate) {
      head += `Date: ${httpDate()}\r\n`
      lines++
    }
    head += this.shouldKeepAlive ? 'Connection: keep-alive\r\n' : 'Connection: close\r\n'
    this.#hasBody = this.req.method !== 'HEAD' && status !== 204 && status !== 304
    this.#isChunked = this.#hasBody && !saysLength
    if (this.#isChunked) {
      head += 'Transfer-Encoding: chunked\r\n'
      lines++
    }
    head += '\r\n'
    if (!isSound(head, lines)) throw unfit()
    this.#head = head
    this.headersSent = true
  }

  write(piece: Buffer | string, encoding: BufferEncoding): boolean {
    const { socket } = this.#carrier
    // The client has left.
    if (this.writableEnded || socket.writableEnded) return false
    socket.cork()
    this.flushHeaders()
    if (this.#hasBody && piece.length > 0) this.#writePiece(piece, encoding)
    socket.uncork()
    return !socket.writableNeedDrain
  }

  end(last: Buffer | string | undefined, encoding: BufferEncoding): void {
    if (this.writableEnded) return
    if (!this.headersSent) throw new PosternError('internal', 'the answer has no head')
    const body = this.#hasBody && last !== undefined ? last : ''
    if (this.#isChunked) this.#endChunks(body, encoding)
    else if (typeof body === 'string' && isOneByte(body, encoding)) this.#writeText(this.#takeHead() + body)
    else this.write(body, encoding)
    this.writableEnded = true
    this.#carrier.onAnswered(this)
  }

  flushHeaders(): void {
    this.#writeText(this.#takeHead())
  }

  destroy(): void {
    this.#carrier.socket.destroy()
  }

  #endChunks(body: Buffer | string, encoding: BufferEncoding): void {
    const { socket } = this.#carrier
    socket.cork()
    this.write(body, encoding)
    this.#writeText('0\r\n\r\n')
    socket.uncork()
  }

  #writePiece(piece: Buffer | string, encoding: BufferEncoding): void {
    const { socket } = this.#carrier
    if (!this.#isChunked) return void socket.write(piece, encoding)
    this.#writeText(`${Buffer.byteLength(piece, encoding).toString(16)}\r\n`)
    socket.write(piece, encoding)
    this.#writeText('\r\n')
  }

  #writeText(text: string): void {
    const { socket } = this.#carrier
    if (text !== '' && !socket.writableEnded) socket.write(text, 'latin1')
  }

  #takeHead(): string {
    const head = this.#head
    this.#head = ''
    return head
  }
}

function unfit(): PosternError {
  return new PosternError('internal', 'the answer would not be read as it is meant')
}

/** Whether it may be written with the head. */
function isOneByte(text: string, encoding: BufferEncoding): boolean {
  return encoding === 'latin1' || Buffer.byteLength(text) === text.length
}

/** RFC 9112 §4. */
function statusLine(status: number, reason: string): string {
  return `HTTP/1.1 ${status} ${reason}\r\n`
}

const usualLines = new Map<number, string>()

function usualLine(status: number): string {
  const known = usualLines.get(status)
  if (known !== undefined) return known
  const line = statusLine(status, STATUS_CODES[status] ?? 'unknown')
  usualLines.set(status, line)
  return line
}
