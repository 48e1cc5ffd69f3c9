import { type Message, realRequest } from './corpus.ts'
import { mutated, mutatedBytes } from './mutations.ts'
import { Random } from './random.ts'

/** What a client does once it has said everything. */
export type Ending =
  /** Waits until the gateway closes the connection. */
  | 'wait'
  /** Says goodbye when every request has an answer. */
  | 'leave'
  /** Says goodbye at once. */
  | 'end'
  /** Destroys the connection in the middle of what it says. */
  | 'cut'
  /** The same, with a reset. */
  | 'reset'

/** One connection, from its first byte to its last: all that is needed to do it again. */
export interface Conversation {
  readonly index: number
  /** Latin-1, one write each. */
  readonly pieces: readonly string[]
  /** Written once a socket is open. */
  readonly frames: readonly string[]
  readonly ending: Ending
  /** Answers after which a client that leaves may leave. */
  readonly requests: number
  /** Nothing was mutated: every request must be answered. */
  readonly sane: boolean
}

/** The name of the header that says to which conversation a forwarded request belongs. */
export const MARK = 'x-fuzz'

/** The same for the same seed and index. */
export function conversationOf(seed: string, index: number): Conversation {
  const random = new Random(`${seed}/${index}`)
  const sane = random.chance(0.1)
  const requests = random.chance(0.75) ? 1 : 2 + random.below(4)
  const messages = Array.from({ length: requests }, () => messageOf(random, sane))
  let bytes = messages.map((message) => bytesOf(message, index)).join('')
  for (let left = sane ? 0 : random.pick([0, 0, 0, 0, 1, 1, 2]); left > 0; left--)
    bytes = mutatedBytes(random, bytes)
  const ending = endingOf(random, sane, bytes)
  if (ending === 'cut' || ending === 'reset') bytes = bytes.slice(0, random.place(bytes))
  // What comes after a head, and before a 101: two readers may take it for different things.
  else if (!sane && random.chance(0.05))
    bytes += random.pick(['\r\n', 'x', '\x81\x00', 'GET / HTTP/1.1\r\n\r\n'])
  return { index, pieces: pieces(random, bytes), frames: frames(random), ending, requests, sane }
}

function messageOf(random: Random, sane: boolean): Message {
  let message = realRequest(random)
  for (let left = sane ? 0 : random.pick([0, 1, 1, 1, 2, 3]); left > 0; left--)
    message = mutated(random, message)
  return message
}

function bytesOf({ method, target, version, fields, body }: Message, index: number): string {
  const lines = [...fields, [MARK, String(index)] as const].map(([name, value]) => `${name}: ${value}`)
  return [`${method} ${target} ${version}`, ...lines, '', body].join('\r\n')
}

function endingOf(random: Random, sane: boolean, bytes: string): Ending {
  // Whether an answer to HEAD is over cannot be told from its bytes alone.
  const leave = bytes.includes('HEAD ') ? 'wait' : 'leave'
  if (sane) return leave
  return random.pick([leave, leave, leave, leave, leave, 'wait', 'wait', 'end', 'cut', 'reset'])
}

/** Most in one piece; some at any byte, and a few byte by byte. */
function pieces(random: Random, bytes: string): string[] {
  if (random.chance(0.6) || bytes === '') return [bytes]
  const size = random.chance(0.1)
    ? 1 + Math.ceil(bytes.length / 100)
    : Math.ceil(bytes.length / (1 + random.below(6)))
  const cut: string[] = []
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + random.below(size * 2)
    cut.push(bytes.slice(at, next))
    at = next
  }
  return cut
}

/** RFC 6455 §5.2: some that are well formed, and some that are not. */
function frames(random: Random): string[] {
  const text = 'x'.repeat(random.below(200))
  const masked = `${String.fromCharCode(0x80 | Math.min(text.length, 125))}\0\0\0\0${text.slice(0, 125)}`
  const kinds = [
    `\x81${masked}`,
    `\x82${masked}`,
    `\x89${masked}`,
    `\x88\x82\0\0\0\0\x03\xe8`,
    '\x81\x05hello',
    '\xff\xff\xff',
    '\x81\xff\0\0\0\0\0\0',
    'GET / HTTP/1.1\r\n\r\n',
  ]
  return Array.from({ length: random.below(4) }, () => random.pick(kinds))
}
