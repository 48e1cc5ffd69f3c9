import type { Socket } from 'node:net'
import type { Conversation } from './conversation.ts'

/** Between two looks, at most and at least. Milliseconds. */
const BETWEEN = { most: 5_000, least: 10 }

interface Watched {
  readonly conversation: Conversation
  readonly onLook: (now: number) => void
  /** Requests that had come when it was last looked at. */
  requests: number
  /** When it was first seen idle since. Milliseconds. */
  since: number
}

/**
 * Closes client connections that have had no request for a time. One timer looks after all of them: Node's own sets each
 * connection's anew twice with every request, which took as long as matching its route.
 */
export class IdleConnections {
  readonly #longest: number
  readonly #between: number
  readonly #watched = new Map<Socket, Watched>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param longest milliseconds, or up to a quarter more
   * @param between two looks, milliseconds at most
   */
  constructor(longest: number, between: number) {
    this.#longest = longest
    this.#between = Math.max(BETWEEN.least, Math.min(BETWEEN.most, longest / 8, between))
  }

  /** @param onLook called now and then with monotonic milliseconds, until it is closed or forgotten */
  watch(socket: Socket, conversation: Conversation, onLook: (now: number) => void): void {
    this.#watched.set(socket, { conversation, onLook, requests: 0, since: performance.now() })
    socket.once('close', () => this.forget(socket))
    this.#timer ??= setInterval(() => this.#look(), this.#between).unref()
  }

  /** It is closed, or speaks another protocol from now on. */
  forget(socket: Socket): void {
    this.#watched.delete(socket)
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const now = performance.now()
    for (const [socket, watched] of this.#watched) {
      const { requests, isAnswering } = watched.conversation
      watched.onLook(now)
      // Before its first request it is the limit for headers that counts.
      if (requests === 0 || isAnswering || requests !== watched.requests) {
        watched.requests = requests
        watched.since = now
      } else if (now - watched.since >= this.#longest) socket.destroy()
    }
  }
}
