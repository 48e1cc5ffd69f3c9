import { locate } from './programs.ts'
import { temporaryFolder } from './process.ts'
import { HOST, serve, type Server } from './server.ts'

/** A Redis that writes nothing to disk. */
export function startRedis(): Promise<Server> {
  const path = locate('redis-server')
  const folder = temporaryFolder('redis')
  return serve(
    folder,
    (port) => ({
      path,
      args: [
        ['--port', `${port}`, '--bind', HOST, '--dir', folder],
        ['--save', '', '--appendonly', 'no'],
      ].flat(),
      owner: {},
      ready: /Ready to accept connections/,
      stopSignal: 'SIGKILL',
    }),
    (port) => `redis://${HOST}:${port}`,
  )
}
