/** Something that keeps a configuration from being used. */
export interface Problem {
  /** The setting, as in the file: `rules[0].path`; or the variable that names none. */
  readonly path: string
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
  /** Where it was written: `postern.yaml:12`, `POSTERN_UPSTREAM_URL`. */
  readonly where?: string
}

/** A remark that keeps nobody from starting; written on every start. */
export type Warning = Problem

/** `did you mean "…"?` for a misspelt name, if one of `known` is close enough. */
export function suggestion(name: string, known: readonly string[]): { readonly hint?: string } {
  // Two letters the wrong way round count as two, also in a name of five.
  const bound = Math.max(1, Math.round(name.length / 3))
  const [best] = known
    .map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter((found) => found.distance <= bound)
    .sort((a, b) => a.distance - b.distance)
  return best ? { hint: `did you mean "${best.candidate}"?` } : {}
}

/** Levenshtein's distance, over one row at a time. */
function distance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (const [row, char] of from.split('').entries()) {
    const current = [row + 1]
    for (let column = 0; column < to.length; column++) {
      const replaced = (above[column] ?? 0) + (to[column] === char ? 0 : 1)
      current.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1))
    }
    above = current
  }
  return above[to.length] ?? 0
}
