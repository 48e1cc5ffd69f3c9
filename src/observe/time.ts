/**
 * Of a moment, what is the same for all of its second: it is asked for with every line of the log and every answer, and
 * written once.
 * @param write the second's text
 */
function textOfSecond(write: (second: Date) => string): (second: number) => string {
  let known = Number.NaN
  let text = ''
  return (second) => {
    if (second !== known) {
      known = second
      text = write(new Date(second * 1_000))
    }
    return text
  }
}

const isoStart = textOfSecond((second) => second.toISOString().slice(0, 20))
const httpText = textOfSecond((second) => second.toUTCString())

/** The time of the system's clock as ISO 8601 in UTC, with milliseconds: `2026-11-22T10:57:08.123Z`. */
export function isoTime(): string {
  const now = Date.now()
  const second = Math.floor(now / 1_000)
  return `${isoStart(second)}${String(now - second * 1_000).padStart(3, '0')}Z`
}

/** The same for a `Date` field (RFC 9110 §5.6.7): `Sun, 22 Nov 2026 10:57:08 GMT`. */
export function httpDate(): string {
  return httpText(Math.floor(Date.now() / 1_000))
}
