import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { locate } from './programs.ts'
import { run, temporaryFolder, unprivileged } from './process.ts'
import { ADMIN_PASSWORD, HOST, serve, type Server } from './server.ts'

/** A PostgreSQL with passwords (SCRAM) that cares for speed and not for durability. */
export async function startPostgres(): Promise<Server> {
  const path = locate('postgres')
  const owner = unprivileged('postgres')
  const folder = temporaryFolder('postgres', owner)
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, `${ADMIN_PASSWORD}\n`)
  await run(
    locate('initdb'),
    [
      ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`],
      ['--no-sync', '-E', 'UTF8', '--locale=C.UTF-8'],
    ].flat(),
    owner,
    folder,
  )
  return serve(
    folder,
    (port) => ({
      path,
      args: [
        ['-D', data, '-p', `${port}`, '-h', HOST, '-k', folder, '-F'],
        ['-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'],
        ['-c', 'shared_buffers=32MB', '-c', 'max_connections=300'],
      ].flat(),
      owner,
      ready: /database system is ready to accept connections/,
      // "Immediate shutdown": SIGKILL would leave its shared memory behind.
      stopSignal: 'SIGQUIT',
    }),
    (port) => `postgres://postgres:${ADMIN_PASSWORD}@${HOST}:${port}`,
  )
}
