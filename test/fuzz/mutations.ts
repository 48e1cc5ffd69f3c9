import type { Field, Message } from './corpus.ts'
import { HOST } from './corpus.ts'
import { oddCookie, respelt } from './credentials.ts'
import {
  ADDRESSES,
  BYTES,
  FORGED,
  FORGERIES,
  FRAMING,
  HOP_BY_HOP,
  HOSTS,
  METHODS,
  PATH_PIECES,
  VERSIONS,
} from './oddities.ts'
import type { Random } from './random.ts'

type Mutation = (random: Random, message: Message) => Message

/** What one mutation does to a message that still is one. */
const MUTATIONS: readonly Mutation[] = [
  (random, message) => withField(random, message, random.pick(FRAMING)),
  (random, message) => withField(random, message, random.pick(FRAMING)),
  (random, message) => withField(random, message, [random.pick(FORGERIES), FORGED]),
  (random, message) => withField(random, message, random.pick(HOP_BY_HOP)),
  (random, message) => withField(random, message, ['Host', random.pick(HOSTS)]),
  (random, message) => withField(random, message, ['X-Forwarded-For', random.pick(ADDRESSES)]),
  (random, message) => withField(random, message, ['Cookie', oddCookie(random)]),
  (random, message) => withField(random, message, ['Cookie', oddCookie(random)]),
  (random, message) => mapField(message, /^host$/i, () => random.pick(HOSTS)),
  (random, message) => mapField(message, /^authorization$/i, (value) => respelt(random, value)),
  (random, message) => mapField(message, /^authorization$/i, (value) => respelt(random, value)),
  (random, message) => mapField(message, /^cookie$/i, () => oddCookie(random)),
  (random, message) => withField(random, message, ['Authorization', respelt(random, 'Bearer x')]),
  (random, message) =>
    mapField(message, /./, (value) => (random.chance(0.2) ? spoilt(random, value) : value)),
  (_random, message) => ({ ...message, fields: [...message.fields, ...message.fields] }),
  (random, message) => ({
    ...message,
    fields: message.fields.toSpliced(random.below(message.fields.length), 1),
  }),
  (random, message) => ({
    ...message,
    fields: message.fields.map(([name, value]) => [renamed(random, name), value]),
  }),
  (random, message) => ({ ...message, fields: [...many(random), ...message.fields] }),
  (random, message) => ({ ...message, method: random.pick(METHODS) }),
  (random, message) => ({ ...message, version: random.pick(VERSIONS) }),
  (random, message) => ({ ...message, target: misspelt(random, message.target) }),
  (random, message) => ({ ...message, target: misspelt(random, message.target) }),
  (random, message) => ({ ...message, target: escaped(random, message.target) }),
  (random, message) => ({ ...message, target: elsewhere(random, message.target) }),
  (random, message) => ({ ...message, body: misframed(random, message.body) }),
  (random, message) => ({ ...message, body: misframed(random, message.body) }),
]

export function mutated(random: Random, message: Message): Message {
  return random.pick(MUTATIONS)(random, message)
}

function withField(random: Random, message: Message, field: Field): Message {
  return { ...message, fields: message.fields.toSpliced(random.below(message.fields.length + 1), 0, field) }
}

function mapField(message: Message, name: RegExp, change: (value: string) => string): Message {
  const fields = message.fields.map(([key, value]): Field => [key, name.test(key) ? change(value) : value])
  return { ...message, fields }
}

/** Bytes that end a line for one reader and not for the next, and folded lines. */
function spoilt(random: Random, value: string): string {
  const at = random.place(value)
  const bytes = random.pick([
    '\0',
    '\r',
    '\n',
    '\r\n ',
    '\r\n\t',
    '\x7f',
    '\xff',
    '\t',
    '\r\r\n',
    '\x0b',
    '\r\nX-Late: ',
  ])
  return `${value.slice(0, at)}${bytes}${value.slice(at)}`
}

function renamed(random: Random, name: string): string {
  if (random.chance(0.8)) return name
  return random.pick([
    `${name} `,
    ` ${name}`,
    name.toUpperCase(),
    name.replaceAll('-', '_'),
    `${name}\0`,
    `${name}:`,
    '',
    `\xe9${name}`,
    `${name}\t`,
  ])
}

function many(random: Random): Field[] {
  if (random.chance(0.3)) return [['X-Long', 'x'.repeat(random.pick([8_000, 15_900, 16_384, 40_000]))]]
  return Array.from({ length: 80 + random.below(60) }, (_, i): Field => [`X-${i}`, String(i)])
}

function misspelt(random: Random, target: string): string {
  const at = random.place(target)
  return `${target.slice(0, at)}${random.pick(PATH_PIECES)}${target.slice(at)}`
}

/** Characters escaped that need not be, in either case, some twice. */
function escaped(random: Random, target: string): string {
  return target.replaceAll(/[^?&=%]/g, (character) => {
    if (random.chance(0.85)) return character
    const hex = character.charCodeAt(0).toString(16).padStart(2, '0')
    return `${random.chance(0.1) ? '%25' : '%'}${random.chance(0.5) ? hex : hex.toUpperCase()}`
  })
}

function elsewhere(random: Random, target: string): string {
  const authority = random.pick([
    HOST,
    'evil.example',
    `${HOST}@evil.example`,
    `evil.example@${HOST}`,
    '',
    `${HOST}:80`,
    'GAMES.EXAMPLE',
  ])
  const scheme = random.pick(['http', 'https', 'HTTP', 'ftp', 'ws'])
  return random.pick([
    `${scheme}://${authority}${target}`,
    `//${authority}${target}`,
    '*',
    '',
    target.slice(1),
    `${HOST}:443`,
    `/public/..${target}`,
  ])
}

function misframed(random: Random, body: string): string {
  const at = random.place(body)
  const piece = random.pick([
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    '0;a=b\r\n',
    'g\r\n',
    '5;x="\r\n"\r\n',
    '00005\r\n',
    '+5\r\n',
    '5 \r\n',
    '5\n',
    '\r\n',
    '\n',
    'fffffffffffffffff\r\n',
    '0\r\nAuthorization: Bearer x\r\n\r\n',
    'GET /api/users HTTP/1.1\r\nHost: games.example\r\n\r\n',
    'x'.repeat(70_000),
  ])
  return random.chance(0.8) ? `${body.slice(0, at)}${piece}${body.slice(at)}` : body.slice(0, at)
}

/** One change to what goes on the wire, of whatever meaning. */
export function mutatedBytes(random: Random, bytes: string): string {
  const at = random.place(bytes)
  const to = Math.min(bytes.length, at + 1 + random.below(12))
  switch (random.below(5)) {
    case 0:
      return `${bytes.slice(0, at)}${bytes.slice(to)}`
    case 1:
      return `${bytes.slice(0, at)}${bytes.slice(at, to)}${bytes.slice(at)}`
    case 2:
      return `${bytes.slice(0, at)}${String.fromCharCode(random.below(256))}${bytes.slice(at + 1)}`
    case 3:
      return bytes.replaceAll('\r\n', random.pick(['\n', '\r', '\r\n ', '\r\n\r']))
    default:
      return `${bytes.slice(0, at)}${random.pick(BYTES)}${bytes.slice(at)}`
  }
}
