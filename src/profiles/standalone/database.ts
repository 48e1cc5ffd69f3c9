import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue } from 'node:sqlite'
import { PosternError } from '../../errors.ts'
import { MIGRATIONS } from './schema.ts'

/**
 * Milliseconds to wait for another process's lock. With a write-ahead log readers wait for nobody; only writers wait, for
 * each other, and none of them takes longer than one row.
 */
const BUSY_TIMEOUT = 2_000

/** What is asked of the database: whole answers, each as its statement says. */
export interface Database {
  rows<Row extends object>(sql: string, ...values: readonly SQLInputValue[]): Row[]
  /** @returns how many rows it changed, and the id of the last that it added */
  run(sql: string, ...values: readonly SQLInputValue[]): { readonly changes: number; readonly lastId: number }
  /** Harmless when it is closed already. */
  close(): void
}

/**
 * Opens the file, made new or brought up to this version where need be. Only its owner may read it.
 * @throws PosternError `config_invalid`
 */
export function openDatabase(file: string): Database {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    // SQLite would make it readable for all; its log takes over the mode of the file.
    closeSync(openSync(file, 'a', 0o600))
    return prepared(opened(file))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new PosternError('config_invalid', `standalone.database: ${file} cannot be used: ${reason}`, {
      cause: error,
    })
  }
}

function opened(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT, enableForeignKeyConstraints: true })
  try {
    db.exec('pragma journal_mode = wal')
    if (versionOf(db) !== MIGRATIONS.length) migrate(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** One at a time: the gateway and a command may come upon an old file together. Closing undoes what was not committed. */
function migrate(db: DatabaseSync): void {
  db.exec('begin immediate')
  const version = versionOf(db)
  if (version > MIGRATIONS.length) throw new Error('a newer Postern has written it')
  for (const migration of MIGRATIONS.slice(version)) db.exec(migration)
  db.exec(`pragma user_version = ${MIGRATIONS.length}`)
  db.exec('commit')
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('pragma user_version').get()?.['user_version'])
}

/** Prepares each statement once: their texts are a closed list, values are always bound. */
function prepared(db: DatabaseSync): Database {
  const statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  const prepare = (sql: string): ReturnType<DatabaseSync['prepare']> => {
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return {
    // The tables are STRICT, so a column holds what its row type says.
    rows: <Row extends object>(sql: string, ...values: readonly SQLInputValue[]) =>
      prepare(sql).all(...values) as Row[],
    run: (sql, ...values) => {
      const { changes, lastInsertRowid } = prepare(sql).run(...values)
      return { changes: Number(changes), lastId: Number(lastInsertRowid) }
    },
    close: () => {
      if (db.isOpen) db.close()
    },
  }
}
