/** Lines around a change that stay the same. */
const CONTEXT = 3

type Line = readonly [mark: ' ' | '-' | '+', text: string]

/**
 * The change of a file as `diff -u` writes it, which `patch` reads; empty where there is none.
 * @param path as `patch -p0` finds it
 */
export function unifiedDiff(path: string, before: string, after: string): string[] {
  const lines = compared(linesOf(before), linesOf(after))
  const hunks = hunksOf(lines)
  return hunks.length === 0 ? [] : [`--- ${path}`, `+++ ${path}`, ...hunks]
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n')
}

/** By the longest common subsequence: these files are short. */
function compared(before: readonly string[], after: readonly string[]): Line[] {
  const common = lengths(before, after)
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    const [old, fresh] = [before[i], after[j]]
    if (old !== undefined && old === fresh) {
      lines.push([' ', old])
      i++
      j++
    } else if (fresh === undefined || (old !== undefined && at(common, i + 1, j) >= at(common, i, j + 1))) {
      lines.push(['-', old ?? ''])
      i++
    } else {
      lines.push(['+', fresh])
      j++
    }
  }
  return lines
}

/** Of the longest common subsequence of what begins at each pair of lines. */
function lengths(before: readonly string[], after: readonly string[]): number[][] {
  const table = Array.from({ length: before.length + 1 }, () => Array<number>(after.length + 1).fill(0))
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const row = table[i] ?? []
      row[j] =
        before[i] === after[j]
          ? at(table, i + 1, j + 1) + 1
          : Math.max(at(table, i + 1, j), at(table, i, j + 1))
    }
  }
  return table
}

function at(table: readonly (readonly number[])[], i: number, j: number): number {
  return table[i]?.[j] ?? 0
}

function hunksOf(lines: readonly Line[]): string[] {
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(([mark]) => mark !== ' '),
  )
  let [old, fresh] = [1, 1]
  const hunks: { readonly from: readonly [number, number]; readonly lines: Line[] }[] = []
  lines.forEach((line, index) => {
    if (near[index] === true) {
      if (near[index - 1] !== true) hunks.push({ from: [old, fresh], lines: [] })
      hunks.at(-1)?.lines.push(line)
    }
    if (line[0] !== '+') old++
    if (line[0] !== '-') fresh++
  })
  return hunks.flatMap(({ from: [oldFrom, freshFrom], lines: kept }) => {
    const count = (other: Line[0]): number => kept.filter(([mark]) => mark !== other).length
    const head = `@@ -${oldFrom},${count('+')} +${freshFrom},${count('-')} @@`
    return [head, ...kept.map(([mark, text]) => mark + text)]
  })
}
