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

interface Term {
  /** In lower case. */
  readonly name: string
  readonly place: number
}

/** The names of one dialect. */
export class Terms {
  /** They must stand there exactly once. */
  readonly required: readonly string[]
  /** They may be missing, but not be there twice. */
  readonly single: readonly string[]
  readonly #places: ReadonlyMap<string, number>
  /** By length: few names are as long as another, so that none has to be looked up. */
  readonly #byLength: readonly (readonly Term[] | undefined)[]

  constructor({ original, host, upgrade, own }: Dialect) {
    this.required = [...FORWARDED, host, ...(original ? [original.method, original.uri] : [])]
    this.single = [...own, upgrade]
    const names = [...new Set([...this.required, ...this.single, 'host', 'content-length'])]
    const terms = names.map((name, place): Term => ({ name, place }))
    const longest = Math.max(...names.map((name) => name.length))
    this.#places = new Map(terms.map(({ name, place }) => [name, place]))
    this.#byLength = Array.from({ length: longest + 1 }, (_, length) => {
      const some = terms.filter(({ name }) => name.length === length)
      return some.length === 0 ? undefined : some
    })
  }

  tellApart(headers: RawHeaders): Said {
    const values: string[][] = []
    const client: string[] = []
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const [name = '', value = ''] = [headers[i], headers[i + 1]]
      const place = this.#placeOf(name)
      if (place === undefined) client.push(name, value)
      else if (values[place] === undefined) values[place] = [value]
      else values[place].push(value)
    }
    return { by: (name) => values[this.#places.get(name) ?? -1] ?? NONE, client }
  }

  #placeOf(name: string): number | undefined {
    const some = this.#byLength[name.length]
    if (some === undefined) return undefined
    const lower = name.toLowerCase()
    for (const term of some) if (term.name === lower) return term.place
    return undefined
  }
}
