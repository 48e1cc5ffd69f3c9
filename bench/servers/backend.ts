/**
 * The backend of every case: a small JSON answer, as most of an app's requests get; `/api/roms/N/content/...` is as many bytes
 * as its query says, an upload is read and thrown away, and a socket says everything back.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

const body = JSON.stringify({ id: 1, name: 'A game', files: Array.from({ length: 8 }, (_, id) => ({ id })) })
const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]
const PIECE = Buffer.alloc(65_536, 7)

function send(res: ServerResponse, bytes: number): void {
  res.writeHead(200, ['Content-Type', 'application/octet-stream', 'Content-Length', String(bytes)])
  let left = bytes
  const write = (): void => {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE
      left -= piece.length
      if (!res.write(piece)) return void res.once('drain', write)
    }
    res.end()
  }
  write()
}

const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
  const bytes = /\?bytes=(\d+)$/.exec(req.url ?? '')?.[1]
  req.resume()
  if (req.method !== 'GET') req.once('end', () => res.writeHead(200, headers).end(body))
  else if (bytes !== undefined) send(res, Number(bytes))
  else res.writeHead(200, headers).end(body)
})
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
