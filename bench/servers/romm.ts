/**
 * RomM as a bench needs it: the stand-in, but that a deleted token is deleted in the database that the gateways read, and
 * that whatever else a token is presented for is answered at once; and it counts what it receives. The database is in the
 * environment, as JSON.
 */
import { startStandin } from '../../test/support/romm/standin.ts'
import { connect, type Database } from '../../test/support/database.ts'

const DELETION = /^\/api\/client-tokens\/(\d+)\/admin$/
const body = JSON.stringify({ id: 1, name: 'A game' })
const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)]

/** What arrived since it was last asked for: forwarded requests by credential, and the gateway's own questions about one. */
export interface Counts {
  readonly forwarded: Readonly<Record<string, number>>
  readonly questions: number
  readonly heartbeats: number
}

const COUNTS = '/bench/counts'
const NONE: Counts = { forwarded: {}, questions: 0, heartbeats: 0 }

function counted(before: Counts, url: string, credential = 'none', isForwarded: boolean): Counts {
  const { forwarded, questions, heartbeats } = before
  if (isForwarded)
    return { ...before, forwarded: { ...forwarded, [credential]: (forwarded[credential] ?? 0) + 1 } }
  if (url === '/api/users/me' && credential !== 'none') return { ...before, questions: questions + 1 }
  return url === '/api/heartbeat' ? { ...before, heartbeats: heartbeats + 1 } : before
}

// Written by the bench that starts this process.
const database = JSON.parse(process.env['POSTERN_BENCH_DATABASE'] ?? '') as Database
const connection = await connect(database)
// Its forms are protected, so that gateways see that they have its secret.
const standin = await startStandin({ csrf: true })
let counts = NONE
standin.intercept = (
  { method, url = '', headers: { authorization, 'x-request-id': requestId } },
  response,
) => {
  if (url === COUNTS) {
    response.end(JSON.stringify(counts))
    counts = NONE
    return true
  }
  counts = counted(counts, url, authorization, requestId !== undefined)
  const id = method === 'DELETE' ? DELETION.exec(url)?.[1] : undefined
  if (id !== undefined) {
    void connection
      .query(`delete from client_tokens where id = ${id}`)
      .then(() => response.writeHead(204).end())
    return true
  }
  if (!url.startsWith('/api/roms/')) return false
  response.writeHead(200, headers).end(body)
  return true
}
console.log(standin.port)
