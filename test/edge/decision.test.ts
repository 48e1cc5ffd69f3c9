/** What the decision API reads and compares in one look, against readings that look again for each thing. */
import * as fc from 'fast-check'
import t from 'tap'
import { firstChanged } from '../../src/edge/decision/changed.ts'
import { dialects } from '../../src/edge/decision/dialect.ts'
import { Terms } from '../../src/edge/decision/said.ts'
import { valuesOf } from '../../src/request/headers.ts'

const HOP_BY_HOP = [
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'expect'],
]

/** Every line that says something, cookies one by one. */
function linesOf(headers: readonly string[]): [name: string, line: string][] {
  return headers.flatMap((value, i): [string, string][] => {
    if (i % 2 === 0) return []
    const name = headers[i - 1]?.toLowerCase() ?? ''
    const parts = name === 'cookie' ? value.split(';').map((cookie) => cookie.replace(/^ /, '')) : [value]
    return parts.filter((part) => part !== '').map((part) => [name, `${name}:${part}`])
  })
}

function firstMissing(came: readonly string[], leaves: readonly string[]): string | undefined {
  const left = linesOf(leaves).map(([, line]) => line)
  for (const [name, line] of linesOf(came)) {
    const at = left.indexOf(line)
    if (at !== -1) left.splice(at, 1)
    else if (!HOP_BY_HOP.includes(name)) return name
  }
  return undefined
}

const names = fc.constantFrom(
  ...[
    'Accept',
    'accept',
    'X-Client',
    'X_Client',
    '_x',
    '1x',
    'Cookie',
    'cookie',
    'Authorization',
    'TE',
    'Expect',
  ],
)
const values = fc.constantFrom(
  '',
  'a',
  'b',
  'a=1',
  'a=1; b=2',
  'b=2;a=1',
  'a=1;; b=2',
  ' a=1',
  'a=1;  b=2',
  ';',
)
const pairs = fc.array(fc.tuple(names, values), { maxLength: 8 })

t.test('what leaves as it came does so in any order, and the first that does not has its name', async (t) => {
  let changed = 0
  const check = (came: readonly string[], leaves: readonly string[]): void => {
    const expected = firstMissing(came, leaves)
    if (expected !== undefined) changed++
    t.equal(firstChanged(came, leaves), expected, JSON.stringify([came, leaves]))
  }
  fc.assert(fc.property(pairs, pairs, (came, leaves) => check(came.flat(), leaves.flat())))
  // Nearly everything leaves, some of it elsewhere, with something of ours around it.
  const fate = fc.array(fc.nat(4), { minLength: 8, maxLength: 8 })
  const mostly = fc.property(pairs, fate, pairs, pairs, (came, fates, before, after) => {
    const stay = came.filter((_, i) => (fates[i] ?? 0) > 1)
    const move = came.filter((_, i) => fates[i] === 1)
    check(came.flat(), [...before, ...stay, ...after, ...move].flat())
  })
  fc.assert(mostly)
  t.ok(changed > 20, 'some were not there')
})

t.test('what the proxy says and what the client says are told apart by exact names', async (t) => {
  for (const [dialect, terms] of Object.entries(dialects)) {
    const { host, upgrade, own, original } = terms
    const proxys = [
      ...['host', 'content-length', 'x-forwarded-for', 'x-forwarded-proto', host, upgrade, ...own],
      ...(original === undefined ? [] : [original.method, original.uri]),
    ]
    const name = fc.constantFrom(
      ...proxys,
      'x-forwarded_for',
      'x-forwarded-port',
      'cookie',
      'x-original-ur',
      '_',
      '',
    )
    const spelt = fc.tuple(name, fc.boolean()).map(([text, loud]) => (loud ? text.toUpperCase() : text))
    const property = fc.property(fc.array(fc.tuple(spelt, fc.constantFrom('', '1', '2'))), (fields) => {
      const headers = fields.flat()
      const said = new Terms(terms).tellApart(headers)
      for (const each of proxys) t.same(said.by(each), valuesOf(headers, each), `${dialect} ${each}`)
      t.same(said.client, fields.filter(([text]) => !proxys.includes(text.toLowerCase())).flat(), dialect)
    })
    fc.assert(property)
  }
})
