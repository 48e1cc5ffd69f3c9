import { interpolate, type Environment } from './interpolate.ts'
import { isOrNumber } from './kinds.ts'
import type { Given, Layer } from './layer.ts'
import { suggestion, type Problem } from './problem.ts'
import { fromText } from './text.ts'
import { isSection, joinPath, SCHEMA_ROOT, SETTINGS, type SchemaNode } from './tree.ts'
import type { YamlText } from './yaml.ts'

/** Reads a file that a setting names, as text. Throws if it cannot. */
export type ReadText = (path: string) => string

export interface Source {
  readonly layer: Layer
  readonly problems: readonly Problem[]
}

interface Surroundings {
  readonly env: Environment
  readonly read: ReadText
  readonly where: (path: string) => string
}

interface Found {
  readonly given: Map<string, Given>
  readonly problems: Problem[]
}

/** What the configuration file gives. `name` is how problems call it. */
export function fileLayer(text: YamlText, name: string, env: Environment, read: ReadText): Source {
  const where = (path: string) => `${name}:${text.lineOf(stepsOf(path))}`
  const found: Found = { given: new Map(), problems: [] }
  takeSection(SCHEMA_ROOT, '', text.value ?? {}, { env, read, where }, found)
  return { layer: found.given, problems: found.problems }
}

/** `rules[0].path` as `['rules', 0, 'path']`. */
export function stepsOf(path: string): (string | number)[] {
  return path
    .split(/\.|(?=\[)/)
    .filter((step) => step !== '')
    .map((step) => (step.startsWith('[') ? Number(step.slice(1, -1)) : step))
}

/** The text of a file without the line end that editors put there; a problem if it cannot be read or is empty. */
export function readSetting(path: string, file: string, where: string, read: ReadText): string | Problem {
  try {
    const text = read(file).replace(/\r?\n$/, '')
    return text === '' ? { path, message: `the file ${file} is empty`, where } : text
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { path, message: `the file ${file} cannot be read: ${reason}`, where }
  }
}

function takeSection(
  node: SchemaNode,
  path: string,
  value: unknown,
  around: Surroundings,
  found: Found,
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const message = 'must be a section with settings of its own'
    found.problems.push({ path, message, where: around.where(path) })
    return
  }
  const members = node.properties ?? {}
  for (const [name, inner] of Object.entries(value)) {
    const member = Object.hasOwn(members, name) ? members[name] : undefined
    const at = joinPath(path, name)
    if (!member) found.problems.push({ ...unknownSetting(members, at, name), where: around.where(at) })
    else if (!isSection(member)) takeSetting(member, at, inner, around, found)
    else if (typeof inner === 'string' && member.shorthand) takeShorthand(member, at, inner, around, found)
    // A section whose lines are all commented out.
    else if (inner !== null) takeSection(member, at, inner, around, found)
  }
}

function takeShorthand(
  node: SchemaNode,
  path: string,
  value: string,
  around: Surroundings,
  found: Found,
): void {
  const name = node.shorthand ?? ''
  const member = node.properties?.[name]
  if (member) takeSetting(member, joinPath(path, name), value, around, found)
}

function takeSetting(node: SchemaNode, path: string, raw: unknown, around: Surroundings, found: Found): void {
  const where = around.where(path)
  const { value, changed, faults } = interpolate(raw, around.env)
  if (faults.length > 0) {
    const hint = 'set it, or give a default as in ${NAME:-default}; $${ stands for a plain ${'
    found.problems.push(...faults.map((message) => ({ path, message, hint, where })))
    return
  }
  const file = node.secret ? fileOf(value) : undefined
  if (file !== undefined) {
    const text = readSetting(path, file, where, around.read)
    if (typeof text === 'string') found.given.set(path, { value: text, where })
    else found.problems.push(text)
    return
  }
  const typed = changed && typeof value === 'string' ? fromText(node, value) : asText(node, value)
  found.given.set(path, { value: typed, where, locate: around.where })
}

function asText({ kind }: SchemaNode, value: unknown): unknown {
  return typeof value === 'number' && kind && isOrNumber(kind) ? String(value) : value
}

/** The path in `{ file: … }`. */
function fileOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('file' in value)) return undefined
  return Object.keys(value).length === 1 && typeof value.file === 'string' ? value.file : undefined
}

function unknownSetting(siblings: object, path: string, name: string): Problem {
  const message = 'is not a setting'
  const near = suggestion(name, Object.keys(siblings))
  if (near.hint !== undefined) return { path, message, ...near }
  const elsewhere = SETTINGS.find((setting) => setting.path.split('.').at(-1) === name)
  return { path, message, ...(elsewhere && { hint: `did you mean "${elsewhere.path}"?` }) }
}
