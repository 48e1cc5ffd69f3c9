/**
 * Sends GETs for so many milliseconds and prints how many were answered: `node bench/load.ts URL connections ms`.
 * wrk takes less of the processor that it shares with the backend, so it is preferred where it is installed.
 */
import { Pool } from 'undici'
import { HEADERS } from './headers.ts'

const [url = '', connections = '1', milliseconds = '0'] = process.argv.slice(2)
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections: Number(connections) })
const until = performance.now() + Number(milliseconds)
let requests = 0
let errors = 0

async function one(): Promise<void> {
  const { statusCode, body } = await pool.request({ method: 'GET', path: pathname, headers: HEADERS })
  await body.dump()
  requests++
  if (statusCode !== 200) errors++
}

async function work(): Promise<void> {
  while (performance.now() < until) await one()
}

await Promise.all(Array.from({ length: Number(connections) }, work))
await pool.close()
console.log(JSON.stringify({ requests, errors }))
