import { pino } from 'pino'
import type { DestinationStream } from 'pino'

/** Lines that are kept back for a moment; `flushSync` before the process ends. */
export type LogOutput = DestinationStream & { flushSync(): void }

export const STANDARD_OUTPUT = 1

/** Characters kept back at most. */
const MOST = 8_192
/** Bytes that Linux writes into a pipe in one piece, whoever else writes there (PIPE_BUF, POSIX write(2)). */
const UNBROKEN = 4_096
const LINES = /[^\n]*\n/g
/** Milliseconds. */
const LONGEST = 100

/**
 * Lines are written many at a time, at the latest after a tenth of a second: one write for each was a sixth of all that
 * a forwarded request cost (`npm run bench`). pino's own buffer measures all that it holds again with each line.
 * @param to a file descriptor or a path
 * @param shared whether other processes write there too, who must not come between the halves of a line
 */
export function buffered(to: number | string, shared = false): LogOutput {
  const file = pino.destination({ dest: to, sync: true })
  const most = shared ? UNBROKEN : MOST
  let kept = ''
  const flush = (): void => {
    if (kept === '') return
    // As a rule a line has as many bytes as characters.
    if (shared && Buffer.byteLength(kept) > UNBROKEN)
      for (const line of kept.match(LINES) ?? []) file.write(line)
    else file.write(kept)
    kept = ''
  }
  setInterval(flush, LONGEST).unref()
  return {
    write(line) {
      if (kept.length + line.length > most) flush()
      kept += line
    },
    flushSync() {
      flush()
      file.flushSync()
    },
  }
}
