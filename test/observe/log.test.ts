import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createLogger, DecisionLog } from '../../src/observe/log.ts'
import type { LogLevel } from '../../src/observe/log.ts'
import { buffered } from '../../src/observe/output.ts'
import { isoTime } from '../../src/observe/time.ts'
import { deny } from '../../src/pipeline/refuse.ts'

function lines(level: LogLevel): {
  log: DecisionLog
  logger: ReturnType<typeof createLogger>
  all: string[]
} {
  const all: string[] = []
  const logger = createLogger(level, { write: (line) => void all.push(line) })
  return { log: new DecisionLog(logger, 'all'), logger, all }
}

const read = (line = ''): Record<string, unknown> => JSON.parse(line) as Record<string, unknown>

t.test("a decision's line has the form of the logger's own, and nothing undefined", async (t) => {
  const { log, logger, all } = lines('info')
  logger.info('said')
  log.denied({ ...deny('no_route'), cause: new Error('a "quoted"\ncause') }, 'an-id', undefined, {
    status: 404,
    ms: 1.26,
  })
  const [said = '', denied = ''] = all
  t.match(said, /^\{"level":30,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","msg":"said"\}\n$/)
  t.match(denied, /^\{"level":40,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","decision":"deny",.*\}\n$/)
  const { time, ...rest } = read(denied)
  t.type(time, 'string')
  t.same(rest, {
    level: 40,
    decision: 'deny',
    reason: 'no_route',
    id: 'an-id',
    status: 404,
    ms: 1.3,
    cause: 'a "quoted"\ncause',
  })
})

t.test('a level that the logger does not write is not written', async (t) => {
  const { log, all } = lines('warn')
  log.denied(deny('no_route'), 'an-id', undefined, { status: 404, ms: 1 })
  t.same(all, [])
  log.denied({ ...deny('internal_error'), cause: 'a fault' }, 'an-id', undefined, { status: 500, ms: 1 })
  t.equal(all.length, 1)
})

t.test('the time is that of the system, to the millisecond', async (t) => {
  const wrong = Array.from({ length: 10_000 }, () => {
    const before = Date.now()
    const time = isoTime()
    const at = Date.parse(time)
    return before <= at && at <= Date.now() && new Date(at).toISOString() === time ? undefined : time
  })
  t.same(
    wrong.filter((time) => time !== undefined),
    [],
  )
})

t.test('lines that are kept back are written in order, at the end at the latest', async (t) => {
  const file = join(t.testdir(), 'log')
  const output = buffered(file)
  const written = Array.from({ length: 3_000 }, (_, i) => `${JSON.stringify({ i })}\n`)
  for (const line of written) output.write(line)
  output.flushSync()
  t.equal(readFileSync(file, 'utf8'), written.join(''))
})
