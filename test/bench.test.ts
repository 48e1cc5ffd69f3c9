import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const bench = (...args: string[]): Promise<{ stdout: string }> =>
  run(process.execPath, ['bench/run.ts', ...args], { cwd: new URL('..', import.meta.url) })

t.test('the bench of the cost measures the gateway against a baseline', async (t) => {
  const { stdout } = await bench('cost', 'forwarding', '--short', '--case', 'gateway', '--case', 'bare')
  t.match(stdout, /^\| gateway \| \d+\.\d \|/m)
  t.match(stdout, /^\| bare \| \d+\.\d \|/m)
  t.match(stdout, /^\| to node:http with undici \| \d+\.\d\d \| ≤ 1\.15 \| (?:reached|missed) \|/m)
})

t.test('a bench that there is not is a wrong command line', async (t) => {
  await t.rejects(bench('nothing'), { code: 64 })
})
