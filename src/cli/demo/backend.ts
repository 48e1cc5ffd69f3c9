import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DEMO_DOCUMENT } from './document.ts'
import { echo } from './echo.ts'

export interface DemoBackend {
  /** Of the server, `http://127.0.0.1:port`. */
  readonly url: string
  close(): Promise<void>
}

interface Note {
  readonly text: string
  readonly by: string
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

type Handler = (request: IncomingMessage, notes: Note[]) => Answer | Promise<Answer>

/** The assertion's header, unless configured otherwise; node:http names headers in lower case. */
const ASSERTION = 'x-postern-assertion'
const LARGEST_BODY = 16 * 1024

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['GET /openapi.json', () => ok(DEMO_DOCUMENT)],
  ['GET /', () => ok({ message: 'Hello. Anybody may read this.' })],
  ['GET /notes', (_request, notes) => ok(notes)],
  ['POST /notes', addNote],
  ['GET /whoami', (request) => ok({ headers: request.headers, assertion: assertionOf(request) })],
])

/**
 * A backend without accounts, on loopback: it believes whoever reaches it, so only the gateway may.
 * @param port 0 for any that is free
 */
export async function startDemoBackend(port: number): Promise<DemoBackend> {
  const notes: Note[] = [{ text: 'Water the plants', by: 'the demo' }]
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((request, response) => {
    answer(request, notes).then(
      (found) => send(response, found),
      () => response.destroy(),
    )
  })
  server.on('upgrade', (request, socket, head) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (pathOf(request) === '/echo') echo(request, socket, head)
    else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: urlOf(server),
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function urlOf(server: Server): string {
  // A server on a TCP port has an address with a port.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function answer(request: IncomingMessage, notes: Note[]): Promise<Answer> {
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
  const handler = HANDLERS.get(`${method} ${pathOf(request)}`)
  return handler === undefined ? { status: 404, body: { detail: 'Not Found' } } : handler(request, notes)
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(`${JSON.stringify(body, undefined, 2)}\n`)
}

async function addNote(request: IncomingMessage, notes: Note[]): Promise<Answer> {
  const body = await shortBody(request)
  if (body === undefined)
    return { status: 413, body: { detail: `A note has at most ${LARGEST_BODY} bytes.` } }
  const text = parsed(body)?.['text']
  if (typeof text !== 'string') return { status: 400, body: { detail: 'A note is {"text": "…"}.' } }
  const name = assertionOf(request)?.claims['preferred_username']
  const note = { text, by: typeof name === 'string' ? name : 'somebody' }
  notes.push(note)
  return { status: 201, body: note }
}

async function shortBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= LARGEST_BODY) chunks.push(chunk)
  }
  return length <= LARGEST_BODY ? Buffer.concat(chunks).toString('utf8') : undefined
}

type Json = Readonly<Record<string, unknown>>

/** Decoded, not verified: what only the gateway can reach may leave that out; others check it with the key set. */
function assertionOf(request: IncomingMessage): { header: Json; claims: Json } | undefined {
  const value = request.headers[ASSERTION]
  if (typeof value !== 'string') return undefined
  const [header, claims] = value
    .split('.')
    .map((part) => parsed(Buffer.from(part, 'base64url').toString('utf8')))
  return header === undefined || claims === undefined ? undefined : { header, claims }
}

function parsed(json: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? ''
}

function ok(body: unknown): Answer {
  return { status: 200, body }
}
