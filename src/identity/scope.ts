/**
 * Scope names are interned once per process, append-only: a name keeps its number for as long as the
 * process lives, so sets made from an older route table stay comparable with newer ones. Whatever leaves
 * the process (caches, assertions, logs) holds names, never numbers.
 */
const numbers = new Map<string, number>()
const BITS = 31

function numberOf(name: string): number {
  let number = numbers.get(name)
  if (number === undefined) {
    number = numbers.size
    numbers.set(name, number)
  }
  return number
}

/**
 * An immutable set of scope names. Build one only from names that a trusted source wrote (a route table,
 * a directory): each new name is kept for ever.
 */
export class ScopeSet implements Iterable<string> {
  static readonly none: ScopeSet = new ScopeSet([])

  /** In the order given, without repeats. */
  readonly names: readonly string[]
  readonly #words: readonly number[]

  private constructor(names: readonly string[]) {
    this.names = Object.freeze([...names])
    const words: number[] = []
    for (const name of names) {
      const number = numberOf(name)
      const word = Math.floor(number / BITS)
      while (words.length <= word) words.push(0)
      words[word] = (words[word] ?? 0) | (1 << (number % BITS))
    }
    this.#words = words
    Object.freeze(this)
  }

  static of(names: Iterable<string>): ScopeSet {
    const unique = new Set<string>()
    for (const name of names) if (name !== '') unique.add(name)
    return unique.size === 0 ? ScopeSet.none : new ScopeSet([...unique])
  }

  get isEmpty(): boolean {
    return this.names.length === 0
  }

  has(name: string): boolean {
    return this.names.includes(name)
  }

  /** Whether every scope of `other` is in this set; true for an empty `other`. */
  hasAll(other: ScopeSet): boolean {
    const mine = this.#words
    const theirs = other.#words
    for (let i = 0; i < theirs.length; i++) {
      const wanted = theirs[i] ?? 0
      if (((mine[i] ?? 0) & wanted) !== wanted) return false
    }
    return true
  }

  /** What of `other` is not in this set, in `other`'s order. */
  missing(other: ScopeSet): readonly string[] {
    return other.names.filter((name) => !this.has(name))
  }

  /** The scopes of this set that `names` also holds, in this set's order. `names` is not interned. */
  intersect(names: Iterable<string>): ScopeSet {
    const allowed = names instanceof Set ? (names as ReadonlySet<string>) : new Set(names)
    return ScopeSet.of(this.names.filter((name) => allowed.has(name)))
  }

  union(other: ScopeSet): ScopeSet {
    return ScopeSet.of([...this.names, ...other.names])
  }

  [Symbol.iterator](): Iterator<string> {
    return this.names[Symbol.iterator]()
  }

  /** Space-separated, as in OAuth 2.0 (RFC 6749 §3.3). */
  toString(): string {
    return this.names.join(' ')
  }
}
