import { pino } from 'pino'
import type { DestinationStream } from 'pino'

/** Lines that are kept back for a moment; `flushSync` before the process ends. */
export type LogOutput = DestinationStream & { flushSync(): void }

export const STANDARD_OUTPUT = 1

/** Characters kept back at most. */
const MOST = 8_192
/** Milliseconds. */
const LONGEST = 100

/**
 * Lines are written many at a time, at the latest after a tenth of a second: one write for each was a sixth of all that
 * a forwarded request cost (`npm run bench`). pino's own buffer measures all that it holds again with each line.
 * @param to a file descriptor or a path
 */
export function buffered(to: number | string): LogOutput {
  const file = pino.destination({ dest: to, sync: true })
  let kept = ''
  const flush = (): void => {
    if (kept === '') return
    file.write(kept)
    kept = ''
  }
  setInterval(flush, LONGEST).unref()
  return {
    write(line) {
      kept += line
      if (kept.length >= MOST) flush()
    },
    flushSync() {
      flush()
      file.flushSync()
    },
  }
}
