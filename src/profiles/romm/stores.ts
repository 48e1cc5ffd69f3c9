import type { Redis } from 'ioredis'
import type { TokenRecord } from '../../directory/records.ts'
import { connectRedis, settled } from '../../directory/redis.ts'
import type { RedisAddress } from '../../directory/redis.ts'
import type { Batched } from '../../directory/revalidation.ts'
import { asPosternError } from '../../errors.ts'
import type { ProfileContext, Trouble } from '../profile.ts'
import { listenForPermissions } from './broadcast.ts'
import { openDatabase } from './database.ts'
import type { DatabaseAddress, RommDatabase } from './database.ts'
import { RommSessions, RommUsers } from './directory.ts'
import { RommSessionStore } from './sessions.ts'
import { RommSources } from './sources.ts'
import type { SourceOptions } from './sources.ts'
import { rommTies } from './ties.ts'
import type { RommTies } from './ties.ts'

export interface StoresOptions extends Omit<SourceOptions, 'db'> {
  readonly database: DatabaseAddress | undefined
  /** RomM's own, where its sessions are. */
  readonly redis: RedisAddress | undefined
  /** Everything that an answer in the shared tier depends on. */
  readonly binding: string
}

/** Milliseconds until a database that could not be used is tried again. */
const PROBE_AGAIN = 10_000

/** RomM's database and Redis, as far as they were given: what is looked up in them, and what is wrong with them. */
export class RommStores {
  readonly users: RommUsers | undefined
  readonly sessions: RommSessions | undefined
  readonly ties: RommTies | undefined
  readonly #context: ProfileContext
  /** For looking whether they are as they should be. */
  readonly opened: {
    readonly database: { readonly db: RommDatabase; readonly address: DatabaseAddress } | undefined
    readonly redis: Redis | undefined
  }
  readonly #db: RommDatabase | undefined
  readonly #sources: RommSources | undefined
  readonly #redis: Redis | undefined
  readonly #listener: Redis | undefined
  #databaseTrouble: string | undefined
  #redisAway = false
  #cancelProbe: (() => void) | undefined
  #closed = false

  constructor(options: StoresOptions, context: ProfileContext) {
    const { database, redis, binding } = options
    this.#context = context
    this.#db = database && openDatabase(database)
    this.#sources = this.#db && new RommSources({ ...options, db: this.#db })
    this.#redis = redis && connectRedis(redis, 'postern-sessions', (state) => this.#noteRedis(state))
    this.#listener = redis && connectRedis(redis, 'postern-permissions', () => undefined)
    this.opened = {
      database: this.#db && database && { db: this.#db, address: database },
      redis: this.#redis,
    }
    if (this.#listener) listenForPermissions(this.#listener, context.changed)
    this.users = this.#sources && new RommUsers(this.#sources, context, binding)
    this.sessions =
      this.#redis && this.users && new RommSessions(new RommSessionStore(this.#redis), this.users, context)
    this.ties = this.users && rommTies(this.users, context, binding)
  }

  get lookups(): readonly Batched[] {
    const { users, sessions } = this
    return [
      ...(users === undefined ? [] : [users.users, users.names, users.tokens]),
      ...(sessions === undefined ? [] : [sessions.sessions]),
    ]
  }

  /** A token by its own id, for a person who asks about it. */
  async tokenById(id: string): Promise<TokenRecord | undefined> {
    return /^\d{1,9}$/.test(id) ? this.#sources?.tokenById(Number(id)) : undefined
  }

  troubles(): Trouble[] {
    const away = this.lookups.filter((lookup) => lookup.sourceAway).map((lookup) => lookup.name)
    return [
      this.#databaseTrouble,
      this.#redisAway ? "RomM's Redis is away; sessions are asked of RomM" : undefined,
      away.length === 0 ? undefined : `no answer from the source of: ${away.join(', ')}`,
    ].flatMap((what) => (what === undefined ? [] : [{ what, shared: true }]))
  }

  /** One that is away does not stop it. */
  async start(): Promise<void> {
    await Promise.all([this.#probe(), this.#redis && settled(this.#redis)])
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelProbe?.()
    this.#redis?.disconnect()
    this.#listener?.disconnect()
    await this.#db?.destroy()
  }

  async #probe(): Promise<void> {
    try {
      await this.#sources?.probe()
      this.#databaseTrouble = undefined
    } catch (error) {
      if (this.#closed) return
      const trouble = asPosternError(error).message
      if (trouble !== this.#databaseTrouble) this.#context.warn(`romm.database: ${trouble}`)
      this.#databaseTrouble = trouble
      this.#cancelProbe = this.#context.clock.after(PROBE_AGAIN, () => void this.#probe())
    }
  }

  #noteRedis(state: 'ready' | 'away'): void {
    const away = state === 'away'
    if (away && !this.#redisAway)
      this.#context.warn("romm.redis: RomM's Redis is away; sessions are asked of RomM")
    // What is there when it comes back may be older than what it was before, or another one.
    if (this.#redisAway && !away) this.sessions?.sessions.doubt()
    this.#redisAway = away
  }
}
