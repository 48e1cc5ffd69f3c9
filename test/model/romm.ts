import type { Redis } from 'ioredis'
import type { NamedUser, Source, TokenRecord, UserRecord } from '../../src/directory/records.ts'
import type { VirtualClock } from '../support/clock.ts'
import { History, changedBetween, userById, userByName } from './tables.ts'
import type { Tables } from './tables.ts'

/** What is looked up in: RomM's database, and the Redis that its sessions are in. */
export const SERVICES = ['database', 'sessions'] as const
export type Service = (typeof SERVICES)[number]
export const TROUBLES = ['well', 'slow', 'down'] as const
export type Trouble = (typeof TROUBLES)[number]

/** Milliseconds by which one in trouble is slow: longer than a question may take. */
const SLOWLY = 1_800

/** Longest way to a source, or back, in milliseconds; there and back fit twice into one question's deadline. */
const WAY = 200

interface State {
  trouble: Trouble
  /** Since when it is well. */
  wellSince: number
}

/** A RomM as its sources show it: a question travels, is read from what stands when it arrives, and its answer travels back. */
export class Romm {
  readonly history: History
  readonly clock: VirtualClock
  readonly #random: () => number
  readonly #services: Readonly<Record<Service, State>> = {
    database: { trouble: 'well', wellSince: Number.NEGATIVE_INFINITY },
    sessions: { trouble: 'well', wellSince: Number.NEGATIVE_INFINITY },
  }

  constructor(first: Tables, clock: VirtualClock, random: () => number) {
    this.history = new History(first)
    this.clock = clock
    this.#random = random
  }

  /** @returns the rows that it changed */
  commit(apply: (tables: Tables) => Tables): string[] {
    const before = this.history.tables
    this.history.add(this.clock.monotonic(), apply(before))
    return changedBetween(before, this.history.tables)
  }

  set(service: Service, trouble: Trouble): void {
    const state = this.#services[service]
    if (state.trouble !== 'well' && trouble === 'well') state.wellSince = this.clock.monotonic()
    state.trouble = trouble
  }

  /** Whether any source was in trouble at some moment since `from`. */
  hadTroubleSince(from: number): boolean {
    return Object.values(this.#services).some(
      ({ trouble, wellSince }) => trouble !== 'well' || wellSince >= from,
    )
  }

  /** Milliseconds. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve))
  }

  travel(): Promise<void> {
    return this.pause(this.#random() * WAY)
  }

  async #ask<T>(service: Service, read: (tables: Tables) => T): Promise<T> {
    const { trouble } = this.#services[service]
    const slowThere = trouble === 'slow' && this.#random() < 0.5
    await this.travel()
    if (slowThere) await this.pause(SLOWLY)
    if (this.#services[service].trouble === 'down') throw new Error('away')
    const answer = read(this.history.tables)
    await this.travel()
    if (trouble === 'slow' && !slowThere) await this.pause(SLOWLY)
    return answer
  }

  readonly usersById: Source<UserRecord> = {
    load: (ids) => this.#ask('database', (tables) => found(ids, (id) => userById(tables, id))),
  }

  readonly usersByName: Source<NamedUser> = {
    load: (names) =>
      this.#ask('database', (tables) =>
        found(names, (name): NamedUser | undefined => {
          const user = userByName(tables, name)
          return user && { kind: 'user', user }
        }),
      ),
  }

  /** By id where that is known, as over SQL: it is found under the digest that it has now. */
  readonly tokens: Source<TokenRecord> = {
    load: (digests, known) =>
      this.#ask('database', ({ tokens }) => {
        const ids = digests.flatMap((digest) => known.get(digest)?.id ?? [])
        const unknown = digests.filter((digest) => !known.has(digest))
        const rows = [...tokens.values()].filter(
          ({ id, digest }) => ids.includes(id) || unknown.includes(digest),
        )
        return new Map(rows.map((row) => [row.digest, { ...row, deviceId: undefined }]))
      }),
  }

  /** RomM's Redis, of which `MGET` alone is used. */
  readonly redis: Redis = {
    mget: (names: readonly string[]) =>
      this.#ask('sessions', ({ sessions }) =>
        names.map((name) => {
          const session = sessions.get(name.slice('session:'.length))
          if (session === undefined) return null
          const { username } = session
          return JSON.stringify(username === undefined ? { state: 'x' } : { iss: 'romm:auth', sub: username })
        }),
      ),
    // The rest of a client's hundreds of commands is asked for by nobody.
  } as unknown as Redis
}

function found<V extends object>(
  keys: readonly string[],
  look: (key: string) => V | undefined,
): ReadonlyMap<string, V> {
  return new Map(
    keys.flatMap((key): [string, V][] => {
      const value = look(key)
      return value === undefined ? [] : [[key, value]]
    }),
  )
}
