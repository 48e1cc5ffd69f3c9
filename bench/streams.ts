/**
 * Big bodies and sockets: `npm run bench -- streams [--short]`. What a megabyte and a message cost, and how far the
 * resident memory of the gateway goes beyond what it was at rest, while a gigabyte passes, three times in each direction.
 */
import { once } from 'node:events'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { WebSocket } from 'ws'
import type { Case } from './cost/case.ts'
import { as } from '../test/support/romm/ask.ts'
import { residentBytes } from './cost/processes.ts'
import { type Measured, Servers } from './cost/servers.ts'
import { cpuSeconds, median } from './measure.ts'
import { printTable, saveResults } from './results.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
/** Who may read and write. */
const CREDENTIAL = as('rmm admin all')
const MEGABYTE = 1024 * 1024
const [rounds, small, big, messages] = values.short
  ? [1, 10, 20 * MEGABYTE, 1_000]
  : [7, 200, 1024 * MEGABYTE, 50_000]
const SOCKETS = values.short ? 50 : 1_000
/** Milliseconds between two looks at the memory. */
const LOOK = 50

const CASES: readonly Case[] = [
  { name: 'gateway', server: 'gateway' },
  { name: 'unchecked', server: 'unchecked' },
  { name: 'reply-from', server: 'reply-from' },
  { name: 'nginx', server: 'nginx' },
]

const pathOf = (bytes: number): string => `/api/roms/1/content/game.zip?bytes=${bytes}`

async function download(port: number, bytes: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const req = request({ port, host: '127.0.0.1', path: pathOf(bytes), headers: CREDENTIAL }, (res) => {
    let received = 0
    res.on('data', (chunk: Buffer) => (received += chunk.length)).on('error', reject)
    res.on('end', () => resolve(received))
  })
  req.on('error', reject).end()
  const received = await promise
  if (received !== bytes) throw new Error(`${received} bytes instead of ${bytes}`)
}

async function upload(port: number, bytes: number): Promise<void> {
  const piece = Buffer.alloc(65_536, 7)
  const pieces = Readable.from(Array.from({ length: bytes / piece.length }, () => piece))
  const headers = { ...CREDENTIAL, 'content-type': 'application/octet-stream', 'content-length': bytes }
  const req = request({ port, host: '127.0.0.1', path: '/api/roms/upload/1', method: 'PUT', headers })
  const answered = new Promise<number>((resolve, reject) => {
    req.on('error', reject).on('response', (res) => resolve(res.resume().statusCode ?? 0))
  })
  await pipeline(pieces, req)
  const status = await answered
  if (status !== 200) throw new Error(`an upload was answered with ${status}`)
}

const connect = (port: number): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/?transport=websocket`, { headers: CREDENTIAL })

async function echo(port: number, count: number): Promise<void> {
  const socket = connect(port)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let left = count
  socket.on('open', () => socket.send('a message of some length, as sync events are'))
  socket.on('message', (message) => (--left > 0 ? socket.send(message) : resolve())).on('error', reject)
  await promise
  socket.terminate()
}

async function cpuOf({ pids }: Measured, work: () => Promise<void>): Promise<number> {
  const used = (): number => pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const before = used()
  await work()
  return (used() - before) * 1e6
}

/** @returns the highest that was seen, in bytes */
async function peakOf({ pids }: Measured, work: () => Promise<void>): Promise<number> {
  const look = (): number => residentBytes(pids()[0] ?? 0)
  let peak = look()
  const looking = setInterval(() => (peak = Math.max(peak, look())), LOOK)
  await work()
  clearInterval(looking)
  return Math.max(peak, look())
}

const WORK: Readonly<
  Record<string, { readonly per: number; readonly run: (port: number) => Promise<void> }>
> = {
  'download, µs a MB': { per: small, run: (port) => download(port, small * MEGABYTE) },
  'upload, µs a MB': { per: small, run: (port) => upload(port, small * MEGABYTE) },
  'socket, µs a message and its echo': { per: messages, run: (port) => echo(port, messages) },
}

async function costs(servers: Servers): Promise<Record<string, Record<string, number>>> {
  const results: Record<string, Record<string, number>> = {}
  for (const [what, { per, run }] of Object.entries(WORK)) {
    const samples = new Map<string, number[]>()
    for (let round = 0; round <= rounds; round++) {
      for (const one of CASES) {
        // Neither takes a WebSocket as it is configured here.
        if (run === WORK['socket, µs a message and its echo']?.run && one.server !== 'gateway') continue
        const measured = await servers.start(one)
        const cpu = (await cpuOf(measured, () => run(measured.port))) / per
        if (round > 0) samples.set(one.name, [...(samples.get(one.name) ?? []), cpu])
      }
    }
    results[what] = Object.fromEntries([...samples].map(([name, all]) => [name, median(all)]))
  }
  return results
}

async function memory(servers: Servers): Promise<string[][]> {
  const measured = await servers.start({ name: 'gateway', server: 'gateway' })
  const idle = residentBytes(measured.pids()[0] ?? 0)
  const rows: string[][] = [['at rest', (idle / MEGABYTE).toFixed(0), '']]
  for (const [what, run] of Object.entries({ download, upload })) {
    for (const time of ['first', 'second', 'third']) {
      const peak = await peakOf(measured, () => run(measured.port, big))
      rows.push([`${what}, ${time}`, (peak / MEGABYTE).toFixed(0), ((peak - idle) / MEGABYTE).toFixed(0)])
    }
  }
  return rows
}

/** @returns what an open socket that says nothing takes, in kilobytes of the gateway */
async function socketMemory(servers: Servers): Promise<number> {
  const args = ['--sockets', String(2 * SOCKETS)]
  const { port, pids } = await servers.start({ name: 'sockets', server: 'gateway', args })
  const resident = (): number => residentBytes(pids()[0] ?? 0)
  await echo(port, messages)
  const before = resident()
  const sockets = Array.from({ length: SOCKETS }, () => connect(port))
  await Promise.all(sockets.map((socket) => once(socket, 'open')))
  const kilobytes = (resident() - before) / SOCKETS / 1024
  for (const socket of sockets) socket.terminate()
  return kilobytes
}

const servers = new Servers()
try {
  const costOf = await costs(servers)
  printTable(
    ['', ...CASES.map(({ name }) => name)],
    Object.entries(costOf).map(([what, by]) => [
      what,
      ...CASES.map(({ name }) => by[name]?.toFixed(1) ?? ''),
    ]),
  )
  const rows = await memory(servers)
  console.log('')
  printTable([`${big / MEGABYTE} MB through the gateway`, 'resident MB at most', 'above rest'], rows)
  const perSocket = await socketMemory(servers)
  console.log(`\n${SOCKETS} open sockets: ${perSocket.toFixed(0)} kB each\n`)
  await saveResults('streams', { costOf, rows, perSocket })
} finally {
  await servers.close()
}
