import type { SigningKey } from './folder.ts'

/** Milliseconds, both. */
export interface Timing {
  /** How long a new key is shown to the backends before anything is signed with it. */
  readonly publishFor: number
  /** How long an assertion lives at most. */
  readonly lifetime: number
}

/**
 * Where a key stands: shown but not yet used, signing, no longer signing but still needed to verify, or of no
 * use to anybody.
 */
export const KEY_STATES = ['waiting', 'signing', 'retiring', 'dead'] as const
export type KeyState = (typeof KEY_STATES)[number]

/** A key's place in the rotation. Times are milliseconds since the epoch. */
export interface Turn {
  readonly key: SigningKey
  readonly usedFrom: number
  /** When the last assertion signed with it is dead everywhere; undefined while it has no successor. */
  readonly deadAt: number | undefined
}

/** Clocks of replicas and backends may differ by this much, in milliseconds. */
const LEEWAY = 60_000

/**
 * Who signs when: a function of the keys alone, so that replicas which see the same folder agree.
 * @param keys oldest first
 */
export function takeTurns(keys: readonly SigningKey[], timing: Timing): readonly Turn[] {
  const usedFrom = (index: number): number | undefined => {
    const key = keys[index]
    // The first key has nobody to wait for: no backend knows an older one.
    return key && (index === 0 ? key.createdAt : key.createdAt + timing.publishFor)
  }
  return keys.map((key, index) => {
    const successor = usedFrom(index + 1)
    const deadAt = successor === undefined ? undefined : successor + timing.lifetime + LEEWAY
    return { key, usedFrom: usedFrom(index) ?? key.createdAt, deadAt }
  })
}

/** The turn whose key signs at `now`; undefined only where there are no keys. */
export function signingAt(turns: readonly Turn[], now: number): Turn | undefined {
  // When all of them are yet to come, this clock is behind the one that made them: the first is due.
  return turns.findLast((turn) => turn.usedFrom <= now) ?? turns[0]
}

export function isPublished(turn: Turn, now: number): boolean {
  return turn.deadAt === undefined || now < turn.deadAt
}

export function stateOf(turn: Turn, turns: readonly Turn[], now: number): KeyState {
  if (!isPublished(turn, now)) return 'dead'
  const signing = signingAt(turns, now)
  if (signing === undefined || turn === signing) return 'signing'
  return turn.key.kid > signing.key.kid ? 'waiting' : 'retiring'
}
