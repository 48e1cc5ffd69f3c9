import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CLOSE_CODES, closeFrame, frameOf, parseFrame } from './frames.ts'
import type { Frame } from './frames.ts'

// RFC 6455 §1.3.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Answers an upgrade and sends every text back; refuses what is no WebSocket handshake. */
export function echo(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', () => socket.destroy())
  const key = request.headers['sec-websocket-key']
  const isHandshake = request.method === 'GET' && request.headers['sec-websocket-version'] === '13'
  if (!isHandshake || key === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    return
  }
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${createHash('sha1').update(`${key}${GUID}`).digest('base64')}\r\n\r\n`,
  )
  let pending: Buffer = Buffer.alloc(0)
  const take = (chunk: Buffer): void => {
    if (socket.writableEnded) return
    pending = answerAll(Buffer.concat([pending, chunk]), socket)
  }
  socket.on('data', take)
  socket.on('end', () => socket.end())
  take(head)
}

/** @returns what is left of the bytes: the beginning of a frame that is still to come */
function answerAll(bytes: Buffer, socket: Duplex): Buffer {
  let left = bytes
  for (let parsed = parseFrame(left); parsed.kind !== 'incomplete'; parsed = parseFrame(left)) {
    if (parsed.kind === 'fault') {
      socket.end(closeFrame(parsed.code))
      return Buffer.alloc(0)
    }
    answer(parsed.frame, socket)
    if (socket.writableEnded) return Buffer.alloc(0)
    left = parsed.rest
  }
  return left
}

function answer({ kind, payload }: Frame, socket: Duplex): void {
  switch (kind) {
    case 'text':
      if (isText(payload)) socket.write(frameOf('text', payload))
      else socket.end(closeFrame(CLOSE_CODES.invalidText))
      return
    case 'ping':
      socket.write(frameOf('pong', payload))
      return
    case 'close':
      socket.end(closeFrame(closeCode(payload)))
      return
    case 'pong':
  }
}

/** RFC 6455 §5.5.1: the code that came, if one did; half of one is a fault. */
function closeCode(payload: Buffer): number {
  if (payload.length === 0) return CLOSE_CODES.normal
  return payload.length === 1 ? CLOSE_CODES.protocolError : payload.readUInt16BE(0)
}

function isText(payload: Buffer): boolean {
  try {
    utf8.decode(payload)
    return true
  } catch {
    return false
  }
}
