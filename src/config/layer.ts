import { SCHEMA_ROOT, isSection, type SchemaNode } from './tree.ts'

/** A setting's value as somebody wrote it, not yet validated. */
export interface Given {
  readonly value: unknown
  /** `postern.yaml:12`, `POSTERN_UPSTREAM_URL`, `--set upstream.url`. */
  readonly where: string
  /** The same for something inside the value, by its whole path. */
  readonly locate?: (path: string) => string
}

/** What one source of configuration gives, by the setting's dotted path. */
export type Layer = ReadonlyMap<string, Given>

/** Later layers win. */
export function merged(layers: readonly Layer[]): Layer {
  return new Map(layers.flatMap((layer) => [...layer]))
}

/** Whether anything in the section at `path` is given. */
export function givesSection(layer: Layer, path: string): boolean {
  return [...layer.keys()].some((setting) => setting.startsWith(`${path}.`))
}

/** The layer as nested objects, ready to be validated. */
export function nested(layer: Layer): Record<string, unknown> {
  return fill(SCHEMA_ROOT, '', layer)
}

function fill(node: SchemaNode, path: string, layer: Layer): Record<string, unknown> {
  const members: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(node.properties ?? {})) {
    const inner = path === '' ? name : `${path}.${name}`
    const given = layer.get(inner)
    if (given) members[name] = given.value
    else if (isSection(member) && givesSection(layer, inner)) members[name] = fill(member, inner, layer)
  }
  return members
}
