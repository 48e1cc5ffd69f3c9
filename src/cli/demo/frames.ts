/**
 * As much of RFC 6455 as an echo of texts needs: whole messages of at most 64 KiB, no extensions.
 * Clauses in this file are that RFC's.
 */

/** §11.8, the ones that are met here. */
const OPCODES = { continuation: 0x0, text: 0x1, close: 0x8, ping: 0x9, pong: 0xa } as const
export type SentKind = 'text' | 'close' | 'pong'

/** §7.4.1. */
export const CLOSE_CODES = {
  normal: 1000,
  protocolError: 1002,
  unsupported: 1003,
  invalidText: 1007,
  tooBig: 1009,
} as const

const LARGEST = 64 * 1024
const FIN = 0x80
const MASKED = 0x80

export interface Frame {
  readonly kind: 'text' | 'close' | 'ping' | 'pong'
  readonly payload: Buffer
}

export type Parsed =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly rest: Buffer }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'fault'; readonly code: number }

/** The first frame of what a client has sent so far. */
export function parseFrame(bytes: Buffer): Parsed {
  if (bytes.length < 2) return { kind: 'incomplete' }
  const first = bytes.readUInt8(0)
  const second = bytes.readUInt8(1)
  // §5.1: clients must mask. §5.2: reserved bits mean extensions, of which there are none.
  if ((second & MASKED) === 0 || (first & 0x70) !== 0) return fault('protocolError')
  const kind = kindOf(first & 0x0f)
  // §5.5: control frames are short and whole. Messages in fragments and binary ones are not taken here.
  if (kind === undefined || (first & FIN) === 0) return fault('unsupported')
  const length = lengthOf(bytes, second & 0x7f)
  if (length === undefined) return { kind: 'incomplete' }
  if (length.value > LARGEST) return fault('tooBig')
  if (kind !== 'text' && length.value > 125) return fault('protocolError')
  const start = length.end + 4
  if (bytes.length < start + length.value) return { kind: 'incomplete' }
  const payload = unmasked(bytes.subarray(start, start + length.value), bytes.subarray(length.end, start))
  return { kind: 'frame', frame: { kind, payload }, rest: bytes.subarray(start + length.value) }
}

/** A frame of ours; §5.1: servers do not mask. */
export function frameOf(kind: SentKind, payload: Buffer): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head.writeUInt8(FIN | OPCODES[kind], 0)
  head.writeUInt8(length < 126 ? length : length < 65_536 ? 126 : 127, 1)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}

export function closeFrame(code: number): Buffer {
  const payload = Buffer.alloc(2)
  payload.writeUInt16BE(code)
  return frameOf('close', payload)
}

function kindOf(opcode: number): Frame['kind'] | undefined {
  switch (opcode) {
    case OPCODES.text:
      return 'text'
    case OPCODES.close:
      return 'close'
    case OPCODES.ping:
      return 'ping'
    case OPCODES.pong:
      return 'pong'
    default:
      return undefined
  }
}

/** §5.2: 126 and 127 say that the length follows in two or eight bytes. */
function lengthOf(
  bytes: Buffer,
  short: number,
): { readonly value: number; readonly end: number } | undefined {
  if (short < 126) return { value: short, end: 2 }
  const end = short === 126 ? 4 : 10
  if (bytes.length < end) return undefined
  return { value: short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2)), end }
}

/** §5.3. */
function unmasked(payload: Buffer, key: Buffer): Buffer {
  return Buffer.from(payload.map((byte, i) => byte ^ (key[i % 4] ?? 0)))
}

function fault(why: keyof typeof CLOSE_CODES): Parsed {
  return { kind: 'fault', code: CLOSE_CODES[why] }
}
