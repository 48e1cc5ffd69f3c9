import { isAlias, isMap, isPair, isScalar, isSeq } from 'yaml'
import { ROMM_ENVIRONMENT } from '../../profiles/romm/environment.ts'
import { nameOf, pairAt, variablesOf, wordOf } from './compose.ts'
import type { Compose, Service } from './compose.ts'
import { publishedPorts } from './ports.ts'
import { edited, indentOf, linesOf, sourceOf } from './source.ts'
import type { Edit } from './source.ts'

/** What a compose file becomes, and what its owner should know. */
export interface Plan {
  /** The whole file; the same as before where Postern is in it already. */
  readonly text: string
  /** At which Postern finds RomM. */
  readonly upstream: string
  /** Where the commands find Postern; undefined where its loopback is its own. */
  readonly admin: string | undefined
  readonly notes: readonly string[]
}

const IMAGE = 'postern:0.1.0   # docker build -t postern:0.1.0 . in a checkout of Postern'
/** As in docker-compose.yml: the image writes to its volume alone, and ends what is under way. */
const CONFINED = [
  'read_only: true',
  'cap_drop: [ALL]',
  "security_opt: ['no-new-privileges:true']",
  'stop_grace_period: 35s',
]
const DATA = 'postern-data'
const DATA_FOLDER = '/var/lib/postern/data'
/** RomM fact: where its web server listens unless ROMM_PORT says otherwise. */
const ROMM_PORT = 8080

/** How a service is connected, and whose ports lead to it. */
interface Network {
  readonly mode: 'host' | 'shared' | 'own'
  /** Whose `ports` publish it. */
  readonly publisher: Service
  /** Of Postern's service, to stand in the same place. */
  readonly lines: readonly string[]
}

/** Puts Postern before RomM: its service, RomM's published port, and nothing else. */
export function planOf(compose: Compose, config: string): Plan {
  const { text, romm, names } = compose
  const variables = variablesOf(compose)
  const port = Number(variables.get('ROMM_PORT') ?? ROMM_PORT) || ROMM_PORT
  const network = networkOf(compose)
  const where =
    network.mode === 'own'
      ? { upstream: `http://${romm.name}:${port}`, admin: undefined }
      : { upstream: `http://127.0.0.1:${port}`, admin: `unix:${DATA_FOLDER}/admin.sock` }
  if (names.includes('postern')) {
    return { text, ...where, notes: ['There is a service postern already: the compose file stays as it is.'] }
  }
  const ports = publishedPorts(text, pairAt(network.publisher.map, 'ports'), port)
  const moved = ports.flatMap(({ moved: line }) => (line === undefined ? [] : [line]))
  const service = serviceLines(compose, network, network.mode === 'own' ? moved : [], config)
  const end = linesOf(text, romm.pair).to
  const edits: Edit[] = [
    { from: end, to: end, text: `\n\n${service.join('\n')}` },
    ...portEdits(compose, network, ports, port),
    volumeEdit(compose),
  ]
  return { text: edited(text, edits), ...where, notes: notesOf(variables, network, moved, port, romm.name) }
}

function networkOf({ text, romm, services }: Compose): Network {
  const mode = wordOf(romm.map.get('network_mode', true)) ?? ''
  if (mode === 'host') return { mode: 'host', publisher: romm, lines: ['network_mode: host'] }
  const [, other] = /^service:(.+)$/.exec(mode) ?? []
  if (other !== undefined) {
    const pair = pairAt(services, other)
    const map = pair?.value
    const publisher = pair !== undefined && isMap(map) ? { name: other, pair, map } : romm
    return { mode: 'shared', publisher, lines: [`network_mode: ${mode}`] }
  }
  if (mode.startsWith('container:'))
    return { mode: 'shared', publisher: romm, lines: [`network_mode: ${mode}`] }
  const networks = romm.map.get('networks', true)
  const names = isMap(networks)
    ? networks.items.map(nameOf)
    : isSeq(networks)
      ? networks.items.map((item) => sourceOf(text, item))
      : []
  return {
    mode: 'own',
    publisher: romm,
    lines: names.length === 0 ? [] : [`networks: [${names.join(', ')}]`],
  }
}

function serviceLines(
  { text, romm }: Compose,
  network: Network,
  ports: readonly string[],
  config: string,
): string[] {
  const outer = indentOf(text, romm.pair)
  const step = indentOf(text, romm.map.items[0]).slice(outer.length)
  const lines = [
    `image: ${IMAGE}`,
    'restart: unless-stopped',
    `depends_on: [${romm.name}]`,
    ...network.lines,
    ...list(
      'ports',
      ports.map((port) => reindented(port, step.length)),
    ),
    ...copied(text, romm, 'env_file', outer.length + step.length),
    ...environmentLines(text, romm, step),
    ...copied(text, romm, 'secrets', outer.length + step.length),
    ...list('volumes', [`./${config}:/etc/postern/postern.yaml:ro`, `${DATA}:${DATA_FOLDER}`]),
    ...CONFINED,
  ].flatMap((line) => line.split('\n'))
  return [`${outer}postern:`, ...lines.map((line) => outer + step + line)]

  function list(key: string, items: readonly string[]): string[] {
    return items.length === 0 ? [] : [`${key}:`, ...items.map((item) => `${step}- ${item}`)]
  }
}

/** An item of several lines, its later lines below its first. */
function reindented(item: string, step: number): string {
  const [first = '', ...rest] = item.split('\n')
  return [first, ...rest.map((line) => ' '.repeat(step + 2) + line.trim())].join('\n')
}

/** As RomM has it, to the letter: it stands at the same depth. */
function copied(text: string, { map }: Service, key: string, depth: number): string[] {
  const pair = pairAt(map, key)
  if (pair === undefined) return []
  const { from, to } = linesOf(text, pair)
  return text
    .slice(from, to)
    .split('\n')
    .map((line) => line.slice(depth))
}

/** Of RomM's variables those that Postern reads; RomM's keys for others' services are no business of it. */
function environmentLines(text: string, { map }: Service, step: string): string[] {
  const pair = pairAt(map, 'environment')
  const environment = pair?.value
  if (isAlias(environment)) return [`environment: ${sourceOf(text, environment)}`]
  if (!isMap(environment) && !isSeq(environment)) return []
  const items = environment.items.filter((item) => isRead(variableOf(item)))
  if (items.length === 0) return []
  const lines = items.map((item) => (isMap(environment) ? '' : '- ') + sourceOf(text, item))
  return ['environment:', ...lines.map((line) => step + line)]
}

function variableOf(item: unknown): string {
  return isPair(item) ? nameOf(item) : ((wordOf(item) ?? '').split('=', 1)[0] ?? '')
}

function isRead(name: string): boolean {
  return name === '<<' || name.replace(/_FILE$/, '') in ROMM_ENVIRONMENT
}

/** RomM's port leads to Postern, or is published no more. */
function portEdits(
  { text, romm }: Compose,
  network: Network,
  ports: ReturnType<typeof publishedPorts>,
  port: number,
): Edit[] {
  const pair = pairAt(network.publisher.map, 'ports')
  const moving = ports.filter(({ moved }) => moved !== undefined)
  if (pair === undefined || moving.length === 0) return []
  if (network.mode === 'shared') return moving.map(({ item, moved = '' }) => replace(text, item, moved))
  if (moving.length === ports.length) {
    const indent = indentOf(text, romm.map.items[0])
    const note = `${indent}# Postern alone gets here: its port is no longer published.\n`
    return [{ ...linesOf(text, pair), text: `${note}${indent}expose: ['${port}']` }]
  }
  if (isSeq(pair.value) && pair.value.flow === true) {
    const kept = ports.filter(({ moved }) => moved === undefined).map(({ item }) => sourceOf(text, item))
    return [replace(text, pair.value, `[${kept.join(', ')}]`)]
  }
  return moving.map(({ item }) => {
    const { from, to } = linesOf(text, item)
    return { from, to: to + 1, text: '' }
  })
}

function replace(text: string, node: unknown, put: string): Edit {
  const source = sourceOf(text, node)
  const from = isScalar(node) || isMap(node) || isSeq(node) ? (node.range?.[0] ?? 0) : 0
  return { from, to: from + source.length, text: put }
}

/** A volume for keys and the last good copy of the routes. */
function volumeEdit({ text, document }: Compose): Edit {
  const root = document.contents
  const pair = isMap(root) ? pairAt(root, 'volumes') : undefined
  const volumes = pair?.value
  if (pair === undefined) {
    const gap = text.endsWith('\n') ? '\n' : '\n\n'
    return { from: text.length, to: text.length, text: `${gap}volumes:\n  ${DATA}:\n` }
  }
  if (isMap(volumes) && volumes.flow === true)
    return replace(text, volumes, `{ ${DATA}: {}, ${inner(text, volumes)} }`)
  const { to } = linesOf(text, pair)
  const indent = isMap(volumes) && volumes.items.length > 0 ? indentOf(text, volumes.items[0]) : '  '
  return { from: to, to, text: `\n${indent}${DATA}:` }
}

function inner(text: string, flow: unknown): string {
  return sourceOf(text, flow).replace(/^\{\s*|\s*\}$/g, '')
}

function notesOf(
  variables: ReadonlyMap<string, string | undefined>,
  { mode }: Network,
  moved: readonly string[],
  port: number,
  romm: string,
): string[] {
  // What is empty is none; what has no value here gets one from the shell.
  const has = (name: string): boolean =>
    [name, `${name}_FILE`].some((each) => variables.has(each) && variables.get(each) !== '')
  const notes: (readonly [boolean, string])[] = [
    [
      !has('ROMM_AUTH_SECRET_KEY'),
      'RomM has no ROMM_AUTH_SECRET_KEY: it makes one at each start, and every access token ends with it. Set one: openssl rand -hex 32',
    ],
    [
      has('DB_USER'),
      "Postern gets RomM's own database user, which may write; docs/romm.md has the GRANTs for one that may only read.",
    ],
    [
      !has('REDIS_HOST'),
      'RomM has no REDIS_HOST: its Redis is inside its container, out of reach, and sessions are asked of RomM.',
    ],
    [
      mode === 'host',
      `RomM listens on every address of this machine at ${port}: close that port to others, or they go past Postern.`,
    ],
    [
      mode !== 'host' && moved.length === 0,
      `No published port leads to RomM: point your proxy at postern:8090 instead of ${romm}:${port}.`,
    ],
  ]
  return notes.flatMap(([isSo, note]) => (isSo ? [note] : []))
}
