import t, { type Test } from 'tap'
import { type Answer, as, ask, freshStandin } from './ask.ts'
import { factText } from './facts.ts'
import type { StandinOptions } from './standin.ts'

/** One row of a recorded table: what each credential was told, one character each. */
interface Row {
  readonly method: string
  readonly path: string
  readonly required: string
  readonly answers: string
}

function readDecisions(file: string): { readonly names: readonly string[]; readonly rows: readonly Row[] } {
  const [, head = '', ...lines] = factText(file).trimEnd().split('\n')
  // The second line lists the credentials.
  const names = JSON.parse(head.trim()) as string[]
  const rows = lines.map((line) => {
    const [method = '', path = '', required = '', answers = ''] = line.split('\t')
    return { method, path: path.replace(/\{\w+\}/g, '999999'), required, answers }
  })
  return { names, rows }
}

/** The table's character for an answer. */
function classOf({ status, headers, text }: Answer, required: string): string {
  if (status === 500) return 'x'
  if (status === 422) return '?'
  if (status !== 401 && status !== 403) return '.'
  if (required === 'public') return 'h'
  if (status === 401) return headers['www-authenticate'] === 'Bearer' ? '1' : 'h'
  return text === '{"detail":"Forbidden"}' || headers['content-length'] === '22' ? '3' : 'h'
}

const TABLES: readonly { readonly file: string; readonly options: StandinOptions; readonly pairs: number }[] =
  [
    { file: 'decisions.tsv', options: {}, pairs: 155 * 101 },
    { file: 'decisions-kiosk.tsv', options: { kiosk: true }, pairs: 155 * 16 },
  ]

async function replay(test: Test, file: string, options: StandinOptions, pairs: number): Promise<void> {
  const standin = await freshStandin(test, options)
  const { names, rows } = readDecisions(file)
  const counts: Record<string, number> = {}
  const disagreements: string[] = []
  for (const { method, path, required, answers } of rows) {
    standin.reset()
    await Promise.all(
      names.map(async (name, index) => {
        const expected = answers[index] ?? ''
        const actual = classOf(await ask(standin.port, path, { method, headers: as(name) }), required)
        counts[expected] = (counts[expected] ?? 0) + 1
        if (actual !== expected)
          disagreements.push(`${method} ${path} as ${name}: ${actual}, recorded ${expected}`)
      }),
    )
  }
  test.comment(JSON.stringify(counts))
  test.same(disagreements, [])
  test.equal(
    Object.values(counts).reduce((sum, count) => sum + count),
    pairs,
    'no pair was left out',
  )
}

for (const { file, options, pairs } of TABLES) {
  t.test(`the stand-in answers all of ${file} as RomM did, 422 included`, (test) =>
    replay(test, file, options, pairs),
  )
}
