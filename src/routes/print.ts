import type { RouteRule } from '../pipeline/rule.ts'
import { describeRequirement } from './requirement.ts'
import type { Row } from './table.ts'

/** A row of the table for people and scripts: what `postern routes` shows. */
export interface PrintedRow {
  readonly origin: RouteRule['origin']
  /** Sorted; `*` for every method. */
  readonly methods: readonly string[]
  readonly path: string
  /** `public`, `authenticated`, `scopes` or `closed`. */
  readonly requires: string
  readonly scopes: readonly string[]
  /** `conceal`, `socket`, `input:basic`, … */
  readonly options: readonly string[]
  /** Overlapping templates that this row was made for. */
  readonly shared: readonly string[]
}

const ORIGINS = ['operator', 'profile', 'document'] as const satisfies readonly RouteRule['origin'][]
const HEADINGS = ['ORIGIN', 'METHODS', 'PATH', 'REQUIRES', 'OPTIONS']

/** In the order in which layers speak, then by path and method. */
export function printRows(rows: readonly Row[]): PrintedRow[] {
  const rules = new Map(rows.map((row) => [row.rule, row]))
  return [...rules.values()].map(print).sort(inOrder)
}

/** Columns as wide as their widest cell, one row a line. */
export function formatRows(rows: readonly PrintedRow[]): string {
  const cells = [HEADINGS, ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

function print({ rule, shared }: Row): PrintedRow {
  const { requirement } = rule
  const scopes = requirement.kind === 'scopes'
  return {
    origin: rule.origin,
    methods: rule.methods === '*' ? ['*'] : [...rule.methods].sort(),
    path: rule.template,
    requires: scopes ? 'scopes' : describeRequirement(requirement),
    scopes: scopes ? requirement.scopes.names : [],
    options: [
      ...(rule.conceal ? ['conceal'] : []),
      ...(rule.socket ? ['socket'] : []),
      ...rule.input.map((kind) => `input:${kind}`),
    ],
    shared: [...shared].sort(),
  }
}

function cellsOf(row: PrintedRow): string[] {
  const requires = row.requires === 'scopes' ? row.scopes.join(' ') : row.requires
  const shared = row.shared.length > 0 ? [`shared by ${row.shared.join(' and ')}`] : []
  return [row.origin, row.methods.join(','), row.path, requires, [...row.options, ...shared].join(', ')]
}

function inOrder(a: PrintedRow, b: PrintedRow): number {
  const [left, right] = [sortKey(a), sortKey(b)]
  return left < right ? -1 : Number(left > right)
}

function sortKey({ origin, path, methods }: PrintedRow): string {
  return [ORIGINS.indexOf(origin), path, methods.join(',')].join(' ')
}
