import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import type { Problem } from './problem.ts'

/** What a YAML text holds, and on which line. */
export interface YamlText {
  readonly value: unknown
  /** Line of the key or item at `path`, or of the nearest thing around it; counted from 1. */
  lineOf(path: readonly (string | number)[]): number
}

export type ParsedYaml =
  | { readonly ok: true; readonly text: YamlText }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Long enough for any configuration; a text beyond it is something else. */
const LONGEST = 1_048_576
/** Few configurations have any alias; a bomb needs many. */
const MOST_ALIASES = 50

/**
 * YAML 1.2, one document. Duplicate keys, tags it does not know, merge keys and aliases that multiply are
 * refused, since two readers could read them differently.
 */
export function parseYaml(text: string, name: string): ParsedYaml {
  if (text.length > LONGEST)
    return refused([{ path: '', message: 'the file is longer than 1 MiB', where: name }])
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    prettyErrors: false,
  })
  const faults = [...document.errors, ...document.warnings]
  if (faults.length > 0) {
    return refused(
      faults.map((fault) => ({
        path: '',
        message: fault.code === 'DUPLICATE_KEY' ? 'the key stands here a second time' : fault.message,
        where: `${name}:${lines.linePos(fault.pos[0]).line}`,
      })),
    )
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES })
    const lineOf = (path: readonly (string | number)[]) => lines.linePos(offsetOf(document, path)).line
    return { ok: true, text: { value, lineOf } }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return refused([{ path: '', message, hint: 'write it out without aliases', where: name }])
  }
}

function refused(problems: readonly Problem[]): ParsedYaml {
  return { ok: false, problems }
}

function offsetOf(document: Document.Parsed, path: readonly (string | number)[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step)
      if (!pair) break
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step]
      offset = startOf(node) ?? offset
    } else break
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return (node as Partial<Node> | null | undefined)?.range?.[0]
}
