import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { startGateway } from '../../src/gateway/gateway.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { systemClock } from '../../src/identity/clock.ts'
import type { Clock } from '../../src/identity/clock.ts'
import { createLogger } from '../../src/observe/log.ts'
import type { Database } from './database.ts'

/** A gateway of this process, on free ports, with a folder of its own. */
export interface TestGateway {
  readonly gateway: Gateway
  readonly port: number
  readonly probesPort: number
  readonly adminPort: number
  readonly url: string
  /** Log lines so far. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  readonly folder: string
}

export interface TestGatewayOptions {
  /** YAML, before the settings. */
  readonly text?: string
  readonly clock?: Clock
}

/** @param settings by dotted path, as on the command line */
export async function freshGateway(
  t: Test,
  settings: Readonly<Record<string, string>>,
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-gateway-'))
  const config = configOf({ ...inFolder(folder), ...settings }, options.text)
  const log: Record<string, unknown>[] = []
  const sink = { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) }
  const gateway = await startGateway(config, {
    clock: options.clock ?? systemClock,
    logger: createLogger('info', sink),
  })
  t.teardown(async () => {
    await gateway.close()
    await rm(folder, { recursive: true, force: true })
  })
  const port = portOf(gateway.edge)
  return {
    gateway,
    port,
    probesPort: portOf(gateway.probes ?? ''),
    adminPort: portOf(gateway.admin ?? ''),
    url: `http://127.0.0.1:${port}`,
    log,
    folder,
  }
}

/** Everything that a gateway writes goes into `folder`; it listens on free ports of loopback. */
export function inFolder(folder: string): Record<string, string> {
  return {
    'listen.edge': '127.0.0.1:0',
    'listen.probes': '127.0.0.1:0',
    'listen.admin': '127.0.0.1:0',
    'keys.folder': join(folder, 'keys'),
    'openapi.cache': join(folder, 'openapi'),
    'standalone.database': join(folder, 'postern.sqlite'),
    'shutdown.grace': '2s',
  }
}

/** @throws Error with every problem */
export function configOf(overrides: Readonly<Record<string, string>>, text?: string): Config {
  const loaded = loadConfig({ env: {}, overrides, ...(text !== undefined && { text }) })
  if (loaded.ok) return loaded.config
  throw new Error(loaded.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'))
}

/** How a test database is named in the configuration. */
export function databaseSettings(database: Database): Record<string, string> {
  return {
    'romm.database.driver': database.kind === 'postgres' ? 'postgresql' : 'mariadb',
    'romm.database.host': database.host,
    'romm.database.port': String(database.port),
    'romm.database.user': database.user,
    'romm.database.password': database.password,
    'romm.database.name': database.database,
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}
