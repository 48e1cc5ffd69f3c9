import type { Block, Blockable } from '../directory/mark.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { LadderStep } from '../profiles/profile.ts'
import type { RouterState } from '../routes/live.ts'
import type { Peer } from './peers.ts'
import type { Health } from './probes.ts'
import type { ReasonCounts, TimedLine } from './recent.ts'
import type { Refusal } from './refusals.ts'
import type { Seen } from './who.ts'

/** How it stands with this replica; moments in milliseconds since the epoch. */
export interface Status {
  readonly version: string | undefined
  readonly startedAt: number
  /** Processes that answered, where there are several; what is counted is of all of them. */
  readonly workers?: number
  readonly now: number
  readonly enforcement: string
  readonly profile: string
  readonly upstream: string
  readonly health: Health
  /** What works and deserves a word. */
  readonly warnings: readonly { readonly path: string; readonly message: string; readonly hint?: string }[]
  readonly ladder: readonly LadderStep[]
  readonly routes: RouterState
  readonly lookups: readonly LookupStatus[]
  /** Undefined for one that shares nothing. */
  readonly replicas:
    | {
        readonly joined: boolean
        /** Others that are heard. */
        readonly live: number
        readonly announced: number
        readonly unacknowledged: number
        readonly gaps: number
      }
    | undefined
  readonly proxies: { readonly trusted: readonly Peer[]; readonly untrusted: readonly Peer[] }
  readonly inFlight: number
  readonly waiting: number
  readonly sockets: number
  /** Blocks in force. */
  readonly blocks: number
  readonly refusals: { readonly deny: ReasonCounts; readonly would_deny: ReasonCounts }
}

export interface LookupStatus {
  readonly name: string
  readonly entries: number
  readonly sourceAway: boolean
  /** By what answered. */
  readonly counts: Readonly<Record<string, number>>
  /** Milliseconds since the last complete batch began. */
  readonly batchAge: number | undefined
}

/** Whom to block, for how long. */
export interface BlockRequest {
  readonly kind: Blockable
  readonly what: string
  /** Milliseconds. */
  readonly for: number
  readonly why?: string
}

/** How far a block, or its end, has got. */
export interface Reach {
  /** Other replicas that were told; undefined for one that shares nothing. */
  readonly told: number | undefined
  /** Those of them that did not say in time that they have taken it in. */
  readonly missed: number
}

/** What an operator sees of a running gateway, and does to it. */
export interface Live {
  status(): MaybePromise<Status>
  /** @param since milliseconds since the epoch. @returns the latest first */
  who(since: number): MaybePromise<readonly Seen[]>
  /** @param id of the request, as its client was told */
  refusal(id: string): MaybePromise<Refusal | undefined>
  /** Those in force, the one that ends first in front. */
  blocks(): MaybePromise<readonly Block[]>
  /** @throws PosternError `usage` for what cannot be blocked */
  block(request: BlockRequest): Promise<{ readonly block: Block; readonly reach: Reach }>
  /** @returns undefined where there is none */
  unblock(
    kind: Blockable,
    what: string,
  ): Promise<{ readonly block: Block; readonly reach: Reach } | undefined>
  /** @param told of each decision from now on. @returns what ends it */
  tail(told: (line: TimedLine) => void): () => void
}
