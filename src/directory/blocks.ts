import type { Clock } from '../identity/clock.ts'
import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import { AddressSet } from '../request/client.ts'
import { sessionDigest } from './digest.ts'
import { keyOf } from './mark.ts'
import type { Block, Mark } from './mark.ts'

/** Hexadecimal digits: enough that no two sessions of one backend share them. */
const SESSION_DIGITS = 16

/** What a session is blocked by, and called wherever its id, a credential, must not stand. */
export function sessionName(id: string): string {
  return sessionDigest(id).slice(0, SESSION_DIGITS)
}

/** A name as it is compared: backends differ in whether case counts, and whoever is blocked shall be. */
export function foldUser(name: string): string {
  return name.normalize('NFKC').toLowerCase().trim()
}

/** An address or a CIDR block; undefined for anything else. */
export function addressesOf(text: string): AddressSet | undefined {
  // The one word that stands for many.
  if (text === 'private') return undefined
  try {
    return new AddressSet([text])
  } catch {
    return undefined
  }
}

/**
 * Who is refused for a while, whatever their credentials are worth. All of it is in the process, and while there is none, which is
 * nearly always, it costs a look at one number.
 */
export class Blocks {
  readonly #clock: Pick<Clock, 'now'>
  /** Of every key the latest; lifted ones too, so that an older one does not come back. */
  readonly #marks = new Map<string, Mark>()
  /** In force, or over for less long than nobody looked. */
  readonly #blocks = new Map<string, Block>()
  readonly #addresses = new Map<string, { readonly block: Block; readonly set: AddressSet }>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  get isEmpty(): boolean {
    return this.#blocks.size === 0
  }

  /** In force, the one that ends first in front. */
  get list(): readonly Block[] {
    return [...this.#blocks.values()].filter((block) => this.#holds(block)).sort((a, b) => a.until - b.until)
  }

  /** Everything that others should know. */
  get marks(): readonly Mark[] {
    this.#tidy()
    return [...this.#marks.values()]
  }

  /** @returns the ones that were news */
  take(marks: readonly Mark[]): readonly Mark[] {
    return marks.filter((mark) => {
      const isNews = this.#holds(mark) && isLater(mark, this.#marks.get(keyOf(mark)))
      if (isNews) this.#put(mark)
      return isNews
    })
  }

  /** The mark that ends or begins a block so that it counts, whatever the clocks of those who marked it before say. */
  mark(block: Omit<Block, 'at'>, lifted: boolean): Mark {
    const before = this.#marks.get(keyOf(block))
    return { ...block, lifted, at: Math.max(this.#clock.now(), (before?.at ?? 0) + 1) }
  }

  holdsAddress(address: string): boolean {
    if (this.#addresses.size === 0) return false
    return [...this.#addresses.values()].some(({ block, set }) => this.#holds(block) && set.has(address))
  }

  /** What the credential alone says, before anybody looks at whose it is. */
  holdsCredential(credential: Credential): boolean {
    if (this.isEmpty) return false
    if (credential.kind === 'session') return this.#has('session', sessionName(credential.id))
    return credential.kind === 'basic' && this.#has('user', foldUser(credential.username))
  }

  holdsPrincipal({ tokenId, owner }: Principal): boolean {
    if (this.isEmpty) return false
    if (tokenId !== undefined && this.#has('token', tokenId)) return true
    if (owner === undefined) return false
    const isOwner = (block: Block): boolean =>
      block.kind === 'user' && block.subject === owner.subject && this.#holds(block)
    return this.#has('user', foldUser(owner.username)) || [...this.#blocks.values()].some(isOwner)
  }

  #has(kind: Block['kind'], what: string): boolean {
    const block = this.#blocks.get(keyOf({ kind, what }))
    return block !== undefined && this.#holds(block)
  }

  #holds({ until }: Block): boolean {
    return until > this.#clock.now()
  }

  #put(mark: Mark): void {
    const key = keyOf(mark)
    this.#marks.set(key, mark)
    this.#blocks.delete(key)
    this.#addresses.delete(key)
    if (mark.lifted) return
    this.#blocks.set(key, mark)
    const set = mark.kind === 'address' ? addressesOf(mark.what) : undefined
    if (set !== undefined) this.#addresses.set(key, { block: mark, set })
  }

  #tidy(): void {
    for (const [key, mark] of this.#marks) {
      if (this.#holds(mark)) continue
      for (const kept of [this.#marks, this.#blocks, this.#addresses]) kept.delete(key)
    }
  }
}

function isLater(mark: Mark, known: Mark | undefined): boolean {
  if (known === undefined || mark.at !== known.at) return known === undefined || mark.at > known.at
  // Marked at the same moment in two places: all shall come to the same end.
  return mark.until !== known.until ? mark.until > known.until : known.lifted && !mark.lifted
}
