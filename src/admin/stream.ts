import { Readable } from 'node:stream'

/** Characters that wait for a slow reader; what is beyond is dropped, and said to be. */
const MOST_WAITING = 1_000_000

/** Values as lines of JSON, for as long as they are read. */
export function jsonLines(open: (told: (value: object) => void) => () => void): Readable {
  let dropped = 0
  const stream = new Readable({
    read: () => undefined,
    destroy(error, done) {
      close()
      done(error)
    },
  })
  const close = open((value) => {
    if (stream.readableLength > MOST_WAITING) {
      dropped++
      return
    }
    if (dropped > 0) stream.push(`${JSON.stringify({ dropped })}\n`)
    dropped = 0
    stream.push(`${JSON.stringify(value)}\n`)
  })
  // The answer's head leaves with its first bytes: whoever waits for it knows from now on that nothing is missed.
  stream.push('\n')
  return stream
}
