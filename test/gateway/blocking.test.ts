import { Redis } from 'ioredis'
import t from 'tap'
import { Blocks } from '../../src/directory/blocks.ts'
import type { Mark } from '../../src/directory/mark.ts'
import { SharedMarks } from '../../src/directory/shared-marks.ts'
import { Blocking } from '../../src/gateway/blocking.ts'
import { virtualClock } from '../support/clock.ts'
import { freshRedis } from '../support/services.ts'

const NAME = 'postern:marks:here'
const MINUTE = 60_000
const MONTH = 30 * 24 * 60 * MINUTE

const nothing = () => undefined

t.test('a short block by a replica that does not know a long one ends the long one no sooner', async (t) => {
  const redis = new Redis((await freshRedis(t)).url)
  t.teardown(() => redis.disconnect())
  const now = Date.now()
  const clock = virtualClock(now)
  const marks = new SharedMarks({ redis, secret: Buffer.from('what replicas share'), name: NAME })
  const replica = (): Blocking => {
    const blocks = new Blocks(clock)
    return new Blocking({ blocks, clock, marks: () => marks, replicas: nothing, onBlocked: nothing })
  }
  const mark = (what: string, length: number): Mark => ({
    ...{ kind: 'user', what, at: now, until: now + length, lifted: false },
  })
  await replica().put(mark('vera', MONTH))
  await replica().put(mark('bob', MINUTE))
  t.ok((await redis.pttl(NAME)) > MONTH - MINUTE)
  const kept = (await marks.load()).map(({ what }) => what)
  t.same(kept.sort(), ['bob', 'vera'], 'both are there for whoever comes')
})
