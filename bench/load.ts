/**
 * Sends GETs for so many milliseconds and prints how many were answered, and how many not as they should be.
 * wrk takes less of the processor that it shares with the backend, so it is preferred where it is installed.
 */
import { Pool } from 'undici'
import { tokenText } from './cost/installation.ts'
import type { Task } from './cost/load.ts'
import { percentile } from './results.ts'

// Written by the bench that starts this process.
const { url, headers, status, tokens, first, ms, connections } = JSON.parse(process.argv[2] ?? '') as Task
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections })
const until = performance.now() + ms
let requests = 0
let errors = 0
const times: number[] = []

async function one(): Promise<void> {
  const sent =
    tokens === 0 ? headers : { ...headers, authorization: `Bearer ${tokenText((first + requests) % tokens)}` }
  const began = performance.now()
  const { statusCode, body } = await pool.request({ method: 'GET', path: pathname, headers: sent })
  await body.dump()
  times.push(performance.now() - began)
  requests++
  if (statusCode !== status) errors++
}

async function work(): Promise<void> {
  while (performance.now() < until) await one()
}

await Promise.all(Array.from({ length: connections }, work))
await pool.close()
console.log(JSON.stringify({ requests, errors, p50: percentile(times, 0.5), p99: percentile(times, 0.99) }))
