import { segmentsOf } from '../../routes/template.ts'

interface Row<T> {
  /** As it was written: `POST /api/users/{id}`. */
  readonly row: string
  /** What every such path begins with: most requests are told apart by it. */
  readonly prefix: string
  readonly segments: readonly string[]
  readonly value: T
}

/** What some of RomM's requests mean, by method and path; a row speaks for its trailing-slash twin. */
export class RequestRows<T> {
  readonly #rows: ReadonlyMap<string, readonly Row<T>[]>

  constructor(rows: Readonly<Record<string, T>>) {
    const parsed = Object.entries(rows).map(([row, value]) => {
      const [method = '', path = ''] = row.split(' ')
      const [prefix = ''] = path.split('{')
      return { method, row, prefix, segments: segmentsOf(path), value }
    })
    this.#rows = Map.groupBy(parsed, ({ method }) => method)
  }

  /** @returns the first row that speaks for the request, with what stands for its parameter, if it has one */
  find(method: string, path: string): (Row<T> & { readonly parameter: string | undefined }) | undefined {
    for (const row of this.#rows.get(method) ?? []) {
      if (!path.startsWith(row.prefix)) continue
      const asked = segmentsOf(path)
      if (!matches(row.segments, asked)) continue
      return { ...row, parameter: asked[row.segments.findIndex(isParameter)] }
    }
    return undefined
  }
}

function matches(template: readonly string[], asked: readonly string[]): boolean {
  return (
    template.length === asked.length && template.every((part, i) => part === asked[i] || isParameter(part))
  )
}

function isParameter(part: string): boolean {
  return part.startsWith('{')
}
