import { parseChange } from './change.ts'
import type { Change } from './change.ts'
import { parseMark } from './mark.ts'
import type { Mark } from './mark.ts'
import { seal, unseal } from './seal.ts'

/** What replicas tell each other; `number` rises with every message of one sender. */
export type Message = { readonly from: string; readonly number: number } & (
  | {
      readonly kind: 'change'
      readonly changes: readonly Change[]
      /** Undefined where the sender marked nothing. */
      readonly marks?: readonly Mark[] | undefined
      readonly generation: string
    }
  /** `generation` from one that has just joined. */
  | { readonly kind: 'present'; readonly generation: string | undefined; readonly about: unknown }
  | { readonly kind: 'acknowledged'; readonly to: string; readonly of: number }
  | { readonly kind: 'gone' }
)

/** Writes and reads messages as signed text: whoever can write to Redis can neither make one nor move it elsewhere. */
export class MessageSeal {
  readonly #secret: Buffer
  readonly #place: string

  /** @param place where the messages are read: those of another installation are none here */
  constructor(secret: Buffer, place: string) {
    this.#secret = secret
    this.#place = place
  }

  write(message: Message): string {
    return seal(this.#secret, this.#place, JSON.stringify(message))
  }

  /** @returns undefined for anything that none of us wrote */
  read(text: string): Message | undefined {
    const body = unseal(this.#secret, this.#place, text)
    return body === undefined ? undefined : parse(JSON.parse(body))
  }
}

/** Its signature says that it is one of ours, its shape that it is of our release or one that speaks as it does. */
function parse(json: unknown): Message | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const { from, number, kind, changes, marks, generation, about, to, of } = { ...json } as Readonly<
    Record<string, unknown>
  >
  if (typeof from !== 'string' || typeof number !== 'number') return undefined
  if (kind === 'gone') return { kind, from, number }
  if (kind === 'present')
    return { kind, from, number, generation: typeof generation === 'string' ? generation : undefined, about }
  if (kind === 'acknowledged')
    return typeof to === 'string' && typeof of === 'number' ? { kind, from, number, to, of } : undefined
  if (kind !== 'change' || !Array.isArray(changes) || typeof generation !== 'string') return undefined
  const known = Array.isArray(marks) ? marks.flatMap((mark) => parseMark(mark) ?? []) : undefined
  return { kind, from, number, generation, changes: changes.map(parseChange), marks: known }
}
