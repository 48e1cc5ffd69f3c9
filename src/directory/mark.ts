/** What can be blocked; in the order in which they are looked at. */
export const BLOCKABLE = ['address', 'session', 'token', 'user'] as const
export type Blockable = (typeof BLOCKABLE)[number]

/** Milliseconds. */
export const LONGEST_BLOCK = 366 * 24 * 3_600_000

/** Somebody or something that is refused for a while; moments in milliseconds since the epoch. */
export interface Block {
  readonly kind: Blockable
  /** An address or CIDR block, the beginning of a session's digest, a token's id, a user's name. */
  readonly what: string
  /** The user's id, where the name led to one: a new name does not end the block. */
  readonly subject?: string | undefined
  readonly why?: string | undefined
  readonly at: number
  readonly until: number
}

/** A block, or that it was lifted. Of two for the same thing the later counts, whatever order they arrive in. */
export interface Mark extends Block {
  readonly lifted: boolean
}

/** What a mark is about: of two with the same key one counts. */
export function keyOf({ kind, what }: Pick<Block, 'kind' | 'what'>): string {
  return `${kind} ${what}`
}

/** What another replica wrote; undefined for what this release does not know. */
export function parseMark(json: unknown): Mark | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const { kind, what, subject, why, at, until, lifted } = { ...json } as Readonly<Record<string, unknown>>
  const known = BLOCKABLE.find((each) => each === kind)
  if (known === undefined || typeof what !== 'string' || typeof lifted !== 'boolean') return undefined
  if (typeof at !== 'number' || typeof until !== 'number') return undefined
  return { kind: known, what, subject: textOf(subject), why: textOf(why), at, until, lifted }
}

function textOf(json: unknown): string | undefined {
  return typeof json === 'string' ? json : undefined
}
