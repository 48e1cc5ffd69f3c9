import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, 'results')

/** The value below which `share` of the values are, the largest for 1. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** p50, p99 and the largest, as cells of a table. */
export function spread(values: readonly number[], digits = 1): string[] {
  return [0.5, 0.99, 1].map((share) => percentile(values, share).toFixed(digits))
}

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  for (const cells of [head, head.map(() => '---'), ...rows]) console.log(`| ${cells.join(' | ')} |`)
}

/** Writes `bench/results/NAME.json`, and says where it was measured. */
export async function saveResults(name: string, results: unknown): Promise<void> {
  const machine = { node: process.version, cpus: availableParallelism(), model: cpus()[0]?.model }
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify({ machine, results }, undefined, 2)}\n`)
  console.log(
    `Node ${machine.node}, ${machine.cpus} processors (${machine.model}): bench/results/${name}.json`,
  )
}
