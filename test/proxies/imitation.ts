import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Duplex } from 'node:stream'
import type { RawHeaders } from '../../src/request/request.ts'
import type { Behind } from '../support/services/proxies.ts'
import type { Server } from '../support/services/server.ts'

/** A request on its way; headers are names and values in turn. */
export interface Message {
  readonly method: string
  readonly target: string
  readonly headers: RawHeaders
}

/** A client's. */
export interface Arriving extends Message {
  /** The other end's address. */
  readonly client: string
  readonly isHandshake: boolean
}

export interface Answered {
  readonly status: number
  readonly headers: RawHeaders
  readonly body: Buffer
}

/** What a proxy that cannot be installed here does with a recipe: which requests it writes, by its documentation and source. */
export interface Imitation {
  /** As it takes a request, before it asks and before it sends it on. */
  readonly takes: (arriving: Arriving) => Message
  readonly asks?: Asking
  /** As it goes to whoever is behind. */
  readonly sends: (taken: Message, arriving: Arriving) => Message
}

export interface Asking {
  readonly question: (taken: Message, arriving: Arriving) => Message
  /** What of a permit's headers goes to the backend, over what is there. */
  readonly copies: readonly string[]
  /** What the client is told; of no answer at all too. */
  readonly refuses: (answer: Answered | undefined) => Answered
}

type Edit = (headers: RawHeaders) => RawHeaders

export const without =
  (...names: readonly string[]): Edit =>
  (headers) => {
    const gone = new Set(names.map((name) => name.toLowerCase()))
    return headers.filter((_, i) => !gone.has((headers[i - (i % 2)] ?? '').toLowerCase()))
  }

/** Each in the place of every one of its name. */
export const over =
  (fields: Readonly<Record<string, string>>): Edit =>
  (headers) => [...without(...Object.keys(fields))(headers), ...Object.entries(fields).flat()]

export function valuesOf(headers: RawHeaders, name: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === name)
}

/** What speaks of one connection alone (RFC 9110 §7.6.1), but for what frames a body. */
export const hopless = without('Connection', 'Keep-Alive', 'Proxy-Connection', 'TE', 'Upgrade')

/** A handshake's own words, which proxies write anew. */
export const handshake = (is: boolean): Edit =>
  over(is ? { Connection: 'Upgrade', Upgrade: 'websocket' } : {})

/** A server on loopback that does what the proxy would. */
export async function startImitation(
  imitation: Imitation,
  behind: Behind,
): Promise<Pick<Server, 'port' | 'pid' | 'close'>> {
  const { asks } = imitation
  const next = asks === undefined ? behind.edge : behind.backend
  /** The request as it goes on, or what is told instead. */
  const decide = async (arriving: Arriving): Promise<Message | Answered> => {
    // Go's server and Envoy alike.
    if (valuesOf(arriving.headers, 'host').length !== 1)
      return { status: 400, headers: [], body: Buffer.alloc(0) }
    const taken = imitation.takes(arriving)
    if (asks === undefined) return imitation.sends(taken, arriving)
    const answer = await ask(behind.decision, asks.question(taken, arriving))
    if (answer?.status !== 200) return asks.refuses(answer)
    const copied = asks.copies.flatMap((name) =>
      valuesOf(answer.headers, name.toLowerCase()).map((value) => [name, value]),
    )
    const headers = [...without(...asks.copies)(taken.headers), ...copied.flat()]
    return imitation.sends({ ...taken, headers }, arriving)
  }
  const server = createServer(
    (req, res) => void decide(arrivingOf(req, false)).then((came) => pass(came, next, req, res)),
  )
  server.on('upgrade', (req, socket, head) => {
    void decide(arrivingOf(req, true)).then((came) => tunnel(came, next, socket, head))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  // A TCP server that listens has an address of this type.
  const { port } = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { port, pid: process.pid, close }
}

function arrivingOf(
  { method = '', url = '', rawHeaders, socket }: IncomingMessage,
  isHandshake: boolean,
): Arriving {
  return { method, target: url, headers: rawHeaders, client: socket.remoteAddress ?? '', isHandshake }
}

async function ask(port: number, question: Message): Promise<Answered | undefined> {
  const request = send(port, question)
  try {
    const [response] = (await once(request.end(), 'response')) as [IncomingMessage]
    return { status: response.statusCode ?? 0, headers: response.rawHeaders, body: await buffer(response) }
  } catch {
    return undefined
  }
}

function send(port: number, { method, target, headers }: Message) {
  return httpRequest({ host: '127.0.0.1', port, method, path: target, headers, agent: false })
}

function pass(came: Message | Answered, next: number, req: IncomingMessage, res: ServerResponse): void {
  if ('status' in came) {
    res.shouldKeepAlive = false
    res
      .writeHead(came.status, [...framed(came.headers, came.body)])
      .end(req.method === 'HEAD' ? '' : came.body)
    return
  }
  const request = send(next, came)
  request.on('response', (response) => {
    res.writeHead(response.statusCode ?? 0, [
      ...without('Connection', 'Keep-Alive', 'Transfer-Encoding')(response.rawHeaders),
    ])
    response.pipe(res)
  })
  request.on('error', () => res.headersSent || res.writeHead(502).end())
  req.pipe(request)
}

function tunnel(came: Message | Answered, next: number, socket: Duplex, head: Buffer): void {
  socket.on('error', () => socket.destroy())
  if ('status' in came) {
    const line = `HTTP/1.1 ${came.status} ${STATUS_CODES[came.status] ?? ''}`
    socket.end(Buffer.concat([Buffer.from(written(line, framed(came.headers, came.body))), came.body]))
    return
  }
  const upstream = connect(next, '127.0.0.1')
  upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
  socket.on('close', () => upstream.destroy())
  upstream.write(written(`${came.method} ${came.target} HTTP/1.1`, came.headers))
  upstream.write(head)
  socket.pipe(upstream).pipe(socket)
}

const framed = (headers: RawHeaders, body: Buffer): RawHeaders =>
  over({ 'Content-Length': String(body.length), Connection: 'close' })(
    without('Transfer-Encoding', 'Keep-Alive')(headers),
  )

function written(line: string, headers: RawHeaders): string {
  const fields = headers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${headers[i + 1] ?? ''}`] : []))
  return [line, ...fields, '', ''].join('\r\n')
}
