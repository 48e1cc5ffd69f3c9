import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import t from 'tap'

const OUTPUT = new URL('../../src/observe/output.ts', import.meta.url).href
const LINES = 20_000

/** Writes many lines, of which some would be longer in bytes than in characters. */
const WRITER = `
  import { buffered, STANDARD_OUTPUT } from ${JSON.stringify(OUTPUT)}
  const output = buffered(STANDARD_OUTPUT, true)
  for (let i = 0; i < ${LINES}; i++)
    output.write(JSON.stringify({ who: process.argv[1], i, text: 'é'.repeat(i % 400) }) + '\\n')
  output.flushSync()`

t.test('lines of several processes in one pipe stay whole, however slowly it is read', async (t) => {
  const node = [process.execPath, '--input-type=module', '-e', WRITER]
  // Read in small pieces, the pipe is full for as long as they write.
  const script = '{ "$0" "$1" "$2" "$3" one & "$0" "$1" "$2" "$3" two & wait; } | dd bs=512 status=none'
  const child = spawn('sh', ['-c', script, ...node], { stdio: ['ignore', 'pipe', 'inherit'] })
  const next = { one: 0, two: 0 }
  let torn = 0
  for await (const line of createInterface({ input: child.stdout })) {
    try {
      const { who, i } = JSON.parse(line) as { who: keyof typeof next; i: number }
      if (next[who]++ !== i) torn++
    } catch {
      torn++
    }
  }
  t.equal(torn, 0)
  t.same(next, { one: LINES, two: LINES })
})
