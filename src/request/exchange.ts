import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** A request as it came from a client. */
export type IncomingRequest = IncomingMessage | PlainRequest

/** One that is over with its head, so that there is nothing more to read of it. */
export interface PlainRequest {
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  /** Names and values in turn, as they came; every byte is a character. */
  readonly rawHeaders: string[]
  readonly socket: Socket
  readonly complete: true
}

/** Where its answer goes: what is used of Node's `ServerResponse`, and means the same. */
export interface OutgoingResponse {
  readonly req: IncomingRequest
  readonly socket: Socket | null
  /** Whether the connection serves another request after this one; to be said before the head is. */
  shouldKeepAlive: boolean
  readonly headersSent: boolean
  readonly writableEnded: boolean
  /** All of it has been handed to the operating system. */
  readonly writableFinished: boolean
  readonly destroyed: boolean
  writeHead(status: number, reason: string | undefined, headers: string[]): unknown
  /** @returns whether more may follow at once; else `drain` says when */
  write(piece: Buffer | string, encoding: BufferEncoding): boolean
  end(last: Buffer | string | undefined, encoding: BufferEncoding): unknown
  flushHeaders(): void
  destroy(): unknown
  on(event: 'close', listener: () => void): unknown
  once(event: 'close' | 'drain', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}
