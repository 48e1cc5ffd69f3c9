import { PosternError } from '../errors.ts'
import type { RouteMatch, RouteRule } from '../pipeline/rule.ts'
import { bothRules } from './requirement.ts'
import { isOpen, isWithin, meet, parseTemplate, templateText } from './template.ts'
import type { Template } from './template.ts'
import { Trie } from './trie.ts'

/** Rules of one author, in any order. */
export interface RouteLayer {
  readonly rules: readonly RouteRule[]
  /** Those of them that stay public where a later layer has a row. */
  readonly dangerouslyPublic?: ReadonlySet<RouteRule>
}

/**
 * How far a row's word goes. `names`: it speaks, whatever later layers say. `yields`: it is public, and for more
 * paths than one, so a later row that says more of the path comes before it. `dangerous`: public by wildcard, and
 * meant to stay so over later rows.
 */
export type Standing = 'names' | 'yields' | 'dangerous'

/** One rule, at one template, for the methods that the rule lists. */
export interface Row {
  readonly rule: RouteRule
  readonly template: Template
  readonly standing: Standing
  /** Templates that overlap in this one, of which neither is the more specific; it requires what they all do. */
  readonly shared: readonly string[]
  readonly match: Extract<RouteMatch, { kind: 'rule' }>
}

/** What a layer says of one template. */
export interface Entry {
  readonly template: Template
  /** By method, `'*'` for every other. */
  readonly rows: Map<string, Row>
}

/** More rows than this, made from overlaps, are no table that anybody meant. */
const MOST_SHARED = 10_000

/**
 * One layer, searchable. Where two templates overlap and neither is more specific (`/a/{x}` and `/{y}/b`), which of
 * them the backend picks is its own affair: such paths get a row of their own that requires what both do.
 */
export class Layer {
  readonly entries: readonly Entry[]
  readonly #trie = new Trie<Entry>((template) => ({ template, rows: new Map() }))

  /** @throws PosternError `config_invalid` for a template that is none, or too many overlaps */
  constructor({ rules, dangerouslyPublic }: RouteLayer) {
    const entries = new Set<Entry>()
    for (const rule of rules) {
      const entry = this.#trie.at(templateOf(rule))
      entries.add(entry)
      const dangerous = dangerouslyPublic?.has(rule) === true
      for (const method of rule.methods === '*' ? ['*'] : rule.methods) {
        const present = entry.rows.get(method)
        const row = makeRow(rule, entry.template, dangerous)
        // Twins, or one template with other parameter names.
        entry.rows.set(method, present === undefined ? row : unite([present, row], method))
      }
    }
    for (const entry of entries) this.#nameHead(entry)
    this.#shareOverlaps(entries)
    this.entries = [...entries]
  }

  /** The row of the most specific template that speaks for the method. HEAD is spoken for by GET. */
  find(method: string, path: string): Row | undefined {
    return this.#trie.find(path, speakerOf, method)
  }

  /** Every row, of whatever method, that has the path; the most specific first. */
  findAll(path: string): Row[] {
    const found: Row[] = []
    this.#trie.find(path, addRows, found)
    return found
  }

  /** Rows that a request could meet instead of `row`. */
  overlapping({ template, rule }: Row): Row[] {
    return this.#trie
      .overlapping(template)
      .flatMap(({ rows }) => [...rows.values()])
      .filter((other) => shareMethod(rule, other.rule))
  }

  /** Where GET would speak for HEAD, a backend that answers HEAD by name alone may mean a wider template that has it. */
  #nameHead({ template, rows }: Entry): void {
    const get = rows.get('GET')
    if (get === undefined || rows.has('HEAD') || rows.has('*')) return
    const named = this.#around(template).flatMap((entry) => entry.rows.get('HEAD') ?? [])
    if (named.length > 0) rows.set('HEAD', unite([get, ...narrowest(named)], 'HEAD'))
  }

  /** Until every two overlapping rows of a method have one below both: then the first one found is below all. */
  #shareOverlaps(entries: Set<Entry>): void {
    let shared = 0
    const seen = new Set<string>()
    // A set hands out what is added while it is walked.
    for (const entry of entries) {
      for (const other of this.#trie.overlapping(entry.template)) {
        if (isWithin(entry.template, other.template) || isWithin(other.template, entry.template)) continue
        const both = meet(entry.template, other.template)
        if (both === undefined || seen.has(templateText(both))) continue
        seen.add(templateText(both))
        const rows = this.#sharedRows(both)
        if (rows.length === 0) continue
        const target = this.#trie.at(both)
        for (const [method, row] of rows) target.rows.set(method, row)
        // Last in line again, should it have been there already.
        entries.delete(target)
        entries.add(target)
        shared += rows.length
        if (shared > MOST_SHARED) throw new PosternError('config_invalid', 'too many routes overlap')
      }
    }
  }

  /**
   * The rows that are missing at `template`: for each method what the narrowest rows around it require together, where
   * there are several; and where such a row would speak for another method too (GET for HEAD, `*` for any), a row for that.
   */
  #sharedRows(template: Template): [string, Row][] {
    const around = this.#around(template)
    const own = around.find((entry) => isWithin(entry.template, template))
    const methods = new Set(around.flatMap((entry) => [...entry.rows.keys()]))
    const found = [...methods].flatMap((method): [string, readonly Row[]][] => {
      if (own !== undefined && speaker(own.rows, method) !== undefined) return []
      const rows = around.flatMap((entry) => {
        const row = speaker(entry.rows, method)
        return row === undefined || row.shared.length > 0 ? [] : [row]
      })
      return [[method, narrowest(rows)]]
    })
    const several = new Map(found.filter(([, rows]) => rows.length > 1))
    return found
      .filter(([method]) => speaker(several, method) !== undefined)
      .map(([method, rows]) => [method, unite(rows, method, template)])
  }

  /** The entries that speak for all paths of the template. */
  #around(template: Template): Entry[] {
    return this.#trie.overlapping(template).filter((entry) => isWithin(template, entry.template))
  }
}

/** Whether a request could be either's. */
function shareMethod(a: RouteRule, b: RouteRule): boolean {
  const { methods } = b
  return a.methods === '*' || methods === '*' || a.methods.some((method) => methods.includes(method))
}

function speakerOf({ rows }: Entry, method: string): Row | undefined {
  return speaker(rows, method)
}

/** Takes none, so that all are offered. */
function addRows({ rows }: Entry, found: Row[]): undefined {
  found.push(...rows.values())
}

function speaker<T>(rows: ReadonlyMap<string, T>, method: string): T | undefined {
  // RFC 9110 §9.3.2: HEAD is GET without the content.
  return rows.get(method) ?? (method === 'HEAD' ? rows.get('GET') : undefined) ?? rows.get('*')
}

/** Those of the rows that have no more specific one among them. */
function narrowest(rows: readonly Row[]): Row[] {
  return rows.filter(
    ({ template }) =>
      !rows.some((other) => isWithin(other.template, template) && !isWithin(template, other.template)),
  )
}

/** The row that requires what all of `rows` do: at the template of the first, or at one that they share. */
function unite(rows: readonly Row[], method: string, shared?: Template): Row {
  const [first, ...others] = rows.map((row) => row.rule)
  const [at] = rows
  if (first === undefined || at === undefined) throw new PosternError('internal', 'no rows to unite')
  const union = others.reduce(bothRules, first)
  const template = shared === undefined ? first.template : templateText(shared)
  const rule = { ...union, template, methods: method === '*' ? ('*' as const) : [method] }
  const dangerous = rows.every((row) => row.standing === 'dangerous')
  return makeRow(rule, shared ?? at.template, dangerous, shared && rows.map((row) => row.rule.template))
}

function makeRow(
  rule: RouteRule,
  template: Template,
  dangerous: boolean,
  shared: readonly string[] = [],
): Row {
  const yields = rule.requirement.kind === 'public' && isOpen(template)
  const standing = !yields ? 'names' : dangerous ? 'dangerous' : 'yields'
  const frozen = Object.freeze(rule)
  const match = Object.freeze({ kind: 'rule' as const, rule: frozen })
  return Object.freeze({ rule: frozen, template, standing, shared, match })
}

function templateOf(rule: RouteRule): Template {
  const parsed = parseTemplate(rule.template, rule.origin !== 'document')
  if (!parsed.ok) throw new PosternError('config_invalid', `${rule.template}: ${parsed.fault}`)
  return parsed.template
}
