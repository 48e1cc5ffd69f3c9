import type { RouteMatch, Router, RouteRule } from '../pipeline/rule.ts'
import { Layer } from './layer.ts'
import type { RouteLayer, Row } from './layer.ts'
import { bothRules, describeRequirement } from './requirement.ts'
import { isWithin } from './template.ts'

export type { RouteLayer, Row } from './layer.ts'

export interface TableOptions {
  /** The first layer that speaks for a method and path decides: the operator's, the profile's, the document's. */
  readonly layers: readonly RouteLayer[]
  /**
   * What a path under which nothing is public by wildcard begins with, as text: a web server that sends `/api`
   * to the backend may send `/apix` there too.
   */
  readonly protectedPrefixes: readonly string[]
}

/** A public wildcard of the operator, over rows that are protected. */
export interface Conflict {
  readonly rule: RouteRule
  readonly over: RouteRule
  /** For the operator. */
  readonly message: string
}

const NONE: RouteMatch = Object.freeze({ kind: 'none' })
/** Escapes of what may stand raw in a path (RFC 3986 §3.3 sub-delims, ':' and '@'). */
const OPTIONAL_ESCAPES = /%(?:2[1467-9A-C]|3[ABD]|40)/g

/** What every (method, path) requires. Immutable; a changed document makes a new one. */
export class RouteTable implements Router {
  readonly rows: readonly Row[]
  /** A start with any of these is refused. Later they do no harm: such a wildcard yields to the rows it covers. */
  readonly conflicts: readonly Conflict[]
  readonly #layers: readonly Layer[]
  readonly #protectedPrefixes: readonly string[]
  readonly #yielding: ReadonlySet<RouteRule>

  /** @throws PosternError `config_invalid` when a template is none, or far too many of them overlap */
  constructor({ layers, protectedPrefixes }: TableOptions) {
    this.#layers = layers.filter(({ rules }) => rules.length > 0).map((layer) => new Layer(layer))
    this.#protectedPrefixes = protectedPrefixes
    this.rows = this.#layers.flatMap(({ entries }) => entries.flatMap(({ rows }) => [...rows.values()]))
    this.conflicts = this.#layers.flatMap((layer, i) => conflictsOf(layer, this.#layers.slice(i + 1)))
    this.#yielding = new Set(this.rows.filter((row) => row.standing === 'yields').map((row) => row.rule))
    Object.freeze(this)
  }

  /** Whether the rule speaks only for what no later layer has a row for; with a layer missing that is a guess. */
  yields(rule: RouteRule): boolean {
    return this.#yielding.has(rule)
  }

  /** @param path canonical, without query */
  match(method: string, path: string): RouteMatch {
    if (!path.startsWith('/')) return NONE
    const match = this.#matchAs(method, path)
    if (!path.includes('%')) return match
    // Attack: `/v1/users%3Adelete` is `/v1/users:delete` to a backend that decodes before it routes, and
    // `/v1/{name}` to one that does not. Whichever it is, its requirement was met.
    const decoded = path.replace(OPTIONAL_ESCAPES, decodeURIComponent)
    return decoded === path ? match : stricter(match, this.#matchAs(method, decoded))
  }

  #matchAs(method: string, path: string): RouteMatch {
    const guarded = this.#isProtected(path)
    return this.#speaker(method, path, guarded, 0)?.match ?? this.#miss(path, guarded)
  }

  #isProtected(path: string): boolean {
    for (const prefix of this.#protectedPrefixes) if (path.startsWith(prefix)) return true
    return false
  }

  #speaker(method: string, path: string, guarded: boolean, from: number): Row | undefined {
    for (let i = from; i < this.#layers.length; i++) {
      const row = this.#layers[i]?.find(method, path)
      if (row === undefined) continue
      if (row.standing === 'names') return row
      const later = this.#speaker(method, path, guarded, i + 1)
      if (later === undefined) return guarded && row.template.wildcard ? undefined : row
      return keepsWord(row, later) ? row : later
    }
    return undefined
  }

  #miss(path: string, guarded: boolean): RouteMatch {
    const rows = this.#layers
      .flatMap((layer) => layer.findAll(path))
      .filter(({ rule }) => rule.requirement.kind !== 'nobody' && !rule.conceal)
      .filter((row) => !(guarded && isPublicRegion(row)))
    const [first] = rows
    if (first === undefined) return NONE
    const allow = new Set(rows.flatMap((row) => row.rule.methods))
    if (allow.has('GET')) allow.add('HEAD')
    return { kind: 'method_not_allowed', allow: [...allow].sort(), template: first.rule.template }
  }
}

/** Whether a public row that speaks for many paths speaks for this one, which a later layer has a row for. */
function keepsWord(row: Row, later: Row): boolean {
  if (later.rule.requirement.kind !== 'public') {
    if (row.standing === 'dangerous') return true
    if (row.template.wildcard) return false
  }
  return isWithin(row.template, later.template)
}

function isPublicRegion(row: Row): boolean {
  return row.standing !== 'names' && row.template.wildcard
}

function stricter(a: RouteMatch, b: RouteMatch): RouteMatch {
  if (a.kind === 'rule' && b.kind === 'rule') {
    return a.rule === b.rule ? a : { kind: 'rule', rule: bothRules(a.rule, b.rule) }
  }
  if (a.kind === 'rule' || b.kind === 'none') return a
  return b
}

function conflictsOf(layer: Layer, later: readonly Layer[]): Conflict[] {
  const rows = layer.entries.flatMap((entry) => [...entry.rows.values()])
  const regions = rows.filter((row) => row.rule.origin === 'operator' && row.standing === 'yields')
  return regions.filter(isPublicRegion).flatMap((row) => {
    const covered = later.flatMap((other) => other.overlapping(row))
    const [over, ...others] = covered
      .map((other) => other.rule)
      .filter((rule) => rule.requirement.kind !== 'public')
    return over === undefined
      ? []
      : [{ rule: row.rule, over, message: explain(row.rule, over, others.length) }]
  })
}

function explain(rule: RouteRule, over: RouteRule, others: number): string {
  const methods = over.methods === '*' ? '' : `${over.methods.join(',')} `
  const more = others === 0 ? '' : `, and ${others} more`
  const covered = `${methods}${over.template} (${describeRequirement(over.requirement)})`
  return `${rule.template} is public and covers ${covered}${more}; name those rows, or say dangerouslyPublic`
}
