import { asPosternError, PosternError } from '../../errors.ts'
import type { FailureCode } from '../../errors.ts'
import type { Remote } from '../../gateway/siblings.ts'

/** What carries messages between two processes, in their order. */
export interface Port {
  /** What can no longer be sent is lost together with the other process. */
  send(message: Message): void
  onMessage(hear: (message: Message) => void): void
  onClosed(closed: () => void): void
}

/** What is said to nobody's question: messages between replicas, and decisions for whoever watches them. */
export type Topic = 'replicas' | 'decision'

/** Both ends are this program: what comes in has the shape of what was sent. */
export type Message =
  | { readonly kind: 'said'; readonly topic: Topic; readonly text: string }
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly code: FailureCode; readonly message: string }

export interface LineOptions {
  /** What the other end may call, by name. */
  readonly mine: object
  /** Told what the other end says. */
  readonly hear: (topic: Topic, text: string) => void
}

/** A line to another process, whose methods can be called over it. */
export class Line {
  readonly #port: Port
  readonly #options: LineOptions
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  #id = 0
  #isClosed = false

  constructor(port: Port, options: LineOptions) {
    this.#port = port
    this.#options = options
    port.onMessage((message) => this.#receive(message))
    port.onClosed(() => this.#close())
  }

  say(topic: Topic, text: string): void {
    this.#port.send({ kind: 'said', topic, text })
  }

  /** The other end, as far as these are its methods; a call fails as the method does, or with the other process. */
  remote<T extends object>(names: readonly (keyof T & string)[]): Remote<T> {
    const methods = names.map((name) => [name, (...args: unknown[]) => this.#call(name, args)])
    // One for each name; what each takes and gives back is what it does at the other end.
    return Object.fromEntries(methods) as Remote<T>
  }

  #call(name: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(gone())
    const call = Promise.withResolvers<unknown>()
    const id = ++this.#id
    this.#calls.set(id, call)
    this.#port.send({ kind: 'call', id, name, args })
    return call.promise
  }

  #receive(message: Message): void {
    switch (message.kind) {
      case 'said':
        this.#options.hear(message.topic, message.text)
        break
      case 'call':
        void this.#answer(message.id, message.name, message.args)
        break
      case 'answer':
        this.#take(message.id)?.resolve(message.value)
        break
      case 'failure':
        this.#take(message.id)?.reject(new PosternError(message.code, message.message))
    }
  }

  async #answer(id: number, name: string, args: readonly unknown[]): Promise<void> {
    try {
      const mine = this.#options.mine as Readonly<Record<string, (...given: readonly unknown[]) => unknown>>
      const value = await mine[name]?.(...args)
      this.#port.send({ kind: 'answer', id, value })
    } catch (error) {
      const { code, message } = asPosternError(error)
      this.#port.send({ kind: 'failure', id, code, message })
    }
  }

  #take(id: number): PromiseWithResolvers<unknown> | undefined {
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    return call
  }

  #close(): void {
    this.#isClosed = true
    for (const id of [...this.#calls.keys()]) this.#take(id)?.reject(gone())
  }
}

function gone(): PosternError {
  return new PosternError('internal', 'a worker ended before it answered')
}
