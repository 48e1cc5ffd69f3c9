import { parseDuration } from '../../config/values.ts'
import { PosternError } from '../../errors.ts'

/** What others made up, names above all, with nothing in it that a terminal would obey. */
export function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : value === undefined ? '-' : JSON.stringify(value)
  return text.replaceAll(/\p{C}/gu, '?')
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** `3h`, in the largest unit that is reached. @param ms milliseconds */
export function span(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms >= each) ?? ['s', 1_000]
  return `${Math.floor(Math.max(ms, 0) / size)}${unit}`
}

/** `no_route 12, invalid_credential 3`, the most frequent first. */
export function tally(counts: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ')
}

/** Milliseconds. @throws PosternError `usage` */
export function durationOf(option: string, text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined)
    throw new PosternError('usage', `${option} takes a duration such as 30m, 24h or 7d, not '${text}'.`)
  return ms
}
