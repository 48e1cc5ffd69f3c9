let second = Number.NaN
let start = ''

/**
 * The time of the system's clock as ISO 8601 in UTC, with milliseconds: `2026-11-22T10:57:08.123Z`. Most of it is the
 * same for a second, and it is asked for with every line of the log.
 */
export function isoTime(): string {
  const now = Date.now()
  const current = Math.floor(now / 1_000)
  if (current !== second) {
    second = current
    start = new Date(current * 1_000).toISOString().slice(0, 20)
  }
  return `${start}${String(now - current * 1_000).padStart(3, '0')}Z`
}
