/**
 * RomM as a bench needs it: the stand-in, but that a deleted token is deleted in the database that the gateways read, and
 * that whatever else a token is presented for is answered at once. The database is in the environment, as JSON.
 */
import { startStandin } from '../../test/support/romm/standin.ts'
import { connect, type Database } from '../../test/support/database.ts'

const DELETION = /^\/api\/client-tokens\/(\d+)\/admin$/
const body = JSON.stringify({ id: 1, name: 'A game' })
const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)]

// Written by the bench that starts this process.
const database = JSON.parse(process.env['POSTERN_BENCH_DATABASE'] ?? '') as Database
const connection = await connect(database)
const standin = await startStandin()
standin.intercept = ({ method, url = '' }, response) => {
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
