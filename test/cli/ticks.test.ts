import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { keptTick } from '../../src/cli/ticks.ts'

const run = promisify(execFile)
const TICKS = join(import.meta.dirname, '../../src/cli/ticks.ts')

t.test('an entry of the queue is kept', async (t) => {
  t.match(keptTick.entry, { callback: Function })
})

t.test('so that a collection of garbage leaves its class to those that come after', async (t) => {
  // V8's own words: the test needs to see what it does with them.
  const script = `
    const { keptTick } = await import(${JSON.stringify(TICKS)})
    await new Promise(setImmediate)
    gc()
    gc()
    const { createHook } = await import('node:async_hooks')
    let later
    const hook = createHook({ init: (_id, type, _trigger, entry) => { if (type === 'TickObject') later = entry } }).enable()
    process.nextTick(() => undefined)
    hook.disable()
    console.log(%HaveSameMap(keptTick.entry, later))`
  const flags = ['--allow-natives-syntax', '--expose-gc', '--input-type=module']
  const { stdout } = await run(process.execPath, [...flags, '--eval', script])
  t.equal(stdout.trim(), 'true')
})
