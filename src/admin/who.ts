import { LRUCache } from 'lru-cache'
import { sessionName } from '../directory/blocks.ts'
import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { GatewayRequest, RawHeaders } from '../request/request.ts'

/** Somebody at one address with one program; all of it may be shown. */
export interface Seen {
  /** Undefined where nobody knows who it is. */
  readonly user: string | undefined
  /** How they were authenticated, or would have been; `anonymous` without a credential. */
  readonly mode: string
  readonly token: string | undefined
  readonly device: string | undefined
  /** What a session is blocked by: the beginning of its digest. */
  readonly session: string | undefined
  /** The `User-Agent`, shortened. */
  readonly client: string
  readonly address: string
  /** Milliseconds since the epoch. */
  readonly lastSeen: number
  readonly requests: number
  readonly refused: number
  readonly wouldDeny: number
  /** Of what was refused, or would have been. */
  readonly reasons: Readonly<Partial<Record<Reason, number>>>
}

interface Counted extends Writable<Seen> {
  reasons: Partial<Record<Reason, number>>
  /** As it came. */
  readonly agent: string
  /** It has not had to make room. */
  isKept: boolean
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] }

/** What is at hand of a request whose decision is over. */
interface Sighting {
  readonly principal: Principal | undefined
  readonly credential: Credential | undefined
  readonly address: string
  readonly headers: RawHeaders
}

/** Whom a decision was about, as it arrived. */
export type Sender = Pick<GatewayRequest, 'client' | 'headers'>

const MOST_KNOWN = 5_000
/** Whoever is nobody can make up as many as they like: they must not push out those who are somebody. */
const MOST_STRANGERS = 1_000
const LONGEST_CLIENT = 120

/** Who was here lately. Bounded; told of every decision, so it costs a look at one entry. */
export class Who {
  readonly #known = new LRUCache<string, Counted>({ max: MOST_KNOWN, dispose })
  readonly #strangers = new LRUCache<string, Counted>({ max: MOST_STRANGERS, dispose })
  /** The entry of a principal's newest request: as a rule the next one's too. */
  readonly #newest = new WeakMap<Principal, Counted>()
  /** That of the newest stranger; whoever has no credential comes again with the next request. */
  #newestStranger: Counted | undefined

  permitted({ principal, credential, client, headers }: Permit, now: number): void {
    this.#count({ principal, credential, address: client.address, headers }, now)
  }

  /** @param decision whether it was refused, or would have been */
  denied(
    decision: 'refused' | 'wouldDeny',
    { principal, credential, reason }: Denial,
    from: Sender,
    now: number,
  ): void {
    const { client, headers } = from
    const entry = this.#count({ principal, credential, address: client.address, headers }, now)
    entry[decision]++
    entry.reasons[reason] = (entry.reasons[reason] ?? 0) + 1
  }

  /** @param since milliseconds since the epoch. @returns the latest first */
  list(since: number): Seen[] {
    return [...this.#known.values(), ...this.#strangers.values()]
      .filter(({ lastSeen }) => lastSeen >= since)
      .sort((a, b) => b.lastSeen - a.lastSeen)
      .map(({ agent: _, isKept: __, ...seen }) => seen)
  }

  #count(sighting: Sighting, now: number): Counted {
    const entry = this.#entryOf(sighting, agentOf(sighting.headers))
    entry.requests++
    entry.lastSeen = now
    return entry
  }

  #entryOf(sighting: Sighting, agent: string): Counted {
    const { principal, address } = sighting
    const newest = principal === undefined ? this.#newestStranger : this.#newest.get(principal)
    if (newest?.isKept === true && isOf(newest, sighting, agent)) return newest
    const entries = principal === undefined ? this.#strangers : this.#known
    const session = sessionOf(sighting)
    // None of them but the last can hold a line break, and that is the client's own word.
    const key = [
      modeOf(sighting),
      principal?.owner?.subject,
      principal?.tokenId,
      session,
      address,
      agent,
    ].join('\n')
    const known = entries.get(key)
    const entry = known ?? newEntry(sighting, agent)
    if (known === undefined) entries.set(key, entry)
    if (principal === undefined) this.#newestStranger = entry
    else this.#newest.set(principal, entry)
    return entry
  }
}

/** Of one principal, or of those who are nobody. */
function isOf(entry: Counted, sighting: Sighting, agent: string): boolean {
  return entry.agent === agent && entry.address === sighting.address && entry.mode === modeOf(sighting)
}

function modeOf({ principal, credential }: Sighting): string {
  return principal?.mode ?? credential?.kind ?? 'anonymous'
}

function newEntry(sighting: Sighting, agent: string): Counted {
  const { principal, address } = sighting
  return {
    agent,
    isKept: true,
    user: principal?.owner?.username,
    mode: modeOf(sighting),
    token: principal?.tokenId,
    device: principal?.deviceId,
    session: sessionOf(sighting),
    // It is the client's own word, and is shown on terminals.
    client: agent.replaceAll(/[^\x20-\x7e]/g, '?'),
    address,
    lastSeen: 0,
    requests: 0,
    refused: 0,
    wouldDeny: 0,
    reasons: {},
  }
}

function sessionOf({ principal, credential }: Sighting): string | undefined {
  return principal !== undefined && credential?.kind === 'session' ? sessionName(credential.id) : undefined
}

function dispose(entry: Counted): void {
  entry.isKept = false
}

function agentOf(headers: RawHeaders): string {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]
    if (name === 'User-Agent' || (name?.length === 10 && name.toLowerCase() === 'user-agent'))
      return headers[i + 1]?.slice(0, LONGEST_CLIENT) ?? ''
  }
  return ''
}
