import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { freshRedis } from '../services.ts'
import { locate } from './programs.ts'
import { temporaryFolder } from './process.ts'
import { HOST, serve, type Server } from './server.ts'

/** How the sentinel calls what it watches. */
export const MASTER = 'games'

/** Two Redis processes of which one follows the other, and a sentinel that watches them. */
export interface Watched {
  readonly servers: readonly Server[]
  readonly sentinel: Server
  /** The port of the one that is to be written to. */
  master(): Promise<number>
  /** How many follow the master and are well, as far as the sentinel knows. */
  followers(): Promise<number>
  /** Makes the other one the master; resolves when the sentinel says so. */
  failover(): Promise<void>
}

/** As a test's own processes, which end with it. */
export async function freshSentinel(t: Test): Promise<Watched> {
  const servers = [await freshRedis(t), await freshRedis(t)] as const
  const [master, follower] = servers
  const client = new Redis(follower.url)
  await client.replicaof(master.host, master.port)
  // A sentinel that starts before it follows would look again only after ten seconds.
  await again(async () => (await client.info('replication')).includes('master_link_status:up'))
  client.disconnect()
  const sentinel = await startSentinel(master)
  t.teardown(() => sentinel.close())
  const control = new Redis({ host: sentinel.host, port: sentinel.port })
  t.teardown(() => control.disconnect())
  const portOfMaster = async (): Promise<number> => {
    const address = await control.call('sentinel', 'get-master-addr-by-name', MASTER)
    return Array.isArray(address) ? Number(address[1]) : 0
  }
  return {
    servers,
    sentinel,
    master: portOfMaster,
    async followers() {
      const rows = await control.call('sentinel', 'replicas', MASTER)
      const all: readonly unknown[] = Array.isArray(rows) ? rows : []
      return all.filter((row) => Array.isArray(row) && row[row.indexOf('flags') + 1] === 'slave').length
    },
    async failover() {
      const before = await portOfMaster()
      // Refused until the sentinel knows the follower and finds it well.
      await again(() => control.call('sentinel', 'failover', MASTER).then(() => true))
      await again(async () => (await portOfMaster()) !== before)
    },
  }
}

/** Until it succeeds. @throws what it failed with, after half a minute */
async function again(act: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000
  for (;;) {
    const done = await act().catch((error: unknown) => {
      if (performance.now() > end) throw error
      return false
    })
    if (done) return
    if (performance.now() > end) throw new Error('the sentinel does not make the other one the master')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Its only vote is enough. */
function startSentinel({ host, port: master }: Server): Promise<Server> {
  const path = locate('redis-server')
  const folder = temporaryFolder('sentinel')
  const file = join(folder, 'sentinel.conf')
  const lines = [
    `sentinel monitor ${MASTER} ${host} ${master} 1`,
    `sentinel down-after-milliseconds ${MASTER} 1000`,
    `sentinel failover-timeout ${MASTER} 5000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  return serve(
    folder,
    (port) => ({
      path,
      args: [file, '--sentinel', '--port', `${port}`, '--bind', HOST, '--dir', folder],
      owner: {},
      ready: /Sentinel ID is/,
      stopSignal: 'SIGKILL',
    }),
    (port) => `redis://${HOST}:${port}`,
  )
}
