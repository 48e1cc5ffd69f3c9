import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** One rule broken at one place. */
export interface Violation {
  readonly file: string
  readonly line: number
  readonly message: string
}

interface Import {
  readonly file: string
  readonly line: number
  readonly specifier: string
  readonly typeOnly: boolean
  readonly clause: string
}

/** Each folder (or file beside them) of `src/`; it may import itself and what stands in a later row. */
const ORDER: readonly (readonly string[])[] = [
  ['main.ts'],
  ['cli'],
  ['gateway'],
  ['config'],
  ['edge', 'admin'],
  ['upstream'],
  ['profiles'],
  ['authenticators', 'assertion'],
  ['directory'],
  ['routes'],
  ['pipeline'],
  ['request'],
  ['identity'],
]

/** May be imported by all. */
const FOR_ALL = ['errors.ts', 'observe']
/** Import nothing of ours but types. */
const TYPES_ONLY = ['errors.ts', 'observe']

interface Place {
  readonly at: readonly string[]
  /** Where its types alone may be named. */
  readonly types?: readonly string[]
}

/** The one home of each third-party library, and of each built-in that works as one. */
const HOMES = {
  fastify: { at: ['edge', 'admin'] },
  undici: { at: ['upstream', 'gateway'] },
  ioredis: { at: ['directory', 'gateway'], types: ['profiles'] },
  kysely: { at: ['profiles'] },
  mysql2: { at: ['profiles'] },
  pg: { at: ['profiles'] },
  'node:sqlite': { at: ['profiles'] },
  jose: { at: ['assertion', 'authenticators'] },
  'node:process': { at: ['main.ts', 'cli'] },
  'node:cluster': { at: ['cli'] },
} satisfies Record<string, Place>

/** Names that open a door, and the files that may import each. */
const DOORS = [
  {
    name: 'issuePermit',
    from: 'pipeline/permit.ts',
    importers: ['pipeline/decide.ts', 'pipeline/observe.ts'],
  },
]

const STATIC =
  /^(?:import|export)\s+(?:(?<type>type\s+)?(?<clause>(?:[\w$]+\s*,\s*)?(?:\{[^{}]*\}|\*(?:\s+as\s+[\w$]+)?)|[\w$]+)\s+from\s+)?['"](?<from>[^'"]+)['"]/gm
// Neither of the two is looked for in comments. `process.nextTick` only schedules.
const DYNAMIC = /(?<!(?:^\s*\*|\/\/).*)\bimport\(\s*(?:['"](?<from>[^'"]+)['"])?/gm
const PROCESS = /(?<!(?:^\s*\*|\/\/).*)\bprocess(?:\.(?!nextTick\b)[a-zA-Z]|\[)/gm

/**
 * Holds every `.ts` file below `src` to the direction of imports and to the homes of libraries.
 * It relies on the formatter: a static import begins at the beginning of its line.
 */
export function checkImports(src: string): {
  readonly files: number
  readonly violations: readonly Violation[]
} {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const violations = files.flatMap((file) => {
    const text = readFileSync(join(src, file), 'utf8')
    return [...importsOf(file, text).flatMap(judge), ...usesOfProcess(file, text)]
  })
  return { files: files.length, violations }
}

function importsOf(file: string, text: string): Import[] {
  return [...text.matchAll(STATIC), ...text.matchAll(DYNAMIC)].map(({ index, groups = {} }) => ({
    file,
    line: lineOf(text, index),
    specifier: groups['from'] ?? '',
    typeOnly: groups['type'] !== undefined,
    clause: groups['clause'] ?? '*',
  }))
}

function judge(found: Import): Violation[] {
  const { file, line, specifier } = found
  return messagesOn(found, specifier).map((message) => ({ file, line, message }))
}

function messagesOn(found: Import, specifier: string): string[] {
  if (specifier === '') return ['imports a computed name']
  if (!specifier.startsWith('.')) return judgeForeign(found)
  const target = join(dirname(found.file), specifier)
  return [...judgeDirection(found, houseOf(target)), ...judgeDoors(found, target)]
}

function judgeDirection({ file, typeOnly }: Import, to: string): string[] {
  const from = houseOf(file)
  if (from === to || FOR_ALL.includes(to)) return []
  if (TYPES_ONLY.includes(from)) return typeOnly ? [] : [`${from} imports types only, not ${to}`]
  for (const house of [from, to])
    if (rankOf(house) === -1) return [`${house} has no place in the order of folders`]
  return rankOf(to) > rankOf(from) ? [] : [`${from} must not import ${to}`]
}

/** `*` hands on every name of the module. */
function judgeDoors({ file, clause }: Import, target: string): string[] {
  return DOORS.filter(
    ({ name, from, importers }) =>
      target === from && !importers.includes(file) && new RegExp(String.raw`\b${name}\b|\*`).test(clause),
  ).map(({ name, importers }) => `${name} is for src/${importers.join(' and src/')} alone`)
}

function judgeForeign({ file, specifier, typeOnly }: Import): string[] {
  const library = specifier.startsWith('node:') ? specifier : packageOf(specifier)
  const home: Place | undefined = Object.hasOwn(HOMES, library)
    ? HOMES[library as keyof typeof HOMES]
    : undefined
  const house = houseOf(file)
  if (!home || home.at.includes(house) || (typeOnly && home.types?.includes(house))) return []
  return [`${library} lives in ${home.at.join(', ')}, not in ${house}`]
}

function usesOfProcess(file: string, text: string): Violation[] {
  if (HOMES['node:process'].at.includes(houseOf(file))) return []
  return [...text.matchAll(PROCESS)].map((match) => {
    return { file, line: lineOf(text, match.index), message: 'process is for main.ts and cli alone' }
  })
}

/** The folder of `src/` that a file is in, or the file itself when it is in none. */
function houseOf(file: string): string {
  return file.split(/[/\\]/)[0] ?? file
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function rankOf(house: string): number {
  return ORDER.findIndex((row) => row.includes(house))
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
