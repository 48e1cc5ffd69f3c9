/**
 * What cached tokens cost in memory, in hits, in batches and when something is revoked: `npm run bench -- cache [--short]`.
 * Each size is a process of its own (entries.ts).
 */
import { parseArgs } from 'node:util'
import type { Entries } from './entries.ts'
import { run } from './measure.ts'
import { printTable, saveResults } from './results.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const SIZES = values.short ? [1_000, 10_000] : [1_000, 100_000, 1_000_000]
/** Milliseconds; the largest takes minutes on a machine that does other things too. */
const LONGEST = 900_000

/** Rows of the table: a name, and a figure of one size with its number of digits. */
const ROWS: readonly (readonly [string, (entries: Entries) => number, number])[] = [
  ['bytes of heap per token', ({ bytesPerRecord }) => bytesPerRecord, 0],
  ['… its principal, once used', ({ bytesPerPrincipal }) => bytesPerPrincipal, 0],
  ['… its assertion, while it is used', ({ bytesPerAssertion }) => bytesPerAssertion, 0],
  ['resident memory, MB', ({ rss }) => rss / 1e6, 0],
  ['a hit, ns', ({ hitNs }) => hitNs, 0],
  ['authenticating a warm token, ns', ({ authenticateNs }) => authenticateNs, 0],
  ['… of which hashing it', ({ hashNs }) => hashNs, 0],
  ['a batch with everything in use, ms', ({ batchMs }) => batchMs, 1],
  ['… its longest turn of the event loop, ms', ({ batchStallMs }) => batchStallMs, 1],
  ['a batch with nothing in use, ms', ({ idleBatchMs }) => idleBatchMs, 1],
  ['forgetting one key, µs', ({ forgetKeyNs }) => forgetKeyNs / 1e3, 1],
  ['forgetting what a change concerns, µs', ({ forgetNs }) => forgetNs / 1e3, 1],
  ['a first hit after 500 such changes, ns', ({ hitAfterForgetNs }) => hitAfterForgetNs, 0],
  ['… and every later one', ({ hitAgainNs }) => hitAgainNs, 0],
  ['doubting everything, µs', ({ doubtNs }) => doubtNs / 1e3, 1],
  ['the batch after it, ms', ({ doubtBatchMs }) => doubtBatchMs, 1],
]

const sizes: Entries[] = []
for (const size of SIZES) {
  const command = [process.execPath, '--expose-gc', '--max-old-space-size=8192']
  const output = await run([...command, `${import.meta.dirname}/entries.ts`, String(size)], LONGEST)
  sizes.push(JSON.parse(output) as Entries)
}
printTable(
  ['tokens', ...sizes.map(({ size }) => size.toLocaleString('en'))],
  ROWS.map(([name, figure, digits]) => [name, ...sizes.map((entries) => figure(entries).toFixed(digits))]),
)
await saveResults('cache', sizes)
