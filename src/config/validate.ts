import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import type { DataValidationCxt } from 'ajv/dist/types/index.js'
import { KINDS, type KindName } from './kinds.ts'
import { suggestion, type Problem } from './problem.ts'
import { CONFIG_SCHEMA, type Config } from './schema.ts'
import { joinPath, settingAt, type SchemaNode } from './tree.ts'

export type Validated =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly Problem[] }

interface Bounds {
  readonly atLeast?: string
  readonly atMost?: string
  readonly [keyword: string]: unknown
}

const check = compile()

/** `given` with every default filled in and every text parsed, or everything that is wrong with it. */
export function validate(given: Record<string, unknown>): Validated {
  const config = structuredClone(given)
  if (check(config)) return { ok: true, config: deepFreeze(config) as unknown as Config }
  const problems = (check.errors ?? []).filter(({ keyword }) => keyword !== 'propertyNames').map(problemOf)
  return { ok: false, problems }
}

function compile() {
  const ajv = new Ajv2020({ allErrors: true, useDefaults: true, strict: true, verbose: true })
  ajv.addVocabulary(['secret', 'defaultBy', 'shorthand', 'atLeast', 'atMost'])
  ajv.addKeyword({
    keyword: 'kind',
    type: 'string',
    modifying: true,
    compile: (kind: KindName, bounds: Bounds) => (text: string, place?: DataValidationCxt) => {
      const value = KINDS[kind].parse(text)
      if (value === undefined || outOfBounds(kind, bounds, value) || !place) return false
      place.parentData[place.parentDataProperty] = value
      return true
    },
  })
  ajv.addKeyword({
    keyword: 'keyKind',
    type: 'string',
    compile: (kind: KindName) => (name: string) => KINDS[kind].parse(name) !== undefined,
  })
  return ajv.compile(CONFIG_SCHEMA)
}

function outOfBounds(kind: KindName, { atLeast, atMost }: Bounds, value: unknown): boolean {
  const bound = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(KINDS[kind].parse(text))
  return typeof value === 'number' && (value < bound(atLeast, -Infinity) || value > bound(atMost, Infinity))
}

type Wording = (node: SchemaNode, error: ErrorObject) => Pick<Problem, 'message' | 'hint'>

const TYPE_WORDS = {
  object: 'a section with settings of its own',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  boolean: 'true or false',
} as const satisfies Record<SchemaNode['type'], string>

/** One row for each keyword that `setting.ts` writes. */
const WORDINGS: Readonly<Record<string, Wording>> = {
  type: typeFault,
  enum: (node, { data }) => ({
    message: `must be ${alternatives(node.enum ?? [])}${shown(node, data)}`,
    ...suggestion(String(data), node.enum ?? []),
  }),
  kind: kindFault,
  keyKind: (_, error) => ({
    message: `has a name, "${String(error.propertyName ?? error.data)}", that is not ${KINDS[error.schema as KindName].expects}`,
  }),
  minimum: (node) => ({ message: `must be at least ${node.minimum}` }),
  maximum: (node) => ({ message: `must be at most ${node.maximum}` }),
  minItems: () => ({ message: 'must not be an empty list' }),
  uniqueItems: () => ({ message: 'names the same thing twice' }),
  required: (_, { params }) => requiredFault(String(params['missingProperty'])),
  additionalProperties: (node, { params }) => ({
    message: 'is not a setting',
    ...suggestion(String(params['additionalProperty']), Object.keys(node.properties ?? {})),
  }),
}

function problemOf(error: ErrorObject): Problem {
  const path = pathOf(error)
  const node = error.parentSchema as SchemaNode
  const said = WORDINGS[error.keyword]?.(node, error) ?? { message: error.message ?? 'is not valid' }
  const variable = error.keyword === 'required' ? settingAt(path)?.env : undefined
  return { path, ...said, ...(variable && { hint: `write it in the file or as ${variable}` }) }
}

function typeFault(node: SchemaNode, { data }: ErrorObject): Pick<Problem, 'message' | 'hint'> {
  if (data === null) return { message: 'has no value', hint: 'remove the line, or write a value after it' }
  const quoted = node.type === 'string' && (typeof data === 'number' || typeof data === 'boolean')
  return {
    message: `must be ${TYPE_WORDS[node.type]}${shown(node, data)}`,
    ...(quoted && {
      hint: node.kind === 'duration' || node.kind === 'size' ? unitHint(node) : 'put it in quotes',
    }),
  }
}

function kindFault(node: SchemaNode, { data }: ErrorObject): Pick<Problem, 'message'> {
  const kind = node.kind ?? 'text'
  if (KINDS[kind].parse(String(data)) === undefined) {
    return { message: `must be ${KINDS[kind].expects}${shown(node, data)}` }
  }
  const bounds = [node.atLeast && `at least ${node.atLeast}`, node.atMost && `at most ${node.atMost}`]
  return { message: `must be ${bounds.filter(Boolean).join(' and ')}${shown(node, data)}` }
}

function requiredFault(name: string): Pick<Problem, 'message'> {
  return { message: `must be given: "${name}" has no default` }
}

function unitHint(node: SchemaNode): string {
  return `write a unit: ${node.kind === 'size' ? '16KiB' : '2s'}`
}

function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** `, not "2x"`; nothing for a secret. */
function shown(node: SchemaNode, data: unknown): string {
  if (node.secret || (typeof data === 'object' && data !== null)) return ''
  // A password before the host, in a setting that has no place for one.
  const text = JSON.stringify(data)?.replace(/^"(.*:\/\/)?.*@/s, '"$1…@') ?? ''
  return `, not ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`
}

/** The JSON Pointer of an error (RFC 6901) as a dotted path, what is missing or too much included. */
function pathOf({ instancePath, params }: ErrorObject): string {
  const steps = instancePath.split('/').slice(1)
  const extra: unknown = params['missingProperty'] ?? params['additionalProperty']
  if (typeof extra === 'string') steps.push(extra)
  return steps
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, step) => joinPath(path, /^\d+$/.test(step) ? Number(step) : step), '')
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member as object)
  }
  return Object.freeze(value)
}
