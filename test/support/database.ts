import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'

/** How to reach one database: what a driver takes. */
export interface Database {
  readonly kind: 'mariadb' | 'postgres'
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

/** What both drivers' connections can do. */
export interface Connection {
  query(statement: string, values?: unknown[]): Promise<unknown>
  end(): Promise<unknown>
}

export async function connect({ kind, ...options }: Database): Promise<Connection> {
  if (kind === 'mariadb') return createConnection(options)
  const client = new Client(options)
  await client.connect()
  return client
}

/** Runs statements one after the other, on a connection of their own. */
export async function execute(on: Database, statements: readonly string[]): Promise<void> {
  const connection = await connect(on)
  try {
    for (const statement of statements) await connection.query(statement)
  } finally {
    await connection.end()
  }
}
