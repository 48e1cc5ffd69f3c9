/** What brings a database from one version (SQLite's `user_version`) to the next; the first row makes one from nothing. */
export const MIGRATIONS: readonly string[] = [
  // AUTOINCREMENT: an id is never given twice. It is the `sub` of assertions, and backends keep things by it.
  `create table users (
     id integer primary key autoincrement,
     username text not null unique collate nocase,
     password_hash text not null,
     enabled integer not null default 1,
     role text,
     scopes text not null,
     created_at integer not null
   ) strict;
   create table tokens (
     id integer primary key autoincrement,
     user_id integer not null references users (id) on delete cascade,
     name text not null,
     digest text not null unique,
     scopes text not null,
     expires_at integer,
     created_at integer not null
   ) strict;
   create index tokens_of_user on tokens (user_id);`,
]

/** Scopes are separated by spaces; instants are milliseconds since the epoch. */
export interface UserRow {
  readonly id: number
  readonly username: string
  readonly password_hash: string
  readonly enabled: number
  readonly role: string | null
  readonly scopes: string
  readonly created_at: number
}

export interface TokenRow {
  readonly id: number
  readonly user_id: number
  readonly name: string
  readonly digest: string
  readonly scopes: string
  readonly expires_at: number | null
  readonly created_at: number
}
