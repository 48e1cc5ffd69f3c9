import type { KindName } from './kinds.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import type { About } from './setting.ts'

/** What the rest of `config/` reads of a piece of the schema; `setting.ts` writes no other keywords. */
export interface SchemaNode extends Partial<About> {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly additionalProperties?: SchemaNode | false
  readonly enum?: readonly string[]
  readonly kind?: KindName
  readonly secret?: boolean
  /** Of a section: the member that a bare text in the section's place stands for. */
  readonly shorthand?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly atLeast?: string
  readonly atMost?: string
}

/** One leaf of the schema. */
export interface Setting {
  /** Dotted, as in the file: `cache.staleIfError`. */
  readonly path: string
  /** `POSTERN_CACHE_STALE_IF_ERROR`. */
  readonly env: string
  readonly node: SchemaNode
  /** Whether the schema lets it be absent. */
  readonly optional: boolean
}

export interface Section {
  /** Empty for the root. */
  readonly path: string
  readonly node: SchemaNode
  readonly settings: readonly Setting[]
}

export const SCHEMA_ROOT = CONFIG_SCHEMA as unknown as SchemaNode

export const ENV_PREFIX = 'POSTERN_'

export function isSection(node: SchemaNode): boolean {
  return node.properties !== undefined
}

/** Every section in the order of the schema, the root first. */
export const SECTIONS: readonly Section[] = sectionsOf(SCHEMA_ROOT, '')

/** Every leaf in the order of the schema. */
export const SETTINGS: readonly Setting[] = SECTIONS.flatMap((section) => section.settings)

const byPath = new Map(SETTINGS.map((setting) => [setting.path, setting]))
const byEnv = new Map(SETTINGS.map((setting) => [setting.env, setting]))

export function settingAt(path: string): Setting | undefined {
  return byPath.get(path)
}

export function settingOfVariable(name: string): Setting | undefined {
  return byEnv.get(name)
}

/** `below` as a path under `path`; `rules` and 0 make `rules[0]`. */
export function joinPath(path: string, below: string | number): string {
  if (typeof below === 'number') return `${path}[${below}]`
  return path === '' ? below : `${path}.${below}`
}

function sectionsOf(node: SchemaNode, path: string): Section[] {
  const members = Object.entries(node.properties ?? {})
  const settings = members
    .filter(([, member]) => !isSection(member))
    .map(([name, member]) => ({
      path: joinPath(path, name),
      env: variableOf(joinPath(path, name)),
      node: member,
      optional: !(node.required ?? []).includes(name),
    }))
  const inner = members
    .filter(([, member]) => isSection(member))
    .flatMap(([name, member]) => sectionsOf(member, joinPath(path, name)))
  return [{ path, node, settings }, ...inner]
}

function variableOf(path: string): string {
  return (
    ENV_PREFIX +
    path
      .replaceAll('.', '_')
      .replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
      .toUpperCase()
  )
}
