import { isNode, isPair } from 'yaml'

/** One place in a text, and what stands there afterwards. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

/** Changes these places and nothing else: comments, quotes and blank lines stay as their author wrote them. */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits
    .toSorted((a, b) => b.from - a.from)
    .reduce((changed, { from, to, text: put }) => changed.slice(0, from) + put + changed.slice(to), text)
}

/** Offsets of the whole lines on which a pair or an item of a block stands, the last line break excluded. */
export function linesOf(text: string, node: unknown): { readonly from: number; readonly to: number } {
  const from = text.lastIndexOf('\n', startOf(node)) + 1
  const end = text.indexOf('\n', Math.max(startOf(node), endOf(node) - 1))
  return { from, to: end === -1 ? text.length : end }
}

/** The text of a node, without what stands around it. */
export function sourceOf(text: string, node: unknown): string {
  return text.slice(startOf(node), endOf(node)).trimEnd()
}

/** How far a node's line is indented. */
export function indentOf(text: string, node: unknown): string {
  const { from } = linesOf(text, node)
  return /^ */.exec(text.slice(from))?.[0] ?? ''
}

function startOf(node: unknown): number {
  if (isPair(node)) return startOf(node.key)
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}

/** A block ends before the blank lines and comments that follow it. */
function endOf(node: unknown): number {
  if (isPair(node)) return Math.max(endOf(node.key), endOf(node.value))
  return isNode(node) ? (node.range?.[1] ?? 0) : 0
}
