import type { Redis } from 'ioredis'
import type { Connection, Database } from '../database.ts'
import type { State } from './state.ts'

/** One row or session: where it stands, and what it says. */
interface Item {
  readonly table: string
  readonly key: Readonly<Record<string, unknown>>
  readonly values: Readonly<Record<string, unknown>>
}

/** Items by table and key. */
type Snapshot = ReadonlyMap<string, Item>

const SESSIONS = 'session'
const SESSION_SECONDS = 1_209_600

/**
 * RomM's database and Redis, kept at what the stand-in's state says: each `save` writes what has changed since the one
 * before, the first since the store was made. So a gateway in front sees what the stand-in does, when it does it.
 */
export class RommStore {
  readonly #state: State
  readonly #kind: Database['kind']
  readonly #connection: Connection
  readonly #redis: Redis
  #saved: Snapshot
  #last: Promise<unknown> = Promise.resolve()

  /** @param connection to a database of generation 2 that holds the fixture, as `redis` does */
  constructor(state: State, kind: Database['kind'], connection: Connection, redis: Redis) {
    this.#state = state
    this.#kind = kind
    this.#connection = connection
    this.#redis = redis
    this.#saved = this.#snapshot()
  }

  /** Resolves when everything that `state` says now is committed. */
  save(): Promise<void> {
    const [before, after] = [this.#saved, this.#snapshot()]
    this.#saved = after
    const saved = this.#last.then(() => this.#write(before, after))
    this.#last = saved.catch(() => undefined)
    return saved
  }

  async #write(before: Snapshot, after: Snapshot): Promise<void> {
    const gone = [...before].flatMap(([name, item]) => (after.has(name) ? [] : [item]))
    const changed = [...after].filter(([name, item]) => !isSame(before.get(name), item))
    if (gone.length + changed.length === 0) return
    await this.#connection.query('begin')
    for (const item of gone) await this.#remove(item)
    for (const [name, item] of changed) await this.#put(item, before.has(name))
    await this.#connection.query('commit')
  }

  async #remove({ table, key }: Item): Promise<unknown> {
    if (table === SESSIONS) return this.#redis.del(`session:${String(key['id'])}`)
    return this.#query(`delete from ${table} where `, key, ' and ')
  }

  async #put({ table, key, values }: Item, exists: boolean): Promise<unknown> {
    if (table === SESSIONS) {
      const { id } = key
      return this.#redis.set(`session:${String(id)}`, JSON.stringify(values), 'EX', SESSION_SECONDS)
    }
    if (exists) return this.#query(`update ${table} set `, values, ', ', key)
    const all = Object.entries({ ...key, ...values })
    const marks = all.map((_, index) => this.#mark(index)).join(', ')
    const names = all.map(([name]) => name).join(', ')
    return this.#connection.query(
      `insert into ${table} (${names}) values (${marks})`,
      all.map(([, value]) => value),
    )
  }

  /** `name = ?` for each field, and for those after `where`. */
  #query(
    beginning: string,
    fields: Item['values'],
    between: string,
    where: Item['key'] = {},
  ): Promise<unknown> {
    const [names, conditions] = [Object.keys(fields), Object.keys(where)]
    const pairs = [...names, ...conditions].map((name, index) => `${name} = ${this.#mark(index)}`)
    const tail = conditions.length === 0 ? '' : ` where ${pairs.slice(names.length).join(' and ')}`
    const statement = `${beginning}${pairs.slice(0, names.length).join(between)}${tail}`
    return this.#connection.query(statement, [...Object.values(fields), ...Object.values(where)])
  }

  #mark(index: number): string {
    return this.#kind === 'mariadb' ? '?' : `$${index + 1}`
  }

  /** Tables before those that refer to them. */
  #snapshot(): Snapshot {
    const { groups, grants, users, overrides, tokens, sessions } = this.#state
    const items: Item[] = [
      ...groups.map(({ id, ...values }) => ({ table: 'permission_groups', key: { id }, values })),
      ...grants.map(({ group_id, entity, action }) => ({
        table: 'permission_group_grants',
        key: { group_id, entity, action },
        values: {},
      })),
      ...[...users.values()].map(({ id, ...values }) => ({ table: 'users', key: { id }, values })),
      ...overrides.map(({ user_id, entity, action, granted }) => ({
        table: 'user_permission_overrides',
        key: { user_id, entity, action },
        values: { granted },
      })),
      ...[...tokens.values()].map(({ id, scopes, expires_at, ...values }) => ({
        table: 'client_tokens',
        key: { id },
        values: { ...values, scopes: scopes.join(' '), expires_at: this.#instant(expires_at) },
      })),
      ...[...sessions].map(([id, values]) => ({ table: SESSIONS, key: { id }, values: { ...values } })),
    ]
    return new Map(items.map((item) => [`${item.table} ${JSON.stringify(item.key)}`, item]))
  }

  /** RomM fact: UTC, and in MariaDB the column does not say so. */
  #instant(at: number | null): string | null {
    const text = at === null ? null : new Date(at).toISOString().slice(0, 19).replace('T', ' ')
    return text !== null && this.#kind === 'postgres' ? `${text}Z` : text
  }
}

function isSame(before: Item | undefined, after: Item): boolean {
  return before !== undefined && JSON.stringify(before.values) === JSON.stringify(after.values)
}
