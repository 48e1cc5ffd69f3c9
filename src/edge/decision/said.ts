import { sieve } from '../../request/names.ts'
import type { RawHeaders } from '../../request/request.ts'
import { FORWARDED } from './dialect.ts'
import type { Dialect } from './dialect.ts'

const NONE: readonly string[] = Object.freeze([])

/** A question's headers, told apart in one look at them: what its proxy says, and what its client does. */
export interface Said {
  /** Every value that stands under one of the dialect's names. */
  by(name: string): readonly string[]
  /** The client's: not what the proxy wrote, under exactly these names, and not what speaks of its connection to us. */
  readonly client: RawHeaders
}

/** The names of one dialect. */
export class Terms {
  /** They must stand there exactly once. */
  readonly required: readonly string[]
  /** They may be missing, but not be there twice. */
  readonly single: readonly string[]
  readonly #places: ReadonlyMap<string, number>
  readonly #mayBe: (name: string) => boolean

  constructor({ original, host, upgrade, own }: Dialect) {
    this.required = [...FORWARDED, host, ...(original ? [original.method, original.uri] : [])]
    this.single = [...own, upgrade]
    const names = new Set([...this.required, ...this.single, 'host', 'content-length'])
    this.#places = new Map([...names].map((name, place) => [name, place]))
    this.#mayBe = sieve(names)
  }

  tellApart(headers: RawHeaders): Said {
    const places = this.#places
    const values: string[][] = []
    for (let place = 0; place < places.size; place++) values.push([])
    const client: string[] = []
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const [name = '', value = ''] = [headers[i], headers[i + 1]]
      const place = this.#mayBe(name) ? places.get(name.toLowerCase()) : undefined
      if (place === undefined) client.push(name, value)
      else values[place]?.push(value)
    }
    return { by: (name) => values[places.get(name) ?? -1] ?? NONE, client }
  }
}
